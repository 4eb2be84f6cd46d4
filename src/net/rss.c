/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a device spreads received packets over its queues (receive side scaling, RSS), by the ethtool ioctl: a
 * hash function, its key, and a table that says for each hash which queue gets the packet.  A driver may have
 * no key, or no table.
 */
#include "ethtool.h"

#include <stdio.h>

#define NOTHING "none"
/* Of the table: as it is.  0 would be the driver's default. */
#define NO_CHANGE  UINT32_MAX
#define MOST_BYTES (1u << 20)

/* The table is first, then the key. */
static unsigned char *key_of(struct ethtool_rxfh *r, uint32_t table_n)
{
	return (unsigned char *)&r->rss_config[table_n];
}

static struct ethtool_rxfh *request_alloc(uint32_t cmd, uint32_t table_n, uint32_t key_bytes)
{
	struct ethtool_rxfh *r = mem_alloc(sizeof(*r) + table_n * sizeof(uint32_t) + key_bytes);

	r->cmd = cmd;
	r->indir_size = table_n;
	r->key_size = key_bytes;
	return r;
}

/* *out malloc'd; 0, or -errno. */
static int ask(int sock, const char *name, struct ethtool_rxfh **out)
{
	struct ethtool_rxfh sizes = {.cmd = ETHTOOL_GRSSH};
	int rc = ethtool_ask(sock, name, &sizes);

	if (rc < 0)
		return rc;
	if (sizes.indir_size > MOST_BYTES || sizes.key_size > MOST_BYTES)
		return -E2BIG;
	*out = request_alloc(ETHTOOL_GRSSH, sizes.indir_size, sizes.key_size);
	return ethtool_ask(sock, name, *out);
}

int ethtool_rss(int ns, const char *name, char **out, struct err *e)
{
	AUTO_FREE struct ethtool_rxfh *r = NULL;
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	int rc = sock < 0 ? sock : ask(sock, name, &r);
	struct buf text = {0};

	if (sock < 0)
		return rc;
	if (rc < 0 && rc != -EOPNOTSUPP)
		return err_code(e, -rc, "cannot read the RSS of link %s", name);
	if (rc < 0) {
		*out = str_dup(NOTHING);
		return 0;
	}
	buf_add(&text, "function=%u", r->hfunc);
	for (uint32_t i = 0; i < r->key_size; i++)
		buf_add(&text, "%s%02x", i ? "" : " key=", key_of(r, r->indir_size)[i]);
	for (uint32_t i = 0; i < r->indir_size; i++)
		buf_add(&text, "%s%u", i ? "," : " table=", r->rss_config[i]);
	*out = text.data;
	return 0;
}

static uint32_t count_of(const char *table)
{
	uint32_t n = table ? 1 : 0;

	for (; table && *table; table++)
		n += *table == ',';
	return n;
}

static bool table_read(char *table, uint32_t *out)
{
	char *save = NULL;
	uint64_t queue;

	for (char *one = strtok_r(table, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		if (str_u64(one, &queue) < 0 || queue > UINT32_MAX)
			return false;
		*out++ = (uint32_t)queue;
	}
	return true;
}

static bool key_read(const char *key, unsigned char *out)
{
	for (; *key; key += 2, out++)
		if (sscanf(key, "%2hhx", out) != 1)
			return false;
	return true;
}

/* Malloc'd; NULL: that is no such text. */
static struct ethtool_rxfh *request_read(char *text)
{
	char *save = NULL, *key = NULL, *table = NULL;
	uint64_t function = 0;
	bool good = true;

	for (char *word = strtok_r(text, " ", &save); word && good; word = strtok_r(NULL, " ", &save)) {
		if (str_starts(word, "function="))
			good = str_u64(word + strlen("function="), &function) == 0 && function <= UINT8_MAX;
		else if (str_starts(word, "key="))
			key = word + strlen("key=");
		else if (str_starts(word, "table="))
			table = word + strlen("table=");
		else
			good = false;
	}
	uint32_t table_n = count_of(table), key_bytes = key ? (uint32_t)strlen(key) / 2 : 0;
	if (!good || table_n > MOST_BYTES || key_bytes > MOST_BYTES || (key && strlen(key) % 2))
		return NULL;
	struct ethtool_rxfh *r = request_alloc(ETHTOOL_SRSSH, table_n, key_bytes);
	r->indir_size = table ? table_n : NO_CHANGE;
	r->hfunc = (uint8_t)function;
	if ((!table || table_read(table, r->rss_config)) && (!key || key_read(key, key_of(r, table_n))))
		return r;
	free(r);
	return NULL;
}

/* Leaves out the function and the key where they are so already: drivers that cannot set them refuse even
 * those that they have.  Is anything left to set? */
static bool leave_out(struct ethtool_rxfh *r, struct ethtool_rxfh *now)
{
	uint32_t table_n = r->indir_size == NO_CHANGE ? 0 : r->indir_size;

	if (r->hfunc == now->hfunc)
		r->hfunc = 0; /* no change */
	if (r->key_size == now->key_size &&
		!memcmp(key_of(r, table_n), key_of(now, now->indir_size), r->key_size))
		r->key_size = 0;
	return r->hfunc || r->key_size || r->indir_size != NO_CHANGE;
}

int ethtool_rss_set(int ns, const char *name, const char *value, struct err *e)
{
	AUTO_FREE struct ethtool_rxfh *now = NULL;
	AUTO_CLOSE int sock = ethtool_open(ns, e);
	AUTO_FREE char *copy = str_dup(value);

	if (sock < 0 || !strcmp(value, NOTHING))
		return sock < 0 ? sock : 0;
	AUTO_FREE struct ethtool_rxfh *r = request_read(copy);
	int rc = r ? ask(sock, name, &now) : -EINVAL;
	if (rc == 0 && leave_out(r, now))
		rc = ethtool_ask(sock, name, r);
	return rc < 0 ? err_code(e, -rc, "cannot set the RSS of link %s to '%s'", name, value) : 0;
}
