/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user's own tuning. */
#include "private.h"

static int plan_command(struct planning *p, const struct knob *knob, struct err *e)
{
	if (!*p->tuning->apply || !*p->tuning->revert)
		return err_usage(e, "cannot use the profile command without %s",
			*p->tuning->apply ? "revert: the shell command that undoes it"
					  : "apply: the shell command that tunes");
	struct undo_entry *entry = undo_entry_add(p->host, p->plan, knob->id, "command", knob->object);
	undo_entry_values(entry, p->tuning->revert, p->tuning->apply);
	return 0;
}

static const struct knob rows[] = {
	{.id = "command",
		.help = "Runs your own command to tune, and the other one to undo it.",
		.expand = EXPAND_OWN,
		.object = "/bin/sh -c",
		.executor = "command",
		.value[PROFILE_COMMAND] = {.text = ""},
		.anyone = true,
		.plan = plan_command},
};

const struct knob_table tune_knobs_command = {rows, ARRAY_LEN(rows)};
