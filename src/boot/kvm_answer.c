/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Answers of guests that were booted with KVM: {"boot_id": …, "answers": {WITH: WHY}}, where an empty WHY
 * means that it worked.  They hold for one boot of the host.  A yes is of the machine; a no is of one kernel
 * and one QEMU, for either may be why the guest did not boot, so each pair has its own: arms that differ by
 * kernel take turns, and none may wait for a guest again that another has made forget.
 */
#include "kvm_answer.h"

#include "sys/sys.h"

#include <jansson.h>
#include <stdio.h>

/* The answers of this boot, none if there are none; to be released. */
static json_t *answers_load(const char *path, const char *boot)
{
	json_t *known = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	const char *of = json_string_value(json_object_get(known, "boot_id"));
	json_t *answers = of && !strcmp(of, boot) ? json_object_get(known, "answers") : NULL;

	answers = json_is_object(answers) ? json_incref(answers) : json_object();
	json_decref(known);
	return answers;
}

int kvm_answer(const char *path, const char *boot, const char *with, char *why, size_t size)
{
	json_t *answers = answers_load(path, boot), *one;
	const char *of, *said = json_string_value(json_object_get(answers, with));
	int rc = said ? 0 : -ENOENT;

	snprintf(why, size, "%s", said ? said : "");
	json_object_foreach (answers, of, one)
		if (json_is_string(one) && !json_string_length(one))
			rc = 1;
	if (rc > 0)
		why[0] = 0;
	json_decref(answers);
	return rc;
}

void kvm_answer_keep(const char *path, const char *boot, const char *with, bool works, const char *why)
{
	json_t *answers = answers_load(path, boot);

	json_object_set_new(answers, with, json_string(works ? "" : *why ? why : "it did not say why"));
	json_t *known = json_pack("{s:s, s:o}", "boot_id", boot, "answers", answers);
	AUTO_FREE char *text = json_dumps(known, JSON_INDENT(1));

	json_decref(known);
	if (text)
		file_write_synced(path, text, strlen(text), 0644, ERR_IGNORED);
}
