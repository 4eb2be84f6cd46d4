/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stands in for the agent in a container, and tries what an endpoint must not be able to do: it says on
 * stderr what worked, and ends.  Where it is allowed to, it changes nothing: values are replaced by
 * themselves.
 */
#include "base/base.h"

#include <fcntl.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static bool write_core_pattern(void)
{
	char text[256];
	AUTO_CLOSE int in = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	ssize_t n = in < 0 ? -1 : read(in, text, sizeof(text));
	AUTO_CLOSE int out = open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC);

	return n > 0 && out >= 0 && write(out, text, (size_t)n) == n;
}

static bool opens(const char *path, int flags)
{
	AUTO_CLOSE int fd = open(path, flags | O_CLOEXEC);

	return fd >= 0;
}

static bool open_sysrq(void)
{
	return opens("/proc/sysrq-trigger", O_WRONLY);
}

/* A trial may move interrupts; an endpoint may not. */
static bool open_irq(void)
{
	return opens("/proc/irq/default_smp_affinity", O_WRONLY);
}

/* Where it is covered it is empty. */
static bool read_timers(void)
{
	char byte;
	AUTO_CLOSE int fd = open("/proc/timer_list", O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, &byte, 1) == 1;
}

static bool mount_something(void)
{
	return mount("none", "/dev", "tmpfs", 0, NULL) == 0;
}

static bool remount_proc(void)
{
	return mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL) == 0;
}

/* A kernel that would load a module finds that this is none. */
static bool load_module(void)
{
	return syscall(SYS_init_module, "x", 1UL, "") == 0 || (errno != EPERM && errno != ENOSYS);
}

static bool make_device(void)
{
	return mknod("/dev/taut-memory", S_IFCHR | 0600, makedev(1, 1)) == 0;
}

static bool set_hostname(void)
{
	return sethostname("prisoner", 8) == 0;
}

static bool write_root(void)
{
	return opens("/written", O_WRONLY | O_CREAT) || opens("/taut-agent", O_WRONLY);
}

static bool open_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP) >= 0;
}

static const struct {
	const char *name;
	bool (*works)(void);
} tries[] = {
	{"core_pattern", write_core_pattern},
	{"sysrq-trigger", open_sysrq},
	{"irq", open_irq},
	{"timer_list", read_timers},
	{"mount", mount_something},
	{"remount", remount_proc},
	{"module", load_module},
	{"device", make_device},
	{"hostname", set_hostname},
	{"root", write_root},
	{"raw-socket", open_raw_socket},
};

int main(int argc, char **argv)
{
	const char *agent = getenv("TAUT_TEST_AGENT");
	char status[4096] = "", said[512] = "";
	AUTO_CLOSE int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	unsigned long long permitted = 1, bounding = 1;
	int no_new = 0;

	if (argc > 2 && agent && !strcmp(argv[2], "taut-client")) {
		execv(agent, argv);
		return 2;
	}
	/* Never on the machine itself: as the first process of a PID namespace only, and without /sys. */
	if (getpid() != 1 || access("/sys", F_OK) == 0) {
		fprintf(stderr, "prisoner: not in a container\n");
		return 2;
	}
	if (fd < 0 || read(fd, status, sizeof(status) - 1) < 0)
		return 2;
	const char *at = strstr(status, "CapPrm:");
	if (!at || sscanf(at, "CapPrm: %llx", &permitted) != 1)
		return 2;
	at = strstr(status, "CapBnd:");
	if (!at || sscanf(at, "CapBnd: %llx", &bounding) != 1)
		return 2;
	at = strstr(status, "NoNewPrivs:");
	if (!at || sscanf(at, "NoNewPrivs: %d", &no_new) != 1)
		return 2;
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		size_t n = strlen(said);
		if (tries[i].works())
			snprintf(said + n, sizeof(said) - n, " %s", tries[i].name);
	}
	fprintf(stderr, "prisoner: capabilities %llx of %llx, no new ones %d, can:%s.\n", permitted, bounding,
		no_new, said);
	return 1;
}
