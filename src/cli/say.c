/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything that is said, and to whom. */
#include "cli.h"

#include "run/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>

static bool progress_shown;

static bool terminal_understands(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb");
}

static bool colours_wanted(void)
{
	const char *no_colour = getenv("NO_COLOR");

	return terminal_understands(STDOUT_FILENO) && !(no_colour && *no_colour);
}

/* Of a terminal; 0: it is none, or does not say. */
static size_t columns_of(int fd)
{
	struct winsize size = {0};

	return isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

size_t say_columns(void)
{
	return columns_of(STDOUT_FILENO);
}

/* How many bytes of UTF-8 fit into a line of so many columns; 0: all. */
static int fitting(const char *text, size_t columns)
{
	size_t n = 0, len = 0;

	for (; text[len] && (!columns || n < columns); len++)
		n += ((unsigned char)text[len + 1] & 0xc0) != 0x80;
	return (int)len;
}

/* A line that is longer than the terminal is wide could not be taken back: its end is left out. */
void progress_line(const char *text)
{
	AUTO_FREE char *clean = text ? str_printable(str_dup(text)) : NULL;

	if (!terminal_understands(STDERR_FILENO))
		return;
	if (text)
		fprintf(stderr, "\r\033[K%.*s", fitting(clean, columns_of(STDERR_FILENO)), clean);
	else if (progress_shown)
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
	progress_shown = text != NULL;
}

void say_doing(const struct boot_doing *doing, void *common)
{
	static const struct {
		const char *before, *after; /* the object */
	} words[] = {
		[BOOT_STEP_NONE] = {"", ""},
		[BOOT_STEP_KERNEL] = {"fetching kernel ", " into the cache"},
		[BOOT_STEP_QEMU] = {"fetching QEMU into the cache", ""},
		[BOOT_STEP_LISTS] = {"reading Debian's lists of packages", ""},
		[BOOT_STEP_FETCH] = {"fetching ", ""},
		[BOOT_STEP_UNPACK] = {"unpacking ", ""},
	};
	const struct common *c = common;
	AUTO(buf_free) struct buf line = {0};

	if (c->quiet)
		return;
	buf_add(&line, "%s%s%s", words[doing->step].before, doing->object ? doing->object : "",
		words[doing->step].after);
	if (doing->percent >= 0)
		buf_add(&line, ": %.0f %%", doing->percent);
	/* Where there is no line to be written over, what takes long is said once. */
	if (!terminal_understands(STDERR_FILENO) &&
		(doing->step == BOOT_STEP_KERNEL || doing->step == BOOT_STEP_QEMU))
		say_note("%s", line.data);
	progress_line(line.data);
}

char *say_left(uint64_t ns, char *out, size_t size)
{
	uint64_t s = (ns + NS_PER_S / 2) / NS_PER_S;

	if (s >= 3600)
		snprintf(out, size, "%llu h %02llu min", (unsigned long long)s / 3600,
			(unsigned long long)s / 60 % 60);
	else if (s >= 60)
		snprintf(out, size, "%llu min %02llu s", (unsigned long long)s / 60,
			(unsigned long long)s % 60);
	else
		snprintf(out, size, "%llu s", (unsigned long long)s);
	return out;
}

void say_line(const char *head, const char *format, va_list args)
{
	char line[4096]; /* what is said last may be that there is no memory */

	vsnprintf(line, sizeof(line), format, args);
	progress_line(NULL);
	fprintf(stderr, "%s: %s\n", head, str_printable(line));
}

void say_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line("taut", format, args);
	va_end(args);
}

/* A warning that is the same as the line before is left out. */
static void sink(enum log_level level, const char *line)
{
	static char last[1024];

	if (level == LOG_WARN && !strcmp(line, last))
		return;
	snprintf(last, sizeof(last), "%s", line);
	say_note("%s%s", level == LOG_WARN ? "warning: " : "", line);
}

void say_setup(const struct common *common)
{
	log_sink = sink;
	log_level = common->verbose ? LOG_DEBUG : common->quiet ? LOG_QUIET : LOG_WARN;
}

int say_error(const struct err *e)
{
	char text[1100];

	say_note("%s", err_string(e, text, sizeof(text)));
	return e->exit != EXIT_DONE ? (int)e->exit : EXIT_FAILED;
}

