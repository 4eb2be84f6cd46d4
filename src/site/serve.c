/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The far side of an emulated host: `taut site`, started by its PID 1.  Whoever asks is taut itself, on the
 * machine that emulates this one; it is answered trial by trial, with a record or with the reason why there
 * is none.
 *
 * On the exact clock the plan is in the image, nothing comes in, and the record goes out through a port that
 * takes every byte as it is written.
 */
#include "ground.h"

#define SEND_NS (120 * NS_PER_S) /* a record goes through a slow port */

static int say_error(int fd, const struct err *why, struct err *e)
{
	return frame_send(fd, FRAME_ERROR, json_pack("{s:s, s:s}", "text", why->text, "advice", why->advice),
		time_now_ns() + SEND_NS, e);
}

static int carry_out(struct site *site, const json_t *plan, struct trial_record *record, struct err *e)
{
	struct trial_plan resolved = {0};
	struct settings s;
	int rc = target_host_start(e);

	if (rc < 0)
		return rc;
	rc = settings_from_json(&s, json_object_get(plan, "settings"), READ_STREAM, e);

	if (rc == 0)
		rc = site_check(site, &s, e);
	if (rc == 0)
		rc = ground_make_way(site, &s, e);
	if (rc == 0)
		rc = site->ground ? ground_plan(site->ground, &s, &resolved, e)
				  : site_plan(site, &s, &resolved, e);
	return rc < 0 ? rc : site_trial(site, &resolved, record, e);
}

static int answer(struct site *site, int fd, const json_t *plan, struct err *e)
{
	AUTO(auto_trial_record) struct trial_record *record = trial_record_new();
	struct err why = ERR_INIT;

	if (carry_out(site, plan, record, &why) < 0)
		return say_error(fd, &why, e);
	return frame_send(fd, FRAME_TRIAL_RECORD, trial_record_json(record), time_now_ns() + SEND_NS, e);
}

static int serve_plan(struct site *site, int fd, const char *path, struct err *e)
{
	AUTO(boot_document_free) struct boot_document document = {0};
	int rc = boot_document_load(&document, path, e);

	return rc < 0 ? rc : answer(site, fd, document.plan, e);
}

int site_serve(struct site *site, int fd, const char *plan, struct err *e)
{
	int rc = frame_send(fd, FRAME_HELLO, frame_hello(), time_now_ns() + SEND_NS, e);

	if (rc < 0 || plan)
		return rc < 0 ? rc : serve_plan(site, fd, plan, e);
	for (;;) {
		json_t *body = NULL;
		rc = frame_expect(fd, FRAME_TRIAL, &body, UINT64_MAX, e);
		if (rc == -EPIPE)
			return 0;
		if (rc == 0)
			rc = answer(site, fd, body, e);
		json_decref(body);
		if (rc < 0)
			return rc;
	}
}
