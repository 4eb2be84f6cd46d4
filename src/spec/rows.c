/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Targets, hosts and profiles: what a word of the settings stands for. */
#include "spec.h"

#define WORDS_MAX 16

/* --- targets ----------------------------------------------------------------------------------- */

const struct target_row target_rows[TARGETS_N] = {
	[TARGET_NATIVE] = {"native", "native", "netns", "veth",
		"veth|bridge|macvlan|device|vf|vhost-user|memif"},
	[TARGET_CONTAINER] = {"container", "container", "oci", "bridge",
		"veth|bridge|macvlan|device|vf|vhost-user|memif|engine|host", .runtime_written = true},
	[TARGET_VM] = {"vm", "vm", "qemu", "bridge", "bridge|macvlan|device|vf|vhost-user", .machine = true,
		.made = true, .boots = true},
	[TARGET_DISK] = {"vm with a disk", NULL, "disk", "bridge", "bridge|macvlan|device|vf",
		.machine = true, .made = true},
	[TARGET_DOMAIN] = {"vm:NAME", NULL, "libvirt", "host", "host", .prefix = "vm:", .machine = true},
	[TARGET_RUNNING] = {"container:NAME", NULL, "running", "host", "host", .prefix = "container:"},
	[TARGET_PID] = {"pid:N", NULL, "running", "host", "host", .prefix = "pid:"},
};

int settings_target(const struct settings *s, enum target_kind *out, struct err *e)
{
	const char *words[WORDS_MAX];
	size_t n = 0;

	for (int kind = 0; kind < TARGETS_N; kind++) {
		const char *word = target_rows[kind].word, *prefix = target_rows[kind].prefix;
		if (prefix && str_starts(s->target, prefix)) {
			*out = (enum target_kind)kind;
			return 0;
		}
		if (word && !strcmp(word, s->target)) {
			*out = kind == TARGET_VM && s->disk[0] ? TARGET_DISK : (enum target_kind)kind;
			return 0;
		}
		if (word)
			words[n++] = word;
	}
	const char *near = str_closest(s->target, words, n);
	for (int kind = 0; kind < TARGETS_N; kind++)
		if (target_rows[kind].prefix)
			words[n++] = target_rows[kind].name;
	AUTO_FREE char *known = str_list(words, n, "and");
	err_usage(e, "cannot use target '%s': this build cannot make it, known are %s", s->target, known);
	return near ? err_try(e, "%s", near) : -EINVAL;
}

const struct target_row *target_of(const struct settings *s)
{
	enum target_kind kind = TARGET_NATIVE;

	settings_target(s, &kind, ERR_IGNORED);
	return &target_rows[kind];
}

/* --- attachments that take devices ------------------------------------------------------------ */

const struct lending_row lending_rows[] = {
	{"macvlan"},
	{"device", .needs = true, .passes = true},
	{"vf", .needs = true, .passes = true},
};
const size_t lending_rows_n = ARRAY_LEN(lending_rows);

const struct lending_row *lending_of(const struct settings *s)
{
	for (size_t i = 0; i < lending_rows_n; i++)
		if (!strcmp(lending_rows[i].attachment, s->attachment))
			return &lending_rows[i];
	return NULL;
}

const char *settings_target_name(const struct settings *s)
{
	const char *prefix = target_of(s)->prefix;

	return prefix ? s->target + strlen(prefix) : NULL;
}

const char *settings_domain(const struct settings *s)
{
	return target_of(s) == &target_rows[TARGET_DOMAIN] ? settings_target_name(s) : NULL;
}

/* --- hosts ------------------------------------------------------------------------------------- */

const struct host_row host_rows[SITES_N] = {
	[SITE_LOCAL] = {"local", "local", .help = "this machine"},
	[SITE_LAB] = {"lab:KERNEL", "lab", "stock", "a host that taut emulates and boots with that kernel",
		.emulated = true},
};

/* What stands behind the word in a site, its default for a bare word; NULL: it is another site. */
static const char *argument_of(const struct host_row *row, const char *site)
{
	size_t n = strlen(row->word);

	if (strncmp(site, row->word, n) != 0)
		return NULL;
	if (!site[n])
		return row->argument ? row->argument : "";
	return row->argument && site[n] == ':' && site[n + 1] ? site + n + 1 : NULL;
}

bool settings_site_find(const struct settings *s, enum site_kind *out)
{
	for (int kind = 0; kind < SITES_N; kind++)
		if (argument_of(&host_rows[kind], s->site)) {
			*out = (enum site_kind)kind;
			return true;
		}
	return false;
}

enum site_kind settings_site(const struct settings *s)
{
	enum site_kind kind = SITE_LOCAL;

	settings_site_find(s, &kind);
	return kind;
}

const char *settings_lab(const struct settings *s)
{
	return argument_of(&host_rows[SITE_LAB], s->site);
}

const struct host_row *host_of(const struct settings *s)
{
	return &host_rows[settings_site(s)];
}

/* --- profiles ---------------------------------------------------------------------------------- */

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
	const char *words[PROFILES_N];
	for (int i = 0; i < PROFILES_N; i++)
		words[i] = profile_rows[i].name;
	AUTO_FREE char *known = str_list(words, PROFILES_N, "or");
	err_usage(e, "cannot use profile '%s': there is no such profile", name);
	return err_try(e, "%s", known);
}

const struct profile_row *profile_of(const struct settings *s)
{
	int found = profile_find(s->profile, ERR_IGNORED);

	return &profile_rows[found < 0 ? PROFILE_STOCK : found];
}
