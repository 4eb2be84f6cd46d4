/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Emulated hosts.  One runs at a time.  It is booted for a group of trials (the cells of one arm in one
 * block, see site_group) and serves them one after another, so that a boot is a replicate; it ends with its
 * group, or with a trial that needs another kernel, or when one fails in a way that leaves it in doubt.
 *
 * A trial is sent as settings and comes back as a record, which is checked like everything that comes out of
 * a machine.  What the host inside cannot know is added: that it is emulated, by what, how long it booted.
 *
 * On the exact clock each trial is a boot of its own with the plan in the image, and the record is read when
 * the machine has switched itself off.
 */
#include "hosts.h"

#include "guest.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define BOOT_NS     (120 * NS_PER_S)
#define EXACT_NS    (900 * NS_PER_S)
#define TRIAL_NS    (900 * NS_PER_S) /* boots of guests inside included */
#define LOOK_NS     (200 * NS_PER_MS)
#define LATE_NS     (60 * NS_PER_S) /* how long a trial may take beyond its plan, on the host's own clock */
#define HOST_CPUS   2
#define HOST_MIB    1024
#define HOST_VM_MIB 1024 /* besides, where it hosts machines, and their own */
#define GUESTS_MAX  8

struct lab {
	struct machine *machine;
	int control; /* −1 on the exact clock */
	char folder[256];
	const char *boot;
	struct kernel kernel;
	struct kernel guests[GUESTS_MAX];
	size_t guests_n;
	unsigned parts;
	struct kernel_facts facts;
	bool doubtful;
};

void lab_stop(struct lab **slot)
{
	struct lab *lab = *slot;
	struct err e = ERR_INIT;

	*slot = NULL;
	if (!lab)
		return;
	machine_stop(lab->machine);
	if (lab->control >= 0)
		close(lab->control);
	if (lab->folder[0] && target_folder_remove(lab->folder, &e) < 0)
		log_warn("%s", e.text);
	free(lab);
}

/* --- what it must be able to do ---------------------------------------------------------------- */

static int lab_kernel(const struct settings *s, struct kernel *k, struct err *e)
{
	int rc = kernel_find(k, settings_lab(s), e);

	if (rc == 0 && k->configured && !k->can[KERNEL_CONTAINERS])
		return err_set(e, ENOTSUP,
			"kernel %s cannot hold containers: it lacks namespaces, veth or bridges", k->release);
	if (rc == 0 && target_of(s)->machine && k->configured && !k->can[KERNEL_KVM])
		return err_set(
			e, ENOTSUP, "kernel %s cannot host virtual machines: it has no KVM", k->release);
	if (rc == 0 && !strcmp(s->path, "vhost") && k->configured && !k->can[KERNEL_VHOST])
		return err_set(e, ENOTSUP, "kernel %s has no vhost-net", k->release);
	return rc;
}

int lab_possible(const struct settings *s, struct err *e)
{
	struct kernel k;
	struct qemu q;
	char agent[4096], reason[512];
	int rc = qemu_find(&q, e);

	if (rc == 0)
		rc = lab_kernel(s, &k, e);
	if (rc == 0 && target_of(s)->machine)
		rc = kernel_find(&k, s->kernel, e);
	if (rc == 0)
		rc = target_agent(agent, sizeof(agent), e);
	if (rc == 0 && !noise_possible(s->noise, reason, sizeof(reason)))
		rc = err_set(e, ENOENT, "%s", reason);
	return rc;
}

static unsigned parts_of(const struct settings *s)
{
	return (target_of(s)->machine ? IMAGE_VM : 0u) | (strcmp(s->noise, "none") ? IMAGE_NOISE : 0u);
}

/* Builds of one's own may share a release. */
static bool same_kernel(const struct kernel *a, const struct kernel *b)
{
	return !strcmp(a->release, b->release) && !strcmp(a->version, b->version) &&
	       !strcmp(a->path, b->path);
}

static const struct kernel *guest_of_release(const struct lab *lab, const char *release)
{
	for (size_t i = 0; i < lab->guests_n; i++)
		if (!strcmp(lab->guests[i].release, release))
			return &lab->guests[i];
	return NULL;
}

static bool has_guest(const struct lab *lab, const struct kernel *k)
{
	const struct kernel *there = guest_of_release(lab, k->release);

	return there && same_kernel(there, k);
}

