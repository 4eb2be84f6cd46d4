/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kernel work and sleep states of the isolated CPUs. */
#include "private.h"

static const struct knob rows[] = {
	{.id = "wq-unbound-cpumask",
		.help = "Kernel workers that are bound to no CPU leave the isolated CPUs.",
		.risk = "on a loaded machine all of these workers move at once",
		.object = "/sys/devices/virtual/workqueue/cpumask",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "wq-writeback-cpumask",
		.help = "The kernel threads that write dirty pages to disks leave the isolated CPUs.",
		.risk = "dirty pages are written more slowly",
		.object = "/sys/devices/virtual/workqueue/writeback/cpumask",
		.executor = "file-mask",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "watchdog-cpumask",
		.help = "The kernel's lockup detectors run on the housekeeping CPUs only and interrupt no isolated CPU.",
		.risk = "a lockup of an isolated CPU is not noticed",
		.object = "/proc/sys/kernel/watchdog_cpumask",
		.executor = "file-list",
		LOW_LATENCY(tune_value_off_isolated)},
	{.id = "pm-qos-resume-latency",
		.help = "The isolated CPUs enter no sleep state that takes time to leave. The value 'n/a' asks for zero latency.",
		.risk = "the machine uses more power, and the other CPUs reach lower turbo frequencies",
		.expand = EXPAND_CPU,
		.object = "/sys/devices/system/cpu/cpu#/power/pm_qos_resume_latency_us",
		.executor = "file",
		LOW_LATENCY_TEXT("n/a")},
};

const struct knob_table tune_knobs_cpu = {rows, ARRAY_LEN(rows)};
