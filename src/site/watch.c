/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A thread that has ended between the readings, as those of the ends have when their work is done, counts as
 * unchanged: the ends tell of their own threads themselves.  A link that has gone is a change.
 */
#include "watch.h"

#include "net/net.h"
#include "sys/sys.h"

#include <stdio.h>

struct watch {
	int root;
	struct subject subject;
	struct task tasks[SUBJECT_THREADS_MAX];
	bool known[SUBJECT_THREADS_MAX];
	struct net_standing links[SUBJECT_LINKS_MAX];
};

/* condition_add_link() takes what net_standing_read() has read, here and in the agent. */
_Static_assert(
	NET_TEXTS == LINK_CONDITIONS && NET_TEXT_SIZE == CONDITION_TEXT, "net and wire agree on links");

static bool thread_read(const struct watch *w, size_t i, struct task *out)
{
	const struct subject_thread *t = &w->subject.threads[i];

	return task_read(w->root, t->pid, t->tid, out, ERR_IGNORED) == 0 && out->start == t->start;
}

static void link_read(const struct watch *w, size_t i, struct net_standing *out)
{
	net_standing_read(w->subject.links[i].netns_fd, w->subject.links[i].name, out);
}

struct watch *watch_begin(int root, const struct subject *subject)
{
	struct watch *w = mem_alloc(sizeof(*w));

	w->root = root;
	w->subject = *subject;
	for (size_t i = 0; i < subject->threads_n; i++)
		w->known[i] = thread_read(w, i, &w->tasks[i]);
	for (size_t i = 0; i < subject->links_n; i++)
		link_read(w, i, &w->links[i]);
	return w;
}

static void add_thread(
	const struct task *before, const struct task *after, const char *role, struct conditions *out)
{
	const struct task *both[] = {before, after};
	char text[3][2][CPUS_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		sched_format(both[i]->policy, both[i]->priority, text[0][i], sizeof(text[0][i]));
		snprintf(text[1][i], sizeof(text[1][i]), "%d", both[i]->nice);
		cpus_format_list(&both[i]->affinity, text[2][i], sizeof(text[2][i]));
	}
	condition_add(out, CONDITION_SCHED, role, text[0][0], text[0][1]);
	condition_add(out, CONDITION_NICE, role, text[1][0], text[1][1]);
	condition_add(out, CONDITION_CPUS, role, text[2][0], text[2][1]);
}

void watch_end(struct watch *w, struct conditions *out)
{
	for (size_t i = 0; i < w->subject.threads_n; i++) {
		struct task now;
		bool there = w->known[i] && thread_read(w, i, &now);

		if (w->known[i])
			add_thread(&w->tasks[i], there ? &now : &w->tasks[i],
				role_name(w->subject.threads[i].role), out);
	}
	for (size_t i = 0; i < w->subject.links_n; i++) {
		struct net_standing now;

		link_read(w, i, &now);
		if (w->links[i].there)
			condition_add_link(
				out, w->subject.links[i].name, w->links[i].text, now.there ? now.text : NULL);
	}
	watch_free(w);
}

void watch_free(struct watch *w)
{
	free(w);
}
