/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditions: what is read back besides the knobs, and when it does not hold. */
#include "net/net.h"
#include "site/watch.h"
#include "sys/sys.h"
#include "wire/record.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

static void a_text_has_each_value_once(void **unused)
{
	char text[CONDITION_TEXT] = "";

	(void)unused;
	condition_value(text, "other");
	condition_value(text, "fifo:10");
	condition_value(text, "other");
	condition_value(text, "fifo:1");
	condition_value(text, "fifo:10");
	condition_value(text, "0,2");
	condition_value(text, "0,2");
	assert_string_equal(text, "other, fifo:10, fifo:1, 0,2");
	for (size_t i = 0; i < 100; i++) {
		char value[8];
		snprintf(value, sizeof(value), "%zu", i);
		condition_value(text, value);
	}
	assert_true(strlen(text) < CONDITION_TEXT);
}

static void a_change_behind_the_room_of_a_text_is_seen(void **unused)
{
	struct conditions c = {0};

	(void)unused;
	for (int cpu = 0; cpu < 64; cpu++) {
		char before[8], after[8];
		snprintf(before, sizeof(before), "%d", cpu);
		snprintf(after, sizeof(after), "%d", cpu == 63 ? 0 : cpu);
		condition_add(&c, CONDITION_CPUS, "vcpu", before, before);
		condition_add(&c, CONDITION_CPUS, "vhost", before, after);
	}
	assert_string_equal(c.at[0].before, c.at[0].after);
	assert_string_equal(c.at[1].before, c.at[0].before);
	assert_string_not_equal(c.at[1].before, c.at[1].after);
	cpus even;
	char list[2][CPUS_TEXT];
	CPU_ZERO(&even);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu += 2)
		CPU_SET(cpu, &even);
	cpus_format_list(&even, list[0], sizeof(list[0]));
	assert_non_null(strstr(list[0], ",1022"));
	CPU_CLR(1022, &even);
	cpus_format_list(&even, list[1], sizeof(list[1]));
	condition_add(&c, CONDITION_CPUS, "client", list[0], list[1]);
	assert_string_not_equal(c.at[2].before, c.at[2].after);
}

static struct settings settings_with(const char *key, const char *value)
{
	struct err e = ERR_INIT;
	struct settings s;

	settings_init(&s);
	assert_int_equal(setting_set(&s, "workload", "tcp_rr", &e), 0);
	assert_int_equal(setting_set(&s, key, value, &e), 0);
	assert_int_equal(settings_check(&s, &e), 0);
	return s;
}

static void a_condition_holds_when_it_is_as_asked_and_stays_so(void **unused)
{
	static const struct {
		const char *key, *value;
		struct condition c;
		bool holds;
	} rows[] = {
		{"sched", "fifo:10", {CONDITION_SCHED, "client", "fifo:10", "fifo:10"}, true},
		{"sched", "fifo:10", {CONDITION_SCHED, "server", "other", "other"}, false},
		{"sched", "", {CONDITION_SCHED, "client", "other", "fifo:10"}, false},
		{"sched", "fifo:10", {CONDITION_SCHED, "vcpu", "other", "other"}, true},
		{"client_cpu", "0", {CONDITION_CPUS, "client", "0-1", "0-1"}, false},
		{"client_cpu", "0", {CONDITION_CPUS, "client", "0", "0"}, true},
		{"client_cpu", "0", {CONDITION_CPUS, "server", "0-1", "0-1"}, true},
		{"client_cpu", "0", {CONDITION_CPUS, "server", "0-1", "1"}, false},
		{"nodelay", "false", {CONDITION_NODELAY, "client", "on", "on"}, false},
		{"nodelay", "true", {CONDITION_NODELAY, "client", "on", "on"}, true},
		{"sched", "", {CONDITION_NICE, "client", "0", "0, 5"}, false},
		{"sched", "", {CONDITION_NICE, "client", "5", "5"}, true},
		{"sched", "", {CONDITION_MTU, "taut-client", "1500", "1400"}, false},
		{"mtu", "9000", {CONDITION_MTU, "taut-client", "1500", "1500"}, false},
		{"mtu", "9000", {CONDITION_MTU, "taut-client", "9000", "9000"}, true},
		{"congestion", "reno", {CONDITION_CONGESTION, "server", "cubic", "cubic"}, false},
		{"congestion", "reno", {CONDITION_CONGESTION, "server", "reno", "reno"}, true},
		{"congestion", "", {CONDITION_CONGESTION, "client", "cubic", "reno"}, false},
		{"ipv6", "yes", {CONDITION_IP_VERSION, "client", "IPv4", "IPv4"}, false},
		{"ipv6", "yes", {CONDITION_IP_VERSION, "client", "IPv6", "IPv6"}, true},
		{"ipv6", "no", {CONDITION_IP_VERSION, "client", "IPv6", "IPv6"}, true},
		{"sched", "", {CONDITION_SEND_BUFFER, "client", "16384", "87040"}, true},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings s = settings_with(rows[i].key, rows[i].value);

		if (condition_holds(&s, &rows[i].c) != rows[i].holds)
			fail_msg("row %zu: %s of %s, %s then %s", i, condition_rows[rows[i].c.kind].name,
				rows[i].c.object, rows[i].c.before, rows[i].c.after);
	}
}

