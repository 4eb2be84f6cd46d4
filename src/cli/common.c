/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The options that several verbs share.  A verb says which of them it takes and brings its own; both go to
 * argp as one list, so that --help shows them together.
 *
 * What is wrong with options is looked for before argp sees them: it would take the beginning of an option
 * for the whole, and it cannot say which option was meant, nor whose it is.
 */
#include "cli.h"

#include <stdio.h>

enum { KEY_DB = 500, KEY_SEED, KEY_BLOCKS, KEY_SET, KEY_DRY_RUN, KEY_GATE };

static const struct {
	unsigned group; /* enum common_option; 0: every verb */
	struct argp_option option;
} shared[] = {
	{COMMON_JSON, {"json", 'j', NULL, 0, "one JSON document on stdout", 10}},
	{COMMON_DB, {"db", KEY_DB, "FILE", 0, "the database of results", 10}},
	{COMMON_QUIET, {"quiet", 'q', NULL, 0, "nothing but the result", 10}},
	{COMMON_YES, {"yes", 'y', NULL, 0, "tune even though others' containers or VMs run here", 10}},
	{COMMON_BLOCKS, {"seed", KEY_SEED, "N", 0, "seed of the random order", 10}},
	{COMMON_BLOCKS, {"blocks", KEY_BLOCKS, "N", 0, "blocks: trials of each arm in each cell", 10}},
	{COMMON_PLAN,
		{"set", KEY_SET, "KEY=VALUE", 0, "a setting of every trial, over what the file says", 10}},
	{COMMON_PLAN, {"dry-run", KEY_DRY_RUN, NULL, 0, "say what would be done, and do nothing", 10}},
	{COMMON_GATE, {"gate", KEY_GATE, NULL, 0,
			      "exit 3 when something regressed, 4 when something could not be judged", 10}},
	{0, {"verbose", 'v', NULL, 0, "say more on stderr", 10}},
	{0, {"help", 'h', NULL, 0, "say what this verb does and what it takes", 10}},
	{0, {NULL, '?', NULL, OPTION_HIDDEN, NULL, 10}}, /* as --help */
};

#define OPTIONS_MAX 96

struct parsing {
	const struct command_line *line;
	const char *verb; /* "taut VERB" */
	struct common *common;
	const char **args;
	size_t n;
};

static void take_number(
	const char *name, const char *value, uint64_t max, uint64_t *out, const struct parsing *p)
{
	if (str_u64(value, out) || *out < 1 || *out > max)
		usage_error(p->verb, "cannot set --%s to '%s': it wants a whole number from 1 to %llu", name,
			value, (unsigned long long)max);
}

/* Of all options that verbs share, whether this one takes it or not. */
static const struct argp_option *shared_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		if (shared[i].option.name && !strcmp(shared[i].option.name, name))
			return &shared[i].option;
	return NULL;
}

/* KEY=VALUE is cut at the first '='; the value is checked when settings are made of it. */
static void take_override(struct common *common, char *text, const struct parsing *p)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		usage_error(p->verb, "cannot use --set '%s': it wants KEY=VALUE", text);
	*equals = 0;
	if (!setting_find(text) && shared_option(text))
		usage_error(p->verb, "cannot set '%s': that is an option and no setting (try: --%s%s%s)",
			text, text, shared_option(text)->arg ? " " : "",
			shared_option(text)->arg ? equals + 1 : "");
	common->overrides = mem_grow(common->overrides, common->overrides_n + 1, sizeof(*common->overrides));
	common->overrides[common->overrides_n++] =
		(struct setting_override){.key = text, .value = equals + 1};
}

