/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Features of a link (offloads), over the ethtool ioctl: the kernel tells the names of all features, then for
 * each a bit that says whether it is active.  The text names the active ones only: two links with the same
 * text do the same work per packet.  Setting them touches those that are otherwise and can be changed.
 */
#include "ethtool.h"

#include <stdio.h>

struct features {
	uint32_t n;
	struct ethtool_gstrings *strings;
	struct ethtool_gfeatures *bits;
};

static void features_free(struct features *f)
{
	free(f->strings);
	free(f->bits);
}
#define AUTO_FEATURES AUTO(features_free)

static int names_count(int sock, const char *name, uint32_t *n)
{
	AUTO_FREE struct ethtool_sset_info *request = mem_alloc(sizeof(*request) + sizeof(uint32_t));

	request->cmd = ETHTOOL_GSSET_INFO;
	request->sset_mask = 1ull << ETH_SS_FEATURES;
	int rc = ethtool_ask(sock, name, request);
	*n = request->sset_mask ? request->data[0] : 0;
	return rc < 0 ? rc : *n ? 0 : -EOPNOTSUPP;
}

static uint32_t blocks_of(uint32_t n)
{
	return (n + 31) / 32;
}

static int features_ask(int sock, const char *name, struct features *f)
{
	int rc = names_count(sock, name, &f->n);

	if (rc < 0)
		return rc;
	f->strings = mem_alloc(sizeof(*f->strings) + (size_t)f->n * ETH_GSTRING_LEN);
	f->bits = mem_alloc(sizeof(*f->bits) + blocks_of(f->n) * sizeof(struct ethtool_get_features_block));
	*f->strings = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = f->n};
	*f->bits = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = blocks_of(f->n)};
	rc = ethtool_ask(sock, name, f->strings);
	if (rc == 0)
		rc = ethtool_ask(sock, name, f->bits);
	/* In between the kernel cannot have got more of them. */
	f->n = rc < 0 ? 0 : MIN(f->n, MIN(f->strings->len, f->bits->size * 32));
	return rc;
}

/* "" for a feature without a name. */
static const char *name_of(const struct features *f, uint32_t i)
{
	char *text = (char *)f->strings->data + (size_t)i * ETH_GSTRING_LEN;

	text[ETH_GSTRING_LEN - 1] = 0;
	return text;
}

static bool is_set(uint32_t block, uint32_t i)
{
	return block & 1u << i % 32;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int active_names(const struct features *f, char *out, size_t size)
{
	AUTO_FREE const char **on = mem_array(f->n, sizeof(*on));
	size_t on_n = 0, used = 0;

	for (uint32_t i = 0; i < f->n; i++)
		if (*name_of(f, i) && is_set(f->bits->features[i / 32].active, i))
			on[on_n++] = name_of(f, i);
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
	AUTO_FEATURES struct features f = {0};
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	AUTO_FREE char *text = mem_alloc(size);

	if (sock < 0)
		return sock;
	int rc = features_ask(sock, name, &f);
	if (rc == 0)
		rc = active_names(&f, text, size);
	if (rc < 0)
		return err_code(e, -rc, "cannot read the features of link %s", name);
	return str_copy(out, size, text);
}

int net_features_set(int ns, const char *name, const char *active, struct err *e)
{
	AUTO_FEATURES struct features f = {0};
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	int rc = sock < 0 ? sock : features_ask(sock, name, &f);

	if (rc < 0)
		return sock < 0 ? rc : err_code(e, -rc, "cannot read the features of link %s", name);
	AUTO_FREE struct ethtool_sfeatures *wish =
		mem_alloc(sizeof(*wish) + blocks_of(f.n) * sizeof(struct ethtool_set_features_block));
	*wish = (struct ethtool_sfeatures){.cmd = ETHTOOL_SFEATURES, .size = blocks_of(f.n)};
	for (uint32_t i = 0; i < f.n; i++) {
		const struct ethtool_get_features_block *b = &f.bits->features[i / 32];
		bool on = ethtool_named(active, name_of(&f, i));
		if (!*name_of(&f, i) || on == is_set(b->active, i) ||
			!is_set(b->available & ~b->never_changed, i))
			continue;
		wish->features[i / 32].valid |= 1u << i % 32;
		wish->features[i / 32].requested |= (uint32_t)on << i % 32;
	}
	rc = ethtool_ask(sock, name, wish);
	return rc < 0 ? err_code(e, -rc, "cannot set the features of link %s", name) : 0;
}
