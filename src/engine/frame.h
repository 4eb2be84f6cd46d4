/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ethernet frames that carry one UDP datagram over IPv4 each, for drivers that bypass the kernel's network
 * stack.  What is read comes from the network and is not trusted.
 */
#pragma once

#include "base/base.h"

#include <netinet/in.h>

#define FRAME_MAC       6
#define FRAME_HEADERS   42   /* Ethernet, IPv4 without options, UDP */
#define FRAME_LEAST     60   /* a shorter frame is filled up with zeros */
#define FRAME_DATA_MOST 2972 /* bytes of the largest datagram: see src/spec/driver.c */
#define FRAME_MOST      (FRAME_HEADERS + FRAME_DATA_MOST)

/* A flow as its frames show it, seen from this end; addresses and ports in the byte order of the network. */
struct frame_path {
	unsigned char mac[FRAME_MAC], peer_mac[FRAME_MAC];
	struct in_addr address, peer_address;
	in_port_t port, peer_port;
};

/* The headers of every frame to the peer, without lengths and checksum. */
void frame_headers(const struct frame_path *path, unsigned char headers[FRAME_HEADERS]);
/* Writes the frame of a datagram of at most FRAME_DATA_MOST bytes: its length, at most FRAME_MOST.
 * `headers` is from frame_headers(). */
size_t frame_write(
	const unsigned char headers[FRAME_HEADERS], unsigned char *frame, const void *data, size_t size);
/* The datagram in a frame, and its size; NULL when it is none from the peer to this end, or not whole. */
const unsigned char *frame_read(
	const struct frame_path *path, const unsigned char *frame, size_t length, size_t *size);
/* Of IPv4 headers, in the byte order of the network: 0 over one that holds its own. */
uint16_t frame_checksum(const unsigned char *data, size_t size);
