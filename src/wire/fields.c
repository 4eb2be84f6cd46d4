/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire.h"

#include <math.h>
#include <stdio.h>

static json_t *field_value(const struct field *f, const void *p)
{
	switch (f->type) {
	case FIELD_U64:
	case FIELD_I64:
		return json_integer(*(const int64_t *)p);
	case FIELD_DOUBLE:
		return isfinite(*(const double *)p) ? json_real(*(const double *)p) : json_null();
	case FIELD_BOOL:
		return json_boolean(*(const bool *)p);
	case FIELD_TEXT:
	case FIELD_LINES:
		return json_string(p);
	}
	return NULL;
}

void fields_to_json(const struct field *fields, size_t n, const void *value, json_t *object)
{
	for (size_t i = 0; i < n; i++) {
		json_t *made = field_value(&fields[i], (const char *)value + fields[i].offset);
		/* A text that is not UTF-8, such as a name from the kernel, becomes "?" and not a missing
		 * key. */
		json_object_set_new(object, fields[i].key, made ? made : json_string("?"));
	}
}

static int field_read(const struct field *f, void *p, const json_t *value, enum reading how)
{
	switch (f->type) {
	case FIELD_U64:
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return -EINVAL;
		*(uint64_t *)p = (uint64_t)json_integer_value(value);
		return 0;
	case FIELD_I64:
		if (!json_is_integer(value))
			return -EINVAL;
		*(int64_t *)p = json_integer_value(value);
		return 0;
	case FIELD_DOUBLE:
		if (!json_is_number(value) && !json_is_null(value))
			return -EINVAL;
		*(double *)p = json_is_null(value) ? (double)NAN : json_number_value(value);
		return 0;
	case FIELD_BOOL:
		if (!json_is_boolean(value))
			return -EINVAL;
		*(bool *)p = json_is_true(value);
		return 0;
	case FIELD_TEXT:
	case FIELD_LINES:
		if (!json_is_string(value) || json_string_length(value) != strlen(json_string_value(value)))
			return -EINVAL;
		if (how == READ_STREAM && json_string_length(value) >= f->size)
			return -EINVAL;
		snprintf(p, f->size, "%s", json_string_value(value));
		if (f->type == FIELD_TEXT)
			str_printable(p);
		else
			str_printable_lines(p);
		return 0;
	}
	return -EINVAL;
}

static void field_default(const struct field *f, void *p)
{
	switch (f->type) {
	case FIELD_U64:
	case FIELD_I64:
		*(int64_t *)p = 0;
		break;
	case FIELD_DOUBLE:
		*(double *)p = (double)NAN;
		break;
	case FIELD_BOOL:
		*(bool *)p = false;
		break;
	case FIELD_TEXT:
	case FIELD_LINES:
		*(char *)p = 0;
		break;
	}
}

static bool known(const struct field *fields, size_t n, const char *key, const char *others)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(fields[i].key, key))
			return true;
	return others && str_in(key, others);
}

int fields_from_json(const struct field *fields, size_t n, void *value, const json_t *object,
	const char *others, enum reading how, struct err *e)
{
	const char *key;
	json_t *item;

	if (how == READ_ARCHIVE && !object)
		object = json_null(); /* a part that did not exist yet */
	else if (!json_is_object(object))
		return err_set(e, EINVAL, "not an object");
	for (size_t i = 0; i < n; i++) {
		void *p = (char *)value + fields[i].offset;
		item = json_object_get(object, fields[i].key);
		if (!item && how == READ_ARCHIVE)
			field_default(&fields[i], p);
		else if (!item || field_read(&fields[i], p, item, how))
			return err_set(e, EINVAL, "'%s' is %s", fields[i].key,
				item ? "of the wrong type or size" : "missing");
	}
	if (how == READ_ARCHIVE)
		return 0;
	json_object_foreach ((json_t *)(uintptr_t)object, key, item)
		if (!known(fields, n, key, others))
			return err_set(e, EINVAL, "'%.60s' is not known", key);
	return 0;
}