static error_t parse_shared(int key, char *value, struct common *common, const struct parsing *p)
{
	switch (key) {
	case 'j':
		common->json = true;
		return 0;
	case 'q':
		common->quiet = true;
		return 0;
	case 'y':
		common->yes = true;
		return 0;
	case 'v':
		common->verbose = true;
		return 0;
	case KEY_DB:
		common->db = value;
		return 0;
	case KEY_SEED:
		take_number("seed", value, INT64_MAX, &common->seed, p);
		return 0;
	case KEY_BLOCKS:
		take_number("blocks", value, 1000, &common->blocks, p);
		return 0;
	case KEY_SET:
		take_override(common, value, p);
		return 0;
	case KEY_DRY_RUN:
		common->dry_run = true;
		return 0;
	case KEY_GATE:
		common->gate = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What stands on lines of their own in --help stands on one here. */
static _Noreturn void missing(const struct parsing *p)
{
	AUTO_FREE char *ways = str_dup(p->line->args_doc);

	for (char *c = ways; *c; c++)
		*c = *c == '\n' ? '|' : *c;
	usage_error(p->verb, "an argument is missing: %s (try: %s --help)", ways, p->verb);
}

/* argp reads the width of its lines from a variable of the environment. */
static void help(struct argp_state *state)
{
	size_t columns = say_columns();

	if (columns) {
		AUTO_FREE char *format = str_format("rmargin=%zu", MIN(MAX(columns - 1, 40), 100));
		setenv("ARGP_HELP_FMT", format, 0);
	}
	argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct parsing *p = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (p->n >= p->line->args_max)
			usage_error(
				p->verb, "'%s' is one argument too many (try: %s --help)", value, p->verb);
		p->args[p->n++] = value;
		return 0;
	case ARGP_KEY_END:
		if (p->n < p->line->args_min)
			missing(p);
		return 0;
	case 'h':
	case '?':
		help(state);
		return 0;
	default:
		if (p->line->parse && p->line->parse(key, value, p->line->verb) == 0)
			return 0;
		return parse_shared(key, value, p->common, p);
	}
}

/* --- mistakes, before argp --------------------------------------------------------------------- */

static const struct argp_option *option_long(const struct argp_option *all, const char *name, size_t len)
{
	for (const struct argp_option *o = all; o->name || o->key; o++)
		if (o->name && strlen(o->name) == len && !memcmp(o->name, name, len))
			return o;
	return NULL;
}

static const struct argp_option *option_short(const struct argp_option *all, char letter)
{
	for (const struct argp_option *o = all; o->name || o->key; o++)
		if (o->key == letter)
			return o;
	return NULL;
}

/* The name as that of a setting: "max-duration" is max_duration. */
static const struct setting_row *option_setting(const char *name)
{
	AUTO_FREE char *key = str_dup(name);

	for (char *c = key; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return setting_find(key);
}

static _Noreturn void unknown_option(
	const struct parsing *p, const struct argp_option *all, const char *typed)
{
	AUTO_FREE char *name = str_format("%.*s", (int)strcspn(typed, "="), typed);
	const struct setting_row *setting = option_setting(name);
	const char *words[OPTIONS_MAX], *near;
	size_t n = 0;

	for (const struct argp_option *o = all; o->name || o->key; o++)
		if (o->name && !(o->flags & OPTION_HIDDEN))
			words[n++] = o->name;
	near = str_closest(name, words, n);
	if (setting && p->line->takes & COMMON_PLAN)
		usage_error(p->verb, "there is no option --%s here: it is a setting (try: --set %s=%s)", name,
			setting->key, typed[strlen(name)] ? typed + strlen(name) + 1 : setting->form);
	if (near)
		usage_error(p->verb, "there is no option --%s here (try: --%s)", name, near);
	if (setting)
		usage_error(p->verb,
			"there is no option --%s here: it is one of taut measure (try: %s --help)", name,
			p->verb);
	if (shared_option(name))
		usage_error(p->verb,
			"there is no option --%s here: it is one of other verbs (try: %s --help)", name,
			p->verb);
	usage_error(p->verb, "there is no option --%s (try: %s --help)", name, p->verb);
}

/* Looks at the option that stands at argv[i]; returns whether the next word is its value. */
static bool look_at_option(const struct parsing *p, const struct argp_option *all, const char *word)
{
	if (str_starts(word, "--")) {
		size_t len = strcspn(word + 2, "=");
		const struct argp_option *o = option_long(all, word + 2, len);
		bool given = word[2 + len] == '=';
		if (!o)
			unknown_option(p, all, word + 2);
		if (given && !o->arg)
			usage_error(p->verb, "cannot use '%s': --%s takes no value", word, o->name);
		return !given && o->arg && !(o->flags & OPTION_ARG_OPTIONAL);
	}
	for (const char *c = word + 1; *c; c++) {
		const struct argp_option *o = option_short(all, *c);
		if (!o)
			usage_error(p->verb, "there is no option -%c here (try: %s --help)", *c, p->verb);
		if (o->arg)
			return !c[1];
	}
	return false;
}

static void look_at_options(const struct parsing *p, const struct argp_option *all, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !argv[i][1])
			continue;
		if (!strcmp(argv[i], "--"))
			return;
		if (!look_at_option(p, all, argv[i]))
			continue;
		if (++i >= argc)
			usage_error(p->verb, "%s wants a value (try: %s --help)", argv[i - 1], p->verb);
	}
}

/* Who asked for JSON gets mistakes as JSON too, whatever stands before them. */
static bool asks_json(const struct command_line *line, int argc, char **argv)
{
	if (!(line->takes & COMMON_JSON))
		return false;
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (str_in(argv[i], "--json|-j"))
			return true;
	return false;
}

size_t command_line_parse(
	const struct command_line *line, int argc, char **argv, struct common *common, const char **args)
{
	struct argp_option all[OPTIONS_MAX] = {{0}};
	struct parsing p = {line, argv[0], common, args, 0};
	size_t n = 0;

	for (const struct argp_option *o = line->options; o && (o->name || o->doc); o++)
		all[n++] = *o;
	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		if (!shared[i].group || shared[i].group & line->takes)
			all[n++] = shared[i].option;
	if (argc == 2 && !strcmp(argv[1], "--words")) {
		words_say(line->args_doc, all);
		exit(EXIT_DONE);
	}
	const struct argp argp = {
		.options = all, .parser = parse, .args_doc = line->args_doc, .doc = line->doc};
	program_invocation_name = argv[0];
	program_invocation_short_name = argv[0];
	say_json_wanted(asks_json(line, argc, argv));
	look_at_options(&p, all, argc, argv);
	argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &p);
	say_setup(common);
	if (line->stoppable)
		signals_stop();
	return p.n;
}

bool common_option_takes_value(const char *word)
{
	const struct argp_option *o = str_starts(word, "--") ? shared_option(word + 2) : NULL;

	return o && o->arg;
}

void common_free(struct common *common)
{
	free(common->overrides);
}

void usage_error(const char *verb, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_mistake(verb, format, args);
	va_end(args);
	exit(say_finish(EXIT_USAGE));
}
