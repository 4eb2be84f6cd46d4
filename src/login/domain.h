/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Domains of libvirt that run: read, never changed. */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct domain {
	char name[256]; /* NAME_MAX and its end: libvirt makes files of that name */
	pid_t pid;      /* of its QEMU */
	uint64_t start;
	char accel[16]; /* "kvm" or "tcg" */
	char path[16];  /* "virtio" or "vhost"; "" when that is not known */
	char mac[24];   /* of its network device, when it has exactly one; else "" */
};

/* Runs virsh on the system's libvirt, or that of $LIBVIRT_DEFAULT_URI; its stdout is malloc'd into *out. */
int virsh(const char *const *words, uint64_t timeout_ns, char **out, struct err *e);
/*
 * Finds a running domain.  -ENOENT when there is no virsh or no such domain (the running ones are named),
 * -ENOTCONN when it does not run.
 */
int domain_find(struct domain *out, const char *name, struct err *e);
/* The version of its hypervisor as virsh tells it, "QEMU 7.2.17". */
void domain_hypervisor(char *out, size_t size);
/* The unix socket behind the virtio channel `channel`; -ENOENT when the domain has none. */
int domain_channel(const char *name, const char *channel, char *path, size_t size, struct err *e);

/* --- what is read, for tests ------------------------------------------------------------------- */

/* The last line that says something, without "error: ", fit for a terminal; in place. */
char *domain_words(char *text);
/* The hypervisor in what "virsh version" printed; `out` stays where there is none. */
void domain_hypervisor_read(const char *said, char *out, size_t size);
/* Is the name a line of the text? */
bool domain_listed(const char *text, const char *name);
/* Reads accel, path and mac from a command line of QEMU (words that end with NUL). */
void domain_command_read(struct domain *d, const char *command, size_t len);
/* Is it the command line of the domain of that name? */
bool domain_command_names(const char *command, size_t len, const char *name);
/* The path in the <channel> of a domain's XML whose target has this name; false: none. */
bool domain_xml_channel(const char *xml, const char *channel, char *path, size_t size);
/* The text with the five characters that XML has entities for written as those; malloc'd. */
char *domain_xml_escaped(const char *text);
