/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the drivers of tools share: arguments, and reading what a program has printed. */
#include "tool.h"

#include <stdarg.h>
#include <stdio.h>

#define STARTS_NS (10 * NS_PER_MS) /* by which clocks and ends of programs may differ */

static const struct tool_driver *const drivers[TOOLS_N] = {[TOOL_NETPERF] = &tool_netperf,
	[TOOL_IPERF3] = &tool_iperf3,
	[TOOL_SOCKPERF] = &tool_sockperf,
	[TOOL_PING] = &tool_ping,
	[TOOL_COMMAND] = &tool_command};

const struct tool_driver *tool_driver_of(enum tool tool)
{
	return drivers[tool];
}

/* --- arguments --------------------------------------------------------------------------------- */

static void arg_add(struct tool_args *a, const char *format, va_list args)
{
	size_t room = sizeof(a->text) - a->used;
	int n = vsnprintf(a->text + a->used, room, format, args);

	if (n < 0 || (size_t)n >= room || a->n == TOOL_ARGS_MAX)
		return;
	a->argv[a->n++] = a->text + a->used;
	a->argv[a->n] = NULL;
	a->used += (size_t)n + 1;
}

void tool_arg(struct tool_args *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	arg_add(a, format, args);
	va_end(args);
}

void tool_option(struct tool_args *a, const char *option, const char *format, ...)
{
	va_list args;

	tool_arg(a, "%s", option);
	va_start(args, format);
	arg_add(a, format, args);
	va_end(args);
}

unsigned long long tool_seconds(const struct endpoint_job *job, uint64_t more_ns)
{
	return (job->warmup_ns + job->duration_ns + more_ns + NS_PER_S - 1) / NS_PER_S;
}

/* --- observations ------------------------------------------------------------------------------ */

bool tool_observe(struct tool_reading *r, uint64_t sent_ns, uint64_t replied_ns)
{
	if (!r->from_ns) {
		/* A number of transactions is all that a tool exchanges, so that nothing is cut off. */
		r->from_ns = sent_ns + (r->job->transactions ? 0 : r->job->warmup_ns);
		r->until_ns = r->job->transactions ? UINT64_MAX : r->from_ns + r->job->duration_ns;
		recorder_start(r->recorder, r->from_ns);
	}
	if (sent_ns < r->from_ns || sent_ns >= r->until_ns)
		return false;
	recorder_add(r->recorder, sent_ns, sent_ns, MAX(replied_ns, sent_ns));
	r->last_ns = MAX(r->last_ns, replied_ns);
	r->observed++;
	return true;
}

void tool_observed(struct tool_reading *r)
{
	struct endpoint_record *record = r->record;
	struct series series;

	series_init(&series);
	series_add(&series, r->recorder);
	series_out(&series, record);
	series_free(&series);
	recorder_merge(r->recorder, record);
	record->worst_n = r->unplaced ? 0 : record->worst_n;
	record->has_service = true;
	record->transactions = r->observed;
	record->started_ns = r->from_ns;
	/* What came last may have been sent within the stretch, and come after it. */
	record->ended_ns = MAX(r->last_ns, r->from_ns);
}

int tool_stretch(struct tool_reading *r, uint64_t stretch_ns, uint64_t before_end_ns, struct err *e)
{
	uint64_t run_ns = r->ended_ns - MIN(r->started_ns, r->ended_ns);
	uint64_t end_ns = r->ended_ns - MIN(before_end_ns, run_ns),
		 room_ns = end_ns - MIN(r->started_ns, end_ns);
	char says[32], ran[32];

	if (stretch_ns > room_ns + room_ns / 64 + STARTS_NS)
		return err_set(e, EPROTO, "it says that it measured for %s, and ran for %s",
			time_format_ns((double)stretch_ns, says, sizeof(says)),
			time_format_ns((double)room_ns, ran, sizeof(ran)));
	r->record->ended_ns = end_ns;
	r->record->started_ns = end_ns - MIN(stretch_ns, room_ns);
	return 0;
}

/* --- text -------------------------------------------------------------------------------------- */

int tool_decimal(const char *text, uint64_t unit_ns, uint64_t *ns, const char **end)
{
	uint64_t whole = 0, part = 0, scale = unit_ns;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(whole, 10u, &whole) ||
			__builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -EINVAL;
	if (p == text)
		return -EINVAL;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++) {
			scale /= 10;
			part += scale * (uint64_t)(*p - '0');
		}
	if (__builtin_mul_overflow(whole, unit_ns, &whole) || whole > INT64_MAX - part)
		return -EINVAL;
	*ns = whole + part;
	*end = p;
	return 0;
}

json_t *tool_json(const char *text, size_t len, struct err *e)
{
	json_error_t why;

	if (frame_check(text, len, e) < 0)
		return NULL;
	json_t *object = json_loadb(text, len, 0, &why);
	if (json_is_object(object))
		return object;
	json_decref(object);
	err_set(e, EPROTO, "it printed no JSON object: line %d: %.100s", object ? 1 : why.line,
		object ? "another value" : str_printable(why.text));
	return NULL;
}

char *tool_line(char **text, size_t *len)
{
	char *line = *text, *end = *len ? memchr(line, '\n', *len) : NULL;
	size_t n = end ? (size_t)(end - line) : *len;

	if (!*len)
		return NULL;
	line[MIN(n, TOOL_LINE_BYTES - 1)] = 0; /* the text is ended by NUL */
	n += end ? 1 : 0;
	*text += n;
	*len -= n;
	return line;
}
