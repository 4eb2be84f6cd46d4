/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
	const unsigned char *in = data;
	char *text = mem_array(len / 3 + 2, 4), *out = text;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t word = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				(left > 2 ? in[i + 2] : 0);
		*out++ = digits[word >> 18];
		*out++ = digits[word >> 12 & 63];
		*out++ = left > 1 ? digits[word >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[word & 63] : '=';
	}
	return text;
}

unsigned char *base64_decode(const char *text, size_t *len)
{
	size_t n = strlen(text), made = 0;
	AUTO_FREE unsigned char *out = mem_array(n / 4 + 1, 3);

	if (n % 4)
		return NULL;
	size_t padding = n && text[n - 1] == '=' ? (text[n - 2] == '=' ? 2 : 1) : 0;
	for (size_t i = 0; i < n; i += 4) {
		uint32_t word = 0;
		for (size_t j = 0; j < 4; j++) {
			const char *digit = i + j >= n - padding ? digits : strchr(digits, text[i + j]);
			if (!digit || !*digit)
				return NULL;
			word = word << 6 | (uint32_t)(digit - digits);
		}
		out[made++] = (unsigned char)(word >> 16);
		out[made++] = (unsigned char)(word >> 8);
		out[made++] = (unsigned char)word;
	}
	*len = made - padding;
	return steal_ptr(&out);
}
