/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What taut makes in a container engine; private to the module. */
#pragma once

#include "engine_api.h"

#define ENGINE_ID_BYTES    80         /* of images and containers */
#define ENGINE_CONTROL     "/control" /* where the container has the socket of the control stream */
#define ENGINE_ATTACHMENTS "veth|bridge|engine|host"

/* What a target has of an engine while it stands. */
struct engine_use {
	struct engine engine;
	char image[ENGINE_ID_BYTES], container[ENGINE_ID_BYTES]; /* "" before they are made */
	char record[320]; /* the file that tells a later taut; "": none */
	int listener;     /* for the control stream; −1: none */
	int netns;        /* of the engine: where its bridges and rules are */
};

/* --- engine_image.c ---------------------------------------------------------------------------- */

/* Makes an image without a name that holds the agent and the label of `owner`. */
int engine_image_make(const struct engine *g, const char *agent, const char *owner, char out[ENGINE_ID_BYTES],
	struct err *e);
/* Removes the container with that label, and the image; "": every one with that label.  What is not there is
 * no error. */
int engine_remove(const struct engine *g, const char *owner, const char *image, struct err *e);

/* --- engine_wire.c ----------------------------------------------------------------------------- */

/* Does the attachment go through the network of the engine, and which one is it? */
bool engine_network(const struct settings *s, const char **name);
/* Before the container: the client's namespace, and a link from there to where the engine is; chooses ports.
 */
int engine_wire_open(struct target *t, struct err *e);
/* What the settings mean for NetworkMode. */
const char *engine_network_mode(const struct target *t);
/* The ports that are to be published, as two members of the request. */
void engine_ports_add(const struct target *t, json_t *config, json_t *host);
/* With the container: where the server binds. */
int engine_wire_finish(struct target *t, const struct engine_container *c, struct err *e);

/* --- engine_request.c -------------------------------------------------------------------------- */

/* The body of the request that makes the container. */
json_t *engine_create_body(const struct target *t, const char *image);

/* --- engine_host.c ----------------------------------------------------------------------------- */

/* On an emulated host: starts the engine, if its program is there and it does not run; until it answers. */
int engine_host_start(const struct engine_row *row, struct err *e);
