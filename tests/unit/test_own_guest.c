/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guests that are not of taut's making: what is read of domains and images, what guest agents say, and which
 * settings make sense. */
#include "boot/boot.h"
#include "login/domain.h"
#include "login/qga.h"
#include "wire/wire.h"
#include "test_keep.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

/* --- domains ----------------------------------------------------------------------------------- */

#define NIC(mac) "-device\0{\"driver\":\"virtio-net-pci\",\"netdev\":\"n\",\"mac\":\"" mac "\"}\0"

static void a_command_line_tells_accelerator_path_and_mac(void **state)
{
#define ROW(text) text, sizeof(text) - 1
	static const struct {
		const char *command;
		size_t len;
		const char *accel, *path, *mac;
	} rows[] = {
		{ROW("qemu\0-accel\0kvm\0-netdev\0{\"type\":\"tap\",\"vhost\":true}\0" NIC(
			 "52:54:00:00:00:01")),
			"kvm", "vhost", "52:54:00:00:00:01"},
		{ROW("qemu\0-machine\0pc,accel=kvm\0-netdev\0tap,fd=3,id=n\0-device\0virtio-net-pci,netdev=n,mac=52:54:00:00:00:02,bus=pci.0\0"),
			"kvm", "virtio", "52:54:00:00:00:02"},
		{ROW("qemu\0-accel\0tcg\0-netdev\0tap,fd=3,id=n,vhost=on\0-device\0e1000,mac=52:54:00:00:00:03\0"),
			"tcg", "", "52:54:00:00:00:03"},
		{ROW("qemu\0-netdev\0user,id=n\0" NIC("52:54:00:00:00:04")), "tcg", "", "52:54:00:00:00:04"},
		/* With two devices it is not known which one is measured. */
		{ROW("qemu\0-enable-kvm\0-netdev\0tap,id=a,vhost=on\0-netdev\0tap,id=b\0" NIC(
			 "52:54:00:00:00:05") NIC("52:54:00:00:00:06")),
			"kvm", "", ""},
		{ROW("qemu\0" NIC("no address at all")), "tcg", "", ""},
		{ROW(""), "tcg", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct domain d = {0};
		domain_command_read(&d, rows[i].command, rows[i].len);
		if (strcmp(d.accel, rows[i].accel) || strcmp(d.path, rows[i].path) ||
			strcmp(d.mac, rows[i].mac))
			fail_msg("row %zu: got '%s' '%s' '%s', wanted '%s' '%s' '%s'", i, d.accel, d.path,
				d.mac, rows[i].accel, rows[i].path, rows[i].mac);
	}
}

static void a_process_is_a_domain_only_by_its_whole_name(void **state)
{
	static const char plain[] = "qemu\0-name\0guest=web,debug-threads=on\0";
	static const char comma[] = "qemu\0-name\0process=x,guest=a,,b,debug-threads=on\0";

	(void)state;
	assert_true(domain_command_names(plain, sizeof(plain) - 1, "web"));
	assert_false(domain_command_names(plain, sizeof(plain) - 1, "we"));
	assert_false(domain_command_names(plain, sizeof(plain) - 1, "web,debug-threads=on"));
	assert_false(domain_command_names(plain, sizeof(plain) - 1, "webserver"));
	assert_true(domain_command_names(comma, sizeof(comma) - 1, "a,b"));
	assert_false(domain_command_names(comma, sizeof(comma) - 1, "x"));
}

static void the_socket_of_a_channel_stands_in_the_xml(void **state)
{
	static const char xml[] =
		"<domain><devices>\n<channel type='spicevmc'><target type='virtio' name='a'/></channel>\n"
		"<channel type='unix'>\n  <source mode='bind' path='/run/ga'/>\n"
		"  <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>\n</channel>\n"
		"<channel type='unix'>\n  <source mode='bind' path='/run/control'/>\n"
		"  <target type='virtio' name='taut.control'/>\n</channel>\n"
		"<channel type='unix'><target type='virtio' name='without'/></channel>\n"
		"<channel type='unix'><source path='/run/&lt;a&amp;b&apos;&quot;&gt;&amp;lt;'/>"
		"<target type='virtio' name='odd&amp;'/></channel>\n"
		"<channel type='unix'><source path='/run/a&#xA;b'/><target type='virtio' name='feed'/></channel>\n"
		"<disk><source path='/no'/><target name='disk'/></disk></devices></domain>";
	char path[64];

	(void)state;
	assert_true(domain_xml_channel(xml, "taut.control", path, sizeof(path)));
	assert_string_equal(path, "/run/control");
	assert_true(domain_xml_channel(xml, "odd&", path, sizeof(path)));
	assert_string_equal(path, "/run/<a&b'\">&lt;");
	AUTO_FREE char *escaped = domain_xml_escaped(path);
	assert_string_equal(escaped, "/run/&lt;a&amp;b&apos;&quot;&gt;&amp;lt;");
	static const char *const none[] = {"without", "odd", "odd&amp;", "feed", "disk", "a", "taut.contro"};
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		if (domain_xml_channel(xml, none[i], path, sizeof(path)))
			fail_msg("%s: found %s", none[i], path);
	assert_false(domain_xml_channel("<channel", "a", path, sizeof(path)));
	assert_false(domain_xml_channel(xml, "taut.control", path, 4));
}

/* --- guest agents ------------------------------------------------------------------------------ */

struct talk {
	int fd;
	const char *const *answers; /* a line each; NULL: the end */
};

/* Answers each line that comes with the next one of its own; "%lld" stands for the id of a greeting. */
static void *agent_main(void *arg)
{
	const struct talk *talk = arg;
	char line[4096];
	size_t n = 0;

	for (const char *const *answer = talk->answers; *answer; answer++) {
		char c = 0;
		for (n = 0; c != '\n' && n < sizeof(line) - 1 && read(talk->fd, &c, 1) == 1; n++)
			line[n] = c;
		line[n] = 0;
		const char *id = strstr(line, "\"id\":");
		dprintf(talk->fd, *answer,
			id ? atoll(id + 5) : 0); /* NOLINT(clang-diagnostic-format-nonliteral) */
	}
	close(talk->fd);
	return NULL;
}

struct conversation {
	struct qga q;
	struct talk talk;
	pthread_t thread;
};

static void talk_begin(struct conversation *c, const char *const *answers)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	c->q = (struct qga){.fd = ends[0]};
	c->talk = (struct talk){ends[1], answers};
	assert_int_equal(pthread_create(&c->thread, NULL, agent_main, &c->talk), 0);
}

