/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The addresses of a link that somebody has set, as a text that can be set again, with all that was said of
 * them: "10.0.0.1/24,brd=10.0.0.255,label=eth0:1,metric=100,until=5000,noprefixroute 10.0.0.7/24".
 *
 * An address with a lifetime ends at its second of the machine's clock (until=, preferred=), whether it is on
 * the link by then or not.  An IPv6 address that the kernel has made itself, by the link or by an
 * advertisement of a router, comes back by itself and is left out.  Kernels before 5.18 do not say which
 * those are; there all are left out that have a lifetime or are of the link.
 */
#include "ethtool.h"
#include "link.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <sys/utsname.h>

#define FOREVER    UINT32_MAX
#define CENTI_NS   (NS_PER_S / 100)
#define SAYS_MAKER (5 * 1000 + 18)
#define LABEL      ",label="

struct address {
	struct ifaddrmsg head;
	unsigned flags;
	unsigned char local[16], peer[16], broadcast[16];
	bool has_peer, has_broadcast;
	char label[16];
	uint64_t scope, metric, maker; /* IFA_RT_PRIORITY, IFA_PROTO; of IPv6 the kernel knows the scope */
	uint64_t until, preferred;     /* seconds, CLOCK_MONOTONIC; UINT64_MAX: for ever */
};

/* The parts of the text behind the address itself. */
#define AT(member) offsetof(struct address, member)
static const struct {
	const char *word;
	size_t bytes, has;
} others[] = {{",peer=", AT(peer), AT(has_peer)}, {",brd=", AT(broadcast), AT(has_broadcast)}};
static const struct {
	const char *word;
	size_t value;
	uint64_t usual;
} numbers[] = {{",scope=", AT(scope), RT_SCOPE_UNIVERSE}, {",metric=", AT(metric), 0},
	{",proto=", AT(maker), 0}, {",until=", AT(until), UINT64_MAX},
	{",preferred=", AT(preferred), UINT64_MAX}};
static const struct {
	const char *word;
	unsigned flag;
} flags[] = {{",noprefixroute", IFA_F_NOPREFIXROUTE}, {",nodad", IFA_F_NODAD}, {",home", IFA_F_HOMEADDRESS},
	{",mngtmpaddr", IFA_F_MANAGETEMPADDR}, {",autojoin", IFA_F_MCAUTOJOIN}};

static void *member(const struct address *a, size_t at)
{
	return (char *)(uintptr_t)a + at;
}

/* --- as the kernel tells them ------------------------------------------------------------------ */

static bool take_address(struct nlattr *attr, unsigned char out[16])
{
	if (attr)
		memcpy(out, nla_data(attr), MIN((size_t)nla_len(attr), (size_t)16));
	return attr;
}

static unsigned take_number(struct nlattr *attr)
{
	return !attr ? 0 : nla_len(attr) == 1 ? nla_get_u8(attr) : nla_get_u32(attr);
}

/* What is left of a lifetime has been counted in whole seconds since the address was set. */
static uint64_t end_of(const struct ifa_cacheinfo *c, uint32_t left_s)
{
	uint64_t now = time_now_ns() / CENTI_NS;

	if (left_s == FOREVER)
		return UINT64_MAX;
	return left_s == 0 ? 0 : c->tstamp / 100 + left_s + (now - MIN(now, (uint64_t)c->tstamp)) / 100;
}

static void address_take(struct nlmsghdr *h, struct address *out)
{
	struct nlattr *attr[IFA_MAX + 1] = {NULL};

	nlmsg_parse(h, sizeof(struct ifaddrmsg), attr, IFA_MAX, NULL);
	*out = (struct address){
		.head = *(struct ifaddrmsg *)nlmsg_data(h), .until = UINT64_MAX, .preferred = UINT64_MAX};
	out->flags = attr[IFA_FLAGS] ? take_number(attr[IFA_FLAGS]) : out->head.ifa_flags;
	take_address(attr[IFA_LOCAL] ? attr[IFA_LOCAL] : attr[IFA_ADDRESS], out->local);
	take_address(attr[IFA_ADDRESS], out->peer);
	out->has_peer = attr[IFA_LOCAL] && memcmp(out->local, out->peer, sizeof(out->local)) != 0;
	out->has_broadcast = take_address(attr[IFA_BROADCAST], out->broadcast);
	if (attr[IFA_LABEL])
		str_copy(out->label, sizeof(out->label), nla_get_string(attr[IFA_LABEL]));
	out->scope = out->head.ifa_family == AF_INET ? out->head.ifa_scope : RT_SCOPE_UNIVERSE;
	out->metric = take_number(attr[IFA_RT_PRIORITY]);
	out->maker = take_number(attr[IFA_PROTO]);
	if (attr[IFA_CACHEINFO]) {
		const struct ifa_cacheinfo *c = nla_data(attr[IFA_CACHEINFO]);
		out->until = end_of(c, c->ifa_valid);
		out->preferred = end_of(c, c->ifa_prefered);
	}
}

