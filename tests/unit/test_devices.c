/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PCI functions that are borrowed: a sysfs of plain files, on which the fake kernel of this test acts as the
 * real one does.  It binds and unbinds drivers, makes virtual functions and takes them away.
 */
#include "testbed/device.h"
#include "test_keep.h"
#include "test_need.h"

#include <dirent.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PF     "0000:01:00.0"
#define VF     "0000:01:10.0"
#define SYS    "sys/bus/pci"
#define OF(f_) SYS "/devices/" f_

struct world {
	char path[64], state[64];
	int root;
	struct undo_calls calls;
	struct undo_host host;
	struct devices d;
	int kill_at, changes;
};

/* --- plain files ------------------------------------------------------------------------------- */

static char *at(const struct world *w, const char *path)
{
	return str_format("%s/%s", w->path, path);
}

static void put(const struct world *w, const char *path, const char *text)
{
	AUTO_FREE char *whole = at(w, path);
	AUTO_FREE char *folder = str_dup(whole);
	struct err e = ERR_INIT;

	*strrchr(folder, '/') = 0;
	ok(dir_make(folder, 0755, &e));
	FILE *f = fopen(whole, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void put_link(const struct world *w, const char *path, const char *to)
{
	AUTO_FREE char *whole = at(w, path);

	unlink(whole);
	if (to)
		assert_int_equal(symlink(to, whole), 0);
}

static void get(const struct world *w, const char *path, char *out, size_t size)
{
	AUTO_FREE char *absolute = str_format("/%s", path);

	if (root_read(w->root, absolute, out, size, ERR_IGNORED) < 0)
		out[0] = 0;
}

/* --- the fake kernel --------------------------------------------------------------------------- */

/* The driver that takes a function by itself. */
static const char *own_driver(const char *pci)
{
	return strcmp(pci, PF) == 0 ? "igb" : "igbvf";
}

static void bind(const struct world *w, const char *pci)
{
	AUTO_FREE char *file = str_format(SYS "/devices/%s/driver_override", pci);
	AUTO_FREE char *link = str_format(SYS "/devices/%s/driver", pci);
	AUTO_FREE char *parent = str_format(SYS "/devices/%s/physfn", pci);
	AUTO_FREE char *parent_at = at(w, parent);
	char only[64], probes[8], now[8];

	get(w, file, only, sizeof(only));
	get(w, OF(PF) "/sriov_drivers_autoprobe", probes, sizeof(probes));
	AUTO_FREE char *link_at = at(w, link);
	if (readlink(link_at, now, sizeof(now)) > 0)
		return;
	bool any = !*only || !strcmp(only, "(null)");
	if (any && access(parent_at, F_OK) == 0 && strcmp(probes, "1") != 0)
		return;
	AUTO_FREE char *to = str_format("../../drivers/%s", any ? own_driver(pci) : only);
	put_link(w, link, to);
}

static void functions_set(struct world *w, const char *text)
{
	if (!strcmp(text, "1")) {
		put(w, OF(VF) "/driver_override", "(null)\n");
		put(w, OF(VF) "/class", "0x020000\n");
		put_link(w, OF(VF) "/physfn", "../" PF);
		put_link(w, OF(VF) "/iommu_group", "../../../../kernel/iommu_groups/2");
		put_link(w, OF(PF) "/virtfn0", "../" VF);
		bind(w, VF);
	} else {
		AUTO_FREE char *folder = at(w, OF(VF));
		tree_remove(folder, ERR_IGNORED);
		put_link(w, OF(PF) "/virtfn0", NULL);
	}
}

static int write_file(void *arg, int root, const char *path, const char *text)
{
	struct world *w = arg;

	if (w->kill_at >= 0 && w->changes++ == w->kill_at)
		kill(getpid(), SIGKILL);
	if (str_ends(path, "/drivers_probe")) {
		bind(w, text);
	} else if (str_ends(path, "/driver/unbind")) {
		AUTO_FREE char *link = str_format(SYS "/devices/%s/driver", text);
		put_link(w, link, NULL);
	} else if (str_ends(path, "/driver_override")) {
		put(w, path + 1, *text ? text : "(null)");
	} else {
		int rc = undo_real_calls.write_file(NULL, root, path, text);
		if (rc < 0)
			return rc;
		if (str_ends(path, "/sriov_numvfs"))
			functions_set(w, text);
	}
	if (w->kill_at >= 0 && w->changes++ == w->kill_at)
		kill(getpid(), SIGKILL);
	return 0;
}

static void world_make(struct world *w)
{
	struct err e = ERR_INIT;

	*w = (struct world){.path = "/tmp/taut-pci-XXXXXX",
		.state = "/tmp/taut-pci-state-XXXXXX",
		.host = UNDO_HOST_NONE,
		.d = DEVICES_NONE,
		.kill_at = -1};
	keep_folder(w->path);
	keep_folder(w->state);
	put_link(w, "proc", "/proc");
	put(w, "dev/vfio/vfio", "");
	put(w, SYS "/drivers_probe", "");
	put(w, SYS "/drivers/igb/bind", "");
	put(w, SYS "/drivers/vfio-pci/bind", "");
	put(w, "sys/kernel/iommu_groups/1/devices/" PF "/x", "");
	put(w, "sys/kernel/iommu_groups/2/devices/" VF "/x", "");
	put(w, OF(PF) "/class", "0x020000\n");
	put(w, OF(PF) "/driver_override", "(null)\n");
	put(w, OF(PF) "/sriov_totalvfs", "7\n");
	put(w, OF(PF) "/sriov_numvfs", "0\n");
	put(w, OF(PF) "/sriov_drivers_autoprobe", "1\n");
	put_link(w, OF(PF) "/driver", "../../drivers/igb");
	put_link(w, OF(PF) "/iommu_group", "../../../../kernel/iommu_groups/1");
	w->root = root_open(w->path, &e);
	w->calls = undo_real_calls;
	w->calls.write_file = write_file;
	w->host.root = w->root;
	w->host.calls = &w->calls;
	w->host.calls_arg = w;
	str_copy(w->host.state, sizeof(w->host.state), w->state);
	ok(devices_open(&w->d, &w->host, &e));
}

static void world_end(struct world *w)
{
	devices_close(&w->d);
	close(w->root);
}

/* What the functions are set to; malloc'd. */
static char *picture(const struct world *w)
{
	static const char *const files[] = {OF(PF) "/driver_override", OF(PF) "/sriov_numvfs",
		OF(PF) "/sriov_drivers_autoprobe", OF(VF) "/driver_override"};
	static const char *const functions[] = {PF, VF};
	struct buf text = {0};
	char value[64];

	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		undo_pci_driver(&w->host, functions[i], value, sizeof(value));
		buf_add(&text, "%s has driver '%s'\n", functions[i], value);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		get(w, files[i], value, sizeof(value));
		buf_add(&text, "%s: %s\n", files[i], value);
	}
	return text.data;
}

/* --- borrowing --------------------------------------------------------------------------------- */

static int take_whole(struct world *w, struct undo_list *list, struct err *e)
{
	int rc = borrow_driver(&w->d, list, PF, "vfio-pci", e);

	return rc < 0 ? rc : borrow_take(&w->d, list, 0, e);
}

static int file(struct world *w, struct undo_list *list, const char *name, const char *value, struct err *e)
{
	AUTO_FREE char *path = str_format(PCI_DEVICES "/" PF "/%s", name);

	return borrow_file(&w->d, list, path, value, e);
}

/* As the attachment does it, for a container and for a machine. */
static int make_function(struct world *w, struct undo_list *list, struct err *e)
{
	int rc = file(w, list, "sriov_drivers_autoprobe", "0", e);

	if (rc == 0)
		rc = file(w, list, "sriov_numvfs", "1", e);
	return rc < 0 ? rc : borrow_take(&w->d, list, 0, e);
}

static int take_function(struct world *w, struct undo_list *list, struct err *e)
{
	int rc = make_function(w, list, e);
	size_t from = list->n;

	if (rc == 0)
		rc = file(w, list, "sriov_drivers_autoprobe", "1", e);
	if (rc == 0)
		rc = borrow_take(&w->d, list, from, e);
	return rc < 0 ? rc : w->calls.write_file(w, w->root, "/" SYS "/drivers_probe", VF);
}

static int pass_function(struct world *w, struct undo_list *list, struct err *e)
{
	int rc = make_function(w, list, e);
	size_t from = list->n;

	if (rc == 0)
		rc = borrow_driver(&w->d, list, VF, "vfio-pci", e);
	return rc < 0 ? rc : borrow_take(&w->d, list, from, e);
}

static const struct {
	const char *name;
	int (*take)(struct world *w, struct undo_list *list, struct err *e);
	const char *pci, *driver, *autoprobe;
} ways[] = {
	{"whole", take_whole, PF, "vfio-pci", "1"},
	{"function", take_function, VF, "igbvf", "1"},
	{"function of a user who probes none", take_function, VF, "igbvf", "0"},
	{"function to a machine", pass_function, VF, "vfio-pci", "1"},
};

static void functions_come_back_as_they_were(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct undo_list *list = mem_alloc(sizeof(*list));
		struct err e = ERR_INIT;
		struct world w;
		char driver[64];

		world_make(&w);
		put(&w, OF(PF) "/sriov_drivers_autoprobe", ways[i].autoprobe);
		AUTO_FREE char *before = picture(&w);
		ok(ways[i].take(&w, list, &e));
		undo_pci_driver(&w.host, ways[i].pci, driver, sizeof(driver));
		assert_string_equal(driver, ways[i].driver);
		ok(borrow_return(&w.host, list, &e));
		AUTO_FREE char *after = picture(&w);
		assert_string_equal(after, before);
		assert_int_equal(undo_leftover(&w.host, NULL, &e), 0);
		world_end(&w);
	}
}

