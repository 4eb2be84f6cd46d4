/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A virtual machine of taut's own: a kernel, an initramfs whose PID 1 is the agent, and a tap on the bridge
 * where a container would have a veth.  The agent speaks over a virtio port whose far end is our control
 * stream, so to everybody else a guest's endpoint is an endpoint; its process, as seen from here, is QEMU.
 *
 * Path virtio: QEMU moves the packets.  Path vhost: the host kernel does, in threads that hang on QEMU.  Path
 * vhost-user: the client itself takes them out of the guest's memory; there is no tap, and QEMU is handed the
 * client's socket, which lies in a folder that its user may not enter.  Path vfio: nobody does, for the
 * machine has a device of the host's to itself.
 *
 * Memory, unless the setting `backing` says otherwise: what the kernel gives; with profile low-latency it is
 * locked where this user may, and on huge pages where enough of them are free (tuning has seen to it
 * before).
 */
#include "private.h"
#include "vm.h"
#include "vm_threads.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define VHOST_PATH  "/dev/vhost-net"
#define QEMU_MIB    512
#define WITHOUT_KVM "taut run vm, or no accel, which emulates where it must"

/* --- what it needs ----------------------------------------------------------------------------- */

static int vm_kernel(struct trial_plan *plan, struct err *e)
{
	const struct kernel *k = NULL;
	int rc = kernel_known(&k, plan->settings.kernel, e);

	if (rc == -ENOENT)
		snprintf(
			e->advice, sizeof(e->advice), "taut run vm, which fetches one, or taut kernel fetch");
	if (rc < 0)
		return rc;
	if (k->configured && !k->can[KERNEL_VIRTIO])
		return err_set(
			e, ENOTSUP, "kernel %s cannot be a guest: it has no virtio devices", k->release);
	plan->guest_kernel = k;
	return 0;
}

static int vhost_open(struct err *e)
{
	int fd = open(VHOST_PATH, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV) {
		err_set(e, ENOENT, "no " VHOST_PATH);
		return err_try(e, "modprobe vhost_net, or site lab");
	}
	return err_sys(e, "cannot open " VHOST_PATH);
}

int vm_accel(struct trial_plan *plan, const char *agent, struct err *e)
{
	const struct kernel *k = plan->guest_kernel;
	char why[512] = "there is no kernel to try it with";
	bool works = plan->accel != ACCEL_WISH_TCG && k && kvm_works(k, agent, undo_mark(), why, sizeof(why));

	if (plan->accel == ACCEL_WISH_KVM && !works) {
		err_set(e, ENOTSUP, "KVM does not work here: %s", why);
		return err_try(e, WITHOUT_KVM);
	}
	plan->kvm = works;
	return 0;
}

int vm_ground(const struct trial_plan *plan, struct err *e)
{
	struct qemu q;
	int rc = qemu_find(&q, e);

	if (rc == 0 && plan->accel == ACCEL_WISH_KVM && access("/dev/kvm", R_OK | W_OK) < 0) {
		err_sys(e, "KVM does not work here: cannot open /dev/kvm");
		return err_try(e, WITHOUT_KVM);
	}
	if (rc == 0 && plan->path != VM_PATH_VHOST_USER && access("/dev/net/tun", R_OK | W_OK) < 0) {
		bool absent = errno == ENOENT;
		err_sys(e, "cannot open /dev/net/tun");
		return err_try(e, absent ? "modprobe tun" : "the same as root, or site lab");
	}
	if (rc == 0 && plan->path == VM_PATH_VHOST) {
		AUTO_CLOSE int vhost = vhost_open(e);
		rc = vhost < 0 ? vhost : 0;
	}
	return rc;
}

bool target_makes_machines(const struct trial_plan *plan)
{
	return vm_ground(plan, ERR_IGNORED) == 0;
}

/* Everything but booting: that is what the trial itself does, and it takes seconds. */
static int vm_resolve(struct trial_plan *plan, struct err *e)
{
	char agent[4096];
	int rc = vm_ground(plan, e);

	if (rc == 0)
		rc = vm_kernel(plan, e);
	if (rc == 0)
		rc = target_agent(agent, sizeof(agent), e);
	return rc < 0 ? rc : vm_accel(plan, agent, e);
}

/* --- start ------------------------------------------------------------------------------------- */

static bool hugepages_free(uint64_t mib)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	uint64_t n = 0;

	return hugepages_idle(root, &n, ERR_IGNORED) == 0 && n * HUGEPAGES_MIB >= mib;
}

/* QEMU locks all that it has: the guest's memory, and some of its own. */
static bool may_lock(uint64_t mib)
{
	struct rlimit limit = {0};

	return is_privileged() ||
	       (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= (mib + QEMU_MIB) << 20);
}

