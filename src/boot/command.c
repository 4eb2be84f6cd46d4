/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line of QEMU for a machine.  Nothing comes from QEMU's defaults or configuration; every stream
 * and network device of the machine is an fd that QEMU inherits (machine.h has their numbers).
 *
 * An emulated host looks like a VMware guest.  KVM on a realtime kernel requires a constant TSC, which
 * emulation does not offer; the kernel's driver for the VMware platform sets that flag.  Stock kernels get
 * the same platform, so that kernels are compared and not platforms.  On the exact clock the VMware port does
 * not work; it is not needed there, since no guest is booted.
 *
 * NICs of an emulated host are two, each behind a port of its own, on one cable (a hub).  So the first has
 * the address 0000:01:00.0 and the second 0000:02:00.0.  The IOMMU keeps apart what they may reach, which is
 * what lending them to a guest needs; it works beside a CPU of AMD's, too.
 *
 * The exact clock: one instruction is one nanosecond (shift=0), idle time is skipped (sleep=off), one CPU,
 * the real-time clock starts at a fixed date, and QEMU's own random numbers from a seed.
 */
#include "machine.h"

#include "qemu.h"

#include <stdio.h>

struct words {
	char **words;
	size_t n;
};

static void add(struct words *w, const char *format, ...) PRINTF(2, 3);
static void add(struct words *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	w->words = mem_grow(w->words, w->n + 2, sizeof(*w->words));
	w->words[w->n++] = str_format_list(format, args);
	va_end(args);
	w->words[w->n] = NULL;
}

static void add_two(struct words *w, const char *option, const char *value)
{
	add(w, "%s", option);
	add(w, "%s", value);
}

/* A path in an option: QEMU reads commas as separators, doubled ones as commas. */
static char *quoted(const char *path)
{
	struct buf text = {0};

	for (const char *c = path; *c; c++)
		buf_add(&text, *c == ',' ? ",," : "%c", *c);
	return text.data ? text.data : str_dup("");
}

static void add_cpu(struct words *w, const struct machine_options *o)
{
	bool vmware = o->host && !o->exact;
	const char *model = o->cpu_model && *o->cpu_model ? o->cpu_model
			    : o->accel == ACCEL_KVM       ? "host"
							  : "max";

	add(w, "-machine");
	add(w, "q35,vmport=%s%s", vmware ? "on" : "off", o->nics ? ",kernel-irqchip=split" : "");
	if (vmware)
		add_two(w, "-smbios", "type=1,serial=VMware-564d");
	add_two(w, "-accel",
		o->accel == ACCEL_KVM ? "kvm"
		: o->exact            ? "tcg,thread=single"
				      : "tcg,thread=multi");
	add(w, "-cpu");
	add(w, "%s%s", model, vmware ? ",+svm,-hypervisor" : "");
	add(w, "-smp");
	add(w, "%u", o->exact ? 1 : o->cpus);
	if (!o->exact)
		return;
	add_two(w, "-icount", "shift=0,sleep=off");
	add_two(w, "-rtc", "clock=vm,base=2024-01-01T00:00:00");
	add_two(w, "-seed", "1");
}

static void add_memory(struct words *w, const struct machine_options *o)
{
	add(w, "-m");
	add(w, "%uM", o->memory_mib);
	if (o->hugepages) {
		add(w, "-object");
		add(w, "memory-backend-memfd,id=memory,size=%uM,hugetlb=on,hugetlbsize=2M,prealloc=on,share=on",
			o->memory_mib);
		add_two(w, "-machine", "memory-backend=memory");
	} else if (o->vhost_user > 0) {
		add(w, "-object");
		add(w, "memory-backend-memfd,id=memory,size=%uM,share=on", o->memory_mib);
		add_two(w, "-machine", "memory-backend=memory");
	}
	if (o->lock_memory)
		add_two(w, "-overcommit", "mem-lock=on");
}

/* An fd as a file that QEMU can open again and again; the number of the set is that of the fd. */
static void add_fd(struct words *w, int fd)
{
	add(w, "-add-fd");
	add(w, "fd=%d,set=%d", fd, fd);
}

