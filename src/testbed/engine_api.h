/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Engine API of Docker and Podman: HTTP and JSON over a unix socket; private to the module.
 *
 * What an engine says is outside input: an answer is bounded in size and time, every member is looked at
 * before it is used, and its words are made fit for a terminal.
 */
#pragma once

#include "private.h"

#include <sys/un.h>

#define ENGINE_OWNER "taut.owner" /* the label of what is taut's; its value is the id of the owner record */

/* One kind of engine, as a runtime names it. */
struct engine_row {
	const char *title;         /* "Docker" */
	const char *variable;      /* names the socket, "unix:///path" */
	const char *sockets[2];    /* where it is otherwise, by the order of looking */
	const char *install;       /* advice when it is not there */
	const char *const *daemon; /* starts it with the first socket; NULL: taut starts none */
};

/* A socket that answers. */
struct engine {
	char socket[sizeof((struct sockaddr_un *)0)->sun_path];
	char version[24]; /* of the program: "20.10.24" */
	char api[16];     /* "v1.41": what is asked for */
	pid_t server;     /* whose socket it is; 0: not known */
};

/* Finds the socket and asks what it is; -ENOENT: there is none; EXIT_REFUSED: not for us. */
int engine_open(struct engine *out, const struct engine_row *row, struct err *e);
int engine_open_at(struct engine *out, const char *socket, struct err *e);
/* Can a container be put into a cgroup by its path?  Docker's driver "systemd" wants the name of a slice. */
int engine_cgroup_paths(const struct engine *g, bool *out, struct err *e);
/* The socket that the environment names, or the first that is there; NULL: none.  Kept for ever. */
int engine_socket(const struct engine_row *row, const char **out, struct err *e);

struct engine_request {
	const char *method;
	const char *path; /* behind the version: "/containers/json" */
	json_t *body;     /* NULL: none; freed by engine_call() */
	const void *data; /* in its place: a tar */
	size_t data_len;
	const char *what;     /* "start container taut-1", for the message */
	uint64_t patience_ns; /* 0: as long as any call may take */
	bool removes;         /* it takes away what taut has made: an interrupt does not end it */
};

/*
 * `answer` (NULL: of no interest) is the text of what was answered, malloc'd and ended by NUL.  A refusal is
 * an error with the engine's own words: -ENOENT for 404, -EEXIST for 409, else -EIO.
 */
int engine_call(const struct engine *g, struct engine_request *request, char **answer, struct err *e);
/* The same where the answer is one JSON object or array. */
int engine_ask(const struct engine *g, struct engine_request *request, json_t **answer, struct err *e);

/* --- what engines say -------------------------------------------------------------------------- */

/* Reads the answer to GET /version. */
int engine_version_read(struct engine *out, const json_t *answer, struct err *e);

struct engine_container {
	char id[80], owner[48], address[64];
	pid_t pid;  /* 0: it does not run */
	int status; /* of its end, as a shell says it */
	bool out_of_memory;
};
/* Reads the answer to GET /containers/NAME/json. */
int engine_container_read(struct engine_container *out, const json_t *answer, struct err *e);
/* The id of an image in the lines that an import answers with: the last "sha256:…". */
int engine_import_read(char out[80], const char *lines, struct err *e);
/* Reads the answer to GET /networks/NAME: is it a bridge of this host? */
int engine_network_read(const json_t *answer, const char *name, struct err *e);
/* The group of a controller ("": that of cgroup v2) in /proc/PID/cgroup, which is taken apart; untouched when
 * it has none. */
int engine_cgroup_read(char *out, size_t size, char *text, const char *controller, struct err *e);
/* Is this a name that a container, network or image can have? */
bool engine_name_valid(const char *name);
