/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a driver tells of its device, by the ethtool ioctl: rate of the line, queues, and settings that are
 * figures, such as interrupt moderation ("coalescing") or the lengths of rings.  A driver that has no answer
 * to a question says EOPNOTSUPP; that is an answer as well.
 *
 * Such a setting is written as the words of those figures that are not 0, "rx-usecs=3 adaptive-rx=1", since
 * the kernel refuses figures that the driver does not know; "none" is a device without the setting.
 */
#include "ethtool.h"

#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define NOTHING "none"

int ethtool_open(int ns, struct err *e)
{
	int saved = netns_enter(ns, e);

	if (saved < 0)
		return saved;
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = sock < 0 ? err_sys(e, "cannot open a socket to ask drivers with") : sock;
	netns_leave(&saved); /* the socket stays where it was opened */
	return rc;
}

int ethtool_ask(int sock, const char *name, void *request)
{
	struct ifreq r = {.ifr_data = request};

	if (str_copy(r.ifr_name, sizeof(r.ifr_name), name) < 0)
		return -ENODEV;
	return ioctl(sock, SIOCETHTOOL, &r) < 0 ? -errno : 0;
}

bool ethtool_named(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = text; *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == n && !strncmp(at, word, n))
			return true;
	return false;
}

/* --- settings that are figures ----------------------------------------------------------------- */

struct figure {
	const char *word;
	size_t offset; /* of a uint32_t */
};

#define AT(member) offsetof(struct ethtool_coalesce, member)
static const struct figure moderation[] = {
	{"adaptive-rx", AT(use_adaptive_rx_coalesce)},
	{"adaptive-tx", AT(use_adaptive_tx_coalesce)},
	{"rx-usecs", AT(rx_coalesce_usecs)},
	{"rx-frames", AT(rx_max_coalesced_frames)},
	{"rx-usecs-irq", AT(rx_coalesce_usecs_irq)},
	{"rx-frames-irq", AT(rx_max_coalesced_frames_irq)},
	{"tx-usecs", AT(tx_coalesce_usecs)},
	{"tx-frames", AT(tx_max_coalesced_frames)},
	{"tx-usecs-irq", AT(tx_coalesce_usecs_irq)},
	{"tx-frames-irq", AT(tx_max_coalesced_frames_irq)},
	{"stats-block-usecs", AT(stats_block_coalesce_usecs)},
	{"pkt-rate-low", AT(pkt_rate_low)},
	{"rx-usecs-low", AT(rx_coalesce_usecs_low)},
	{"rx-frames-low", AT(rx_max_coalesced_frames_low)},
	{"tx-usecs-low", AT(tx_coalesce_usecs_low)},
	{"tx-frames-low", AT(tx_max_coalesced_frames_low)},
	{"pkt-rate-high", AT(pkt_rate_high)},
	{"rx-usecs-high", AT(rx_coalesce_usecs_high)},
	{"rx-frames-high", AT(rx_max_coalesced_frames_high)},
	{"tx-usecs-high", AT(tx_coalesce_usecs_high)},
	{"tx-frames-high", AT(tx_max_coalesced_frames_high)},
	{"sample-interval", AT(rate_sample_interval)},
};

#undef AT
#define AT(member) offsetof(struct ethtool_channels, member)
static const struct figure channels[] = {{"rx", AT(rx_count)}, {"tx", AT(tx_count)},
	{"other", AT(other_count)}, {"combined", AT(combined_count)}};
#undef AT
#define AT(member) offsetof(struct ethtool_ringparam, member)
static const struct figure rings[] = {{"rx", AT(rx_pending)}, {"rx-mini", AT(rx_mini_pending)},
	{"rx-jumbo", AT(rx_jumbo_pending)}, {"tx", AT(tx_pending)}};
#undef AT
#define AT(member) offsetof(struct ethtool_pauseparam, member)
static const struct figure pause_frames[] = {
	{"autoneg", AT(autoneg)}, {"rx", AT(rx_pause)}, {"tx", AT(tx_pause)}};
