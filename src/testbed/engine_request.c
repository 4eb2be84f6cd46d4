/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What taut asks of an engine for its container.
 *
 * The container is what the engine makes of a plain request: with its seccomp filter, its security profile
 * and its mounts, since these are part of what is measured.  It may do no more than an endpoint needs: no
 * capability but those that the trial requires, a root file system that it cannot write, nothing gained by
 * exec.  Limits of files and processes are always named, at what taut and the engine have themselves, for an
 * engine would raise them, which it cannot where it was given fewer rights.
 */
#include "engine.h"

#include <stdio.h>
#include <sys/resource.h>

/* The least of what taut and the engine may have: Podman lowers its own. */
static rlim_t most(pid_t engine, __rlimit_resource_t resource)
{
	struct rlimit own = {.rlim_max = RLIM_INFINITY}, its = {.rlim_max = RLIM_INFINITY};

	getrlimit(resource, &own);
	if (engine > 0)
		prlimit(engine, resource, NULL, &its);
	return MIN(own.rlim_max, its.rlim_max);
}

static json_t *ulimits(pid_t engine)
{
	static const struct {
		const char *name;
		__rlimit_resource_t resource;
	} rows[] = {{"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}};
	json_t *out = json_array();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rlim_t found = most(engine, rows[i].resource);
		json_int_t limit = found == RLIM_INFINITY ? -1 : (json_int_t)found;
		json_array_append_new(out,
			json_pack("{s:s, s:I, s:I}", "Name", rows[i].name, "Soft", limit, "Hard", limit));
	}
	return out;
}

static json_t *host_part(const struct target *t)
{
	AUTO_FREE char *bind = str_format("%s/control:" ENGINE_CONTROL, t->owner.folder);
	json_t *host = json_pack("{s:s, s:[s], s:b, s:[s], s:o, s:[s], s:o, s:{s:s}, s:{s:s}}", "NetworkMode",
		engine_network_mode(t), "Binds", bind, "ReadonlyRootfs", 1, "CapDrop", "ALL", "CapAdd",
		server_capabilities(&t->plan), "SecurityOpt", "no-new-privileges", "Ulimits",
		ulimits(t->engine->engine.server), "LogConfig", "Type", "none", "RestartPolicy", "Name",
		"no");

	if (t->plan.settings.cpu_quota)
		json_object_set_new(
			host, "NanoCpus", json_integer((json_int_t)(t->plan.settings.cpu_quota * 10000000)));
	if (t->groups.root[0])
		json_object_set_new(host, "CgroupParent", json_string(t->groups.root));
	return host;
}

json_t *engine_create_body(const struct target *t, const char *image)
{
	json_t *host = host_part(t);
	json_t *config = json_pack("{s:s, s:[s], s:[s, s, s], s:[s], s:{s:s}}", "Image", image, "Entrypoint",
		"/taut-agent", "Cmd", "endpoint", t->server.name, ENGINE_CONTROL, "Env", undo_mark(),
		"Labels", ENGINE_OWNER, t->owner.id);

	engine_ports_add(t, config, host);
	json_object_set_new(config, "HostConfig", host);
	return config;
}
