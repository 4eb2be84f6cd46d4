/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Booting an emulated host: what it must have in it for the trials that it shall serve, and whether one that
 * runs can serve another.
 */
#include "lab.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define BOOT_NS     (120 * NS_PER_S)
#define LOOK_NS     (200 * NS_PER_MS)
#define HOST_CPUS   2
#define HOST_MIB    1024
#define HOST_VM_MIB 1024 /* besides, where it hosts machines, and their own */

void lab_stop(struct site *site)
{
	struct lab *lab = site->lab;
	struct err e = ERR_INIT;

	site->lab = NULL;
	if (!lab)
		return;
	machine_stop(lab->machine);
	if (lab->control >= 0)
		close(lab->control);
	if (lab->folder[0] && undo_folder_remove(lab->folder, &e) < 0)
		log_warn("%s", e.text);
	free(lab);
}

/* --- what it must be able to do ---------------------------------------------------------------- */

int lab_kernel(const struct settings *s, struct kernel *k, struct err *e)
{
	int rc = kernel_find(k, settings_lab(s), e);

	if (rc == 0 && k->configured && !k->can[KERNEL_CONTAINERS])
		return err_set(e, ENOTSUP,
			"kernel %s cannot hold containers: it lacks namespaces, veth or bridges", k->release);
	if (rc == 0 && target_of(s)->machine && k->configured && !k->can[KERNEL_KVM])
		return err_set(
			e, ENOTSUP, "kernel %s cannot host virtual machines: it has no KVM", k->release);
	if (rc == 0 && !strcmp(s->path, "vhost") && k->configured && !k->can[KERNEL_VHOST])
		return err_set(e, ENOTSUP, "kernel %s has no vhost-net", k->release);
	return rc;
}

static unsigned parts_of(const struct settings *s)
{
	return (target_of(s)->machine ? IMAGE_VM : 0u) | (strcmp(s->noise, "none") ? IMAGE_NOISE : 0u);
}

/* Builds of one's own may share a release. */
static bool same_kernel(const struct kernel *a, const struct kernel *b)
{
	return !strcmp(a->release, b->release) && !strcmp(a->version, b->version) &&
	       !strcmp(a->path, b->path);
}

static const struct kernel *guest_of_release(const struct lab *lab, const char *release)
{
	for (size_t i = 0; i < lab->guests_n; i++)
		if (!strcmp(lab->guests[i].release, release))
			return &lab->guests[i];
	return NULL;
}

static bool has_guest(const struct lab *lab, const struct kernel *k)
{
	const struct kernel *there = guest_of_release(lab, k->release);

	return there && same_kernel(there, k);
}

static int lab_add(struct lab *lab, const struct settings *s, struct err *e)
{
	struct kernel k;
	int rc;

	lab->parts |= parts_of(s);
	if (!target_of(s)->machine)
		return 0;
	if ((rc = kernel_find(&k, s->kernel, e)) < 0 || has_guest(lab, &k))
		return rc;
	const struct kernel *other = guest_of_release(lab, k.release);
	if (other)
		return err_set(e, ENOTSUP,
			"cannot give one emulated host both %s and %s as guest kernels: both call themselves %s",
			other->path, k.path, k.release);
	if (lab->guests_n == LAB_GUESTS_MAX)
		return err_set(
			e, E2BIG, "cannot give one emulated host more than %d guest kernels", LAB_GUESTS_MAX);
	lab->guests[lab->guests_n++] = k;
	return 0;
}

static bool same_boot(const struct settings *a, const struct settings *b)
{
	return !strcmp(a->site, b->site) && !strcmp(a->host_boot, b->host_boot) &&
	       !strcmp(a->clock, b->clock);
}

bool lab_serves(const struct lab *lab, const struct settings *s)
{
	struct kernel host, guest;

	if (!lab || lab->doubtful || lab->control < 0 || settings_exact(s) ||
		strcmp(lab->boot, s->host_boot) || (parts_of(s) & ~lab->parts) ||
		kernel_find(&host, settings_lab(s), ERR_IGNORED) < 0 || !same_kernel(&host, &lab->kernel))
		return false;
	return !target_of(s)->machine ||
	       (kernel_find(&guest, s->kernel, ERR_IGNORED) == 0 && has_guest(lab, &guest));
}

/* --- boot -------------------------------------------------------------------------------------- */

int lab_inner(const struct settings *s, struct settings *inner, struct err *e)
{
	struct kernel k;
	int rc;

	*inner = *s;
	inner->site = "local";
	inner->clock = "real";
	inner->host_boot = "";
	if (!target_of(s)->machine)
		return 0;
	if ((rc = kernel_find(&k, s->kernel, e)) < 0)
		return rc;
	inner->kernel = str_keep(k.release);
	return 0;
}

