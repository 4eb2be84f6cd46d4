/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Settings: one row each.  The same rows serve the flags of `taut measure`, the keys of an experiment file,
 * --set, the JSON that travels and is stored, and the manual.  A new setting is a member of struct settings
 * and a row here.
 *
 * Texts are what a user writes ("200ms", "128K", "fifo:50"); JSON holds base units (ns, bytes, counts).
 */
#include "spec.h"

#include <assert.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>

#define AT(member) offsetof(struct settings, member)
#define MAX_NS     (7 * 24 * 3600 * NS_PER_S)

const struct setting_row setting_rows[] = {
	{"target", SETTING_WORD, AT(target), "native", .form = "native|container[:NAME]|vm[:NAME]|pid:N",
		.help = "the virtual system that holds the server; with a name or PID, one that runs already"},
	{"runtime", SETTING_WORD, AT(runtime), "", .form = "netns|oci|docker|podman",
		.help = "what makes the container: netns (bare namespace), oci (runc or crun), docker or podman"},
	{"attachment", SETTING_WORD, AT(attachment), "",
		.form = "veth|bridge|macvlan|device|vf|vhost-user|memif|engine[:NETWORK]|host",
		.help = "how the target reaches the client"},
	{"cpu_quota", SETTING_COUNT, AT(cpu_quota), "0", 0, 100000, NULL, "PERCENT",
		"CPU time of a container, 100 being one CPU; 0: no limit"},
	{"path", SETTING_WORD, AT(path), "", .choices = "|virtio|vhost|vfio|vhost-user",
		.form = "virtio|vhost|vhost-user", .help = "a VM's network path; empty for anything else"},
	{"device", SETTING_WORD, AT(device), "", .form = "LINK|PCI",
		.help = "the server's device, lent by the machine: a link or the address of a PCI function"},
	{"client_device", SETTING_WORD, AT(client_device), "", .form = "LINK|PCI",
		.help = "the client's, at the other end of the cable"},
	{"site", SETTING_WORD, AT(site), "local", .form = "local|lab[:KERNEL]",
		.help = "the host of the trial: this one, or an emulated one with that kernel"},
	{"host_boot", SETTING_WORD, AT(host_boot), "", .form = "ARGUMENTS",
		.help = "further boot arguments of an emulated host"},
	{"clock", SETTING_WORD, AT(clock), "real", .choices = "real|exact", .form = "real|exact",
		.help = "exact: an emulated host whose time is the instructions it executes"},
	{"kernel", SETTING_WORD, AT(kernel), "", .form = "KERNEL",
		.help = "the kernel of a VM: stock, rt, cloud, a release or the beginning of one, a path"},
	{"boot", SETTING_WORD, AT(boot), "", .form = "ARGUMENTS",
		.help = "further boot arguments of a VM's kernel"},
	{"accel", SETTING_WORD, AT(accel), "", .choices = "|kvm|tcg", .form = "kvm|tcg",
		.help = "how a VM runs; empty: kvm where it works, else emulated"},
	{"vcpus", SETTING_COUNT, AT(vcpus), "1", 0, 64, NULL, "N",
		"virtual CPUs of a VM; 0: as many as the host can set apart, 4 at most"},
	{"memory", SETTING_BYTES, AT(memory_bytes), "512M", 64 << 20, 1ull << 40, NULL, "BYTES",
		"memory of a VM"},
	{"queues", SETTING_COUNT, AT(queues), "1", 1, 8, NULL, "N", "queue pairs of a VM's network device"},
	{"cpu_model", SETTING_WORD, AT(cpu_model), "", .form = "MODEL",
		.help = "CPU model of a VM as QEMU names it; empty: host with KVM, max emulated"},
	{"backing", SETTING_WORD, AT(backing), "", .choices = "|ram|locked|hugepages",
		.form = "ram|locked|hugepages", .help = "what holds a VM's memory; empty: by profile"},
	{"disk", SETTING_WORD, AT(disk), "", .form = "FILE",
		.help = "boot a VM from this disk image (never written) instead of a kernel"},
	{"login", SETTING_WORD, AT(login), "", .form = "ssh:USER@HOST|agent",
		.help = "how the endpoint gets into a guest of your own: ssh, or its QEMU guest agent"},
	{"workload", SETTING_WORD, AT(workload), "tcp_rr", .form = "NAME", .help = "what is exchanged",
		.ends = true},
	{"beside", SETTING_WORD, AT(beside), "", .form = "NAME",
		.help = "a stream over the same wire while requests are measured: the name of a workload",
		.ends = true},
	{"driver", SETTING_WORD, AT(driver), "socket", .form = "CLIENT[:SERVER]",
		.help = "how each end moves its packets: socket, spin, xdp or dpdk"},
	{"pacing", SETTING_WORD, AT(pacing), "", .choices = "|closed|open", .form = "closed|open",
		.help = "closed: next request after the reply; open: on a schedule (needs rate)",
		.ends = true},
	{"rate", SETTING_COUNT, AT(rate), "0", 0, 10000000, NULL, "N",
		"requests or datagrams per second, over all flows; 0: closed loop, or as fast as can be",
		.ends = true},
	{"transactions", SETTING_COUNT, AT(transactions), "0", 0, 10000000000ull, NULL, "N",
		"transactions to measure; 0: as many as fit into duration", .ends = true},
	{"duration", SETTING_DURATION, AT(duration_ns), "3s", NS_PER_MS, MAX_NS, NULL, "TIME",
		"measured time of a stream, or where transactions is 0", .ends = true},
	{"max_duration", SETTING_DURATION, AT(max_duration_ns), "60s", NS_PER_MS, MAX_NS, NULL, "TIME",
		"cap on the time of a trial that counts transactions", .ends = true},
	{"warmup", SETTING_DURATION, AT(warmup_ns), "200ms", 0, 600 * NS_PER_S, NULL, "TIME",
		"time cut off at the start", .ends = true},
	{"request", SETTING_BYTES, AT(request_bytes), "1", 1, 16 << 20, NULL, "BYTES", "size of a request",
		.ends = true},
	{"reply", SETTING_BYTES, AT(reply_bytes), "1", 1, 16 << 20, NULL, "BYTES", "size of a reply",
		.ends = true},
	{"size", SETTING_BYTES, AT(size_bytes), "0", 0, 64 << 20, NULL, "BYTES",
		"size of a message of a stream or an echo; 0: 128K over TCP, of datagrams what fits into one "
		"packet, of an echo 56",
		.ends = true},
	{"flows", SETTING_COUNT, AT(flows), "1", 1, FLOWS_MAX, NULL, "N", "connections at once",
		.ends = true},
	{"burst", SETTING_COUNT, AT(burst), "1", 1, 1024, NULL, "N",
		"requests in flight on each flow of a closed loop", .ends = true},
	{"nodelay", SETTING_BOOL, AT(nodelay), "yes", .form = "yes|no", .help = "TCP_NODELAY", .ends = true},
	{"busy_poll", SETTING_COUNT, AT(busy_poll_us), "0", 0, 1000000, NULL, "MICROSECONDS",
		"SO_BUSY_POLL of both ends; 0: as the machine has it"},
	{"congestion", SETTING_WORD, AT(congestion), "", .form = "NAME",
		.help = "TCP congestion control; empty: the default"},
	{"mtu", SETTING_COUNT, AT(mtu), "0", 0, 65535, NULL, "BYTES",
		"MTU of taut's links; 0: the kernel's default"},
	{"ipv6", SETTING_BOOL, AT(ipv6), "no", .form = "yes|no", .help = "IPv6 instead of IPv4"},
	{"port", SETTING_COUNT, AT(port), "0", 0, 65535, NULL, "PORT",
		"first port of the server; 0: any free one", .ends = true},
	{"client_cpu", SETTING_CPU, AT(client_cpu), "any", .form = "CPU",
		.help = "pin the client; any: by profile"},
	{"server_cpu", SETTING_CPU, AT(server_cpu), "any", .form = "CPU",
		.help = "pin the server; any: by profile"},
	{"sched", SETTING_WORD, AT(sched), "", .form = "other|fifo:N",
		.help = "scheduling of both ends; empty: by profile"},
	{"timeout", SETTING_DURATION, AT(timeout_ns), "1s", NS_PER_MS, 600 * NS_PER_S, NULL, "TIME",
		"after this a datagram counts as lost", .ends = true},
	{"share", SETTING_WORD, AT(share), "", .choices = "|target", .form = "target",
		.help = "target: trials of an arm and block that differ in their ends alone use one target"},
	{"noise", SETTING_WORD, AT(noise), "none", .choices = "none|cpu", .form = "none|cpu",
		.help = "load beside the measured work: two stress-ng workers a CPU"},
	{"profile", SETTING_WORD, AT(profile), "stock", .form = "NAME",
		.help = "tuning: stock (nothing is written), low-latency, command"},
	{"apply", SETTING_WORD, AT(apply), "", .form = "COMMAND",
		.help = "profile command: the shell command that tunes", .lines = true},
	{"revert", SETTING_WORD, AT(revert), "", .form = "COMMAND",
		.help = "profile command: the one that undoes it", .lines = true},
	{"isolate", SETTING_WORD, AT(isolate), "", .form = "CPULIST",
		.help = "CPUs that a profile isolates; empty: all but the first core"},
	{"tool", SETTING_WORD, AT(tool), "taut", .choices = "taut|netperf|iperf3|sockperf|ping|command",
		.form = "taut|netperf|iperf3|sockperf|ping|command",
		.help = "whose program exchanges the packets: taut, netperf, iperf3, sockperf, ping, command"},
	{"tool_client", SETTING_WORD, AT(tool_client), "", .form = "COMMAND",
		.help = "tool command: the shell command that measures, and prints what it saw",
		.lines = true},
	{"tool_server", SETTING_WORD, AT(tool_server), "", .form = "COMMAND",
		.help = "tool command: the one that serves it; empty: none", .lines = true},
	{"tool_output", SETTING_WORD, AT(tool_output), "json", .choices = "json|hlog", .form = "json|hlog",
		.help = "tool command: what tool_client prints: JSON, or a log of HdrHistogram"},
};
const size_t setting_rows_n = ARRAY_LEN(setting_rows);

