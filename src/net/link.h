/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files about links share; private to net. */
#pragma once

#include "session.h"

#include <netlink/route/link.h>

void link_put(struct rtnl_link **link);
#define AUTO_LINK AUTO(link_put)
/* A session in the namespace, and the link as the kernel has it; -ENODEV. */
int link_open(struct session *s, struct rtnl_link **link, int ns, const char *name, struct err *e);
/* `change` holds what is to be changed, and nothing else. */
int link_change(int ns, const char *name, struct rtnl_link *change, const char *what, struct err *e);
struct rtnl_link *link_change_alloc(struct err *e);
/* The property "addresses". */
int link_addresses(int ns, const char *name, char **out, struct err *e);
int link_addresses_set(int ns, const char *name, const char *value, struct err *e);
