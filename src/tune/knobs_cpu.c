/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kernel work and sleep states of the isolated CPUs. */
#include "private.h"

static const struct knob rows[] = {
	{.id = "wq-unbound-cpumask",
		.help = "Unbound kernel workers leave the isolated CPUs.",
		.risk = "the workers of a loaded machine all move at once",
		.object = "/sys/devices/virtual/workqueue/cpumask",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "wq-writeback-cpumask",
		.help = "The threads that write dirty pages leave the isolated CPUs.",
		.risk = "slower writeback",
		.object = "/sys/devices/virtual/workqueue/writeback/cpumask",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "watchdog-cpumask",
		.help = "The lockup detectors run on the housekeeping CPUs only.",
		.risk = "a lockup of an isolated CPU goes unnoticed",
		.object = "/proc/sys/kernel/watchdog_cpumask",
		.executor = "file-list",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "pm-qos-resume-latency",
		.help = "The isolated CPUs enter no sleep state whose exit takes time; 'n/a' is zero latency.",
		.risk = "more power, less turbo for the other CPUs",
		.expand = EXPAND_CPU,
		.object = "/sys/devices/system/cpu/cpu#/power/pm_qos_resume_latency_us",
		.executor = "file",
		LOW_LATENCY_TEXT("n/a")},
};

const struct knob_table tune_knobs_cpu = {rows, ARRAY_LEN(rows)};
