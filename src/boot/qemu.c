/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QEMU as this machine has it: the program, its version, and whether it has the devices that taut's machines
 * consist of.  It is looked for once in a process.
 */
#include "boot.h"

#include <stdio.h>

#define ASK_NS  (20 * NS_PER_S)
#define OLDEST  6 /* the first with -chardev socket,fd=, -sandbox and query-cpus-fast as used here */
#define PROGRAM "qemu-system-x86_64"

static const char *const devices[] = {"virtio-net-pci", "virtio-serial-pci", "virtserialport"};

struct answer {
	bool asked;
	struct qemu qemu;
	struct err why;
};

static int version_read(struct qemu *q, struct err *e)
{
	const char *const argv[] = {q->program, "--version", NULL};
	AUTO_FREE char *text = NULL;
	int rc = child_run(argv, true, ASK_NS, &text, e);

	if (rc < 0)
		return rc;
	if (rc > 0 || sscanf(text, "QEMU emulator version %u.%u", &q->major, &q->minor) != 2) {
		text[strcspn(text, "\n")] = 0;
		return err_set(e, ENOTSUP, "cannot use %s: it says '%.120s' when asked for its version",
			q->program, text);
	}
	if (sscanf(text, "QEMU emulator version %40s", q->version) != 1)
		q->version[0] = 0;
	if (q->major < OLDEST)
		return err_set(e, ENOTSUP, "cannot use QEMU %s: it is older than %d.0", q->version, OLDEST);
	return 0;
}

static int devices_check(const struct qemu *q, struct err *e)
{
	const char *const argv[] = {q->program, "-device", "help", NULL};
	AUTO_FREE char *text = NULL;
	int rc = child_run(argv, true, ASK_NS, &text, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		AUTO_FREE char *name = str_format("name \"%s\"", devices[i]);
		if (!strstr(text, name))
			return err_set(e, ENOTSUP, "cannot use QEMU %s: it has no device %s", q->version,
				devices[i]);
	}
	return 0;
}

static void ask(struct answer *a)
{
	int rc = 0;

	if (!program_find(PROGRAM, a->qemu.program, sizeof(a->qemu.program))) {
		rc = err_set(&a->why, ENOENT, "no " PROGRAM " on PATH");
		err_try(&a->why, "apt-get install qemu-system-x86");
	}
	if (rc == 0)
		rc = version_read(&a->qemu, &a->why);
	if (rc == 0)
		devices_check(&a->qemu, &a->why);
	a->asked = true;
}

int qemu_find(struct qemu *out, struct err *e)
{
	static struct answer answer;

	if (!answer.asked)
		ask(&answer);
	if (answer.why.code) {
		*e = answer.why;
		return -answer.why.code;
	}
	*out = answer.qemu;
	return 0;
}

const char *accel_name(enum accel accel)
{
	return accel == ACCEL_KVM ? "kvm" : "tcg";
}
