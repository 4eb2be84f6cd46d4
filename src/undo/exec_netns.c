/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that belong to a network namespace: /proc/sys/net follows the namespace of whoever opens it, and
 * /sys/class/net that of whoever mounted the sysfs.  So the calling thread enters the namespace, mounts a
 * sysfs that is attached nowhere, and leaves again.
 *
 * The namespace dies with its last holder, and its settings with it: after a crash there is nothing to undo.
 */
#include "private.h"

#include <sys/mount.h>

static int sysfs_open(struct err *e)
{
	AUTO_CLOSE int fs = fsopen("sysfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, "cannot mount a sysfs for the namespace");
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd >= 0 ? fd : err_sys(e, "cannot mount a sysfs for the namespace");
}

/* Does `fn` inside; *path is as seen from the root fd that it gets. */
static int inside(const struct undo_host *host, const struct undo_entry *entry, const char *value, char **out,
	struct err *e)
{
	const char *path = entry->object;
	AUTO_CLOSE int sysfs = -1;
	int root = host->root, saved, rc = 0;

	saved = netns_enter(entry->netns_fd, e);
	if (saved < 0)
		return saved;
	if (str_starts(path, "/sys/")) {
		rc = root = sysfs = sysfs_open(e);
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
	if (entry->netns_fd < 0) {
		undo_entry_stand(entry, UNDO_GONE, "with its namespace");
		return 0;
	}
	return undo_three_way(host, entry, e);
}
