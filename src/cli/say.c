/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything that is said, and to whom. */
#include "cli.h"

#include "run/run.h"

#include <stdarg.h>
#include <stdio.h>

static bool progress_shown;

static bool terminal_understands(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb");
}

void progress_line(const char *text)
{
	if (!terminal_understands(STDERR_FILENO))
		return;
	if (text)
		fprintf(stderr, "\r\033[K%s", text);
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
	if (!terminal_understands(STDERR_FILENO) && doing->step == BOOT_STEP_KERNEL)
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

void say_note(const char *format, ...)
{
	va_list args;

	progress_line(NULL);
	fprintf(stderr, "taut: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
}

static void sink(enum log_level level, const char *line)
{
	progress_line(NULL);
	fprintf(stderr, "taut: %s%s\n", level == LOG_WARN ? "warning: " : "", line);
}

void say_setup(const struct common *common)
{
	log_sink = sink;
	log_level = common->verbose ? LOG_DEBUG : common->quiet ? LOG_QUIET : LOG_WARN;
}

int say_error(const struct err *e)
{
	char text[1100];

	progress_line(NULL);
	fprintf(stderr, "taut: %s\n", err_string(e, text, sizeof(text)));
	return e->exit != EXIT_DONE ? (int)e->exit : EXIT_FAILED;
}

int say_end(const struct err *e)
{
	return e->code == EINTR ? EXIT_INTERRUPTED : say_error(e);
}

struct report_style say_style(const struct common *common)
{
	const char *no_colour = getenv("NO_COLOR");

	return (struct report_style){
		.colour = terminal_understands(STDOUT_FILENO) && !(no_colour && *no_colour),
		.brief = common->quiet};
}

int say_data(const char *data, size_t len)
{
	if (isatty(STDOUT_FILENO))
		progress_line(NULL);
	if (fwrite(data, 1, len, stdout) == len && fflush(stdout) == 0)
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
