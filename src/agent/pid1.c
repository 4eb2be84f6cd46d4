/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PID 1 of a machine that taut booted.  The initramfs is all there is, and /taut/boot.json says what this
 * boot is to be:
 *
 *   guest   one end of a trial: its address on the network device, the endpoint on the virtio port
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
 * what it can live with is a warning.  Devices appear when their drivers have found them; the kernel's own
 * announcements (uevents) are waited for, with a deadline.
 *
 * A container runtime cannot pivot away from the kernel's first root file system, so a host puts a bind mount
 * of it on top of it and lives there.
 */
#include "agent.h"

#include "net/net.h"
#include "wire/wire.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#define DEVICE_NS (30 * NS_PER_S)
/* On the exact clock: what a boot leaves to be done later is done.  Idle time costs the emulation nothing. */
#define SETTLE_S      5
#define SERIAL_RECORD "/dev/ttyS1"
#define SERIAL_SHELL  "/dev/ttyS0"
#define SCRIPT        "/taut/script"

struct boot {
	json_t *document;
	int uevents;
	uint64_t init_ns;
	int control; /* where the end of a shell is told; −1 */
};

static const char *text(const struct boot *b, const char *key)
{
	const char *value = json_string_value(json_object_get(b->document, key));

	return value ? value : "";
}

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

/* Opens the socket of the kernel's announcements; later than this nothing is missed. */
static int uevents_open(void)
{
	const struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&all, sizeof(all)) < 0)
		fprintf(stderr, "warning: cannot listen to the kernel: %s\n", strerror(errno));
	return fd;
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

/* --- devices ----------------------------------------------------------------------------------- */

struct search {
	const char *folder, *prefix;
	const char *has; /* what must be in a folder of that name, or NULL */
	char found[64];
};

static int matches(const char *name, void *arg)
{
	struct search *s = arg;
	AUTO_FREE char *inside = str_format("%s/%s/%s", s->folder, name, s->has ? s->has : "");

	if (!str_starts(name, s->prefix) || strlen(name) >= sizeof(s->found) ||
		(s->has && access(inside, F_OK) < 0))
		return 0;
	str_copy(s->found, sizeof(s->found), name);
	return 1;
}

/* Until the folder has a name that begins so. */
static int wait_for_device(struct boot *b, struct search *s, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	uint64_t deadline = time_now_ns() + DEVICE_NS;
	char event[4096];

	while (root_each(root, s->folder, matches, s, ERR_IGNORED) <= 0) {
		struct pollfd p = {.fd = b->uevents, .events = POLLIN};
		uint64_t now = time_now_ns();
		if (now >= deadline)
			return err_set(e, ENODEV, "cannot find a device %s/%s… in this machine", s->folder,
				s->prefix);
		poll(&p, 1, (int)((deadline - now) / NS_PER_MS + 1));
		while (recv(b->uevents, event, sizeof(event), MSG_DONTWAIT) > 0)
			;
	}
	return 0;
}

static int network_up(struct boot *b, struct err *e)
{
	AUTO_CLOSE int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	/* eth0, or whatever the kernel was told to name it; what has no device is a kernel's own, as erspan0.
	 */
	struct search nic = {.folder = "/sys/class/net", .prefix = "e", .has = "device"};
	int rc = wait_for_device(b, &nic, e);
	json_int_t mtu = json_integer_value(json_object_get(b->document, "mtu"));

	if (rc == 0)
		rc = net_namespace_prepare(ns, e);
	if (rc == 0 && mtu > 0)
		rc = net_link_set_mtu(ns, nic.found, (unsigned)mtu, e);
	if (rc == 0)
		rc = net_link_up(ns, nic.found, e);
	if (rc == 0)
		rc = net_address_add(ns, nic.found, text(b, "address"),
			(unsigned)json_integer_value(json_object_get(b->document, "prefix")), e);
	return rc;
}

/*
 * A port counts as hung up until the other side has been announced.  Edge-triggered, each announcement wakes
 * us once; poll() would report the hang-up again and again.
 */
static int wait_for_host(int port, struct err *e)
{
	AUTO_CLOSE int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
	uint64_t deadline = time_now_ns() + DEVICE_NS;

	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, port, &event) < 0)
		return err_sys(e, "cannot wait for the other side of the control port");
	do {
		uint64_t now = time_now_ns();
		if (now >= deadline)
			return err_set(e, ETIMEDOUT, "nobody is on the other side of the control port");
		if (epoll_wait(set, &event, 1, (int)((deadline - now) / NS_PER_MS + 1)) < 0 && errno != EINTR)
			return err_sys(e, "cannot wait for the other side of the control port");
	} while (event.events & EPOLLHUP || !(event.events & EPOLLOUT));
	return 0;
}

static int open_port(struct boot *b, struct err *e)
{
	struct search port = {.folder = "/dev", .prefix = "vport"};
	int rc = wait_for_device(b, &port, e);

	if (rc < 0)
		return rc;
	AUTO_FREE char *path = str_format("/dev/%s", port.found);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "cannot open %s", path);
	rc = wait_for_host(fd, e);
	return rc < 0 ? rc : steal_fd(&fd);
}

/* A serial port that takes bytes as they are. */
static int open_serial(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd < 0 || tcgetattr(fd, &raw) < 0)
		return err_sys(e, "cannot open %s", path);
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL;
	tcsetattr(fd, TCSANOW, &raw);
	return fd;
}

/* --- roles ------------------------------------------------------------------------------------- */

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
	int rc = *text(b, "address") ? network_up(b, e) : 0;

	if (rc < 0)
		return rc;
	AUTO_CLOSE int control = open_port(b, e);
	return control < 0 ? control : start(child, argv, control, e);
}

