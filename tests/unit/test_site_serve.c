/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The far side of an emulated host: the same program at the other end of a stream. */
#include "boot/boot.h"
#include "test_site_world.h"

#include <signal.h>
#include <sys/socket.h>

#define FEW "transactions=200,warmup=10ms,max_duration=5s"

static json_t *trial_frame(const char *words)
{
	struct settings s;

	words_set(&s, words);
	return json_pack("{s:o}", "settings", settings_json(&s));
}

/* Serves what is in `ends[0]` already; after that nothing comes. */
static int serve(int ends[2], const char *plan, struct err *e)
{
	struct site *site = site_new();

	shutdown(ends[0], SHUT_WR);
	int rc = site_serve(site, ends[1], plan, e);
	site_close(site);
	close(ends[1]);
	return rc;
}

static void stream_make(int ends[2])
{
	int bytes = 1 << 22;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static uint64_t soon(void)
{
	return time_now_ns() + 5 * NS_PER_S;
}

static void hear_hello(int fd)
{
	struct err e = ERR_INIT;
	json_t *hello = NULL;

	ok(frame_expect(fd, FRAME_HELLO, &hello, soon(), &e));
	ok(frame_hello_read(hello, NULL, &e));
	json_decref(hello);
}

/* Returns which use of its target the trial was. */
static uint64_t hear_record(int fd)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	struct err e = ERR_INIT;
	json_t *body = NULL;

	ok(frame_expect(fd, FRAME_TRIAL_RECORD, &body, soon(), &e));
	ok(trial_record_from_json(record, body, READ_STREAM, &e));
	json_decref(body);
	if (record->outcome != TRIAL_DONE)
		fail_msg("%s", record->reason);
	assert_int_equal(record->ends[END_CLIENT].record.transactions, 200);
	return record->target_use;
}

static bool can_measure(void)
{
	struct site *site = site_new();
	struct trial t;
	bool can = trial_ask(&t, site, FEW);

	trial_end(&t);
	site_close(site);
	return can;
}

static void trials_that_come_are_answered_one_after_another(void **state)
{
	struct err e = ERR_INIT, said = ERR_INIT;
	int ends[2];
	json_t *body = NULL;

	(void)state;
	if (!can_measure())
		return;
	stream_make(ends);
	ok(frame_send(ends[0], FRAME_TRIAL, trial_frame(FEW), soon(), &e));
	ok(frame_send(ends[0], FRAME_TRIAL, trial_frame("server_cpu=1000"), soon(), &e));
	ok(frame_send(ends[0], FRAME_TRIAL, trial_frame(FEW), soon(), &e));
	ok(serve(ends, NULL, &e));
	hear_hello(ends[0]);
	hear_record(ends[0]);
	assert_int_equal(frame_expect(ends[0], FRAME_TRIAL_RECORD, &body, soon(), &said), -EREMOTEIO);
	assert_has(said.text, "cannot pin the server to CPU 1000");
	assert_int_equal(said.exit, EXIT_FAILED); /* of this trial, not of the run */
	hear_record(ends[0]);
	close(ends[0]);
}