int say_end(const struct err *e)
{
	return e->code == EINTR ? EXIT_INTERRUPTED : say_error(e);
}

struct report_style say_style(const struct common *common)
{
	return (struct report_style){.colour = colours_wanted(), .brief = common->quiet};
}

/* The length of what is not fit for a terminal and stays all the same: tabs, ends of lines, and the colours
 * of reports; 0: it goes. */
static size_t stays(const char *text, size_t len, bool colours)
{
	size_t n = 2;

	if (*text == '\n' || *text == '\t')
		return 1;
	if (*text == '\r' && len > 1 && text[1] == '\n')
		return 2;
	if (!colours || *text != '\033' || len < 3 || text[1] != '[')
		return 0;
	while (n < len && n < 4 && text[n] >= '0' && text[n] <= '9')
		n++;
	return n < len && text[n] == 'm' ? n + 1 : 0;
}

/* Whatever goes to stdout; what is not taut's own text may be in it. */
static bool write_clean(const char *data, size_t len)
{
	bool colours = colours_wanted(), done = true;
	size_t skip;

	while (len && done) {
		size_t n = str_shown(data, len, &skip);
		size_t kept = skip ? stays(data + n, len - n, colours) : 0;
		done = fwrite(data, 1, n + kept, stdout) == n + kept;
		if (skip && !kept && done)
			done = fputc('?', stdout) != EOF;
		n += kept ? kept : skip;
		data += n;
		len -= n;
	}
	return done;
}

int say_data(const char *data, size_t len)
{
	if (isatty(STDOUT_FILENO))
		progress_line(NULL);
	if (write_clean(data, len) && fflush(stdout) == 0)
		return EXIT_DONE;
	if (errno == EPIPE) {
		clearerr(stdout);
		stop_flag = MAX(stop_flag, 1);
		return EXIT_DONE;
	}
	fprintf(stderr, "taut: cannot write to stdout: %s\n", strerror(errno));
	return EXIT_FAILED;
}

int say_buf(const struct buf *b)
{
	return b->data ? say_data(b->data, b->len) : EXIT_DONE;
}

int say_buf_or(const struct buf *b, const char *nothing)
{
	return b->len ? say_buf(b) : say_data(nothing, strlen(nothing));
}

int say_json(json_t *document)
{
	AUTO_FREE char *text = json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(12));

	json_decref(document);
	if (!text) {
		fprintf(stderr, "taut: cannot write the document: it holds something that is no text\n");
		return EXIT_FAILED;
	}
	AUTO_FREE char *line = str_format("%s\n", text);
	return say_data(line, strlen(line));
}

void say_row(struct buf *b, const char *head, const char *text)
{
	b->columns = say_columns();
	if (b->columns)
		text_wrap(b, head, text);
	else
		buf_add(b, "%s%s\n", head, text);
}

#define SKIPPED_NAMED 3 /* more cells of one reason are counted */

/* The cells that are skipped for the reason of the cell c, of which it is the first. */
static void skipped_line(const struct experiment *x, size_t c, struct buf *b)
{
	AUTO_FREE char *reason = str_printable(str_dup(x->cells[c].reason));
	AUTO(buf_free) struct buf line = {0};
	size_t n = 0;

	for (size_t i = c; i < x->cells_n; i++) {
		if (!x->cells[i].skipped || strcmp(x->cells[i].reason, x->cells[c].reason))
			continue;
		if (n < SKIPPED_NAMED)
			buf_add(&line, "%s%s", n ? ", " : "", x->cells[i].name);
		n++;
	}
	if (n > SKIPPED_NAMED)
		buf_add(&line, " and %zu more", n - SKIPPED_NAMED);
	buf_add(&line, ": %s", reason);
	say_row(b, "skipped ", line.data);
}

void say_skipped(const struct experiment *x, struct buf *b)
{
	for (size_t c = 0; c < x->cells_n; c++) {
		bool said = !x->cells[c].skipped;
		for (size_t i = 0; i < c && !said; i++)
			said = x->cells[i].skipped && !strcmp(x->cells[i].reason, x->cells[c].reason);
		if (!said)
			skipped_line(x, c, b);
	}
}
