/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that belong to a network namespace: /proc/sys/net follows the namespace of whoever opens it, and
 * /sys/class/net that of whoever mounted the sysfs.  So the calling thread enters the namespace, mounts a
 * sysfs that is attached nowhere, and leaves again.
 *
 * The namespace dies with its last holder, and its settings with it: after a crash there is nothing to undo,
 * unless a file holds it (row netns-hold), since a borrowed device is in it.  `detail` is the path of that
 * file then.  The device goes home after this, for its loan is older.
 */
#include "private.h"

/* Does `fn` inside; *path is as seen from the root fd that it gets. */
static int inside(const struct undo_host *host, const struct undo_entry *entry, const char *value, char **out,
	struct err *e)
{
	const char *path = entry->object;
	AUTO_CLOSE int sysfs = -1;
	int root = host->root, saved, rc = 0;

	AUTO_CLOSE int held = entry->netns_fd < 0 && entry->detail ? undo_netns_held(entry->detail) : -1;

	saved = netns_enter(entry->netns_fd < 0 ? held : entry->netns_fd, e);
	if (saved < 0)
		return saved;
	if (str_starts(path, "/sys/")) {
		rc = root = sysfs = netns_sysfs(e);
		path += strlen("/sys");
	}
	if (rc >= 0 && value) {
		rc = host->calls->write_file(host->calls_arg, root, path, value);
		if (rc < 0)
			err_code(e, -rc, "cannot write '%s' to %s", value, entry->object);
	} else if (rc >= 0) {
		char text[4096];
		rc = root_read(root, path, text, sizeof(text), e);
		if (rc >= 0 && out)
			*out = str_dup(text);
	}
	netns_leave(&saved);
	return rc < 0 ? rc : 0;
}

int undo_netns_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	return inside(host, entry, NULL, out, e);
}

int undo_netns_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	return inside(host, entry, value, NULL, e);
}

int undo_netns_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_CLOSE int held = entry->detail ? undo_netns_held(entry->detail) : -1;

	if (entry->netns_fd < 0 && held < 0) {
		undo_entry_stand(entry, UNDO_GONE, "with its namespace");
		return 0;
	}
	return undo_three_way(host, entry, e);
}
