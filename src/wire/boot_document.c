/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "boot_document.h"

#include "wire.h"

#define SIDE_MAX 65535 /* of a terminal, and the longest that a packet can be */

static const char *const role_names[BOOT_ROLES_N] = {
	[BOOT_GUEST] = "guest",
	[BOOT_HOST] = "host",
	[BOOT_EXACT] = "exact",
	[BOOT_SHELL] = "shell",
	[BOOT_PROBE] = "probe",
};

static const struct field boot_fields[] = {
	FIELD(FIELD_TEXT, struct boot_document, address),
	FIELD(FIELD_TEXT, struct boot_document, mac),
	FIELD(FIELD_U64, struct boot_document, prefix),
	FIELD(FIELD_U64, struct boot_document, mtu),
	FIELD(FIELD_U64, struct boot_document, rows),
	FIELD(FIELD_U64, struct boot_document, columns),
	FIELD(FIELD_TEXT, struct boot_document, term),
};

json_t *boot_document_json(const struct boot_document *d)
{
	json_t *object = json_object();

	fields_to_json(boot_fields, ARRAY_LEN(boot_fields), d, object);
	json_object_set_new(object, "role", json_string(role_names[d->role]));
	if (d->script)
		json_object_set_new(object, "script", json_string(d->script));
	if (d->plan)
		json_object_set(object, "plan", d->plan);
	return object;
}

static int role_read(enum boot_role *role, const json_t *value, struct err *e)
{
	for (size_t i = 0; json_is_string(value) && i < ARRAY_LEN(role_names); i++)
		if (!strcmp(json_string_value(value), role_names[i])) {
			*role = (enum boot_role)i;
			return 0;
		}
	return err_set(e, EINVAL, "it names no role that is known");
}

/* What goes with a role, and with no other. */
static int parts_check(const struct boot_document *d, const json_t *script, const json_t *plan, struct err *e)
{
	if (d->prefix > 128 || d->mtu > SIDE_MAX || d->rows > SIDE_MAX || d->columns > SIDE_MAX)
		return err_set(e, EINVAL, "a number is out of range");
	if (script && (!json_is_string(script) || d->role != BOOT_SHELL ||
			      strlen(json_string_value(script)) != json_string_length(script)))
		return err_set(e, EINVAL, "'script' is no text, or of no shell");
	if (plan ? !json_is_object(plan) || d->role != BOOT_EXACT : d->role == BOOT_EXACT)
		return err_set(e, EINVAL, "'plan' is %s", plan ? "no object, or of another role" : "missing");
	return 0;
}

int boot_document_from_json(struct boot_document *d, const json_t *object, struct err *e)
{
	const json_t *script = json_object_get(object, "script");
	json_t *plan = json_object_get(object, "plan");
	struct boot_document made = {0};
	int rc = fields_from_json(
		boot_fields, ARRAY_LEN(boot_fields), &made, object, "role|script|plan", READ_STREAM, e);

	if (rc == 0)
		rc = role_read(&made.role, json_object_get(object, "role"), e);
	if (rc == 0)
		rc = parts_check(&made, script, plan, e);
	if (rc < 0)
		return rc;
	made.script = str_dup(json_string_value(script));
	made.plan = json_incref(plan);
	*d = made;
	return 0;
}

int boot_document_load(struct boot_document *d, const char *path, struct err *e)
{
	json_error_t mistake;
	json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, &mistake);
	int rc = object ? boot_document_from_json(d, object, e) : err_set(e, EINVAL, "%s", mistake.text);

	json_decref(object);
	return rc < 0 ? err_wrap(e, "cannot read %s", path) : 0;
}

void boot_document_free(struct boot_document *d)
{
	free(d->script);
	json_decref(d->plan);
	d->script = NULL;
	d->plan = NULL;
}
