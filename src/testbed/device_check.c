/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What must hold before a device is touched.  Each refusal says what stands in the way.
 *
 * A device that carries the default route, or connections (that of the user's own login may be one of them),
 * is never taken, nor divided into virtual functions, for which drivers stop it for a moment.  Nor is one
 * taken that something else stands on, or on which somebody has set routes, neighbours or queueing
 * disciplines: these would not come back with it.  Its addresses do.
 */
#include "device.h"

#include "wire/wire.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>

#define CARRIER_NS      (15 * NS_PER_S)
#define CARRIER_LOOK_MS 50
#define BRIDGE_CLASS    0x0604 /* of a PCI bridge, which may share a group */
#define VFIO_DRIVER     "/sys/bus/pci/drivers/vfio-pci"
#define VFIO_NODE       "/dev/vfio/vfio"
#define QEMU_BYTES      (512ull << 20)

static int refuse(const struct device *device, struct err *e, const char *format, ...) PRINTF(3, 4);
static int refuse(const struct device *device, struct err *e, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *why = str_format_list(format, args);
	va_end(args);
	return err_refused(e, "cannot borrow device %s: %s", device->word, why);
}

/* --- connections ------------------------------------------------------------------------------- */

#define ESTABLISHED 1

struct connections {
	const char *link;
	int root;
	char local[INET6_ADDRSTRLEN];
	bool found;
};

/* As /proc/net/tcp writes it: words of the byte order of the machine. */
static void address_hex(const char *text, char out[33])
{
	bool six = strchr(text, ':');
	uint32_t words[4] = {0};

	inet_pton(six ? AF_INET6 : AF_INET, text, words);
	for (size_t i = 0; i < (six ? 4u : 1u); i++)
		snprintf(out + 8 * i, 9, "%08X", words[i]);
}

static bool is_in(int root, const char *path, const char *address)
{
	AUTO_FREE char *text = NULL;
	char hex[33], local[33], *save = NULL;
	unsigned port, state;

	address_hex(address, hex);
	if (root_read_all(root, path, &text, NULL, ERR_IGNORED) < 0)
		return false;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, " %*[^:]: %32[0-9A-F]:%x %*[^ ] %x", local, &port, &state) == 3 &&
			state == ESTABLISHED && !strcmp(local, hex))
			return true;
	return false;
}

/* A socket of IPv6 can serve IPv4 as well. */
static bool is_connected(int root, const char *address)
{
	AUTO_FREE char *mapped = str_format("%s%s", strchr(address, ':') ? "" : "::ffff:", address);

	return is_in(root, "/proc/net/tcp", address) || is_in(root, "/proc/net/udp", address) ||
	       is_in(root, "/proc/net/tcp6", mapped) || is_in(root, "/proc/net/udp6", mapped);
}

/* The server's address of "CLIENT PORT SERVER PORT", which sshd gives to a login. */
static bool is_login(const char *address)
{
	const char *ssh = getenv("SSH_CONNECTION");
	char server[INET6_ADDRSTRLEN];

	return ssh && sscanf(ssh, "%*s %*s %45s", server) == 1 && !strcmp(server, address);
}

static void look_at_address(const char *link, const char *address, void *arg)
{
	struct connections *c = arg;
	char bare[INET6_ADDRSTRLEN + 8];

	if (c->found || strcmp(link, c->link) != 0 || str_copy(bare, sizeof(bare), address) < 0)
		return;
	bare[strcspn(bare, "/")] = 0;
	if (is_login(bare) || is_connected(c->root, bare)) {
		c->found = true;
		str_copy(c->local, sizeof(c->local), bare);
	}
}

/* --- in use ------------------------------------------------------------------------------------ */

#define UPPER "upper_"

static int take_upper(const char *name, void *arg)
{
	return str_starts(name, UPPER) && str_copy(arg, 64, name + strlen(UPPER)) == 0;
}

/* Tunnels say so in sysfs only. */
static int check_upper(const struct devices *d, const struct device *device, struct err *e)
{
	AUTO_FREE char *folder = str_format("/sys/class/net/%s", device->name);
	char upper[64];

	if (root_each(d->host->root, folder, take_upper, upper, ERR_IGNORED) > 0)
		return refuse(device, e, "%s stands on it", upper);
	return 0;
}

