/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The last output of a console.  A guest may write anything, in any amount: only the end is kept, and before
 * it is shown it is made printable for a terminal and for JSON.  The escape sequences of a boot firmware are
 * dropped.
 */
#include "machine.h"

void ring_put(struct ring *r, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		r->bytes[r->total++ % RING_BYTES] = data[i];
}

static char byte_at(const struct ring *r, size_t i)
{
	return r->bytes[i % RING_BYTES];
}

/* Where the escape sequence that begins at i ends. */
static size_t skip_escape(const struct ring *r, size_t i)
{
	if (i + 1 >= r->total || byte_at(r, i + 1) != '[')
		return i + 1;
	for (i += 2; i < r->total; i++)
		if (byte_at(r, i) >= '@' && byte_at(r, i) <= '~')
			return i;
	return i;
}

void ring_text(const struct ring *r, char *out, size_t size)
{
	AUTO(buf_free) struct buf text = {0};
	size_t from = r->total > RING_BYTES ? r->total - RING_BYTES : 0;

	for (size_t i = from; i < r->total; i++) {
		char c = byte_at(r, i);
		if (c == 27)
			i = skip_escape(r, i);
		else if (c == '\n' || (c >= ' ' && c <= '~'))
			buf_put(&text, &c, 1);
		else if (c != '\r' && c != 0)
			buf_put(&text, c == '\t' ? " " : "?", 1);
	}
	const char *all = text.data ? str_trim(text.data) : "";
	size_t len = strlen(all);
	if (len >= size) {
		all += len - size + 1;
		const char *line = strchr(all, '\n');
		all = line ? line + 1 : all;
	}
	str_copy(out, size, all);
}
