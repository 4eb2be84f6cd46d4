/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image of a server in a container engine, and the removal of all that taut has made there.
 *
 * The image is a tar with one file, the static agent, which is imported; nothing is fetched.  It has no name,
 * so it can take none away from an image of the user's, and one label, which names the owner record.  Each
 * target makes its own, in a tenth of a second, and removes it.
 */
#include "engine.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>

#define AGENT_MAX_BYTES (256u << 20)
#define TAR_ROOM        (64u << 10)
#define DELETE_TRIES    3
#define END_NS          (10 * NS_PER_S)

static int write_tar(struct archive *a, const void *program, size_t len, void *out, size_t room, size_t *used)
{
	struct archive_entry *entry = archive_entry_new();
	int rc = archive_write_set_format_ustar(a);

	if (rc == ARCHIVE_OK)
		rc = archive_write_open_memory(a, out, room, used);
	if (rc == ARCHIVE_OK && entry) {
		archive_entry_set_pathname(entry, "taut-agent");
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_perm(entry, 0755);
		archive_entry_set_size(entry, (la_int64_t)len);
		rc = archive_write_header(a, entry);
	}
	if (rc == ARCHIVE_OK && archive_write_data(a, program, len) != (la_ssize_t)len)
		rc = ARCHIVE_FATAL;
	if (rc == ARCHIVE_OK)
		rc = archive_write_close(a);
	archive_entry_free(entry);
	return rc == ARCHIVE_OK && entry ? 0 : -EIO;
}

/* The tar with the agent in it, malloc'd. */
static int tar_make(const char *agent, char **out, size_t *len, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	AUTO_FREE char *program = NULL;
	size_t program_len = 0;
	int rc = root < 0 ? root : root_read_all(root, agent, &program, &program_len, e);

	if (rc < 0)
		return rc;
	if (program_len > AGENT_MAX_BYTES)
		return err_set(e, EFBIG, "cannot use %s: no agent is that large", agent);
	struct archive *a = archive_write_new();
	size_t room = program_len + TAR_ROOM;
	AUTO_FREE char *tar = mem_alloc(room);
	rc = a ? write_tar(a, program, program_len, tar, room, len) : -ENOMEM;
	archive_write_free(a);
	if (rc < 0)
		return err_code(e, -rc, "cannot pack %s", agent);
	*out = steal_ptr(&tar);
	return 0;
}

/* Is the label there by which the image is found again? */
static int label_check(const struct engine *g, const char *image, const char *owner, struct err *e)
{
	AUTO_FREE char *path = str_format("/images/%s/json", image);
	struct engine_request request = {
		.method = "GET", .path = path, .what = "look at the image of the agent"};
	json_t *answer = NULL;
	int rc = engine_ask(g, &request, &answer, e);

	if (rc < 0)
		return rc;
	const char *label = json_string_value(
		json_object_get(json_object_get(json_object_get(answer, "Config"), "Labels"), ENGINE_OWNER));
	if (!label || strcmp(label, owner) != 0)
		rc = err_set(e, ENOTSUP, "cannot use %s: it gives images no label", g->socket);
	json_decref(answer);
	return rc;
}

static int image_remove(const struct engine *g, const char *image, struct err *e)
{
	AUTO_FREE char *path = str_format("/images/%s?force=true", image);
	struct engine_request request = {
		.method = "DELETE", .path = path, .what = "remove the image of the agent", .removes = true};
	struct err why = ERR_INIT;
	int rc = engine_call(g, &request, NULL, &why);

	if (rc < 0 && rc != -ENOENT)
		*e = why;
	return rc == -ENOENT ? 0 : rc;
}

int engine_image_make(const struct engine *g, const char *agent, const char *owner, char out[ENGINE_ID_BYTES],
	struct err *e)
{
	AUTO_FREE char *path =
		str_format("/images/create?fromSrc=-&changes=LABEL%%20" ENGINE_OWNER "%%3D%s", owner);
	struct engine_request request = {
		.method = "POST", .path = path, .what = "import the image of the agent"};
	AUTO_FREE char *tar = NULL;
	AUTO_FREE char *answer = NULL;
	int rc = tar_make(agent, &tar, &request.data_len, e);

