/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a crash starts: this program itself, which then says what it was started with. */
#include "sys/sys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif
#define STARTED_ANEW 42
#define MARK         "TAUT_TEST_MARK=kept"

static void without_memory(void)
{
	const struct rlimit none = {1 << 20, RLIM_INFINITY};

	setrlimit(RLIMIT_AS, &none);
	for (;;)
		mem_alloc(1 << 24);
}

static int deep(unsigned n)
{
	volatile char room[4096];

	room[n % sizeof(room)] = 1;
	return n ? deep(n - 1) + room[0] : 0;
}

static void without_stack(void)
{
	deep(UINT32_MAX / 2);
}

static void without_address(void)
{
	raise(SIGSEGV);
}

static int status_of(void (*crash)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit no_core = {0, 0};
		setrlimit(RLIMIT_CORE, &no_core);
		signals_take_over();
		crash_restart("crashed", MARK, open("/dev/null", O_RDONLY | O_CLOEXEC));
		crash();
		_exit(1);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void a_crash_starts_the_program_anew(void **state)
{
	(void)state;
	static void (*const crashes[])(void) = {without_memory, without_address, without_stack};

	for (size_t i = 0; i < ARRAY_LEN(crashes); i++) {
		if (SANITIZED && crashes[i] == without_memory)
			continue; /* the sanitizer takes more address space than any limit that makes sense */
		int status = status_of(crashes[i]);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != STARTED_ANEW)
			fail_msg("crash %zu: wait status %#x, wanted exit %d", i, (unsigned)status,
				STARTED_ANEW);
	}
}

static void closed_descriptors_are_opened(void **state)
{
	(void)state;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		close(0);
		close(2);
		standard_fds_open();
		int next = dup(1);
		_exit(next > 2 && isatty(0) == 0 && write(2, "x", 1) == 1 ? STARTED_ANEW : 1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), STARTED_ANEW);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_starts_the_program_anew),
		cmocka_unit_test(closed_descriptors_are_opened),
	};
	const char *mark = getenv("TAUT_TEST_MARK");

	if (argc == 4 && !strcmp(argv[1], "crashed"))
		_exit(mark && !strcmp(mark, "kept") && atoi(argv[2]) > 0 && atoi(argv[3]) > 2 &&
					fcntl(atoi(argv[3]), F_GETFD) == 0
				? STARTED_ANEW
				: 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
