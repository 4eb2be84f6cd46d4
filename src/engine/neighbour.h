/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The neighbour of an end that has no kernel below it: its MAC address by ARP (RFC 826), and who sent a
 * frame.  What is read comes from the network and is not trusted.
 */
#pragma once

#include "frame.h"

/* Writes the question who has the peer's address, or the answer that this end has its own, to the sender of
 * `question`; both are FRAME_LEAST bytes. */
void neighbour_ask(const struct frame_path *path, unsigned char frame[FRAME_LEAST]);
void neighbour_answer(
	const struct frame_path *path, const unsigned char *question, unsigned char frame[FRAME_LEAST]);

enum neighbour_says {
	NEIGHBOUR_NOTHING, /* it is something else, or meant for others */
	NEIGHBOUR_ASKS,    /* for the MAC address of this end; neighbour_answer() is due */
	NEIGHBOUR_ANSWERS, /* the peer, with its own */
};
/* `mac` gets the peer's MAC address whenever the peer has said it, in a question too. */
enum neighbour_says neighbour_read(const struct frame_path *path, const unsigned char *frame, size_t length,
	unsigned char mac[FRAME_MAC]);

/* The path with its peer taken from a frame; a datagram from there is then read by frame_read(). */
struct frame_path neighbour_of(const struct frame_path *path, const unsigned char *frame, size_t length);
