/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What booting guests with KVM has shown: {"boot_id": …, "answers": {WITH: WHY}}, where WITH names a kernel
 * and a QEMU, and an empty WHY means that KVM worked.  The answers hold for one boot of the host.  That KVM
 * works holds for every kernel.  That it does not work holds for one kernel and one QEMU only, since either
 * may be the reason; so each pair has an answer of its own, and arms with different kernels need no second
 * boot each time.
 */
#include "kvm_answer.h"

#include "sys/sys.h"

#include <jansson.h>
#include <stdio.h>

/* The answers of this boot as a new reference; an empty object when there are none. */
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
