/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of a machine that need no machine: its console, its monitor, its command line. */
#include "boot/machine.h"
#include "boot/qemu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

/* --- the console ------------------------------------------------------------------------------- */

static struct ring ring;

static const char *shown(const char *said, size_t len, size_t size)
{
	static char out[2 * RING_BYTES];

	ring.total = 0;
	ring_put(&ring, said, len);
	assert_true(size <= sizeof(out));
	ring_text(&ring, out, size);
	return out;
}

static void test_console_escapes(void **state)
{
	static const struct {
		const char *said, *shown;
	} cases[] = {
		{"", ""},
		{"plain\r\n", "plain"},
		{"two\nlines\n\n", "two\nlines"},
		{"\x1b[2J\x1b[1;1Hfirmware", "firmware"},
		{"\x1b[0;31;40mred\x1b[0m", "red"},
		{"\x1b"
		 "cafter a reset",
			"after a reset"},
		{"cut off \x1b", "cut off"},
		{"cut off \x1b[12;", "cut off"},
		{"a\tb\x07"
		 "c\x7f"
		 "d\xc3\xa4",
			"a b?c?d??"},
		{"\x9b"
		 "31m",
			"?31m"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(shown(cases[i].said, strlen(cases[i].said), 256), cases[i].shown);
	assert_string_equal(shown("a\0b", 3, 256), "ab");
}

static void test_console_lines(void **state)
{
	static const char said[] = "first line\nsecond line\nthird\n";

	(void)state;
	assert_string_equal(shown(said, strlen(said), 20), "second line\nthird");
	assert_string_equal(shown(said, strlen(said), 10), "third");
	assert_string_equal(shown("0123456789", 10, 5), "6789");
}

static void test_warnings(void **state)
{
	static const char *const cases[][2] = {
		{"qemu: -mon x: warning: '-mon' is deprecated\n", ""},
		{"qemu: warning: one\nqemu: cannot set up guest memory\nqemu: warning: two",
			"qemu: cannot set up guest memory"},
		{"first\nsecond\n", "first\nsecond"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *said = str_dup(cases[i][0]);
		assert_string_equal(without_warnings(said), cases[i][1]);
	}
}

static void test_console_end(void **state)
{
	char line[32], out[RING_BYTES];

	(void)state;
	ring.total = 0;
	for (int i = 0; i < 100000; i++)
		ring_put(&ring, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i));
	ring_text(&ring, out, sizeof(out));
	assert_null(strstr(out, "line 1\n"));
	assert_non_null(strstr(out, "line 99999"));
	assert_true(strlen(out) > RING_BYTES - 64);
}

/* --- the monitor ------------------------------------------------------------------------------- */

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define ALLOWED  "{\"return\": {}}\r\n"
#define SOON_NS  NS_PER_S

/* The result of a command to a monitor that answers with `says`, and then closes its end or does not. */
static int asked(const char *says, size_t len, bool closes, char *text, size_t size)
{
	struct err e = ERR_INIT;
	json_t *reply = NULL;
	bool greeted = false;
	int ends[2], room = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	ssize_t n = send(ends[1], says, len, MSG_DONTWAIT);
	assert_true(n >= 0 || len == 0);
	if (closes)
		shutdown(ends[1], SHUT_WR);
	int rc = qmp_command(ends[0], &greeted, "query-cpus-fast", &reply, time_now_ns() + SOON_NS, &e);
	AUTO_FREE char *json = reply ? json_dumps(reply, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	snprintf(text, size, "%.200s", rc < 0 ? e.text : json ? json : "");
	json_decref(reply);
	close(ends[0]);
	close(ends[1]);
	return rc;
}

static void test_monitor(void **state)
{
	static const struct {
		const char *says;
		bool closes;
		int rc;
		const char *text;
	} cases[] = {
		{GREETING ALLOWED "{\"return\": [{\"thread-id\": 7}]}\r\n", false, 0, "[{\"thread-id\":7}]"},
		{GREETING "{\"event\": \"RESUME\"}\n" ALLOWED "{\"event\": \"STOP\"}\n{\"return\": 3}\n",
			false, 0, "3"},
		{GREETING ALLOWED "{\"error\": {\"class\": \"CommandNotFound\"}}\n", false, -EPROTO,
			"QEMU refuses query-cpus-fast"},
		{GREETING "{\"error\": {}}\n", false, -EPROTO, "QEMU refuses qmp_capabilities"},
		{"garbage\n", false, -EPROTO, "no JSON"},
		{"[1]\n", false, -EPROTO, "no JSON"},
		{"\n", false, -EPROTO, "no JSON"},
		{"{\"a\": 1, \"a\": 2}\n", false, -EPROTO, "no JSON"},
		{"", true, -EPIPE, "has closed its end"},
		{GREETING "{\"ret", true, -EPIPE, "has closed its end"},
		{"", false, -ETIMEDOUT, "does not answer"},
		{GREETING ALLOWED, false, -ETIMEDOUT, "does not answer"},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int rc = asked(cases[i].says, strlen(cases[i].says), cases[i].closes, text, sizeof(text));
		if (rc != cases[i].rc || !strstr(text, cases[i].text))
			fail_msg("'%s': got %d '%s', wanted %d '%s'", cases[i].says, rc, text, cases[i].rc,
				cases[i].text);
	}
}

static void test_monitor_endless(void **state)
{
	size_t len = 300u << 10;
	AUTO_FREE char *line = mem_alloc(len);
	char text[256];

	(void)state;
	memset(line, 'x', len);
	int rc = asked(line, len, false, text, sizeof(text));
	if (rc != -EPROTO || !strstr(text, "too much in one line"))
		fail_msg("got %d '%s'", rc, text);
}

/* --- the command line -------------------------------------------------------------------------- */

static const struct qemu qemu = {.program = "/usr/bin/qemu-system-x86_64", .version = "7.2.0", .major = 7};
static const struct kernel kernel = {.path = "/boot/vmlinuz"};

/* The whole of it, a blank between words and at both ends. */
static char *line_of(const struct machine_options *o)
{
	char **words = machine_command(&qemu, o, o->disk != NULL);
	AUTO(buf_free) struct buf line = {0};

	buf_add(&line, " ");
	for (size_t i = 0; words[i]; i++)
		buf_add(&line, "%s ", words[i]);
	words_free(words);
	return steal_ptr(&line.data);
}

static void has(const char *line, const char *const *wanted, const char *const *unwanted)
{
	for (; *wanted; wanted++)
		if (!strstr(line, *wanted))
			fail_msg("wanted '%s' in:%s", *wanted, line);
	for (; *unwanted; unwanted++)
		if (strstr(line, *unwanted))
			fail_msg("did not want '%s' in:%s", *unwanted, line);
}

static void test_command_guest(void **state)
{
	struct machine_options o = {.kernel = &kernel,
		.append = "isolcpus=1",
		.cpus = 2,
		.memory_mib = 512,
		.queues = 1,
		.mac = "52:54:00:74:61:75"};

	(void)state;
	AUTO_FREE char *plain = line_of(&o);
	has(plain,
		(const char *const[]){" -nodefaults ", " -no-user-config ", " -no-reboot ", " -sandbox on,",
			" -accel tcg,thread=multi ", " -cpu max ", " -smp 2 ", " -m 512M ",
			" -kernel /proc/self/fd/7 ", " -initrd /proc/self/fd/8 ",
			"console=ttyS0 panic=-1 oops=panic loglevel=6 isolcpus=1 ", "name=taut.control",
			" tap,id=net,fd=9,vhost=off ", "mac=52:54:00:74:61:75,romfile= ", NULL},
		(const char *const[]){"vmport=on", "icount", "nokaslr", "mq=on", "hugetlb", "mem-lock",
			"vfio", "hubport", "iommu", "library-path", NULL});
	o.accel = ACCEL_KVM;
	o.queues = 2;
	o.vhost = o.hugepages = o.lock_memory = true;
	AUTO_FREE char *tuned = line_of(&o);
	has(tuned,
		(const char *const[]){" -accel kvm ", " -cpu host ",
			" tap,id=net,fds=9:10,vhost=on,vhostfds=11:12 ", ",mq=on,vectors=6 ",
			"size=512M,hugetlb=on", "memory-backend=memory", "mem-lock=on", NULL},
		(const char *const[]){"tcg", NULL});
	o.cpu_model = "EPYC";
	o.queues = 0;
	o.disk = "/home/me/a,b.qcow2";
	AUTO_FREE char *disk = line_of(&o);
	has(disk,
		(const char *const[]){" -cpu EPYC ",
			"file=/home/me/"
			"a,,b.qcow2,format=raw,if=virtio,snapshot=on,werror=report,rerror=report",
			NULL},
		(const char *const[]){"-kernel", "-netdev", NULL});
	/* Whole, however long: each comma becomes two. */
	char path[4096];
	memset(path, ',', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	o.disk = path;
	AUTO_FREE char *commas = line_of(&o);
	has(commas,
		(const char *const[]){",,format=raw,if=virtio,snapshot=on,werror=report,rerror=report", NULL},
		(const char *const[]){NULL});
	assert_true(strlen(commas) > 2 * 4094);
}

static void test_command_vhost_user(void **state)
{
	struct machine_options o = {.kernel = &kernel,
		.cpus = 1,
		.memory_mib = 512,
		.queues = 1,
		.vhost_user = 42,
		.accel = ACCEL_KVM,
		.mac = "52:54:00:74:61:75"};

	(void)state;
	AUTO_FREE char *kvm = line_of(&o);
	has(kvm,
		(const char *const[]){" memory-backend-memfd,id=memory,size=512M,share=on ",
			" memory-backend=memory ", " socket,id=mover,path=/proc/self/fd/9 ",
			" vhost-user,id=net,chardev=mover ",
			" virtio-net-pci,netdev=net,mac=52:54:00:74:61:75,romfile= ", NULL},
		(const char *const[]){"tap", "vectors", "hugetlb", NULL});
	o.accel = ACCEL_TCG;
	AUTO_FREE char *emulated = line_of(&o);
	has(emulated, (const char *const[]){",romfile=,vectors=0 ", NULL}, (const char *const[]){NULL});
	o.hugepages = true;
	AUTO_FREE char *huge = line_of(&o);
	has(huge, (const char *const[]){"size=512M,hugetlb=on", "share=on", NULL},
		(const char *const[]){"size=512M,share=on", NULL});
}

static void test_command_host(void **state)
{
	struct machine_options o = {.kernel = &kernel, .host = true, .cpus = 2, .memory_mib = 1024};

	(void)state;
	AUTO_FREE char *host = line_of(&o);
	has(host,
		(const char *const[]){" -machine q35,vmport=on ", "VMware", " -cpu max,+svm,-hypervisor ",
			"taut-host", NULL},
		(const char *const[]){"-netdev", "icount", NULL});
	o.terminal = true;
	AUTO_FREE char *shell = line_of(&o);
	has(shell,
		(const char *const[]){
			"stdio,id=console,signal=off ", "quiet loglevel=3 ", "taut.control", NULL},
		(const char *const[]){"mux", NULL});
	o.keys = true;
	AUTO_FREE char *keys = line_of(&o);
	has(keys, (const char *const[]){"stdio,id=console,signal=off,mux=on ", " -echr 0x1d ", NULL},
		(const char *const[]){NULL});
	o.terminal = o.keys = false;
	o.exact = true;
	AUTO_FREE char *exact = line_of(&o);
	has(exact,
		(const char *const[]){" -accel tcg,thread=single ", " -smp 1 ", " -icount shift=0,sleep=off ",
			"clock=vm,base=", " -seed 1 ", "quiet nokaslr ", "id=record", "vmport=off", NULL},
		(const char *const[]){"taut.control", "-mon", "VMware", NULL});
}

static void test_command_nics(void **state)
{
	struct machine_options o = {
		.kernel = &kernel, .host = true, .cpus = 2, .memory_mib = 1024, .nics = NIC_IGB};

	(void)state;
	AUTO_FREE char *igb = line_of(&o);
	has(igb,
		(const char *const[]){" -machine q35,vmport=on,kernel-irqchip=split ",
			" -device intel-iommu,intremap=on,caching-mode=on ",
			" -device pcie-root-port,id=port0,chassis=1 ",
			" -device pcie-root-port,id=port1,chassis=2 ", " hubport,id=cable0,hubid=1 ",
			" hubport,id=cable1,hubid=1 ",
			" igb,bus=port0,netdev=cable0,mac=52:54:00:74:61:01,romfile= ",
			" igb,bus=port1,netdev=cable1,mac=52:54:00:74:61:02,romfile= ", " intel_iommu=on ",
			NULL},
		(const char *const[]){"sriov-pf", NULL});
	o.nics = NIC_VIRTIO;
	AUTO_FREE char *virtio = line_of(&o);
	const char *function = strstr(virtio, "addr=0x0.0x1,netdev=virtual0,sriov-pf=nic0,");
	const char *whole = strstr(virtio, "addr=0x0.0x0,id=nic0,netdev=cable0,");
	if (!function || !whole || function > whole)
		fail_msg("a virtual function must come before its NIC:%s", virtio);
	has(virtio, (const char *const[]){"sriov-pf=nic1,", "id=nic1,", "intel-iommu", NULL},
		(const char *const[]){"igb", NULL});
}

static void test_command_lent(void **state)
{
	struct machine_options o = {.kernel = &kernel, .cpus = 1, .memory_mib = 512, .vfio = "0000:01:10.0"};

	(void)state;
	AUTO_FREE char *lent = line_of(&o);
	has(lent, (const char *const[]){" -device vfio-pci,host=0000:01:10.0,", NULL},
		(const char *const[]){"-netdev", "virtio-net", "intel_iommu", NULL});
}

/* One of the cache is started by its own loader, with its own libraries, firmware and modules. */
static void test_words_cached(void **state)
{
	const struct qemu q = {.folder = "/c/qemu/11", .program = "/c/qemu/11/qemu-system-x86_64"};
	static const char *const wanted[] = {"/c/qemu/11/lib/ld-linux-x86-64.so.2", "--library-path",
		"/c/qemu/11/lib", "/c/qemu/11/qemu-system-x86_64", "-L", "/c/qemu/11/share", "--version"};
	char **words = qemu_words(&q, (const char *const[]){"--version", NULL});
	AUTO_FREE char *environment = qemu_environment(&q);
	AUTO_FREE char *none = qemu_environment(&qemu);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_string_equal(words[i], wanted[i]);
	assert_null(words[ARRAY_LEN(wanted)]);
	words_free(words);
	assert_string_equal(environment, "QEMU_MODULE_DIR=/c/qemu/11/modules");
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"a console is shown without escapes and control characters", test_console_escapes, NULL,
			NULL, NULL},
		{"of a console whole lines are shown, as far as they fit", test_console_lines, NULL, NULL,
			NULL},
		{"of a console without end the end is kept", test_console_end, NULL, NULL, NULL},
		{"what QEMU only warns of is not why it ended", test_warnings, NULL, NULL, NULL},
		{"a monitor that answers, refuses, lies, closes or says nothing", test_monitor, NULL, NULL,
			NULL},
		{"a line without end is given up", test_monitor_endless, NULL, NULL, NULL},
		{"the command line of a guest", test_command_guest, NULL, NULL, NULL},
		{"the command line of a guest whose memory is shared", test_command_vhost_user, NULL, NULL,
			NULL},
		{"the command line of an emulated host, with a shell, on the exact clock", test_command_host,
			NULL, NULL, NULL},
		{"the command line of an emulated host with NICs, of both models", test_command_nics, NULL,
			NULL, NULL},
		{"the command line of a guest that is lent a device", test_command_lent, NULL, NULL, NULL},
		{"a QEMU of the cache is started with all that is its own", test_words_cached, NULL, NULL,
			NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
