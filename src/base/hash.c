/* SPDX-License-Identifier: GPL-3.0-or-later */
/* FNV-1a of 128 bits (Fowler, Noll, Vo).  It tells inputs apart; security must not depend on it. */
#include "base.h"

#include <stdio.h>

struct hash hash_new(void)
{
	return (struct hash){((unsigned __int128)0x6c62272e07bb0142u << 64) | 0x62b821756295c58du};
}

void hash_add(struct hash *h, const void *data, size_t len)
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) | 0x13b;
	const unsigned char *p = data;
	unsigned __int128 value = h->value;

	for (size_t i = 0; i < len; i++)
		value = (value ^ p[i]) * prime;
	h->value = value;
}

void hash_text(struct hash *h, const char *text)
{
	hash_add(h, text, strlen(text) + 1);
}

char *hash_hex(const struct hash *h, char out[33])
{
	snprintf(out, 33, "%016llx%016llx", (unsigned long long)(h->value >> 64),
		(unsigned long long)h->value);
	return out;
}
