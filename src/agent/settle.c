/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A kernel rewrites its own code when something is used for the first time: with the first memory cgroup, the
 * first cpuset, the first virtual machine, branches in its allocators and its scheduler are switched on.  On
 * an emulated host that is done before anything runs, and kept so, for two reasons.  All trials of a boot run
 * on the same code then, the first as well.  And the emulation of a CPU that meets such code while another
 * rewrites it goes wrong in QEMU before 8.1 (it keeps the breakpoint that marks the place), and the kernel
 * dies of it: that is rare, but the less is rewritten beside work, the rarer.
 *
 * What is not there, or not to be had, is left.
 */
#include "agent.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define CGROUPS "/sys/fs/cgroup"

/* A kernel that has no such controller refuses. */
static void controller_enable(const char *name)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *word = str_format("+%s", name);

	root_write(root, CGROUPS "/cgroup.subtree_control", word, ERR_IGNORED);
}

/*
 * A virtual machine that nobody runs.  KVM counts the CPUs whose APIC is off, in hardware's terms and in
 * software's, and looks into APICs only while there are any: each guest that boots would turn that on and
 * off. The first CPU is as after a reset, off for software; the second is made off altogether.
 */
static void keep_machine(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_sregs registers;

	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0)
		return;
	ioctl(vm, KVM_CREATE_VCPU, 0);
	int off = ioctl(vm, KVM_CREATE_VCPU, 1);
	if (off < 0 || ioctl(off, KVM_GET_SREGS, &registers) < 0)
		return;
	registers.apic_base = 0;
	ioctl(off, KVM_SET_SREGS, &registers); /* all fds are kept for as long as there is this machine */
}

void host_settle(void)
{
	static const char *const controllers[] = {"cpuset", "cpu", "io", "memory", "pids"};

	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		controller_enable(controllers[i]);
	mkdir(CGROUPS "/first", 0755);
	keep_machine();
	/* As udev does elsewhere: QEMU is not root. */
	if (chmod("/dev/kvm", 0666) < 0 && errno != ENOENT)
		fprintf(stderr, "taut-agent: cannot let everybody use /dev/kvm: %s\n", strerror(errno));
}
