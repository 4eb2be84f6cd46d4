/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one line of progress on a terminal: what goes on, how far it is, how much time is left.
 *
 * taut waits in many places, and none of them should have to know of the line.  So a child of its own, the
 * painter, writes it anew each second until another stage begins.  It is no thread, since a process with
 * threads cannot enter user namespaces.  Both share a page of memory; whoever holds its lock may write to the
 * terminal, so a message and the line never mix.  The painter has no file but stderr and a pipe, whose other
 * end taut loses when it ends or crashes, and is there only if stderr is a terminal.
 */
#include "cli.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

struct page {
	pthread_mutex_t lock;
	bool active, shown;
	char head[256], tail[256], doing[64];
	uint64_t begun_ns, after_ns; /* after_ns: what ends earlier is not shown */
	uint64_t left_ns;            /* when it began; 0: not known */
	bool timed;
};

static struct page *page; /* NULL: no line */
static pid_t painter;
static int painter_alive = -1;

/* Who held it may have been killed. */
static void page_lock(void)
{
	if (pthread_mutex_lock(&page->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&page->lock);
}

static void page_unlock(void)
{
	pthread_mutex_unlock(&page->lock);
}

static void wipe(void)
{
	if (page->shown)
		dprintf(STDERR_FILENO, "\r\033[K");
	page->shown = false;
}

/* A line that is longer than the terminal is wide could not be taken back: its end is left out. */
static void draw(void)
{
	uint64_t spent_ns = time_now_ns() - page->begun_ns;
	AUTO(buf_free) struct buf line = {0};
	char time[48];

	if (!page->active || spent_ns < page->after_ns)
		return;
	buf_add(&line, "%s", page->head);
	if (page->timed && page->left_ns > spent_ns + NS_PER_S / 2)
		buf_add(&line, ", about %s left", say_left(page->left_ns - spent_ns, time, sizeof(time)));
	else if (page->timed && spent_ns >= NS_PER_S)
		buf_add(&line, ", %s so far", say_left(spent_ns, time, sizeof(time)));
	if (*page->tail)
		buf_add(&line, ": %s", page->tail);
	if (*page->doing)
		buf_add(&line, " (%s)", page->doing);
	dprintf(STDERR_FILENO, "\r\033[K%.*s", say_fitting(line.data, say_columns_stderr()), line.data);
	page->shown = true;
}

static _Noreturn void paint(int alive)
{
	struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};

	signals_reset();
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	dup2(alive, STDIN_FILENO);
	close(STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	while (poll(&end, 1, 1000) == 0) {
		page_lock();
		if (page->active && page->timed)
			draw();
		page_unlock();
	}
	_exit(0);
}

static bool painter_start(void)
{
	pthread_mutexattr_t kind;
	int alive[2];

	if (page || !say_terminal(STDERR_FILENO))
		return page != NULL;
	void *made = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return false;
	page = made;
	pthread_mutexattr_init(&kind);
	pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&page->lock, &kind);
	if (pipe2(alive, O_CLOEXEC) < 0)
		return true; /* without a painter each stage is written once */
	painter = fork();
	if (painter == 0)
		paint(alive[0]);
	close(alive[0]);
	painter_alive = alive[1];
	return true;
}

static void stage(const struct progress *p)
{
	AUTO_FREE char *head = str_printable(str_dup(p->head));
	AUTO_FREE char *tail = str_printable(str_dup(p->tail ? p->tail : ""));

	page_lock();
	wipe();
	snprintf(page->head, sizeof(page->head), "%s", head);
	snprintf(page->tail, sizeof(page->tail), "%s", tail);
	page->doing[0] = 0;
	page->begun_ns = time_now_ns();
	page->after_ns = p->late ? 2 * NS_PER_S : 0;
	page->left_ns = p->left_ns;
	page->timed = !p->untimed;
	page->active = true;
	draw();
	page_unlock();
}

void progress_stage(const struct progress *p)
{
	if (painter_start())
		stage(p);
}

void progress_line(const char *text)
{
	if (text) {
		const struct progress p = {.head = text, .untimed = true};
		progress_stage(&p);
		return;
	}
	if (!page)
		return;
	page_lock();
	wipe();
	page->active = false;
	page_unlock();
}

void progress_doing(const char *word)
{
	if (!page)
		return;
	page_lock();
	snprintf(page->doing, sizeof(page->doing), "%s", word ? word : "");
	draw();
	page_unlock();
}

void progress_hide(void)
{
	if (!page)
		return;
	page_lock();
	wipe();
}

void progress_show(void)
{
	if (page)
		page_unlock();
}

void progress_end(void)
{
	progress_line(NULL);
	if (painter > 0) {
		kill(painter, SIGKILL);
		waitpid(painter, NULL, 0);
		close(painter_alive);
	}
	painter = 0;
}
