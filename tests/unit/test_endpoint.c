/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long an endpoint in a machine is waited for.  The machine is made up here: it is a child that sleeps,
 * and until when its boot may last is what a test says.
 */
#include "boot/boot.h"
#include "testbed/private.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SOON_NS (NS_PER_S / 20)
#define LATE_NS (5 * NS_PER_S)

struct machine {
	struct child child;
	uint64_t boot_deadline_ns;
};

/* --- the machine ------------------------------------------------------------------------------- */

/* The linker gives the endpoint these (tests/meson.build). */
__typeof__(machine_pid) __wrap_machine_pid;
__typeof__(machine_pidfd) __wrap_machine_pidfd;
__typeof__(machine_boot_deadline_ns) __wrap_machine_boot_deadline_ns;
__typeof__(machine_heard_ns) __wrap_machine_heard_ns;
__typeof__(machine_started_ns) __wrap_machine_started_ns;
__typeof__(machine_ended) __wrap_machine_ended;

pid_t __wrap_machine_pid(const struct machine *m)
{
	return m->child.pid;
}

int __wrap_machine_pidfd(const struct machine *m)
{
	return m->child.pidfd;
}

uint64_t __wrap_machine_boot_deadline_ns(struct machine *m, uint64_t silent_ns)
{
	(void)silent_ns;
	return m->boot_deadline_ns;
}

uint64_t __wrap_machine_heard_ns(const struct machine *m)
{
	(void)m;
	return time_now_ns();
}

uint64_t __wrap_machine_started_ns(const struct machine *m)
{
	(void)m;
	return time_now_ns();
}

bool __wrap_machine_ended(struct machine *m, bool closing, char *out, size_t size)
{
	(void)m;
	(void)closing;
	str_copy(out, size, "");
	return false;
}

/* --- what it says ------------------------------------------------------------------------------ */

struct saying {
	struct endpoint *ep;
	const char *text; /* "": it closes its end of the stream */
	uint64_t after_ns;
};

static void *say(void *arg)
{
	const struct saying *s = arg;

	poll(NULL, 0, (int)(s->after_ns / NS_PER_MS));
	if (*s->text)
		assert(write(s->ep->theirs, s->text, strlen(s->text)) > 0);
	else
		shutdown(s->ep->theirs, SHUT_RDWR);
	return NULL;
}

/* Waits for the endpoint, which says that after a while; 0, or the code of the error. */
static int wait_for(struct endpoint *ep, const char *text, uint64_t after_ns, uint64_t patience_ns)
{
	struct saying saying = {ep, text, after_ns};
	struct err e = ERR_INIT;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, say, &saying), 0);
	int rc = endpoint_wait(ep, time_now_ns() + patience_ns, &e);
	pthread_join(thread, NULL);
	print_message("# %s\n", rc < 0 ? e.text : "it has said HELLO");
	return -rc;
}

static void hear(struct endpoint *ep)
{
	char said[8];

	assert_int_equal(read(ep->control, said, sizeof(said)), 1);
}

static void only_a_boot_is_held_against_the_boots_deadline(void **state)
{
	static const char *const argv[] = {"/bin/sleep", "60", NULL};
	struct endpoint ep = {.name = "taut-server",
		.child = CHILD_NONE,
		.control = -1,
		.theirs = -1,
		.said = -1,
		.netns = -1};
	struct machine m = {.child = CHILD_NONE};
	struct spawn spawn = SPAWN_INIT;
	struct err e = ERR_INIT;

	(void)state;
	spawn.argv = argv;
	assert_int_equal(child_spawn(&m.child, &spawn, &e), 0);
	assert_int_equal(endpoint_open(&ep, &e), 0);
	ep.machine = &m;
	/* It boots: its own deadline counts, be it later or earlier than ours. */
	assert_int_equal(wait_for(&ep, "x", 4 * SOON_NS, LATE_NS), ETIMEDOUT);
	hear(&ep);
	m.boot_deadline_ns = time_now_ns() + LATE_NS;
	assert_int_equal(wait_for(&ep, "x", 4 * SOON_NS, SOON_NS), 0);
	hear(&ep);
	/* It runs: for what takes the place of the endpoint only our deadline does. */
	m.boot_deadline_ns = 0;
	assert_int_equal(wait_for(&ep, "x", SOON_NS, LATE_NS), 0);
	hear(&ep);
	m.boot_deadline_ns = time_now_ns() + LATE_NS;
	assert_int_equal(wait_for(&ep, "", NS_PER_S, SOON_NS), ETIMEDOUT);
	ep.machine = NULL;
	endpoint_close(&ep);
	child_end(&m.child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_boot_is_held_against_the_boots_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
