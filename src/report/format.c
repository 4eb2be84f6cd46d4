/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "formats.h"

static int write_text(const struct report *r, struct store *store, const struct report_style *style,
	struct buf *out, struct err *e)
{
	(void)store, (void)e;
	report_terminal(r, style, out);
	return 0;
}

static int write_json(const struct report *r, struct store *store, const struct report_style *style,
	struct buf *out, struct err *e)
{
	json_t *document = report_json(r);
	AUTO_FREE char *text = json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(12));

	(void)store, (void)style;
	json_decref(document);
	if (!text)
		return err_set(e, EINVAL, "cannot write run %lld as JSON", (long long)r->run.id);
	buf_add(out, "%s\n", text);
	return 0;
}

const struct report_format report_formats[] = {
	{"text", "tables for a terminal", write_text},
	{"json", "one document, schema taut.run/1", write_json},
	{"csv", "one row a trial, RFC 4180", report_csv},
	{"hlog", "HdrHistogram interval log, one line a trial", report_hlog},
};
const size_t report_formats_n = ARRAY_LEN(report_formats);

const struct report_format *report_format_find(const char *name)
{
	for (size_t i = 0; i < report_formats_n; i++)
		if (!strcmp(report_formats[i].name, name))
			return &report_formats[i];
	return NULL;
}
