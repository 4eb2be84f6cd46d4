/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * net/xdp.h: what AF_XDP needs of the kernel besides its sockets: the link that holds an address, and a
 * program on that link which hands the datagrams of one flow to such a socket.  All of it acts in the network
 * namespace of the caller, and is gone when the fds are closed.
 */
#pragma once

#include "net.h"

#include <netinet/in.h>

/* The two ends of a flow, in the byte order of the network. */
struct xdp_flow {
	struct in_addr local, peer;
	in_port_t local_port, peer_port;
};

struct xdp_link {
	char name[16], driver[32];
	unsigned index, mtu;
	unsigned queues; /* that receive */
	unsigned char mac[6];
};

/*
 * Has this kernel AF_XDP, and may this process use it and load programs?  -EPERM with EXIT_REFUSED where
 * capabilities are missing, -EOPNOTSUPP where the kernel cannot.
 */
int xdp_possible(struct err *e);
/* The Ethernet link that holds the address; `sock` is any socket. */
int xdp_link_find(int sock, struct in_addr address, struct xdp_link *out, struct err *e);
/* The MAC of a neighbour: 1, 0 when the kernel does not know it, −errno. */
int xdp_neighbour(int sock, const struct xdp_link *link, struct in_addr address, unsigned char mac[6]);

/* A map of so many sockets, by queue; an fd. */
int xdp_map_create(unsigned queues, struct err *e);
int xdp_map_set(int map, unsigned queue, int socket, struct err *e);
/* The program for that flow and map; an fd. */
int xdp_program_load(const struct xdp_flow *flow, int map, struct err *e);
/* Puts the program on the link until the fd that is returned is closed.  -EBUSY when there is one already.
 * native: in the driver of the link, else before the kernel's network stack, which every link can do. */
int xdp_attach(int program, const struct xdp_link *link, bool native, struct err *e);
