/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * boot: kernels, images, and machines: all steps from a word such as "rt" to a booted machine whose agent
 * talks on its control stream.  testbed boots virtual machines with it, site boots emulated hosts.
 *
 * A kernel is found (installed, in the cache, at a path) or fetched from Debian into the cache.  An image is
 * an initramfs made for one kernel, byte for byte the same from the same inputs, and kept in the cache under
 * the hash of those.  A machine is a QEMU process: it boots kernel and image with a small document (the
 * appended file /taut/boot.json) that tells PID 1 its role, and has one control stream and one console.
 *
 * All that comes from a machine is untrusted; machine_stop() kills and reaps a machine in whatever state it
 * is.
 */
#pragma once

#include "spec/plan.h"
#include "sys/sys.h"
#include "undo/undo.h"
#include "wire/boot_document.h"
#include "wire/wire.h"

/* --- the cache --------------------------------------------------------------------------------- */

/*
 * The folder of kernels and images, which is made where it is missing: $TAUT_CACHE, else /var/cache/taut for
 * root, else $XDG_CACHE_HOME/taut or ~/.cache/taut.  It must belong to this user, and no other user may be
 * able to write to it (EXIT_REFUSED), because its files are booted.
 */
int boot_cache(char *out, size_t size, struct err *e);
/* Leftovers in the cache, which are files and folders that a killed taut had not finished, for undo_sweep().
 */
extern const struct undo_sweep_row boot_left;

/* --- kernels ----------------------------------------------------------------------------------- */

/* What a kernel can do, read from its configuration; KERNEL_ABILITIES has a row for each. */
#define KERNEL_ABILITIES(ROW)                                                                                \
	ROW(VIRTIO, "virtio", "be a guest with virtio devices")                                              \
	ROW(KVM, "kvm", "host virtual machines")                                                             \
	ROW(VHOST, "vhost", "vhost-net: packets of guests handled in the host kernel")                       \
	ROW(CONTAINERS, "containers", "namespaces, cgroups, veth and bridges")                               \
	ROW(PARTITION, "partition", "isolate CPUs with cgroup v2")                                           \
	ROW(NOHZ_FULL, "nohz_full", "run without a tick on chosen CPUs")                                     \
	ROW(NOCB, "rcu_nocbs", "keep RCU callbacks off chosen CPUs")                                         \
	ROW(DYNAMIC, "preempt=", "choose the preemption model at boot")                                      \
	ROW(FAIR_SERVER, "fair_server", "the fair deadline server of Linux 6.12")
#define KERNEL_ABILITY_ENUM(id, word, help) KERNEL_##id,
enum kernel_ability { KERNEL_ABILITIES(KERNEL_ABILITY_ENUM) KERNEL_ABILITIES_N };
struct kernel_ability_row {
	const char *name, *help;
};
extern const struct kernel_ability_row kernel_ability_rows[KERNEL_ABILITIES_N];

struct kernel {
	char release[80];  /* "6.12.95+deb12-rt-amd64" */
	char version[192]; /* "#1 SMP PREEMPT_RT Debian 6.12.95-1~bpo12+1 (2026-07-05)": names one build */
	char flavour[16];  /* "stock", "rt", "cloud", "other" */
	char preempt[40];  /* "PREEMPT_RT", "PREEMPT_DYNAMIC (voluntary)", "voluntary", "none", … */
	char origin[16];   /* "running", "installed", "cache", "path" */
	char path[512];    /* of the bzImage */
	char modules[512]; /* its module tree (…/lib/modules/RELEASE); "" when there is none */
	bool configured;   /* its configuration was found, so `can` is known */
	bool can[KERNEL_ABILITIES_N];
};