const struct setting_row *setting_find(const char *key)
{
	for (size_t i = 0; i < setting_rows_n; i++)
		if (!strcmp(setting_rows[i].key, key))
			return &setting_rows[i];
	return NULL;
}

static void *member(struct settings *s, const struct setting_row *row)
{
	return (char *)s + row->offset;
}

static const void *member_const(const struct settings *s, const struct setting_row *row)
{
	return (const char *)s + row->offset;
}

static int parse_bool(const char *text, bool *out)
{
	if (str_in(text, "yes|true|on|1"))
		*out = true;
	else if (str_in(text, "no|false|off|0"))
		*out = false;
	else
		return -EINVAL;
	return 0;
}

/* The word as it can be shown; malloc'd. */
static char *word_shown(const struct setting_row *row, const char *value)
{
	char *copy = str_dup(value);

	return row->lines ? str_printable_lines(copy) : str_printable(copy);
}

static int set_word(const char **out, const struct setting_row *row, const char *value, struct err *e)
{
	if (row->choices && !(*value ? str_in(value, row->choices) : row->choices[0] == '|'))
		return err_usage(e, "cannot set %s to '%s': it is one of %s", row->key, value, row->form);
	AUTO_FREE char *shown = word_shown(row, value);
	if (strcmp(shown, value) != 0)
		return err_usage(e, "cannot set %s to '%s': where a '?' stands it holds what cannot be shown",
			row->key, shown);
	*out = str_keep(value);
	return 0;
}

