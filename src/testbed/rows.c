/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which targets, runtimes and attachments this build has, and which of them the settings name. */
#include "private.h"

#include "device.h"

#include <stdio.h>

const struct runtime_row *const runtime_rows[] = {&runtime_netns, &runtime_oci,
#ifdef TAUT_ENGINES
	&runtime_docker, &runtime_podman,
#endif
	&runtime_running, &runtime_vm, &runtime_disk, &runtime_libvirt};
const size_t runtime_rows_n = ARRAY_LEN(runtime_rows);

const struct attachment_row *const attachment_rows[] = {
	&attachment_veth,
	&attachment_bridge,
	&attachment_host,
	&attachment_macvlan,
	&attachment_device,
	&attachment_vf,
	&attachment_vhost_user,
	&attachment_memif,
#ifdef TAUT_ENGINES
	&attachment_engine,
#endif
};
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
	size_t len = strcspn(s->attachment, ":");
	for (size_t i = 0; i < attachment_rows_n; i++) {
		if (!strncmp(attachment_rows[i]->name, s->attachment, len) &&
			!attachment_rows[i]->name[len]) {
			*out = attachment_rows[i];
			return 0;
		}
		names[i] = attachment_rows[i]->name;
	}
	return unknown("attachment", s->attachment, names, ARRAY_LEN(names), e);
}

/* What an emulated host has not. */
static int lab_check(const struct settings *s, const struct runtime_row *row, struct err *e)
{
	if (row->here)
		return err_usage(e,
			"cannot use runtime %s on an emulated host: it is not there (try: site local)",
			row->name);
	if (row->engine && settings_exact(s))
		return err_usage(e,
			"cannot use runtime %s with the exact clock: what its daemons do besides differs from boot to boot",
			row->name);
	if (row->engine && str_starts(s->attachment, "engine:"))
		return err_usage(e,
			"cannot use attachment %s on an emulated host: its engine has the default network alone (try: engine)",
			s->attachment);
	return 0;
}

int rows_find(const struct settings *s, const struct runtime_row **runtime,
	const struct attachment_row **attachment, struct err *e)
{
	const struct attachment_row *wire = &attachment_veth;
	const struct runtime_row *row = &runtime_netns;
	int rc = runtime_find(s, &row, e);

	if (rc == 0)
		rc = attachment_find(s, &wire, e);
	if (rc < 0)
		return rc;
	if (settings_lab(s) && (rc = lab_check(s, row, e)) < 0)
		return rc;
	if (s->cpu_quota && !row->quota)
		return err_usage(e, "cannot use cpu_quota with runtime %s: it limits no CPU time", row->name);
	if (row->attachments && !str_in(wire->name, row->attachments)) {
		err_usage(e, "cannot use attachment '%s' with runtime %s: it has one of %s", s->attachment,
			row->name, row->attachments);
		return err_try(e, "%.*s", (int)strcspn(row->attachments, "|"), row->attachments);
	}
	*runtime = row;
	*attachment = wire;
	return 0;
}

bool target_wants_engine(const struct settings *s)
{
	const struct runtime_row *runtime = &runtime_netns;

	return runtime_find(s, &runtime, ERR_IGNORED) == 0 && runtime->engine;
}

int target_host_start(struct err *e)
{
	int rc = 0;

	for (size_t i = 0; host_emulated() && rc == 0 && i < runtime_rows_n; i++)
		rc = runtime_rows[i]->host_start ? runtime_rows[i]->host_start(e) : 0;
	return rc;
}

/* As the machine is now. */
static int devices_check(const struct trial_plan *plan, struct err *e)
{
	AUTO(devices_close) struct devices d = DEVICES_NONE;
	AUTO_CLOSE int root = root_open("/", e);
	struct undo_host host = UNDO_HOST_NONE;

	host.root = root;
	int rc = root < 0 ? root : devices_open(&d, &host, e);
	return rc < 0 ? rc : plan->attachment->check(&d, plan, e);
}

int target_resolve(struct trial_plan *plan, struct err *e)
{
	int rc = rows_find(&plan->settings, &plan->runtime, &plan->attachment, e);

	if (rc == 0)
		rc = bypass_resolve(plan, e);
	if (rc == 0 && plan->runtime->resolve)
		rc = plan->runtime->resolve(plan, e);
	return rc < 0 || !plan->settings.device[0] ? rc : devices_check(plan, e);
}

/* A tool without a program of its server reaches everywhere; a user's command wants what it names. */
static int tool_reaches(const struct settings *s, const struct runtime_row *runtime, struct err *e)
{
	enum tool tool = tool_of(s);

	if (runtime->files == FILES_SHARED || tool == TOOL_TAUT ||
		(tool == TOOL_COMMAND ? !s->tool_server[0] : !tool_rows[tool].server) ||
		(tool != TOOL_COMMAND && runtime->files == FILES_CARRIED))
		return 0;
	err_usage(e, "cannot use tool %s with runtime %s: %s does not get into it", tool_rows[tool].name,
		runtime->name, tool == TOOL_COMMAND ? "what tool_server names" : "its program");
	return err_try(e, "runtime netns");
}

int target_check(const struct settings *s, struct err *e)
{
	const struct runtime_row *runtime = &runtime_netns;
	const struct attachment_row *attachment;

	int rc = rows_find(s, &runtime, &attachment, e);
	return rc < 0 ? rc : tool_reaches(s, runtime, e);
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
