/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which threads of a QEMU process do what. */
#pragma once

#include "sys/sys.h"
#include "wire/wire.h"

/*
 * Adds the threads of the QEMU process `pid` to the subject, vCPUs first and in their order, then vhost
 * workers, iothreads and the rest.  `told` are the vCPUs' thread ids as QEMU tells them over QMP; 0 of them
 * when it was not asked.  -ESRCH when the process has gone, -ENOENT when no thread can be told to be a vCPU.
 */
int vm_threads(int root, pid_t pid, const pid_t *told, size_t told_n, struct subject *subject, struct err *e);