/* The chardevs.  On the exact clock both are files, which take every byte at once. */
static void add_streams(struct words *w, const struct machine_options *o)
{
	const char *const file[] = {"console", "record"};

	if (o->exact) {
		for (int i = 0; i < 2; i++) {
			int fd = i == 0 ? FD_CONSOLE : FD_CONTROL;
			add_fd(w, fd);
			add(w, "-chardev");
			add(w, "file,id=%s,path=/dev/fdset/%d", file[i], fd);
			add(w, "-serial");
			add(w, "chardev:%s", file[i]);
		}
		return;
	}
	if (o->terminal) {
		/* Ctrl-] x ends the machine, whatever its kernel does.  Not for a pipe, whose data may
		 * contain these bytes. */
		add_two(w, "-chardev",
			o->keys ? "stdio,id=console,signal=off,mux=on" : "stdio,id=console,signal=off");
		if (o->keys)
			add_two(w, "-echr", "0x1d");
	} else {
		/* A pipe: with append=on, since QEMU would truncate it otherwise. */
		add_fd(w, FD_CONSOLE);
		add(w, "-chardev");
		add(w, "file,id=console,path=/dev/fdset/%d,append=on", FD_CONSOLE);
	}
	add_two(w, "-serial", "chardev:console");
	add(w, "-chardev");
	add(w, "socket,id=control,fd=%d", FD_CONTROL);
	add_two(w, "-device", "virtio-serial-pci,id=serial");
	add_two(w, "-device", "virtserialport,bus=serial.0,chardev=control,name=taut.control");
	if (o->guest_agent > 0) {
		add(w, "-chardev");
		add(w, "socket,id=agent,fd=%d", FD_AGENT);
		add_two(w, "-device",
			"virtserialport,bus=serial.0,chardev=agent,name=org.qemu.guest_agent.0");
	}
	add(w, "-chardev");
	add(w, "socket,id=qmp,fd=%d", FD_QMP);
	add_two(w, "-mon", "chardev=qmp,mode=control");
}

static void add_network_device(struct words *w, const struct machine_options *o)
{
	add(w, "-device");
	/* A QEMU 7.2 that emulates dies when a device by vhost-user has interrupts by messages (MSI-X). */
	add(w, "virtio-net-pci,netdev=net,mac=%s,romfile=%s", o->mac,
		o->vhost_user > 0 && o->accel == ACCEL_TCG ? ",vectors=0" : "");
	if (o->queues > 1) {
		char *last = w->words[w->n - 1];
		w->words[w->n - 1] = str_format("%s,mq=on,vectors=%u", last, 2 * o->queues + 2);
		free(last);
	}
}

static void add_taps(struct words *w, const struct machine_options *o)
{
	char taps[128] = "", vhosts[128] = "";

	for (unsigned i = 0; i < o->queues; i++) {
		size_t t = strlen(taps), v = strlen(vhosts);
		snprintf(taps + t, sizeof(taps) - t, "%s%d", i ? ":" : "", FD_FIRST_TAP + (int)i);
		snprintf(vhosts + v, sizeof(vhosts) - v, "%s%d", i ? ":" : "",
			FD_FIRST_TAP + (int)(o->queues + i));
	}
	add(w, "-netdev");
	add(w, "tap,id=net,%s=%s,vhost=%s%s%s", o->queues > 1 ? "fds" : "fd", taps, o->vhost ? "on" : "off",
		!o->vhost       ? ""
		: o->queues > 1 ? ",vhostfds="
				: ",vhostfd=",
		o->vhost ? vhosts : "");
}

static void add_network(struct words *w, const struct machine_options *o)
{
	if (!o->queues)
		return;
	if (o->vhost_user > 0) {
		add(w, "-chardev");
		/* By name, for QEMU sends no fds over a socket that it is given. */
		add(w, "socket,id=mover,path=/proc/self/fd/%d", FD_FIRST_TAP);
		add_two(w, "-netdev", "vhost-user,id=net,chardev=mover");
	} else {
		add_taps(w, o);
	}
	add_network_device(w, o);
}

/* --- what is lent: NICs of an emulated host, and a device of the host to a guest ---------------- */

#define NIC_MAC "52:54:00:74:61:%02x"

const char *nic_address(size_t which)
{
	static const char *const addresses[] = {"0000:01:00.0", "0000:02:00.0"};

	return addresses[which];
}

