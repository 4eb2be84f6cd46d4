/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Under which conditions a trial was measured: what was read back of ends and links, not what was asked for;
 * and what of it did not hold.  Records of before conditions were read back have none, and say what was
 * asked.
 */
#include "figures.h"
#include "text.h"

#include <stdio.h>

/* --- what did not hold ------------------------------------------------------------------------- */

static void add_condition(const struct trial_record *r, const struct condition *c, struct buf *out)
{
	char asked[CONDITION_TEXT];
	const char *label = condition_rows[c->kind].label;

	condition_asked(&r->settings, c, asked);
	if (strcmp(c->before, c->after) != 0)
		buf_add(out, "%s: %s was %s before and %s after measuring", c->object, label, c->before,
			c->after);
	else
		buf_add(out, "%s: %s is %s, asked for %s", c->object, label, c->before, asked);
}

/* What was found otherwise when it was verified. */
static bool knob_broken(const json_t *entry)
{
	const char *status = json_string_value(json_object_get(entry, "status"));

	return status && str_in(status, "changed|gone for now");
}

static void add_knob(const json_t *entry, struct buf *out)
{
	const char *object = json_string_value(json_object_get(entry, "object"));
	const char *reason = json_string_value(json_object_get(entry, "reason"));
	const char *value = json_string_value(json_object_get(entry, "value"));

	buf_add(out, "%s was set to '%s', %s", object ? object : "an object", value ? value : "",
		reason ? reason : "and does not hold");
}

void report_unverified(const struct trial_record *r, const char *head, struct buf *out)
{
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));
	const json_t *entry;
	size_t n = 0, i;

	trial_conditions(r, all);
	for (i = 0; i < all->n; i++)
		if (!condition_holds(&r->settings, &all->at[i])) {
			buf_add(out, "%s", n++ ? "; " : head);
			add_condition(r, &all->at[i], out);
		}
	json_array_foreach (r->knobs, i, entry)
		if (knob_broken(entry)) {
			buf_add(out, "%s", n++ ? "; " : head);
			add_knob(entry, out);
		}
	for (i = 0; i < r->ends_n && all->n; i++)
		if (!conditions_find(&r->ends[i].record.conditions, CONDITION_SCHED, ""))
			buf_add(out, "%s%s does not say how it was scheduled", n++ ? "; " : head,
				role_name(r->ends[i].role));
}

json_t *report_conditions_json(const struct trial_record *r)
{
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));
	json_t *list = json_array();
	char asked[CONDITION_TEXT];

	trial_conditions(r, all);
	for (size_t i = 0; i < all->n; i++) {
		const struct condition *c = &all->at[i];
		json_t *one = json_object();

		condition_asked(&r->settings, c, asked);
		json_object_set_new(one, "object", report_text(c->object));
		json_object_set_new(one, "what", json_string(condition_rows[c->kind].name));
		json_object_set_new(one, "asked", asked[0] ? report_text(asked) : json_null());
		json_object_set_new(one, "before", report_text(c->before));
		json_object_set_new(one, "after", report_text(c->after));
		json_object_set_new(one, "holds", json_boolean(condition_holds(&r->settings, c)));
		json_array_append_new(list, one);
	}
	return list;
}

/* --- as they were ------------------------------------------------------------------------------ */

/* "other", "other, then fifo:10" */
static void add_value(const struct condition *c, struct buf *line)
{
	const char *const both[] = {c->before, c->after};
	bool changes = strcmp(c->before, c->after) != 0;

	for (size_t i = 0; i < (changes ? ARRAY_LEN(both) : 1); i++)
		buf_add(line, "%s%s", i ? ", then " : "", both[i]);
}

static void add_end(
	const struct trial_record *r, const struct conditions *all, enum role role, struct buf *line)
{
	const char *name = role_name(role);
	const struct condition *cpus = conditions_find(all, CONDITION_CPUS, name),
			       *sched = conditions_find(all, CONDITION_SCHED, name),
			       *nice = conditions_find(all, CONDITION_NICE, name);

	buf_add(line, ", %s", name);
	if (cpus) {
		buf_add(line, strpbrk(cpus->before, "-,") ? " on any CPU of " : " on CPU ");
		add_value(cpus, line);
		if (role == ROLE_SERVER && target_of(&r->settings)->machine)
			buf_add(line, " of its machine");
	}
	if (sched) {
		buf_add(line, ", sched ");
		add_value(sched, line);
	}
	if (nice && (strcmp(nice->before, "0") != 0 || strcmp(nice->after, "0") != 0)) {
		buf_add(line, ", nice ");
		add_value(nice, line);
	}
}

/* Of a record that does not know what was. */
static void add_asked(const struct settings *s, struct buf *line)
{
	const struct {
		const char *name;
		int64_t cpu;
	} ends[] = {{"client", s->client_cpu}, {"server", s->server_cpu}};
	const struct profile_row *profile = profile_of(s);

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (ends[i].cpu >= 0)
			buf_add(line, ", %s on CPU %lld", ends[i].name, (long long)ends[i].cpu);
		else
			buf_add(line, ", %s %s", ends[i].name,
				profile->isolates ? "left to the profile" : "not pinned");
	buf_add(line, ", sched %s (as asked for)",
		*s->sched           ? s->sched
		: profile->realtime ? "left to the profile"
				    : "other");
}

