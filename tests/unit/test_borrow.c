/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Devices that are borrowed, on real links: a veth pair in a network namespace of the test's own stands for
 * the machine.  A process that borrows one is killed before and after each of its changes, and what it left
 * is put back from its journal.
 */
#include "testbed/device.h"
#include "test_keep.h"
#include "test_need.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define LINK "lent0"
#define PEER "lent1"

static const char *const words[] = {"mac", "mtu", "features", "coalescing", "up", "addresses"};

struct world {
	char folder[64], state[64];
	int root;
	struct undo_calls calls;
	struct undo_host host;
	struct devices d;
	struct device device;
	const char *refuse; /* the property that the driver no longer takes, or NULL */
	int kill_at;        /* before change N at 2 N, after it at 2 N + 1; −1: never */
	int changes;
};

/* --- changes that a process does not survive --------------------------------------------------- */

static void pass(struct world *w)
{
	if (w->kill_at >= 0 && w->changes++ == w->kill_at)
		kill(getpid(), SIGKILL);
}

static int set_link(void *arg, int ns, const char *link, const char *property, const char *value)
{
	const struct world *w = arg;

	pass(arg);
	if (w->refuse && !strcmp(property, w->refuse))
		return -EINVAL;
	int rc = undo_real_calls.set_link(NULL, ns, link, property, value);
	pass(arg);
	return rc;
}

static int move_link(void *arg, int ns, const char *link, int to)
{
	pass(arg);
	int rc = undo_real_calls.move_link(NULL, ns, link, to);
	pass(arg);
	return rc;
}

static int hold_netns(void *arg, int ns, const char *path)
{
	pass(arg);
	int rc = undo_real_calls.hold_netns(NULL, ns, path);
	pass(arg);
	return rc;
}

/* --- the machine ------------------------------------------------------------------------------- */

static void world_make(struct world *w)
{
	struct err e = ERR_INIT;

	*w = (struct world){.folder = "/tmp/taut-borrow-XXXXXX",
		.state = "/tmp/taut-borrow-state-XXXXXX",
		.host = UNDO_HOST_NONE,
		.d = DEVICES_NONE,
		.kill_at = -1};
	keep_folder(w->folder);
	keep_real(w->state);
	/* What holds a namespace is a mount, which other tests beside this one must not see. */
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail_msg("no namespaces: %s", strerror(errno));
	w->root = root_open("/", &e);
	w->calls = undo_real_calls;
	w->calls.set_link = set_link;
	w->calls.move_link = move_link;
	w->calls.hold_netns = hold_netns;
	w->host.root = w->root;
	w->host.calls = &w->calls;
	w->host.calls_arg = w;
	str_copy(w->host.state, sizeof(w->host.state), w->state);
	ok(devices_open(&w->d, &w->host, &e));
	ok(net_veth_create(w->d.home, LINK, w->d.home, PEER, 1400, &e));
	ok(net_property_set(w->d.home, LINK, "up", "down", &e));
	ok(net_property_set(w->d.home, LINK, "mac", "02:11:22:33:44:55", &e));
	ok(net_property_set(w->d.home, LINK, "features", "highdma rx-checksum tx-scatter-gather", &e));
	ok(net_property_set(w->d.home, LINK, "up", "up", &e));
	ok(net_property_set(w->d.home, LINK, "addresses",
		"10.9.0.1/24,brd=10.9.0.255 10.9.0.7/24,label=" LINK ":7 10.8.0.1/16,noprefixroute "
		"10.7.0.1/32,peer=10.7.0.2 10.6.0.1/24,scope=253,metric=77 "
		"fd00:9::1/64,nodad fd00:7::1/128,peer=fd00:7::2,metric=99,nodad,noprefixroute",
		&e));
	ok(device_find(&w->d, LINK, &w->device, &e));
}

static void world_end(struct world *w)
{
	devices_close(&w->d);
	close(w->root);
}

