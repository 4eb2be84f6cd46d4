/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conditions: what a measurement depends on besides the knobs, as it was read back, once before and once
 * after measuring.  Knobs are verified against what was written; a condition is what nobody has to have
 * written, and a stranger can change: how the threads of both ends are scheduled, which CPUs they may use,
 * the options of their sockets, the links.
 *
 * An object is an end, a role that has threads on the host ("vcpu"), a link that the host sees, or one inside
 * the guest of an end ("server eth0").  Where its threads or sockets differ, the text holds each value once:
 * "other, fifo:10".
 */
#pragma once

#include "spec/spec.h"
#include "wire.h"

enum condition_kind {
	CONDITION_SCHED,
	CONDITION_NICE,
	CONDITION_CPUS,
	CONDITION_NODELAY,
	CONDITION_BUSY_POLL,
	CONDITION_PRIORITY,
	CONDITION_SEND_BUFFER,
	CONDITION_RECEIVE_BUFFER,
	CONDITION_CONGESTION,
	CONDITION_IP_VERSION,
	CONDITION_CAPABILITIES,
	/* Of links; from the driver on of devices alone, not of virtual links: */
	CONDITION_MTU,
	CONDITION_QDISC,
	CONDITION_DRIVER,
	CONDITION_LINE_RATE,
	CONDITION_MODERATION,
	CONDITION_OFFLOADS,
	CONDITION_QUEUES,
	CONDITION_KINDS
};

struct condition_row {
	const char *name;  /* in records and JSON */
	const char *label; /* for people: "scheduling" */
	bool varies;       /* the kernel changes it by itself: shown, not held */
};
extern const struct condition_row condition_rows[CONDITION_KINDS];

#define CONDITION_TEXT  96
#define CONDITIONS_MAX  80
#define LINK_CONDITIONS (CONDITION_QUEUES + 1 - CONDITION_MTU)

struct condition {
	enum condition_kind kind;
	char object[32];
	char before[CONDITION_TEXT], after[CONDITION_TEXT];
};

struct conditions {
	size_t n;
	struct condition at[CONDITIONS_MAX];
};

/* The condition of that kind and object, which is added when it is not there yet; NULL without room. */
struct condition *conditions_of(struct conditions *c, enum condition_kind kind, const char *object);
/* NULL when there is none. */
const struct condition *conditions_find(
	const struct conditions *c, enum condition_kind kind, const char *object);
/* Adds a value to the text of a condition, unless it is in it.  What does not fit is told apart by a hash. */
void condition_value(char text[CONDITION_TEXT], const char *value);
/* Adds what one more thread, socket or link of the object has, before and after. */
void condition_add(struct conditions *c, enum condition_kind kind, const char *object, const char *before,
	const char *after);
/* Adds what a link is set to: texts for the kinds from CONDITION_MTU on, "" where it has none; after NULL: it
 * has gone. */
void condition_add_link(struct conditions *c, const char *name, const char (*before)[CONDITION_TEXT],
	const char (*after)[CONDITION_TEXT]);
/* Is it of a link inside the guest of an end? */
bool condition_in_guest(const struct condition *c);
/* What the settings ask for, in the words of the condition; "" when they leave it open.  Returns out. */
char *condition_asked(const struct settings *s, const struct condition *c, char out[CONDITION_TEXT]);
/* Is it as asked, or if nothing was asked for, as it was before? */
bool condition_holds(const struct settings *s, const struct condition *c);

json_t *conditions_json(const struct conditions *c);
/* Bounds and checks everything; what is missing is none.  From the archive, kinds that are not known are left
 * out. */
int conditions_from_json(struct conditions *c, const json_t *array, enum reading how, struct err *e);
