/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Kernel selectors: the words by which a user names a kernel, such as "rt", "6.1", "6.12-rt" and
 * "6.12.95+deb12-rt-amd64".  The flavour follows the version, as in the names of Debian's kernels; without a
 * flavour, stock is meant.
 */
#include "kernels.h"

#include <ctype.h>

static const char *const flavours[] = {"rt", "cloud", "stock", "other"};

/* The flavour whose name ends a text of `len` bytes, either after a '-' or as the whole text. */
static const char *flavour_at_end(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(flavours); i++) {
		size_t n = strlen(flavours[i]);
		if (len >= n && !memcmp(text + len - n, flavours[i], n) &&
			(len == n || text[len - n - 1] == '-'))
			return flavours[i];
	}
	return NULL;
}

int kernel_word_parse(struct kernel_word *word, const char *which)
{
	struct kernel_word w = {.flavour = "stock"};
	size_t len = strlen(which);

	if (len >= sizeof(w.version))
		return -EINVAL;
	if (len > 6 && str_ends(which, "-amd64"))
		len -= 6;
	const char *flavour = flavour_at_end(which, len);
	if (flavour) {
		str_copy(w.flavour, sizeof(w.flavour), flavour);
		w.said = true;
		len -= strlen(flavour);
		if (len == 1)
			return -EINVAL;
		len -= len > 0; /* the '-' */
	}
	for (size_t i = 0; i < len; i++)
		if (i == 0 ? !isdigit((unsigned char)which[0])
			   : !isalnum((unsigned char)which[i]) && !strchr(".+~_-", which[i]))
			return -EINVAL;
	memcpy(w.version, which, len);
	*word = w;
	return 0;
}

bool release_begins(const char *release, const char *version)
{
	size_t n = strlen(version);

	return !n || (str_starts(release, version) && !isalnum((unsigned char)release[n]));
}

bool kernel_fetchable(const char *which)
{
	struct kernel_word word;

	/* An emulated host has no network and no packages. */
	return !host_emulated() && kernel_word_parse(&word, which) == 0 && strcmp(word.flavour, "other") != 0;
}
