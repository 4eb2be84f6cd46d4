/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drivers: which there are, the one by plain sockets, and whole messages over any of them. */
#include "internal.h"

static const struct engine_driver *const drivers[DRIVERS_N] = {
	[DRIVER_SOCKET] = &driver_socket,
	[DRIVER_SPIN] = &driver_spin,
	[DRIVER_XDP] = &driver_xdp,
	[DRIVER_DPDK] = &driver_dpdk,
};

const struct engine_driver *engine_driver(enum driver driver)
{
	const struct engine_driver *row = (unsigned)driver < DRIVERS_N ? drivers[driver] : NULL;

	return row && row->send ? row : NULL;
}

int engine_device_open(const char *device, struct err *e)
{
	for (int i = 0; i < DRIVERS_N; i++)
		if (drivers[i] && drivers[i]->device_open)
			return drivers[i]->device_open(device, e);
	return err_usage(e, "cannot use device '%s': this program has no driver for it", device);
}

/* --- sockets: the kernel wakes the thread when a message has come ------------------------------ */

static ssize_t socket_send(struct flow *f, const void *data, size_t size)
{
	return send(f->fd, data, size, MSG_NOSIGNAL);
}

static ssize_t socket_receive(struct flow *f, void *data, size_t size)
{
	return recv(f->fd, data, size, f->receive_flags);
}

const struct engine_driver driver_socket = {.send = socket_send, .receive = socket_receive};

/* --- whole messages of a stream ---------------------------------------------------------------- */

int flow_send_all(struct flow *f, const void *data, size_t size, size_t *done)
{
	while (*done < size) {
		ssize_t n = f->driver->send(f, (const char *)data + *done, size - *done);

		if (n > 0)
			*done += (size_t)n;
		else if (n < 0 && errno != EINTR)
			return errno == EPIPE ? 0 : -errno;
	}
	return 1;
}

int flow_receive_all(struct flow *f, void *data, size_t size, size_t *done)
{
	while (*done < size) {
		ssize_t n = f->driver->receive(f, (char *)data + *done, size - *done);

		if (n > 0)
			*done += (size_t)n;
		else if (n == 0)
			return 0;
		else if (errno != EINTR)
			return -errno;
	}
	return 1;
}
