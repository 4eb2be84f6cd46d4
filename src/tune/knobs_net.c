/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network stack below the sockets. */
#include "private.h"

/* A queue that NAPI can poll belongs to a device; veth and bridge have none. */
static bool has_device(const struct undo_host *host, const struct subject_link *link)
{
	AUTO_FREE char *path = str_format("/sys/class/net/%s/device/uevent", link->name);
	struct undo_entry entry = {
		.row = undo_row_find(host, "netns-file"), .object = path, .netns_fd = link->netns_fd};
	AUTO_FREE char *text = NULL;

	if (link->netns_fd < 0)
		return root_exists(host->root, path);
	return entry.row->read(host, &entry, &text, ERR_IGNORED) == 0;
}

/* Two ends that poll on the same CPU would each wait until the time slice of the other is over. */
static enum answer busy_poll(const struct asked *asked, char *out, size_t size)
{
	const struct subject *subject = asked->p->subject;
	bool any = false;

	if (CPU_COUNT(&asked->p->isolated) < 2) {
		str_copy(out, size, "both ends share a CPU and would spin against each other");
		return ANSWER_SKIP;
	}
	for (size_t i = 0; subject && i < subject->links_n; i++)
		any |= has_device(asked->p->host, &subject->links[i]);
	str_copy(out, size, any ? "50" : "veth has no queue to poll");
	return any ? ANSWER_VALUE : ANSWER_SKIP;
}

static const struct knob rows[] = {
	{.id = "net-rps-default",
		.help = "Packets of new network devices are not steered to the isolated CPUs (receive packet steering, RPS).",
		.object = "/proc/sys/net/core/rps_default_mask",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "link-rps",
		.help = "Packets of the target's links are not steered to the isolated CPUs (RPS), which would cost one more softirq.",
		.stage = TUNE_LIVE,
		.expand = EXPAND_QUEUE,
		.object = "/sys/class/net/@/queues/rx-#/rps_cpus",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "net-busy-read",
		.help = "A blocking read polls the queue of the network device before it sleeps, so it need not wait for an interrupt.",
		.risk = "a waiting end keeps its CPU busy",
		.stage = TUNE_LIVE,
		.object = "/proc/sys/net/core/busy_read",
		.executor = "file",
		LOW_LATENCY(busy_poll)},
};

const struct knob_table tune_knobs_net = {rows, ARRAY_LEN(rows)};
