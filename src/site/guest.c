/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guest's half of tuning, seen from outside.
 *
 * A guest is told only what holds there as well (see wire/job.h).  Its CPUs are its own: a profile isolates
 * all but the first vCPU, and with one vCPU there is nothing to isolate.
 *
 * What comes back was written by a guest, which may be hostile: entries are counted, texts bounded, keys and
 * statuses known, and what could drive a terminal is replaced.  It is taken over text by text; nothing of the
 * guest's document itself goes into the record.
 */
#include "guest.h"

#include <poll.h>

#define ENTRIES_MAX 2000
#define LOOK_MS     200

static const struct {
	const char *key;
	size_t max; /* bytes */
	bool needed;
} texts[] = {
	{"id", 64, true},
	{"object", 512, true},
	{"before", 4096, false},
	{"value", 4096, false},
	{"status", 16, true},
	{"reason", 1024, false},
	{"why", 32, false},
};

void knobs_mark(json_t *knobs, const char *where)
{
	json_t *entry;
	size_t i;

	json_array_foreach (knobs, i, entry)
		json_object_set_new(entry, "where", json_string(where));
}

/* A text of the guest, or null; NULL when it is neither or too long. */
static json_t *text_read(const json_t *value, size_t max, bool needed)
{
	if (!needed && (!value || json_is_null(value)))
		return json_null();
	const char *text = json_string_value(value);
	if (!text || json_string_length(value) > max || strlen(text) != json_string_length(value) ||
		(needed && !*text))
		return NULL;
	AUTO_FREE char *clean = str_printable(str_dup(text));
	return json_string(clean);
}

static bool is_known(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!strcmp(texts[i].key, key))
			return true;
	return false;
}

/* `where`: which half it must be of; NULL: it says so itself, as those of an emulated host's record do. */
static int entry_read(const json_t *entry, const char *where, json_t *out, struct err *e)
{
	const char *key, *said = json_string_value(json_object_get(entry, "where"));
	enum knob_why why;
	json_t *item;

	if (!json_is_object(entry))
		return err_set(e, EPROTO, "a knob of the guest is no object");
	json_object_foreach ((json_t *)(uintptr_t)entry, key, item)
		if (!is_known(key) && (where || strcmp(key, "where") != 0))
			return err_set(e, EPROTO, "a knob of the guest has '%.40s', which is not known", key);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		item = text_read(json_object_get(entry, texts[i].key), texts[i].max, texts[i].needed);
		if (!item)
			return err_set(e, EPROTO,
				"'%s' of a knob of the guest is missing, or no text of at most %zu bytes",
				texts[i].key, texts[i].max);
		json_object_set_new(out, texts[i].key, item);
	}
	if (!undo_status_known(json_string_value(json_object_get(out, "status"))))
		return err_set(e, EPROTO, "a knob of the guest has a status that is none");
	if (knob_why_find(json_string_value(json_object_get(out, "why")), &why) < 0)
		return err_set(e, EPROTO, "a knob of the guest has a 'why' that is none");
	if (!where && (!said || !str_in(said, "host|guest")))
		return err_set(e, EPROTO, "a knob of an emulated host does not say where it is");
	json_object_set_new(out, "where", json_string(where ? where : said));
	return 0;
}

static int array_read(const json_t *array, const char *where, json_t **knobs, struct err *e)
{
	const json_t *entry;
	size_t i;

	if (!json_is_array(array) || json_array_size(array) > ENTRIES_MAX)
		return err_set(e, EPROTO, "the knobs of the guest are no list of at most %d", ENTRIES_MAX);
	json_t *made = json_array();
	json_array_foreach (array, i, entry) {
		json_t *clean = json_object();
		json_array_append_new(made, clean);
		int rc = entry_read(entry, where, clean, e);
		if (rc < 0) {
			json_decref(made);
			return rc;
		}
	}
	json_decref(*knobs);
	*knobs = made;
	return 0;
}

int guest_knobs_read(const json_t *body, json_t **knobs, struct err *e)
{
	return array_read(json_object_get(body, "knobs"), "guest", knobs, e);
}

int host_knobs_read(json_t **knobs, struct err *e)
{
	return array_read(*knobs, NULL, knobs, e);
}

int control_expect(int fd, enum frame_type type, json_t **body, uint64_t deadline_ns, struct err *e)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (!stop_flag)
		if (poll(&p, 1, LOOK_MS) > 0 || time_now_ns() >= deadline_ns)
			return frame_expect(fd, type, body, deadline_ns, e);
	return err_set(e, EINTR, "interrupted");
}

int guest_tune(int control_fd, const struct tuning *tuning, enum tune_stage stage, uint64_t deadline_ns,
	json_t **knobs, struct err *e)
{
	json_t *body = NULL;
	int rc = frame_send(control_fd, FRAME_TUNE,
		json_pack("{s:o, s:s}", "tuning", guest_tuning_json(tuning), "stage",
			stage == TUNE_HOST ? "host" : "live"),
		deadline_ns, e);

	if (rc == 0)
		rc = control_expect(control_fd, FRAME_TUNED, &body, deadline_ns, e);
	if (rc == 0)
		rc = guest_knobs_read(body, knobs, e);
	json_decref(body);
	return rc;
}

int guest_verify(int control_fd, uint64_t deadline_ns, bool *all, json_t **knobs, struct err *e)
{
	json_t *body = NULL;
	int rc = frame_send(control_fd, FRAME_VERIFY, json_object(), deadline_ns, e);

	if (rc == 0)
		rc = control_expect(control_fd, FRAME_VERIFIED, &body, deadline_ns, e);
	const json_t *holds = json_object_get(body, "all");
	if (rc == 0 && !json_is_boolean(holds))
		rc = err_set(e, EPROTO, "the guest does not say whether its tuning holds");
	if (rc == 0)
		rc = guest_knobs_read(body, knobs, e);
	if (rc == 0)
		*all = json_is_true(holds);
	json_decref(body);
	return rc;
}

int guest_untune(int control_fd, uint64_t deadline_ns, struct err *e)
{
	json_t *body = NULL, *left = NULL;
	int rc = frame_send(control_fd, FRAME_TUNE, json_pack("{s:s}", "stage", "revert"), deadline_ns, e);

	if (rc == 0)
		rc = frame_expect(control_fd, FRAME_TUNED, &body, deadline_ns, e);
	if (rc == 0)
		rc = guest_knobs_read(body, &left, e);
	if (rc == 0 && json_array_size(left) > 0)
		rc = err_set(e, EPROTO, "%zu knobs are still in force", json_array_size(left));
	json_decref(left);
	json_decref(body);
	return rc < 0 ? err_wrap(e, "cannot put back what was tuned in the guest") : 0;
}
