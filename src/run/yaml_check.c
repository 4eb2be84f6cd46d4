/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A first pass over a YAML text, event by event.  It keeps nothing, so it stops at the first thing that is
 * wrong, and whenever it is asked to.  libyaml's own loader knows no stop and no limit of nesting, and its
 * time grows with the square of the depth; what follows behind the first document it does not read at all.
 */
#include "yaml_check.h"

#include <yaml.h>

#define DEPTH_MAX 64

struct check {
	const char *origin, *text;
	size_t depth, documents;
};

/* Where libyaml could not decode the text, it knows the byte and not the line. */
static size_t line_of_byte(const char *text, size_t offset)
{
	size_t line = 1;

	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

static int not_yaml(const struct check *c, const yaml_parser_t *parser, size_t len, struct err *e)
{
	size_t line = parser->error == YAML_READER_ERROR
			      ? line_of_byte(c->text, MIN(parser->problem_offset, len))
			      : parser->problem_mark.line + 1;

	if (parser->error == YAML_MEMORY_ERROR)
		return err_code(e, ENOMEM, "cannot read %s", c->origin);
	return err_usage(e, "%s:%zu: %s", c->origin, line, parser->problem ? parser->problem : "not YAML");
}

static int check_event(struct check *c, const yaml_event_t *event, struct err *e)
{
	size_t line = event->start_mark.line + 1;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++c->documents > 1)
			return err_usage(e,
				"%s:%zu: a second document begins here; a file holds one experiment",
				c->origin, line);
		return 0;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++c->depth > DEPTH_MAX)
			return err_usage(e, "%s:%zu: nested more than %d deep", c->origin, line, DEPTH_MAX);
		return 0;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		c->depth--;
		return 0;
	case YAML_SCALAR_EVENT:
		if (memchr(event->data.scalar.value, 0, event->data.scalar.length))
			return err_usage(
				e, "%s:%zu: a value holds the character NUL, which ends it", c->origin, line);
		return 0;
	default:
		return 0;
	}
}

int yaml_check(const char *origin, const char *text, size_t len, struct err *e)
{
	struct check c = {.origin = origin, .text = text};
	yaml_parser_t parser;
	bool end = false;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return err_code(e, ENOMEM, "cannot read %s", origin);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (rc == 0 && !end) {
		yaml_event_t event;
		if (stop_flag) {
			rc = err_set(e, EINTR, "cannot read %s: interrupted", origin);
		} else if (!yaml_parser_parse(&parser, &event)) {
			rc = not_yaml(&c, &parser, len, e);
		} else {
			rc = check_event(&c, &event, e);
			end = event.type == YAML_STREAM_END_EVENT;
			yaml_event_delete(&event);
		}
	}
	yaml_parser_delete(&parser);
	return rc;
}
