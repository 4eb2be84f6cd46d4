/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The conditions of an end: how its threads are scheduled and what its sockets are set to.  They are read
 * when the engine goes, and again by each thread itself when it has done its work: a thread that has ended
 * can be asked no more, and what was done to it would go unseen.  Neither lies in the measured stretch.
 */
#include "internal.h"

#include "sys/sys.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>

void standing_read(struct standing *s, pid_t tid)
{
	struct sched_param param = {0};

	errno = 0;
	s->policy = sched_getscheduler(tid);
	s->nice = getpriority(PRIO_PROCESS, (id_t)tid);
	s->known = errno == 0 && sched_getparam(tid, &param) == 0;
	if (sched_getaffinity(tid, sizeof(s->affinity), &s->affinity) < 0)
		CPU_ZERO(&s->affinity); /* a machine with more CPUs than fit */
	s->priority = param.sched_priority;
}

void options_read(struct options *o, int fd, bool datagrams)
{
	static const struct {
		int level, name;
	} rows[OPTIONS_N] = {
		[OPTION_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
		[OPTION_BUSY_POLL] = {SOL_SOCKET, SO_BUSY_POLL},
		[OPTION_PRIORITY] = {SOL_SOCKET, SO_PRIORITY},
		[OPTION_SNDBUF] = {SOL_SOCKET, SO_SNDBUF},
		[OPTION_RCVBUF] = {SOL_SOCKET, SO_RCVBUF},
		[OPTION_DOMAIN] = {SOL_SOCKET, SO_DOMAIN},
	};

	for (size_t i = 0; i < OPTIONS_N; i++) {
		socklen_t len = sizeof(o->value[i]);

		o->known[i] = fd >= 0 && !(datagrams && rows[i].level == IPPROTO_TCP) &&
			      getsockopt(fd, rows[i].level, rows[i].name, &o->value[i], &len) == 0;
	}
	socklen_t len = sizeof(o->congestion) - 1;
	if (datagrams || fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion, &len))
		o->congestion[0] = 0;
}

void conditions_begin(struct flow *f)
{
	struct thread *threads[] = {&f->main, &f->pacer};

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		if (threads[i]->tid)
			standing_read(&threads[i]->before, threads[i]->tid);
	if (f->fd >= 0)
		options_read(&f->options_before, f->fd, f->row->datagrams);
}

/* --- what they come to ------------------------------------------------------------------------- */

void conditions_add_standing(
	const struct standing *before, const struct standing *after, struct conditions *c)
{
	const struct standing *s[] = {before, after};
	char text[3][2][CPUS_TEXT];

	if (!before->known || !after->known)
		return;
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		sched_format(s[i]->policy, s[i]->priority, text[0][i], sizeof(text[0][i]));
		snprintf(text[1][i], sizeof(text[1][i]), "%d", s[i]->nice);
		cpus_format_list(&s[i]->affinity, text[2][i], sizeof(text[2][i]));
	}
	condition_add(c, CONDITION_SCHED, "", text[0][0], text[0][1]);
	condition_add(c, CONDITION_NICE, "", text[1][0], text[1][1]);
	condition_add(c, CONDITION_CPUS, "", text[2][0], text[2][1]);
}

static void add_options(const struct flow *f, struct conditions *c)
{
	static const enum condition_kind kinds[OPTIONS_N] = {
		[OPTION_NODELAY] = CONDITION_NODELAY,
		[OPTION_BUSY_POLL] = CONDITION_BUSY_POLL,
		[OPTION_PRIORITY] = CONDITION_PRIORITY,
		[OPTION_SNDBUF] = CONDITION_SEND_BUFFER,
		[OPTION_RCVBUF] = CONDITION_RECEIVE_BUFFER,
		[OPTION_DOMAIN] = CONDITION_IP_VERSION,
	};
	const struct options *o[] = {&f->options_before, &f->options_after};
	char text[2][16];

	for (size_t k = 0; k < OPTIONS_N; k++) {
		if (!o[0]->known[k] || !o[1]->known[k])
			continue;
		for (size_t i = 0; i < ARRAY_LEN(o); i++)
			if (k == OPTION_NODELAY)
				str_copy(text[i], sizeof(text[i]), o[i]->value[k] ? "on" : "off");
			else if (k == OPTION_DOMAIN)
				str_copy(text[i], sizeof(text[i]),
					o[i]->value[k] == AF_INET6 ? "IPv6" : "IPv4");
			else
				snprintf(text[i], sizeof(text[i]), "%d", o[i]->value[k]);
		condition_add(c, kinds[k], "", text[0], text[1]);
	}
	if (o[0]->congestion[0] && o[1]->congestion[0])
		condition_add(c, CONDITION_CONGESTION, "", o[0]->congestion, o[1]->congestion);
}

/* Those that the driver needs and this process has; an end with another driver needs none for itself. */
static void add_capabilities(const struct flow *f, struct conditions *c)
{
	uint64_t needed = driver_rows[f->engine->job.driver].capabilities;
	struct buf text = {0};

	for (size_t i = 0; i < CAPABILITIES_N; i++)
		if (needed & CAPABILITY_BIT(capability_rows[i].number) &&
			has_capability(capability_rows[i].number))
			buf_add(&text, "%s%s", text.len ? " " : "", capability_rows[i].name);
	if (text.len)
		condition_add(c, CONDITION_CAPABILITIES, "", text.data, text.data);
	buf_free(&text);
}

void conditions_collect(const struct flow *f, struct conditions *c)
{
	conditions_add_standing(&f->main.before, &f->main.after, c);
	conditions_add_standing(&f->pacer.before, &f->pacer.after, c);
	if (!f->beside)
		add_options(f, c);
	add_capabilities(f, c);
}