static int be_host(struct boot *b, struct child *child, struct err *e)
{
	static const char *const argv[] = {"/usr/bin/taut", "site", NULL};
	AUTO_CLOSE int control = open_port(b, e);

	return control < 0 ? control : start(child, argv, control, e);
}

static int be_exact(struct boot *b, struct child *child, struct err *e)
{
	static const char *const argv[] = {"/usr/bin/taut", "site", "--plan", "/taut/boot.json", NULL};
	AUTO_CLOSE int record = open_serial(SERIAL_RECORD, e);

	(void)b;
	if (record < 0)
		return record;
	sleep(SETTLE_S);
	return start(child, argv, record, e);
}

static int be_probe(struct boot *b, struct child *child, struct err *e)
{
	AUTO_CLOSE int control = open_port(b, e);

	(void)child;
	if (control < 0)
		return control;
	return frame_send(control, FRAME_HELLO, json_pack("{s:s}", "version", TAUT_VERSION),
		time_now_ns() + DEVICE_NS, e);
}

/* A shell must own a terminal, which a session leader gets by opening one. */
_Noreturn static void run_shell(const struct boot *b)
{
	const struct winsize size = {
		.ws_row = (unsigned short)json_integer_value(json_object_get(b->document, "rows")),
		.ws_col = (unsigned short)json_integer_value(json_object_get(b->document, "columns"))};

	setsid();
	int tty = open(SERIAL_SHELL, O_RDWR);
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) < 0)
		_exit(EXIT_FAILED);
	ioctl(tty, TIOCSWINSZ, &size);
	for (int fd = 0; fd < 3; fd++)
		dup2(tty, fd);
	setenv("TERM", *text(b, "term") ? text(b, "term") : "linux", 1);
	setenv("PS1", "taut lab \\w # ", 1);
	execl("/usr/bin/bash", "bash", "--norc", (char *)NULL);
	execl("/bin/sh", "sh", (char *)NULL);
	_exit(127);
}

/* Its output is passed on as it is; there is nothing to read. */
_Noreturn static void run_script(const struct boot *b)
{
	struct err e = ERR_INIT;
	int tty = open_serial(SERIAL_SHELL, &e), none = open("/dev/null", O_RDONLY);

	if (tty < 0 || none < 0 ||
		file_write_synced(SCRIPT, text(b, "script"), strlen(text(b, "script")), 0700, &e) < 0)
		_exit(EXIT_FAILED);
	setenv("TERM", "dumb", 1);
	dup2(none, STDIN_FILENO);
	dup2(tty, STDOUT_FILENO);
	dup2(tty, STDERR_FILENO);
	execl("/usr/bin/bash", "bash", SCRIPT, (char *)NULL);
	execl("/bin/sh", "sh", SCRIPT, (char *)NULL);
	_exit(127);
}

static int be_shell(struct boot *b, struct child *child, struct err *e)
{
	b->control = open_port(b, e);
	if (b->control < 0)
		return b->control;
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, "cannot fork");
	if (pid == 0 && json_object_get(b->document, "script"))
		run_script(b);
	if (pid == 0)
		run_shell(b);
	*child = (struct child){pid, -1};
	return 0;
}

/* What is on its way to a terminal goes first: the machine ends at once afterwards. */
static void tell_end(const struct boot *b, int status)
{
	int shown = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

	if (b->control < 0)
		return;
	AUTO_CLOSE int tty = open(SERIAL_SHELL, O_RDWR | O_NOCTTY | O_CLOEXEC);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	root_write(root, "/proc/sys/kernel/printk", "0", ERR_IGNORED); /* not even that it powers off */
	if (tty >= 0)
		tcdrain(tty);
	frame_send(b->control, FRAME_RECORD, json_pack("{s:i}", "status", shown), time_now_ns() + DEVICE_NS,
		ERR_IGNORED);
}

static const struct role_row {
	const char *name;
	bool host;
	int (*begin)(struct boot *b, struct child *child, struct err *e);
} roles[] = {
	{"guest", false, be_guest},
	{"host", true, be_host},
	{"exact", true, be_exact},
	{"shell", true, be_shell},
	{"probe", false, be_probe},
};

static const struct role_row *role_read(struct boot *b, struct err *e)
{
	json_error_t why;

	b->document = json_load_file("/taut/boot.json", 0, &why);
	for (size_t i = 0; b->document && i < ARRAY_LEN(roles); i++)
		if (!strcmp(roles[i].name, text(b, "role")))
			return &roles[i];
	err_set(e, EINVAL, "cannot boot: /taut/boot.json %s",
		b->document ? "names no role that is known" : why.text);
	return NULL;
}

/* --- the life of PID 1 ------------------------------------------------------------------------- */

/* Everything that ends here is ours to reap; the one program's end is the machine's.  Returns its status. */
static int reap_until_end(const struct boot *b, const struct child *child)
{
	char how[64];
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
		if (pid == child->pid) {
			if (b->control < 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
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

_Noreturn void agent_pid1(void)
{
	struct boot b = {.init_ns = time_since_boot_ns(), .control = -1};
	struct child child = CHILD_NONE;
	struct err e = ERR_INIT;
	const struct role_row *role = role_read(&b, &e);

	if (role) {
		if (role->host)
			stand_on_a_mount();
		mount_all(role->host);
		b.uevents = uevents_open();
		environment_set(&b);
		if (json_is_true(json_object_get(b.document, "emulated")))
			setenv(HOST_EMULATED, "1", 1);
		load_modules();
		if (role->host)
			host_settle();
	}
	if (!role || role->begin(&b, &child, &e) < 0)
		complain(&e);
	else if (child.pid > 0)
		tell_end(&b, reap_until_end(&b, &child));
	power_off();
}
