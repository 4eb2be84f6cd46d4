/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The devices of a machine that PID 1 needs.  They appear when their drivers have found them; the kernel's
 * own announcements (uevents) are waited for, with a deadline.
 */
#include "pid1.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <termios.h>

int uevents_open(void)
{
	const struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&all, sizeof(all)) < 0)
		fprintf(stderr, "warning: cannot listen to the kernel: %s\n", strerror(errno));
	return fd;
}

/* Does a file begin with this line? */
static bool holds(const char *path, const char *line)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	char text[128];

	if (root_read(root, path, text, sizeof(text), ERR_IGNORED) < 0)
		return false;
	return !strcasecmp(str_trim(text), line);
}

static int matches(const char *name, void *arg)
{
	struct search *s = arg;
	AUTO_FREE char *inside = str_format("%s/%s/%s", s->folder, name, s->has ? s->has : "");
	AUTO_FREE char *file = str_format("%s/%s/%s", s->folder, name, s->file ? s->file : "");

	if (!str_starts(name, s->prefix) || strlen(name) >= sizeof(s->found) ||
		(s->has && access(inside, F_OK) < 0) || (s->file && !holds(file, s->line)))
		return 0;
	str_copy(s->found, sizeof(s->found), name);
	return 1;
}

int device_wait(struct boot *b, struct search *s, struct err *e)
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

int port_open(struct boot *b, struct err *e)
{
	struct search port = {.folder = "/dev", .prefix = "vport"};
	int rc = device_wait(b, &port, e);

	if (rc < 0)
		return rc;
	AUTO_FREE char *path = str_format("/dev/%s", port.found);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "cannot open %s", path);
	rc = wait_for_host(fd, e);
	return rc < 0 ? rc : steal_fd(&fd);
}

int serial_open(const char *path, struct err *e)
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