/* Which links may be put on it, too. */
static int check_use(const struct devices *d, const struct device *device, bool whole, struct err *e)
{
	enum net_use use = NET_FREE;
	char by[64];
	int rc = net_link_use(d->home, device->name, &use, by, sizeof(by), e);

	if (rc < 0)
		return rc;
	if (use == NET_DEFAULT_ROUTE)
		return refuse(device, e, "the default route leads over %s", device->name);
	if (use == NET_PORT)
		return refuse(device, e, "%s is a port of %s", device->name, by);
	if (use == NET_CARRIES && whole)
		return refuse(device, e, "%s stands on it", by);
	if (use == NET_ROUTE && whole)
		return refuse(device, e, "a route to %s leads over %s", by, device->name);
	if (use == NET_NEIGHBOUR && whole)
		return refuse(device, e, "a neighbour of yours, %s, is set on %s", by, device->name);
	return whole ? check_upper(d, device, e) : 0;
}

static int check_connections(const struct devices *d, const struct device *device, struct err *e)
{
	struct connections c = {.link = device->name, .root = d->host->root};
	int rc = net_addresses_each(d->home, look_at_address, &c, e);

	if (rc < 0 || !c.found)
		return rc;
	return refuse(device, e, "a connection of %s goes over it; your own login may be one", c.local);
}

/* The kernel forgets them when a link moves, with all classes and filters in them. */
static int check_queueing(const struct devices *d, const struct device *device, struct err *e)
{
	char usual[64] = "", kind[32];
	bool set = false;

	root_read(d->host->root, "/proc/sys/net/core/default_qdisc", usual, sizeof(usual), ERR_IGNORED);
	int rc = net_link_queueing(d->home, device->name, usual, kind, sizeof(kind), &set, e);
	if (rc < 0 || !kind[0])
		return rc;
	if (set)
		return refuse(device, e, "its queueing discipline %s would not come back", kind);
	refuse(device, e, "its queueing discipline %s would come back as %s, which is the default now", kind,
		usual);
	return err_try(e, "tc qdisc replace dev %s root %s; tc qdisc delete dev %s root", device->name, usual,
		device->name);
}

static uint64_t number_of(const struct devices *d, const char *pci, const char *file)
{
	AUTO_FREE char *path = str_format(PCI_DEVICES "/%s/%s", pci, file);
	uint64_t n = 0;

	return root_read_u64(d->host->root, path, &n, ERR_IGNORED) < 0 ? 0 : n;
}

int device_open_to_all(const struct devices *d, const struct device *device, struct err *e)
{
	if (!is_privileged())
		return err_set(e, EPERM, "cannot borrow device %s: that needs root", device->word);
	return check_use(d, device, false, e);
}

int device_free(const struct devices *d, const struct device *device, struct err *e)
{
	uint64_t functions = device->id.pci[0] ? number_of(d, device->id.pci, "sriov_numvfs") : 0;

	if (!is_privileged())
		return err_set(e, EPERM, "cannot borrow device %s: that needs root", device->word);
	int rc = check_use(d, device, true, e);
	if (rc == 0)
		rc = check_queueing(d, device, e);
	if (rc == 0)
		rc = check_connections(d, device, e);
	if (rc == 0 && functions)
		return refuse(device, e, "it has %llu virtual functions, which would go with it",
			(unsigned long long)functions);
	return rc;
}

static unsigned flags_of(const struct devices *d, const struct device *device)
{
	struct net_link link = {0};

	return net_link_read(d->home, device->name, &link, ERR_IGNORED) < 0 ? 0 : link.flags;
}

/*
 * On an emulated host there always is a cable, but what a machine has just given back has its carrier a
 * moment later; here a trial looks when it begins, and a run before.
 */
static unsigned flags_settled(const struct devices *d, const struct device *device)
{
	uint64_t end = time_now_ns() + (host_emulated() ? CARRIER_NS : 0);
	unsigned flags = flags_of(d, device);

	while (flags & IFF_UP && !(flags & IFF_LOWER_UP) && !stop_flag && time_now_ns() < end) {
		poll(NULL, 0, CARRIER_LOOK_MS);
		flags = flags_of(d, device);
	}
	return flags;
}