/* All that a link is set to; malloc'd. */
static char *picture(const struct world *w)
{
	struct buf text = {0};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct err e = ERR_INIT;
		AUTO_FREE char *value = NULL;
		int rc = net_property_get(w->d.home, LINK, words[i], &value, &e);
		buf_add(&text, "%s: %s\n", words[i], rc < 0 ? e.text : value);
	}
	return text.data;
}

/* The addresses as ip(8) shows them, but for those that the kernel makes; malloc'd. */
static char *picture_of_ip(void)
{
	FILE *f =
		popen("ip -oneline -details address show dev " LINK
		      " | grep -v 'scope link proto kernel_ll\\|fe80::' | sed 's/^[0-9]*//; s/ tentative//'",
			"re");
	struct buf text = {0};
	char line[1024];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		buf_add(&text, "%s", line);
	pclose(f);
	return text.data;
}

static void sh(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* --- borrowing --------------------------------------------------------------------------------- */

/* Takes the link to a new namespace; what holds that is FOLDER/held. */
static int borrow(struct world *w, struct undo_list *list, int ns, struct err *e)
{
	AUTO_FREE char *held = str_format("%s/held", w->folder);
	const struct loan loan = {&w->device, held, 1300};
	struct undo_entry *entry = undo_entry_add(&w->host, list, "device", "netns-hold", held);

	undo_entry_values(entry, "absent", "held");
	entry->netns_fd = dup(ns);
	int rc = borrow_link(&w->d, list, &loan, e);
	return rc < 0 ? rc : borrow_take(&w->d, list, 0, e);
}

static void assert_nothing_owed(const struct world *w)
{
	AUTO_FREE char *held = str_format("%s/held", w->folder);
	struct err e = ERR_INIT;

	assert_int_equal(undo_leftover(&w->host, NULL, &e), 0);
	assert_int_equal(access(held, F_OK), -1);
}

static void a_borrowed_link_comes_back_as_it_was(void **state)
{
	struct err e = ERR_INIT;
	struct world w;
	unsigned mtu = 0;

	(void)state;
	need_root();
	struct undo_list *list = mem_alloc(sizeof(*list));
	world_make(&w);
	AUTO_FREE char *before = picture(&w);
	assert_non_null(strstr(before, "10.8.0.1/16,noprefixroute"));
	assert_non_null(strstr(before, "label=" LINK ":7"));
	AUTO_FREE char *shown = picture_of_ip();
	static const char *const parts[] = {"inet 10.7.0.1 peer 10.7.0.2/32",
		"inet 10.6.0.1/24 metric 77 scope link", "inet6 fd00:7::1 peer fd00:7::2/128 metric 99"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!strstr(shown, parts[i]))
			fail_msg("no '%s' in:\n%s", parts[i], shown);
	AUTO_CLOSE int ns = net_namespace_create(&e);
	ok(borrow(&w, list, ns, &e));
	ok(net_link_mtu(ns, LINK, &mtu, &e));
	assert_int_equal(mtu, 1300);
	assert_int_equal(net_link_mtu(w.d.home, LINK, &mtu, &e), -ENODEV);
	ok(net_link_up(ns, LINK, &e));
	ok(borrow_return(&w.host, list, &e));
	AUTO_FREE char *after = picture(&w);
	assert_string_equal(after, before);
	AUTO_FREE char *shown_after = picture_of_ip();
	assert_string_equal(shown_after, shown);
	assert_nothing_owed(&w);
	world_end(&w);
}

/* The seconds behind a word of the link's address 10.5.0.1. */
static double lifetime(const char *word)
{
	FILE *f = popen("ip address show dev " LINK " to 10.5.0.1", "re");
	char text[1024];

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	pclose(f);
	const char *at = strstr(text, word);
	return at ? strtod(at + strlen(word), NULL) : -1;
}

/* It goes on to pass while the link is away. */
static void an_address_has_what_is_left_of_its_lifetime(void **state)
{
	AUTO_FREE char *addresses = NULL;
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	struct undo_list *list = mem_alloc(sizeof(*list));
	world_make(&w);
	sh("ip address add 10.5.0.1/24 dev " LINK " valid_lft 3000 preferred_lft 2000");
	sh("ip address add 10.4.0.1/24 dev " LINK " valid_lft 1 preferred_lft 1");
	AUTO_CLOSE int ns = net_namespace_create(&e);
	ok(borrow(&w, list, ns, &e));
	poll(NULL, 0, 2100);
	ok(borrow_return(&w.host, list, &e));
	double valid = lifetime("valid_lft "), preferred = lifetime("preferred_lft ");
	if (valid < 2900 || valid > 2999 || preferred < 1900 || preferred > 1999)
		fail_msg("valid for %.0f s, preferred for %.0f s", valid, preferred);
	ok(net_property_get(w.d.home, LINK, "addresses", &addresses, &e));
	assert_null(strstr(addresses, "10.4.0.1"));
	assert_nothing_owed(&w);
	world_end(&w);
}

/* --- after a crash ----------------------------------------------------------------------------- */

/* In another process, which is killed at `kill_at`, or else when it has the link.  True when it got so far.
 */
static bool borrow_and_die(struct world *w, int kill_at)
{
	AUTO_FREE char *done = str_format("%s/done", w->folder);
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct undo_list *list = mem_alloc(sizeof(*list));
		struct err e = ERR_INIT;
		w->kill_at = kill_at;
		int ns = net_namespace_create(&e);
		if (ns < 0 || borrow(w, list, ns, &e) < 0) {
			fprintf(stderr, "cannot borrow: %s\n", e.text);
			_exit(1);
		}
		close(open(done, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		fail_msg("the borrower ended with status %d", status);
	return unlink(done) == 0;
}

/* In the namespace that the link was taken to. */
static void do_in(const struct world *w, const char *command)
{
	AUTO_FREE char *whole = str_format("nsenter --net=%s/held %s", w->folder, command);

	assert_int_equal(system(whole), 0);
}

static void revert(struct world *w, struct buf *said)
{
	struct err e = ERR_INIT;

	buf_add(said, "%s", "");
	ok(undo_revert_leftover(&w->host, said, &e));
}

static void a_borrower_killed_at_any_change_owes_nothing_after_a_revert(void **state)
{
	struct world w;
	int moments = 0;
	bool whole = false;

	(void)state;
	need_root();
	world_make(&w);
	AUTO_FREE char *before = picture(&w);
	for (; !whole; moments++) {
		AUTO(buf_free) struct buf said = {0};
		whole = borrow_and_die(&w, moments);
		revert(&w, &said);
		AUTO_FREE char *after = picture(&w);
		if (strcmp(after, before) != 0)
			fail_msg("killed at moment %d:\n%s\nbefore:\n%s\nsaid:\n%s", moments, after, before,
				said.data);
		assert_nothing_owed(&w);
	}
	print_message("# %d moments\n", moments);
	assert_true(moments > 8);
	world_end(&w);
}

static void a_link_that_was_renamed_is_found_and_named_again(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	world_make(&w);
	AUTO_FREE char *before = picture(&w);
	assert_true(borrow_and_die(&w, -1));
	AUTO_FREE char *held = str_format("%s/held", w.folder);
	AUTO_CLOSE int ns = undo_netns_held(held);
	ok(net_property_set(ns, LINK, "name", "dev7", &e));
	revert(&w, &said);
	AUTO_FREE char *after = picture(&w);
	assert_string_equal(after, before);
	world_end(&w);
}

static void a_link_whose_name_is_taken_comes_home_and_waits_for_it(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct world w;
	unsigned mtu = 0;

	(void)state;
	need_root();
	world_make(&w);
	AUTO_FREE char *before = picture(&w);
	assert_true(borrow_and_die(&w, -1));
	ok(net_veth_create(w.d.home, LINK, w.d.home, "strange", 0, &e));
	assert_int_equal(undo_revert_leftover(&w.host, &said, &e), -EIO);
	assert_int_equal(e.exit, EXIT_PARTLY_APPLIED);
	assert_non_null(strstr(said.data, "could not put back name of " LINK));
	e = ERR_INIT;
	ok(net_link_mtu(w.d.home, "back-334455", &mtu, &e));
	assert_int_equal(mtu, 1400);
	ok(net_link_delete(w.d.home, LINK, &e));
	revert(&w, &said);
	AUTO_FREE char *after = picture(&w);
	assert_string_equal(after, before);
	assert_nothing_owed(&w);
	world_end(&w);
}

static int move_never(void *arg, int ns, const char *link, int to)
{
	(void)arg;
	(void)ns;
	(void)link;
	(void)to;
	return -EBUSY;
}

static void a_link_that_cannot_come_home_keeps_its_namespace(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	world_make(&w);
	AUTO_FREE char *before = picture(&w);
	assert_true(borrow_and_die(&w, -1));
	w.calls.move_link = move_never;
	assert_int_equal(undo_revert_leftover(&w.host, &said, &e), -EIO);
	assert_non_null(strstr(said.data, "could not put back namespace of " LINK));
	assert_non_null(strstr(said.data, "a device is still in it"));
	e = ERR_INIT;
	w.calls.move_link = move_link;
	revert(&w, &said);
	AUTO_FREE char *after = picture(&w);
	assert_string_equal(after, before);
	assert_nothing_owed(&w);
	world_end(&w);
}

/* Of the modules ipip, sit, ip_gre …; a tun stands for these. */
static void links_of_the_kernels_own_keep_no_namespace(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct world w;

	(void)state;
	need_root();
	if (access("/dev/net/tun", R_OK) < 0) {
		print_message("# skipped: there is no /dev/net/tun\n");
		skip();
	}
	world_make(&w);
	AUTO_FREE char *before = picture(&w);
	assert_true(borrow_and_die(&w, -1));
	do_in(&w, "ip tuntap add dev tunl0 mode tun");
	revert(&w, &said);
	AUTO_FREE char *after = picture(&w);
	assert_string_equal(after, before);
	assert_nothing_owed(&w);
	world_end(&w);
}

/* RPS of the link in a namespace, as tuning sets it. */
static struct undo_entry *steering(const struct world *w, struct undo_list *list, int ns)
{
	struct undo_entry *entry = undo_entry_add(&w->host, list, "link-rps", "netns-file-mask",
		"/sys/class/net/" LINK "/queues/rx-0/rps_cpus");

	entry->netns_fd = dup(ns);
	undo_entry_values(entry, "1", "0");
	return entry;
}

static void tune_and_die(struct world *w)
{
	struct undo_list *lent = mem_alloc(sizeof(*lent)), *tuned = mem_alloc(sizeof(*tuned));
	struct err e = ERR_INIT;
	int ns = net_namespace_create(&e);

	if (ns < 0 || borrow(w, lent, ns, &e) < 0)
		_exit(1);
	struct undo_entry *entry = steering(w, tuned, ns);
	entry->detail = str_format("%s/held", w->folder);
	if (undo_journal_begin(&w->host, tuned, 0, &e) == 0 && undo_entry_apply(&w->host, entry, &e) == 0)
		kill(getpid(), SIGKILL);
	fprintf(stderr, "cannot tune: %s\n", e.text);
	_exit(1);
}

static void what_tuning_set_of_a_lent_link_is_put_back_before_it_goes_home(void **state)
{
	struct undo_list *list = mem_alloc(sizeof(*list));
	AUTO(buf_free) struct buf said = {0};
	AUTO_FREE char *now = NULL;
	struct err e = ERR_INIT;
	struct world w;
	int status = 0;

	(void)state;
	need_root();
	world_make(&w);
	struct undo_entry *entry = steering(&w, list, w.d.home);
	ok(entry->row->write(&w.host, entry, "1", &e));
	pid_t pid = fork();
	if (pid == 0)
		tune_and_die(&w);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	revert(&w, &said);
	ok(entry->row->read(&w.host, entry, &now, &e));
	if (!undo_same(FORMAT_MASK, now, "1"))
		fail_msg("RPS is '%s', and was '1':\n%s", now, said.data);
	assert_nothing_owed(&w);
	undo_list_free(list);
	world_end(&w);
}

static void what_somebody_has_set_since_is_left(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	AUTO_FREE char *now = NULL;
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	world_make(&w);
	/* The namespace is held, and the addresses are taken. */
	assert_false(borrow_and_die(&w, 3));
	ok(net_property_get(w.d.home, LINK, "addresses", &now, &e));
	assert_string_equal(now, "");
	ok(net_address_add(w.d.home, LINK, "10.1.1.1", 24, &e));
	revert(&w, &said);
	free(steal_ptr(&now));
	ok(net_property_get(w.d.home, LINK, "addresses", &now, &e));
	assert_string_equal(now, "10.1.1.1/24");
	assert_non_null(strstr(said.data, "left addresses of " LINK));
	world_end(&w);
}

static void a_link_that_was_deleted_is_owed_no_more(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	world_make(&w);
	assert_true(borrow_and_die(&w, -1));
	ok(net_link_delete(w.d.home, PEER, &e)); /* and with it the other end */
	revert(&w, &said);
	assert_non_null(strstr(said.data, "nothing to put back"));
	assert_nothing_owed(&w);
	world_end(&w);
}

/* --- a device that loses its driver ------------------------------------------------------------ */

/* The driver makes a link with its defaults. */
static void driver_makes_link(void)
{
	sh("ip link add " LINK
	   " numrxqueues 4 numtxqueues 4 address 02:11:22:33:44:55 type veth peer name " PEER
	   " numrxqueues 4 numtxqueues 4");
}

static void a_device_that_lost_its_driver_has_its_settings_again(void **state)
{
	static const struct {
		const char *word, *value;
	} rows[] = {{"channels", "rx=2 tx=3"}, {"queue-length", "77"}, {"mtu", "1400"}, {"up", "up"},
		{"addresses", "10.9.0.1/24,metric=7"}};
	struct undo_list *list = mem_alloc(sizeof(*list));
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	world_make(&w);
	ok(net_link_delete(w.d.home, LINK, &e));
	driver_makes_link();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(net_property_set(w.d.home, LINK, rows[i].word, rows[i].value, &e));
	ok(device_find(&w.d, LINK, &w.device, &e));
	const struct loan loan = {.device = &w.device};
	ok(borrow_link(&w.d, list, &loan, &e));
	ok(borrow_take(&w.d, list, 0, &e));
	ok(net_link_delete(w.d.home, LINK, &e));
	driver_makes_link();
	ok(borrow_return(&w.host, list, &e));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *now = NULL;
		ok(net_property_get(w.d.home, LINK, rows[i].word, &now, &e));
		if (strcmp(now, rows[i].value) != 0)
			fail_msg("%s: '%s', and was '%s'", rows[i].word, now, rows[i].value);
	}
	world_end(&w);
}

/* A device that is to lose its driver is taken. */
static void take_and_die(struct world *w)
{
	struct undo_list *list = mem_alloc(sizeof(*list));
	const struct loan loan = {.device = &w->device};
	struct err e = ERR_INIT;

	if (borrow_link(&w->d, list, &loan, &e) == 0 && borrow_take(&w->d, list, 0, &e) == 0)
		kill(getpid(), SIGKILL);
	fprintf(stderr, "cannot borrow: %s\n", e.text);
	_exit(1);
}

static void what_a_driver_no_longer_takes_is_left_and_named(void **state)
{
	AUTO(buf_free) struct buf said = {0};
	struct err e = ERR_INIT;
	struct world w;
	int status = 0;

	(void)state;
	need_root();
	world_make(&w);
	ok(net_link_delete(w.d.home, LINK, &e));
	driver_makes_link();
	ok(net_property_set(w.d.home, LINK, "queue-length", "77", &e));
	ok(device_find(&w.d, LINK, &w.device, &e));
	pid_t pid = fork();
	if (pid == 0)
		take_and_die(&w);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	ok(net_link_delete(w.d.home, LINK, &e));
	driver_makes_link();
	w.refuse = "queue-length";
	revert(&w, &said);
	if (!strstr(said.data, "left queue-length of lent0") || !strstr(said.data, "does not take '77'"))
		fail_msg("said:\n%s", said.data);
	assert_nothing_owed(&w);
	world_end(&w);
}

/* --- refusals ---------------------------------------------------------------------------------- */

static void assert_refused(const struct world *w, const char *text)
{
	struct err e = ERR_INIT;

	assert_true(device_free(&w->d, &w->device, &e) < 0);
	assert_string_equal(e.text, text);
	assert_int_equal(e.exit, EXIT_REFUSED);
}

/* A connection of the machine with itself, by an address of the link. */
static void connection_make(int fds[3])
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);

	inet_pton(AF_INET, "10.9.0.1", &at.sin_addr);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fds[0], (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(fds[0], 1), 0);
	assert_int_equal(getsockname(fds[0], (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(fds[1], (struct sockaddr *)&at, len), 0);
	fds[2] = accept4(fds[0], NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[2] >= 0);
}

static void a_link_in_use_is_not_borrowed(void **state)
{
	struct err e = ERR_INIT;
	struct world w;
	int fds[3];

	(void)state;
	need_root();
	world_make(&w);
	ok(net_link_up(w.d.home, "lo", &e));
	ok(device_free(&w.d, &w.device, &e));
	sh("ip route add 10.77.0.0/16 via 10.9.0.2");
	ok(device_open_to_all(&w.d, &w.device, &e));
	sh("ip route del 10.77.0.0/16");
	const struct net_parent on = {w.d.home, LINK};
	ok(net_macvlan_create(&on, w.d.home, "above", 0, &e));
	assert_refused(&w, "cannot borrow device " LINK ": above stands on it");
	ok(net_link_delete(w.d.home, "above", &e));
	connection_make(fds);
	assert_refused(&w, "cannot borrow device " LINK
			   ": a connection of 10.9.0.1 goes over it; your own login may be one");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	inet_pton(AF_INET, "10.9.0.1", &to.sin_addr);
	fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&to, sizeof(to)), 0);
	assert_refused(&w, "cannot borrow device " LINK
			   ": a connection of 10.9.0.1 goes over it; your own login may be one");
	close(fds[0]);
	setenv("SSH_CONNECTION", "10.9.0.2 50000 fd00:9::1 22", 1);
	assert_refused(&w, "cannot borrow device " LINK
			   ": a connection of fd00:9::1 goes over it; your own login may be one");
	unsetenv("SSH_CONNECTION");
	ok(net_bridge_create(w.d.home, "between", 0, &e));
	ok(net_bridge_add(w.d.home, "between", LINK, &e));
	assert_refused(&w, "cannot borrow device " LINK ": " LINK " is a port of between");
	world_end(&w);
}