static void add_device(struct words *w, const char *format, ...) PRINTF(2, 3);
static void add_device(struct words *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *device = str_format_list(format, args);
	va_end(args);
	add_two(w, "-device", device);
}

static void add_igb(struct words *w, unsigned i)
{
	add_device(w, "igb,bus=port%u,netdev=cable%u,mac=" NIC_MAC ",romfile=", i, i, i + 1);
}

/*
 * Each function names a netdev; a virtual one comes before the function that it belongs to.  Its address is
 * the one that the testbed gives to a function of that NIC, for the driver takes no other.
 */
static void add_virtio(struct words *w, unsigned i)
{
	static const char options[] = "iommu_platform=on,disable-legacy=on,romfile=";

	add_two(w, "-netdev", i ? "hubport,id=virtual1,hubid=1" : "hubport,id=virtual0,hubid=1");
	add_device(w,
		"virtio-net-pci,bus=port%u,addr=0x0.0x1,netdev=virtual%u,sriov-pf=nic%u,mac=" NIC_MAC ",%s",
		i, i, i, i + 0x81, options);
	add_device(w, "virtio-net-pci,bus=port%u,addr=0x0.0x0,id=nic%u,netdev=cable%u,mac=" NIC_MAC ",%s", i,
		i, i, i + 1, options);
}

static void add_nics(struct words *w, const struct machine_options *o)
{
	static void (*const fns[NIC_MODELS_N])(struct words * w, unsigned i) = {
		[NIC_IGB] = add_igb, [NIC_VIRTIO] = add_virtio};

	if (!o->nics)
		return;
	add_device(w, "intel-iommu,intremap=on,caching-mode=on");
	for (unsigned i = 0; i < 2; i++) {
		add_device(w, "pcie-root-port,id=port%u,chassis=%u", i, i + 1);
		add_two(w, "-netdev", i ? "hubport,id=cable1,hubid=1" : "hubport,id=cable0,hubid=1");
		fns[o->nics](w, i);
	}
}

static void add_kernel(struct words *w, const struct machine_options *o, bool disk_by_name)
{
	if (o->disk) {
		AUTO_FREE char *path =
			disk_by_name ? quoted(o->disk) : str_format("/dev/fdset/%d", FD_FIRST_FILE);
		if (!disk_by_name)
			add_fd(w, FD_FIRST_FILE);
		add(w, "-drive");
		add(w, "file=%s,format=%s,if=virtio,snapshot=on,werror=report,rerror=report", path,
			o->disk_format == DISK_QCOW2 ? "qcow2" : "raw");
		return;
	}
	add(w, "-kernel");
	add(w, "/proc/self/fd/%d", FD_FIRST_FILE);
	add(w, "-initrd");
	add(w, "/proc/self/fd/%d", FD_SECOND_FILE);
	add(w, "-append");
	/* On a user's terminal the kernel shows errors only.  Elsewhere the few lines of level 5 tell that a
	 * boot goes on; the exact clock would count them. */
	add(w, "console=ttyS0 panic=-1 oops=panic %s%s%s%s",
		o->exact      ? "quiet nokaslr"
		: o->terminal ? "quiet loglevel=3"
			      : "loglevel=6",
		o->nics ? " intel_iommu=on" : "", o->append && *o->append ? " " : "",
		o->append ? o->append : "");
}

char **machine_command(const struct qemu *q, const struct machine_options *o, bool disk_by_name)
{
	struct words w = {0};

	w.words = qemu_words(q, (const char *const[]){"-nodefaults", NULL});
	while (w.words[w.n])
		w.n++;
	add_two(&w, "-no-user-config", "-no-reboot");
	add_two(&w, "-display", "none");
	add_two(&w, "-name", o->host ? "taut-host,debug-threads=on" : "taut-guest,debug-threads=on");
	add_two(&w, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	add_cpu(&w, o);
	add_memory(&w, o);
	add_streams(&w, o);
	add_network(&w, o);
	add_nics(&w, o);
	if (o->vfio[0])
		add_device(&w, "vfio-pci,host=%s,romfile=%s", o->vfio, "");
	add_kernel(&w, o, disk_by_name);
	return w.words;
}
