/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where this machine gets its packages from.  Its own files are read, in both formats (sources.list(5)), and
 * what is of its release is written again as one deb822 file, with the mirrors, keyrings and other options of
 * trust that stand there.  Only suites of the release are kept, so that a machine which also knows of a newer
 * release does not give its kernels; only the component main, since kernels are there.
 */
#include "apt.h"

#include <dirent.h>
#include <stdio.h>
#include <strings.h>

static const char *const suffixes[] = {"", "-updates", "-security", "-backports"};
/* What a release may be called where its codename is not used. */
static const char *const aliases[] = {"stable", "oldstable", "testing", "unstable", "sid"};
/* The fields that are about trust; their names in one-line format differ in case at most. */
static const char *const options_kept[] = {"Signed-By", "Trusted", "Allow-Insecure", "Allow-Weak",
	"Allow-Downgrade-To-Insecure", "Check-Valid-Until", "Valid-Until-Min", "Valid-Until-Max",
	"Check-Date", "Date-Max-Future", "By-Hash"};

#define GAPS " \t\n"

void sources_free(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->list[i].uris);
		free(s->list[i].options);
	}
	free(s->list);
	*s = (struct sources){0};
}

static bool suite_is_of(const char *suite, const char *base)
{
	size_t n = strlen(base);

	for (size_t i = 0; n && i < ARRAY_LEN(suffixes); i++)
		if (str_starts(suite, base) && !strcmp(suite + n, suffixes[i]))
			return true;
	return false;
}

static const char *option_kept(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(options_kept); i++)
		if (strlen(options_kept[i]) == len && !strncasecmp(options_kept[i], name, len))
			return options_kept[i];
	return NULL;
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p && *p; p += strcspn(p, GAPS), p += strspn(p, GAPS))
		if (!strncmp(p, word, n) && (!p[n] || strchr(GAPS, p[n])))
			return true;
	return false;
}

static void add(struct sources *s, const char *uris, const char *suite, const char *options)
{
	struct source source = {.uris = str_dup(uris), .options = str_dup(options ? options : "")};

	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->list[i].uris, uris) && !strcmp(s->list[i].suite, suite))
			goto drop; /* apt only warns of it, but at length */
	if (str_copy(source.suite, sizeof(source.suite), suite) < 0)
		goto drop;
	s->list = mem_grow(s->list, s->n + 1, sizeof(*s->list));
	s->list[s->n++] = source;
	return;
drop:
	free(source.uris);
	free(source.options);
}

/* --- one-line format ----------------------------------------------------------------------------- */

/* "[signed-by=/a,/b arch=amd64]" into fields; returns what is behind it, NULL when it does not end. */
static char *take_options(char *p, struct buf *options)
{
	char *end = strchr(p, ']');

	if (!end)
		return NULL;
	*end = 0;
	for (char *save = NULL, *word = strtok_r(p + 1, GAPS, &save); word;
		word = strtok_r(NULL, GAPS, &save)) {
		size_t n = strcspn(word, "=");
		const char *name = word[n] ? option_kept(word, n) : NULL;
		if (!name)
			continue;
		for (char *c = word + n + 1; *c; c++)
			*c = (char)(*c == ',' ? ' ' : *c);
		buf_add(options, "%s: %s\n", name, word + n + 1);
	}
	return end + 1;
}

/* "deb [options] uri suite component…" */
static void parse_line(struct sources *s, const char *base, char *line)
{
	AUTO(buf_free) struct buf options = {0};
	char *p = str_trim(line), *save = NULL;

	if (!str_starts(p, "deb ") && !str_starts(p, "deb\t"))
		return;
	p[strcspn(p, "#")] = 0;
	p += 4 + strspn(p + 4, GAPS);
	if (*p == '[')
		p = take_options(p, &options);
	const char *uri = p ? strtok_r(p, GAPS, &save) : NULL;
	const char *suite = uri ? strtok_r(NULL, GAPS, &save) : NULL;
	const char *components = suite ? strtok_r(NULL, "\n", &save) : NULL;
	if (components && suite_is_of(suite, base) &&
		has_word(components + strspn(components, GAPS), "main") && !str_starts(uri, "cdrom:"))
		add(s, uri, suite, options.data);
}

/* --- deb822 -------------------------------------------------------------------------------------- */

struct stanza {
	struct buf types, uris, suites, components, enabled, options;
	struct buf
		*last; /* what a line that begins with white space goes on with; NULL: nothing that is kept */
};

static void stanza_free(struct stanza *t)
{
	buf_free(&t->types);
	buf_free(&t->uris);
	buf_free(&t->suites);
	buf_free(&t->components);
	buf_free(&t->enabled);
	buf_free(&t->options);
}

static void stanza_line(struct stanza *t, const char *line)
{
	const struct {
		const char *name;
		struct buf *to;
	} fields[] = {{"Types", &t->types}, {"URIs", &t->uris}, {"Suites", &t->suites},
		{"Components", &t->components}, {"Enabled", &t->enabled}};
	size_t n = strcspn(line, ":");

	if (*line == ' ' || *line == '\t') {
		if (t->last)
			buf_add(t->last, "%s\n", line);
		return;
	}
	t->last = NULL;
	if (!line[n])
		return;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strlen(fields[i].name) == n && !strncasecmp(fields[i].name, line, n)) {
			buf_add(fields[i].to, "%s\n", line + n + 1 + strspn(line + n + 1, GAPS));
			t->last = fields[i].to;
		}
	const char *option = option_kept(line, n);
	if (option) {
		buf_add(&t->options, "%s:%s\n", option, line + n + 1);
		t->last = &t->options;
	}
}

