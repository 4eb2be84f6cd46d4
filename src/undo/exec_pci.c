/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The driver of a PCI function, together with driver_override, the name of the only driver that may have it.
 * The value is "DRIVER" or "DRIVER only OVERRIDE"; "none" is a function without a driver.
 *
 * The override is set first; then the present driver is taken away, and the kernel is asked to look for one.
 * So the way back, with the override that was there before, gives the function to the driver that it had.
 * A function that was unplugged has lost both, and starts anew: there is nothing to put back.
 */
#include "private.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#define ONLY     " only "
#define NONE     "none"
#define PROBE    "/sys/bus/pci/drivers_probe"
#define BIND_NS  (10 * NS_PER_S)
#define LOOK_MS  10
#define DEVICES  "/sys/bus/pci/devices"
#define BELOW(s) ((s) + 1) /* of an absolute path, for the root fd */

/* The last part of what a link in sysfs names; "" when it is not there. */
static void link_target(const struct undo_host *host, const char *path, char *out, size_t size)
{
	char target[512];
	ssize_t n = readlinkat(host->root, BELOW(path), target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = 0;
	const char *slash = strrchr(target, '/');
	str_copy(out, size, slash ? slash + 1 : target);
}

void undo_pci_driver(const struct undo_host *host, const char *pci, char *out, size_t size)
{
	AUTO_FREE char *path = str_format(DEVICES "/%s/driver", pci);

	link_target(host, path, out, size);
}

int undo_pci_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	AUTO_FREE char *folder = str_format(DEVICES "/%s", entry->object);
	AUTO_FREE char *file = str_format("%s/driver_override", folder);
	char driver[64], only[64] = "";

	if (!root_exists(host->root, folder))
		return err_set(e, ENODEV, "cannot find the PCI function %s", entry->object);
	undo_pci_driver(host, entry->object, driver, sizeof(driver));
	if (root_exists(host->root, file)) {
		int rc = root_read(host->root, file, only, sizeof(only), e);
		if (rc < 0)
			return rc;
	}
	bool none = !only[0] || !strcmp(only, "(null)");
	*out = str_format("%s%s%s", driver[0] ? driver : NONE, none ? "" : ONLY, none ? "" : only);
	return 0;
}

static int file_write(const struct undo_host *host, const char *path, const char *text, struct err *e)
{
	int rc = host->calls->write_file(host->calls_arg, host->root, path, text);

	return rc < 0 ? err_code(e, -rc, "cannot write '%s' to %s", text, path) : 0;
}

/* Until it has that driver; what it has at the deadline is read back by the caller. */
static void wait_for(const struct undo_host *host, const char *pci, const char *driver)
{
	uint64_t end = time_now_ns() + BIND_NS;
	char now[64];

	do {
		undo_pci_driver(host, pci, now, sizeof(now));
		if (!strcmp(now, driver))
			return;
		poll(NULL, 0, LOOK_MS);
	} while (time_now_ns() < end);
}

int undo_pci_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	AUTO_FREE char *override = str_format(DEVICES "/%s/driver_override", entry->object);
	AUTO_FREE char *unbind = str_format(DEVICES "/%s/driver/unbind", entry->object);
	AUTO_FREE char *driver = str_dup(value);
	char *split = strstr(driver, ONLY), now[64];
	const char *only = split ? split + strlen(ONLY) : "";

	if (split)
		*split = 0;
	undo_pci_driver(host, entry->object, now, sizeof(now));
	int rc = root_exists(host->root, override) ? file_write(host, override, only, e) : 0;
	if (rc == 0 && *now && strcmp(now, driver) != 0)
		rc = file_write(host, unbind, entry->object, e);
	if (rc < 0 || !strcmp(driver, NONE) || !strcmp(now, driver))
		return rc;
	rc = file_write(host, PROBE, entry->object, e);
	if (rc == 0)
		wait_for(host, entry->object, driver);
	return rc;
}

/* Somebody was stopped between the steps: the override is ours, or the driver is, or there is none. */
static bool is_half_way(const char *now, const char *after)
{
	size_t driver = strcspn(after, " ");
	const char *only = strstr(after, ONLY), *only_now = strstr(now, ONLY);

	return str_starts(now, NONE) ||
	       (!strncmp(now, after, driver) && (!now[driver] || now[driver] == ' ')) ||
	       (only && only_now && !strcmp(only, only_now));
}

int undo_pci_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_FREE char *now = NULL;
	int rc = undo_pci_read(host, entry, &now, e);

	if (rc == -ENODEV) {
		*e = ERR_INIT;
		undo_entry_stand(entry, UNDO_GONE, "unplugged, and with it what it was set to");
		return 0;
	}
	if (rc < 0)
		return rc;
	entry->strays |= is_half_way(now, entry->after);
	rc = undo_three_way(host, entry, e);
	free(steal_ptr(&now));
	if (rc < 0 || entry->status != UNDO_REVERTED || undo_pci_read(host, entry, &now, ERR_IGNORED) < 0 ||
		!strcmp(now, entry->before))
		return rc;
	return err_set(e, EIO, "cannot give %s back to its driver: it has '%s' now, and had '%s'",
		entry->object, now, entry->before);
}
