/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "text.h"

#include <math.h>
#include <stdio.h>

#define NOTHING "–"
#define MINUS   "−"

char *text_ns(double ns, char *out, size_t size)
{
	if (isfinite(ns))
		return time_format_ns(ns, out, size);
	snprintf(out, size, NOTHING);
	return out;
}

char *text_exact_ns(double ns, char *out, size_t size)
{
	double most = fabs(ns);

	if (!isfinite(ns))
		snprintf(out, size, NOTHING);
	else if (most < 1)
		snprintf(out, size, "%.3g ns", ns);
	else if (most < 999.5)
		snprintf(out, size, "%.0f ns", ns);
	else if (most < 1e6 - 0.5)
		snprintf(out, size, "%.3f µs", ns / 1e3);
	else if (most < 1e9 - 0.5)
		snprintf(out, size, "%.6f ms", ns / 1e6);
	else
		snprintf(out, size, "%.9f s", ns / 1e9);
	return out;
}

char *text_bps(double bps, char *out, size_t size)
{
	static const struct {
		double bps;
		const char *unit;
	} scales[] = {{1e9, "Gb/s"}, {1e6, "Mb/s"}, {1e3, "kb/s"}, {1, "b/s"}};
	size_t i = 0;

	if (!isfinite(bps)) {
		snprintf(out, size, NOTHING);
		return out;
	}
	while (i + 1 < ARRAY_LEN(scales) && fabs(bps) < scales[i].bps * 0.9995)
		i++;
	double value = bps / scales[i].bps;
	int digits = fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
	snprintf(out, size, "%.*f %s", digits, value, scales[i].unit);
	return out;
}

char *text_count(uint64_t n, char *out, size_t size)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	/* Groups of three from five digits on. */
	for (size_t i = 0; i < len && at + 2 < size; i++) {
		if (len > 4 && i && (len - i) % 3 == 0)
			out[at++] = ' ';
		out[at++] = digits[i];
	}
	out[at] = 0;
	return out;
}

char *text_bytes(uint64_t n, char *out, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(units) && n >= 1024 && n % 1024 == 0) {
		n /= 1024;
		i++;
	}
	snprintf(out, size, "%llu %s", (unsigned long long)n, units[i]);
	return out;
}

char *text_value(enum stat_metric metric, double value, char *out, size_t size)
{
	if (!isfinite(value)) {
		snprintf(out, size, NOTHING);
		return out;
	}
	switch (stat_metrics[metric].unit) {
	case STAT_NS:
		return text_ns(value, out, size);
	case STAT_BPS:
		return text_bps(value, out, size);
	case STAT_PER_S:
		snprintf(out, size, "%.0f /s", value);
		break;
	case STAT_FRACTION:
		snprintf(out, size, "%.3g %%", value * 100);
		break;
	}
	return out;
}

char *text_exact(enum stat_metric metric, double value, char *out, size_t size)
{
	return stat_metrics[metric].unit == STAT_NS ? text_exact_ns(value, out, size)
						    : text_value(metric, value, out, size);
}

char *text_exact_difference(enum stat_metric metric, double value, char *out, size_t size)
{
	char number[48];

	if (stat_metrics[metric].unit != STAT_NS || !isfinite(value))
		return text_difference(metric, value, out, size);
	snprintf(out, size, "%s%s",
		value < 0   ? MINUS
		: value > 0 ? "+"
			    : "",
		text_exact_ns(fabs(value), number, sizeof(number)));
	return out;
}

/* Is this change told in per cent, or as so many times the old value, or the new one? */
static bool in_percent(double change)
{
	return isfinite(change) && change < 9 && change > -10;
}

/* A change in per cent, without the unit. */
static char *percent_text(double change, char *out, size_t size)
{
	double percent = fabs(change) * 100;
	const char *sign = percent < 0.05 ? "" : change < 0 ? MINUS : "+";

	snprintf(out, size, "%s%.*f", sign, percent >= 99.95 ? 0 : 1, percent < 0.05 ? 0.0 : percent);
	return out;
}

char *text_change(double change, char *out, size_t size)
{
	char number[32];

	if (in_percent(change))
		snprintf(out, size, "%s %%", percent_text(change, number, sizeof(number)));
	else if (!isfinite(change))
		snprintf(out, size, NOTHING);
	else if (change > 0)
		snprintf(out, size, "×%.*f", change >= 99 ? 0 : 1, change + 1);
	else /* of the new value, when little is left of the old one */
		snprintf(out, size, MINUS "%.0f×", -change);
	return out;
}

char *text_changes(double low, double high, char *out, size_t size)
{
	char a[32], b[32];

	if (in_percent(low) && in_percent(high))
		percent_text(low, a, sizeof(a));
	else
		text_change(low, a, sizeof(a));
	snprintf(out, size, "%s … %s", a, text_change(high, b, sizeof(b)));
	return out;
}

char *text_difference(enum stat_metric metric, double value, char *out, size_t size)
{
	char number[48];

	if (!isfinite(value)) {
		snprintf(out, size, NOTHING);
		return out;
	}
	if (stat_metrics[metric].unit == STAT_FRACTION)
		snprintf(number, sizeof(number), "%.3g pp", fabs(value) * 100);
	else
		text_value(metric, fabs(value), number, sizeof(number));
	snprintf(out, size, "%s%s", value < 0 ? MINUS : value > 0 ? "+" : "", number);
	return out;
}

char *text_p(double p, char *out, size_t size)
{
	if (!isfinite(p))
		snprintf(out, size, NOTHING);
	else if (p < 0.0001)
		snprintf(out, size, "<0.0001");
	else
		snprintf(out, size, "%.*f", p < 0.1 ? 4 : 2, p);
	return out;
}

void text_wrap(struct buf *out, const char *head, const char *text)
{
	struct doc_text one = {0};

	doc_say(&one, "%s", text);
	doc_wrap(&one, head, &(struct doc_style){0}, out);
	doc_text_clear(&one);
}