static void talk_end(struct conversation *c)
{
	close(c->q.fd);
	pthread_join(c->thread, NULL);
}

static uint64_t soon(void)
{
	return time_now_ns() + 25 * NS_PER_S;
}

static void a_conversation_starts_behind_whatever_was_said_before(void **state)
{
	static const char *const answers[] = {
		"rubbish {\"return\": 1}\n\xff{\"return\": 5}\n{}\n\xff{\"return\": %lld}\n",
		"{\"return\": {\"pid\": 77}}\n",
		"{\"return\": {\"exited\": true, \"exitcode\": 3, \"err-data\": \"b25lCnR3bxtvCg==\"}}\n",
		NULL};
	static const char *const argv[] = {"/bin/sh", "-c", "x", NULL};
	struct qga_program program = {0};
	struct conversation c;

	(void)state;
	talk_begin(&c, answers);
	assert_int_equal(qga_sync(&c.q, -1, soon(), ERR_IGNORED), 0);
	assert_int_equal(qga_start(&c.q, argv, &program.pid, soon(), ERR_IGNORED), 0);
	assert_int_equal(program.pid, 77);
	assert_int_equal(qga_look(&c.q, &program, soon(), ERR_IGNORED), 0);
	assert_true(program.exited);
	assert_int_equal(program.status, 3);
	assert_string_equal(program.said, "two?o");
	talk_end(&c);
}

static void an_agent_that_refuses_or_lies_is_an_error(void **state)
{
	static const struct {
		const char *answer;
		int rc;
		const char *said;
	} rows[] = {
		{"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not \\u001b[31mallowed\"}}\n",
			-EREMOTEIO, "not ?[31mallowed"},
		{"{\"error\": {\"class\": 3}}\n", -EREMOTEIO, "no"},
		{"{\"return\": {\"pid\": -4}}\n", -EPROTO, "which process"},
		{"{\"return\": {\"pid\": \"4\"}}\n", -EPROTO, "which process"},
		{"{\"return\": 1, \"error\": {}}\n", -EPROTO, "no answer"},
		{"{\"return\": {}, \"return\": {}}\n", -EPROTO, "no answer"},
		{"[1]\n", -EPROTO, "no answer"},
		{"\n", -EPROTO, "no answer"},
		{"", -EPIPE, "closed"},
	};
	static const char *const argv[] = {"/bin/true", NULL};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *const answers[] = {rows[i].answer, NULL};
		struct conversation c;
		struct err e = ERR_INIT;
		json_int_t pid = 0;
		talk_begin(&c, answers);
		int rc = qga_start(&c.q, argv, &pid, soon(), &e);
		if (rc != rows[i].rc || !strstr(e.text, rows[i].said) || pid)
			fail_msg("%s: got %d '%s', wanted %d '%s'", rows[i].answer, rc, e.text, rows[i].rc,
				rows[i].said);
		talk_end(&c);
	}
}

