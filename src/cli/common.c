/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The options that several verbs share.  A verb says which of them it takes and brings its own; both go to
 * argp as one list, so that
 * --help shows them together and an unknown one is refused with the verb's name.
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
	{0, {NULL, 'h', NULL, OPTION_HIDDEN, NULL, 10}}, /* as --help */
};

struct parsing {
	const struct command_line *line;
	struct common *common;
	const char **args;
	size_t n;
};

static void take_number(
	const char *name, const char *value, uint64_t max, uint64_t *out, struct argp_state *state)
{
	if (str_u64(value, out) || *out < 1 || *out > max)
		argp_error(state, "cannot set --%s to '%s': it wants a whole number from 1 to %llu", name,
			value, (unsigned long long)max);
}

/* KEY=VALUE is cut at the first '='; the value is checked when settings are made of it. */
static void take_override(struct common *common, char *text, struct argp_state *state)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text) {
		argp_error(state, "cannot use --set '%s': it wants KEY=VALUE", text);
		return;
	}
	*equals = 0;
	common->overrides = mem_grow(common->overrides, common->overrides_n + 1, sizeof(*common->overrides));
	common->overrides[common->overrides_n++] =
		(struct setting_override){.key = text, .value = equals + 1};
}

static error_t parse_shared(int key, char *value, struct common *common, struct argp_state *state)
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
		take_number("seed", value, INT64_MAX, &common->seed, state);
		return 0;
	case KEY_BLOCKS:
		take_number("blocks", value, 1000, &common->blocks, state);
		return 0;
	case KEY_SET:
		take_override(common, value, state);
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
static void missing(const char *args_doc, struct argp_state *state)
{
	AUTO_FREE char *ways = str_dup(args_doc);

	for (char *p = ways; *p; p++)
		*p = *p == '\n' ? '|' : *p;
	argp_error(state, "an argument is missing: %s", ways);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct parsing *p = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (p->n >= p->line->args_max)
			argp_error(state, "'%s' is one argument too many", value);
		p->args[p->n++] = value;
		return 0;
	case ARGP_KEY_END:
		if (p->n < p->line->args_min)
			missing(p->line->args_doc, state);
		return 0;
	case 'h':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	default:
		if (p->line->parse && p->line->parse(key, value, p->line->verb) == 0)
			return 0;
		return parse_shared(key, value, p->common, state);
	}
}

size_t command_line_parse(
	const struct command_line *line, int argc, char **argv, struct common *common, const char **args)
{
	struct argp_option all[96] = {{0}};
	struct parsing p = {line, common, args, 0};
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
	argp_parse(&argp, argc, argv, 0, NULL, &p);
	say_setup(common);
	if (line->stoppable)
		signals_stop();
	return p.n;
}

void common_free(struct common *common)
{
	free(common->overrides);
}

void usage_error(const char *verb, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(verb, format, args);
	va_end(args);
	exit(EXIT_USAGE);
}
