/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which targets, runtimes and attachments this build has, and which of them the settings name. */
#include "private.h"

#include <stdio.h>

const struct runtime_row *const runtime_rows[] = {
	&runtime_netns, &runtime_oci, &runtime_vm, &runtime_disk, &runtime_libvirt};
const size_t runtime_rows_n = ARRAY_LEN(runtime_rows);

const struct attachment_row *const attachment_rows[] = {
	&attachment_veth, &attachment_bridge, &attachment_host};
const size_t attachment_rows_n = ARRAY_LEN(attachment_rows);

size_t target_sweep_rows(const struct undo_sweep_row **out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < runtime_rows_n && n < room; i++)
		if (runtime_rows[i]->left)
			out[n++] = runtime_rows[i]->left;
	return n;
}

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

static int runtime_find(const struct settings *s, const struct runtime_row **out, struct err *e)
{
	const char *names[ARRAY_LEN(runtime_rows)];
	enum target_kind kind;
	size_t n = 0;
	int rc = settings_target(s, &kind, e);

	if (rc < 0)
		return rc;
	const char *target = target_rows[kind].name,
		   *wanted = s->runtime[0] ? s->runtime : target_rows[kind].runtime;
	for (size_t i = 0; i < runtime_rows_n; i++) {
		bool able = str_in(target, runtime_rows[i]->targets);
		if (able && !strcmp(runtime_rows[i]->name, wanted)) {
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

int target_resolve(struct trial_plan *plan, struct err *e)
{
	int rc = rows_find(&plan->settings, &plan->runtime, &plan->attachment, e);

	return rc < 0 || !plan->runtime->resolve ? rc : plan->runtime->resolve(plan, e);
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