/* "64M": what can be typed. */
static const char *count_text(uint64_t n, bool bytes, char *out, size_t size)
{
	static const char units[] = {0, 'K', 'M', 'G'};
	size_t u = 0;

	for (; bytes && n && n % 1024 == 0 && u + 1 < ARRAY_LEN(units); u++)
		n /= 1024;
	snprintf(out, size, "%llu%c", (unsigned long long)n, units[u]);
	return out;
}

static int set_number(uint64_t *out, const struct setting_row *row, const char *value, struct err *e)
{
	uint64_t n = 0;
	int rc = row->type == SETTING_BYTES ? str_bytes(value, &n) : str_u64(value, &n);

	if (row->type == SETTING_DURATION && (rc = time_parse_ns(value, &n, e)) < 0)
		return err_wrap(e, "cannot set %s", row->key);
	if (rc == -EINVAL)
		return err_usage(e, "cannot set %s to '%s': it wants a whole number%s", row->key, value,
			row->type == SETTING_BYTES ? " of bytes (64, 128K, 1M)" : "");
	if (rc == -ERANGE || n < row->min || n > row->max) {
		char low[32], high[32];
		if (row->type == SETTING_DURATION)
			return err_usage(e, "cannot set %s to '%s': it must lie between %s and %s", row->key,
				value, time_format_ns((double)row->min, low, sizeof(low)),
				time_format_ns((double)row->max, high, sizeof(high)));
		bool bytes = row->type == SETTING_BYTES;
		return err_usage(e, "cannot set %s to '%s': it must lie between %s and %s", row->key, value,
			count_text(row->min, bytes, low, sizeof(low)),
			count_text(row->max, bytes, high, sizeof(high)));
	}
	*out = n;
	return 0;
}

