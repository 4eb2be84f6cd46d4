/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One libFuzzer target for each parser of bytes that come from outside; FUZZ names it when this file is
 * compiled.  A target only has to survive: what is wrong must be refused, and what is accepted must come out
 * the same when it is written and read again.
 */
#include "boot/apt.h"
#include "boot/kernels.h"
#include "boot/machine.h"
#include "run/run.h"
#include "site/guest.h"
#include "login/domain.h"
#include "login/qga.h"
#include "wire/job.h"
#include "wire/record.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

/* What an agent sends: frames over the control stream. */
static inline void fuzz_frame(const uint8_t *data, size_t size)
{
	int ends[2];
	json_t *body = NULL;

	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return;
	if (write(ends[1], data, size) == (ssize_t)size) {
		shutdown(ends[1], SHUT_WR);
		while (frame_recv(ends[0], &body, time_now_ns() + NS_PER_S, ERR_IGNORED) >= 0)
			json_decref(body);
	}
	close(ends[0]);
	close(ends[1]);
}

/* What is in a frame: the record of an endpoint. */
static inline void fuzz_record(const uint8_t *data, size_t size)
{
	static struct endpoint_record record, again;
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (object && endpoint_record_from_json(&record, object, READ_STREAM, ERR_IGNORED) == 0) {
		json_t *written = endpoint_record_json(&record);
		int rc = endpoint_record_from_json(&again, written, READ_STREAM, ERR_IGNORED);
		assert(rc == 0 && again.transactions == record.transactions &&
			again.windows_n == record.windows_n);
		json_decref(written);
	}
	json_decref(object);
}

/* What another host sends, and what the store keeps: the record of a whole trial. */
static inline void fuzz_trial(const uint8_t *data, size_t size)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	AUTO(auto_trial_record) struct trial_record *again = trial_record_new();
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (object && trial_record_from_json(record, object, READ_STREAM, ERR_IGNORED) == 0) {
		json_t *written = trial_record_json(record);
		int rc = trial_record_from_json(again, written, READ_STREAM, ERR_IGNORED);
		assert(rc == 0 && !strcmp(again->console, record->console) &&
			again->guest.boot_ns == record->guest.boot_ns);
		json_decref(written);
	}
	json_decref(object);
}

/* What a site sends. */
static inline void fuzz_plan(const uint8_t *data, size_t size)
{
	struct endpoint_job job;
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (object)
		job_from_json(&job, object, ERR_IGNORED);
	json_decref(object);
}

static inline void fuzz_hist(const uint8_t *data, size_t size)
{
	static struct hist h, again;
	size_t len;

	if (hist_decode(&h, data, size, ERR_IGNORED) < 0)
		return;
	AUTO_FREE unsigned char *bytes = hist_encode(&h, &len);
	int rc = hist_decode(&again, bytes, len, ERR_IGNORED);
	assert(rc == 0 && !memcmp(&h, &again, sizeof(h)));
}

/* What the agent in a guest says of its half of the tuning. */
static inline void fuzz_knobs(const uint8_t *data, size_t size)
{
	json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_t *knobs = NULL;

	if (body && guest_knobs_read(body, &knobs, ERR_IGNORED) == 0)
		assert(json_is_array(knobs) &&
			json_array_size(knobs) == json_array_size(json_object_get(body, "knobs")));
	json_decref(knobs);
	json_decref(body);
}

/*
 * What a guest agent says on its port, to somebody who greets it and asks it twice; and what libvirt prints
 * of a domain.
 */
static inline void fuzz_qga(const uint8_t *data, size_t size)
{
	int ends[2];
	AUTO_FREE char *text = mem_alloc(size + 1);
	struct domain domain = {0};
	char path[64];
	json_t *value = NULL;

	memcpy(text, data, size);
	domain_command_read(&domain, text, size);
	assert(!domain.mac[0] || strlen(domain.mac) == 17);
	domain_command_names(text, size, "a,b");
	domain_xml_channel(text, "taut.control", path, sizeof(path));
	if (qga_reply_read(text, size, &value, ERR_IGNORED) == 0)
		json_decref(value);
	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return;
	const struct qga q = {.fd = ends[0]};
	struct qga_program program = {.pid = 1};
	uint64_t deadline = time_now_ns() + NS_PER_S;
	if (write(ends[1], data, size) == (ssize_t)size) {
		shutdown(ends[1], SHUT_WR);
		if (qga_able(&q, deadline, ERR_IGNORED) == 0)
			qga_look(&q, &program, deadline, ERR_IGNORED);
	}
	close(ends[0]);
	close(ends[1]);
}