static void add_sockets(const struct trial_record *r, const struct conditions *all, struct buf *line)
{
	static const enum condition_kind shown[] = {CONDITION_SEND_BUFFER, CONDITION_RECEIVE_BUFFER};
	const struct condition *nodelay = conditions_find(all, CONDITION_NODELAY, role_name(ROLE_CLIENT));
	const struct workload_row *w = workload_find(r->settings.workload);

	if (w && !w->datagrams) {
		buf_add(line, ", NODELAY ");
		if (nodelay)
			add_value(nodelay, line);
		else
			buf_add(line, "%s", r->settings.nodelay ? "on" : "off");
	}
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		const struct condition *c = conditions_find(all, shown[i], role_name(ROLE_CLIENT));

		if (c)
			buf_add(line, ", %s %s", condition_rows[shown[i]].label, c->before);
	}
	if (trial_measured(r)->congestion[0])
		buf_add(line, ", %s", trial_measured(r)->congestion);
	if (r->ends[END_CLIENT].record.busy_poll_us)
		buf_add(line, ", busy poll %llu µs",
			(unsigned long long)r->ends[END_CLIENT].record.busy_poll_us);
}

/* Those of all links on one side, the host's or the guest's, each value once; false: there are none. */
static bool add_links_of(const struct conditions *all, bool guest, const char *head, struct buf *line)
{
	bool any = false;

	for (int kind = CONDITION_MTU; kind <= CONDITION_QUEUES; kind++) {
		struct condition one = {0};

		for (size_t i = 0; i < all->n; i++)
			if ((int)all->at[i].kind == kind && condition_in_guest(&all->at[i]) == guest) {
				condition_value(one.before, all->at[i].before);
				condition_value(one.after, all->at[i].after);
			}
		if (one.before[0]) {
			buf_add(line, "%s%s ", any ? ", " : head, condition_rows[kind].label);
			add_value(&one, line);
			any = true;
		}
	}
	return any;
}

static void add_links(const struct trial_record *r, const struct conditions *all, struct buf *line)
{
	bool outside = add_links_of(all, false, ", ", line);
	bool inside = add_links_of(all, true, ", in the guest ", line);

	if (!outside && !inside && r->mtu)
		buf_add(line, ", MTU %llu", (unsigned long long)r->mtu);
}

/* What moves the packets of each end, where that is not sockets; false: both are sockets. */
static bool add_drivers(const struct trial_record *r, struct buf *line)
{
	bool any = false;

	for (size_t i = 0; i < r->ends_n; i++) {
		const struct trial_end *end = &r->ends[i];

		if (end->driver == DRIVER_SOCKET)
			continue;
		any = true;
		buf_add(line, ", %s by driver %s", role_name(end->role), driver_name(end->driver));
		if (end->record.driver_mode[0])
			buf_add(line, " (%s)", end->record.driver_mode);
	}
	return any;
}

static void pattern(const struct trial_record *r, const struct conditions *all, struct buf *line)
{
	const struct settings *s = &r->settings;
	const struct workload_row *w = workload_find(s->workload);
	bool stream = w && w->stream;
	char a[32], b[32];

	if (w && w->message)
		buf_add(line, "%s of %s", w->message, text_bytes(s->size_bytes, a, sizeof(a)));
	else
		buf_add(line, "request %s, reply %s", text_bytes(s->request_bytes, a, sizeof(a)),
			text_bytes(s->reply_bytes, b, sizeof(b)));
	buf_add(line, ", %llu flow%s", (unsigned long long)s->flows, s->flows == 1 ? "" : "s");
	if (!stream && s->burst > 1)
		buf_add(line, ", %llu in flight on each", (unsigned long long)s->burst);
	if (s->ipv6)
		buf_add(line, ", over IPv6");
	add_sockets(r, all, line);
	add_links(r, all, line);
	if (!add_drivers(r, line) && w && w->calls)
		buf_add(line, ", %s", w->calls);
}

static void placement(const struct trial_record *r, const struct conditions *all, struct buf *line)
{
	buf_add(line, "profile %s", r->settings.profile);
	for (size_t i = 0; i < r->ends_n && all->n; i++)
		add_end(r, all, r->ends[i].role, line);
	if (!all->n)
		add_asked(&r->settings, line);
	buf_add(line, ", timer slack %llu ns, clock %s",
		(unsigned long long)r->ends[END_CLIENT].record.timer_slack_ns, r->settings.clock);
}

void report_trial_conditions(const struct trial_record *r, struct buf *out)
{
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));
	struct report_knobs knobs;
	struct buf line = {0};

	trial_conditions(r, all);
	pattern(r, all, &line);
	text_wrap(out, "  pattern   ", line.data);
	line.len = 0;
	placement(r, all, &line);
	text_wrap(out, "  placement ", line.data);
	line.len = 0;
	report_knobs_count(&knobs, r->knobs);
	if (knobs.effective || knobs.unchanged || profile_of(&r->settings)->writes) {
		report_knobs_text(&knobs, &line);
		text_wrap(out, "  tuning    ", line.data);
	}
	buf_free(&line);
}
