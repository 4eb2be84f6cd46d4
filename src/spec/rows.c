/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Targets, hosts and profiles: what a word of the settings stands for. */
#include "spec.h"

const struct target_row target_rows[TARGETS_N] = {
	[TARGET_NATIVE] = {"native", "netns", "veth", "veth|bridge"},
	[TARGET_CONTAINER] = {"container", "oci", "bridge", "veth|bridge", .runtime_written = true},
	[TARGET_VM] = {"vm", "qemu", "bridge", "bridge", .machine = true, .made = true, .boots = true},
	[TARGET_DISK] = {"vm with a disk", "disk", "bridge", "bridge", .machine = true, .made = true},
	[TARGET_DOMAIN] = {"vm:NAME", "libvirt", "host", "host", .machine = true},
};

int settings_target(const struct settings *s, enum target_kind *out, struct err *e)
{
	static const char *const words[] = {"native", "container", "vm"};

	if (settings_domain(s)) {
		*out = TARGET_DOMAIN;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(words[i], s->target)) {
			*out = i == TARGET_VM && s->disk[0] ? TARGET_DISK : (enum target_kind)i;
			return 0;
		}
	const char *near = str_closest(s->target, words, ARRAY_LEN(words));
	err_usage(e,
		"cannot use target '%s': this build cannot make it, known are native, container, vm and vm:NAME",
		s->target);
	return near ? err_try(e, "%s", near) : -EINVAL;
}

const struct target_row *target_of(const struct settings *s)
{
	enum target_kind kind = TARGET_NATIVE;

	settings_target(s, &kind, ERR_IGNORED);
	return &target_rows[kind];
}

const struct host_row host_rows[SITES_N] = {
	[SITE_LOCAL] = {"local", "this machine"},
	[SITE_LAB] = {"lab:KERNEL", "a host that taut emulates and boots with that kernel", .emulated = true},
};

enum site_kind settings_site(const struct settings *s)
{
	return settings_lab(s) ? SITE_LAB : SITE_LOCAL;
}

const struct host_row *host_of(const struct settings *s)
{
	return &host_rows[settings_site(s)];
}

const struct profile_row profile_rows[PROFILES_N] = {
	[PROFILE_STOCK] = {"stock",
		"the machine as found: nothing is written, but where you place an end yourself"},
	[PROFILE_LOW_LATENCY] = {"low-latency",
		"short and even latency: "
		"CPUs of its own for the measured work, interrupts and kernel work elsewhere, realtime scheduling, no sleep states",
		.writes = true, .isolates = true, .realtime = true, .locks_memory = true},
	[PROFILE_COMMAND] = {"command", "your own tuning: the shell commands of apply and revert",
		.writes = true, .commands = true},
};

int profile_find(const char *name, struct err *e)
{
	for (int i = 0; i < PROFILES_N; i++)
		if (!strcmp(profile_rows[i].name, name))
			return i;
	err_usage(e, "cannot use profile '%s': there is no such profile", name);
	return err_try(e, "stock, low-latency or command");
}

const struct profile_row *profile_of(const struct settings *s)
{
	int found = profile_find(s->profile, ERR_IGNORED);

	return &profile_rows[found < 0 ? PROFILE_STOCK : found];
}
