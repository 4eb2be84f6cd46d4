/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PID 1 of a machine that taut booted.  The initramfs is all there is, and /taut/boot.json says what this
 * boot is to be:
 *
 *   guest   one end of a trial: its address on the network device, the endpoint on the virtio port; where
 *           several trials share the guest, one endpoint after another
 *   host    an emulated host: `taut site` on the virtio port
 *   exact   an emulated host on the exact clock: `taut site` with the plan from boot.json, which writes its
 *           record to the second serial port, for what came in at wall time would spoil the clock
 *   shell   an emulated host with a shell on the console, or a script whose output goes there; how it ended
 *           is told on the virtio port
 *   probe   says that it is up, on the virtio port, and goes
 *
 * It mounts what a kernel offers, loads the modules in the order of /taut/modules, starts the one program and
 * reaps whatever else ends here, until that program has ended; then it powers off.  What goes wrong is said
 * on the console, whose last lines the other side keeps; "taut-agent: " there is why a machine ended, and
 * what it can live with is a warning.
 *
 * A container runtime cannot pivot away from the kernel's first root file system, so a host puts a bind mount
 * of it on top of it and lives there.
 */
#include "pid1.h"

#include "net/net.h"
#include "wire/wire.h"

#include <fcntl.h>
#include <linux/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* On the exact clock: what a boot leaves to be done later is done.  Idle time costs the emulation nothing. */
#define SETTLE_S      5
#define SERIAL_RECORD "/dev/ttyS1"
#define CARRIER_NS    (60 * NS_PER_S) /* on an emulated host it takes seconds */
#define LOOK_MS       20

static void complain(const struct err *e)
{
	char line[1100];

	fprintf(stderr, "taut-agent: %s\n", err_string(e, line, sizeof(line)));
}

/* --- ground ------------------------------------------------------------------------------------ */

static void stand_on_a_mount(void)
{
	if (mkdir("/taut/root", 0755) < 0 || mount("/", "/taut/root", NULL, MS_BIND, NULL) < 0 ||
		chdir("/taut/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0)
		fprintf(stderr, "warning: cannot stand on a mount of its own: %s\n", strerror(errno));
}

static void mount_all(bool host)
{
	static const struct {
		const char *type, *path, *options;
		bool host; /* only there */
	} mounts[] = {
		{"proc", "/proc", NULL, false},
		{"sysfs", "/sys", NULL, false},
		{"devtmpfs", "/dev", NULL, false},
		{"tmpfs", "/run", "mode=0755", false},
		{"tmpfs", "/tmp", "mode=1777", true},
		{"devpts", "/dev/pts", "ptmxmode=0666", true},
		{"tmpfs", "/dev/shm", "mode=1777", true},
		{"cgroup2", "/sys/fs/cgroup", NULL, false},
		{"debugfs", "/sys/kernel/debug", NULL, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		if (mounts[i].host && !host)
			continue;
		mkdir(mounts[i].path, 0755);
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, MS_NOSUID, mounts[i].options) < 0 &&
			errno != EBUSY) /* the kernel may have mounted it itself */
			fprintf(stderr, "warning: cannot mount %s: %s\n", mounts[i].path, strerror(errno));
	}
}

static void load_module(const char *name)
{
	AUTO_FREE char *path = str_format("/taut/%s.ko", name);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if ((fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0) && errno != EEXIST)
		fprintf(stderr, "warning: cannot load module %s: %s\n", name, strerror(errno));
}

static void load_modules(void)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *list = NULL;

	if (root_read_all(root, "/taut/modules", &list, NULL, ERR_IGNORED) < 0)
		return;
	for (char *save = NULL, *name = strtok_r(list, "\n", &save); name; name = strtok_r(NULL, "\n", &save))
		load_module(name);
}

/* --- roles ------------------------------------------------------------------------------------- */

/* A device with a cable in it has to agree on a rate with the other end. */
static int carrier_wait(int ns, const char *name, struct err *e)
{
	uint64_t deadline = time_now_ns() + CARRIER_NS;
	struct net_link link = {0};
	int rc;

	while ((rc = net_link_read(ns, name, &link, e)) == 0 && !(link.flags & IFF_LOWER_UP)) {
		if (time_now_ns() >= deadline)
			return err_set(e, ENOLINK,
				"cannot use %s: it has no carrier; is the NIC that it is a function of up?",
				name);
		poll(NULL, 0, LOOK_MS);
	}
	return rc;
}

static int network_up(struct boot *b, struct err *e)
{
	AUTO_CLOSE int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	/* eth0, or whatever the kernel was told to name it; what has no device is a kernel's own, as erspan0.
	 */
	struct search nic = {.folder = "/sys/class/net", .prefix = "e", .has = "device"};
	const struct boot_document *d = &b->document;

	if (d->mac[0]) {
		nic.file = "address";
		nic.line = d->mac;
	}
	int rc = device_wait(b, &nic, e);
	if (rc == 0)
		rc = net_namespace_prepare(ns, e);
	if (rc == 0 && d->mtu)
		rc = net_link_set_mtu(ns, nic.found, (unsigned)d->mtu, e);
	if (rc == 0)
		rc = net_link_up(ns, nic.found, e);
	if (rc == 0)
		rc = net_address_add(ns, nic.found, d->address, (unsigned)d->prefix, e);
	if (rc == 0 && d->mac[0])
		rc = carrier_wait(ns, nic.found, e);
	return rc;
}

