/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Containers that run already, and what a taut that was killed has left in an engine. */
#include "test_engine_fake.h"
#include "test_keep.h"
#include "testbed/engine.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define VERSION      "{\"Version\":\"1\",\"ApiVersion\":\"1.41\"}"
#define RUNS(id, no) "{\"Id\":\"" id "\",\"State\":{\"Running\":true,\"Pid\":" no "}}"
#define HAS_ENDED    "{\"Id\":\"" ID "\",\"State\":{\"Running\":false,\"Pid\":0}}"

static void runtimes_tell_the_first_process_of_a_container(void **state)
{
	static const struct {
		const char *text;
		bool good;
		int pid;
		uint64_t start;
	} rows[] = {
		{"{\"id\":\"a\",\"init_process_pid\":12,\"init_process_start\":34}", true, 12, 34},
		{"{\"pid\":12,\"process-start-time\":34}", true, 12, 34},
		{"{\"pid\":12}", true, 12, 0},
		{"{\"pid\":0}", false, 0, 0},
		{"{\"pid\":-4}", false, 0, 0},
		{"{\"pid\":\"12\"}", false, 0, 0},
		{"{\"pid\":99999999999}", false, 0, 0},
		{"no JSON", false, 0, 0},
		{"", false, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		pid_t pid = 0;
		uint64_t start = 0;
		bool good = running_state_read(rows[i].text, &pid, &start);
		if (good != rows[i].good || pid != rows[i].pid || start != rows[i].start)
			fail_msg("%s: got %d %d %llu", rows[i].text, good, pid, (unsigned long long)start);
	}
}

/* A machine of files, with no engine. */
static void machine_begin(char folder[32])
{
	str_copy(folder, 32, "/tmp/taut-found-XXXXXX");
	keep_folder(folder);
	setenv("DOCKER_HOST", "unix:///nowhere", 1);
	setenv("CONTAINER_HOST", "unix:///nowhere", 1);
}

static void write_text(const char *text, const char *folder, const char *path)
{
	AUTO_FREE char *whole = str_format("%s%s", folder, path);
	AUTO_FREE char *above = str_dup(whole);
	struct err e = ERR_INIT;

	*strrchr(above, '/') = 0;
	if (dir_make(above, 0755, &e) < 0 || file_write_synced(whole, text, strlen(text), 0644, &e) < 0)
		fail_msg("%s", e.text);
}

/* A process that began at 34, and a container of runc's. */
static void add_container(const char *folder, const char *id, int pid)
{
	AUTO_FREE char *stat = str_format("/proc/%d/stat", pid);
	AUTO_FREE char *state = str_format("/run/runc/%s/state.json", id);
	AUTO_FREE char *line = str_format(
		"%d (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 34 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid);
	AUTO_FREE char *text = str_format("{\"init_process_pid\":%d,\"init_process_start\":34}", pid);

	write_text(line, folder, stat);
	write_text(text, folder, state);
}

static int find(const char *folder, const char *name, pid_t *pid, struct err *e)
{
	AUTO_CLOSE int root = root_open(folder, e);

	*pid = 0;
	return root < 0 ? root : running_find(root, name, pid, e);
}

static void a_whole_name_comes_before_longer_ones(void **state)
{
	static const struct {
		const char *name;
		int rc, pid;
	} rows[] = {
		{"web", 0, 11},       /* too short to be a beginning */
		{"webserver", 0, 12}, /* that of another too */
		{"webserver1", 0, 13},
		{"webserv", -ENOTUNIQ, 0},
		{"databas", 0, 15}, /* the beginning of one alone */
		{"nothing", -ENOENT, 0},
	};
	char folder[32];
	pid_t pid;

	(void)state;
	machine_begin(folder);
	add_container(folder, "web", 11);
	add_container(folder, "webserver", 12);
	add_container(folder, "webserver1", 13);
	add_container(folder, "webserver2", 14);
	add_container(folder, "database", 15);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		int rc = find(folder, rows[i].name, &pid, &e);
		if (rc != rows[i].rc || pid != rows[i].pid)
			fail_msg("%s: got %d, %d (%s), wanted %d, %d", rows[i].name, rc, pid, e.text,
				rows[i].rc, rows[i].pid);
	}
}

/* Docker is asked first, then Podman; a file of runc has another container whose id begins so. */
static void of_two_engines_the_one_that_knows_the_container_is_believed(void **state)
{
	static const struct {
		const char *docker[2], *podman[2];
		int rc, pid;
		const char *words, *more;
	} rows[] = {
		{{OK(RUNS(ID, "41"))}, {"404 Not Found", "{}"}, 0, 41, "", ""},
		{{"404 Not Found", "{}"}, {OK(RUNS(ID, "42"))}, 0, 42, "", ""},
		{{OK(RUNS(ID, "41"))}, {OK(RUNS(ID, "42"))}, -ENOTUNIQ, 0, "more than one", ""},
		{{OK(HAS_ENDED)}, {"500 Oh", "{\"message\":\"podman fails\"}"}, -ESRCH, 0,
			"Docker knows it, and it does not run", ""},
		{{"500 Oh", "{\"message\":\"docker fails\"}"}, {OK(HAS_ENDED)}, -ESRCH, 0,
			"Podman knows it, and it does not run", ""},
		{{"500 Oh", "{\"message\":\"docker fails\"}"}, {"500 Oh", "{\"message\":\"podman fails\"}"},
			-EIO, 0, "docker fails", "podman fails"},
	};
	char folder[32];
	pid_t pid;

	(void)state;
	machine_begin(folder);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct answer docker[] = {{OK(VERSION)}, {rows[i].docker[0], rows[i].docker[1]}},
				    podman[] = {{OK(VERSION)}, {rows[i].podman[0], rows[i].podman[1]}};
		struct fake fakes[] = {fake_start(docker, 2), fake_start(podman, 2)};
		struct err e = ERR_INIT;
		for (size_t f = 0; f < 2; f++) {
			AUTO_FREE char *at = str_format("unix://%s", fakes[f].socket);
			setenv(f ? "CONTAINER_HOST" : "DOCKER_HOST", at, 1);
		}
		add_container(folder, "webserver1", 13);
		int rc = find(folder, rows[i].pid ? "webserver" : "database", &pid, &e);
		for (size_t f = 0; f < 2; f++)
			fake_end(&fakes[f]);
		if (rc != rows[i].rc || pid != rows[i].pid || !strstr(e.text, rows[i].words) ||
			!strstr(e.text, rows[i].more))
			fail_msg("row %zu: got %d, %d (%s), wanted %d, %d", i, rc, pid, e.text, rows[i].rc,
				rows[i].pid);
	}
}

