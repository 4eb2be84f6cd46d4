/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OCI containers by runc or crun.
 *
 * Which of them works on a machine is found out by making a whole target with each, once per process: crun
 * refuses machines with v1 and v2 cgroups side by side, either may be forbidden in a user namespace, and no
 * version number tells.
 *
 * The runtime stays in the foreground as our child.  The end of the agent, PID 1 of the container, makes it
 * remove its cgroup and its state and end, which is quicker than asking it to "kill" and "delete".  Those
 * are for what goes wrong: when it has not ended in time, or was killed with us, and left its state behind.
 */
#include "oci.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define TRIAL_NS     (10 * NS_PER_S)
#define TIDY_NS      (3 * NS_PER_S)
#define DELETE_NS    (5 * NS_PER_S)
#define TERMINATE_NS (NS_PER_S)

struct oci_way {
	const char *program;
	const char *option;   /* NULL: none */
	bool without_cgroups; /* only where the target has none: without root, or where they are read-only */
};

static const struct oci_way ways[] = {
	{"runc", NULL, false},
	{"crun", NULL, false},
	{"crun", "--cgroup-manager=disabled", true},
};

/* --- which one --------------------------------------------------------------------------------- */

static bool way_there(const struct oci_way *way, bool cgroups)
{
	char path[4096];

	return !(way->without_cgroups && cgroups) && program_find(way->program, path, sizeof(path));
}

static int oci_ready(struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		if (way_there(&ways[i], false))
			return 0;
	err_set(e, ENOENT, "no runc or crun on PATH");
	return err_try(e, "apt-get install runc");
}

static int way_try(const struct oci_way *way, struct err *e)
{
	struct target *t = NULL;
	struct trial_plan plan;
	struct settings s;
	char said[320];

	settings_init(&s);
	s.target = "container";
	s.runtime = runtime_oci.name;
	s.attachment = attachment_veth.name;
	int rc = plan_make(&plan, &s, e);
	if (rc == 0)
		rc = target_resolve(&plan, e);
	if (rc < 0 || (rc = target_create(&t, &plan, e)) < 0)
		return rc;
	t->oci_way = way;
	rc = target_start(t, time_now_ns() + target_patience_ns(&plan, TRIAL_NS), e);
	const char *words =
		rc < 0 && t->server.said >= 0 ? endpoint_words(&t->server, said, sizeof(said)) : "";
	if (*words)
		err_set(e, -rc, "%s", words);
	int down = target_destroy(t, rc < 0 ? ERR_IGNORED : e);
	return rc < 0 ? rc : down;
}

void oci_version_read(const char *program, const char *said, char *out, size_t size)
{
	char number[48];

	if (sscanf(said, "%*s version %40s", number) != 1)
		str_copy(number, sizeof(number), "of unknown version");
	snprintf(out, size, "%s %s", program, str_printable(number));
}

static void version_find(const struct oci_way *way, char *out, size_t size)
{
	const char *const argv[] = {way->program, "--version", NULL};
	AUTO_FREE char *text = NULL;
	int rc = child_run(argv, false, TRIAL_NS, &text, ERR_IGNORED);

	oci_version_read(way->program, rc == 0 ? text : "", out, size);
}

struct choice {
	bool made;
	const struct oci_way *way; /* NULL: none works */
	char version[64];
	struct err why;
};

static void choice_make(struct choice *choice, bool cgroups)
{
	struct err all = ERR_INIT;

	choice->made = true;
	for (size_t i = 0; i < ARRAY_LEN(ways) && !choice->way; i++) {
		struct err e = ERR_INIT;
		if (!way_there(&ways[i], cgroups))
			continue;
		if (way_try(&ways[i], &e) == 0) {
			choice->way = &ways[i];
			version_find(&ways[i], choice->version, sizeof(choice->version));
			continue;
		}
		if (e.code == EINTR || e.code == ETIMEDOUT)
			choice->made = false; /* that says nothing about the program */
		if (e.code == EINTR) {
			all = e;
			break;
		}
		AUTO_FREE char *before = str_dup(all.text);
		err_set(&all, e.code, "%s%s%s%s%s %s: %s", before, *before ? "; " : "", ways[i].program,
			ways[i].option ? " " : "", ways[i].option ? ways[i].option : "",
			e.code == ETIMEDOUT ? "gave no answer" : "cannot run here", e.text);
	}
	if (choice->way)
		choice->made = true;
	else if (!choice->made && all.code != EINTR)
		all.code = ETIMEDOUT; /* one of them may work another time */
	choice->why = all;
}

