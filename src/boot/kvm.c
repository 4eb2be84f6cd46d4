/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether KVM works.  On a machine that is a guest itself, /dev/kvm may open and make virtual machines and
 * CPUs, although no kernel gets through its early boot there.  So a small guest is booted, with a deadline;
 * KVM works when its agent sends its first frame.  The answer is kept (kvm_answer.c), unless the guest could
 * not be started at all: then nothing is known.
 */
#include "image.h"
#include "kvm_answer.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define PROBE_NS (8 * NS_PER_S)
#define MEMORY   256

uint64_t boot_patience_ns(uint64_t ns)
{
	return host_emulated() ? 8 * ns : ns;
}

/* Waits for the first frame of the guest's agent; 0, or an error that says why none came. */
static int first_word(struct machine *m, int control, struct err *e)
{
	char how[512];
	json_t *body = NULL;
	bool closed = false;

	for (;;) {
		struct pollfd p[] = {
			{.fd = control, .events = POLLIN}, {.fd = machine_pidfd(m), .events = POLLIN}};
		uint64_t deadline = machine_boot_deadline_ns(m, boot_patience_ns(PROBE_NS)),
			 now = time_now_ns();
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (now >= deadline)
			return err_set(e, ETIMEDOUT, "a guest started with it did not boot in %llu s",
				(unsigned long long)((now - machine_started_ns(m)) / NS_PER_S));
		poll(p, ARRAY_LEN(p), (int)MIN((deadline - now) / NS_PER_MS + 1, 1000u));
		if (p[0].revents & POLLIN) {
			int rc = frame_expect(
				control, FRAME_HELLO, &body, now + boot_patience_ns(PROBE_NS), e);
			json_decref(body);
			if (rc != -EPIPE)
				return rc;
			closed = true; /* of a machine that ends the streams close first */
		}
		if (p[1].revents || closed) {
			machine_ended(m, true, how, sizeof(how));
			return err_set(e, ENOTSUP, "a guest started with it did not boot: %s", how);
		}
	}
}

/* Sets *tried when a guest was started, so that the result is an answer. */
static int probe(const struct kernel *k, const char *agent, const char *folder, const char *mark, bool *tried,
	struct err *e)
{
	char image[PATH_BYTES];
	struct machine *m = NULL;
	const struct boot_document document = {.role = BOOT_PROBE};
	int ends[2], rc = image_guest(k, agent, NULL, image, sizeof(image), e);

	if (rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		rc = err_sys(e, "cannot make a stream");
	if (rc == 0) {
		const struct machine_options options = {.kernel = k,
			.image = image,
			.document = &document,
			.mark = mark,
			.folder = folder,
			.control = ends[1],
			.accel = ACCEL_KVM,
			.cpus = 1,
			.memory_mib = MEMORY};
		rc = machine_start(&m, &options, e);
		close(ends[1]);
		*tried = rc == 0;
		if (rc == 0)
			rc = first_word(m, ends[0], e);
		machine_stop(m);
		close(ends[0]);
	}
	return rc;
}

bool kvm_works(const struct kernel *k, const char *agent, const char *mark, char *why, size_t size)
{
	AUTO_CLOSE int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	char cache[400], boot[40];
	struct err e = ERR_INIT;
	bool works = false, tried = false;
	struct qemu q;

	if (kvm < 0) {
		snprintf(why, size, "cannot open /dev/kvm: %s", strerror(errno));
		return false;
	}
	if (boot_cache(cache, sizeof(cache), &e) < 0 || boot_id(root, boot, &e) < 0 ||
		qemu_find(&q, &e) < 0) {
		snprintf(why, size, "%s", e.text);
		return false;
	}
	AUTO_FREE char *path = str_format("%s/kvm.json", cache);
	AUTO_FREE char *folder = str_format("%s/probe-%d", cache, getpid());
	AUTO_FREE char *with = str_format("kernel %s %s, QEMU %s", k->release, k->version, q.version);
	int rc = kvm_answer(path, boot, with, why, size);
	if (rc >= 0)
		return rc > 0;
	rc = dir_make(folder, 0700, &e);
	AUTO_CLOSE int hold = rc < 0 ? rc : half_hold(folder, &e);
	if (rc == 0 && (rc = MIN(hold, 0)) == 0)
		rc = probe(k, agent, folder, mark, &tried, &e);
	tree_remove(folder, ERR_IGNORED);
	works = rc == 0;
	snprintf(why, size, "%s", works ? "" : e.text);
	if (tried && rc != -EINTR)
		kvm_answer_keep(path, boot, with, works, why);
	return works;
}
