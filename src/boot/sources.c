/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which of the machine's lists of packages are Debian's, for its release.  apt itself reads the machine's
 * sources.  After an update it tells the origin of each list (apt-get indextargets), and which list has which
 * version of a package (apt-cache madison).  Kernels are taken from no list of another origin or release;
 * QEMU, which comes with all its libraries, also from Debian's present stable release.
 */
#include "apt.h"

#include <stdio.h>

static const char *const suffixes[] = {"", "-updates", "-security", "-backports"};
static const char *const keyrings[] = {
	"/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"};

enum list_field { MARK, ORIGIN, CODENAME, COMPONENT, URI, LIST, FIELDS_N };

void sources_free(struct sources *s)
{
	free(s->uri);
	buf_free(&s->lists);
	*s = (struct sources){0};
}

/* The value of a key of os-release, without its quotes; "" for none. */
static void os_release(int root, const char *key, char *out, size_t size)
{
	AUTO_FREE char *text = NULL;
	size_t n = strlen(key);

	out[0] = 0;
	if (root_read_all(root, "/etc/os-release", &text, NULL, ERR_IGNORED) < 0)
		return;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		if (!str_starts(line, key) || line[n] != '=')
			continue;
		char *value = str_trim(line + n + 1);
		size_t len = strlen(value);
		if (len >= 2 && strchr("\"'", value[0]) && value[len - 1] == value[0]) {
			value[len - 1] = 0;
			value++;
		}
		str_copy(out, size, value);
	}
}

int sources_release(struct sources *s, const char *root, struct err *e)
{
	AUTO_CLOSE int fd = root_open(*root ? root : "/", e);
	char id[40];

	if (fd < 0)
		return fd;
	os_release(fd, "ID", id, sizeof(id));
	os_release(fd, "VERSION_CODENAME", s->codename, sizeof(s->codename));
	if (!strcmp(id, "debian"))
		return 0;
	err_set(e, ENOTSUP, "cannot fetch from Debian: this is not Debian (ID '%s' in /etc/os-release)", id);
	return err_try(e, "what this system offers: install it, or name a kernel by its path");
}

/* Splits a line into its fields, which are separated by tabs; false when it has not the format asked for. */
static bool fields_split(char *line, char *fields[FIELDS_N])
{
	for (size_t i = 0; i < FIELDS_N; i++) {
		fields[i] = line ? strsep(&line, "\t") : NULL;
		if (!fields[i])
			return false;
	}
	return !line && !strcmp(fields[MARK], "list") && str_in(fields[ORIGIN], "Debian|Debian Backports") &&
	       !strcmp(fields[COMPONENT], "main");
}

static void take_list(struct sources *s, const char *base, char *const fields[FIELDS_N])
{
	size_t n = strlen(base);

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (!str_starts(fields[CODENAME], base) || strcmp(fields[CODENAME] + n, suffixes[i]) != 0)
			continue;
		buf_add(&s->lists, "%s\n", fields[LIST]);
		s->backports |= !strcmp(suffixes[i], "-backports");
		if (!*suffixes[i] && !s->uri)
			s->uri = str_dup(fields[URI]);
	}
}

bool sources_take(struct sources *s, const char *targets)
{
	/* os-release of unstable has the codename of the next release, its lists have "sid". */
	const char *const bases[] = {s->codename, "sid"};

	for (size_t i = 0; i < ARRAY_LEN(bases) && !s->uri; i++) {
		AUTO_FREE char *copy = str_dup(targets);
		char *fields[FIELDS_N];
		s->lists.len = 0;
		s->backports = false;
		for (char *save = NULL, *line = *bases[i] ? strtok_r(copy, "\n", &save) : NULL; line;
			line = strtok_r(NULL, "\n", &save))
			if (fields_split(line, fields))
				take_list(s, bases[i], fields);
	}
	return s->uri;
}

/* A line of sources.list for a suite of the mirror that the release came from. */
static void add_suite(const struct sources *s, const char *suite, const char *more, struct buf *lines)
{
	const char *keyring = NULL;

	for (size_t i = 0; !keyring && i < ARRAY_LEN(keyrings); i++)
		keyring = access(keyrings[i], R_OK) == 0 ? keyrings[i] : NULL;
	buf_add(lines, "deb [arch=amd64%s%s] %s %s%s main\n", keyring ? " signed-by=" : "",
		keyring ? keyring : "", s->uri, suite, more);
}

/* Can the address of the mirror stand in a line of sources.list, and is the release known by name? */
static bool can_add(const struct sources *s)
{
	return s->uri && *s->codename && !strpbrk(s->uri, " []\t");
}

char *sources_backports(const struct sources *s)
{
	struct buf line = {0};

	if (s->backports || !can_add(s))
		return NULL;
	add_suite(s, s->codename, "-backports", &line);
	return line.data;
}

char *sources_newest(const struct sources *s)
{
	const char *const releases[] = {s->codename, "stable"};
	struct buf lines = {0};

	for (size_t i = 0; can_add(s) && i < ARRAY_LEN(releases); i++) {
		add_suite(s, releases[i], "", &lines);
		add_suite(s, releases[i], "-backports", &lines);
	}
	return lines.data;
}

/* Is there a line of exactly this text? */
static bool has_line(const struct buf *lines, const char *text)
{
	size_t n = strlen(text);

	for (const char *p = lines->len ? lines->data : NULL; p && *p; p = strchr(p, '\n') + 1)
		if (!strncmp(p, text, n) && p[n] == '\n')
			return true;
	return false;
}

/* Reads lines "package | version | list". */
static void debian_versions(const struct sources *s, const char *madison, struct buf *versions)
{
	AUTO_FREE char *copy = str_dup(madison);

	for (char *save = NULL, *line = strtok_r(copy, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		strsep(&line, "|");
		char *version = line ? strsep(&line, "|") : NULL;
		if (line && has_line(&s->lists, str_trim(line)))
			buf_add(versions, "%s\n", str_trim(version));
	}
}

char *sources_filter(const struct sources *s, const char *madison, const char *stanzas)
{
	static const char key[] = "\nVersion: ";
	AUTO(buf_free) struct buf versions = {0};
	AUTO(buf_free) struct buf kept = {0};

	debian_versions(s, madison, &versions);
	for (const char *p = stanzas, *end; *p; p = end) {
		end = strstr(p, "\n\n");
		end = end ? end + 2 : p + strlen(p);
		AUTO_FREE char *stanza = str_format("%.*s", (int)MIN(end - p, 1 << 20), p);
		const char *version = strstr(stanza, key);
		version = version ? version + strlen(key) : "";
		AUTO_FREE char *line = str_format("%.*s", (int)strcspn(version, "\n"), version);
		if (*line && has_line(&versions, line))
			buf_add(&kept, "%s", stanza);
	}
	return kept.data ? steal_ptr(&kept.data) : str_dup("");
}
