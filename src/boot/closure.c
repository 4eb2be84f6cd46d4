/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The libraries that a program needs are those that the dynamic loader lists for it, without running it.  A
 * program that the loader refuses is static.  Libraries keep their paths in the image, and the loader's cache
 * is copied too, so that the same names lead to the same files there.
 */
#include "closure.h"

#include <stdio.h>
#include <sys/stat.h>

#define LOADER  "/lib64/ld-linux-x86-64.so.2"
#define LIST_NS (10 * NS_PER_S)

/* A line "	libz.so.1 => /lib/libz.so.1 (0x…)" or "	/lib64/ld-….so.2 (0x…)"; that of the vDSO has no path.
 */
static int each_line(char *line, const char *program, program_library *fn, void *arg, struct err *e)
{
	char *arrow = strstr(line, "=> "), *path = str_trim(arrow ? arrow + 3 : line);
	char *end = strstr(path, " (0x");

	if (arrow && str_starts(path, "not found"))
		return err_set(
			e, ENOENT, "cannot put %s into an image: it lacks %.80s", program, str_trim(line));
	if (!end || path[0] != '/')
		return 0;
	*end = 0;
	return fn(path, arg, e);
}

int closure_read(char *text, const char *program, program_library *fn, void *arg, struct err *e)
{
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		int rc = each_line(line, program, fn, arg, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int program_libraries_each(const char *program, program_library *fn, void *arg, struct err *e)
{
	const char *const argv[] = {LOADER, "--list", program, NULL};
	AUTO_FREE char *text = NULL;
	int rc = child_run(argv, false, LIST_NS, &text, e);

	if (rc < 0)
		return err_wrap(e, "cannot list the libraries of %s", program);
	if (rc > 0)
		return 0;
	rc = closure_read(text, program, fn, arg, e);
	return rc < 0 ? rc : fn(LOADER, arg, e);
}

static int add_library(const char *library, void *arg, struct err *e)
{
	(void)e;
	cpio_copy(arg, library, 0755, library);
	return 0;
}

int closure_add_as(struct cpio *c, const char *program, const char *path, struct err *e)
{
	cpio_copy(c, path, 0755, program);
	return program_libraries_each(program, add_library, c, e);
}

int closure_add(struct cpio *c, const char *program, struct err *e)
{
	return closure_add_as(c, program, program, e);
}

void closure_add_loader_cache(struct cpio *c)
{
	if (access(CLOSURE_LOADER_CACHE, R_OK) == 0)
		cpio_copy(c, CLOSURE_LOADER_CACHE, 0644, CLOSURE_LOADER_CACHE);
}

static int hash_file(const char *path, void *arg, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(e, "cannot look at %s", path);
	const int64_t facts[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
	hash_text(arg, path);
	hash_add(arg, facts, sizeof(facts));
	return 0;
}

int closure_hash(struct hash *h, const char *program, struct err *e)
{
	int rc = hash_file(program, h, e);

	return rc < 0 ? rc : program_libraries_each(program, hash_file, h, e);
}
