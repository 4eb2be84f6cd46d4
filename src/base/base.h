/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * base: what every module uses: errors, ownership, log, time, strings.
 *
 * Errors.  A fallible function returns 0, a count or -errno and takes `struct err *e` last.  The text reads
 * "cannot <verb> <object>: <why> (try: <what>)": the function that failed sets the text with err_set() or
 * err_sys(), each caller may put its own half in front with err_wrap(), and err_try() adds the advice. `exit`
 * is the exit code that the error asks for (see enum err_exit); it is EXIT_FAILED unless err_usage(),
 * err_refused() or a caller sets another one.
 *
 * Ownership.  AUTO_* variables own what they hold and release it at the end of their scope; steal_ptr() and
 * steal_fd() hand it over to another owner.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- exit codes, and errors -------------------------------------------------------------------- */

enum err_exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_GATE = 3,
	EXIT_NOT_ASSESSED = 4,
	EXIT_REFUSED = 5,
	EXIT_PARTLY_APPLIED = 6,
	EXIT_INTERRUPTED = 130,
};

struct err {
	int code;           /* positive errno value, 0 when there is no error */
	enum err_exit exit; /* EXIT_DONE when there is no error */
	char text[768];     /* "cannot …: why" */
	char advice[256];   /* "" or what to try */
};

#define ERR_INIT ((struct err){0})
/* For a caller that needs the returned code alone.  A pointer to an error is never NULL, because err_wrap()
 * returns the code that is kept in the error. */
#define ERR_IGNORED  (&(struct err){0})
#define PRINTF(a, b) __attribute__((format(printf, a, b)))

/* Each of these returns -code, so that `return err_set(…)` reads well. */
int err_set(struct err *e, int code, const char *format, ...) PRINTF(3, 4);
/* Adds the text of errno to the end of the message; the code is errno. */
int err_sys(struct err *e, const char *format, ...) PRINTF(2, 3);
/* The same with `code` in place of errno. */
int err_code(struct err *e, int code, const char *format, ...) PRINTF(3, 4);
/* EXIT_USAGE, EINVAL: the user asked for something that makes no sense. */
int err_usage(struct err *e, const char *format, ...) PRINTF(2, 3);
/* EXIT_REFUSED, EPERM: for safety or for missing privilege. */
int err_refused(struct err *e, const char *format, ...) PRINTF(2, 3);
/* Puts "…: " in front of the text of the error; returns -e->code.  The error must be set. */
int err_wrap(struct err *e, const char *format, ...) PRINTF(2, 3);
/* Sets the advice when there is none yet; returns -e->code. */
int err_try(struct err *e, const char *format, ...) PRINTF(2, 3);
/* "text (try: advice)" into out; returns out. */
const char *err_string(const struct err *e, char *out, size_t size);

/*
 * The functions above always return less than 0, since `code` is asserted to be positive.  This wrapper shows
 * that to compilers and analyzers, which then know that outputs are set wherever no error was returned.
 */
static inline int err_negative_(int rc)
{
	if (rc >= 0)
		__builtin_unreachable();
	return rc;
}

#define err_set(...)     err_negative_(err_set(__VA_ARGS__))
#define err_sys(...)     err_negative_(err_sys(__VA_ARGS__))
#define err_code(...)    err_negative_(err_code(__VA_ARGS__))
#define err_usage(...)   err_negative_(err_usage(__VA_ARGS__))
#define err_refused(...) err_negative_(err_refused(__VA_ARGS__))

/* --- ownership --------------------------------------------------------------------------------- */

static inline void auto_free_(void *p)
{
	free(*(void **)p);
}