#undef AT
#define AT(member) offsetof(struct ethtool_eee, member)
/* Some drivers tell tx-lpi and its timer as the line is just now, and refuse to be given others. */
static const struct figure eee[] = {{"enabled", AT(eee_enabled)}, {"advertised", AT(advertised)}};
#undef AT
static const struct figure wake[] = {{"options", offsetof(struct ethtool_wolinfo, wolopts)}};
static const struct figure private_flags[] = {{"bits", offsetof(struct ethtool_value, data)}};

#define GROUP(type, figures) sizeof(type), figures, ARRAY_LEN(figures)
static const struct group {
	const char *word, *what;
	uint32_t get, set;
	size_t size;
	const struct figure *figures;
	size_t n;
	bool keeps; /* what is not named stays as it is, but for the first figure, which is then 0 */
} groups[] = {
	{"coalescing", "interrupt moderation", ETHTOOL_GCOALESCE, ETHTOOL_SCOALESCE,
		GROUP(struct ethtool_coalesce, moderation)},
	{"channels", "channels", ETHTOOL_GCHANNELS, ETHTOOL_SCHANNELS,
		GROUP(struct ethtool_channels, channels)},
	{"rings", "rings", ETHTOOL_GRINGPARAM, ETHTOOL_SRINGPARAM, GROUP(struct ethtool_ringparam, rings)},
	{"pause", "flow control", ETHTOOL_GPAUSEPARAM, ETHTOOL_SPAUSEPARAM,
		GROUP(struct ethtool_pauseparam, pause_frames)},
	{"eee", "energy saving", ETHTOOL_GEEE, ETHTOOL_SEEE, GROUP(struct ethtool_eee, eee), .keeps = true},
	{"wake", "wake-on-LAN", ETHTOOL_GWOL, ETHTOOL_SWOL, GROUP(struct ethtool_wolinfo, wake)},
	{"private-flags", "private flags", ETHTOOL_GPFLAGS, ETHTOOL_SPFLAGS,
		GROUP(struct ethtool_value, private_flags)},
};

/* Room for each of them; the request comes first. */
union request {
	uint32_t cmd;
	struct ethtool_coalesce coalesce;
	struct ethtool_channels channels;
	struct ethtool_ringparam rings;
	struct ethtool_pauseparam pause;
	struct ethtool_eee eee;
	struct ethtool_wolinfo wake;
	struct ethtool_value value;
};

static const struct group *group_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (!strcmp(groups[i].word, word))
			return &groups[i];
	return NULL;
}

static uint32_t *figure(union request *r, const struct figure *f)
{
	return (uint32_t *)(void *)((char *)r + f->offset);
}

static int group_ask(int sock, const char *name, const struct group *g, struct buf *out)
{
	union request r = {.cmd = g->get};
	int rc = ethtool_ask(sock, name, &r);

	if (rc == -EOPNOTSUPP)
		buf_add(out, NOTHING);
	if (rc < 0)
		return rc == -EOPNOTSUPP ? 0 : rc;
	for (size_t i = 0; i < g->n; i++)
		if (*figure(&r, &g->figures[i]))
			buf_add(out, "%s%s=%u", out->len ? " " : "", g->figures[i].word,
				*figure(&r, &g->figures[i]));
	return 0;
}

int ethtool_figures(int ns, const char *name, const char *word, char **out, struct err *e)
{
	const struct group *g = group_find(word);
	AUTO(buf_free) struct buf text = {0};
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	int rc = sock < 0 ? sock : group_ask(sock, name, g, &text);

	if (sock >= 0 && rc < 0)
		return err_code(e, -rc, "cannot read the %s of link %s", g->what, name);
	if (rc == 0)
		*out = text.data ? steal_ptr(&text.data) : str_dup("");
	return rc;
}

