/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Noise runs in a session of its own, as ordinary work of the machine: no cgroup, no pinning, so that what
 * tuning does to other people's tasks it does to the noise as well.  Two workers a CPU, because one a CPU
 * leaves some trials undisturbed by luck of placement.
 */
#include "noise.h"

#include "testbed/testbed.h"

#include <stdio.h>

static const struct row {
	const char *name, *program;
	const char *const *argv; /* "%d": twice the number of CPUs */
} rows[] = {
	[NOISE_KIND_CPU] = {"cpu", "stress-ng",
		(const char *const[]){"stress-ng", "--quiet", "--cpu", "%d", "--temp-path", "/tmp", NULL}},
};

bool noise_possible(enum noise_kind kind, char *reason, size_t size)
{
	const struct row *row = &rows[kind];
	char path[4096];

	if (kind == NOISE_KIND_NONE || program_find(row->program, path, sizeof(path)))
		return true;
	snprintf(reason, size, "noise %s needs %s, which is not on PATH (try: apt-get install %s)", row->name,
		row->program, row->program);
	return false;
}

void noise_stop(struct noise *noise)
{
	child_stop(&noise->child, 2 * NS_PER_S);
	noise->kind = NOISE_KIND_NONE;
}

int noise_ensure(struct noise *noise, enum noise_kind kind, struct err *e)
{
	const char *argv[16], *environment[] = {undo_mark(), NULL};
	const struct row *row = &rows[kind];
	char count[16], reason[256];
	size_t n = 0;

	if (kind && noise->kind == kind && child_wait(&noise->child, 0, NULL, ERR_IGNORED) == 0)
		return 0;
	noise_stop(noise);
	if (kind == NOISE_KIND_NONE)
		return 0;
	if (!noise_possible(kind, reason, sizeof(reason)))
		return err_set(e, ENOENT, "cannot make noise: %s", reason);
	snprintf(count, sizeof(count), "%ld", 2 * sysconf(_SC_NPROCESSORS_ONLN));
	for (; row->argv[n]; n++)
		argv[n] = strcmp(row->argv[n], "%d") ? row->argv[n] : count;
	argv[n] = NULL;
	struct spawn spawn = SPAWN_INIT;
	spawn.argv = argv;
	spawn.setenv = environment;
	spawn.new_group = true;
	int rc = child_spawn(&noise->child, &spawn, e);
	if (rc < 0)
		return err_wrap(e, "cannot make noise");
	noise->kind = kind;
	return 0;
}