static inline void auto_close_(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define AUTO_FREE  __attribute__((cleanup(auto_free_)))
#define AUTO_CLOSE __attribute__((cleanup(auto_close_)))
#define AUTO(fn)   __attribute__((cleanup(fn)))

static inline void *steal_ptr_(void *p)
{
	void **slot = p, *value = *slot;

	*slot = NULL;
	return value;
}

#define steal_ptr(p) ((__typeof__(*(p)))steal_ptr_(p))

static inline int steal_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

/* Allocations that taut cannot run without: these end the program with a message when there is no memory. */
void *mem_alloc(size_t size); /* zeroed */
void *mem_array(size_t n, size_t size);
void *mem_grow(void *p, size_t n, size_t size); /* realloc of n elements */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

/* --- log --------------------------------------------------------------------------------------- */

enum log_level { LOG_QUIET, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The globals of the program: how much is logged and where it goes, which cli and the agent set; and the stop
 * flag. */
extern enum log_level log_level;
extern void (*log_sink)(enum log_level level, const char *line);
extern volatile int stop_flag; /* counts interrupts: 1 stop and restore, 2 skip the analysis as well */

void log_warn(const char *format, ...) PRINTF(1, 2);
void log_info(const char *format, ...) PRINTF(1, 2);
void log_debug(const char *format, ...) PRINTF(1, 2);

/* --- time -------------------------------------------------------------------------------------- */

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

uint64_t time_now_ns(void);        /* CLOCK_MONOTONIC */
uint64_t time_since_boot_ns(void); /* CLOCK_BOOTTIME */
uint64_t time_wall_ns(void);       /* CLOCK_REALTIME, since 1970 */
/* "2026-01-02T03:04:05Z" into out (at least 21 bytes); returns out. */
char *time_iso8601(uint64_t wall_ns, char *out, size_t size);
/* Parses "200ms", "3s", "10us", "5m", "24h", "1.5s" into ns; a bare "0" is allowed, another bare number is
 * not. */
int time_parse_ns(const char *text, uint64_t *ns, struct err *e);
/* "1.5 s", "200 ms", "17.6 µs", "41 ns": three significant digits, for the user to read. */
char *time_format_ns(double ns, char *out, size_t size);

/* --- strings ----------------------------------------------------------------------------------- */

char *str_format(const char *format, ...) PRINTF(1, 2); /* malloc'd, never NULL */
char *str_format_list(const char *format, va_list args);
char *str_dup(const char *text); /* malloc'd; NULL for NULL */
/* One copy of each text, which is kept as long as the program runs and is never freed: equal texts are the
 * same pointer.  For words of settings, of which there are few.  Not for threads that measure. */
const char *str_keep(const char *text);
/* Copies and always ends the copy with NUL; -ENAMETOOLONG when the text does not fit, and then out is "". */
int str_copy(char *out, size_t size, const char *text);
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *ending);
bool str_in(const char *text, const char *list); /* is text one of the words of "a|b|c"? */
/* What of a text is fit for a terminal (printable.c).  In place: what is not, line feeds included, becomes
 * '?'. */
char *str_printable(char *text);
char *str_printable_lines(char *text); /* but line feeds and tabs stay */
/* How many bytes at the beginning are; *not_shown: the length of the character behind them that is not, 0 at
 * the end. */
size_t str_shown(const char *text, size_t len, size_t *not_shown);
bool str_code_shown(uint32_t code); /* one character, by its number */
char *str_trim(char *text);         /* in place: without leading and trailing white space */
/* The closest of `words` (by edit distance, at most 3) to what was typed, or NULL: for "did you mean". */
/* "a, b or c" with `last` before the last word; malloc'd, "" for none. */
char *str_list(const char *const *words, size_t n, const char *last);
const char *str_closest(const char *typed, const char *const *words, size_t n);
/* Whole-string parsing; -EINVAL or -ERANGE, *out untouched then. */
int str_u64(const char *text, uint64_t *out);
int str_double(const char *text, double *out);
/* "64", "128K", "128KiB", "1M", "2G" (powers of 1024) into bytes. */
int str_bytes(const char *text, uint64_t *out);

/* A growing string. */
struct buf {
	char *data; /* NUL-terminated when not NULL */
	size_t len, room;
	size_t columns; /* of the terminal that will show it; 0: no terminal */
};
void buf_add(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_put(struct buf *b, const void *data, size_t len);
void buf_free(struct buf *b);

/* --- random numbers ---------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014): the seed is the state. */
uint64_t rng_next(uint64_t *state);
/* Uniform in [0, n): the upper 32 bits times n, shifted; n < 2^32. */
uint32_t rng_below(uint64_t *state, uint32_t n);
/* 16 random bytes from the kernel as 32 hex digits. */
int rng_token(char out[33], struct err *e);

/* --- hashes ------------------------------------------------------------------------------------ */

/* Tells inputs apart (FNV-1a, 128 bits).  It is no cryptographic hash. */
struct hash {
	unsigned __int128 value;
};
struct hash hash_new(void);
void hash_add(struct hash *h, const void *data, size_t len);
void hash_text(struct hash *h, const char *text); /* with its NUL, so that "a", "b" is not "ab" */
char *hash_hex(const struct hash *h, char out[33]);