/* strtok_r() that takes NULL for no words. */
static char *first_word(char *words, char **save)
{
	return words ? strtok_r(words, GAPS, save) : NULL;
}

static bool stanza_wanted(struct stanza *t)
{
	if (t->enabled.data && str_in(str_trim(t->enabled.data), "no|false|off|0|without|disable"))
		return false;
	return has_word(t->types.data, "deb") && has_word(t->components.data, "main");
}

static void stanza_end(struct sources *s, const char *base, struct stanza *t)
{
	AUTO(buf_free) struct buf uris = {0};
	char *save = NULL;

	if (stanza_wanted(t)) {
		for (char *uri = first_word(t->uris.data, &save); uri; uri = strtok_r(NULL, GAPS, &save))
			if (!str_starts(uri, "cdrom:"))
				buf_add(&uris, "%s%s", uris.len ? " " : "", uri);
		for (char *suite = uris.len ? first_word(t->suites.data, &save) : NULL; suite;
			suite = strtok_r(NULL, GAPS, &save))
			if (suite_is_of(suite, base))
				add(s, uris.data, suite, t->options.data);
	}
	stanza_free(t);
	*t = (struct stanza){0};
}

/* --- files --------------------------------------------------------------------------------------- */

void sources_parse(struct sources *s, const char *base, const char *text, bool deb822)
{
	AUTO(stanza_free) struct stanza stanza = {0};

	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");
		AUTO_FREE char *line = str_format("%.*s", (int)MIN(n, (size_t)1 << 20), p);
		p += n + (p[n] != 0);
		if (!deb822)
			parse_line(s, base, line);
		else if (line[strspn(line, " \t\r")] == 0)
			stanza_end(s, base, &stanza);
		else if (line[0] != '#')
			stanza_line(&stanza, line);
	}
	if (deb822)
		stanza_end(s, base, &stanza);
}

static void parse_file(struct sources *s, int root, const char *path)
{
	AUTO_FREE char *text = NULL;
	const char *end = strrchr(path, '.');

	if (end && str_in(end, ".list|.sources") && root_read_all(root, path, &text, NULL, NULL) == 0)
		sources_parse(s, s->base, text, !strcmp(end, ".sources"));
}

static int add_name(const char *name, void *arg)
{
	buf_add(arg, "/etc/apt/sources.list.d/%s\n", name);
	return 0;
}

/* All that the machine has of s->base. */
static void read_all(struct sources *s, int root)
{
	AUTO(buf_free) struct buf names = {0};
	char *save = NULL;

	parse_file(s, root, "/etc/apt/sources.list");
	root_each(root, "/etc/apt/sources.list.d", add_name, &names, NULL);
	for (char *path = names.data ? strtok_r(names.data, "\n", &save) : NULL; path;
		path = strtok_r(NULL, "\n", &save))
		parse_file(s, root, path);
}

/* The value of a key of os-release, without its quotes; "" for none. */
static void os_release(int root, const char *key, char *out, size_t size)
{
	AUTO_FREE char *text = NULL;
	size_t n = strlen(key);

	out[0] = 0;
	if (root_read_all(root, "/etc/os-release", &text, NULL, NULL) < 0)
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

static bool has_release_itself(const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->list[i].suite, s->base))
			return true;
	return false;
}

int sources_read(struct sources *s, const char *root, struct err *e)
{
	AUTO_CLOSE int fd = root_open(*root ? root : "/", e);
	AUTO(sources_free) struct sources found = {0};
	char id[40], codename[40];

	if (fd < 0)
		return fd;
	os_release(fd, "ID", id, sizeof(id));
	os_release(fd, "VERSION_CODENAME", codename, sizeof(codename));
	if (strcmp(id, "debian") != 0) {
		err_set(e, ENOTSUP, "cannot fetch kernels: this is not Debian (ID '%s' in /etc/os-release)",
			id);
		return err_try(e, "the path of a kernel instead, or install one");
	}
	for (size_t i = 0; i <= ARRAY_LEN(aliases); i++) {
		sources_free(&found);
		str_copy(found.base, sizeof(found.base), i ? aliases[i - 1] : codename);
		read_all(&found, fd);
		if (has_release_itself(&found)) {
			*s = found;
			found = (struct sources){0};
			return 0;
		}
	}
	err_set(e, ENOENT, "cannot fetch kernels: no file of /etc/apt has a source for %s with main",
		*codename ? codename : "this release");
	return err_try(e, "see sources.list(5)");
}

bool sources_have_backports(const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (strstr(s->list[i].suite, "-backports"))
			return true;
	return false;
}

static void write_one(const struct source *source, const char *suite, struct buf *out)
{
	buf_add(out, "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: amd64\n%s\n",
		source->uris, suite, source->options);
}

void sources_write(const struct sources *s, bool backports, struct buf *out)
{
	AUTO_FREE char *suite = str_format("%s-backports", s->base);
	bool added = !backports || sources_have_backports(s);

	for (size_t i = 0; i < s->n; i++) {
		write_one(&s->list[i], s->list[i].suite, out);
		if (!added && !strcmp(s->list[i].suite, s->base)) {
			write_one(&s->list[i], suite, out);
			added = true;
		}
	}
}
