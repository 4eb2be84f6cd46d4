/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Interrupts. */
#include "private.h"

static const struct knob rows[] = {
	{.id = "irq-default-affinity",
		.help = "Interrupts that are set up from now on go to the housekeeping CPUs. A cpuset partition does not change this mask.",
		.object = "/proc/irq/default_smp_affinity",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "irq-affinity",
		.help = "Interrupts and their softirqs run on the housekeeping CPUs. Interrupts that the kernel manages itself cannot be moved.",
		.risk = "a running irqbalance moves them back; a NIC that goes down and up loses its masks",
		.expand = EXPAND_IRQ,
		.object = "/proc/irq/#/smp_affinity",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
};

const struct knob_table tune_knobs_irq = {rows, ARRAY_LEN(rows)};