/* A device that the target has is not looked for again, and is free for the target that follows. */
static void trials_on_a_borrowed_device_share_its_target(void **state)
{
	static const char *const make[] = {"sh", "-c",
		"ip link add taut-d1 type veth peer name taut-d2 && ip link set taut-d1 up && ip link set taut-d2 up",
		NULL};
#define DEVICE FEW ",target=container,runtime=netns,attachment=device,device=taut-d1,client_device=taut-d2"
	static const struct {
		const char *words;
		uint64_t use;
	} rows[] = {
		{DEVICE ",share=target", 1},
		{DEVICE ",share=target,workload=udp_rr", 2},
		{DEVICE ",share=target,mtu=1400", 1},
		{DEVICE, 1},
	};
	struct err e = ERR_INIT;
	int ends[2];

	(void)state;
	if (!can_measure() || !is_privileged() || child_run(make, true, 5 * NS_PER_S, NULL, &e) < 0) {
		print_message("# skipped: no devices to borrow: %s\n", e.text);
		return;
	}
	stream_make(ends);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(frame_send(ends[0], FRAME_TRIAL, trial_frame(rows[i].words), soon(), &e));
	ok(serve(ends, NULL, &e));
	hear_hello(ends[0]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(hear_record(ends[0]), rows[i].use);
	close(ends[0]);
}

static void settings_that_are_not_known_are_told_to_whoever_asked(void **state)
{
	static const struct {
		const char *key, *value, *text;
	} rows[] = {
		{"moon", "full", "settings"},
		{"workload", "tcp_rrr", "there is no such workload"},
		{"noise", "loud", "cannot set noise"},
		{"flows", NULL, "settings"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *trial = trial_frame(FEW), *settings = json_object_get(trial, "settings"),
		       *body = NULL;
		struct err e = ERR_INIT, said = ERR_INIT;
		int ends[2];
		stream_make(ends);
		if (rows[i].value)
			json_object_set_new(settings, rows[i].key, json_string(rows[i].value));
		else
			json_object_del(settings, rows[i].key);
		ok(frame_send(ends[0], FRAME_TRIAL, trial, soon(), &e));
		ok(serve(ends, NULL, &e));
		hear_hello(ends[0]);
		assert_int_equal(frame_expect(ends[0], FRAME_TRIAL_RECORD, &body, soon(), &said), -EREMOTEIO);
		assert_has(said.text, rows[i].text);
		close(ends[0]);
	}
}

static void what_is_no_trial_ends_the_service(void **state)
{
	static const unsigned char bytes[] = {0xff, 0xff, 0xff, 0xff, 0};
	static const struct {
		enum frame_type type; /* 0: bytes that are no frame */
		int rc;
	} rows[] = {{0, -EPROTO}, {FRAME_GO, -EPROTO}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		int ends[2];
		stream_make(ends);
		if (rows[i].type)
			ok(frame_send(ends[0], rows[i].type, json_object(), soon(), &e));
		else
			assert_int_equal(write(ends[0], bytes, sizeof(bytes)), sizeof(bytes));
		int rc = serve(ends, NULL, &e);
		if (rc != rows[i].rc)
			fail_msg("row %zu: %d (%s), not %d", i, rc, e.text, rows[i].rc);
		close(ends[0]);
	}
}

static void nobody_to_serve_is_an_error(void **state)
{
	struct site *site = site_new();
	struct err e = ERR_INIT;
	int ends[2];

	(void)state;
	stream_make(ends);
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_true(site_serve(site, ends[1], NULL, &e) < 0);
	close(ends[1]);
	site_close(site);
}

static void the_plan_of_a_boot_document_is_carried_out(void **state)
{
	AUTO_FREE char *path = world_path("boot.json");
	struct boot_document document = {.role = BOOT_EXACT};
	struct err e = ERR_INIT;
	int ends[2];

	(void)state;
	if (!can_measure())
		return;
	document.plan = trial_frame(FEW);
	json_t *made = boot_document_json(&document);
	AUTO_FREE char *text = json_dumps(made, 0);
	json_decref(made);
	boot_document_free(&document);
	ok(file_write_synced(path, text, strlen(text), 0600, &e));
	stream_make(ends);
	ok(serve(ends, path, &e));
	hear_hello(ends[0]);
	hear_record(ends[0]);
	close(ends[0]);
	stream_make(ends);
	assert_true(serve(ends, "/nowhere/boot.json", &e) < 0);
	assert_has(e.text, "/nowhere/boot.json");
	close(ends[0]);
}

static int group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trials_that_come_are_answered_one_after_another),
		cmocka_unit_test(trials_on_a_borrowed_device_share_its_target),
		cmocka_unit_test(settings_that_are_not_known_are_told_to_whoever_asked),
		cmocka_unit_test(what_is_no_trial_ends_the_service),
		cmocka_unit_test(nobody_to_serve_is_an_error),
		cmocka_unit_test(the_plan_of_a_boot_document_is_carried_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return world_run(group);
}