static int lab_add(struct lab *lab, const struct settings *s, struct err *e)
{
	struct kernel k;
	int rc;

	lab->parts |= parts_of(s);
	if (!target_of(s)->machine)
		return 0;
	if ((rc = kernel_find(&k, s->kernel, e)) < 0 || has_guest(lab, &k))
		return rc;
	const struct kernel *other = guest_of_release(lab, k.release);
	if (other)
		return err_set(e, ENOTSUP,
			"cannot give one emulated host both %s and %s as guest kernels: both call themselves %s",
			other->path, k.path, k.release);
	if (lab->guests_n == GUESTS_MAX)
		return err_set(
			e, E2BIG, "cannot give one emulated host more than %d guest kernels", GUESTS_MAX);
	lab->guests[lab->guests_n++] = k;
	return 0;
}

static bool same_boot(const struct settings *a, const struct settings *b)
{
	return !strcmp(a->site, b->site) && !strcmp(a->host_boot, b->host_boot) &&
	       !strcmp(a->clock, b->clock);
}

/* Can the host that runs carry out this trial? */
static bool lab_serves(const struct lab *lab, const struct settings *s)
{
	struct kernel host, guest;

	if (!lab || lab->doubtful || lab->control < 0 || settings_exact(s) ||
		strcmp(lab->boot, s->host_boot) || (parts_of(s) & ~lab->parts) ||
		kernel_find(&host, settings_lab(s), NULL) < 0 || !same_kernel(&host, &lab->kernel))
		return false;
	return !target_of(s)->machine ||
	       (kernel_find(&guest, s->kernel, NULL) == 0 && has_guest(lab, &guest));
}

/* --- boot -------------------------------------------------------------------------------------- */

/* What the host inside is given: itself is local there, and kernels have one name. */
static int inner_settings(const struct settings *s, struct settings *inner, struct err *e)
{
	struct kernel k;
	int rc;

	*inner = *s;
	inner->site = "local";
	inner->clock = "real";
	inner->host_boot = "";
	if (!target_of(s)->machine)
		return 0;
	if ((rc = kernel_find(&k, s->kernel, e)) < 0)
		return rc;
	inner->kernel = str_keep(k.release);
	return 0;
}

static int lab_document(const struct settings *s, json_t **out, struct err *e)
{
	struct settings inner;
	int rc = inner_settings(s, &inner, e);

	if (rc < 0)
		return rc;
	*out = json_pack("{s:s, s:b}", "role", settings_exact(s) ? "exact" : "host", "emulated", 1);
	if (settings_exact(s))
		json_object_set_new(*out, "plan", json_pack("{s:o}", "settings", settings_json(&inner)));
	return 0;
}

static unsigned lab_memory(const struct site *site, const struct lab *lab, const struct settings *s)
{
	uint64_t guest = target_of(s)->machine ? s->memory_bytes : 0;

	for (size_t i = 0; i < site->group_n; i++)
		if (target_of(site->group[i])->machine)
			guest = MAX(guest, site->group[i]->memory_bytes);
	return HOST_MIB + (lab->parts & IMAGE_VM ? HOST_VM_MIB : 0u) + (unsigned)(guest >> 20);
}

static int lab_launch(
	const struct site *site, struct lab *lab, const struct settings *s, int theirs, struct err *e)
{
	char agent[4096], image[1024];
	json_t *document = NULL;
	int rc = target_agent(agent, sizeof(agent), e);

	if (rc == 0)
		rc = image_host(
			&lab->kernel, agent, lab->parts, lab->guests, lab->guests_n, image, sizeof(image), e);
	if (rc == 0)
		rc = lab_document(s, &document, e);
	if (rc == 0) {
		const struct machine_options o = {.kernel = &lab->kernel,
			.image = image,
			.append = s->host_boot,
			.document = document,
			.mark = target_mark(),
			.folder = lab->folder,
			.control = theirs,
			.accel = ACCEL_TCG,
			.host = true,
			.exact = settings_exact(s),
			.cpus = HOST_CPUS,
			.memory_mib = lab_memory(site, lab, s)};
		rc = machine_start(&lab->machine, &o, e);
	}
	json_decref(document);
	return rc;
}

