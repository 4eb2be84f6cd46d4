/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base.h"

#include <assert.h>
#include <stdio.h>

#undef err_set
#undef err_sys
#undef err_code
#undef err_usage
#undef err_refused

static int err_fill(
	struct err *e, int code, enum err_exit exit_code, bool with_errno, const char *format, va_list args)
{
	assert(e && code > 0);
	int n = vsnprintf(e->text, sizeof(e->text), format, args);
	if (with_errno && n >= 0 && (size_t)n < sizeof(e->text))
		snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", strerror(code));
	e->code = code;
	e->exit = exit_code;
	e->advice[0] = 0;
	return -code;
}

#define FILL(code, exit_code, with_errno)                                                                    \
	va_list args;                                                                                        \
	va_start(args, format);                                                                              \
	int rc = err_fill(e, code, exit_code, with_errno, format, args);                                     \
	va_end(args);                                                                                        \
	return rc

int err_set(struct err *e, int code, const char *format, ...)
{
	FILL(code, EXIT_FAILED, false);
}

int err_sys(struct err *e, const char *format, ...)
{
	int code = errno ? errno : EIO;
	FILL(code, EXIT_FAILED, true);
}

int err_code(struct err *e, int code, const char *format, ...)
{
	FILL(code, EXIT_FAILED, true);
}

int err_usage(struct err *e, const char *format, ...)
{
	FILL(EINVAL, EXIT_USAGE, false);
}

int err_refused(struct err *e, const char *format, ...)
{
	FILL(EPERM, EXIT_REFUSED, false);
}

int err_wrap(struct err *e, const char *format, ...)
{
	char head[512], whole[sizeof(e->text)];
	va_list args;

	assert(e->code > 0);
	va_start(args, format);
	vsnprintf(head, sizeof(head), format, args);
	va_end(args);
	/* A message that is too long is cut at its end, never at its beginning. */
	int n = snprintf(whole, sizeof(whole), "%s: ", head);
	if (n > 0 && (size_t)n < sizeof(whole))
		snprintf(whole + n, sizeof(whole) - (size_t)n, "%.*s", (int)(sizeof(whole) - (size_t)n - 1),
			e->text);
	memcpy(e->text, whole, sizeof(whole));
	return -e->code;
}

int err_try(struct err *e, const char *format, ...)
{
	va_list args;

	assert(e->code > 0);
	if (!e->advice[0]) {
		va_start(args, format);
		vsnprintf(e->advice, sizeof(e->advice), format, args);
		va_end(args);
	}
	return -e->code;
}

const char *err_string(const struct err *e, char *out, size_t size)
{
	if (e->advice[0])
		snprintf(out, size, "%s (try: %s)", e->text, e->advice);
	else
		snprintf(out, size, "%s", e->text);
	return out;
}
