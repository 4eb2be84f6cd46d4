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
	const char *name;        /* "taut-client", "taut-server" */
	const char *environment; /* "NAME=value" that its program gets besides; NULL: nothing */
	const char *through;     /* the runtime that child is: "runc"; NULL: child is the agent */
	struct child child;
	struct machine *machine; /* that it lives in; owned; NULL: none */
	int control;             /* our end of the stream */
	int theirs;              /* the other end, until it has been handed over */
	int said;                /* memfd behind stderr */
	int netns;               /* where its link is */
	char link[16];           /* its name there */
	char pci[16];            /* the function that it drives itself, in place of a link; "": none */
	bool mute;               /* its machine need not say that its boot goes on */
	bool booted;             /* its machine has: an endpoint has said HELLO in it before */
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
/* An endpoint that is our child makes room for another one in its namespace: it is killed, and what it had is
 * closed. */
void endpoint_clear(struct endpoint *ep);
/* One that lives in what goes on is told to end; a fresh one says HELLO on the same stream. */
int endpoint_renew(struct endpoint *ep, uint64_t deadline_ns, struct err *e);

/* --- rows -------------------------------------------------------------------------------------- */

/* How a program of this machine, such as a standard tool, gets to the server. */
enum files {
	FILES_OTHER,  /* not at all: what holds the server has its own */
	FILES_SHARED, /* the server sees the files of this machine */
	FILES_CARRIED /* the runtime brings the program of the server's job, and its libraries */
};

struct engine_row;

struct runtime_row {
	const char *name, *help;
	const struct engine_row *engine; /* the container engine that makes it; NULL: none does */
	enum files files;
	const char *targets;     /* "native|container": which targets it can make */
	const char *attachments; /* "veth|bridge": which of the target's it can make; NULL: all of them */
	/* On an emulated host: starts what must run there before the first trial.  NULL: nothing must. */
	int (*host_start)(struct err *e);
	/* Is what it needs there?  Cheap; -ENOENT with advice when not.  NULL: always. */
	int (*ready)(struct err *e);
	bool plain;      /* the server is a process like the client, so it can be another program */
	bool here;       /* what it needs is of this machine: no emulated host has it */
	bool quota;      /* can limit the CPU time of what it makes */
	bool switches;   /* switches on controllers of the cgroups above its own */
	bool boots;      /* starting takes a boot, and the server is on a tap of the bridge */
	bool links_late; /* its links are made when it starts, for it makes the server's namespace itself */
	/*
	 * Finds what it needs for such a trial and puts it into the plan, or says why it cannot be made here.
	 * NULL: making one is quick, so that is tried.
	 */
	int (*resolve)(struct trial_plan *plan, struct err *e);
	/* Looks at what is going to make it, before anything is made.  NULL: nothing to look at. */
	int (*open)(struct target *t, struct err *e);
	/*
	 * Finds what is there already and holds the server; it is not ours, so it gets no cgroups and no
	 * namespaces, and its threads are known from the beginning.  NULL: the server is in what start()
	 * makes.
	 */
	int (*find)(struct target *t, struct err *e);
	/* Begins to start the server; endpoint_wait() follows.  NULL: with find() only. */
	int (*start)(struct target *t, struct err *e);
	/*
	 * Has a fresh server take the place of the one that has served a trial, in what goes on to run; as
	 * start().  NULL: one target serves one trial.
	 */
	int (*again)(struct target *t, uint64_t deadline_ns, struct err *e);
	/* Puts the endpoint into what has been started, and takes it out again; NULL: it is there by itself.
	 */
	int (*enter)(struct target *t, uint64_t deadline_ns, struct err *e);
	void (*leave)(struct target *t);
	/* The threads of the server as the host sees them; NULL: those of the agent. */
	int (*threads)(const struct target *t, struct subject *subject, struct err *e);
	/* After the agent has been killed: the rest; problems go to the text.  NULL: nothing. */
	void (*stop)(struct target *t, struct buf *problems);
	/* How the server ended that is no child of ours, as a line; NULL: nothing to tell. */
	void (*ended)(struct target *t, struct buf *out);
	/* What it makes that outlives a killed taut besides processes, cgroups and the folder; NULL: nothing.
	 */
	const struct undo_sweep_row *left;
};
extern const struct runtime_row runtime_netns, runtime_oci, runtime_vm, runtime_disk, runtime_libvirt,
	runtime_docker, runtime_podman, runtime_running;
extern const struct runtime_row *const runtime_rows[];
extern const size_t runtime_rows_n;

struct devices;

