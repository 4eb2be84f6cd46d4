/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm: what a target that is a virtual machine has besides; private to the module. */
#pragma once

#include "boot/boot.h"
#include "net/net.h"
#include "spec/plan.h"

#define VM_MAC "52:54:00:74:61:75" /* of the network device of a machine of ours, unless its link has one */

struct vm {
	char vfio[16];                /* the PCI function that it gets; "": none, but a tap */
	char driver[64];              /* which that function needs in the machine */
	char mac[NET_MAC];            /* of its network device */
	int taps[MACHINE_QUEUES_MAX]; /* one for each queue; −1: none */
};

struct target;

/* Is what every machine needs there, but for what it boots?  Cheap. */
int vm_ground(const struct trial_plan *plan, struct err *e);
/* Starts the machine of a target: `o` has what it boots, the rest follows from the plan. */
int vm_begin(struct target *t, struct machine_options *o, struct err *e);
/* Hooks of a runtime. */
int vm_server_threads(const struct target *t, struct subject *subject, struct err *e);
void vm_stop(struct target *t, struct buf *problems);
/* Which accelerator is it to be?  KVM is tried with the plan's kernel, where there is one. */
int vm_accel(struct trial_plan *plan, const char *agent, struct err *e);
