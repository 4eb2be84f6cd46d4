/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AF_XDP sockets: see xdp_queue.h. */
#include "xdp_queue.h"

#include <sys/mman.h>
#include <sys/socket.h>

static int ring_map(struct shared *r, int fd, const struct xdp_ring_offset *at, size_t entries_n,
	size_t entry_bytes, off_t where, struct err *e)
{
	size_t bytes = at->desc + entries_n * entry_bytes;
	void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, where);

	if (mapped == MAP_FAILED)
		return err_sys(e, "cannot map a ring of an AF_XDP socket");
	*r = (struct shared){.producer = (void *)((char *)mapped + at->producer),
		.consumer = (void *)((char *)mapped + at->consumer),
		.flags = (const void *)((char *)mapped + at->flags),
		.entries = (char *)mapped + at->desc,
		.mask = (uint32_t)entries_n - 1,
		.mapped = mapped,
		.mapped_bytes = bytes};
	return 0;
}

static int queue_rings(struct queue *q, struct err *e)
{
	static const struct {
		int option, n;
	} sizes[] = {{XDP_UMEM_FILL_RING, RECEIVE_N}, {XDP_UMEM_COMPLETION_RING, SEND_N},
		{XDP_RX_RING, RECEIVE_N}, {XDP_TX_RING, SEND_N}};
	struct xdp_mmap_offsets at;
	socklen_t len = sizeof(at);
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (setsockopt(q->fd, SOL_XDP, sizes[i].option, &sizes[i].n, sizeof(sizes[i].n)))
			return err_sys(e, "cannot make the rings of an AF_XDP socket");
	if (getsockopt(q->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len) || len != sizeof(at))
		return err_set(e, EOPNOTSUPP, "cannot find the rings of an AF_XDP socket");
	if ((rc = ring_map(&q->fill, q->fd, &at.fr, RECEIVE_N, sizeof(uint64_t),
		     (off_t)XDP_UMEM_PGOFF_FILL_RING, e)) ||
		(rc = ring_map(&q->completed, q->fd, &at.cr, SEND_N, sizeof(uint64_t),
			 (off_t)XDP_UMEM_PGOFF_COMPLETION_RING, e)) ||
		(rc = ring_map(&q->receive, q->fd, &at.rx, RECEIVE_N, sizeof(struct xdp_desc),
			 XDP_PGOFF_RX_RING, e)))
		return rc;
	return ring_map(&q->send, q->fd, &at.tx, SEND_N, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING, e);
}

int queue_open(struct queue *q, struct err *e)
{
	*q = (struct queue){.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
	if (q->fd < 0)
		return err_sys(e, "cannot open an AF_XDP socket");
	q->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (q->memory == MAP_FAILED) {
		q->memory = NULL;
		return err_sys(e, "cannot get memory for frames");
	}
	struct xdp_umem_reg memory = {
		.addr = (uint64_t)(uintptr_t)q->memory, .len = MEMORY_BYTES, .chunk_size = PLACE_BYTES};
	if (setsockopt(q->fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)))
		return err_sys(e, "cannot share %zu KiB for frames with the kernel", MEMORY_BYTES / 1024);
	int rc = queue_rings(q, e);
	for (uint64_t i = 0; rc == 0 && i < RECEIVE_N; i++) {
		*ring_place(&q->fill) = i * PLACE_BYTES;
		ring_given(&q->fill);
	}
	return rc;
}

void queue_close(struct queue *q)
{
	const struct shared *rings[] = {&q->fill, &q->receive, &q->send, &q->completed};

	for (size_t i = 0; i < ARRAY_LEN(rings); i++)
		if (rings[i]->mapped)
			munmap(rings[i]->mapped, rings[i]->mapped_bytes);
	if (q->fd >= 0)
		close(q->fd);
	if (q->memory)
		munmap(q->memory, MEMORY_BYTES);
}
