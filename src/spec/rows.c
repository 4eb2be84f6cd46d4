/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Targets, hosts and profiles: what a word of the settings stands for. */
#include "spec.h"

#define WORDS_MAX 16

/* --- targets ----------------------------------------------------------------------------------- */

const struct target_row target_rows[TARGETS_N] = {
	[TARGET_NATIVE] = {"native", "native", "netns", "veth", "veth|bridge"},
	[TARGET_CONTAINER] = {"container", "container", "oci", "bridge", "veth|bridge",
		.runtime_written = true},
	[TARGET_VM] = {"vm", "vm", "qemu", "bridge", "bridge", .machine = true, .made = true, .boots = true},
	[TARGET_DISK] = {"vm with a disk", NULL, "disk", "bridge", "bridge", .machine = true, .made = true},
	[TARGET_DOMAIN] = {"vm:NAME", NULL, "libvirt", "host", "host", .machine = true},
};

int settings_target(const struct settings *s, enum target_kind *out, struct err *e)
{
	const char *words[WORDS_MAX];
	size_t n = 0;

	if (settings_domain(s)) {
		*out = TARGET_DOMAIN;
		return 0;
	}
	for (int kind = 0; kind < TARGETS_N; kind++) {
		const char *word = target_rows[kind].word;
		if (word && !strcmp(word, s->target)) {
			*out = kind == TARGET_VM && s->disk[0] ? TARGET_DISK : (enum target_kind)kind;
			return 0;
		}
		if (word)
			words[n++] = word;
	}
	const char *near = str_closest(s->target, words, n);
	words[n++] = target_rows[TARGET_DOMAIN].name;
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
