/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Of a domain's XML one thing is wanted, which socket stands behind a channel.  libvirt prints it in one
 * form, so tags are looked at one after another and no document is built.
 */
#include "domain.h"

static const struct entity {
	const char *text;
	char is;
} entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&apos;", '\''}, {"&quot;", '"'}};

char *domain_xml_escaped(const char *text)
{
	struct buf out = {0};

	buf_put(&out, "", 0);
	for (; *text; text++) {
		size_t i = 0;
		while (i < ARRAY_LEN(entities) && entities[i].is != *text)
			i++;
		if (i < ARRAY_LEN(entities))
			buf_add(&out, "%s", entities[i].text);
		else
			buf_put(&out, text, 1);
	}
	return out.data;
}

/* In place. */
static void entities_read(char *text)
{
	char *to = text;

	while (*text) {
		size_t i = 0;
		while (i < ARRAY_LEN(entities) && !str_starts(text, entities[i].text))
			i++;
		bool found = i < ARRAY_LEN(entities);
		*to++ = found ? entities[i].is : *text;
		text += found ? strlen(entities[i].text) : 1;
	}
	*to = 0;
}

/* The next tag at or after *at: from behind its '<' to its '>'. */
static bool next_tag(const char **at, const char **tag, size_t *len)
{
	const char *open = strchr(*at, '<'), *close = open ? strchr(open, '>') : NULL;

	if (!close)
		return false;
	*tag = open + 1;
	*len = (size_t)(close - open - 1);
	*at = close + 1;
	return true;
}

static bool is_tag(const char *tag, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len >= n && !strncmp(tag, name, n) && (len == n || tag[n] == ' ' || tag[n] == '/');
}

/* The value of an attribute; one with characters by number in it (a line feed) is not taken. */
static bool attribute(const char *tag, size_t len, const char *name, char *out, size_t size)
{
	AUTO_FREE char *text = str_format("%.*s", (int)len, tag);
	AUTO_FREE char *key = str_format(" %s=", name);
	char *at = strstr(text, key);

	if (!at)
		return false;
	at += strlen(key);
	char *end = *at == '\'' || *at == '"' ? strchr(at + 1, *at) : NULL;
	if (!end)
		return false;
	*end = 0;
	if (strstr(at, "&#"))
		return false;
	entities_read(at + 1);
	return str_copy(out, size, at + 1) == 0;
}

bool domain_xml_channel(const char *xml, const char *channel, char *path, size_t size)
{
	const char *tag;
	char name[128];
	size_t len;
	bool inside = false, source = false, named = false;

	for (const char *at = xml; next_tag(&at, &tag, &len);) {
		if (is_tag(tag, len, "channel")) {
			inside = tag[len - 1] != '/';
			source = named = false;
		} else if (is_tag(tag, len, "/channel")) {
			inside = false;
		} else if (inside && is_tag(tag, len, "source")) {
			source = attribute(tag, len, "path", path, size);
		} else if (inside && is_tag(tag, len, "target")) {
			named = attribute(tag, len, "name", name, sizeof(name)) && !strcmp(name, channel);
		}
		if (inside && source && named)
			return true;
	}
	path[0] = 0;
	return false;
}