static bool take_figure(union request *r, const struct group *g, const char *word)
{
	size_t n = strcspn(word, "=");
	uint64_t value;

	if (!word[n] || str_u64(word + n + 1, &value) < 0 || value > UINT32_MAX)
		return false;
	for (size_t i = 0; i < g->n; i++)
		if (strlen(g->figures[i].word) == n && !strncmp(g->figures[i].word, word, n)) {
			*figure(r, &g->figures[i]) = (uint32_t)value;
			return true;
		}
	return false;
}

/* 0, or -errno. */
static int request_begin(int sock, const char *name, const struct group *g, union request *r)
{
	*r = (union request){.cmd = g->keeps ? g->get : g->set};
	int rc = g->keeps ? ethtool_ask(sock, name, r) : 0;

	r->cmd = g->set;
	if (g->keeps)
		*figure(r, &g->figures[0]) = 0;
	return rc;
}

int ethtool_figures_set(int ns, const char *name, const char *word, const char *value, struct err *e)
{
	const struct group *g = group_find(word);
	union request r;
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	AUTO_FREE char *copy = str_dup(value);
	char *save = NULL;

	if (sock < 0 || !strcmp(value, NOTHING))
		return sock < 0 ? sock : 0;
	int rc = request_begin(sock, name, g, &r);
	for (char *one = strtok_r(copy, " ", &save); one; one = strtok_r(NULL, " ", &save))
		if (!take_figure(&r, g, one))
			return err_set(e, EINVAL, "cannot set the %s of link %s: '%s' is no figure of it",
				g->what, name, one);
	rc = rc < 0 ? rc : ethtool_ask(sock, name, &r);
	return rc < 0 ? err_code(e, -rc, "cannot set the %s of link %s to '%s'", g->what, name, value) : 0;
}

/* --- facts ------------------------------------------------------------------------------------- */

#define MBPS_UNKNOWN UINT32_MAX

/* The older request, which every kernel answers; beyond what it can say it says that it does not know. */
static uint64_t line_rate(int sock, const char *name)
{
	struct ethtool_cmd c = {.cmd = ETHTOOL_GSET};
	int rc = ethtool_ask(sock, name, &c);
	uint32_t mbps = rc < 0 ? MBPS_UNKNOWN : (uint32_t)c.speed_hi << 16 | c.speed;

	return mbps == MBPS_UNKNOWN || mbps == UINT16_MAX ? 0 : mbps * 1000000ull;
}

int net_device_read(int ns, const char *name, struct net_device *out, struct err *e)
{
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	unsigned a, b, c, d;
	int n = 0;

	if (sock < 0)
		return sock;
	int rc = ethtool_ask(sock, name, &info);
	if (rc == -ENODEV)
		return err_code(e, ENODEV, "cannot find link %s", name);
	*out = (struct net_device){0};
	info.driver[sizeof(info.driver) - 1] = info.bus_info[sizeof(info.bus_info) - 1] = 0;
	str_copy(out->driver, sizeof(out->driver), rc < 0 ? "" : info.driver);
	if (rc == 0 && sscanf(info.bus_info, "%4x:%2x:%2x.%1x%n", &a, &b, &c, &d, &n) == 4 &&
		!info.bus_info[n])
		str_copy(out->pci, sizeof(out->pci), info.bus_info);
	struct net_link link = {0};
	if (net_link_read(ns, name, &link, ERR_IGNORED) == 0) {
		str_copy(out->mac, sizeof(out->mac), link.mac);
		str_copy(out->kind, sizeof(out->kind), link.kind);
	}
	return 0;
}

/* What features come to, under the usual names. */
static const struct {
	const char *feature, *name;
} offloads[] = {
	{"rx-gro", "gro"},
	{"tx-generic-segmentation", "gso"},
	{"rx-lro", "lro"},
	{"rx-checksum", "rxcsum"},
	{"tx-tcp-segmentation", "tso"},
	{"tx-checksum-ip-generic", "txcsum"},
	{"tx-checksum-ipv4", "txcsum"},
};