/* Until the control stream has something to read; an error says how the machine fared. */
static int lab_wait(struct lab *lab, uint64_t deadline_ns, struct err *e)
{
	char how[512];

	for (;;) {
		struct pollfd p = {.fd = lab->control, .events = POLLIN};
		uint64_t now = time_now_ns();
		if (stop_flag)
			return err_set(e, EINTR, "interrupted");
		if (poll(&p, 1, (int)(LOOK_NS / NS_PER_MS)) > 0 && (p.revents & POLLIN))
			return 0;
		bool ended = machine_ended(lab->machine, false, how, sizeof(how));
		if (ended || now >= deadline_ns)
			return err_set(e, ended ? ECHILD : ETIMEDOUT, "%s%s%s",
				ended ? "" : "it did not answer in time", !ended && *how ? ": " : "", how);
	}
}

static int lab_hear(struct lab *lab, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e)
{
	char how[512];
	int rc = lab_wait(lab, deadline_ns, e);

	if (rc == 0)
		rc = frame_expect(lab->control, type, body, deadline_ns, e);
	if (rc == -EPIPE && machine_ended(lab->machine, true, how, sizeof(how)))
		return err_set(e, ECHILD, "%s", how);
	return rc;
}

static int lab_greet(struct lab *lab, struct err *e)
{
	json_t *hello = NULL;
	int rc = lab_hear(lab, FRAME_HELLO, &hello, time_now_ns() + boot_patience_ns(BOOT_NS), e);

	if (rc == 0)
		rc = frame_hello_read(hello, &lab->facts, e);
	lab->facts.boot_ns = time_now_ns() - machine_started_ns(lab->machine);
	json_decref(hello);
	return rc < 0 ? err_wrap(e, "cannot boot an emulated host with kernel %s", lab->kernel.release) : 0;
}

