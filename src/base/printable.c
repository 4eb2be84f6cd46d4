/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can be shown on a terminal.  Texts that are not taut's own (names, reasons, what a process or another
 * host said) may hold characters that drive a terminal or hide what stands there: control characters (C0, C1,
 * DEL), marks that change the direction of writing, characters that take no room, and bytes that are not
 * UTF-8.
 */
#include "base.h"

#define NO_CHARACTER UINT32_MAX

/* The length of the first character of a text that is not empty; one byte that is no UTF-8 is NO_CHARACTER.
 */
static size_t character(const unsigned char *s, size_t len, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	*code = NO_CHARACTER;
	if ((s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4 || n > len)
		return 1;
	uint32_t value = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (s[i] & 0x3f);
	}
	if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 1;
	*code = value;
	return n;
}

bool str_code_shown(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {{0, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x61c, 0x61c}, {0x180e, 0x180e},
		{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
		{0xe0000, 0xe007f}, {0x110000, NO_CHARACTER}};

	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		if (code >= hidden[i].first && code <= hidden[i].last)
			return false;
	return true;
}

size_t str_shown(const char *text, size_t len, size_t *not_shown)
{
	size_t at = 0, n;
	uint32_t code;

	for (*not_shown = 0; at < len; at += n) {
		n = character((const unsigned char *)text + at, len - at, &code);
		if (!str_code_shown(code)) {
			*not_shown = n;
			break;
		}
	}
	return at;
}

/* In place; `kept`: characters that stay all the same. */
static char *clean(char *text, const char *kept)
{
	char *to = text;
	size_t len = strlen(text), skip;

	for (const char *from = text; len;) {
		size_t n = str_shown(from, len, &skip);
		memmove(to, from, n);
		to += n;
		if (skip)
			*to++ = strchr(kept, from[n]) ? from[n] : '?';
		from += n + skip;
		len -= n + skip;
	}
	*to = 0;
	return text;
}

char *str_printable(char *text)
{
	return clean(text, "");
}

char *str_printable_lines(char *text)
{
	return clean(text, "\n\t");
}
