/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The program on a link, written by hand: it looks at the headers of each frame and hands over what belongs
 * to the flow.  That is a UDP datagram over IPv4, not in fragments and without IP options, from the peer's
 * address and port to the flow's.  All else goes on to the kernel as if there were no program: ARP, ping, and
 * every other connection of the link.
 *
 * Programs are loaded and attached by bpf(2).  The attachment is a BPF link, which the kernel takes off when
 * its last fd is closed, so that a process which is killed leaves nothing.
 */
#include "xdp.h"

#include "ethtool.h"

#include <arpa/inet.h>
#include <assert.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define CONFIGURED_MAX 256 /* addresses of a namespace */

static int bpf(int command, union bpf_attr *attr)
{
	long rc = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return rc < 0 ? -errno : (int)rc;
}

static uint64_t address_of(const void *memory)
{
	return (uint64_t)(uintptr_t)memory;
}

/* --- the program ------------------------------------------------------------------------------- */

/* Places in an Ethernet frame that carries UDP over IPv4 without options. */
enum {
	AT_ETHERTYPE = 12,
	AT_VERSION = 14,
	AT_FRAGMENT = 20,
	AT_PROTOCOL = 23,
	AT_SOURCE = 26,
	AT_DESTINATION = 30,
	AT_SOURCE_PORT = 34,
	AT_DESTINATION_PORT = 36,
	AT_DATA = 42
};
#define PROGRAM_MAX 48

enum { R0, R1, R2, R3, R4, R5, R6 };

struct program {
	struct bpf_insn code[PROGRAM_MAX];
	size_t n;
	size_t leave[PROGRAM_MAX], leave_n; /* jumps to the end that passes the frame on */
};

static void put(struct program *p, uint8_t code, unsigned dst, unsigned src, int16_t off, int32_t value)
{
	assert(p->n < PROGRAM_MAX);
	p->code[p->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15u, .src_reg = src & 15u, .off = off, .imm = value};
}

/* Goes to the end that passes the frame on when the comparison holds. */
static void leave_if(struct program *p, uint8_t comparison, unsigned dst, unsigned src, int32_t value)
{
	p->leave[p->leave_n++] = p->n;
	put(p, comparison, dst, src, 0, value);
}

/* The frame passes unless what stands there, of `width` (BPF_B, BPF_H, BPF_W), is the value. */
static void want(struct program *p, uint8_t width, int16_t at, uint32_t mask, uint32_t value)
{
	put(p, BPF_LDX | BPF_MEM | width, R5, R2, at, 0);
	if (mask)
		put(p, BPF_ALU | BPF_AND | BPF_K, R5, 0, 0, (int32_t)mask);
	leave_if(p, BPF_JMP32 | BPF_JNE | BPF_K, R5, 0, (int32_t)value);
}

static void write_program(struct program *p, const struct xdp_flow *flow, int map)
{
	*p = (struct program){0};
	put(p, BPF_ALU64 | BPF_MOV | BPF_X, R6, R1, 0, 0);
	put(p, BPF_LDX | BPF_MEM | BPF_W, R2, R6, offsetof(struct xdp_md, data), 0);
	put(p, BPF_LDX | BPF_MEM | BPF_W, R3, R6, offsetof(struct xdp_md, data_end), 0);
	put(p, BPF_ALU64 | BPF_MOV | BPF_X, R4, R2, 0, 0);
	put(p, BPF_ALU64 | BPF_ADD, R4, 0, 0, AT_DATA); /* BPF_K, which is 0 too */
	leave_if(p, BPF_JMP | BPF_JGT | BPF_X, R4, R3, 0);
	want(p, BPF_H, AT_ETHERTYPE, 0, htons(0x0800));
	want(p, BPF_B, AT_VERSION, 0, 0x45);
	want(p, BPF_H, AT_FRAGMENT, htons(0x3fff), 0);
	want(p, BPF_B, AT_PROTOCOL, 0, IPPROTO_UDP);
	want(p, BPF_W, AT_SOURCE, 0, flow->peer.s_addr);
	want(p, BPF_W, AT_DESTINATION, 0, flow->local.s_addr);
	want(p, BPF_H, AT_SOURCE_PORT, 0, flow->peer_port);
	want(p, BPF_H, AT_DESTINATION_PORT, 0, flow->local_port);
	put(p, BPF_LDX | BPF_MEM | BPF_W, R2, R6, offsetof(struct xdp_md, rx_queue_index), 0);
	put(p, BPF_LD | BPF_DW, R1, BPF_PSEUDO_MAP_FD, 0, map);  /* BPF_IMM, which is 0 too */
	put(p, 0, 0, 0, 0, 0);                                   /* the upper half */
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, R3, 0, 0, XDP_PASS); /* when no socket is there */
	put(p, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (size_t i = 0; i < p->leave_n; i++)
		p->code[p->leave[i]].off = (int16_t)(p->n - p->leave[i] - 1);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, XDP_PASS);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int load(const struct bpf_insn *code, size_t n)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.expected_attach_type = BPF_XDP;
	attr.insns = address_of(code);
	attr.insn_cnt = (uint32_t)n;
	attr.license = address_of("GPL");
	memcpy(attr.prog_name, "taut", 5);
	return bpf(BPF_PROG_LOAD, &attr);
}

int xdp_program_load(const struct xdp_flow *flow, int map, struct err *e)
{
	struct program p;

	write_program(&p, flow, map);
	int fd = load(p.code, p.n);
	return fd < 0 ? err_code(e, -fd, "cannot load the program that picks the flow's frames") : fd;
}