static int lab_boot(struct site *site, struct lab *lab, const struct settings *s, struct err *e)
{
	int ends[2] = {-1, -1}, rc = lab_kernel(s, &lab->kernel, e);
	struct qemu q;

	lab->boot = s->host_boot;
	if (rc == 0)
		rc = lab_add(lab, s, e);
	for (size_t i = 0; rc == 0 && !settings_exact(s) && i < site->group_n; i++)
		if (same_boot(site->group[i], s))
			rc = lab_add(lab, site->group[i], e);
	if (rc == 0)
		rc = qemu_find(&q, e);
	if (rc == 0)
		rc = target_folder_make(lab->folder, sizeof(lab->folder), e);
	if (rc == 0 && !settings_exact(s) && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		rc = err_sys(e, "cannot make a control stream");
	if (rc < 0)
		return rc;
	lab->control = ends[0];
	snprintf(lab->facts.program, sizeof(lab->facts.program), "QEMU %s", q.version);
	str_copy(lab->facts.accel, sizeof(lab->facts.accel), accel_name(ACCEL_TCG));
	rc = lab_launch(site, lab, s, ends[1], e);
	if (ends[1] >= 0)
		close(ends[1]);
	return rc < 0 || settings_exact(s) ? rc : lab_greet(lab, e);
}

/* --- a trial ----------------------------------------------------------------------------------- */

/* Completes the record by what only this side knows. */
static void lab_sign(const struct lab *lab, const struct settings *s, struct trial_record *record)
{
	struct kernel_facts *host = &record->host;

	record->settings = *s;
	if (record->outcome == TRIAL_FAILED && !record->console[0])
		machine_console(lab->machine, record->console, sizeof(record->console));
	str_copy(host->accel, sizeof(host->accel), lab->facts.accel);
	str_copy(host->program, sizeof(host->program), lab->facts.program);
	host->boot_ns = lab->facts.boot_ns;
	host->init_ns = lab->facts.init_ns;
	host->ready_ns = lab->facts.ready_ns;
}

/*
 * Can it be true?  Knobs are taken over text by text, as those of a guest are; each end of a trial that was
 * done is held against its plan.  The clock of the host need not run like ours (on the exact clock it does
 * not at all), so the time that there was is what the plan allows.
 */
static int record_check(struct trial_record *record, const struct settings *s, struct err *e)
{
	uint64_t most = s->warmup_ns + MAX(s->duration_ns, s->max_duration_ns) + 2 * s->timeout_ns + LATE_NS;

	int rc = host_knobs_read(&record->knobs, e);
	if (rc < 0) {
		json_decref(record->knobs);
		record->knobs = json_array();
	}
	for (int server = 0; server < 2; server++) {
		struct endpoint_record *end = server ? &record->server : &record->client;
		struct err why = ERR_INIT;

		if (endpoint_record_check(end, s, server, most, &why) == 0)
			continue;
		*end = (struct endpoint_record){0}; /* what cannot be true is not kept */
		if (rc == 0 && record->outcome == TRIAL_DONE) {
			err_wrap(&why, server ? "server endpoint" : "client endpoint");
			rc = -why.code;
			if (e)
				*e = why;
		}
	}
	return rc;
}

static int lab_ask(struct lab *lab, const struct settings *s, struct trial_record *record, struct err *e)
{
	struct settings inner;
	json_t *body = NULL;
	uint64_t deadline = time_now_ns() + s->warmup_ns + MAX(s->duration_ns, s->max_duration_ns) + TRIAL_NS;
	int rc = inner_settings(s, &inner, e);

	if (rc == 0)
		rc = frame_send(lab->control, FRAME_TRIAL,
			json_pack("{s:o}", "settings", settings_json(&inner)), deadline, e);
	if (rc == 0)
		rc = lab_hear(lab, FRAME_TRIAL_RECORD, &body, deadline, e);
	if (rc == 0)
		rc = trial_record_from_json(record, body, e);
	if (rc == 0)
		rc = record_check(record, s, e);
	json_decref(body);
	return rc < 0 ? err_wrap(e, "emulated host") : 0;
}

/* The machine runs by itself to its end; the record is what it left. */
static int lab_reap(struct lab *lab, const struct settings *s, struct trial_record *record, struct err *e)
{
	json_t *hello = NULL, *body = NULL;
	char how[512];
	int rc = machine_wait(lab->machine, time_now_ns() + EXACT_NS, e);

	if (rc == 0)
		rc = err_set(e, ETIMEDOUT, "it did not end in time");
	if (rc < 0)
		return rc;
	int fd = machine_record(lab->machine);
	uint64_t soon = time_now_ns() + NS_PER_S;
	rc = frame_expect(fd, FRAME_HELLO, &hello, soon, e);
	if (rc == 0)
		rc = frame_hello_read(hello, &lab->facts, e);
	if (rc == 0)
		rc = frame_expect(fd, FRAME_TRIAL_RECORD, &body, soon, e);
	if (rc == 0)
		rc = trial_record_from_json(record, body, e);
	if (rc == 0)
		rc = record_check(record, s, e);
	json_decref(hello);
	json_decref(body);
	if (rc == -EPIPE && machine_ended(lab->machine, true, how, sizeof(how)))
		err_set(e, ECHILD, "it left no record: %s", how);
	return rc < 0 ? err_wrap(e, "exact clock") : 0;
}

static int carry_out(struct site *site, const struct settings *s, struct trial_record *record, struct err *e)
{
	int rc = 0;

	if (!lab_serves(site->lab, s)) {
		lab_stop(&site->lab);
		site->lab = mem_alloc(sizeof(*site->lab));
		site->lab->control = -1;
		site->lab->boot = "";
		rc = lab_boot(site, site->lab, s, e);
	}
	if (rc == 0)
		rc = settings_exact(s) ? lab_reap(site->lab, s, record, e) : lab_ask(site->lab, s, record, e);
	if (rc == 0)
		lab_sign(site->lab, s, record);
	return rc;
}

int lab_trial(struct site *site, const struct settings *settings, struct trial_record *record, struct err *e)
{
	struct err why = ERR_INIT;
	char text[1024];
	uint64_t begin = time_now_ns(), wall = time_wall_ns();
	int rc = carry_out(site, settings, record, &why);

	record->wall_started_ns = wall;
	record->duration_ns = time_now_ns() - begin;
	if (rc < 0) {
		record->settings = *settings;
		record->outcome = TRIAL_FAILED;
		record->verified = false; /* what was read before it went wrong is nothing to go by */
		record->client = record->server = (struct endpoint_record){0};
		snprintf(record->reason, sizeof(record->reason), "%s", err_string(&why, text, sizeof(text)));
		if (site->lab && site->lab->machine)
			machine_console(site->lab->machine, record->console, sizeof(record->console));
		log_debug("console of the emulated host: %s", record->console);
		if (site->lab)
			site->lab->doubtful = true;
	}
	if (settings_exact(settings) || (site->lab && site->lab->doubtful))
		lab_stop(&site->lab);
	if (rc == -EINTR || stop_flag)
		return err_set(e, EINTR, "interrupted");
	if (rc < 0 && (why.exit == EXIT_USAGE || why.code == ENOSPC)) {
		*e = why;
		return rc;
	}
	return 0;
}
