/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which cgroup hierarchies this machine has, from /proc/self/mountinfo.  There are three kinds of machine: v2
 * only, v1 only, and hybrid, with v1 controllers beside a v2 hierarchy that has none.  A hybrid machine
 * counts as v1, since that is where its cpu and cpuset controllers are.
 */
#include "sys.h"

#include <stdio.h>

/* Is `word` one of the comma-separated words of `options`? */
static bool has_option(const char *options, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && !strncmp(p, word, n))
			return true;
	return false;
}

/* Reads a line "36 35 98:0 /root /mount/point options [optional…] - type source super-options". */
static void take_mount(char *line, struct cgroups *out)
{
	char mount[512], type[64], super[1024];
	char *dash = strstr(line, " - ");

	if (!dash || sscanf(line, "%*s %*s %*s %*s %511s", mount) != 1 ||
		sscanf(dash + 3, "%63s %*s %1023s", type, super) != 2 || strlen(mount) >= sizeof(out->cpu))
		return;
	if (!strcmp(type, "cgroup2")) {
		str_copy(out->unified, sizeof(out->unified), mount);
		return;
	}
	if (strcmp(type, "cgroup"))
		return;
	if (has_option(super, "cpu"))
		str_copy(out->cpu, sizeof(out->cpu), mount);
	if (has_option(super, "cpuset"))
		str_copy(out->cpuset, sizeof(out->cpuset), mount);
}

static void take_own(int root, struct cgroups *out)
{
	char text[8192];

	str_copy(out->own, sizeof(out->own), "/");
	if (root_read(root, "/proc/self/cgroup", text, sizeof(text), ERR_IGNORED) < 0)
		return;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (str_starts(line, "0::"))
			str_copy(out->own, sizeof(out->own), line + 3);
}

int cgroups_find(int root, struct cgroups *out, struct err *e)
{
	struct cgroups found = {0};
	AUTO_FREE char *text = NULL;
	int rc = root_read_all(root, "/proc/self/mountinfo", &text, NULL, e);

	if (rc < 0)
		return rc;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_mount(line, &found);
	if (found.cpu[0] || found.cpuset[0]) {
		found.version = CGROUP_V1;
		found.hybrid = found.unified[0] != 0;
	} else if (found.unified[0]) {
		found.version = CGROUP_V2;
		str_copy(found.cpu, sizeof(found.cpu), found.unified);
		str_copy(found.cpuset, sizeof(found.cpuset), found.unified);
	}
	take_own(root, &found);
	*out = found;
	return 0;
}
