/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guest's half of tuning as the site sees it: what a guest is told, and which answers are accepted. */
#include "site/guest.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GOOD "{'id':'vcpu-cpu','object':'o','before':'0','value':'1','status':'effective','reason':null}"

static json_t *parse(const char *text)
{
	AUTO_FREE char *doubled = str_dup(text);
	json_error_t why;

	for (char *c = doubled; *c; c++)
		if (*c == '\'')
			*c = '"';
	json_t *value = json_loads(doubled, JSON_ALLOW_NUL, &why);
	if (!value)
		fail_msg("%s: %s", text, why.text);
	return value;
}

static void what_an_emulated_host_says_is_checked(void **state)
{
#define KNOB(more) "[{'id':'a','object':'o','status':'effective'" more "}]"
	static const struct {
		const char *knobs, *what; /* NULL: right */
	} rows[] = {
		{"[]", NULL},
		{KNOB(",'where':'host'"), NULL},
		{KNOB(",'where':'guest'"), NULL},
		{KNOB(",'where':'nowhere'"), "where it is"},
		{KNOB(",'where':1"), "where it is"},
		{KNOB(""), "where it is"},
		{KNOB(",'where':'host','more':1"), "'more'"},
		{"[7]", "no object"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *knobs = parse(rows[i].knobs), *wanted = rows[i].what ? json_incref(knobs) : NULL;
		struct err e = ERR_INIT;
		int rc = host_knobs_read(&knobs, &e);
		if (rc != (rows[i].what ? -EPROTO : 0) || (rows[i].what && !strstr(e.text, rows[i].what)))
			fail_msg("%s: %d (%s)", rows[i].knobs, rc, e.text);
		assert_true(!wanted || json_equal(wanted, knobs)); /* what is refused stays as it was */
		json_decref(wanted);
		json_decref(knobs);
	}
}

static void what_a_guest_says_is_checked(void **state)
{
	static const struct {
		const char *body, *what; /* NULL: right */
	} rows[] = {
		{"{'knobs':[]}", NULL},
		{"{'knobs':[" GOOD "]}", NULL},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped'}]}", NULL},
		{"{}", "no list"},
		{"{'knobs':{}}", "no list"},
		{"{'knobs':[7]}", "no object"},
		{"{'knobs':[" GOOD ",[]]}", "no object"},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped','where':'host'}]}", "'where'"},
		{"{'knobs':[{'id':'a','object':'o'}]}", "'status'"},
		{"{'knobs':[{'id':'','object':'o','status':'skipped'}]}", "'id'"},
		{"{'knobs':[{'id':7,'object':'o','status':'skipped'}]}", "'id'"},
		{"{'knobs':[{'id':'a','object':null,'status':'skipped'}]}", "'object'"},
		{"{'knobs':[{'id':'a','object':'o\\u0000x','status':'skipped'}]}", "'object'"},
		{"{'knobs':[{'id':'a','object':'o','status':'splendid'}]}", "status that is none"},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped','reason':[]}]}", "'reason'"},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped','why':'other-way'}]}", NULL},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped','why':null}]}", NULL},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped','why':'moon'}]}", "'why' that is none"},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped','why':''}]}", "'why' that is none"},
		{"{'knobs':[{'id':'a','object':'o','status':'skipped','why':7}]}", "'why'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *body = parse(rows[i].body), *knobs = NULL;
		struct err e = ERR_INIT;
		int rc = guest_knobs_read(body, &knobs, &e);
		if (rc != (rows[i].what ? -EPROTO : 0) || (rows[i].what && !strstr(e.text, rows[i].what)))
			fail_msg("%s: %d (%s)", rows[i].body, rc, e.text);
		assert_int_equal(knobs != NULL, rows[i].what == NULL);
		json_decref(knobs);
		json_decref(body);
	}
}

static void too_many_knobs_and_too_long_texts_are_refused(void **state)
{
	json_t *array = json_array(), *knobs = NULL, *body, *one = parse(GOOD);
	AUTO_FREE char *text = mem_alloc(4098);
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'x', 4096);
	json_object_set_new(one, "value", json_string(text));
	for (size_t i = 0; i < 2000; i++)
		json_array_append(array, one);
	body = json_pack("{s:o}", "knobs", array);
	assert_int_equal(guest_knobs_read(body, &knobs, &e), 0);
	assert_int_equal(json_array_size(knobs), 2000);
	json_array_append(array, one);
	assert_int_equal(guest_knobs_read(body, &knobs, &e), -EPROTO);
	json_array_remove(array, 0);
	text[4096] = 'x';
	json_object_set_new(one, "value", json_string(text));
	assert_int_equal(guest_knobs_read(body, &knobs, &e), -EPROTO);
	json_decref(knobs);
	json_decref(body);
	json_decref(one);
}

static void what_could_drive_a_terminal_is_replaced_and_the_place_is_ours(void **state)
{
	json_t *knobs = json_array(); /* from before: replaced */
	json_t *body =
		parse("{'knobs':[{'id':'a','object':'\\u001b[31m','status':'left','reason':'x\\ny'}]}");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(guest_knobs_read(body, &knobs, &e), 0);
	json_t *entry = json_array_get(knobs, 0);
	assert_string_equal(json_string_value(json_object_get(entry, "object")), "?[31m");
	assert_string_equal(json_string_value(json_object_get(entry, "reason")), "x?y");
	assert_string_equal(json_string_value(json_object_get(entry, "where")), "guest");
	assert_true(json_is_null(json_object_get(entry, "before")));
	json_decref(knobs);
	json_decref(body);
}

