/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel counts of a whole network namespace: where no socket tells.  Everybody's traffic in that
 * namespace is in it; those that taut makes hold nothing but the trial.
 */
#include "internal.h"

#include "sys/sys.h"

#include <stdio.h>

#define SNMP_BYTES 16384

/* The n-th word of a line, from 0, as a number. */
static uint64_t word_at(const char *line, unsigned n)
{
	for (; n; n--) {
		line += strcspn(line, " \t\n");
		line += strspn(line, " \t");
	}
	return strtoull(line, NULL, 10);
}

/* snmp: two lines that begin with "Table: ", first the names and then the figures. */
static int find_pair(const char *text, const char *table, const char *name, uint64_t *out)
{
	AUTO_FREE char *first = str_format("\n%s: ", table), *word = str_format(" %s", name);
	const char *names = strstr(text, first), *figures = names ? strstr(names + 1, first) : NULL;
	unsigned n = 0;

	for (const char *c = names; figures && c < figures; c++) {
		n += *c == ' ';
		if (*c == ' ' && str_starts(c, word) && strchr(" \n", c[strlen(word)])) {
			*out = word_at(figures + 1, n);
			return 0;
		}
	}
	return -ENOENT;
}

/* snmp6: a line for each, TableName and the figure. */
static int find_line(const char *text, const char *table, const char *name, uint64_t *out)
{
	AUTO_FREE char *word = str_format("\n%s%s", table, name);
	const char *line = strstr(text, word);

	if (!line || !strchr(" \t", line[strlen(word)]))
		return -ENOENT;
	*out = word_at(line + 1, 1);
	return 0;
}

int kernel_count(const char *table, const char *name, bool v6, uint64_t *out, struct err *e)
{
	const char *path = v6 ? "/proc/self/net/snmp6" : "/proc/self/net/snmp";
	AUTO_FREE char *text = mem_alloc(SNMP_BYTES + 1);
	AUTO_CLOSE int root = root_open("/", e);
	int rc = root < 0 ? root : root_read(root, path, text + 1, SNMP_BYTES, e);

	if (rc < 0)
		return err_wrap(e, "cannot read the kernel's %s of %s", name, table);
	text[0] = '\n';
	if ((v6 ? find_line : find_pair)(text, table, name, out))
		return err_set(
			e, ENOENT, "cannot read the kernel's %s of %s: %s does not tell", name, table, path);
	return 0;
}