/* A host's programs are in the first of these (src/boot/image_host.c). */
static void environment_set(const struct boot *b)
{
	char init[32];

	snprintf(init, sizeof(init), "%llu", (unsigned long long)b->init_ns);
	setenv("TAUT_INIT_NS", init, 1);
	setenv("PATH", "/usr/bin:/usr/sbin:/bin:/sbin", 1);
	setenv("HOME", "/root", 1);
}

/* Starts the one program, with the control stream as its number 3. */
static int start(struct child *child, const char *const *argv, int control, struct err *e)
{
	struct spawn spawn = SPAWN_INIT;

	spawn.argv = argv;
	spawn.stdout_fd = spawn.stderr_fd = STDERR_FILENO;
	spawn.keep = &control;
	spawn.keep_n = control >= 0;
	return child_spawn(child, &spawn, e);
}

static int be_guest(struct boot *b, struct child *child, struct err *e)
{
	static const char *const argv[] = {"/init", "endpoint", "taut-server", NULL};
	bool first = b->stream < 0;
	int rc = first && b->document.address[0] ? network_up(b, e) : 0;

	if (rc == 0 && first)
		rc = b->stream = port_open(b, e);
	return rc < 0 ? rc : start(child, argv, b->stream, e);
}

static int be_host(struct boot *b, struct child *child, struct err *e)
{
	static const char *const argv[] = {"/usr/bin/taut", "site", NULL};
	AUTO_CLOSE int control = port_open(b, e);

	return control < 0 ? control : start(child, argv, control, e);
}

static int be_exact(struct boot *b, struct child *child, struct err *e)
{
	static const char *const argv[] = {"/usr/bin/taut", "site", "--plan", BOOT_DOCUMENT, NULL};
	AUTO_CLOSE int record = serial_open(SERIAL_RECORD, e);

	(void)b;
	if (record < 0)
		return record;
	sleep(SETTLE_S);
	return start(child, argv, record, e);
}

static int be_probe(struct boot *b, struct child *child, struct err *e)
{
	AUTO_CLOSE int control = port_open(b, e);

	(void)child;
	if (control < 0)
		return control;
	return frame_send(control, FRAME_HELLO, json_pack("{s:s}", "version", TAUT_VERSION),
		time_now_ns() + DEVICE_NS, e);
}

static const struct role_row {
	bool host; /* an emulated host, with all that one has */
	int (*begin)(struct boot *b, struct child *child, struct err *e);
} roles[BOOT_ROLES_N] = {
	[BOOT_GUEST] = {false, be_guest},
	[BOOT_HOST] = {true, be_host},
	[BOOT_EXACT] = {true, be_exact},
	[BOOT_SHELL] = {true, be_shell},
	[BOOT_PROBE] = {false, be_probe},
};

/* --- the life of PID 1 ------------------------------------------------------------------------- */

/* Everything that ends here is ours to reap; the one program's end is the machine's.  Returns its status. */
static int reap_until_end(const struct boot *b, const struct child *child)
{
	char how[64];
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
		if (pid == child->pid) {
			if (b->control < 0 && !agent_goes_on(status) &&
				(!WIFEXITED(status) || WEXITSTATUS(status)))
				fprintf(stderr, "taut-agent: the program of this machine ended: %s\n",
					status_string(status, how, sizeof(how)));
			break;
		}
	return status;
}

_Noreturn static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void prepare(struct boot *b, bool host)
{
	if (host)
		stand_on_a_mount();
	mount_all(host);
	b->uevents = uevents_open();
	environment_set(b);
	if (host)
		setenv(HOST_EMULATED, "1", 1);
	load_modules();
	if (host)
		host_settle();
}

_Noreturn void agent_pid1(void)
{
	struct boot b = {.init_ns = time_since_boot_ns(), .control = -1, .stream = -1};
	struct child child = CHILD_NONE;
	struct err e = ERR_INIT;
	bool read = boot_document_load(&b.document, BOOT_DOCUMENT, &e) == 0;
	const struct role_row *role = &roles[b.document.role];

	int status = 0;

	if (read)
		prepare(&b, role->host);
	do {
		if (!read || role->begin(&b, &child, &e) < 0)
			complain(&e);
		else if (child.pid > 0)
			shell_tell_end(&b, status = reap_until_end(&b, &child));
		if (child.pidfd >= 0)
			close(steal_fd(&child.pidfd));
	} while (b.stream >= 0 && agent_goes_on(status) && e.code == 0);
	power_off();
}