/* True when the taker was done before the moment came. */
static bool take_and_die(struct world *w, size_t way, int moment)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct undo_list *list = mem_alloc(sizeof(*list));
		struct err e = ERR_INIT;
		w->kill_at = moment;
		int rc = ways[way].take(w, list, &e);
		fprintf(stderr, "%s", rc < 0 ? e.text : "");
		_exit(rc < 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return !WIFSIGNALED(status);
}

static void a_taker_killed_at_any_write_owes_nothing_after_a_revert(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		int moment = 0;
		for (bool whole = false; !whole; moment++) {
			AUTO(buf_free) struct buf said = {0};
			struct err e = ERR_INIT;
			struct world w;
			world_make(&w);
			put(&w, OF(PF) "/sriov_drivers_autoprobe", ways[i].autoprobe);
			AUTO_FREE char *before = picture(&w);
			whole = take_and_die(&w, i, moment);
			ok(undo_revert_leftover(&w.host, &said, &e));
			AUTO_FREE char *after = picture(&w);
			if (strcmp(after, before) != 0)
				fail_msg("%s, killed at moment %d:\n%s\nbefore:\n%s\nsaid:\n%s", ways[i].name,
					moment, after, before, said.data ? said.data : "");
			assert_int_equal(undo_leftover(&w.host, NULL, &e), 0);
			world_end(&w);
		}
		print_message("# %s: %d moments\n", ways[i].name, moment);
		assert_true(moment > 5);
	}
}

