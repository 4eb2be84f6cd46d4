/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parts of a target; private to the module.
 *
 * A target is a runtime (what holds the server) on an attachment (how it reaches the client): a row each.  A
 * new one is a file with its functions and a row in rows.c.  Everything else is common: the owner
 * record (made first and removed last), the cgroups, the endpoints.
 */
#pragma once

#include "login/login.h"
#include "net/net.h"
#include "testbed.h"
#include "vm.h"

/* --- endpoints --------------------------------------------------------------------------------- */

struct endpoint {
	const char *name;    /* "taut-client", "taut-server" */
	const char *through; /* the runtime that child is: "runc"; NULL: child is the agent */
	struct child child;
	struct machine *machine; /* that it lives in; owned; NULL: none */
	int control;             /* our end of the stream */
	int theirs;              /* the other end, until it has been handed over */
	int said;                /* memfd behind stderr */
	int netns;               /* where its link is */
	bool foreign;            /* pid is not ours to kill */
	pid_t pid;               /* the agent as we see it; 0 before its HELLO */
	uint64_t start;
	bool ended;
	int status; /* as waitpid's, once it has ended */
};

int endpoint_open(struct endpoint *ep, struct err *e);
/* Starts `argv` with the stream as fd 3 and stderr kept; netns −1: stay in ours. */
int endpoint_spawn(struct endpoint *ep, const char *const *argv, int netns, struct err *e);
/* The agent itself as a process in its namespace. */
int endpoint_spawn_agent(struct endpoint *ep, const char *agent, struct err *e);
/* Until the agent says HELLO; finds out its pid. */
int endpoint_wait(struct endpoint *ep, uint64_t deadline_ns, struct err *e);
int endpoint_threads(const struct endpoint *ep, enum role role, struct subject *subject, struct err *e);
/* Adds "taut-server: killed by SIGKILL: last words\n" when it has ended or said something. */
void endpoint_report(struct endpoint *ep, struct buf *out);
/* The first line of stderr that is no mere warning ("" for none), fit for a terminal. */
const char *endpoint_words(const struct endpoint *ep, char *out, size_t size);
void endpoint_kill(struct endpoint *ep); /* the agent itself, wherever it lives */
void endpoint_close(struct endpoint *ep);

/* --- rows -------------------------------------------------------------------------------------- */

struct runtime_row {
	const char *name, *help;
	const char *targets; /* "native|container": which targets it can make */
	/* Is what it needs there?  Cheap; -ENOENT with advice when not.  NULL: always. */
	int (*ready)(struct err *e);
	bool switches; /* switches on controllers of the cgroups above its own */
	bool boots;    /* starting takes a boot, and the server is on a tap of the bridge */
	/*
	 * Finds what it needs for such a trial and puts it into the plan, or says why it cannot be made here.
	 * NULL: making one is quick, so that is tried.
	 */
	int (*resolve)(struct trial_plan *plan, struct err *e);
	/*
	 * Finds what is there already and holds the server; it is not ours, so it gets no cgroups and no
	 * namespaces, and its threads are known from the beginning.  NULL: the server is in what start()
	 * makes.
	 */
	int (*find)(struct target *t, struct err *e);
	/* Begins to start the server; endpoint_wait() follows.  NULL: with find() only. */
	int (*start)(struct target *t, struct err *e);
	/* Puts the endpoint into what has been started, and takes it out again; NULL: it is there by itself.
	 */
	int (*enter)(struct target *t, uint64_t deadline_ns, struct err *e);
	void (*leave)(struct target *t);
	/* The threads of the server as the host sees them; NULL: those of the agent. */
	int (*threads)(const struct target *t, struct subject *subject, struct err *e);
	/* After the agent has been killed: the rest; problems go to the text.  NULL: nothing. */
	void (*stop)(struct target *t, struct buf *problems);
	/* What it makes that outlives a killed taut besides processes, cgroups and the folder; NULL: nothing.
	 */
	const struct undo_sweep_row *left;
};
extern const struct runtime_row runtime_netns, runtime_oci, runtime_vm, runtime_disk, runtime_libvirt;
extern const struct runtime_row *const runtime_rows[];
extern const size_t runtime_rows_n;

struct attachment_row {
	const char *name, *help;
	/* Makes the links between t->client.netns and t->server.netns, which exist; NULL: there are others.
	 */
	int (*create)(struct target *t, struct err *e);
};
extern const struct attachment_row attachment_veth, attachment_bridge, attachment_host;
extern const struct attachment_row *const attachment_rows[];
extern const size_t attachment_rows_n;

/* The rows that the settings name; EXIT_USAGE. */
int rows_find(const struct settings *s, const struct runtime_row **runtime,
	const struct attachment_row **attachment, struct err *e);

#define LINK_CLIENT "taut-client"
#define LINK_SERVER "taut-server"
#define LINK_BRIDGE "taut-bridge"
#define LINK_TAP    "taut-tap"

struct oci_way;

struct target {
	struct trial_plan plan;
	const struct runtime_row *runtime;
	const struct attachment_row *attachment;
	char agent[4096];              /* path of the program */
	const struct oci_way *oci_way; /* chosen on start */
	char version[64];
	struct undo_record owner;
	int root;
	struct undo_host host;
	struct undo_groups groups;
	struct endpoint client, server;
	int bridge_netns; /* −1: none */
	struct vm vm;
	struct domain domain; /* a foreign guest that runs already; pid 0: there is none */
	struct login login;   /* into a foreign guest */
	struct subject_link links[SUBJECT_LINKS_MAX];
	size_t links_n;
};

/* Into a foreign guest, as hooks of a runtime. */
int foreign_enter(struct target *t, uint64_t deadline_ns, struct err *e);
void foreign_leave(struct target *t);

/* Of the server's address. */
unsigned target_prefix(const struct target *t);
void target_link_add(struct target *t, const char *name, int netns);
