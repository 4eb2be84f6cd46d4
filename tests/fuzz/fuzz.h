/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One libFuzzer target for each parser of bytes that come from outside; FUZZ names it when the file that it
 * is in is compiled.  A target only has to survive: what is wrong must be refused, and what is accepted must
 * come out the same when it is written and read again.
 */
#pragma once

#include "sys/sys.h"

#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

#define FUZZ_TARGET(name) static __attribute__((unused)) void fuzz_##name(const uint8_t *data, size_t size)

/* The bytes as a text of its own length, malloc'd. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = mem_alloc(size + 1);

	memcpy(text, data, size);
	return text;
}

/* The bytes as a file without a name, for parsers that read files; *path leads to it. */
static inline int fuzz_file(const uint8_t *data, size_t size, char path[32])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	bool whole = fd >= 0 && write(fd, data, size) == (ssize_t)size;

	assert(whole);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* A stream from which the bytes can be read, and then its end; −1 for more than it holds. */
static inline int fuzz_stream(const uint8_t *data, size_t size, int *other)
{
	int ends[2];

	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	bool whole = write(ends[1], data, size) == (ssize_t)size;
	assert(whole);
	shutdown(ends[1], SHUT_WR);
	*other = ends[1];
	return ends[0];
}

static inline char *fuzz_folder(void);

static inline void fuzz_end(void)
{
	tree_remove(fuzz_folder(), ERR_IGNORED);
}

/* A folder that goes when the program ends; $TMPDIR says where. */
static inline char *fuzz_folder(void)
{
	static char *path;

	if (!path) {
		const char *where = getenv("TMPDIR");
		path = str_format("%s/taut-fuzz-XXXXXX", where ? where : "/tmp");
		bool made = mkdtemp(path) && atexit(fuzz_end) == 0;
		assert(made);
	}
	return path;
}

#define FUZZ_MAIN                                                                                            \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);                                        \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                         \
	{                                                                                                    \
		PASTE(fuzz_, FUZZ)(data, size);                                                              \
		return 0;                                                                                    \
	}