/* A device that is down may keep the other end without a carrier, so both must be up to tell. */
int device_pair(const struct devices *d, const struct device *a, const struct device *b, struct err *e)
{
	const struct device *both[] = {a, b};
	unsigned flags[] = {flags_settled(d, a), flags_settled(d, b)};

	if (!strcmp(a->name, b->name))
		return err_usage(e, "cannot borrow %s for both ends: a cable has two", a->word);
	for (size_t i = 0; i < 2; i++)
		if (flags[0] & flags[1] & IFF_UP && !(flags[i] & IFF_LOWER_UP))
			return refuse(
				both[i], e, "it has no carrier: no cable is in it, or the other end is off");
	return 0;
}

/* --- virtual functions ------------------------------------------------------------------------- */

int device_divisible(const struct devices *d, const struct device *device, struct err *e)
{
	const char *pci = device->id.pci;
	unsigned flags = flags_settled(d, device);
	int rc = device_open_to_all(d, device, e);

	if (rc == 0)
		rc = check_connections(d, device, e);
	if (rc < 0)
		return rc;
	if (!pci[0])
		return refuse(device, e, "it is no PCI function, and only these have virtual functions");
	if (!number_of(d, pci, "sriov_totalvfs"))
		return refuse(device, e, "it has no virtual functions (SR-IOV is missing or switched off)");
	if (number_of(d, pci, "sriov_numvfs")) {
		refuse(device, e, "it has %llu virtual functions already, and their number cannot be changed",
			(unsigned long long)number_of(d, pci, "sriov_numvfs"));
		return err_try(e, "attachment device with one of these");
	}
	if (!(flags & IFF_UP)) {
		refuse(device, e, "%s is down, and then its virtual functions pass nothing", device->name);
		return err_try(e, "ip link set %s up", device->name);
	}
	if (!(flags & IFF_LOWER_UP))
		return refuse(device, e, "%s has no carrier: no cable is in it, or the other end is off",
			device->name);
	return 0;
}

/* --- for machines ------------------------------------------------------------------------------ */

struct group {
	const struct devices *d;
	const char *pci;
	char foreign[128];
};

static int look_at_member(const char *name, void *arg)
{
	struct group *g = arg;
	AUTO_FREE char *path = str_format(PCI_DEVICES "/%s/class", name);
	char text[32];

	if (!strcmp(name, g->pci))
		return 0;
	if (root_read(g->d->host->root, path, text, sizeof(text), ERR_IGNORED) > 0 &&
		strtoul(text, NULL, 16) >> 8 == BRIDGE_CLASS)
		return 0;
	size_t n = strlen(g->foreign);
	snprintf(g->foreign + n, sizeof(g->foreign) - n, "%s%s", n ? ", " : "", name);
	return 0;
}

/* QEMU gets a limit of its own, which may be beyond ours only with this capability. */
static bool may_lock(uint64_t bytes)
{
	struct rlimit limit = {0};

	return has_capability(CAP_SYS_RESOURCE) ||
	       (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max >= bytes + QEMU_BYTES);
}

int device_passable(const struct devices *d, const char *pci, uint64_t memory_bytes, struct err *e)
{
	AUTO_FREE char *members = str_format(PCI_DEVICES "/%s/iommu_group/devices", pci);
	struct group group = {.d = d, .pci = pci};

	if (root_each(d->host->root, members, look_at_member, &group, ERR_IGNORED) < 0) {
		err_refused(e, "cannot give %s to a machine: it is in no IOMMU group", pci);
		return err_try(e, "an IOMMU in the firmware, and the boot argument intel_iommu=on");
	}
	if (group.foreign[0])
		return err_refused(e, "cannot give %s to a machine: its IOMMU group has others in it: %s",
			pci, group.foreign);
	if (!root_exists(d->host->root, VFIO_DRIVER)) {
		err_refused(e, "cannot give %s to a machine: the driver vfio-pci is not there", pci);
		return err_try(e, "modprobe vfio-pci");
	}
	if (!root_exists(d->host->root, VFIO_NODE))
		return err_refused(e, "cannot give %s to a machine: there is no " VFIO_NODE, pci);
	if (!may_lock(memory_bytes))
		return err_refused(e,
			"cannot give %s to a machine: its memory must be locked, and RLIMIT_MEMLOCK is less",
			pci);
	return 0;
}
