/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t time_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t time_since_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

uint64_t time_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

char *time_iso8601(uint64_t wall_ns, char *out, size_t size)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	struct tm parts;

	gmtime_r(&seconds, &parts);
	strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
	return out;
}

static const struct {
	const char *suffix;
	double ns;
} units[] = {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

int time_parse_ns(const char *text, uint64_t *ns, struct err *e)
{
	char *end;
	double value;

	if (!strcmp(text, "0")) {
		*ns = 0;
		return 0;
	}
	errno = 0;
	value = strtod(text, &end);
	if (end == text || errno || !isfinite(value) || value < 0)
		goto bad;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (!strcmp(end, units[i].suffix)) {
			if (value * units[i].ns > 1e18)
				goto bad;
			*ns = (uint64_t)llround(value * units[i].ns);
			return 0;
		}
bad:
	return err_usage(e, "'%s' is not a duration (write 200ms, 3s, 5m)", text);
}

char *time_format_ns(double ns, char *out, size_t size)
{
	static const struct {
		double ns;
		const char *unit;
	} scales[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}};
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(scales) && fabs(ns) < scales[i].ns * 0.9995)
		i++;
	double value = ns / scales[i].ns;
	int digits = fabs(value) >= 99.95 || i + 1 == ARRAY_LEN(scales) ? 0 : fabs(value) >= 9.995 ? 1 : 2;
	snprintf(out, size, "%.*f %s", digits, value, scales[i].unit);
	return out;
}
