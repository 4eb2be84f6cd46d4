/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A frame, by its bytes:
 *
 *    0   6   MAC of the receiver          14   1   IPv4: version 4, header of 5 words
 *    6   6   MAC of the sender            16   2   length of header and datagram
 *   12   2   0x0800, IPv4                 20   2   "do not fragment"
 *                                         22   1   hops that are left
 *   34   2   UDP: port of the sender      23   1   17, UDP
 *   36   2   port of the receiver         24   2   checksum of this header
 *   38   2   length of header and data    26   4   address of the sender
 *   40   2   checksum                     30   4   address of the receiver
 *
 * The checksum of UDP is 0 in what is sent, which means none (RFC 768).  In what comes it is not looked at:
 * between virtual links of one machine it holds what hardware would have completed.
 */
#include "frame.h"

#include <arpa/inet.h>
#include <assert.h>

#define ETHERNET  14
#define IPV4      20
#define UDP       8
#define HOPS      64
#define FRAGMENTS 0x3fff /* more of them follow; where this one belongs */

static void put16(unsigned char *at, uint16_t value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static uint16_t get16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint16_t frame_checksum(const unsigned char *data, size_t size)
{
	uint32_t sum = 0;
	uint16_t words[30]; /* the longest IPv4 header: 15 words of 4 bytes */

	assert(size <= sizeof(words) && size % 2 == 0);
	memcpy(words, data, size);
	for (size_t i = 0; i < size / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

void frame_headers(const struct frame_path *path, unsigned char headers[FRAME_HEADERS])
{
	unsigned char *ip = headers + ETHERNET, *udp = ip + IPV4;

	memset(headers, 0, FRAME_HEADERS);
	memcpy(headers, path->peer_mac, FRAME_MAC);
	memcpy(headers + FRAME_MAC, path->mac, FRAME_MAC);
	put16(headers + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 6, 0x4000);
	ip[8] = HOPS;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &path->address, sizeof(path->address));
	memcpy(ip + 16, &path->peer_address, sizeof(path->peer_address));
	memcpy(udp, &path->port, sizeof(path->port));
	memcpy(udp + 2, &path->peer_port, sizeof(path->peer_port));
}

size_t frame_write(
	const unsigned char headers[FRAME_HEADERS], unsigned char *frame, const void *data, size_t size)
{
	unsigned char *ip = frame + ETHERNET;
	size_t length = FRAME_HEADERS + size;

	assert(size <= FRAME_DATA_MOST);
	memcpy(frame, headers, FRAME_HEADERS);
	put16(ip + 2, (uint16_t)(IPV4 + UDP + size));
	put16(ip + IPV4 + 4, (uint16_t)(UDP + size));
	uint16_t sum = frame_checksum(ip, IPV4);
	memcpy(ip + 10, &sum, sizeof(sum));
	memcpy(frame + FRAME_HEADERS, data, size);
	if (length >= FRAME_LEAST)
		return length;
	memset(frame + length, 0, FRAME_LEAST - length);
	return FRAME_LEAST;
}

const unsigned char *frame_read(
	const struct frame_path *path, const unsigned char *frame, size_t length, size_t *size)
{
	const unsigned char *ip = frame + ETHERNET;

	if (length < FRAME_HEADERS || get16(frame + 12) != 0x0800 || ip[0] >> 4 != 4)
		return NULL;
	size_t header = (size_t)(ip[0] & 15) * 4, total = get16(ip + 2);
	if (header < IPV4 || total < header + UDP || total > length - ETHERNET)
		return NULL;
	if (get16(ip + 6) & FRAGMENTS || ip[9] != IPPROTO_UDP || frame_checksum(ip, header) ||
		memcmp(ip + 12, &path->peer_address, sizeof(path->peer_address)) != 0 ||
		memcmp(ip + 16, &path->address, sizeof(path->address)) != 0)
		return NULL;
	const unsigned char *udp = ip + header;
	size_t datagram = get16(udp + 4);
	if (memcmp(udp, &path->peer_port, sizeof(path->peer_port)) != 0 ||
		memcmp(udp + 2, &path->port, sizeof(path->port)) != 0 || datagram < UDP ||
		datagram > total - header)
		return NULL;
	*size = datagram - UDP;
	return udp + UDP;
}
