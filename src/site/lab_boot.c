/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Booting an emulated host: what it must have in it for the trials that it shall serve, and whether one that
 * runs can serve another.
 */
#include "lab.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define HELLO_NS    (60 * NS_PER_S) /* for the rest of a message that has begun */
#define LOOK_NS     (200 * NS_PER_MS)
#define HOST_MIB    1024
#define HOST_VM_MIB 1024 /* besides, where it hosts machines, and their own */
#define ENGINE_MIB  512  /* besides, where it has a container engine, which keeps its data in memory */

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

enum nic_model lab_nics(const struct settings *s)
{
	return nic_model_find(s->device);
}

/* --- what it must be able to do ---------------------------------------------------------------- */

int lab_nics_check(const struct settings *s, struct err *e)
{
	if (!s->device[0])
		return 0;
	if (!lab_nics(s)) {
		err_usage(e, "cannot give an emulated host a device '%s': there it is the model of its NICs",
			s->device);
		return err_try(e, "igb, virtio");
	}
	if (strcmp(s->device, s->client_device) != 0)
		return err_usage(e,
			"cannot give an emulated host devices '%s' and '%s': both are of one model",
			s->device, s->client_device);
	if (settings_exact(s))
		return err_usage(
			e, "cannot use a device with the exact clock: it does not run by that clock");
	return 0;
}

int lab_kernels_find(struct trial_plan *plan, struct err *e)
{
	const struct kernel *k = NULL;
	struct qemu q;
	bool machine = plan_target(plan)->machine;
	int rc = kernel_known(&k, settings_lab(&plan->settings), e);

	if (rc < 0)
		return rc;
	if (k->configured && !k->can[KERNEL_CONTAINERS])
		return err_set(e, ENOTSUP,
			"kernel %s cannot hold containers: it lacks namespaces, veth or bridges", k->release);
	if (machine && k->configured && !k->can[KERNEL_KVM])
		return err_set(
			e, ENOTSUP, "kernel %s cannot host virtual machines: it has no KVM", k->release);
	if (plan->path == VM_PATH_VHOST && k->configured && !k->can[KERNEL_VHOST])
		return err_set(e, ENOTSUP, "kernel %s has no vhost-net", k->release);
	plan->host_kernel = k;
	rc = qemu_for(lab_nics(&plan->settings), &q, e);
	if (rc < 0)
		return rc;
	return machine ? kernel_known(&plan->guest_kernel, plan->settings.kernel, e) : 0;
}

static unsigned parts_of(const struct trial_plan *plan)
{
	return (plan_target(plan)->machine ? IMAGE_VM : 0u) | (plan->noise ? IMAGE_NOISE : 0u) |
	       (plan_uses(plan, DRIVER_DPDK) ? IMAGE_DPDK : 0u) |
	       (plan->ends[END_CLIENT].job.tool != TOOL_TAUT ? IMAGE_TOOLS : 0u) |
	       (target_wants_engine(&plan->settings) ? IMAGE_ENGINE : 0u);
}

/* Two words may mean one kernel; builds of one's own may share a release. */
static bool same_kernel(const struct kernel *a, const struct kernel *b)
{
	return a == b || (!strcmp(a->release, b->release) && !strcmp(a->version, b->version) &&
				 !strcmp(a->path, b->path));
}

static const struct kernel *guest_of_release(const struct lab *lab, const char *release)
{
	for (size_t i = 0; i < lab->guests_n; i++)
		if (!strcmp(lab->guests[i]->release, release))
			return lab->guests[i];
	return NULL;
}

static bool has_guest(const struct lab *lab, const struct kernel *k)
{
	const struct kernel *there = guest_of_release(lab, k->release);

	return there && same_kernel(there, k);
}

static int lab_add(struct lab *lab, const struct trial_plan *plan, struct err *e)
{
	const struct kernel *k = plan->guest_kernel;

	lab->parts |= parts_of(plan);
	lab->nics = MAX(lab->nics, lab_nics(&plan->settings));
	if (!k || has_guest(lab, k))
		return 0;
	const struct kernel *other = guest_of_release(lab, k->release);
	if (other)
		return err_set(e, ENOTSUP,
			"cannot give one emulated host both %s and %s as guest kernels: both call themselves %s",
			other->path, k->path, k->release);
	if (lab->guests_n == LAB_GUESTS_MAX)
		return err_set(
			e, E2BIG, "cannot give one emulated host more than %d guest kernels", LAB_GUESTS_MAX);
	lab->guests[lab->guests_n++] = k;
	return 0;
}

static bool same_boot(const struct trial_plan *a, const struct trial_plan *b)
{
	enum nic_model first = lab_nics(&a->settings), second = lab_nics(&b->settings);

	return a->exact == b->exact && same_kernel(a->host_kernel, b->host_kernel) &&
	       (first == second || !first || !second) &&
	       !strcmp(a->settings.host_boot, b->settings.host_boot);
}

bool lab_serves(const struct lab *lab, const struct trial_plan *plan)
{
	if (!lab || lab->doubtful || lab->control < 0 || plan->exact ||
		strcmp(lab->boot, plan->settings.host_boot) || (parts_of(plan) & ~lab->parts) ||
		!same_kernel(plan->host_kernel, lab->kernel) ||
		(lab_nics(&plan->settings) && lab_nics(&plan->settings) != lab->nics))
		return false;
	return !plan->guest_kernel || has_guest(lab, plan->guest_kernel);
}

/* --- boot -------------------------------------------------------------------------------------- */

void lab_inner(const struct trial_plan *plan, struct settings *inner)
{
	*inner = plan->settings;
	inner->site = "local";
	inner->clock = "real";
	inner->host_boot = "";
	if (lab_nics(inner)) {
		inner->device = nic_address(0);
		inner->client_device = nic_address(1);
	}
	if (plan->guest_kernel)
		inner->kernel = str_keep(plan->guest_kernel->release);
}

