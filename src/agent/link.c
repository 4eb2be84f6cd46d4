/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

static bool has_address(const struct ifaddrs *i, const char *address)
{
	const void *any = i->ifa_addr;
	struct in6_addr v6;
	struct in_addr v4;

	if (any && i->ifa_addr->sa_family == AF_INET && inet_pton(AF_INET, address, &v4) == 1)
		return ((const struct sockaddr_in *)any)->sin_addr.s_addr == v4.s_addr;
	return any && i->ifa_addr->sa_family == AF_INET6 && inet_pton(AF_INET6, address, &v6) == 1 &&
	       !memcmp(((const struct sockaddr_in6 *)any)->sin6_addr.s6_addr, v6.s6_addr, sizeof(v6.s6_addr));
}

bool agent_link(const char *address, char out[16])
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next)
		found = has_address(i, address) && !(i->ifa_flags & IFF_LOOPBACK) &&
			str_copy(out, 16, i->ifa_name) == 0;
	freeifaddrs(all);
	return found;
}
