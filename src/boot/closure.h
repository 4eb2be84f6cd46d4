/* SPDX-License-Identifier: GPL-3.0-or-later */
/* closure: puts programs with all libraries that they need into an image, at the paths that they have here.
 */
#pragma once

#include "boot.h"
#include "cpio.h"

/*
 * Adds a program of this machine (a path) with the shared libraries that the dynamic loader names for it.
 * -ENOENT when one of them is missing.
 */
int closure_add(struct cpio *c, const char *program, struct err *e);
/* The same, at another path of the image. */
int closure_add_as(struct cpio *c, const char *program, const char *path, struct err *e);
/*
 * Calls fn with every library in what the dynamic loader printed for a program, which is changed; -ENOENT
 * when it lacks one, and whatever fn returns below 0.
 */
int closure_read(char *text, const char *program, program_library *fn, void *arg, struct err *e);
/* Adds the cache in which the dynamic loader looks libraries up. */
void closure_add_loader_cache(struct cpio *c);
/* Adds name, size and time of a program and of its libraries, on which an image made with it depends. */
int closure_hash(struct hash *h, const char *program, struct err *e);
