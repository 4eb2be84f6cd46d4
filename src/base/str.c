/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base.h"

#include <ctype.h>
#include <math.h>
#include <search.h>
#include <stdio.h>

static void out_of_memory(void)
{
	if (log_sink)
		log_sink(LOG_WARN, "out of memory");
	abort();
}

void *mem_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *mem_alloc(size_t size)
{
	return mem_array(1, size);
}

void *mem_grow(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n ? n : 1, size);

	if (!q)
		out_of_memory();
	return q;
}

char *str_format_list(const char *format, va_list args)
{
	char *out = NULL;

	if (vasprintf(&out, format, args) < 0)
		out_of_memory();
	return out;
}

char *str_format(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *out = str_format_list(format, args);
	va_end(args);
	return out;
}

char *str_dup(const char *text)
{
	return text ? str_format("%s", text) : NULL;
}

int str_copy(char *out, size_t size, const char *text)
{
	size_t n = strlen(text);

	if (n >= size) {
		out[0] = 0;
		return -ENAMETOOLONG;
	}
	memcpy(out, text, n + 1);
	return 0;
}

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *ending)
{
	size_t len = strlen(text), n = strlen(ending);

	return len >= n && !strcmp(text + len - n, ending);
}

bool str_in(const char *text, const char *list)
{
	size_t n = strlen(text);

	for (const char *word = list; *word;) {
		size_t len = strcspn(word, "|");
		if (len == n && !memcmp(word, text, n))
			return true;
		word += len;
		if (*word)
			word++;
	}
	return false;
}

char *str_trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	char *end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	return text;
}

/* Levenshtein distance of two short words; 99 when one is too long to matter. */
static int edit_distance(const char *a, const char *b)
{
	int row[64];
	size_t la = strlen(a), lb = strlen(b);

	if (la >= ARRAY_LEN(row) || lb >= ARRAY_LEN(row))
		return 99;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (int)j;
	for (size_t i = 1; i <= la; i++) {
		int diagonal = row[0];
		row[0] = (int)i;
		for (size_t j = 1; j <= lb; j++) {
			int substituted = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = MIN(substituted, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[lb];
}

char *str_list(const char *const *words, size_t n, const char *last)
{
	struct buf list = {0};

	buf_add(&list, "%s", n ? words[0] : "");
	for (size_t i = 1; i < n; i++)
		buf_add(&list, "%s%s %s", i + 1 < n ? "," : " ", i + 1 < n ? "" : last, words[i]);
	return list.data;
}

const char *str_closest(const char *typed, const char *const *words, size_t n)
{
	const char *best = NULL;
	int least = 4;

	for (size_t i = 0; i < n; i++) {
		int d = edit_distance(typed, words[i]);
		if (d < least && d < (int)strlen(words[i])) {
			least = d;
			best = words[i];
		}
	}
	return best;
}

int str_u64(const char *text, uint64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end)
		return -EINVAL;
	*out = value;
	return 0;
}

int str_double(const char *text, double *out)
{
	char *end;

	errno = 0;
	double value = strtod(text, &end);
	if (end == text || *end || !isfinite(value))
		return -EINVAL;
	*out = value;
	return 0;
}

int str_bytes(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end && *end != 'B') {
		const char *unit = strchr(units, toupper((unsigned char)*end));
		if (!unit)
			return -EINVAL;
		unsigned shift = 10 * (unsigned)(unit - units + 1);
		if (value > UINT64_MAX >> shift)
			return -ERANGE;
		value <<= shift;
		end++;
		if (*end == 'i')
			end++;
	}
	if (*end == 'B')
		end++;
	if (*end)
		return -EINVAL;
	*out = value;
	return 0;
}

static void buf_room(struct buf *b, size_t more)
{
	if (b->len + more + 1 <= b->room)
		return;
	b->room = MAX(b->room * 2, b->len + more + 64);
	b->data = mem_grow(b->data, b->room, 1);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(a, b);
}

const char *str_keep(const char *text)
{
	static void *kept; /* a search tree from which nothing is removed */
	char *copy = str_dup(text);
	char **there = tsearch(copy, &kept, compare_texts);

	if (!there)
		out_of_memory();
	if (*there != copy)
		free(copy);
	return *there;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	buf_room(b, len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
}

void buf_add(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *text = str_format_list(format, args);
	va_end(args);
	buf_put(b, text, strlen(text));
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}