/* What a user writes: an experiment, and values of settings. */
static inline void fuzz_experiment(const uint8_t *data, size_t size)
{
	struct experiment x;

	if (experiment_parse(&x, "fuzz", (const char *)data, size, NULL, 0, ERR_IGNORED) == 0) {
		json_decref(experiment_json(&x));
		experiment_free(&x);
	}
}

static inline void fuzz_setting(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = mem_alloc(size + 1);
	struct settings s;
	char out[SETTING_NUMBER_MAX];
	cpus set;

	memcpy(text, data, size);
	settings_init(&s);
	for (size_t i = 0; i < setting_rows_n; i++)
		if (setting_set(&s, setting_rows[i].key, text, ERR_IGNORED) == 0) {
			const char *shown = setting_text(&s, &setting_rows[i], out, sizeof(out));
			int rc = setting_set(&s, setting_rows[i].key, shown, ERR_IGNORED);
			assert(rc == 0);
		}
	settings_check(&s, ERR_IGNORED);
	cpus_parse_list(text, &set);
	cpus_parse_mask(text, &set);
}

/* What lies in a file that is said to be a kernel: its header, and what follows from the names in it. */
static inline void fuzz_bzimage(const uint8_t *data, size_t size)
{
	struct kernel k = {0};
	struct kernel_word word;

	if (bzimage_parse(&k, data, size, size * 16, ERR_IGNORED) < 0)
		return;
	assert(k.release[0] && !strchr(k.release, '/') && k.release[0] != '.');
	kernel_judge(&k, k.version);
	assert(release_begins(k.release, k.release));
	kernel_word_parse(&word, k.release);
}

/* A module of a kernel: ELF, and the list in .modinfo. */
static inline void fuzz_module(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {"depends", "softdep", "vermagic", ""};
	const char *info;
	size_t len, total = 0;

	if (module_info((const char *)data, size, &info, &len, ERR_IGNORED) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *value;
		for (size_t at = 0; (value = module_info_next(info, len, keys[i], &at));)
			total += strlen(value);
	}
	assert(total <= size);
}

/* What apt says of its lists, and of the versions in them: what is kept is part of what was there. */
static inline void fuzz_sources(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = mem_alloc(size + 1);
	AUTO(sources_free) struct sources s = {.codename = "b"};

	memcpy(text, data, size);
	sources_take(&s, text);
	AUTO_FREE char *line = sources_backports(&s);
	AUTO_FREE char *kept = sources_filter(&s, text, text);
	assert(strlen(kept) <= size && !(line && s.backports));
}

/* What QEMU's monitor says. */
static inline void fuzz_qmp(const uint8_t *data, size_t size)
{
	json_t *reply = NULL;
	bool greeted = false;
	int ends[2];

	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return;
	if (write(ends[1], data, size) == (ssize_t)size) {
		shutdown(ends[1], SHUT_WR);
		if (qmp_command(ends[0], &greeted, "query-cpus-fast", &reply, time_now_ns() + NS_PER_S,
			    ERR_IGNORED) == 0)
			assert(greeted && reply);
		json_decref(reply);
	}
	close(ends[0]);
	close(ends[1]);
}

/* What a guest writes to its console: the first byte says how much room there is to show it. */
static inline void fuzz_console(const uint8_t *data, size_t size)
{
	static struct ring ring;
	char out[256];

	ring.total = 0;
	for (int i = 0; i < 3; i++) /* as one write, and around the end of the ring */
		ring_put(&ring, (const char *)data, size);
	if (size && data[0] & 1)
		ring.total += RING_BYTES - size % RING_BYTES;
	size_t room = size ? 1 + data[0] : 1;
	ring_text(&ring, out, room);
	assert(strlen(out) < room);
	for (const char *c = out; *c; c++)
		assert(*c == '\n' || (*c >= ' ' && *c <= '~'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PASTE(fuzz_, FUZZ)(data, size);
	return 0;
}
