/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What records of earlier versions say otherwise than those of today.  It is read here and nowhere else. */
#include "model.h"

/* Before there was "why", a knob that was not needed told so only by the beginning of its sentence. */
#define NOT_NEEDED "not needed"

enum knob_why report_knob_why(const json_t *entry)
{
	const json_t *word = json_object_get(entry, "why");
	const char *reason = json_string_value(json_object_get(entry, "reason"));
	enum knob_why why = KNOB_WHY_NONE;

	if (!word)
		return reason && str_starts(reason, NOT_NEEDED) ? KNOB_OTHER_WAY : KNOB_WHY_NONE;
	/* A word of a later version is none that this one could act upon. */
	(void)knob_why_find(json_string_value(word), &why);
	return why;
}
