/* SPDX-License-Identifier: GPL-3.0-or-later */
/* image: private to boot. */
#pragma once

#include "boot.h"

#define PATH_BYTES 1024

/*
 * Locks a file or folder that is being made, so that it is not taken for a leftover of a killed taut
 * (left.c); returns the fd that holds the lock.
 */
int half_hold(const char *path, struct err *e);
/* The cache, when it is there and can be trusted; it is not made. */
bool cache_exists(char *out, size_t size);

/* A copy of `image` at `path` (which must not exist) with the document appended as BOOT_DOCUMENT. */
int image_append(const char *image, const struct boot_document *document, const char *path, struct err *e);

/* --- making one (image.c), for images of their own (image_host.c) -------------------------------- */

struct cpio;

struct image_content {
	const struct kernel *kernel;
	const char *agent;
	const char *driver;       /* of a guest */
	const char *program;      /* of a guest besides, with its libraries; NULL: none */
	struct host_content host; /* of a host */
};

typedef int image_fill(struct cpio *c, const struct image_content *content, struct err *e);

/* CACHE/images/KIND-RELEASE-HASH.img */
int image_path(const char *kind, const struct kernel *k, const struct hash *hash, char *path, size_t size,
	struct err *e);
/* Makes the image at `path`, complete or not at all, when it is not there; then removes older ones of its
 * kind. */
int image_ensure(const char *path, const char *kind, const struct image_content *content, image_fill *fill,
	struct err *e);
/* The path of a guest's image, which need not exist. */
int image_guest_path(const struct kernel *k, const char *agent, const char *driver, char *path, size_t size,
	struct err *e);

void image_hash_kernel(struct hash *h, const struct kernel *k);
int image_hash_agent(struct hash *h, const char *agent, struct err *e);
/* Adds path, size and time of a file; nothing when it is not there. */
void image_hash_stat(struct hash *h, const char *path);

/* /init and the folders that a kernel's own file systems are mounted on. */
void image_add_ground(struct cpio *c, const char *agent);
/* Adds modules and those that they depend on, unless they are in the image already, in the order of loading;
 * their names are added to `list`. */
int image_add_modules(struct cpio *c, const struct kernel *k, const char *const *names, size_t names_n,
	bool optional, struct buf *list, struct err *e);