/* Calls fn for every kernel found, newest first; stops at the first non-zero and returns it. */
int kernels_each(int (*fn)(const struct kernel *k, void *arg), void *arg, struct err *e);
/*
 * The kernel that a kernel selector names: a flavour (the newest kernel of it), a release or the beginning of
 * one, with or without a flavour ("6.1", "6.12-rt"), or a path to a bzImage (its modules beside it, see
 * kernel.c).  "" is "stock".  -ENOENT with advice when none is found; EXIT_USAGE for a file that is no
 * kernel.
 */
int kernel_find(struct kernel *out, const char *which, struct err *e);
/*
 * The same, but a process searches once for each selector; the kernel is borrowed and never freed.  A
 * selector that named none is searched for again.
 */
int kernel_known(const struct kernel **out, const char *which, struct err *e);
/* A bzImage at a path. -EINVAL when the file is none. */
int kernel_at(struct kernel *out, const char *path, struct err *e);

/* What is being done while a kernel is fetched. */
enum boot_step {
	BOOT_STEP_NONE,
	BOOT_STEP_KERNEL, /* the fetch begins; the object is the kernel selector */
	BOOT_STEP_QEMU,   /* the fetch of QEMU begins; no object */
	BOOT_STEP_LISTS,  /* reading Debian's lists of packages; no object */
	BOOT_STEP_FETCH,  /* the object is a package */
	BOOT_STEP_UNPACK, /* the object is a package */
};
struct boot_doing {
	enum boot_step step;
	const char *object; /* borrowed; NULL: none */
	double percent;     /* of this step; below 0: not known */
};
/* Called when a step begins and when more of it is done. */
typedef void (*boot_progress)(const struct boot_doing *doing, void *arg);
/*
 * Fetches a Debian kernel into the cache.  `which` is a flavour, optionally with a version ("rt", "6.1-rt",
 * "cloud"); the newest package of it in the machine's release and its backports is taken.  Nothing is
 * installed and nothing of the machine's apt is changed.  A kernel that is in the cache already is not
 * fetched again. When it is interrupted (stop_flag: -EINTR) or fails, it leaves nothing.
 */
int kernel_fetch(struct kernel *out, const char *which, boot_progress progress, void *arg, struct err *e);
/* Has `which` the form of a kernel that can be fetched? */
bool kernel_fetchable(const char *which);

/* A module as a guest loads it. */
struct module {
	char name[64];
	char *data; /* the ELF file, not compressed */
	size_t len;
};
/*
 * The named modules ("virtio_net"; '-' and '_' are the same) with all that they depend on, each once, in the
 * order of loading; built-in modules are left out.  With `optional`, names that are no module of this kernel
 * are left out too; otherwise -ENOENT names the missing one.  malloc'd; freed with modules_free().
 */
int modules_load(const struct kernel *k, const char *const *names, size_t n, bool optional,
	struct module **out, size_t *out_n, struct err *e);
void modules_free(struct module *modules, size_t n);

/* --- programs of this machine ------------------------------------------------------------------- */

/* The cache in which the dynamic loader looks libraries up. */
#define CLOSURE_LOADER_CACHE "/etc/ld.so.cache"
/*
 * Calls fn with every shared library that a program (a path) needs, the dynamic loader last; with none for a
 * static one.  -ENOENT when one is missing, and whatever fn returns below 0.
 */
typedef int program_library(const char *library, void *arg, struct err *e);
int program_libraries_each(const char *program, program_library *fn, void *arg, struct err *e);

/* --- images ------------------------------------------------------------------------------------ */

/*
 * The initramfs of a guest, with taut-agent as PID 1 and the virtio modules.  It comes from the cache or is
 * made.  -ENOENT when the kernel has no virtio.  `driver`: a further module, of a device that the guest is
 * lent; "" or NULL: none; one that is no module of this kernel is taken to be built in.
 */
int image_guest(const struct kernel *k, const char *agent, const char *driver, char *path, size_t size,
	struct err *e);
/* The same with a program of this machine in it, at its own path, and the libraries that it needs; "": none.
 */
int image_guest_with(const struct kernel *k, const char *agent, const char *driver, const char *program,
	char *path, size_t size, struct err *e);