/* --- what is left ------------------------------------------------------------------------------ */

static int count(const char *id, void *arg)
{
	assert_string_equal(id, "taut-999999-1-4026531836");
	++*(size_t *)arg;
	return 0;
}

static void a_record_that_was_being_written_is_left_too_and_goes_without_an_engine(void **state)
{
	const struct undo_sweep_row *left = runtime_docker.left;
	struct err e = ERR_INIT;
	char folder[32];
	size_t n = 0;

	(void)state;
	machine_begin(folder);
	setenv("TAUT_STATE", folder, 1);
	write_text("/now", folder, "/engine-taut-999999-1-4026531836.new");
	left->each("", count, &n);
	assert_int_equal(n, 1);
	if (left->remove("", "taut-999999-1-4026531836", &e) < 0)
		fail_msg("%s", e.text);
	left->each("", count, &n);
	assert_int_equal(n, 1);
	unsetenv("TAUT_STATE");
}

/* --- on an emulated host ----------------------------------------------------------------------- */

static int start_by(const char *script, const char *socket, struct err *e)
{
	const char *const daemon[] = {"sh", "-c", script, NULL};
	const struct engine_row row = {.title = "Engine", .sockets = {socket}, .daemon = daemon};

	return engine_host_start(&row, e);
}

static void an_engine_is_started_where_none_runs_and_why_it_cannot_is_said(void **state)
{
	static const struct answer version[] = {{OK(VERSION)}};
	const char *const none[] = {"taut-no-such-program", NULL};
	struct fake fake = fake_start(version, 1);
	struct err e = ERR_INIT;
	AUTO_FREE char *link = str_format("%s/link", fake.folder);
	AUTO_FREE char *file = str_format("%s/pid", fake.folder);
	AUTO_FREE char *serves =
		str_format("echo $$ > %s; ln -s %s %s; exec sleep 1000", file, fake.socket, link);
	AUTO_CLOSE int root = root_open("/", &e);
	char text[32];

	(void)state;
	assert_int_equal(
		engine_host_start(&(struct engine_row){.title = "x", .sockets = {link}, .daemon = none}, &e),
		0);
	assert_int_equal(start_by("echo first; echo the last >&2; exit 3", link, &e), -ECHILD);
	assert_string_equal(e.text, "cannot start Engine: exit status 3: the last");
	if (start_by(serves, link, &e) < 0) /* it outlives who has started it */
		fail_msg("%s", e.text);
	assert_int_equal(root_read(root, file, text, sizeof(text), &e) < 0, 0);
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(start_by("exit 3", link, &e), 0); /* one runs */
	fake_end(&fake);
}

/* A dockerd that ends at once stands for the machine's. */
static void on_a_host_that_is_not_emulated_no_engine_is_started(void **state)
{
	AUTO_FREE char *before = str_dup(getenv("PATH"));
	struct err e = ERR_INIT;
	char folder[32];

	(void)state;
	machine_begin(folder);
	write_text("#!/bin/sh\nexit 3\n", folder, "/dockerd");
	AUTO_FREE char *program = str_format("%s/dockerd", folder);
	AUTO_FREE char *path = str_format("%s:%s", folder, before);
	assert_int_equal(chmod(program, 0755), 0);
	setenv("PATH", path, 1);
	int rc = target_host_start(&e);
	setenv(HOST_EMULATED, "1", 1);
	int emulated = target_host_start(ERR_IGNORED);
	unsetenv(HOST_EMULATED);
	setenv("PATH", before, 1);
	if (rc < 0)
		fail_msg("%s", e.text);
	assert_int_equal(emulated, access("/run/docker.sock", F_OK) == 0 ? 0 : -ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runtimes_tell_the_first_process_of_a_container),
		cmocka_unit_test(a_whole_name_comes_before_longer_ones),
		cmocka_unit_test(of_two_engines_the_one_that_knows_the_container_is_believed),
		cmocka_unit_test(an_engine_is_started_where_none_runs_and_why_it_cannot_is_said),
		cmocka_unit_test(on_a_host_that_is_not_emulated_no_engine_is_started),
		cmocka_unit_test(a_record_that_was_being_written_is_left_too_and_goes_without_an_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