static int lab_document(const struct settings *s, json_t **out, struct err *e)
{
	struct settings inner;
	int rc = lab_inner(s, &inner, e);

	if (rc < 0)
		return rc;
	*out = json_pack("{s:s, s:b}", "role", settings_exact(s) ? "exact" : "host", "emulated", 1);
	if (settings_exact(s))
		json_object_set_new(*out, "plan", json_pack("{s:o}", "settings", settings_json(&inner)));
	return 0;
}

static unsigned lab_memory(const struct site *site, const struct lab *lab, const struct settings *s)
{
	uint64_t guest = target_of(s)->machine ? s->memory_bytes : 0;

	for (size_t i = 0; i < site->group_n; i++)
		if (target_of(site->group[i])->machine)
			guest = MAX(guest, site->group[i]->memory_bytes);
	return HOST_MIB + (lab->parts & IMAGE_VM ? HOST_VM_MIB : 0u) + (unsigned)(guest >> 20);
}

static int lab_launch(
	const struct site *site, struct lab *lab, const struct settings *s, int theirs, struct err *e)
{
	char agent[4096], image[1024];
	json_t *document = NULL;
	int rc = target_agent(agent, sizeof(agent), e);

	if (rc == 0)
		rc = image_host(
			&lab->kernel, agent, lab->parts, lab->guests, lab->guests_n, image, sizeof(image), e);
	if (rc == 0)
		rc = lab_document(s, &document, e);
	if (rc == 0) {
		const struct machine_options o = {.kernel = &lab->kernel,
			.image = image,
			.append = s->host_boot,
			.document = document,
			.mark = undo_mark(),
			.folder = lab->folder,
			.control = theirs,
			.accel = ACCEL_TCG,
			.host = true,
			.exact = settings_exact(s),
			.cpus = HOST_CPUS,
			.memory_mib = lab_memory(site, lab, s)};
		rc = machine_start(&lab->machine, &o, e);
	}
	json_decref(document);
	return rc;
}

/* Until the control stream has something to read; an error says how the machine fared. */
static int lab_wait(struct lab *lab, uint64_t deadline_ns, struct err *e)
{
	char how[512];

	for (;;) {
		struct pollfd p = {.fd = lab->control, .events = POLLIN};
		uint64_t now = time_now_ns();
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (poll(&p, 1, (int)(LOOK_NS / NS_PER_MS)) > 0 && (p.revents & POLLIN))
			return 0;
		bool ended = machine_ended(lab->machine, false, how, sizeof(how));
		if (ended || now >= deadline_ns)
			return err_set(e, ended ? ECHILD : ETIMEDOUT, "%s%s%s",
				ended ? "" : "it did not answer in time", !ended && *how ? ": " : "", how);
	}
}

int lab_hear(struct lab *lab, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e)
{
	char how[512];
	int rc = lab_wait(lab, deadline_ns, e);

	if (rc == 0)
		rc = frame_expect(lab->control, type, body, deadline_ns, e);
	if (rc == -EPIPE && machine_ended(lab->machine, true, how, sizeof(how)))
		return err_set(e, ECHILD, "%s", how);
	return rc;
}

static int lab_greet(struct lab *lab, struct err *e)
{
	json_t *hello = NULL;
	int rc = lab_hear(lab, FRAME_HELLO, &hello, time_now_ns() + boot_patience_ns(BOOT_NS), e);

	if (rc == 0)
		rc = frame_hello_read(hello, &lab->facts, e);
	lab->facts.boot_ns = time_now_ns() - machine_started_ns(lab->machine);
	json_decref(hello);
	return rc < 0 ? err_wrap(e, "cannot boot an emulated host with kernel %s", lab->kernel.release) : 0;
}

int lab_boot(struct site *site, const struct settings *s, struct err *e)
{
	struct lab *lab = site->lab = mem_alloc(sizeof(*lab));
	int ends[2] = {-1, -1}, rc = lab_kernel(s, &lab->kernel, e);
	struct qemu q;

	lab->control = -1;
	lab->boot = s->host_boot;
	if (rc == 0)
		rc = lab_add(lab, s, e);
	for (size_t i = 0; rc == 0 && !settings_exact(s) && i < site->group_n; i++)
		if (same_boot(site->group[i], s))
			rc = lab_add(lab, site->group[i], e);
	if (rc == 0)
		rc = qemu_find(&q, e);
	if (rc == 0)
		rc = undo_folder_make(lab->folder, sizeof(lab->folder), e);
	if (rc == 0 && !settings_exact(s) && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		rc = err_sys(e, "cannot make a control stream");
	if (rc < 0)
		return rc;
	lab->control = ends[0];
	snprintf(lab->facts.program, sizeof(lab->facts.program), "QEMU %s", q.version);
	str_copy(lab->facts.accel, sizeof(lab->facts.accel), accel_name(ACCEL_TCG));
	rc = lab_launch(site, lab, s, ends[1], e);
	if (ends[1] >= 0)
		close(ends[1]);
	return rc < 0 || settings_exact(s) ? rc : lab_greet(lab, e);
}