int xdp_map_create(unsigned queues, struct err *e)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_XSKMAP;
	attr.key_size = attr.value_size = sizeof(uint32_t);
	attr.max_entries = queues;
	int fd = bpf(BPF_MAP_CREATE, &attr);
	return fd < 0 ? err_code(e, -fd, "cannot make a map of AF_XDP sockets") : fd;
}

int xdp_map_set(int map, unsigned queue, int socket, struct err *e)
{
	union bpf_attr attr;
	uint32_t key = queue, value = (uint32_t)socket;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = address_of(&key);
	attr.value = address_of(&value);
	int rc = bpf(BPF_MAP_UPDATE_ELEM, &attr);
	return rc < 0 ? err_code(e, -rc, "cannot put an AF_XDP socket into its map") : 0;
}

int xdp_attach(int program, const struct xdp_link *link, bool native, struct err *e)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_ifindex = link->index;
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	int fd = bpf(BPF_LINK_CREATE, &attr);
	if (fd == -EBUSY || fd == -EEXIST)
		return err_set(e, EBUSY, "cannot use driver xdp on %s: another XDP program is on that link",
			link->name);
	return fd < 0 ? err_code(e, -fd, "cannot put a program on link %s", link->name) : fd;
}

int xdp_possible(struct err *e)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = R0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT}};
	AUTO_CLOSE int sock = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	int code = sock < 0 ? errno : 0;
	AUTO_CLOSE int program = -1;

	if (!code && (program = load(pass, ARRAY_LEN(pass))) < 0)
		code = -program;
	if (!code)
		return 0;
	if (code == EPERM || code == EACCES) {
		err_refused(e,
			"cannot use driver xdp: it needs the capabilities to administer networks, to open raw "
			"sockets and to load BPF programs (CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF)");
		return err_try(e, "run as root, or driver spin");
	}
	err_set(e, EOPNOTSUPP, "cannot use driver xdp: this kernel has no %s (%s)",
		sock < 0 ? "AF_XDP sockets" : "BPF programs for network links", strerror(code));
	return err_try(e, "driver spin");
}

/* --- links and neighbours ---------------------------------------------------------------------- */

/* The name of the link that holds the address; false: none does. */
static bool holder(int sock, struct in_addr address, char name[IFNAMSIZ])
{
	AUTO_FREE struct ifreq *all = mem_array(CONFIGURED_MAX, sizeof(*all));
	struct ifconf list = {.ifc_len = CONFIGURED_MAX * (int)sizeof(*all), .ifc_req = all};

	if (ioctl(sock, SIOCGIFCONF, &list) < 0)
		return false;
	for (size_t i = 0; i < (size_t)list.ifc_len / sizeof(*all); i++) {
		struct sockaddr_in has;
		memcpy(&has, &all[i].ifr_addr, sizeof(has));
		if (has.sin_family != AF_INET || has.sin_addr.s_addr != address.s_addr)
			continue;
		/* An address may have a label of its own: "eth0:1". */
		str_copy(name, IFNAMSIZ, all[i].ifr_name);
		name[strcspn(name, ":")] = 0;
		return true;
	}
	return false;
}

static int ask(int sock, const char *name, unsigned long request, struct ifreq *r)
{
	memset(r, 0, sizeof(*r));
	str_copy(r->ifr_name, sizeof(r->ifr_name), name);
	return ioctl(sock, request, r) < 0 ? -errno : 0;
}

int xdp_link_find(int sock, struct in_addr address, struct xdp_link *out, struct err *e)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct xdp_link link = {.queues = 1};
	char text[INET_ADDRSTRLEN];
	struct ifreq r;
	int rc;

	inet_ntop(AF_INET, &address, text, sizeof(text));
	if (!holder(sock, address, link.name))
		return err_set(e, ENODEV, "cannot find the link that holds %s", text);
	if ((rc = ask(sock, link.name, SIOCGIFHWADDR, &r)) < 0)
		return err_code(e, -rc, "cannot read the MAC address of link %s", link.name);
	if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return err_set(e, EOPNOTSUPP,
			"cannot use driver xdp on %s, which holds %s: it is no Ethernet link", link.name,
			text);
	memcpy(link.mac, r.ifr_hwaddr.sa_data, sizeof(link.mac));
	if ((rc = ask(sock, link.name, SIOCGIFMTU, &r)) < 0)
		return err_code(e, -rc, "cannot read the MTU of link %s", link.name);
	link.mtu = (unsigned)r.ifr_mtu;
	link.index = if_nametoindex(link.name);
	if (ethtool_ask(sock, link.name, &channels) == 0)
		link.queues = MAX(channels.rx_count + channels.combined_count, 1u);
	if (ethtool_ask(sock, link.name, &driver) == 0)
		str_copy(link.driver, sizeof(link.driver), driver.driver);
	*out = link;
	return 0;
}

int xdp_neighbour(int sock, const struct xdp_link *link, struct in_addr address, unsigned char mac[6])
{
	struct sockaddr_in who = {.sin_family = AF_INET, .sin_addr = address};
	struct arpreq r = {0};

	memcpy(&r.arp_pa, &who, sizeof(who));
	str_copy(r.arp_dev, sizeof(r.arp_dev), link->name);
	if (ioctl(sock, SIOCGARP, &r) < 0)
		return errno == ENXIO ? 0 : -errno;
	if (!(r.arp_flags & ATF_COM))
		return 0;
	memcpy(mac, r.arp_ha.sa_data, 6);
	return 1;
}
