/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of knobs, in the order in which their knobs are applied. */
#include "private.h"

/* Applied from the first to the last, undone backwards. */
static const struct knob_table *const tables[] = {&tune_knobs_command, &tune_knobs_partition, &tune_knobs_irq,
	&tune_knobs_cpu, &tune_knobs_net, &tune_knobs_sched, &tune_knobs_vm};

int tune_rows_each(int (*fn)(const struct knob *knob, void *arg), void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (size_t j = 0; j < tables[i]->n; j++) {
			int rc = fn(&tables[i]->rows[j], arg);
			if (rc)
				return rc;
		}
	return 0;
}

struct telling {
	void (*fn)(const char *id, const char *help, void *arg);
	void *arg;
};

static int tell(const struct knob *knob, void *arg)
{
	const struct telling *telling = arg;
	AUTO_FREE char *help =
		knob->risk ? str_format("%s (risk: %s)", knob->help, knob->risk) : str_dup(knob->help);

	telling->fn(knob->id, help, telling->arg);
	return 0;
}

void tune_knobs_each(void (*fn)(const char *id, const char *help, void *arg), void *arg)
{
	struct telling telling = {fn, arg};

	tune_rows_each(tell, &telling);
}
