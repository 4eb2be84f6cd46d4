/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The folder of a user who is not root, for what lasts until the next boot at most: $XDG_RUNTIME_DIR/taut, or
 * one in /tmp.  There everybody can make a folder of any name, and in a user namespace a user does not know
 * the number that the machine knows him by.  So a folder in /tmp is known by its owner and mode, which nobody
 * can forge, and not by its name: the first "taut-NUMBER" or "taut-NUMBER-XXXXXX" that belongs to this user
 * is his, and where a stranger has taken the name, another one is made.
 */
#include "sys.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>

#define SHARED "/tmp"
#define RANDOM "-XXXXXX"

static bool is_ours(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* Our user as the namespace above knows it. */
static unsigned outer_uid(void)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	unsigned uid = geteuid(), inside, outside, count;
	char text[4096];

	if (root_read(root, "/proc/self/uid_map", text, sizeof(text), ERR_IGNORED) < 0)
		return uid;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && uid - inside < count)
			return outside + (uid - inside);
	return uid;
}

struct search {
	char *out;
	size_t size;
};

static int look(const char *name, void *arg)
{
	const struct search *search = arg;
	const char *end = name + strlen("taut-");
	char path[64];

	if (!str_starts(name, "taut-") || !isdigit((unsigned char)*end))
		return 0;
	end += strspn(end, "0123456789");
	if (*end && (*end != '-' || strlen(end) != strlen(RANDOM)))
		return 0;
	snprintf(path, sizeof(path), SHARED "/%s", name);
	return is_ours(path) && str_copy(search->out, search->size, path) == 0;
}

/* 1: it is there; 0: it can be made, by mkdtemp() where the name is a template. */
static int find(char *out, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct search search = {out, size};
	struct stat st;

	if (runtime && runtime[0] == '/' && strlen(runtime) < size - strlen("/taut") &&
		access(runtime, W_OK) == 0) {
		snprintf(out, size, "%s/taut", runtime);
		if (is_ours(out) || lstat(out, &st) < 0)
			return is_ours(out);
	}
	snprintf(out, size, SHARED "/taut-%u", outer_uid());
	if (is_ours(out) || root_each(root, SHARED, look, &search, ERR_IGNORED) > 0)
		return 1;
	if (lstat(out, &st) == 0) /* a stranger's */
		snprintf(out, size, SHARED "/taut-%u" RANDOM, outer_uid());
	return 0;
}

void user_folder(char *out, size_t size)
{
	find(out, size);
}

int user_folder_make(char *out, size_t size, struct err *e)
{
	if (find(out, size))
		return 0;
	if (str_ends(out, RANDOM))
		return mkdtemp(out) ? 0 : err_sys(e, "cannot make folder %s", out);
	if (dir_make(out, 0700, e) < 0)
		return -e->code;
	if (!is_ours(out))
		return err_refused(e, "cannot use %s: it is not a folder that only we can use", out);
	return 0;
}