static struct boot_document lab_document(const struct trial_plan *plan)
{
	struct settings inner;
	struct boot_document document = {.role = plan->exact ? BOOT_EXACT : BOOT_HOST};

	lab_inner(plan, &inner);
	if (plan->exact)
		document.plan = json_pack("{s:o}", "settings", settings_json(&inner));
	return document;
}

static unsigned lab_memory(const struct site *site, const struct lab *lab, const struct trial_plan *plan)
{
	uint64_t guest = plan_target(plan)->machine ? plan->settings.memory_bytes : 0;

	for (size_t i = 0; i < site->group_n; i++)
		if (plan_target(site->group[i])->machine)
			guest = MAX(guest, site->group[i]->settings.memory_bytes);
	return HOST_MIB + (lab->parts & IMAGE_VM ? HOST_VM_MIB : 0u) +
	       (lab->parts & IMAGE_ENGINE ? ENGINE_MIB : 0u) + (unsigned)(guest >> 20);
}

static int lab_launch(
	const struct site *site, struct lab *lab, const struct trial_plan *plan, int theirs, struct err *e)
{
	char agent[4096], image[1024];
	AUTO(boot_document_free) struct boot_document document = lab_document(plan);
	int rc = target_agent(agent, sizeof(agent), e);

	if (rc == 0)
		rc = image_host(lab->kernel, agent,
			&(struct host_content){lab->parts, lab->nics, lab->guests, lab->guests_n}, image,
			sizeof(image), e);
	if (rc == 0) {
		const struct machine_options o = {.kernel = lab->kernel,
			.image = image,
			.append = plan->settings.host_boot,
			.document = &document,
			.mark = undo_mark(),
			.folder = lab->folder,
			.control = theirs,
			.accel = ACCEL_TCG,
			.host = true,
			.nics = lab->nics,
			.exact = plan->exact,
			.cpus = LAB_CPUS,
			.memory_mib = lab_memory(site, lab, plan)};
		rc = machine_start(&lab->machine, &o, e);
	}
	return rc;
}

/* Until the control stream has something to read; an error says how the machine fared.  Deadline 0: as long
 * as it is seen to boot. */
static int lab_wait(struct lab *lab, uint64_t deadline_ns, struct err *e)
{
	char how[512];

	for (;;) {
		struct pollfd p = {.fd = lab->control, .events = POLLIN};
		uint64_t now = time_now_ns(),
			 end = deadline_ns ? deadline_ns
					   : machine_boot_deadline_ns(lab->machine, BOOT_SILENT_NS);
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (poll(&p, 1, (int)(LOOK_NS / NS_PER_MS)) > 0 && (p.revents & POLLIN))
			return 0;
		bool ended = machine_ended(lab->machine, false, how, sizeof(how));
		if (ended || now >= end)
			return err_set(e, ended ? ECHILD : ETIMEDOUT, "%s%s%s",
				ended ? "" : "it did not answer in time", !ended && *how ? ": " : "", how);
	}
}

int lab_hear(struct lab *lab, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e)
{
	char how[512];
	int rc = lab_wait(lab, deadline_ns, e);

	if (rc == 0)
		rc = frame_expect(
			lab->control, type, body, deadline_ns ? deadline_ns : time_now_ns() + HELLO_NS, e);
	if (rc == -EPIPE && machine_ended(lab->machine, true, how, sizeof(how)))
		return err_set(e, ECHILD, "%s", how);
	return rc;
}

static int lab_greet(struct lab *lab, struct err *e)
{
	json_t *hello = NULL;
	int rc = lab_hear(lab, FRAME_HELLO, &hello, 0, e);

	if (rc == 0)
		rc = frame_hello_read(hello, &lab->facts, e);
	lab->facts.boot_ns = time_now_ns() - machine_started_ns(lab->machine);
	json_decref(hello);
	return rc < 0 ? err_wrap(e, "cannot boot an emulated host with kernel %s", lab->kernel->release) : 0;
}

int lab_boot(struct site *site, const struct trial_plan *plan, struct err *e)
{
	struct lab *lab = site->lab = mem_alloc(sizeof(*lab));
	struct machine_options machine = {.accel = ACCEL_TCG, .cpus = LAB_CPUS, .exact = plan->exact};
	struct qemu q;
	int ends[2] = {-1, -1};

	lab->control = -1;
	lab->boot = plan->settings.host_boot;
	lab->kernel = plan->host_kernel;
	int rc = lab_add(lab, plan, e);
	for (size_t i = 0; rc == 0 && !plan->exact && i < site->group_n; i++)
		if (same_boot(site->group[i], plan))
			rc = lab_add(lab, site->group[i], e);
	machine.nics = lab->nics;
	if (rc == 0)
		rc = qemu_for_machine(&machine, &q, e);
	if (rc == 0)
		rc = undo_folder_make(lab->folder, sizeof(lab->folder), e);
	if (rc == 0 && !plan->exact && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		rc = err_sys(e, "cannot make a control stream");
	if (rc < 0)
		return rc;
	lab->control = ends[0];
	snprintf(lab->facts.program, sizeof(lab->facts.program), "QEMU %.40s%s", q.version,
		machine_keeps_root(&machine) ? " as root" : "");
	str_copy(lab->facts.accel, sizeof(lab->facts.accel), accel_name(ACCEL_TCG));
	rc = lab_launch(site, lab, plan, ends[1], e);
	if (ends[1] >= 0)
		close(ends[1]);
	return rc < 0 || plan->exact ? rc : lab_greet(lab, e);
}