static void a_guest_is_told_nothing_of_the_host(void **state)
{
	struct tuning tuning, inside;
	struct err e = ERR_INIT;
	struct settings s;

	(void)state;
	settings_init(&s);
	s.target = "vm";
	s.profile = "low-latency";
	s.isolate = "1,3";
	s.backing = "hugepages";
	s.sched = "fifo:7";
	s.client_cpu = 1;
	s.server_cpu = 3;
	s.max_duration_ns = 5;
	s.tool = "sockperf";
	assert_int_equal(tuning_make(&tuning, &s, &e), 0);
	json_t *told = guest_tuning_json(&tuning);
	assert_int_equal(guest_tuning_from_json(&inside, told, &e), 0);
	json_decref(told);
	assert_int_equal(inside.profile, PROFILE_LOW_LATENCY);
	assert_true(inside.sched_wanted);
	assert_int_equal(inside.policy, SCHED_FIFO);
	assert_int_equal(inside.priority, 7);
	assert_int_equal(inside.longest_ns, tuning.longest_ns);
	assert_int_equal(inside.tool, TOOL_SOCKPERF);
	assert_string_equal(inside.isolate, "");
	assert_int_equal(inside.backing, BACKING_BY_PROFILE);
	assert_int_equal(inside.client_cpu, -1);
	assert_int_equal(inside.server_cpu, -1);
	assert_false(inside.machine);
	s.profile = "command";
	s.apply = "rm -rf /";
	assert_int_equal(tuning_make(&tuning, &s, &e), 0);
	told = guest_tuning_json(&tuning);
	assert_int_equal(guest_tuning_from_json(&inside, told, &e), 0);
	assert_int_equal(inside.profile, PROFILE_STOCK);
	assert_string_equal(inside.apply, "");
	json_object_set_new(told, "apply", json_string("rm -rf /"));
	assert_int_equal(guest_tuning_from_json(&inside, told, &e), -EPROTO);
	json_decref(told);
}

/* The guest's answer is in the stream before the question is sent; only the order of the stream counts. */
static void the_answer_is_taken_from_the_stream(void **state)
{
	json_t *knobs = NULL, *body = NULL;
	uint64_t soon = time_now_ns() + 25 * NS_PER_S;
	struct err e = ERR_INIT;
	struct tuning tuning = {.client_cpu = -1, .server_cpu = -1, .isolate = "", .apply = "", .revert = ""};
	bool all = true;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(frame_send(ends[1], FRAME_TUNED, parse("{'knobs':[" GOOD "]}"), soon, &e), 0);
	assert_int_equal(guest_tune(ends[0], &tuning, TUNE_LIVE, soon, &knobs, &e), 0);
	assert_int_equal(json_array_size(knobs), 1);
	assert_int_equal(frame_expect(ends[1], FRAME_TUNE, &body, soon, &e), 0);
	assert_string_equal(json_string_value(json_object_get(body, "stage")), "live");
	json_decref(body);

	assert_int_equal(frame_send(ends[1], FRAME_VERIFIED, parse("{'all':false,'knobs':[]}"), soon, &e), 0);
	assert_int_equal(guest_verify(ends[0], soon, &all, &knobs, &e), 0);
	assert_false(all);
	assert_int_equal(json_array_size(knobs), 0);
	assert_int_equal(frame_send(ends[1], FRAME_VERIFIED, parse("{'all':1,'knobs':[]}"), soon, &e), 0);
	assert_int_equal(guest_verify(ends[0], soon, &all, &knobs, &e), -EPROTO);
	assert_int_equal(frame_send(ends[1], FRAME_ERROR, parse("{'text':'cannot'}"), soon, &e), 0);
	assert_int_equal(guest_tune(ends[0], &tuning, TUNE_HOST, soon, &knobs, &e), -EREMOTEIO);
	assert_int_equal(guest_verify(ends[0], time_now_ns() + NS_PER_MS, &all, &knobs, &e), -ETIMEDOUT);
	assert_int_equal(frame_send(ends[1], FRAME_TUNED, parse("{'knobs':[]}"), soon, &e), 0);
	assert_int_equal(guest_untune(ends[0], soon, &e), 0);
	assert_int_equal(frame_send(ends[1], FRAME_TUNED, parse("{'knobs':[" GOOD "]}"), soon, &e), 0);
	assert_int_equal(guest_untune(ends[0], soon, &e), -EPROTO);
	json_decref(knobs);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_guest_says_is_checked),
		cmocka_unit_test(what_an_emulated_host_says_is_checked),
		cmocka_unit_test(too_many_knobs_and_too_long_texts_are_refused),
		cmocka_unit_test(what_could_drive_a_terminal_is_replaced_and_the_place_is_ours),
		cmocka_unit_test(a_guest_is_told_nothing_of_the_host),
		cmocka_unit_test(the_answer_is_taken_from_the_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