static void offloads_read(int ns, const char *name, char *out, size_t size)
{
	char features[8192];
	size_t used = 0;

	if (net_features(ns, name, features, sizeof(features), ERR_IGNORED) < 0)
		features[0] = 0;
	out[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(offloads); i++)
		if (ethtool_named(features, offloads[i].feature) && !strstr(out, offloads[i].name))
			used += (size_t)snprintf(
				out + used, size - used, "%s%s", used ? " " : "", offloads[i].name);
}

static void moderation_read(int sock, const char *name, struct net_facts *out)
{
	struct ethtool_coalesce c = {.cmd = ETHTOOL_GCOALESCE};
	AUTO(buf_free) struct buf text = {0};

	if (ethtool_ask(sock, name, &c) == 0)
		out->adaptive = c.use_adaptive_rx_coalesce || c.use_adaptive_tx_coalesce;
	if (out->adaptive) /* the driver changes the figures as it goes */
		snprintf(out->moderation, sizeof(out->moderation), "adaptive%s%s",
			c.use_adaptive_rx_coalesce ? "-rx" : "", c.use_adaptive_tx_coalesce ? "-tx" : "");
	else if (group_ask(sock, name, group_find("coalescing"), &text) == 0)
		str_copy(out->moderation, sizeof(out->moderation), text.len ? text.data : "off");
}

int net_link_facts(int ns, const char *name, struct net_facts *out, struct err *e)
{
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	struct ethtool_channels has = {.cmd = ETHTOOL_GCHANNELS};
	struct net_link link = {0};
	int rc = sock < 0 ? sock : net_link_read(ns, name, &link, e);

	if (rc < 0)
		return rc;
	*out = (struct net_facts){.device = !link.kind[0] && !(link.flags & IFF_LOOPBACK),
		.rx_queues = link.rx_queues,
		.tx_queues = link.tx_queues};
	out->line_rate_bps = out->device ? line_rate(sock, name) : 0;
	if (ethtool_ask(sock, name, &has) == 0) {
		out->rx_queues = has.combined_count + has.rx_count;
		out->tx_queues = has.combined_count + has.tx_count;
	}
	moderation_read(sock, name, out);
	offloads_read(ns, name, out->offloads, sizeof(out->offloads));
	return 0;
}

static void device_texts(const struct net_facts *f, const char *driver, struct net_standing *out)
{
	str_copy(out->text[NET_TEXT_DRIVER], NET_TEXT_SIZE, driver);
	if (f->line_rate_bps)
		snprintf(out->text[NET_TEXT_LINE_RATE], NET_TEXT_SIZE, "%llu",
			(unsigned long long)f->line_rate_bps);
	str_copy(out->text[NET_TEXT_MODERATION], NET_TEXT_SIZE, f->moderation);
	str_copy(out->text[NET_TEXT_OFFLOADS], NET_TEXT_SIZE, *f->offloads ? f->offloads : "none");
	snprintf(out->text[NET_TEXT_QUEUES], NET_TEXT_SIZE, "%u rx %u tx", f->rx_queues, f->tx_queues);
}

void net_standing_read(int ns, const char *name, struct net_standing *out)
{
	struct net_device device = {0};
	struct net_facts facts = {0};
	struct net_link link;

	*out = (struct net_standing){0};
	out->there = net_link_read(ns, name, &link, ERR_IGNORED) == 0;
	if (!out->there)
		return;
	snprintf(out->text[NET_TEXT_MTU], NET_TEXT_SIZE, "%u", link.mtu);
	str_copy(out->text[NET_TEXT_QDISC], NET_TEXT_SIZE, *link.qdisc ? link.qdisc : "none");
	if (net_link_facts(ns, name, &facts, ERR_IGNORED) == 0 && facts.device &&
		net_device_read(ns, name, &device, ERR_IGNORED) == 0)
		device_texts(&facts, device.driver, out);
}
