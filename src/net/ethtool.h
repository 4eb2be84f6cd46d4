/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ethtool ioctl; private to net. */
#pragma once

#include "net.h"

#include <linux/ethtool.h>

/* A socket of the namespace to ask with. */
int ethtool_open(int ns, struct err *e);
/* Is the word one of a text with spaces between them? */
bool ethtool_named(const char *text, const char *word);
/*
 * A setting of figures, by the word of its property: coalescing, channels, rings, pause, eee, wake,
 * private-flags.  Those figures that are not 0, "rx-usecs=3 adaptive-rx=1"; "none" where the driver has no
 * such thing.  *out malloc'd.
 */
int ethtool_figures(int ns, const char *name, const char *word, char **out, struct err *e);
int ethtool_figures_set(int ns, const char *name, const char *word, const char *value, struct err *e);
/* How received packets are spread over queues (RSS): "function=1 key=6d5a… table=0,1,0,1"; "none". */
int ethtool_rss(int ns, const char *name, char **out, struct err *e);
int ethtool_rss_set(int ns, const char *name, const char *value, struct err *e);
/* 0, or -errno. */
int ethtool_ask(int sock, const char *name, void *request);