static void conditions_come_back_from_json_as_they_were(void **unused)
{
	struct conditions a = {0}, b = {0};
	struct err e = ERR_INIT;

	(void)unused;
	for (int k = 0; k < CONDITION_KINDS; k++) {
		struct condition *c = conditions_of(&a, (enum condition_kind)k, "client");
		condition_value(c->before, "1");
		condition_value(c->after, "2");
	}
	json_t *array = conditions_json(&a), *one = json_array_get(array, 0);
	assert_int_equal(conditions_from_json(&b, array, READ_STREAM, &e), 0);
	assert_int_equal(b.n, CONDITION_KINDS);
	assert_memory_equal(&a, &b, sizeof(a));
	json_object_set_new(one, "what", json_string("of a later version"));
	assert_int_equal(conditions_from_json(&b, array, READ_ARCHIVE, &e), 0);
	assert_int_equal(b.n, CONDITION_KINDS - 1);
	assert_int_equal(conditions_from_json(&b, array, READ_STREAM, &e), -EINVAL);
	json_object_set_new(one, "what", json_string("sched"));
	json_object_set_new(one, "mood", json_string("calm"));
	assert_int_equal(conditions_from_json(&b, array, READ_STREAM, &e), -EINVAL);
	json_object_del(one, "mood");
	for (size_t i = 0; i < CONDITIONS_MAX; i++)
		json_array_append(array, one);
	assert_int_equal(conditions_from_json(&b, array, READ_STREAM, &e), -EINVAL);
	json_decref(array);
}

/* An end tells of its own threads; what the host sees of them counts when it changes. */
static void host_and_end_tell_of_the_same_object_once(void **unused)
{
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));

	(void)unused;
	r->ends[END_CLIENT].record.conditions = (struct conditions){
		2, {{CONDITION_NICE, "", "0", "0"}, {CONDITION_SCHED, "", "fifo:1", "fifo:1"}}};
	r->conditions =
		(struct conditions){3, {{CONDITION_NICE, "client", "0", "0, 7"},
					       {CONDITION_SCHED, "client", "other, fifo:1", "other, fifo:1"},
					       {CONDITION_NICE, "vcpu", "1", "1"}}};
	trial_conditions(r, all);
	assert_int_equal(all->n, 3);
	assert_string_equal(conditions_find(all, CONDITION_NICE, "client")->after, "0, 7");
	assert_string_equal(conditions_find(all, CONDITION_SCHED, "client")->before, "fifo:1");
	assert_string_equal(conditions_find(all, CONDITION_NICE, "vcpu")->before, "1");
}

/* A link that only the end sees is never taken for one of the host's, whatever the end calls it. */
static void the_link_inside_a_guest_is_told_beside_those_of_the_host(void **unused)
{
	static const char before[LINK_CONDITIONS][CONDITION_TEXT] = {"9000", "mq", "igbvf", "", "off", "gro"};
	static const char after[LINK_CONDITIONS][CONDITION_TEXT] = {
		"9000", "mq", "igbvf", "1000", "off", "gro"};
	AUTO(auto_trial_record) struct trial_record *r = trial_record_new();
	AUTO_FREE struct conditions *all = mem_alloc(sizeof(*all));
	struct settings nine = settings_with("mtu", "9000"), one = settings_with("mtu", "1500");
	struct conditions *told = &r->ends[END_SERVER].record.conditions;

	(void)unused;
	condition_add_link(told, "nic0", before, after);
	condition_add_link(told, "name-too-long-for-any-link-here", before, NULL);
	condition_add_link(&r->conditions, "nic0", before, before);
	trial_conditions(r, all);
	assert_int_equal(all->n, 6 + 1 + 5);
	const struct condition *mtu = conditions_find(all, CONDITION_MTU, "server nic0");
	assert_non_null(mtu);
	assert_true(condition_in_guest(mtu) && condition_holds(&nine, mtu) && !condition_holds(&one, mtu));
	assert_string_equal(conditions_find(all, CONDITION_DRIVER, "server nic0")->before, "igbvf");
	const struct condition *line = conditions_find(all, CONDITION_LINE_RATE, "server nic0");
	assert_string_equal(line->before, "unknown");
	assert_false(condition_holds(&nine, line));
	assert_null(conditions_find(all, CONDITION_QUEUES, "server nic0"));
	assert_string_equal(
		conditions_find(all, CONDITION_MTU, "server name-too-long-for-an")->after, "gone");
	assert_false(condition_in_guest(conditions_find(all, CONDITION_DRIVER, "nic0")));
}

