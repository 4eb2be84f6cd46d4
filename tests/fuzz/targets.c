/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One libFuzzer target for each parser of bytes that come from outside; FUZZ names it when this file is
 * compiled.  A target only has to survive: what is wrong must be refused, and what is accepted must come out
 * the same when it is written and read again.
 */
#include "run/run.h"
#include "site/guest.h"
#include "wire/wire.h"

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
		while (frame_recv(ends[0], &body, time_now_ns() + NS_PER_S, NULL) >= 0)
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

	if (object && endpoint_record_from_json(&record, object, NULL) == 0) {
		json_t *written = endpoint_record_json(&record);
		int rc = endpoint_record_from_json(&again, written, NULL);
		assert(rc == 0 && again.transactions == record.transactions &&
			again.windows_n == record.windows_n);
		json_decref(written);
	}
	json_decref(object);
}

/* What a site sends, and what the store keeps. */
static inline void fuzz_plan(const uint8_t *data, size_t size)
{
	struct endpoint_plan plan;
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (object)
		endpoint_plan_from_json(&plan, object, NULL);
	json_decref(object);
}

static inline void fuzz_hist(const uint8_t *data, size_t size)
{
	static struct hist h, again;
	size_t len;

	if (hist_decode(&h, data, size, NULL) < 0)
		return;
	AUTO_FREE unsigned char *bytes = hist_encode(&h, &len);
	int rc = hist_decode(&again, bytes, len, NULL);
	assert(rc == 0 && !memcmp(&h, &again, sizeof(h)));
}

/* What the agent in a guest says of its half of the tuning. */
static inline void fuzz_knobs(const uint8_t *data, size_t size)
{
	json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_t *knobs = NULL;

	if (body && guest_knobs_read(body, &knobs, NULL) == 0)
		assert(json_is_array(knobs) &&
			json_array_size(knobs) == json_array_size(json_object_get(body, "knobs")));
	json_decref(knobs);
	json_decref(body);
}

/* What a user writes: an experiment, and values of settings. */
static inline void fuzz_experiment(const uint8_t *data, size_t size)
{
	struct experiment x;

	if (experiment_parse(&x, "fuzz", (const char *)data, size, NULL, 0, NULL) == 0) {
		json_decref(experiment_json(&x));
		experiment_free(&x);
	}
}

static inline void fuzz_setting(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = mem_alloc(size + 1);
	struct settings s;
	char out[SETTING_WORD_MAX + 32];
	cpus set;

	memcpy(text, data, size);
	settings_init(&s);
	for (size_t i = 0; i < setting_rows_n; i++)
		if (setting_set(&s, setting_rows[i].key, text, NULL) == 0) {
			setting_text(&s, &setting_rows[i], out, sizeof(out));
			int rc = setting_set(&s, setting_rows[i].key, out, NULL);
			assert(rc == 0);
		}
	settings_check(&s, NULL);
	cpus_parse_list(text, &set);
	cpus_parse_mask(text, &set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PASTE(fuzz_, FUZZ)(data, size);
	return 0;
}