static int set_cpu(int64_t *out, const struct setting_row *row, const char *value, struct err *e)
{
	uint64_t n;

	if (!strcmp(value, "any")) {
		*out = -1;
		return 0;
	}
	if (str_u64(value, &n) || n >= CPU_SETSIZE)
		return err_usage(
			e, "cannot set %s to '%s': it wants the number of a CPU, or any", row->key, value);
	*out = (int64_t)n;
	return 0;
}

static int set_value(struct settings *s, const struct setting_row *row, const char *value, struct err *e)
{
	void *p = member(s, row);

	switch (row->type) {
	case SETTING_WORD:
		return set_word(p, row, value, e);
	case SETTING_COUNT:
	case SETTING_BYTES:
	case SETTING_DURATION:
		return set_number(p, row, value, e);
	case SETTING_BOOL:
		if (parse_bool(value, p))
			return err_usage(e, "cannot set %s to '%s': it is yes or no", row->key, value);
		return 0;
	case SETTING_CPU:
		return set_cpu(p, row, value, e);
	}
	return -EINVAL;
}

int setting_set(struct settings *s, const char *key, const char *value, struct err *e)
{
	const struct setting_row *row = setting_find(key);
	const char *words[ARRAY_LEN(setting_rows)];

	if (row)
		return set_value(s, row, value, e);
	for (size_t i = 0; i < setting_rows_n; i++)
		words[i] = setting_rows[i].key;
	const char *near = str_closest(key, words, setting_rows_n);
	err_usage(e, "cannot set '%s': there is no such setting", key);
	return near ? err_try(e, "%s", near) : err_try(e, "taut-experiment(5) lists them");
}

void settings_init(struct settings *s)
{
	struct err e = ERR_INIT;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < setting_rows_n; i++)
		if (set_value(s, &setting_rows[i], setting_rows[i].initial, &e) < 0)
			abort(); /* a default that its own row refuses */
}

const char *setting_text(const struct settings *s, const struct setting_row *row, char *out, size_t size)
{
	const void *p = member_const(s, row);

	switch (row->type) {
	case SETTING_WORD:
		return *(const char *const *)p;
	case SETTING_COUNT:
	case SETTING_BYTES:
		snprintf(out, size, "%llu", *(const unsigned long long *)p);
		break;
	case SETTING_DURATION:
		snprintf(out, size, "%lluns", *(const unsigned long long *)p);
		break;
	case SETTING_BOOL:
		snprintf(out, size, "%s", *(const bool *)p ? "yes" : "no");
		break;
	case SETTING_CPU:
		if (*(const int64_t *)p < 0)
			snprintf(out, size, "any");
		else
			snprintf(out, size, "%lld", *(const long long *)p);
		break;
	}
	return out;
}

bool setting_equal(const struct settings *a, const struct settings *b, const struct setting_row *row)
{
	char x[SETTING_NUMBER_MAX], y[SETTING_NUMBER_MAX];

	return !strcmp(setting_text(a, row, x, sizeof(x)), setting_text(b, row, y, sizeof(y)));
}