static void an_agent_without_guest_exec_is_told_from_others(void **state)
{
#define COMMAND(name, enabled) "{\"name\": \"" name "\", \"enabled\": " enabled "}"
	static const struct {
		const char *answer;
		int rc;
	} rows[] = {
		{"{\"return\": {\"supported_commands\": [" COMMAND("guest-exec", "true") ", " COMMAND(
			 "guest-exec-status", "true") "]}}\n",
			0},
		{"{\"return\": {\"supported_commands\": [" COMMAND("guest-exec", "false") ", " COMMAND(
			 "guest-exec-status", "true") "]}}\n",
			-ENOTSUP},
		{"{\"return\": {\"supported_commands\": \"all\"}}\n", -ENOTSUP},
		{"{\"return\": {}}\n", -ENOTSUP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *const answers[] = {rows[i].answer, NULL};
		struct conversation c;
		talk_begin(&c, answers);
		int rc = qga_able(&c.q, soon(), ERR_IGNORED);
		if (rc != rows[i].rc)
			fail_msg("%s: got %d, wanted %d", rows[i].answer, rc, rows[i].rc);
		talk_end(&c);
	}
}

/* The other end neither reads nor answers. */
static void silence_ends_at_the_deadline(void **state)
{
	int ends[2];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	const struct qga q = {.fd = ends[0]};
	uint64_t begin = time_now_ns();
	assert_int_equal(qga_sync(&q, -1, begin + NS_PER_S / 5, &e), -ETIMEDOUT);
	assert_true(time_now_ns() - begin < 10 * NS_PER_S);
	assert_non_null(strstr(e.text, "qemu-guest-agent"));
	close(ends[0]);
	close(ends[1]);
}

/* --- disks and settings ------------------------------------------------------------------------ */

static void an_image_is_known_by_its_first_bytes(void **state)
{
	static const struct {
		const char *what;
		int at, rc;
		unsigned char bytes[4];
		size_t n, size;
		enum disk_format format;
	} rows[] = {
		{"qcow2", 0, 0, {'Q', 'F', 'I', 0xfb}, 4, 4096, DISK_QCOW2},
		{"raw", 510, 0, {0x55, 0xaa}, 2, 4096, DISK_RAW},
		{"no boot sector", 0, -EINVAL, {0}, 0, 4096, DISK_RAW},
		{"a kernel", 0x202, -EINVAL, {'H', 'd', 'r', 'S'}, 4, 4096, DISK_RAW},
		{"too short", 510, -EINVAL, {0x55, 0xaa}, 2, 512, DISK_RAW},
		{"empty", 0, -EINVAL, {0}, 0, 0, DISK_RAW},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[] = "/tmp/taut-disk-XXXXXX";
		enum disk_format format = DISK_RAW;
		AUTO_CLOSE int fd = keep_file(path);
		assert_int_equal(ftruncate(fd, (off_t)rows[i].size), 0);
		if (rows[i].n)
			assert_int_equal(pwrite(fd, rows[i].bytes, rows[i].n, rows[i].at), rows[i].n);
		if (!strcmp(rows[i].what, "a kernel"))
			assert_int_equal(pwrite(fd, "\x55\xaa", 2, 510), 2);
		struct err e = ERR_INIT;
		int rc = disk_check(path, &format, &e);
		unlink(path);
		if (rc != rows[i].rc || format != rows[i].format)
			fail_msg("%s: got %d and %d, wanted %d and %d", rows[i].what, rc, (int)format,
				rows[i].rc, (int)rows[i].format);
	}
	enum disk_format format;
	assert_int_equal(disk_check("/nonexistent", &format, ERR_IGNORED), -ENOENT);
	assert_int_equal(disk_check("/dev/null", &format, ERR_IGNORED), -EINVAL);
}

static void settings_of_what_is_the_users_make_sense_together(void **state)
{
	static const struct {
		const char *set[4]; /* "key=value" */
		const char *why;    /* NULL: fine */
	} rows[] = {
		{{"target=vm:web"}, NULL},
		{{"target=vm:web", "login=ssh:root@10.0.0.5"}, NULL},
		{{"target=vm:web", "login=ssh:web.example", "path=vhost"}, NULL},
		{{"target=vm", "disk=/images/a.qcow2"}, NULL},
		{{"target=vm", "disk=/images/a.qcow2", "path=vhost", "vcpus=2"}, NULL},
		{{"target=vm:"}, "name of a domain"},
		{{"target=vm:../x"}, "'/'"},
		{{"target=vm:web", "disk=a"}, "disk"},
		{{"target=vm:web", "vcpus=2"}, "runs already"},
		{{"target=vm:web", "memory=1G"}, "runs already"},
		{{"target=vm:web", "accel=kvm"}, "runs already"},
		{{"target=vm:web", "mtu=1400"}, "runs already"},
		{{"target=vm:web", "attachment=bridge"}, "try: host"},
		{{"target=vm:web", "site=lab"}, "emulated host"},
		{{"target=vm", "disk=a", "site=lab"}, "emulated host"},
		{{"target=vm", "attachment=host"}, "try: bridge"},
		{{"target=native", "attachment=host"}, "one of veth|bridge"},
		{{"target=container", "attachment=engine:web"}, NULL},
		{{"target=container", "attachment=bridge:web"}, "one of veth|bridge"},
		{{"target=container:web-1.x_y"}, NULL},
		{{"target=container:web", "attachment=bridge"}, "try: host"},
		{{"target=container:web", "mtu=1400"}, "runs already"},
		{{"target=container:web", "kernel=rt"}, "only a virtual machine"},
		{{"target=container:web", "site=lab"}, "emulated host"},
		{{"target=container:"}, "no container has such a name"},
		{{"target=container:../x"}, "no container has such a name"},
		{{"target=pid:1"}, NULL},
		{{"target=pid:0"}, "PID of a process"},
		{{"target=pid:99999999999"}, "PID of a process"},
		{{"target=pid:x"}, "PID of a process"},
		{{"target=vm", "login=agent"}, "has the agent in it"},
		{{"target=vm", "disk=a", "login=ssh:root@x"}, "login agent"},
		{{"target=vm", "disk=a", "kernel=rt"}, "both"},
		{{"target=vm:web", "login=ssh:"}, "USER@HOST"},
		{{"target=vm:web", "login=ssh:-oProxyCommand=x"}, "USER@HOST"},
		{{"target=vm:web", "login=ssh:a b"}, "USER@HOST"},
		{{"target=vm:web", "login=telnet"}, "agent or ssh"},
		{{"target=native", "login=agent"}, "only a virtual machine"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s;
		struct err e = ERR_INIT;
		settings_init(&s);
		for (size_t j = 0; j < ARRAY_LEN(rows[i].set) && rows[i].set[j]; j++) {
			AUTO_FREE char *key = str_dup(rows[i].set[j]);
			char *value = strchr(key, '=');
			*value++ = 0;
			assert_int_equal(setting_set(&s, key, value, ERR_IGNORED), 0);
		}
		int rc = settings_check(&s, &e);
		char text[1100];
		err_string(&e, text, sizeof(text));
		if ((rc == 0) != !rows[i].why ||
			(rows[i].why && (e.exit != EXIT_USAGE || !strstr(text, rows[i].why))))
			fail_msg("%s %s: got %d '%s', wanted '%s'", rows[i].set[0],
				rows[i].set[1] ? rows[i].set[1] : "", rc, text,
				rows[i].why ? rows[i].why : "");
	}
}

static void what_is_not_said_follows(void **state)
{
	struct settings s;

	(void)state;
	settings_init(&s);
	s.target = "vm:web";
	assert_int_equal(settings_check(&s, ERR_IGNORED), 0);
	assert_string_equal(s.attachment, "host");
	assert_string_equal(s.login, "agent");
	assert_string_equal(s.path, ""); /* the domain decides */
	assert_string_equal(s.kernel, "");
	settings_init(&s);
	s.target = "vm";
	s.disk = "/a";
	assert_int_equal(settings_check(&s, ERR_IGNORED), 0);
	assert_string_equal(s.attachment, "bridge");
	assert_string_equal(s.login, "agent");
	assert_string_equal(s.path, "virtio");
	assert_string_equal(s.kernel, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_line_tells_accelerator_path_and_mac),
		cmocka_unit_test(a_process_is_a_domain_only_by_its_whole_name),
		cmocka_unit_test(the_socket_of_a_channel_stands_in_the_xml),
		cmocka_unit_test(a_conversation_starts_behind_whatever_was_said_before),
		cmocka_unit_test(an_agent_that_refuses_or_lies_is_an_error),
		cmocka_unit_test(an_agent_without_guest_exec_is_told_from_others),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(an_image_is_known_by_its_first_bytes),
		cmocka_unit_test(settings_of_what_is_the_users_make_sense_together),
		cmocka_unit_test(what_is_not_said_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