struct attachment_row {
	const char *name, *help;
	/* With devices of the machine: are they there, and may they be taken?  Nothing is touched.  NULL: it
	 * takes none. */
	int (*check)(const struct devices *d, const struct trial_plan *plan, struct err *e);
	/* Makes the links between t->client.netns and t->server.netns, which exist; NULL: there are others.
	 */
	int (*create)(struct target *t, struct err *e);
	/* The device of an end that moves packets by DPDK, as DPDK names it; malloc'd.  NULL: it has none. */
	char *(*device)(const struct target *t, enum end_number end);
	/* A cable lies between, and what it is plugged into may pass nothing for a while. */
	bool cabled;
	/* There are no links: the server's end connects to a socket of the client's, which starts first. */
	bool shares_memory;
};
extern const struct attachment_row attachment_veth, attachment_bridge, attachment_host, attachment_macvlan,
	attachment_device, attachment_vf, attachment_vhost_user, attachment_memif, attachment_engine;
extern const struct attachment_row *const attachment_rows[];
extern const size_t attachment_rows_n;

/* The rows that the settings name; EXIT_USAGE. */
int rows_find(const struct settings *s, const struct runtime_row **runtime,
	const struct attachment_row **attachment, struct err *e);

#define LINK_CLIENT "taut-client"
#define LINK_SERVER "taut-server"
#define LINK_BRIDGE "taut-bridge"
#define LINK_PARENT "taut-parent"
#define LINK_TAP    "taut-tap"

struct oci_way;
struct engine_use;

struct target {
	struct trial_plan plan;
	const struct runtime_row *runtime;
	const struct attachment_row *attachment;
	char agent[4096];              /* path of the program */
	const struct oci_way *oci_way; /* chosen on start */
	struct engine_use *engine;     /* of a container engine; owned; NULL: none */
	char version[64];
	struct undo_record owner;
	int root;
	struct undo_host host;
	struct undo_groups groups;
	bool no_groups;         /* the server's cgroup is another's affair, so there are none of ours */
	char server_group[160]; /* of the server, where it is not groups.root/server */
	struct endpoint client, server;
	struct undo_list *lent; /* what was done to devices of the machine */
	int bridge_netns;       /* of what lies between the ends; −1: nothing does */
	/* Data addresses, where they are not those between namespaces: of the client, the one that it
	 * connects to, and the one that the server binds, where that is another. */
	char client_address[64], reached[64], bound[64];
	uint16_t port; /* the first, where the wire lets no others through; 0: any */
	struct vm vm;
	struct domain domain; /* a foreign guest that runs already; pid 0: there is none */
	struct login login;   /* into a foreign guest */
	struct subject_link links[SUBJECT_LINKS_MAX];
	size_t links_n;
	bool stopped;
	struct buf problems; /* with stopping it */
};

/* As again(), of a server that lives in what goes on. */
int server_renew(struct target *t, uint64_t deadline_ns, struct err *e);
/* Starts the program of an end in its namespace: the agent, or for the driver dpdk the one that has it. */
int target_spawn_end(struct target *t, enum end_number end, struct err *e);
/* Ends by DPDK: do runtime, attachment and program allow it? */
int bypass_resolve(const struct trial_plan *plan, struct err *e);
/* Is it an end by DPDK?  What it locks of its memory for a function that it drives. */
bool bypass_is(const struct trial_plan *plan, enum end_number end);
#define BYPASS_BYTES (64ull << 20)
/* The device on a link of the kernel's, and a PCI function: hooks of attachments. */
char *bypass_link_device(const struct target *t, enum end_number end);
char *bypass_function_device(const struct target *t, enum end_number end);
/* Where memory is shared: the socket of the client's end, as an fd to reach it by. */
int bypass_socket(const struct target *t, struct err *e);

/* Into a foreign guest, as hooks of a runtime. */
int foreign_enter(struct target *t, uint64_t deadline_ns, struct err *e);
void foreign_leave(struct target *t);

const char *target_client_address(const struct target *t);
/* Names of the capabilities that the server of such a trial needs in a container, and that we have. */
json_t *server_capabilities(const struct trial_plan *plan);
/* The links between client and server, and their addresses. */
int target_connect(struct target *t, struct err *e);
/* What runc (state.json) or crun (status) say of a container; start 0: not said.  False: nothing of use. */
bool running_state_read(const char *text, pid_t *pid, uint64_t *start);
/* The first process of the container of that name, or whose id begins so, that an engine here knows or that
 * has a file of runc or crun below `root`.  -ENOTUNIQ, or why there is none. */
int running_find(int root, const char *name, pid_t *pid, struct err *e);
/* The server's data address, numeric: as the server binds it, or as the client reaches it. */
const char *target_address(const struct target *t, bool server);
/* Of the server's address. */
unsigned target_prefix(const struct target *t);
/* `held`: the file that holds its namespace when taut is killed; NULL: it ends with taut. */
void target_link_add(struct target *t, const char *name, int netns, const char *held);
