/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * login: ways into a machine that runs already.
 *
 * A foreign guest is one whose system taut has not made: a libvirt domain of the user's, or a machine that
 * taut booted from a disk image of the user's.  The agent is not in it, so it is put there for the time of a
 * trial: a shell in the guest takes the program from the control stream and becomes it.  How such a shell is
 * started is the way: over the guest's QEMU guest agent, or in an ssh session.
 */
#pragma once

#include "domain.h"

#include "spec/spec.h"
#include "sys/sys.h"

#include <jansson.h>

struct login_row;

/* One entry into one guest. */
struct login {
	const char *way;             /* the setting `login`: "agent", "ssh:USER@HOST" */
	const char *program;         /* path of the agent here */
	const char *mark;            /* for the environment of what is started here: "NAME=value" */
	const struct domain *domain; /* NULL: a machine of taut's own */
	bool ipv6;                   /* family of the address that is wanted */
	/* Of a machine of taut's own: */
	char device[192]; /* "MAC ADDRESS PREFIX MTU": what the program gives the network device there */
	int guest_agent;  /* our end of the port of its guest agent; owned; −1: none */
	int pidfd;        /* of the machine, borrowed; its end ends the waiting; −1: none */
	/* The control stream of the server, owned by the caller; entering may put others in their place. */
	int *control, *theirs; /* our end, and the end to hand over; −1 once that is done */
	int said;              /* what a process of the way says on stderr goes here */
	struct child *child;   /* the process that carries the stream, where the way has one */
	/* Found out by entering: */
	const char *through; /* the program that `child` is: "ssh"; NULL: there is none */
	char address[64];    /* of the guest, numeric; "" for a machine of taut's own */
	json_int_t pid;      /* in the guest, as its guest agent says; 0: none */
};

/* Would this way into a running domain work?  Cheap.  Settings that settings_check() has filled. */
int login_probe(const struct settings *s, struct err *e);
/*
 * Puts the agent into the guest and starts it with the control stream; of a domain, finds out the address.
 * Returns before the agent's first word.
 */
int login_enter(struct login *l, uint64_t deadline_ns, struct err *e);
/* Ends the agent and waits until the guest is as it was; what stays is warned of. */
void login_leave(struct login *l);
