/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vm: what a target that is a virtual machine has besides; private to the room. */
#pragma once

#include "boot/boot.h"

struct vm {
	struct kernel kernel;
	enum accel accel;
	int taps[MACHINE_QUEUES_MAX]; /* one for each queue; −1: none */
};