/* What somebody has set that hangs on the link, and would not come back with it. */
static void what_would_not_come_back_is_a_refusal(void **state)
{
	static const struct {
		const char *what; /* behind "add" and "del" */
		const char *tool, *why;
	} rows[] = {
		{"default via 10.9.0.2", "ip route", "the default route leads over " LINK},
		{"10.77.0.0/16 via 10.9.0.2", "ip route", "a route to 10.77.0.0/16 leads over " LINK},
		{"local 10.66.0.0/16 dev " LINK " table local", "ip route",
			"a route to 10.66.0.0/16 leads over " LINK},
		/* Its address has noprefixroute, so the kernel did not make it, and will not. */
		{"10.8.0.0/16 dev " LINK " proto kernel scope link", "ip route",
			"a route to 10.8.0.0/16 leads over " LINK},
		{"10.9.0.9 lladdr 02:00:00:00:00:09 dev " LINK " nud permanent", "ip neigh",
			"a neighbour of yours, 10.9.0.9, is set on " LINK},
		{"fd00:9::9 lladdr 02:00:00:00:00:09 dev " LINK " nud permanent", "ip neigh",
			"a neighbour of yours, fd00:9::9, is set on " LINK},
		{"proxy 10.9.0.10 dev " LINK, "ip neigh", "a neighbour of yours, 10.9.0.10, is set on " LINK},
		{"dev " LINK " clsact", "tc qdisc", "its queueing discipline clsact would not come back"},
		{"dev " LINK " ingress", "tc qdisc", "its queueing discipline ingress would not come back"},
		{"dev " LINK " root mq", "tc qdisc", "its queueing discipline mq would not come back"},
		{"dev " LINK " root pfifo limit 7", "tc qdisc",
			"its queueing discipline pfifo would not come back"},
	};
	struct err e = ERR_INIT;
	struct world w;

	(void)state;
	need_root();
	world_make(&w);
	ok(device_free(&w.d, &w.device, &e));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *add = str_format("%s add %s", rows[i].tool, rows[i].what);
		AUTO_FREE char *del = str_format("%s del %s", rows[i].tool, rows[i].what);
		AUTO_FREE char *why = str_format("cannot borrow device " LINK ": %s", rows[i].why);
		sh(add);
		assert_refused(&w, why);
		sh(del);
		ok(device_free(&w.d, &w.device, &e));
	}
	world_end(&w);
}

