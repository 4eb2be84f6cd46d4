/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "db.h"

#include "wire/wire.h"

char *db_json_text(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	return text ? text : str_dup("null");
}

json_t *db_json_column(const struct store *store, sqlite3_stmt *s, int column, struct err *e)
{
	const unsigned char *stored = sqlite3_column_text(s, column);
	size_t len = (size_t)sqlite3_column_bytes(s, column);
	AUTO_FREE char *text = stored ? mem_alloc(len + 1) : NULL;
	json_error_t why;
	json_t *value;

	if (!text) {
		db_damaged(store, e, "a document is missing");
		return NULL;
	}
	memcpy(text, stored, len);
	frame_clean(text, len);
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (!value)
		db_damaged(store, e, "a document is no JSON: %s", why.text);
	return value;
}

bool db_text_column(sqlite3_stmt *s, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(s, column);

	out[0] = 0;
	if (!text || strlen(text) != (size_t)sqlite3_column_bytes(s, column) || str_copy(out, size, text))
		return false;
	str_printable(out);
	return true;
}
