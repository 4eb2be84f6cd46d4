/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why a step of a trial failed: which of its ends said something, or has gone. */
#include "hosts.h"

#include <poll.h>
#include <stdio.h>

#define SAY_MS 200 /* by which a server's reason may come behind its refusal */

int ends_control(struct target *t, const struct trial_plan *plan, size_t end)
{
	return target_control(t, plan->ends[end].role == ROLE_SERVER);
}

int ends_wrap(struct target *t, const char *who, struct err *e)
{
	char ended[256];

	target_ended(t, ended, sizeof(ended));
	if (who)
		err_wrap(e, "%s", who);
	if (ended[0] && e->code != EINTR) {
		size_t n = strlen(e->text);
		snprintf(e->text + n, sizeof(e->text) - n, " (%s)", ended);
	}
	return -e->code;
}

/* What an end says that nobody has read yet: -EREMOTEIO, or -EPIPE when it has gone. */
static int end_said(
	struct target *t, const struct trial_plan *plan, size_t end, int wait_ms, struct err *said)
{
	struct pollfd p = {.fd = ends_control(t, plan, end), .events = POLLIN};
	json_t *body = NULL;
	int rc = poll(&p, 1, wait_ms) > 0
			 ? frame_expect(p.fd, FRAME_READY, &body, time_now_ns() + NS_PER_S, said)
			 : 0;

	json_decref(body);
	return rc;
}

int ends_failed(struct target *t, const struct trial_plan *plan, struct err *e)
{
	for (size_t end = 0; end < plan->ends_n; end++) {
		struct err said = ERR_INIT;
		int rc = end_said(t, plan, end, 0, &said);

		if (rc == -EREMOTEIO)
			*e = said;
		if (rc == -EREMOTEIO || rc == -EPIPE)
			return ends_wrap(t, plan_end_name(plan, end), e);
	}
	return ends_wrap(t, NULL, e);
}

int ends_client_failed(struct target *t, const struct trial_plan *plan, struct err *e)
{
	struct err said = ERR_INIT;
	bool server = e->code == EREMOTEIO && end_said(t, plan, END_SERVER, SAY_MS, &said) == -EREMOTEIO;

	if (server)
		*e = said;
	return ends_wrap(t, plan_end_name(plan, server ? END_SERVER : END_CLIENT), e);
}