static bool kernel_says_maker(void)
{
	struct utsname name;
	unsigned a, b;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &a, &b) == 2 && a * 1000 + b >= SAYS_MAKER;
}

static bool is_set_by_somebody(const struct address *a)
{
	if (a->head.ifa_family == AF_INET)
		return true;
	if (a->head.ifa_family != AF_INET6 || a->flags & IFA_F_TEMPORARY)
		return false;
	if (a->maker || kernel_says_maker())
		return a->maker != IFAPROT_KERNEL_LO && a->maker != IFAPROT_KERNEL_RA &&
		       a->maker != IFAPROT_KERNEL_LL;
	return a->head.ifa_scope != RT_SCOPE_LINK && a->flags & IFA_F_PERMANENT;
}

/* --- as text ----------------------------------------------------------------------------------- */

static void add_address(struct buf *text, const char *word, int family, const unsigned char *bytes)
{
	char shown[INET6_ADDRSTRLEN];

	buf_add(text, "%s%s", word, inet_ntop(family, bytes, shown, sizeof(shown)));
}

/* Malloc'd. */
static char *address_text(const struct address *a, const char *link)
{
	int family = a->head.ifa_family;
	struct buf text = {0};

	add_address(&text, "", family, a->local);
	buf_add(&text, "/%u", a->head.ifa_prefixlen);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (*(bool *)member(a, others[i].has))
			add_address(&text, others[i].word, family, member(a, others[i].bytes));
	if (a->label[0] && strcmp(a->label, link) != 0 && !strpbrk(a->label, " ,"))
		buf_add(&text, LABEL "%s", a->label);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint64_t value = *(uint64_t *)member(a, numbers[i].value);
		if (value != numbers[i].usual)
			buf_add(&text, "%s%llu", numbers[i].word, (unsigned long long)value);
	}
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (a->flags & flags[i].flag)
			buf_add(&text, "%s", flags[i].word);
	return text.data;
}

/* One part, with its comma. */
static bool part_read(struct address *a, const char *part)
{
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (str_starts(part, others[i].word)) {
			*(bool *)member(a, others[i].has) = true;
			return inet_pton(a->head.ifa_family, part + strlen(others[i].word),
				       member(a, others[i].bytes)) == 1;
		}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (str_starts(part, numbers[i].word))
			return str_u64(part + strlen(numbers[i].word), member(a, numbers[i].value)) == 0;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (!strcmp(part, flags[i].word)) {
			a->flags |= flags[i].flag;
			return true;
		}
	return str_starts(part, LABEL) && str_copy(a->label, sizeof(a->label), part + strlen(LABEL)) == 0;
}

/* Of what begins with an address. */
static bool is_six(const char *text)
{
	return text[strcspn(text, ":/")] == ':';
}

/* "10.0.0.1/24" */
static bool local_read(struct address *a, const char *text)
{
	AUTO_FREE char *copy = str_dup(text);
	char *slash = strchr(copy, '/');
	uint64_t prefix = 0;

	if (!slash || str_u64(slash + 1, &prefix) < 0 || prefix > 128)
		return false;
	*slash = 0;
	a->head.ifa_family = is_six(copy) ? AF_INET6 : AF_INET;
	a->head.ifa_prefixlen = (unsigned char)prefix;
	return inet_pton(a->head.ifa_family, copy, a->local) == 1;
}

static bool address_read(struct address *a, const char *text)
{
	AUTO_FREE char *copy = str_dup(text);
	bool good = true;

	*a = (struct address){.until = UINT64_MAX, .preferred = UINT64_MAX};
	AUTO_FREE char *first = str_format("%.*s", (int)strcspn(copy, ","), copy);
	if (!local_read(a, first))
		return false;
	for (char *part; good && (part = strrchr(copy, ',')); *part = 0)
		good = part_read(a, part);
	return good;
}

/* --- set --------------------------------------------------------------------------------------- */

static uint32_t seconds_left(uint64_t until)
{
	uint64_t now = time_now_ns() / NS_PER_S;

	return until == UINT64_MAX ? FOREVER : until > now ? (uint32_t)MIN(until - now, FOREVER - 1ull) : 0;
}

static int request_fill(struct nl_msg *msg, const struct address *a, const char *link)
{
	int size = a->head.ifa_family == AF_INET6 ? 16 : 4;
	struct ifa_cacheinfo life = {
		.ifa_valid = seconds_left(a->until), .ifa_prefered = seconds_left(a->preferred)};
	const char *label = a->label[0] ? a->label : link;
	int rc = nlmsg_append(msg, (void *)(uintptr_t)&a->head, sizeof(a->head), NLMSG_ALIGNTO);

	rc = rc < 0 ? rc : nla_put(msg, IFA_LOCAL, size, a->local);
	rc = rc < 0 ? rc : nla_put(msg, IFA_ADDRESS, size, a->has_peer ? a->peer : a->local);
	if (rc == 0 && a->has_broadcast)
		rc = nla_put(msg, IFA_BROADCAST, size, a->broadcast);
	if (rc == 0 && a->head.ifa_family == AF_INET)
		rc = nla_put_string(msg, IFA_LABEL, label);
	if (rc == 0 && a->metric)
		rc = nla_put_u32(msg, IFA_RT_PRIORITY, (uint32_t)a->metric);
	if (rc == 0 && a->maker)
		rc = nla_put_u8(msg, IFA_PROTO, (uint8_t)a->maker);
	rc = rc < 0 ? rc : nla_put_u32(msg, IFA_FLAGS, a->flags);
	return rc < 0 ? rc : nla_put(msg, IFA_CACHEINFO, sizeof(life), &life);
}