/* Parts of an emulated host's image. */
enum image_part {
	IMAGE_VM = 1,
	IMAGE_NOISE = 2,
	IMAGE_SHELL = 4,
	IMAGE_NICS = 8,
	IMAGE_DPDK = 16,
	IMAGE_TOOLS = 32,
	IMAGE_ENGINE = 64
};
/* The agent that has DPDK, of IMAGE_DPDK, is the program of this name: that of the agent and an ending. */
#define IMAGE_DPDK_ENDING "-dpdk"
struct host_content {
	unsigned parts;                     /* of enum image_part */
	enum nic_model nics;                /* which NICs it will have; IMAGE_NICS follows from it */
	const struct kernel *const *guests; /* that this host is to boot, with their images */
	size_t guests_n;
};
/*
 * The initramfs of an emulated host: taut, taut-agent, a container runtime and the parts asked for, as far as
 * this machine has them, with all libraries that they need; and the kernel and image of every guest.  For
 * machines it has the QEMU by which it is itself emulated.
 */
int image_host(const struct kernel *k, const char *agent, const struct host_content *content, char *path,
	size_t size, struct err *e);
/* The first program that the container engine of an emulated host needs and this machine has not; NULL: it
 * has all. */
const char *image_engine_lacks(void);

/* --- machines ---------------------------------------------------------------------------------- */

enum accel { ACCEL_TCG, ACCEL_KVM };
const char *accel_name(enum accel accel);

/* The PCI address that the first (0) and the second (1) of them have in the host. */
const char *nic_address(size_t which);

/* QEMU as found here. */
struct qemu {
	char program[512], version[48]; /* "7.2.22" */
	unsigned major, minor;
	char folder[400]; /* of the cache, with libraries and firmware of its own; "": the machine's own QEMU
			   */
};
/* The machine's own QEMU where it can be used, else the newest in the cache.  Without any, why the machine's
 * own cannot be used: -ENOENT with advice when there is none, -ENOTSUP when it is too old or lacks a device.
 */
int qemu_find(struct qemu *out, struct err *e);
/* The first of these that can make such NICs.  -ENOENT with advice. */
int qemu_for(enum nic_model model, struct qemu *out, struct err *e);
/* The one that machine_boot() starts for such a machine: where it emulates several CPUs, one that runs code
 * as the guest has rewritten it (from 8.1 on), if there is any, goes before the others. */
struct machine_options;
int qemu_for_machine(const struct machine_options *o, struct qemu *out, struct err *e);
/*
 * Fetches the newest QEMU of Debian, with its libraries, into the cache; nothing is installed.  One that is
 * there already is not fetched again.  When it is interrupted (stop_flag: -EINTR) or fails, it leaves
 * nothing.
 */
int qemu_fetch(struct qemu *out, boot_progress progress, void *arg, struct err *e);
/*
 * Does KVM work?  That /dev/kvm can be opened is not enough, so a guest with this kernel is booted, with a
 * deadline, once per boot of the host, and the answer is kept in the cache.  When KVM does not work, `why`
 * says what happened.
 */
bool kvm_works(const struct kernel *k, const char *agent, const char *mark, char *why, size_t size);
/* A deadline for what takes long on a busy machine, longer where this machine is itself emulated. */
uint64_t boot_patience_ns(uint64_t ns);

enum disk_format { DISK_RAW, DISK_QCOW2 };
/* Can a machine boot from this file?  -ENOENT, or -EINVAL when it is no disk image or has no boot sector. */
int disk_check(const char *path, enum disk_format *format, struct err *e);

#define MACHINE_QUEUES_MAX 8