/* --- unplugged --------------------------------------------------------------------------------- */

static void the_driver_of_an_unplugged_function_is_owed_no_more(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	world_make(&w);
	assert_true(take_and_die(&w, 0, -1));
	AUTO_FREE char *folder = at(&w, OF(PF));
	ok(tree_remove(folder, &e));
	ok(undo_revert_leftover(&w.host, &said, &e));
	assert_non_null(strstr(said.data, "unplugged, and with it what it was set to"));
	world_end(&w);
}

static void links_of_an_unplugged_function_stay_owed(void **state)
{
	struct undo_list *list = mem_alloc(sizeof(*list));
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	world_make(&w);
	struct undo_entry *entry =
		undo_entry_add(&w.host, list, "device", "link-mtu", "mtu of eth2 (" PF ")");
	undo_entry_values(entry, "9000", "1500");
	entry->detail = str_dup("pci=" PF " mac=02:11:22:33:44:55 kind= netns=");
	entry->written = true;
	ok(undo_journal_begin(&w.host, list, 0, &e));
	AUTO_FREE char *folder = at(&w, OF(PF));
	ok(tree_remove(folder, &e));
	assert_true(undo_list_undo(&w.host, list, 0, &e) < 0);
	assert_int_equal(entry->status, UNDO_AWAY);
	assert_string_equal(entry->reason, "the device " PF " is unplugged");
	assert_true(entry->written);
	assert_true(str_ends(entry->detail, " rebinds")); /* when it is back, nothing is as it was left */
	assert_non_null(strstr(e.advice, "plugging it in"));
	ok(undo_journal_remove(list, &e));
	undo_list_free(list);
	world_end(&w);
}