/* Gives it to the link, or takes it away.  Returns 0 or what libnl says. */
static int address_send(struct session *s, int type, const struct address *a, int index, const char *link)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct address here = *a;

	here.head.ifa_index = (unsigned)index;
	here.head.ifa_scope = (unsigned char)a->scope;
	int rc = msg ? request_fill(msg, &here, link) : -NLE_NOMEM;
	if (rc < 0) {
		nlmsg_free(msg);
		return rc;
	}
	return nl_send_sync(s->sock, msg); /* frees msg */
}

/* --- of a link --------------------------------------------------------------------------------- */

/* Those of the namespace that are on the link and that somebody has set; *out malloc'd. */
static int addresses_list(struct session *s, int index, struct address **out, size_t *n, struct err *e)
{
	AUTO(buf_free) struct buf all = {0};
	struct ifaddrmsg header = {.ifa_family = AF_UNSPEC};
	int rc = session_dump(s, RTM_GETADDR, &header, sizeof(header), &all, e);
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)all.data;

	*out = NULL;
	*n = 0;
	for (int left = (int)all.len; rc == 0 && nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		struct address a;
		address_take(h, &a);
		if ((int)a.head.ifa_index != index || !is_set_by_somebody(&a))
			continue;
		*out = mem_grow(*out, *n + 1, sizeof(**out));
		(*out)[(*n)++] = a;
	}
	return rc;
}

int link_addresses(int ns, const char *name, char **out, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	AUTO_FREE struct address *list = NULL;
	struct buf text = {0};
	size_t n = 0;
	int rc = session_open(&s, ns, e), index = rc < 0 ? rc : session_link(&s, name, e);

	if (index < 0 || (rc = addresses_list(&s, index, &list, &n, e)) < 0)
		return index < 0 ? index : rc;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *one = address_text(&list[i], name);
		buf_add(&text, "%s%s", i ? " " : "", one);
	}
	*out = text.data ? text.data : str_dup("");
	return 0;
}

/* One whose time is over is there no more in any case. */
static int address_add(struct session *s, int index, const char *name, const char *text, struct err *e)
{
	struct address a;

	if (!address_read(&a, text))
		return err_set(e, EINVAL, "cannot give link %s the address '%s'", name, text);
	if (!seconds_left(a.until))
		return 0;
	int rc = address_send(s, RTM_NEWADDR, &a, index, name);
	return rc == 0 || rc == -NLE_EXIST
		       ? 0
		       : session_error(e, rc, "cannot give link %s the address %s", name, text);
}

/* The kernel lists IPv4 addresses from the first that was set, and IPv6 ones from the last. */
static int add_all(struct session *s, int index, const char *name, const char *value, struct err *e)
{
	AUTO_FREE char *copy = str_dup(value);
	AUTO_FREE char **words = mem_array(strlen(value) / 2 + 1, sizeof(*words));
	char *save = NULL;
	size_t n = 0;
	int rc = 0;

	for (char *one = strtok_r(copy, " ", &save); one; one = strtok_r(NULL, " ", &save))
		words[n++] = one;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = is_six(words[i]) ? 0 : address_add(s, index, name, words[i], e);
	for (size_t i = n; rc == 0 && i-- > 0;)
		rc = is_six(words[i]) ? address_add(s, index, name, words[i], e) : 0;
	return rc;
}

int link_addresses_set(int ns, const char *name, const char *value, struct err *e)
{
	AUTO_SESSION struct session s = SESSION_NONE;
	AUTO_FREE struct address *list = NULL;
	size_t n = 0;
	int rc = session_open(&s, ns, e), index = rc < 0 ? rc : session_link(&s, name, e);

	if (index < 0 || (rc = addresses_list(&s, index, &list, &n, e)) < 0)
		return index < 0 ? index : rc;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *one = address_text(&list[i], name);
		/* A secondary address goes with its first one. */
		rc = ethtool_named(value, one) ? 0 : address_send(&s, RTM_DELADDR, &list[i], index, name);
		if (rc < 0 && rc != -NLE_NOADDR && rc != -NLE_OBJ_NOTFOUND)
			return session_error(e, rc, "cannot take the address %s from link %s", one, name);
	}
	return add_all(&s, index, name, value, e);
}
