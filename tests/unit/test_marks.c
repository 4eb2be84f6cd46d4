/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_marks.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void names_add(struct buf *out, const char *folder, const char *prefix)
{
	DIR *dir = opendir(folder);
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (str_starts(d->d_name, prefix))
			buf_add(out, "%s/%s ", folder, d->d_name);
	if (dir)
		closedir(dir);
}

static void processes_add(struct buf *out, pid_t owner)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE struct task *tasks = NULL;
	AUTO_FREE char *mark = str_format("TAUT_MARK=%d:", owner);
	size_t n = 0;

	tasks_list(root, 0, &tasks, &n, ERR_IGNORED);
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *path = str_format("/proc/%d/environ", tasks[i].pid), *text = NULL;
		size_t len = 0;
		if (tasks[i].tid != tasks[i].pid || root_read_all(root, path, &text, &len, ERR_IGNORED) < 0)
			continue;
		if (memmem(text, len, mark, strlen(mark)))
			buf_add(out, "process %d (%s) ", tasks[i].pid, tasks[i].comm);
	}
}

void marked(pid_t owner, struct buf *out)
{
	static const char *const folders[] = {"/sys/fs/cgroup", "/run/taut/oci"};
	AUTO_FREE char *id = str_format("taut-%d-", owner), *folder = str_format("%d-", owner);
	DIR *dir = opendir("/sys/fs/cgroup");
	struct dirent *d;

	buf_add(out, "%s", "");
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		names_add(out, folders[i], id);
	names_add(out, "/run/taut", folder);
	while (dir && (d = readdir(dir))) {
		AUTO_FREE char *path = str_format("/sys/fs/cgroup/%s", d->d_name);
		if (d->d_name[0] != '.' && d->d_type == DT_DIR)
			names_add(out, path, id);
	}
	if (dir)
		closedir(dir);
	processes_add(out, owner);
}

void assert_nothing_marked(pid_t owner)
{
	AUTO(buf_free) struct buf left = {0};

	marked(owner, &left);
	assert_string_equal(left.data, "");
}

size_t fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