static int vm_backing(const struct trial_plan *plan, struct machine_options *o, struct err *e)
{
	const struct tuning *t = &plan->tuning;
	bool whole = o->memory_mib % HUGEPAGES_MIB == 0, free = whole && hugepages_free(o->memory_mib);
	bool tuned = t->backing == BACKING_BY_PROFILE && profile_rows[t->profile].locks_memory;

	if (t->backing == BACKING_HUGEPAGES && !whole)
		return err_set(e, EINVAL, "cannot put %u MiB of guest memory on huge pages of %d MiB",
			o->memory_mib, HUGEPAGES_MIB);
	if (t->backing == BACKING_HUGEPAGES && !free)
		return err_set(e, ENOMEM,
			"cannot put %u MiB of guest memory on huge pages: not enough of them are free (try: "
			"more vm.nr_hugepages)",
			o->memory_mib);
	o->hugepages = t->backing == BACKING_HUGEPAGES || (tuned && free);
	o->lock_memory = t->backing == BACKING_LOCKED || (tuned && may_lock(o->memory_mib));
	return 0;
}

static struct boot_document vm_document(const struct target *t)
{
	struct boot_document d = {
		.role = BOOT_GUEST, .prefix = target_prefix(t), .mtu = t->plan.settings.mtu};

	str_copy(d.address, sizeof(d.address), target_address(t, true));
	str_copy(d.mac, sizeof(d.mac), t->vm.vfio[0] ? t->vm.mac : "");
	return d;
}

static int vm_launch(struct target *t, struct machine_options *o, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && o->vhost && i < o->queues; i++)
		if ((o->vhosts[i] = vhost_open(e)) < 0) {
			rc = o->vhosts[i];
			o->vhosts[i] = -1;
		}
	if (rc == 0)
		rc = machine_start(&t->server.machine, o, e);
	if (o->vhost_user > 0)
		close(o->vhost_user);
	for (unsigned i = 0; o->vhost && i < o->queues; i++)
		if (o->vhosts[i] >= 0)
			close(o->vhosts[i]);
	close(steal_fd(&t->server.theirs));
	return rc < 0 ? rc
		      : undo_groups_enter(&t->groups, &t->host, "server", machine_pid(t->server.machine), e);
}

int vm_begin(struct target *t, struct machine_options *o, struct err *e)
{
	const struct settings *s = &t->plan.settings;
	struct qemu q;
	int rc = qemu_find(&q, e);

	o->mark = undo_mark();
	o->folder = t->owner.folder;
	o->control = t->server.theirs;
	o->cpus = (unsigned)s->vcpus;
	o->memory_mib = (unsigned)(s->memory_bytes >> 20);
	o->queues = t->vm.vfio[0] ? 0 : (unsigned)s->queues;
	str_copy(o->vfio, sizeof(o->vfio), t->vm.vfio);
	o->cpu_model = s->cpu_model;
	o->vhost = t->plan.path == VM_PATH_VHOST;
	o->accel = t->plan.kvm ? ACCEL_KVM : ACCEL_TCG;
	o->mac = t->vm.mac;
	memset(o->vhosts, -1, sizeof(o->vhosts));
	memcpy(o->taps, t->vm.taps, sizeof(o->taps));
	if (rc == 0)
		rc = vm_backing(&t->plan, o, e);
	if (rc == 0 && t->attachment->shares_memory)
		rc = o->vhost_user = bypass_socket(t, e);
	if (rc < 0)
		return rc;
	snprintf(t->version, sizeof(t->version), "QEMU %.40s%s", q.version,
		machine_keeps_root(o) ? " as root" : "");
	return vm_launch(t, o, e);
}

static int vm_start(struct target *t, struct err *e)
{
	const struct kernel *kernel = t->plan.guest_kernel;
	struct machine_options o = {.kernel = kernel, .append = t->plan.settings.boot};
	char image[1024];
	int rc = image_guest_with(kernel, t->agent, t->vm.driver, t->plan.ends[END_SERVER].job.program, image,
		sizeof(image), e);
	if (rc < 0)
		return rc;
	o.image = image;
	const struct boot_document document = vm_document(t);
	o.document = &document;
	return vm_begin(t, &o, e);
}

void vm_stop(struct target *t, struct buf *problems)
{
	(void)problems;
	machine_stop(t->server.machine);
	t->server.machine = NULL;
	for (size_t i = 0; i < MACHINE_QUEUES_MAX; i++)
		if (t->vm.taps[i] >= 0)
			close(steal_fd(&t->vm.taps[i]));
}

int vm_server_threads(const struct target *t, struct subject *subject, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	pid_t vcpus[64];
	int n = root < 0 ? root : machine_vcpus(t->server.machine, vcpus, ARRAY_LEN(vcpus), e);

	return n < 0 ? n : vm_threads(root, machine_pid(t->server.machine), vcpus, (size_t)n, subject, e);
}

const struct runtime_row runtime_vm = {
	.name = "qemu",
	.help = "a virtual machine by QEMU, with KVM where it works",
	.files = FILES_CARRIED,
	.targets = "vm",
	.boots = true,
	.resolve = vm_resolve,
	.start = vm_start,
	.again = server_renew,
	.threads = vm_server_threads,
	.stop = vm_stop,
};
