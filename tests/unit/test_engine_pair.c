/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_engine_pair.h"

#include "sys/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>

void pair_init(struct pair *p, const char *workload)
{
	pair_init_driven(p, workload, "socket");
}

void pair_init_driven(struct pair *p, const char *workload, const char *drivers)
{
	struct endpoint_job *s = &p->server_job;
	struct settings settings;

	memset(p, 0, sizeof(*p));
	settings_init(&settings);
	settings.workload = workload;
	settings.driver = drivers;
	assert_int_equal(settings_check(&settings, ERR_IGNORED), 0);
	assert_int_equal(job_make(&p->client_job, &settings, false, ERR_IGNORED), 0);
	p->client_driver = p->client_job.driver;
	p->server_ns = p->client_ns = -1;
	assert_int_equal(job_make(s, &settings, true, ERR_IGNORED), 0);
	s->transactions = 2000;
	s->warmup_ns = 20 * NS_PER_MS;
	s->max_duration_ns = 20 * NS_PER_S;
	s->duration_ns = 300 * NS_PER_MS;
	p->server_job.server = true;
	strcpy(p->server_job.address, "127.0.0.1");
	strcpy(p->server_job.token, "00112233445566778899aabbccddeeff");
	p->server_record = mem_alloc(sizeof(*p->server_record));
	p->client_record = mem_alloc(sizeof(*p->client_record));
}

void pair_free(struct pair *p)
{
	engine_free(p->client);
	engine_free(p->server);
	free(p->client_record);
	free(p->server_record);
}

void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s", e->text);
}

bool wait_done(const struct engine *engine, int timeout_ms)
{
	struct pollfd p = {.fd = engine_done_fd(engine), .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

int prepare(struct engine **out, const struct endpoint_job *job, int ns, struct err *e)
{
	int saved = ns >= 0 ? netns_enter(ns, e) : -1;
	int rc = engine_prepare(out, job, time_now_ns() + DEADLINE_NS, e);

	if (saved >= 0)
		netns_leave(&saved);
	return rc;
}

void start_server(struct pair *p)
{
	struct err e = ERR_INIT;

	must(prepare(&p->server, &p->server_job, p->server_ns, &e), &e);
	p->client_job = p->server_job;
	p->client_job.server = false;
	p->client_job.driver = p->client_driver;
	memcpy(p->client_job.ports, engine_ports(p->server), sizeof(p->client_job.ports));
}

void start_client(struct pair *p)
{
	struct err e = ERR_INIT;

	must(prepare(&p->client, &p->client_job, p->client_ns, &e), &e);
}

void go(struct pair *p)
{
	engine_go(p->server);
	engine_go(p->client);
}

void finish(struct pair *p)
{
	if (!wait_done(p->client, 60000))
		fail_msg("the client does not finish");
	engine_collect(p->client, p->client_record);
	if (p->server_job.workload->kernel_answers) /* it waits to be told */
		engine_stop(p->server);
	if (!wait_done(p->server, 25000))
		fail_msg("the server does not finish when its client has gone");
	engine_collect(p->server, p->server_record);
}

void run(struct pair *p)
{
	start_server(p);
	start_client(p);
	go(p);
	finish(p);
}

void assert_clean(const struct endpoint_record *r)
{
	if (r->mistake[0] || r->dead_flows || r->lost || r->reordered)
		fail_msg("'%s', %d dead, %d lost, %d reordered", r->mistake, (int)r->dead_flows, (int)r->lost,
			(int)r->reordered);
}

int connect_to(uint16_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval t = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}
