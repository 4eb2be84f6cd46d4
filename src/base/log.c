/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Libraries do not print: they hand a line to log_sink, which cli and the agent set.  Without a sink nothing
 * is logged.
 */
#include "base.h"

#include <stdio.h>

enum log_level log_level = LOG_WARN;
void (*log_sink)(enum log_level level, const char *line);
volatile int stop_flag;

static void log_line(enum log_level level, const char *format, va_list args)
{
	char line[1024];

	if (level > log_level || !log_sink)
		return;
	int saved = errno;
	vsnprintf(line, sizeof(line), format, args);
	log_sink(level, line);
	errno = saved;
}

#define LOG(level)                                                                                           \
	va_list args;                                                                                        \
	va_start(args, format);                                                                              \
	log_line(level, format, args);                                                                       \
	va_end(args)

void log_warn(const char *format, ...)
{
	LOG(LOG_WARN);
}

void log_info(const char *format, ...)
{
	LOG(LOG_INFO);
}

void log_debug(const char *format, ...)
{
	LOG(LOG_DEBUG);
}
