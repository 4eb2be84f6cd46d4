/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Features of a link (offloads), over the ethtool ioctl: the kernel tells the names of all features, then a
 * bit for each that is active.  The result names the active ones only: two links with the same string do the
 * same work per packet.
 */
#include "net.h"

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int ask(int sock, const char *name, void *request)
{
	struct ifreq r = {.ifr_data = request};

	if (str_copy(r.ifr_name, sizeof(r.ifr_name), name) < 0)
		return -ENODEV;
	return ioctl(sock, SIOCETHTOOL, &r) < 0 ? -errno : 0;
}

static int names_count(int sock, const char *name, uint32_t *n)
{
	AUTO_FREE struct ethtool_sset_info *request = mem_alloc(sizeof(*request) + sizeof(uint32_t));

	request->cmd = ETHTOOL_GSSET_INFO;
	request->sset_mask = 1ull << ETH_SS_FEATURES;
	int rc = ask(sock, name, request);
	*n = request->sset_mask ? request->data[0] : 0;
	return rc < 0 ? rc : *n ? 0 : -EOPNOTSUPP;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* `n` is the number of features that the kernel told; both answers have room for that many. */
static int active_names(int sock, const char *name, uint32_t n, char *out, size_t size)
{
	uint32_t blocks = (n + 31) / 32;
	AUTO_FREE struct ethtool_gstrings *strings =
		mem_alloc(sizeof(*strings) + (size_t)n * ETH_GSTRING_LEN);
	AUTO_FREE struct ethtool_gfeatures *bits =
		mem_alloc(sizeof(*bits) + blocks * sizeof(struct ethtool_get_features_block));
	AUTO_FREE char **on = mem_array(n, sizeof(*on));
	size_t on_n = 0, used = 0;
	int rc;

	*strings =
		(struct ethtool_gstrings){.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = n};
	*bits = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = blocks};
	if ((rc = ask(sock, name, strings)) < 0 || (rc = ask(sock, name, bits)) < 0)
		return rc;
	for (uint32_t i = 0; i < MIN(n, strings->len) && i / 32 < bits->size; i++) {
		char *text = (char *)strings->data + (size_t)i * ETH_GSTRING_LEN;
		text[ETH_GSTRING_LEN - 1] = 0;
		if (*text && bits->features[i / 32].active & 1u << i % 32)
			on[on_n++] = text;
	}
	qsort(on, on_n, sizeof(*on), by_name);
	for (size_t i = 0; i < on_n; i++) {
		int len = snprintf(out + used, size - used, "%s%s", i ? " " : "", on[i]);
		if (len < 0 || (size_t)len >= size - used)
			return -ENOSPC;
		used += (size_t)len;
	}
	return 0;
}

int net_features(int ns, const char *name, char *out, size_t size, struct err *e)
{
	int saved = netns_enter(ns, e);

	if (saved < 0)
		return saved;
	AUTO_CLOSE int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = sock < 0 ? -errno : 0;
	netns_leave(&saved); /* the socket stays where it was opened */
	uint32_t n = 0;
	AUTO_FREE char *text = mem_alloc(size);
	if (rc == 0 && (rc = names_count(sock, name, &n)) == 0)
		rc = active_names(sock, name, n, text, size);
	if (rc < 0)
		return err_code(e, -rc, "cannot read the features of link %s", name);
	return str_copy(out, size, text);
}