unsigned setting_choice(const struct settings *s, const char *key)
{
	const struct setting_row *row = setting_find(key);
	const char *word = *(const char *const *)member_const(s, row), *choice = row->choices;
	unsigned n = 0;

	for (size_t len = strcspn(choice, "|"); strncmp(choice, word, len) || word[len];
		len = strcspn(choice, "|"), n++) {
		assert(choice[len]); /* what was set is one of them */
		choice += len + 1;
	}
	return n;
}

bool settings_open_loop(const struct settings *s)
{
	return s->rate > 0;
}

bool settings_exact(const struct settings *s)
{
	return !strcmp(s->clock, "exact");
}

bool settings_share(const struct settings *a, const struct settings *b)
{
	if (strcmp(a->share, "target") != 0 || strcmp(a->tool, "taut") != 0)
		return false;
	for (size_t i = 0; i < setting_rows_n; i++)
		if (!setting_rows[i].ends && !setting_equal(a, b, &setting_rows[i]))
			return false;
	return true;
}

int sched_parse(const char *text, int *policy, int *priority, struct err *e)
{
	uint64_t n;

	if (!strcmp(text, "other")) {
		*policy = SCHED_OTHER;
		*priority = 0;
		return 0;
	}
	if (str_starts(text, "fifo:") && !str_u64(text + 5, &n) && n >= 1 && n <= 98) {
		*policy = SCHED_FIFO;
		*priority = (int)n;
		return 0;
	}
	return err_usage(e, "cannot set sched to '%s': it is other or fifo:N with N from 1 to 98", text);
}

json_t *settings_json(const struct settings *s)
{
	json_t *object = json_object();

	for (size_t i = 0; i < setting_rows_n; i++) {
		const struct setting_row *row = &setting_rows[i];
		const void *p = member_const(s, row);
		json_t *value = row->type == SETTING_WORD   ? json_string(*(const char *const *)p)
				: row->type == SETTING_BOOL ? json_boolean(*(const bool *)p)
							    : json_integer(*(const int64_t *)p);
		json_object_set_new(object, row->key, value);
	}
	return object;
}

static bool is_text(const json_t *value)
{
	return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

/* Without a look at what may be set today. */
static bool take_as_it_is(struct settings *s, const struct setting_row *row, const json_t *value)
{
	if (row->type == SETTING_WORD && is_text(value)) {
		AUTO_FREE char *shown = word_shown(row, json_string_value(value));
		*(const char **)member(s, row) = str_keep(shown);
	} else if (row->type == SETTING_BOOL && json_is_boolean(value))
		*(bool *)member(s, row) = json_is_true(value);
	else if (row->type != SETTING_WORD && row->type != SETTING_BOOL && json_is_integer(value))
		*(int64_t *)member(s, row) = json_integer_value(value);
	else
		return false;
	return true;
}

/* Is what is there now a value that could be set? */
static int check_value(struct settings *s, const struct setting_row *row, struct err *e)
{
	char number[SETTING_NUMBER_MAX];

	return set_value(s, row, setting_text(s, row, number, sizeof(number)), e);
}

int settings_from_json(struct settings *s, const json_t *object, enum reading how, struct err *e)
{
	struct settings made;

	if (!json_is_object(object) || (how == READ_STREAM && json_object_size(object) != setting_rows_n))
		return err_set(e, EPROTO, "settings: not an object of %zu settings", setting_rows_n);
	settings_init(&made);
	for (size_t i = 0; i < setting_rows_n; i++) {
		const struct setting_row *row = &setting_rows[i];
		const json_t *value = json_object_get(object, row->key);
		if (!value && how == READ_ARCHIVE)
			continue;
		if (!value)
			return err_set(e, EPROTO, "settings: '%s' is missing", row->key);
		if (!take_as_it_is(&made, row, value))
			return err_set(e, EPROTO, "settings: '%s' has the wrong type", row->key);
		int rc = how == READ_STREAM || row->type != SETTING_WORD ? check_value(&made, row, e) : 0;
		if (rc < 0)
			return rc;
	}
	*s = made;
	return 0;
}