static void a_thread_that_a_stranger_changes_is_seen(void **unused)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	AUTO_FREE struct conditions *c = mem_alloc(sizeof(*c));
	int nice = getpriority(PRIO_PROCESS, 0);
	struct task own;
	char text[2][16];

	(void)unused;
	assert_int_equal(task_read(root, getpid(), getpid(), &own, ERR_IGNORED), 0);
	assert_int_equal(own.nice, nice);
	subject->threads[0] = (struct subject_thread){ROLE_VCPU, getpid(), getpid(), own.start};
	subject->threads[1] =
		(struct subject_thread){ROLE_VHOST, getpid(), getpid(), own.start + 1}; /* gone */
	subject->threads_n = 2;
	watch_end(watch_begin(root, subject), c);
	assert_int_equal(c->n, 3);
	for (size_t i = 0; i < c->n; i++)
		assert_string_equal(c->at[i].before, c->at[i].after);
	struct watch *w = watch_begin(root, subject);
	assert_int_equal(setpriority(PRIO_PROCESS, 0, nice + 1), 0);
	*c = (struct conditions){0};
	watch_end(w, c);
	snprintf(text[0], sizeof(text[0]), "%d", nice);
	snprintf(text[1], sizeof(text[1]), "%d", nice + 1);
	assert_string_equal(conditions_find(c, CONDITION_NICE, "vcpu")->before, text[0]);
	assert_string_equal(conditions_find(c, CONDITION_NICE, "vcpu")->after, text[1]);
	assert_null(conditions_find(c, CONDITION_NICE, "vhost"));
}

static void take_device(const char *name, unsigned flags, unsigned mtu, const char *kind, void *arg)
{
	(void)flags;
	(void)mtu;
	if (!*kind && strcmp(name, "lo") != 0)
		str_copy(arg, 16, name);
}

static void the_facts_of_a_device_are_conditions(void **unused)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_CLOSE int ns = openat(root, "proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	AUTO_FREE struct subject *subject = mem_alloc(sizeof(*subject));
	AUTO_FREE struct conditions *c = mem_alloc(sizeof(*c));
	struct net_facts facts;

	(void)unused;
	subject->links[0].netns_fd = subject->links[1].netns_fd = ns;
	str_copy(subject->links[0].name, sizeof(subject->links[0].name), "lo");
	subject->links_n = 2;
	net_links_each(ns, take_device, subject->links[1].name, ERR_IGNORED);
	if (!subject->links[1].name[0]) {
		print_message("# skipped: this machine has no network device\n");
		return;
	}
	watch_end(watch_begin(root, subject), c);
	assert_non_null(conditions_find(c, CONDITION_MTU, "lo"));
	assert_null(conditions_find(c, CONDITION_QUEUES, "lo"));
	assert_int_equal(net_link_facts(ns, subject->links[1].name, &facts, ERR_IGNORED), 0);
	const struct condition *queues = conditions_find(c, CONDITION_QUEUES, subject->links[1].name);
	AUTO_FREE char *want = str_format("%u rx %u tx", facts.rx_queues, facts.tx_queues);
	assert_non_null(queues);
	assert_string_equal(queues->before, want);
	assert_string_equal(queues->after, want);
	assert_non_null(conditions_find(c, CONDITION_MODERATION, subject->links[1].name));
	assert_non_null(conditions_find(c, CONDITION_OFFLOADS, subject->links[1].name));
	assert_non_null(conditions_find(c, CONDITION_DRIVER, subject->links[1].name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_has_each_value_once),
		cmocka_unit_test(a_change_behind_the_room_of_a_text_is_seen),
		cmocka_unit_test(a_condition_holds_when_it_is_as_asked_and_stays_so),
		cmocka_unit_test(conditions_come_back_from_json_as_they_were),
		cmocka_unit_test(host_and_end_tell_of_the_same_object_once),
		cmocka_unit_test(the_link_inside_a_guest_is_told_beside_those_of_the_host),
		cmocka_unit_test(a_thread_that_a_stranger_changes_is_seen),
		cmocka_unit_test(the_facts_of_a_device_are_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