static void a_cable_needs_two_ends_that_carry(void **state)
{
	struct err e = ERR_INIT;
	struct device peer;
	struct world w;

	(void)state;
	need_root();
	world_make(&w);
	ok(device_find(&w.d, PEER, &peer, &e));
	ok(device_pair(&w.d, &w.device, &peer, &e));
	assert_int_equal(device_pair(&w.d, &peer, &peer, &e), -EINVAL);
	assert_string_equal(e.text, "cannot borrow " PEER " for both ends: a cable has two");
	e = ERR_INIT;
	ok(net_property_set(w.d.home, PEER, "up", "down", &e));
	ok(device_pair(&w.d, &w.device, &peer, &e)); /* which cannot be told yet */
	ok(net_veth_create(w.d.home, "more0", w.d.home, "more1", 0, &e));
	ok(net_property_set(w.d.home, "more1", "up", "down", &e));
	ok(net_property_set(w.d.home, PEER, "up", "up", &e));
	ok(device_find(&w.d, "more0", &peer, &e));
	assert_true(device_pair(&w.d, &w.device, &peer, &e) < 0);
	assert_string_equal(e.text,
		"cannot borrow device more0: it has no carrier: no cable is in it, or the other end is off");
	e = ERR_INIT;
	assert_int_equal(device_find(&w.d, "none0", &peer, &e), -ENODEV);
	assert_string_equal(e.text, "cannot borrow device none0: cannot find link none0: No such device");
	e = ERR_INIT;
	assert_int_equal(device_find(&w.d, "lo", &peer, &e), -EAFNOSUPPORT);
	assert_string_equal(e.text, "cannot borrow device lo: lo has no MAC address");
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_borrowed_link_comes_back_as_it_was),
		cmocka_unit_test(an_address_has_what_is_left_of_its_lifetime),
		cmocka_unit_test(a_borrower_killed_at_any_change_owes_nothing_after_a_revert),
		cmocka_unit_test(a_link_that_was_renamed_is_found_and_named_again),
		cmocka_unit_test(a_link_whose_name_is_taken_comes_home_and_waits_for_it),
		cmocka_unit_test(a_link_that_cannot_come_home_keeps_its_namespace),
		cmocka_unit_test(links_of_the_kernels_own_keep_no_namespace),
		cmocka_unit_test(what_tuning_set_of_a_lent_link_is_put_back_before_it_goes_home),
		cmocka_unit_test(what_somebody_has_set_since_is_left),
		cmocka_unit_test(a_link_that_was_deleted_is_owed_no_more),
		cmocka_unit_test(a_device_that_lost_its_driver_has_its_settings_again),
		cmocka_unit_test(what_a_driver_no_longer_takes_is_left_and_named),
		cmocka_unit_test(a_link_in_use_is_not_borrowed),
		cmocka_unit_test(what_would_not_come_back_is_a_refusal),
		cmocka_unit_test(a_cable_needs_two_ends_that_carry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