/* --- refusals ---------------------------------------------------------------------------------- */

static void assert_not_divided(const struct world *w, const struct device *device, const char *why)
{
	AUTO_FREE char *text = str_format("cannot borrow device %s: %s", device->word, why);
	struct err e = ERR_INIT;

	assert_true(device_divisible(&w->d, device, &e) < 0);
	assert_string_equal(e.text, text);
	assert_int_equal(e.exit, EXIT_REFUSED);
}

static void a_device_that_cannot_be_divided_is_refused(void **state)
{
	struct device device = {.word = "eth2", .name = "up0", .id = {.pci = PF}};
	static const char begin[] = "cannot borrow device eth2: ";
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	world_make(&w);
	ok(net_veth_create(w.d.home, "up0", w.d.home, "up1", 0, &e));
	ok(net_property_set(w.d.home, "up0", "addresses", "10.9.0.1/24", &e));
	ok(device_divisible(&w.d, &device, &e));
	setenv("SSH_CONNECTION", "10.9.0.2 50000 10.9.0.1 22", 1);
	assert_not_divided(&w, &device, "a connection of 10.9.0.1 goes over it; your own login may be one");
	unsetenv("SSH_CONNECTION");
	assert_int_equal(system("ip route add default via 10.9.0.2"), 0);
	assert_not_divided(&w, &device, "the default route leads over up0");
	assert_int_equal(system("ip route del default"), 0);
	static const struct {
		const char *file, *text, *why;
		const char *link, *state;
	} rows[] = {
		{.link = "up1",
			.state = "down",
			.why = "up0 has no carrier: no cable is in it, or the other end is off"},
		{.link = "up0",
			.state = "down",
			.why = "up0 is down, and then its virtual functions pass nothing"},
		{"sriov_numvfs", "3",
			"it has 3 virtual functions already, and their number cannot be changed"},
		{"sriov_totalvfs", "0", "it has no virtual functions (SR-IOV is missing or switched off)"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *path = str_format(OF(PF) "/%s", rows[i].file ? rows[i].file : "x");
		if (rows[i].file)
			put(&w, path, rows[i].text);
		else
			ok(net_property_set(w.d.home, rows[i].link, "up", rows[i].state, &e));
		assert_not_divided(&w, &device, rows[i].why);
	}
	put(&w, OF(PF) "/sriov_numvfs", "3");
	assert_true(device_free(&w.d, &device, &e) < 0);
	assert_string_equal(e.text + strlen(begin), "it has 3 virtual functions, which would go with it");
	put(&w, OF(PF) "/sriov_numvfs", "0");
	put(&w, "sys/class/net/up0/upper_vxlan7/x", "");
	assert_true(device_free(&w.d, &device, &e) < 0);
	assert_string_equal(e.text + strlen(begin), "vxlan7 stands on it");
	device.id.pci[0] = 0;
	assert_not_divided(&w, &device, "it is no PCI function, and only these have virtual functions");
	world_end(&w);
}

static void assert_not_passed(const struct world *w, const char *why)
{
	static const char begin[] = "cannot give " PF " to a machine: ";
	struct err e = ERR_INIT;

	assert_true(device_passable(&w->d, PF, 1 << 30, &e) < 0);
	assert_true(str_starts(e.text, begin));
	assert_string_equal(e.text + strlen(begin), why);
	assert_int_equal(e.exit, EXIT_REFUSED);
}

static void a_device_that_no_machine_can_get_is_refused(void **state)
{
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	world_make(&w);
	if (has_capability(CAP_SYS_RESOURCE))
		ok(device_passable(&w.d, PF, 1 << 30, &e));
	/* A bridge may share the group, a disk may not. */
	put(&w, OF("0000:00:1c.0") "/class", "0x060400\n");
	put(&w, "sys/kernel/iommu_groups/1/devices/0000:00:1c.0/x", "");
	if (has_capability(CAP_SYS_RESOURCE))
		ok(device_passable(&w.d, PF, 1 << 30, &e));
	AUTO_FREE char *node = at(&w, "dev/vfio/vfio");
	unlink(node);
	assert_not_passed(&w, "there is no /dev/vfio/vfio");
	AUTO_FREE char *driver = at(&w, SYS "/drivers/vfio-pci");
	ok(tree_remove(driver, &e));
	assert_not_passed(&w, "the driver vfio-pci is not there");
	put(&w, OF("0000:01:00.1") "/class", "0x010802\n");
	put(&w, "sys/kernel/iommu_groups/1/devices/0000:01:00.1/x", "");
	assert_not_passed(&w, "its IOMMU group has others in it: 0000:01:00.1");
	put_link(&w, OF(PF) "/iommu_group", NULL);
	assert_not_passed(&w, "it is in no IOMMU group");
	world_end(&w);
}

/* In a process that may lock no memory beyond its limit. */
static void memory_that_cannot_be_locked_is_refused(void **state)
{
	const struct rlimit limit = {64 << 20, 64 << 20};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {{0}};
	struct world w;
	int status = 0;

	(void)state;
	world_make(&w);
	pid_t pid = fork();
	if (pid == 0) {
		struct err e = ERR_INIT;
		setrlimit(RLIMIT_MEMLOCK, &limit);
		syscall(SYS_capset, &header, caps);
		device_passable(&w.d, PF, 1 << 30, &e);
		_exit(strcmp(e.text,
			      "cannot give " PF
			      " to a machine: its memory must be locked, and RLIMIT_MEMLOCK is less") != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	world_end(&w);
}

static void a_word_is_a_link_or_a_function(void **state)
{
	static const struct {
		const char *word, *text;
	} rows[] = {
		{"01:00.0", "cannot borrow device 01:00.0: it has no link (its driver is igb)"},
		{PF, "cannot borrow device " PF ": it has no link (its driver is igb)"},
		{"07:00.0", "cannot borrow device 07:00.0: there is no such PCI function"},
		{"7:0.0x", "cannot borrow device 7:0.0x: cannot find link 7:0.0x: No such device"},
	};
	struct device device;
	struct world w;

	(void)state;
	world_make(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = ERR_INIT;
		assert_int_equal(device_find(&w.d, rows[i].word, &device, &e), -ENODEV);
		assert_string_equal(e.text, rows[i].text);
	}
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_come_back_as_they_were),
		cmocka_unit_test(a_taker_killed_at_any_write_owes_nothing_after_a_revert),
		cmocka_unit_test(the_driver_of_an_unplugged_function_is_owed_no_more),
		cmocka_unit_test(links_of_an_unplugged_function_stay_owed),
		cmocka_unit_test(a_device_that_cannot_be_divided_is_refused),
		cmocka_unit_test(a_device_that_no_machine_can_get_is_refused),
		cmocka_unit_test(memory_that_cannot_be_locked_is_refused),
		cmocka_unit_test(a_word_is_a_link_or_a_function),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
