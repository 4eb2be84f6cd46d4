/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kvm_answer: what booting a guest with KVM has shown, kept in a file. */
#ifndef TAUT_BOOT_KVM_ANSWER_H
#define TAUT_BOOT_KVM_ANSWER_H

#include "base/base.h"

/*
 * 1: KVM works; 0: it does not with this kernel and QEMU (`with`), and `why`; −ENOENT: nothing is known of
 * this boot of the host.
 */
int kvm_answer(const char *path, const char *boot, const char *with, char *why, size_t size);
/* Keeps an answer.  When it cannot be written, the next taut finds it out again. */
void kvm_answer_keep(const char *path, const char *boot, const char *with, bool works, const char *why);

#endif