	request.data = tar;
	if (rc == 0)
		rc = engine_call(g, &request, &answer, e);
	if (rc == 0)
		rc = engine_import_read(out, answer, e);
	if (rc < 0)
		return rc;
	rc = label_check(g, out, owner, e);
	if (rc < 0)
		image_remove(g, out, ERR_IGNORED);
	return rc;
}

/* --- removal ----------------------------------------------------------------------------------- */

/*
 * A container that is about to end by itself, as one does whose agent was killed, may refuse: the engine sees
 * it running, and finds it stopped.  Then its end is waited for, and it is tried again.
 */
static int container_delete(const struct engine *g, const char *id, struct err *e)
{
	AUTO_FREE char *path = str_format("/containers/%s?force=true&v=true", id);
	AUTO_FREE char *ends = str_format("/containers/%s/wait", id);
	int rc = -EIO;

	for (int i = 0; i < DELETE_TRIES && rc < 0 && rc != -ENOENT; i++) {
		struct engine_request wait = {.method = "POST",
			.path = ends,
			.what = "wait for the end of the container",
			.patience_ns = END_NS,
			.removes = true};
		struct engine_request request = {
			.method = "DELETE", .path = path, .what = "remove the container", .removes = true};
		if (i > 0)
			engine_call(g, &wait, NULL, ERR_IGNORED);
		rc = engine_call(g, &request, NULL, e);
	}
	return rc == -ENOENT ? 0 : rc;
}

/* The container of that name, if it bears that label: another's may have the name. */
static int container_remove(const struct engine *g, const char *owner, struct err *e)
{
	AUTO_FREE char *look = str_format("/containers/%s/json", owner);
	struct engine_request request = {
		.method = "GET", .path = look, .what = "look for the container", .removes = true};
	struct engine_container c;
	struct err why = ERR_INIT;
	json_t *answer = NULL;
	int rc = engine_ask(g, &request, &answer, &why);

	if (rc == 0)
		rc = engine_container_read(&c, answer, &why);
	json_decref(answer);
	if (rc == -ENOENT || (rc == 0 && strcmp(c.owner, owner) != 0))
		return 0;
	if (rc == 0)
		rc = container_delete(g, c.id, &why);
	if (rc < 0)
		*e = why;
	return rc;
}

static int images_remove(const struct engine *g, const char *owner, struct err *e)
{
	AUTO_FREE char *path = str_format("/images/json?filters=%%7B%%22label%%22%%3A%%5B%%22" ENGINE_OWNER
					  "%%3D%s%%22%%5D%%7D",
		owner);
	struct engine_request request = {
		.method = "GET", .path = path, .what = "look for the image of the agent", .removes = true};
	json_t *answer = NULL, *image;
	size_t i;
	int rc = engine_ask(g, &request, &answer, e);

	json_array_foreach (answer, i, image) {
		const char *id = json_string_value(json_object_get(image, "Id")),
			   *label = json_string_value(
				   json_object_get(json_object_get(image, "Labels"), ENGINE_OWNER));
		if (!id || !label || strcmp(label, owner) != 0)
			continue;
		if (str_starts(id, "sha256:"))
			id += strlen("sha256:");
		int one = engine_name_valid(id) ? image_remove(g, id, rc < 0 ? ERR_IGNORED : e) : 0;
		rc = rc < 0 ? rc : one;
	}
	json_decref(answer);
	return rc;
}

int engine_remove(const struct engine *g, const char *owner, const char *image, struct err *e)
{
	int rc = container_remove(g, owner, e);
	struct err *second = rc < 0 ? ERR_IGNORED : e;
	int images = *image ? image_remove(g, image, second) : images_remove(g, owner, second);

	return rc < 0 ? rc : images;
}
