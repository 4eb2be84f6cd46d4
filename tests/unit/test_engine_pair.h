/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both ends of a workload in one process, over 127.0.0.1 or from one network namespace to another. */
#pragma once

#include "engine/engine.h"
#include "engine/internal.h"

#define DEADLINE_NS (60 * NS_PER_S)

struct pair {
	struct endpoint_job server_job, client_job; /* start_server() makes the client's of the server's */
	enum driver client_driver;
	int server_ns, client_ns; /* −1: ours */
	struct engine *server, *client;
	struct endpoint_record *server_record, *client_record;
};

/* 2000 transactions, or 300 ms, after a warm-up of 20 ms. */
void pair_init(struct pair *p, const char *workload);
void pair_init_driven(struct pair *p, const char *workload, const char *drivers);
void pair_free(struct pair *p);
void must(int rc, const struct err *e);
bool wait_done(const struct engine *engine, int timeout_ms);
int prepare(struct engine **out, const struct endpoint_job *job, int ns, struct err *e);
void start_server(struct pair *p);
void start_client(struct pair *p);
void go(struct pair *p);
/* Waits for both, and collects their records. */
void finish(struct pair *p);
void run(struct pair *p);
void assert_clean(const struct endpoint_record *r);
/* To a port of 127.0.0.1; −1: nobody listens.  What is read of it is waited for 5 s. */
int connect_to(uint16_t port);
