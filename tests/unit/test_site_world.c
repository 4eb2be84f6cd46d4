/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_site_world.h"
#include "test_keep.h"

#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>

static char world[] = "/tmp/taut-site-XXXXXX";
static char skip_reason[1024];

void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' has no '%s' in it", text, part);
}

/* --- the machine ------------------------------------------------------------------------------- */

char *world_path(const char *name)
{
	return str_format("%s/%s", world, name);
}

/* A cache of our own with the machine's kernels, so that the machine's images stay as they are. */
static void cache_make(void)
{
	AUTO_FREE char *cache = world_path("cache"), *kernels = world_path("cache/kernels"),
		       *state = world_path("state");

	setenv("TAUT_STATE", state, 1);
	if (getenv("TAUT_CACHE") || mkdir(cache, 0755) < 0 || symlink("/var/cache/taut/kernels", kernels) < 0)
		return;
	setenv("TAUT_CACHE", cache, 1);
}

int world_run(int (*group)(void))
{
	struct err e = ERR_INIT;

	keep_real(world);
	cache_make();
	if ((!is_privileged() && userns_enter(&e) < 0) || unshare(CLONE_NEWNET) < 0)
		snprintf(skip_reason, sizeof(skip_reason), "%s", e.code ? e.text : "no network namespaces");
	int failed = group();
	tree_remove(world, ERR_IGNORED);
	return failed;
}

void world_lacks(const char *need, const char *what, const char *reason)
{
	const char *must = getenv("TAUT_MUST");

	if (must && strstr(must, need))
		fail_msg("%s: %s", what, reason);
	print_message("# skipped: %s: %s\n", what, reason);
}

/* A program without an interpreter is static. */
bool world_boots(void)
{
	AUTO_FREE char *data = NULL;
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	const char *agent = getenv("TAUT_AGENT");
	size_t len = 0;

	if (!agent || root_read_all(root, agent, &data, &len, ERR_IGNORED) < 0 || len < sizeof(Elf64_Ehdr))
		return false;
	Elf64_Ehdr head;
	memcpy(&head, data, sizeof(head));
	for (size_t i = 0; i < head.e_phnum; i++) {
		Elf64_Phdr part;
		memcpy(&part, data + head.e_phoff + i * sizeof(part), sizeof(part));
		if (part.p_type == PT_INTERP)
			return false;
	}
	return true;
}

/* --- trials ------------------------------------------------------------------------------------ */

void words_set(struct settings *s, const char *words)
{
	AUTO_FREE char *copy = str_dup(words);
	struct err e = ERR_INIT;

	settings_init(s);
	for (char *save = NULL, *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		char *value = strchr(word, '=');
		assert_non_null(value);
		*value = 0;
		ok(setting_set(s, word, value + 1, &e));
	}
}

struct site *site_new(void)
{
	const struct site_options options = {.yes = true};
	struct site *site = NULL;
	struct err e = ERR_INIT;

	ok(site_open(&site, &options, &e));
	return site;
}

static bool boots(const struct trial_plan *plan)
{
	return plan->site == SITE_LAB || plan_target(plan)->machine;
}

/* The word of TAUT_MUST without which a trial may be skipped. */
static const char *need_of(const struct trial_plan *plan)
{
	char path[512];

	if (boots(plan))
		return program_find("qemu-system-x86_64", path, sizeof(path)) ? "kernels" : "qemu";
	return strcmp(plan->settings.runtime, "oci") ? "netns" : "oci";
}

bool trial_ask(struct trial *t, struct site *site, const char *words)
{
	struct settings s;
	struct err e = ERR_INIT;
	char reason[1024] = "";
	bool privilege;

	*t = (struct trial){.site = site};
	words_set(&s, words);
	ok(site_check(site, &s, &e));
	enum target_answer answer = site_resolve(site, &s, &t->plan, reason, sizeof(reason), &privilege);
	if (boots(&t->plan) && !world_boots()) {
		print_message("# skipped: %s: the agent of this build is not static\n", words);
		return false;
	}
	if (answer == TARGET_YES && !skip_reason[0]) {
		t->record = trial_record_new();
		return true;
	}
	world_lacks(need_of(&t->plan), words, skip_reason[0] ? skip_reason : reason);
	return false;
}

void trial_run(struct trial *t)
{
	t->e = ERR_INIT;
	t->rc = site_trial(t->site, &t->plan, t->record, &t->e);
	if (t->plan.site == SITE_LOCAL && !t->plan.noise && !t->plan.settings.share[0])
		assert_nothing_marked(getpid());
}

void trial_end(struct trial *t)
{
	trial_record_free(t->record);
	t->record = NULL;
}

void assert_done(const struct trial *t)
{
	const struct trial_record *r = t->record;

	if (t->rc < 0 || r->outcome != TRIAL_DONE)
		fail_msg("%s on %s: %d (%s), outcome %d (%s)\n%s", t->plan.settings.workload,
			t->plan.settings.site, t->rc, t->e.text, (int)r->outcome, r->reason, r->console);
	const struct endpoint_record *m = trial_measured(r);
	assert_true(m->transactions > 0 || m->bytes > 0);
	assert_int_equal(r->ends_n, 2);
}

/* --- Ctrl-C ------------------------------------------------------------------------------------ */

static void raise_stop(int signal)
{
	(void)signal;
	stop_flag = 1;
}

void stop_after(unsigned ms)
{
	const struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
	const struct sigaction action = {.sa_handler = raise_stop};

	sigaction(SIGALRM, &action, NULL);
	if (ms)
		setitimer(ITIMER_REAL, &timer, NULL);
	else
		stop_flag = 1;
}

void stop_never(void)
{
	const struct itimerval none = {0};

	setitimer(ITIMER_REAL, &none, NULL);
	stop_flag = 0;
}
