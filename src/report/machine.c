/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machines behind the figures, for people: which kernels, what ran them, and how they booted. */
#include "text.h"

#include <math.h>
#include <stdio.h>

/* How people are told of an accelerator; plain hardware needs no word. */
static void add_accel(struct buf *line, const char *accel)
{
	if (!strcmp(accel, "tcg"))
		buf_add(line, ", emulated (tcg)");
	else if (*accel)
		buf_add(line, ", %s", accel);
}

/* --- a cell ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	size_t kernel, accel;
	bool guest;
} machines[] = {
	{"host", offsetof(struct report_facts, host_kernel), offsetof(struct report_facts, host_accel),
		false},
	{"guest", offsetof(struct report_facts, guest_kernel), offsetof(struct report_facts, accel), true},
};

static uint64_t cpus_of(const struct report_arm *arm, bool guest)
{
	return guest ? arm->guest_cpus : arm->host_cpus;
}

/* How many CPUs such a machine has, where that is known and the same in all arms. */
static void add_cpus(struct buf *line, const struct report_cell *cell, bool guest)
{
	uint64_t n = cpus_of(&cell->arms[0], guest);

	for (size_t i = 1; i < cell->arms_n; i++)
		if (cpus_of(&cell->arms[i], guest) != n)
			return;
	if (n)
		buf_add(line, ", %llu CPU%s", (unsigned long long)n, n == 1 ? "" : "s");
}

static const char *fact_at(const struct report_arm *arm, size_t fact)
{
	return (const char *)&arm->facts + fact;
}

/* The fact that every arm has; NULL when they differ. */
static const char *shared(const struct report_cell *cell, size_t fact)
{
	for (size_t i = 1; i < cell->arms_n; i++)
		if (strcmp(fact_at(&cell->arms[0], fact), fact_at(&cell->arms[i], fact)))
			return NULL;
	return fact_at(&cell->arms[0], fact);
}

void report_machines(const struct report_cell *cell, struct buf *out)
{
	struct buf line = {0};
	bool plain = true;

	for (size_t i = 0; i < cell->arms_n; i++)
		plain &= !host_of(&cell->arms[i].settings)->emulated &&
			 !target_of(&cell->arms[i].settings)->machine;
	for (size_t i = 0; !plain && i < ARRAY_LEN(machines); i++) {
		const char *kernel = shared(cell, machines[i].kernel),
			   *accel = shared(cell, machines[i].accel);

		if (kernel && !*kernel)
			continue;
		buf_add(&line, "%s%s %s", line.len ? " · " : "", machines[i].name,
			kernel ? kernel : "by arm");
		add_accel(&line, accel ? accel : "");
		add_cpus(&line, cell, machines[i].guest);
	}
	if (cell->exact)
		buf_add(&line, "%sexact clock", line.len ? " · " : "");
	if (line.len)
		text_wrap(out, "  machine   ", line.data);
	buf_free(&line);
}

void report_arm_machines(
	const struct report_cell *cell, const struct report_arm *arm, bool any, struct buf *line)
{
	for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
		const char *kernel = fact_at(arm, machines[i].kernel),
			   *accel = fact_at(arm, machines[i].accel);
		bool other = !shared(cell, machines[i].kernel) || !shared(cell, machines[i].accel);

		if (!other || !*kernel)
			continue;
		buf_add(line, "%s %s %s", any ? "," : "", machines[i].name, kernel);
		add_accel(line, shared(cell, machines[i].accel) ? "" : accel);
		any = true;
	}
}

/* --- boots ------------------------------------------------------------------------------------- */

static bool add_step(struct buf *line, const char *before, const char *what, double ns)
{
	char text[32];

	if (isfinite(ns))
		buf_add(line, "%s%s %s", before, what, text_ns(ns, text, sizeof(text)));
	return isfinite(ns);
}

bool report_boot_words(const double boot_ns[REPORT_BOOT_STEPS], struct buf *line)
{
	double ready = boot_ns[REPORT_BOOT_EXEC_TO_READY], kernel = boot_ns[REPORT_BOOT_KERNEL_TO_INIT],
	       init = boot_ns[REPORT_BOOT_INIT_TO_READY], inside = kernel + init;
	size_t before = line->len;
	char text[32];

	if (isfinite(ready))
		buf_add(line, "%s from exec to the agent's first word", text_ns(ready, text, sizeof(text)));
	else if (isfinite(inside))
		buf_add(line, "%s of its own time to the agent's first word",
			text_ns(inside, text, sizeof(text)));
	if (line->len > before && isfinite(inside)) {
		/* What passed before the kernel had a clock, or while it stood still. */
		const char *next = " (";

		if (isfinite(ready) && ready >= inside &&
			add_step(line, next, "QEMU and firmware", ready - inside))
			next = ", ";
		add_step(line, next, "kernel", kernel);
		add_step(line, ", ", "PID 1", init);
		buf_add(line, ")");
	}
	add_step(line, line->len > before ? ", " : "", "first transaction at",
		boot_ns[REPORT_BOOT_EXEC_TO_FIRST]);
	return line->len > before;
}

void report_boots(const struct report_cell *cell, struct buf *out)
{
	bool said = false;

	for (size_t i = 0; i < cell->arms_n; i++) {
		struct buf line = {0};

		buf_add(&line, "%s: ", cell->arms[i].name);
		if (report_boot_words(cell->arms[i].boot_ns, &line)) {
			text_wrap(out, said ? "            " : "  boot      ", line.data);
			said = true;
		}
		buf_free(&line);
	}
}

/* --- a trial ----------------------------------------------------------------------------------- */

void report_trial_machines(const struct trial_record *r, const struct report_trial *t, struct buf *out)
{
	const struct {
		const char *head;
		const struct kernel_facts *k;
	} rows[] = {{"  host      ", &r->host}, {"  guest     ", &r->guest}};
	struct buf line = {0};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct kernel_facts *k = rows[i].k;

		if (!k->kernel[0])
			continue;
		line.len = 0;
		buf_add(&line, "%s %s", k->kernel, k->version);
		add_accel(&line, k->accel);
		if (k->program[0])
			buf_add(&line, ", %s", k->program);
		text_wrap(out, rows[i].head, line.data);
	}
	line.len = 0;
	if (report_boot_words(t->boot_ns, &line))
		text_wrap(out, "  boot      ", line.data);
	buf_free(&line);
}

void report_console(const char *console, size_t most, struct buf *out)
{
	size_t lines = 0;
	const char *at = console + strlen(console);

	/* A line feed at the very end begins no line. */
	while (at > console && at[-1] == '\n')
		at--;
	const char *end = at;
	while (at > console && (at[-1] != '\n' || ++lines < most))
		at--;
	if (at == end)
		return;
	buf_add(out, "  console, its last lines:\n");
	while (at < end) {
		size_t n = strcspn(at, "\n");

		buf_add(out, "    %.*s\n", (int)n, at);
		at += n + (at[n] == '\n');
	}
}
