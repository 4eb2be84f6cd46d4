/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kernels that an experiment needs and this machine has not got. */
#include "run.h"

#include "boot/boot.h"
#include "target/target.h"

struct fetching {
	json_t *tried; /* word → true */
	void (*progress)(const char *doing, void *arg);
	void *arg;
};

const char *run_lacks(const struct settings *s, size_t which)
{
	const char *const words[] = {settings_lab(s), s->kernel[0] ? s->kernel : "stock"};
	struct kernel k;

	/* Whether KVM works here is seen before anything is fetched; on an emulated host it does. */
	if (which == 1 && (!target_of(s)->boots || (!strcmp(s->accel, "kvm") && !settings_lab(s))))
		return NULL;
	const char *word = words[which];
	if (!word || kernel_find(&k, word, NULL) == 0 || !kernel_fetchable(word))
		return NULL;
	/* A kernel is not fetched for machines that cannot be made here. */
	return settings_lab(s) || target_makes_machines(s) ? word : NULL;
}

static int want(struct fetching *f, const char *word, struct err *e)
{
	struct kernel k;
	struct err why = ERR_INIT;
	char text[1100];

	if (!word || json_object_get(f->tried, word))
		return 0;
	json_object_set_new(f->tried, word, json_true());
	AUTO_FREE char *doing = str_format(RUN_FETCHING "%s into the cache", word);
	f->progress(doing, f->arg);
	int rc = kernel_fetch(&k, word, f->progress, f->arg, &why);
	if (rc == -EINTR) {
		if (e)
			*e = why;
		return rc;
	}
	if (rc < 0)
		log_warn("%s", err_string(&why, text, sizeof(text)));
	return 0;
}

int run_fetch(const struct settings *trials, size_t n, void (*progress)(const char *doing, void *arg),
	void *arg, struct err *e)
{
	struct fetching f = {.tried = json_object(), .progress = progress, .arg = arg};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		for (size_t which = 0; rc == 0 && which < RUN_KERNELS; which++)
			rc = want(&f, run_lacks(&trials[i], which), e);
	json_decref(f.tried);
	return rc;
}

int run_fetch_all(
	const struct experiment *x, void (*progress)(const char *doing, void *arg), void *arg, struct err *e)
{
	int rc = 0;

	for (size_t c = 0; rc == 0 && c < x->cells_n; c++)
		rc = run_fetch(x->cells[c].settings, x->arms_n, progress, arg, e);
	return rc;
}
