/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The words that can follow on a command line, one a line, for the shells' completions: `taut --words` and
 * `taut VERB --words`.
 *
 * They are made from what --help is made from: the verb's options and their forms, and its arguments as they
 * are told there, in which small letters are a word and capitals a kind of words.  An option with a value
 * ends in '=' where the value is free, and stands once with each of its values where they are known.
 */
#include "cli.h"

#include <ctype.h>
#include <stdio.h>

static void say_experiment(const char *name, const char *help, void *arg)
{
	(void)help;
	printf("%s%s\n", (const char *)arg, name);
}

static void say_experiments(const char *head)
{
	experiments_each(say_experiment, (void *)(uintptr_t)head);
}

static void say_workloads(const char *head)
{
	for (size_t i = 0; i < workload_rows_n; i++)
		printf("%s%s\n", head, workload_rows[i].name);
}

static void say_settings(const char *head)
{
	for (size_t i = 0; i < setting_rows_n; i++)
		printf("%s%s=\n", head, setting_rows[i].key);
}

static void say_last(const char *head)
{
	printf("%slast\n", head);
}

static const struct {
	const char *name; /* as in the help of verbs and options */
	void (*say)(const char *head);
} kinds[] = {{"EXPERIMENT", say_experiments}, {"WORKLOAD", say_workloads}, {"KEY=VALUE", say_settings},
	{"RUN", say_last}, {"OLD", say_last}, {"NEW", say_last}};

/* True if `form` is the name of a kind, whose words are said. */
static bool say_kind(const char *form, const char *head)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kinds[i].name, form)) {
			kinds[i].say(head);
			return true;
		}
	return false;
}

/* "list|fetch [KERNEL...]" */
static void say_arguments(const char *args_doc)
{
	AUTO_FREE char *text = str_dup(args_doc ? args_doc : "");
	char *rest = NULL;

	for (char *word = strtok_r(text, " |[]\n", &rest); word; word = strtok_r(NULL, " |[]\n", &rest))
		if (!say_kind(word, "") && islower((unsigned char)*word))
			printf("%s\n", word);
}

/* A form of words alone, as "real|exact": no capitals, which stand for what is free. */
static bool form_known(const char *form)
{
	if (!strchr(form, '|'))
		return false;
	for (const char *p = form; *p; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && !strchr("|_-", *p))
			return false;
	return true;
}

static void say_option(const struct argp_option *o)
{
	AUTO_FREE char *head = str_format("--%s%s", o->name, o->arg ? "=" : "");

	if (!o->arg || o->flags & OPTION_ARG_OPTIONAL)
		printf("--%s\n", o->name);
	if (!o->arg || say_kind(o->arg, head))
		return;
	if (!form_known(o->arg)) {
		printf("%s\n", head);
		return;
	}
	AUTO_FREE char *text = str_dup(o->arg);
	char *rest = NULL;
	for (char *word = strtok_r(text, "|", &rest); word; word = strtok_r(NULL, "|", &rest))
		printf("%s%s\n", head, word);
}

void words_say(const char *args_doc, const struct argp_option *options)
{
	say_arguments(args_doc);
	for (const struct argp_option *o = options; o->name || o->key; o++)
		if (o->name && !(o->flags & OPTION_HIDDEN))
			say_option(o);
	printf("--help\n");
}

void words_say_verbs(void)
{
	for (size_t i = 0; i < verbs_n; i++)
		if (verbs[i].help)
			printf("%s\n", verbs[i].name);
	printf("--help\n--version\n");
}
