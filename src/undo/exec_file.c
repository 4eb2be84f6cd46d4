/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files of procfs, sysfs, cgroupfs and debugfs, and what their texts mean.
 *
 * A file rarely reads back as it was written: selectors show every choice and mark one, masks grow commas and
 * leading zeroes, lists are merged. So values are kept as the kernel wants them written, and compared by
 * meaning.
 */
#include "private.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>

/* "always [madvise] never" → "madvise", "none (voluntary) full" → "voluntary"; text without a mark stays. */
static void keep_marked(char *text)
{
	char *open = strpbrk(text, "[("), *close = open ? strpbrk(open, "])") : NULL;

	if (!close)
		return;
	size_t len = (size_t)(close - open - 1);
	memmove(text, open + 1, len);
	text[len] = 0;
}

int undo_file_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e)
{
	const char *path = entry->object;
	int root = undo_root_of(host, &path);
	AUTO_FREE char *asked = str_format("%s_requested", path);
	char text[4096];
	/* While a partition isolates CPUs, the mask of workqueues shows the rest of what was asked for; what
	 * somebody has asked for since is seen beside it, in newer kernels. */
	bool beside = str_ends(path, "/workqueue/cpumask") && root_exists(root, asked);
	int rc = root_read(root, beside ? asked : path, text, sizeof(text), e);

	if (rc < 0)
		return rc;
	if (entry->row->format == FORMAT_SELECTOR)
		keep_marked(text);
	*out = str_dup(text);
	return 0;
}

#define SETTLE_NS (500 * NS_PER_MS)

/*
 * A cgroup that has been removed, or a realtime task that has been killed, counts against the budget of the
 * cgroup above until the kernel has freed it: EINVAL and EBUSY of a budget pass.
 */
static bool passes(const char *path, int rc)
{
	return (rc == -EINVAL || rc == -EBUSY) && strstr(path, "/cpu.rt_runtime_us");
}

int undo_file_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e)
{
	const char *path = entry->object;
	int root = undo_root_of(host, &path);
	int rc = host->calls->write_file(host->calls_arg, root, path, value);

	for (uint64_t end = time_now_ns() + SETTLE_NS; passes(path, rc) && time_now_ns() < end;) {
		poll(NULL, 0, 2);
		rc = host->calls->write_file(host->calls_arg, root, path, value);
	}
	return rc < 0 ? err_code(e, -rc, "cannot write '%s' to %s", value, entry->object) : 0;
}

/*
 * A pool that the kernel may fill only in part.  After a crash nobody knows how much of it was granted, so
 * whatever lies between the two values counts as ours; in the process that saw it granted it does not.
 */
int undo_pool_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	AUTO_FREE char *now = NULL;
	uint64_t have, before, after;

	if (entry->status == UNDO_JOURNALLED && undo_file_read(host, entry, &now, ERR_IGNORED) == 0 &&
		str_u64(now, &have) == 0 && str_u64(entry->before, &before) == 0 &&
		str_u64(entry->after, &after) == 0 && have > before && have < after)
		entry->strays = true;
	return undo_three_way(host, entry, e);
}

/* A run of white space is as good as one (tcp_rmem has tabs), and at the end it does not count. */
static bool same_text(const char *a, const char *b)
{
	for (;;) {
		while (isspace((unsigned char)*a) && (!a[1] || isspace((unsigned char)a[1])))
			a++;
		while (isspace((unsigned char)*b) && (!b[1] || isspace((unsigned char)b[1])))
			b++;
		bool blank = isspace((unsigned char)*a) && isspace((unsigned char)*b);
		if (!blank && *a != *b)
			return false;
		if (!*a)
			return true;
		a++;
		b++;
	}
}

bool undo_same(enum undo_format format, const char *a, const char *b)
{
	int (*parse)(const char *, cpus *) = format == FORMAT_MASK ? cpus_parse_mask : cpus_parse_list;
	uint64_t have, want;
	cpus x, y;

	switch (format) {
	case FORMAT_MASK:
	case FORMAT_LIST: /* a text that is no set, such as "(null)", is compared as text */
		if (parse(a, &x) == 0 && parse(b, &y) == 0)
			return CPU_EQUAL(&x, &y);
		break;
	case FORMAT_ATLEAST:
		if (str_u64(a, &have) == 0 && str_u64(b, &want) == 0)
			return have >= want;
		break;
	case FORMAT_TEXT:
	case FORMAT_SELECTOR:
		break;
	}
	return same_text(a, b);
}
