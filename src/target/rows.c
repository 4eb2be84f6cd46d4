/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which targets, runtimes and attachments this build has, and which of them the settings name. */
#include "room.h"

#include <stdio.h>

const struct runtime_row *const runtime_rows[] = {
	&runtime_netns, &runtime_oci, &runtime_vm, &runtime_disk, &runtime_libvirt};
const size_t runtime_rows_n = ARRAY_LEN(runtime_rows);

const struct attachment_row *const attachment_rows[] = {
	&attachment_veth, &attachment_bridge, &attachment_host};
const size_t attachment_rows_n = ARRAY_LEN(attachment_rows);

/* The runtime of a target for which none is named. */
static const struct {
	const char *name;
	const struct runtime_row *runtime;
} targets[] = {
	{"native", &runtime_netns},
	{"container", &runtime_oci},
	{"vm", &runtime_vm},
	{"vm with a disk", &runtime_disk},
	{"vm:NAME", &runtime_libvirt},
};

#define NAMES_MAX 16

/* EXIT_USAGE: "cannot use runtime 'x': this build cannot make it, known are a, b". */
static int unknown(const char *what, const char *word, const char *const *names, size_t n, struct err *e)
{
	char known[256] = "";
	const char *near = str_closest(word, names, n);

	for (size_t i = 0, used = 0; i < n && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", names[i]);
	err_usage(e, "cannot use %s '%s': this build cannot make it, known are %s", what, word, known);
	return near ? err_try(e, "%s", near) : -EINVAL;
}

static int target_row(const char *word, size_t *row, struct err *e)
{
	const char *names[ARRAY_LEN(targets)];

	for (*row = 0; *row < ARRAY_LEN(targets); ++*row) {
		if (!strcmp(targets[*row].name, word))
			return 0;
		names[*row] = targets[*row].name;
	}
	return unknown("target", word, names, ARRAY_LEN(names), e);
}

/* The word of the table. */
static const char *kind(const struct settings *s)
{
	if (settings_domain(s))
		return "vm:NAME";
	return settings_vm(s) && s->disk[0] ? "vm with a disk" : s->target;
}

static int runtime_find(const struct settings *s, const struct runtime_row **out, struct err *e)
{
	const char *names[ARRAY_LEN(runtime_rows)], *target = kind(s);
	size_t row, n = 0;

	int rc = target_row(target, &row, e);
	if (rc < 0)
		return rc;
	if (!s->runtime[0]) {
		*out = targets[row].runtime;
		return 0;
	}
	for (size_t i = 0; i < runtime_rows_n; i++) {
		bool able = str_in(target, runtime_rows[i]->targets);
		if (able && !strcmp(runtime_rows[i]->name, s->runtime)) {
			*out = runtime_rows[i];
			return 0;
		}
		if (able)
			names[n++] = runtime_rows[i]->name;
	}
	rc = unknown("runtime", s->runtime, names, n, e);
	return err_wrap(e, "target %s", s->target);
}

static int attachment_find(const struct settings *s, const struct attachment_row **out, struct err *e)
{
	const char *names[ARRAY_LEN(attachment_rows)];

	if (!s->attachment[0]) {
		*out = &attachment_veth;
		return 0;
	}
	for (size_t i = 0; i < attachment_rows_n; i++) {
		if (!strcmp(attachment_rows[i]->name, s->attachment)) {
			*out = attachment_rows[i];
			return 0;
		}
		names[i] = attachment_rows[i]->name;
	}
	return unknown("attachment", s->attachment, names, ARRAY_LEN(names), e);
}

int rows_find(const struct settings *s, const struct runtime_row **runtime,
	const struct attachment_row **attachment, struct err *e)
{
	int rc = runtime_find(s, runtime, e);

	return rc < 0 ? rc : attachment_find(s, attachment, e);
}

int target_check(const struct settings *s, struct err *e)
{
	const struct runtime_row *runtime;
	const struct attachment_row *attachment;

	return rows_find(s, &runtime, &attachment, e);
}

void target_runtimes_each(void (*fn)(const char *name, const char *help, void *arg), void *arg)
{
	for (size_t i = 0; i < runtime_rows_n; i++)
		fn(runtime_rows[i]->name, runtime_rows[i]->help, arg);
}

void target_attachments_each(void (*fn)(const char *name, const char *help, void *arg), void *arg)
{
	for (size_t i = 0; i < attachment_rows_n; i++)
		fn(attachment_rows[i]->name, attachment_rows[i]->help, arg);
}
