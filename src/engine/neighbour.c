/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ARP in a frame, by its bytes:
 *
 *    0   6   MAC of the receiver, or everybody's       20   2   1 question, 2 answer
 *    6   6   MAC of the sender                         22   6   the sender's MAC
 *   12   2   0x0806, ARP                               28   4   and IPv4 address
 *   14   2   1, Ethernet                               32   6   the receiver's MAC, in a question 0
 *   16   2   0x0800, IPv4                              38   4   and IPv4 address
 *   18   2   lengths of their addresses, 6 and 4
 */
#include "neighbour.h"

#define ARP_BYTES 42

enum { AT_KIND = 20, AT_MAC = 22, AT_ADDRESS = 28, AT_PEER_MAC = 32, AT_PEER_ADDRESS = 38 };
enum { QUESTION = 1, ANSWER = 2 };

static const unsigned char preamble[] = {0x08, 0x06, 0, 1, 0x08, 0x00, FRAME_MAC, 4, 0};

static void arp_write(const struct frame_path *path, unsigned char kind, const unsigned char to[FRAME_MAC],
	const void *mac, const void *address, unsigned char frame[FRAME_LEAST])
{
	memset(frame, 0, FRAME_LEAST);
	memcpy(frame, to, FRAME_MAC);
	memcpy(frame + FRAME_MAC, path->mac, FRAME_MAC);
	memcpy(frame + 12, preamble, sizeof(preamble));
	frame[AT_KIND + 1] = kind;
	memcpy(frame + AT_MAC, path->mac, FRAME_MAC);
	memcpy(frame + AT_ADDRESS, &path->address, sizeof(path->address));
	memcpy(frame + AT_PEER_MAC, mac, FRAME_MAC);
	memcpy(frame + AT_PEER_ADDRESS, address, sizeof(path->address));
}

void neighbour_ask(const struct frame_path *path, unsigned char frame[FRAME_LEAST])
{
	static const unsigned char everybody[FRAME_MAC] = {255, 255, 255, 255, 255, 255}, nobody[FRAME_MAC];

	arp_write(path, QUESTION, everybody, nobody, &path->peer_address, frame);
}

void neighbour_answer(
	const struct frame_path *path, const unsigned char *question, unsigned char frame[FRAME_LEAST])
{
	arp_write(path, ANSWER, question + AT_MAC, question + AT_MAC, question + AT_ADDRESS, frame);
}

enum neighbour_says neighbour_read(const struct frame_path *path, const unsigned char *frame, size_t length,
	unsigned char mac[FRAME_MAC])
{
	if (length < ARP_BYTES || memcmp(frame + 12, preamble, sizeof(preamble)) != 0 ||
		memcmp(frame + AT_PEER_ADDRESS, &path->address, sizeof(path->address)) != 0)
		return NEIGHBOUR_NOTHING;
	bool peer = !memcmp(frame + AT_ADDRESS, &path->peer_address, sizeof(path->peer_address));
	bool asks = frame[AT_KIND + 1] == QUESTION;
	if (!asks && (frame[AT_KIND + 1] != ANSWER || !peer))
		return NEIGHBOUR_NOTHING;
	if (peer)
		memcpy(mac, frame + AT_MAC, FRAME_MAC);
	return asks ? NEIGHBOUR_ASKS : NEIGHBOUR_ANSWERS;
}

struct frame_path neighbour_of(const struct frame_path *path, const unsigned char *frame, size_t length)
{
	struct frame_path found = *path;

	if (length < FRAME_HEADERS)
		return found;
	memcpy(found.peer_mac, frame + FRAME_MAC, FRAME_MAC);
	memcpy(&found.peer_address, frame + 26, sizeof(found.peer_address));
	memcpy(&found.peer_port, frame + 34, sizeof(found.peer_port));
	return found;
}