struct machine_options {
	const struct kernel *kernel;
	const char *image;                    /* path of the initramfs */
	const char *append;                   /* further boot arguments, or NULL */
	const struct boot_document *document; /* borrowed */
	const char *mark;                     /* "NAME=value" for QEMU's environment */
	const char *folder;                   /* for its appended image; must exist, private */
	int control;   /* the far end of its control stream, borrowed; ignored on the exact clock */
	bool terminal; /* console on our stdin and stdout */
	bool keys;     /* stdin is a terminal on which Ctrl-] x ends the machine */
	/* Boot from this disk image instead; what the guest writes goes to a file in `folder`.  NULL: kernel.
	 * Files that the image names are opened with the rights of its owner. */
	const char *disk;
	enum disk_format disk_format;
	int guest_agent; /* the far end of the port of the QEMU guest agent, borrowed; 0: no such port */
	enum accel accel;
	bool host;           /* an emulated host: offers nested virtualisation */
	enum nic_model nics; /* of an emulated host: two on one cable, and an IOMMU */
	bool exact; /* the exact clock: one CPU, icount, no stream into the machine; see machine_record() */
	unsigned cpus, memory_mib, queues;
	const char *cpu_model;          /* NULL or "": by accelerator */
	bool hugepages, lock_memory;    /* backing of the guest's memory */
	int taps[MACHINE_QUEUES_MAX];   /* a tap fd for each queue; queues 0: no network */
	int vhosts[MACHINE_QUEUES_MAX]; /* and vhost-net fds, where `vhost` */
	bool vhost;
	/* In place of taps: the socket of who moves the packets, opened with O_PATH, borrowed; 0: none.  It
	 * becomes QEMU's own. */
	int vhost_user;
	const char *mac;
	/* The PCI address of a device of this host that the machine gets whole; vfio-pci has it, and all of
	 * its IOMMU group; "": none. */
	char vfio[16];
};

struct machine;

/* Starts QEMU; returns when it runs.  QEMU is killed when the calling thread ends.  It has no right of
 * root's, see rights.c. */
int machine_start(struct machine **out, const struct machine_options *options, struct err *e);
/* Must QEMU be root all the same for such a machine, without capabilities? */
bool machine_keeps_root(const struct machine_options *options);
pid_t machine_pid(const struct machine *m);
int machine_pidfd(const struct machine *m);
/*
 * Until when its boot is waited for, CLOCK_MONOTONIC.  How long a boot takes depends on what else the machine
 * does, so it is given up when its console has said nothing new for `silent_ns`, and after ten times that
 * time in any case, whatever it says.
 */
#define BOOT_SILENT_NS (90 * NS_PER_S)
uint64_t machine_boot_deadline_ns(struct machine *m, uint64_t silent_ns);
/* When its console said something for the last time; when it was started, if it has not. */
uint64_t machine_heard_ns(const struct machine *m);
/* When QEMU was started, CLOCK_MONOTONIC. */
uint64_t machine_started_ns(const struct machine *m);
/*
 * Has the machine ended?  `out` says how, with the most telling line: a panic on the console, else a message
 * of QEMU, else the last line of the console.  `closing`: its control stream is closed, so it is about to
 * end, and this waits a moment for that.
 */
bool machine_ended(struct machine *m, bool closing, char *out, size_t size);
/* Has QEMU failed or been killed, so that the machine did not switch itself off? */
bool machine_failed(const struct machine *m);
/* The last lines of its console, printable ASCII; "" for none. */
void machine_console(struct machine *m, char *out, size_t size);
/* On the exact clock: a file with the data that the machine wrote to its record port; borrowed. */
int machine_record(const struct machine *m);
/* Waits until the machine ends: 1 ended, 0 deadline, -EINTR when stop_flag is raised. */
int machine_wait(struct machine *m, uint64_t deadline_ns, struct err *e);
/* Thread ids of its vCPUs as QEMU tells them (query-cpus-fast); returns how many, or -errno. */
int machine_vcpus(struct machine *m, pid_t *tids, size_t max, struct err *e);
/* Kills QEMU with SIGKILL and reaps it; files of the machine stay.  Takes NULL. */
void machine_stop(struct machine *m);