static int way_choose(struct target *t, struct err *e)
{
	static struct choice choice;

	if (!choice.made)
		choice_make(&choice, t->groups.root[0] != 0);
	if (!choice.way)
		return err_set(e, choice.why.code ? choice.why.code : ENOENT, "%s", choice.why.text);
	t->oci_way = choice.way;
	return str_copy(t->version, sizeof(t->version), choice.version);
}

/* --- run --------------------------------------------------------------------------------------- */

static int oci_start(struct target *t, struct err *e)
{
	AUTO_FREE char *state = str_format("%s/oci", t->owner.base);
	const char *argv[16];
	size_t n = 0;
	int rc = t->oci_way ? 0 : way_choose(t, e);

	if (rc < 0 || (rc = oci_bundle_write(t, e)) < 0)
		return rc;
	argv[n++] = t->oci_way->program;
	argv[n++] = "--root";
	argv[n++] = state;
	if (t->oci_way->option)
		argv[n++] = t->oci_way->option;
	const char *const rest[] = {
		"run", "--preserve-fds", "1", "--bundle", t->owner.folder, t->owner.id, NULL};
	memcpy(&argv[n], rest, sizeof(rest));
	t->server.through = t->oci_way->program;
	return endpoint_spawn(&t->server, argv, -1, e);
}

/* Asks a runtime to forget a container; whichever made it, its own state folder goes last. */
static int forget(const char *program, const char *base, const char *id, struct err *e)
{
	AUTO_FREE char *state = str_format("%s/oci", base);
	AUTO_FREE char *folder = str_format("%s/%s", state, id);
	const char *const argv[] = {program, "--root", state, "delete", "--force", id, NULL};

	child_run(argv, true, DELETE_NS, NULL, ERR_IGNORED); /* what it leaves is seen below */
	return access(folder, F_OK) < 0 ? 0 : tree_remove(folder, e);
}

static void oci_stop(struct target *t, struct buf *problems)
{
	AUTO_FREE char *folder = str_format("%s/oci/%s", t->owner.base, t->owner.id);
	struct endpoint *ep = &t->server;
	struct err e = ERR_INIT;

	if (ep->start && child_wait(&ep->child, time_now_ns() + TIDY_NS, &ep->status, ERR_IGNORED) == 1)
		ep->ended = true;
	child_stop(&ep->child, TERMINATE_NS);
	if (t->oci_way && access(folder, F_OK) == 0 &&
		forget(t->oci_way->program, t->owner.base, t->owner.id, &e) < 0)
		buf_add(problems, "%s", e.text);
}

/* --- after a crash ----------------------------------------------------------------------------- */

static int left_each(const char *base, int (*fn)(const char *id, void *arg), void *arg)
{
	AUTO_FREE char *state = str_format("%s/oci", base);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);

	return root_exists(root, state) ? root_each(root, state, fn, arg, ERR_IGNORED) : 0;
}

/* crun keeps a file "status", runc "state.json". */
static int left_remove(const char *base, const char *id, struct err *e)
{
	AUTO_FREE char *crun = str_format("%s/oci/%s/status", base, id);

	return forget(access(crun, F_OK) == 0 ? "crun" : "runc", base, id, e);
}

static const struct undo_sweep_row oci_left = {"container", true, left_each, left_remove};

const struct runtime_row runtime_oci = {
	.name = "oci",
	.help = "an OCI container by runc or crun, whichever works here",
	.files = FILES_CARRIED,
	.targets = "container",
	.attachments = "veth|bridge|macvlan|device|vf",
	.ready = oci_ready,
	.quota = true,
	.switches = true,
	.start = oci_start,
	.again = server_renew,
	.stop = oci_stop,
	.left = &oci_left,
};
