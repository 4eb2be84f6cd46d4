/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls of the Engine API, with a fake engine at the other end of the socket: it answers what a row says, and
 * every answer is bounded in size and time. */
#include "test_engine_fake.h"
#include "testbed/engine.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define VERSION(api) "{\"Version\":\"20.10.24\",\"ApiVersion\":\"" api "\",\"MinAPIVersion\":\"1.12\"}"
#define INFO(driver) "{\"OSType\":\"linux\",\"CgroupDriver\":\"" driver "\"}"
static int ask_once(const struct answer *answer, json_t **out, struct err *e)
{
	struct fake fake = fake_start(answer, 1);
	struct engine g = {.api = "v1.41"};
	struct engine_request request = {
		.method = "GET", .path = "/any", .what = "ask", .patience_ns = NS_PER_S / 2};

	str_copy(g.socket, sizeof(g.socket), fake.socket);
	int rc = engine_ask(&g, &request, out, e);
	fake_end(&fake);
	return rc;
}

/* --- which engine ------------------------------------------------------------------------------ */

static void an_engine_says_what_it_is(void **state)
{
	static const struct answer answers[] = {
		{OK(VERSION("1.41"))}, {OK(INFO("cgroupfs"))}, {OK(VERSION("1.41"))}, {OK(INFO("systemd"))}};
	struct fake fake = fake_start(answers, ARRAY_LEN(answers));
	struct err e = ERR_INIT;
	struct engine g;

	(void)state;
	if (engine_open_at(&g, fake.socket, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(g.version, "20.10.24");
	assert_string_equal(g.api, "v1.41");
	assert_int_equal(g.server, getpid()); /* who listened is what the kernel tells */
	bool paths = false;
	assert_int_equal(engine_cgroup_paths(&g, &paths, &e), 0);
	assert_true(paths);
	assert_int_equal(engine_open_at(&g, fake.socket, &e), 0);
	g.server = 0; /* not known: it may be another one now, and is asked again */
	assert_int_equal(engine_cgroup_paths(&g, &paths, &e), 0);
	assert_false(paths);
	fake_end(&fake);
}

static void the_version_that_both_know_is_spoken(void **state)
{
	static const struct {
		const char *answer, *api;
		int rc;
	} rows[] = {
		{VERSION("1.41"), "v1.41", 0},
		{VERSION("1.40"), "v1.40", 0},
		{VERSION("1.55"), "v1.41", 0},
		{"{\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}", "v1.44", 0},
		{VERSION("1.39"), "", -ENOTSUP},
		{"{\"ApiVersion\":\"1.41\",\"Os\":\"windows\"}", "", -ENOTSUP},
		{VERSION("2.1"), "", -EPROTO},
		{VERSION("1.99999999999999999999"), "", -EPROTO},
		{"{\"ApiVersion\":1.41}", "", -EPROTO},
		{"[]", "", -EPROTO},
		{"null", "", -EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *answer = json_loads(rows[i].answer, JSON_DECODE_ANY, NULL);
		struct engine g = {.socket = "/s"};
		struct err e = ERR_INIT;
		int rc = engine_version_read(&g, answer, &e);
		if (rc != rows[i].rc || strcmp(g.api, rows[i].api))
			fail_msg("%s: got %d '%s' (%s), wanted %d '%s'", rows[i].answer, rc, g.api, e.text,
				rows[i].rc, rows[i].api);
		json_decref(answer);
	}
}

static void with_a_socket_that_is_not_there_or_not_served_the_reason_is_said(void **state)
{
	static const struct answer none[] = {{"", ""}};
	struct fake fake = fake_start(none, 0);
	struct err e = ERR_INIT, gone = ERR_INIT;
	struct engine g;

	(void)state;
	waitpid(fake.pid, NULL, 0);
	assert_int_equal(engine_open_at(&g, fake.socket, &e), -ECONNREFUSED);
	assert_non_null(strstr(e.text, fake.socket));
	assert_int_equal(unlink(fake.socket), 0);
	assert_int_equal(engine_open_at(&g, fake.socket, &gone), -ENOENT);
	assert_non_null(strstr(gone.text, fake.socket));
}

static void the_environment_names_the_socket_and_nothing_but_a_socket(void **state)
{
	const char *socket = NULL;
	struct err e = ERR_INIT;

	(void)state;
	setenv("DOCKER_HOST", "unix:///tmp/mine.sock", 1);
	assert_int_equal(engine_socket(runtime_docker.engine, &socket, &e), 0);
	assert_string_equal(socket, "/tmp/mine.sock");
	setenv("DOCKER_HOST", "tcp://10.0.0.1:2375", 1);
	assert_int_equal(engine_socket(runtime_docker.engine, &socket, &e), -EINVAL);
	assert_int_equal(e.exit, EXIT_USAGE);
	unsetenv("DOCKER_HOST");
}

/* --- answers ----------------------------------------------------------------------------------- */

static void whatever_an_engine_answers_is_an_answer_or_an_error_with_its_words(void **state)
{
	static const struct {
		struct answer answer;
		int rc;
		const char *words;
	} rows[] = {
		{{OK("{\"a\":1}")}, 0, ""},
		{{OK("{\"a\":")}, -EPROTO, "no JSON"},
		{{OK("")}, -EPROTO, "no JSON"},
		{{"404 Not Found", "{\"message\":\"No such container: x\"}"}, -ENOENT,
			"No such container: x"},
		{{"409 Conflict", "{\"message\":\"Conflict. The name is in use\"}"}, -EEXIST,
			"Conflict. The name"},
		{{"500 Oh", "{\"message\":\"\\u001b[31mred\\nline\"}"}, -EIO, "?[31mred?line"},
		{{"500 Oh", "plain words"}, -EIO, "plain words"},
		{{"500 Oh", "{\"message\":7}"}, -EIO, "HTTP status 500"},
		{{"503 Busy", ""}, -EIO, "without a word"},
		{{"", ""}, -EIO, "engine.sock"}, /* closes without an answer */
		{{HANGS, ""}, -ETIMEDOUT, "no answer"},
		{{"200 OK", "[", .mebibytes = 5}, -EMSGSIZE, "longer than 4 MiB"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		json_t *answer = NULL;
		uint64_t begin = time_now_ns();
		int rc = ask_once(&rows[i].answer, &answer, &e);
		if (rc != rows[i].rc || !strstr(e.text, rows[i].words) || (rc < 0) != (answer == NULL))
			fail_msg("row %zu: got %d '%s', wanted %d '%s'", i, rc, e.text, rows[i].rc,
				rows[i].words);
		if (time_now_ns() - begin > 20 * NS_PER_S)
			fail_msg("row %zu: it took %llu ms", i,
				(unsigned long long)(time_now_ns() - begin) / 1000000);
		json_decref(answer);
	}
}

static void a_second_interrupt_ends_a_call_at_once_but_no_removal(void **state)
{
	static const struct answer hangs = {HANGS, ""}, done = {OK("{}")};
	struct fake fake = fake_start(&hangs, 1);
	struct engine g = {.api = "v1.41"};
	struct engine_request request = {.method = "POST", .path = "/any", .what = "wait"};
	struct err e = ERR_INIT;

	(void)state;
	str_copy(g.socket, sizeof(g.socket), fake.socket);
	stop_flag = 2;
	assert_int_equal(engine_call(&g, &request, NULL, &e), -EINTR);
	fake_end(&fake);
	fake = fake_start(&done, 1);
	request = (struct engine_request){
		.method = "DELETE", .path = "/any", .what = "remove", .removes = true};
	str_copy(g.socket, sizeof(g.socket), fake.socket);
	assert_int_equal(engine_call(&g, &request, NULL, &e), 0);
	stop_flag = 0;
	fake_end(&fake);
}

#define MINE(owner)                                                                                          \
	"{\"Id\":\"" ID                                                                                      \
	"\",\"State\":{\"Running\":true,\"Pid\":42},\"Config\":{\"Labels\":{\"taut.owner\":\"" owner "\"}}}"
#define IMAGES                                                                                               \
	"[{\"Id\":\"sha256:" ID                                                                              \
	"\",\"Labels\":{\"taut.owner\":\"taut-1-1\"}},{\"Id\":\"sha256:x\",\"Labels\":null}]"

/* Each row is a whole conversation: a request too many or too few hangs or is refused. */
static void what_is_taken_away_is_taut_s_and_a_refusal_is_tried_again_when_it_has_ended(void **state)
{
	static const struct {
		struct answer answers[8];
		size_t n;
		const char *image;
		int rc;
	} rows[] = {
		{{{OK(MINE("taut-1-1"))}, {"204 No Content", ""}, {"200 OK", "[]"}}, 3, ID, 0},
		{{{OK(MINE("taut-1-1"))}, {"500 Oh", "{\"message\":\"state improper\"}"},
			 {OK("{\"StatusCode\":137}")}, {"204 No Content", ""}, {"200 OK", "[]"}},
			5, ID, 0},
		{{{OK(MINE("taut-1-1"))}, {"500 Oh", "{}"}, {OK("{}")}, {"500 Oh", "{}"}, {OK("{}")},
			 {"500 Oh", "{}"}, {"200 OK", "[]"}},
			7, ID, -EIO},
		{{{OK(MINE("taut-1-1"))}, {"404 Not Found", "{}"}, {"404 Not Found", "{}"}}, 3, ID, 0},
		{{{OK(MINE("another"))}, {OK(IMAGES)}, {"200 OK", "[]"}}, 3, "",
			0}, /* one of the two is ours */
		{{{"404 Not Found", "{}"}, {OK("[]")}}, 2, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake fake = fake_start(rows[i].answers, rows[i].n);
		struct engine g = {.api = "v1.41"};
		struct err e = ERR_INIT;
		int status = 0;
		str_copy(g.socket, sizeof(g.socket), fake.socket);
		int rc = engine_remove(&g, "taut-1-1", rows[i].image, &e);
		if (rc != rows[i].rc)
			fail_msg("row %zu: got %d (%s), wanted %d", i, rc, e.text, rows[i].rc);
		for (int ms = 0; ms < 5000 && waitpid(fake.pid, &status, WNOHANG) == 0; ms++)
			usleep(1000);
		assert_int_equal(kill(fake.pid, 0), -1); /* every answer was asked for */
	}
}

static void what_is_said_of_a_container_is_checked(void **state)
{
	static const struct {
		const char *answer;
		int rc, pid, status;
		const char *owner, *address;
	} rows[] = {
		{"{\"Id\":\"" ID "\",\"State\":{\"Running\":true,\"Pid\":42},"
		 "\"Config\":{\"Labels\":{\"taut.owner\":\"taut-1-1\"}},"
		 "\"NetworkSettings\":{\"Networks\":{\"none\":{\"IPAddress\":\"\"},\"web\":{\"IPAddress\":\"10.1.2.3\"}}}}",
			0, 42, 0, "taut-1-1", "10.1.2.3"},
		{"{\"Id\":\"" ID "\",\"State\":{\"Running\":false,\"Pid\":42,\"ExitCode\":137}}", 0, 0, 137,
			"", ""},
		{"{\"Id\":\"" ID "\",\"State\":{\"Running\":true,\"Pid\":-1}}", -EPROTO, 0, 0, "", ""},
		{"{\"Id\":\"" ID "\",\"State\":{\"Running\":true,\"Pid\":99999999999}}", -EPROTO, 0, 0, "",
			""},
		{"{\"Id\":\"../../x\",\"State\":{}}", -EPROTO, 0, 0, "", ""},
		{"{\"Id\":7,\"State\":{}}", -EPROTO, 0, 0, "", ""},
		{"{\"Id\":\"" ID "\"}", -EPROTO, 0, 0, "", ""},
		{"{\"Id\":\"" ID ID "\",\"State\":{}}", -EPROTO, 0, 0, "", ""},
		{"[]", -EPROTO, 0, 0, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *answer = json_loads(rows[i].answer, 0, NULL);
		struct engine_container c = {0};
		struct err e = ERR_INIT;
		assert_non_null(answer);
		int rc = engine_container_read(&c, answer, &e);
		if (rc != rows[i].rc || c.pid != rows[i].pid || c.status != rows[i].status ||
			strcmp(c.owner, rows[i].owner) || strcmp(c.address, rows[i].address))
			fail_msg("row %zu: got %d, %d, %d, '%s', '%s' (%s)", i, rc, c.pid, c.status, c.owner,
				c.address, e.text);
		json_decref(answer);
	}
}

static void an_import_tells_the_image_in_its_last_line(void **state)
{
	char id[ENGINE_ID_BYTES];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
		engine_import_read(id, "{\"status\":\"x\"}\r\n{\"status\":\"sha256:" ID "\"}\r\n", &e), 0);
	assert_string_equal(id, ID);
	assert_int_equal(engine_import_read(id, "{\"status\":\"sha256:12\"}", &e), -EPROTO);
	assert_int_equal(engine_import_read(id, "{\"error\":\"no space\"}", &e), -EPROTO);
}

static void ports_are_published_on_bridges_only(void **state)
{
	static const struct {
		const char *answer;
		int rc;
	} rows[] = {{"{\"Driver\":\"bridge\"}", 0}, {"{\"Driver\":\"macvlan\"}", -ENOTSUP},
		{"{\"Driver\":7}", -ENOTSUP}, {"{}", -ENOTSUP}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *answer = json_loads(rows[i].answer, 0, NULL);
		assert_int_equal(engine_network_read(answer, "web", ERR_IGNORED), rows[i].rc);
		json_decref(answer);
	}
}

#define TEN(text) text text text text text text text text text text

/* An error has words. */
static void the_cgroup_of_a_container_is_that_of_the_controller(void **state)
{
	static const struct {
		const char *text, *controller, *out;
		int rc;
	} rows[] = {
		{"0::/docker/x\n", "", "/docker/x", 0},
		{"4:cpuset:/a\n3:cpuacct,cpu:/b\n0::/c\n", "cpu", "/b", 0},
		{"4:cpuset:/a\n0::/c\n", "cpu", "", 0},
		{"4:cpuset:/a\n0::/c\n", "", "/c", 0},
		{"no group\n5\n", "", "", 0},
		{"0::/" TEN(TEN("ab")) "\n", "", "", -ENAMETOOLONG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *text = str_dup(rows[i].text);
		struct err e = ERR_INIT;
		char out[160] = "";
		int rc = engine_cgroup_read(out, sizeof(out), text, rows[i].controller, &e);
		if (rc != rows[i].rc || strcmp(out, rows[i].out) || (rc < 0) != (e.text[0] != 0))
			fail_msg("row %zu: got %d '%s' (%s), wanted %d '%s'", i, rc, out, e.text, rows[i].rc,
				rows[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_engine_says_what_it_is),
		cmocka_unit_test(the_version_that_both_know_is_spoken),
		cmocka_unit_test(with_a_socket_that_is_not_there_or_not_served_the_reason_is_said),
		cmocka_unit_test(the_environment_names_the_socket_and_nothing_but_a_socket),
		cmocka_unit_test(whatever_an_engine_answers_is_an_answer_or_an_error_with_its_words),
		cmocka_unit_test(a_second_interrupt_ends_a_call_at_once_but_no_removal),
		cmocka_unit_test(what_is_taken_away_is_taut_s_and_a_refusal_is_tried_again_when_it_has_ended),
		cmocka_unit_test(what_is_said_of_a_container_is_checked),
		cmocka_unit_test(an_import_tells_the_image_in_its_last_line),
		cmocka_unit_test(ports_are_published_on_bridges_only),
		cmocka_unit_test(the_cgroup_of_a_container_is_that_of_the_controller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
