/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What trials need and this machine has not got: kernels and QEMU, which can be fetched. */
#include "hosts.h"

#include "lab.h"

struct fetching {
	json_t *tried; /* word → true */
	boot_progress progress;
	void *arg;
};

/* Is `word` a kernel that is not here and can be had? */
static bool lacking(const char *word)
{
	const struct kernel *k;

	return kernel_known(&k, word, ERR_IGNORED) < 0 && kernel_fetchable(word);
}

const char *site_lacks(const struct settings *s, size_t which)
{
	const char *words[SITE_KERNELS] = {NULL};
	struct trial_plan plan;

	if (plan_make(&plan, s, ERR_IGNORED) == 0)
		site_row_of(plan.site)->kernels(&plan, words);
	return words[which] && lacking(words[which]) ? words[which] : NULL;
}

static enum nic_model nics_of(const struct settings *s)
{
	return settings_lab(s) ? lab_nics(s) : NIC_NONE;
}

/* Has no QEMU here the NICs that the host of such a trial has? */
static bool lacks_qemu(enum nic_model model)
{
	struct qemu q;

	return model != NIC_NONE && qemu_for(model, &q, ERR_IGNORED) < 0;
}

bool site_lacks_qemu(const struct settings *s)
{
	return lacks_qemu(nics_of(s));
}

bool site_lacks_any(const struct settings *s)
{
	if (site_lacks_qemu(s))
		return true;
	for (size_t which = 0; which < SITE_KERNELS; which++)
		if (site_lacks(s, which))
			return true;
	return false;
}

static int want(struct fetching *f, const char *word, struct err *e)
{
	struct kernel k;
	struct err why = ERR_INIT;
	char text[1100];

	if (!word || json_object_get(f->tried, word))
		return 0;
	json_object_set_new(f->tried, word, json_true());
	f->progress(&(struct boot_doing){BOOT_STEP_KERNEL, word, -1}, f->arg);
	int rc = kernel_fetch(&k, word, f->progress, f->arg, &why);
	if (rc == -EINTR) {
		*e = why;
		return rc;
	}
	if (rc < 0)
		log_warn("%s", err_string(&why, text, sizeof(text)));
	return 0;
}

int site_prepare_nics(enum nic_model model, boot_progress progress, void *arg, struct err *e)
{
	struct err why = ERR_INIT;
	struct qemu q;
	char text[1100];

	if (!lacks_qemu(model))
		return 0;
	progress(&(struct boot_doing){BOOT_STEP_QEMU, NULL, -1}, arg);
	int rc = qemu_fetch(&q, progress, arg, &why);
	if (rc == -EINTR) {
		*e = why;
		return rc;
	}
	if (rc < 0)
		log_warn("%s", err_string(&why, text, sizeof(text)));
	return 0;
}

int site_prepare(const struct settings *trials, size_t n, boot_progress progress, void *arg, struct err *e)
{
	struct fetching f = {.tried = json_object(), .progress = progress, .arg = arg};
	bool tried[NIC_MODELS_N] = {false};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!tried[nics_of(&trials[i])]) {
			tried[nics_of(&trials[i])] = true;
			rc = site_prepare_nics(nics_of(&trials[i]), progress, arg, e);
		}
	for (size_t i = 0; rc == 0 && i < n; i++)
		for (size_t which = 0; rc == 0 && which < SITE_KERNELS; which++)
			rc = want(&f, site_lacks(&trials[i], which), e);
	json_decref(f.tried);
	return rc;
}
