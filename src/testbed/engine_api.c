/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls of the Engine API, by libcurl.
 *
 * The library is loaded when an engine is first spoken to.  With all that it needs it is many times the size
 * of taut, which without this would pay for it at every start and carry it into every emulated host.
 *
 * A call ends within its patience; an interrupt shortens that, but lets what was begun have an answer:
 * whether a container has been made must be known.  A second interrupt ends it at once, but no removal.
 */
#include "engine_api.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#define ANSWER_MAX     (4u << 20)
#define PATIENCE_NS    (60 * NS_PER_S)
#define INTERRUPTED_NS (10 * NS_PER_S)
#define WORDS_MAX      400

/* --- the library ------------------------------------------------------------------------------- */

struct library {
	CURL *(*init)(void);
	CURLcode (*setopt)(CURL *, CURLoption, ...);
	CURLcode (*perform)(CURL *);
	CURLcode (*getinfo)(CURL *, CURLINFO, ...);
	void (*cleanup)(CURL *);
	const char *(*strerror)(CURLcode);
	struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
	void (*slist_free_all)(struct curl_slist *);
};

static int library_load(struct library *out, struct err *e)
{
	const struct {
		const char *name;
		void *at;
	} symbols[] = {{"curl_easy_init", &out->init}, {"curl_easy_setopt", &out->setopt},
		{"curl_easy_perform", &out->perform}, {"curl_easy_getinfo", &out->getinfo},
		{"curl_easy_cleanup", &out->cleanup}, {"curl_easy_strerror", &out->strerror},
		{"curl_slist_append", &out->slist_append}, {"curl_slist_free_all", &out->slist_free_all}};
	void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		err_set(e, ENOENT, "cannot speak to container engines: %s", dlerror());
		return err_try(e, "apt-get install libcurl4");
	}
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		void *found = dlsym(handle, symbols[i].name);
		if (!found)
			return err_set(e, ENOENT, "cannot speak to container engines: libcurl has no %s",
				symbols[i].name);
		memcpy(symbols[i].at, &found, sizeof(found));
	}
	return 0;
}

static const struct library *library(struct err *e)
{
	static struct library loaded;

	return loaded.init || library_load(&loaded, e) == 0 ? &loaded : NULL;
}

/* --- one call ---------------------------------------------------------------------------------- */

struct call {
	struct buf said;
	bool too_long, interrupted, removes;
	uint64_t begun_ns;
	pid_t server;
};

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	struct call *call = arg;

	call->too_long = call->said.len + size * n > ANSWER_MAX;
	if (call->too_long)
		return 0;
	buf_put(&call->said, data, size * n);
	return size * n;
}

static int look(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct call *call = arg;

	(void)a, (void)b, (void)c, (void)d;
	call->interrupted = !call->removes &&
			    (stop_flag > 1 || (stop_flag && time_now_ns() - call->begun_ns > INTERRUPTED_NS));
	return call->interrupted;
}

static curl_socket_t socket_make(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)arg, (void)purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* By then it was connected, if it ever was, and tells whose it is. */
static int socket_close(void *arg, curl_socket_t fd)
{
	struct call *call = arg;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		call->server = peer.pid;
	return close(fd);
}

static void configure(const struct library *lib, CURL *curl, const struct engine *g,
	const struct engine_request *r, struct call *call)
{
	uint64_t patience_ns = boot_patience_ns(r->patience_ns ? r->patience_ns : PATIENCE_NS);

	lib->setopt(curl, CURLOPT_UNIX_SOCKET_PATH, g->socket);
	lib->setopt(curl, CURLOPT_PROXY, "");
	lib->setopt(curl, CURLOPT_NOSIGNAL, 1L);
	lib->setopt(curl, CURLOPT_TIMEOUT_MS, (long)(patience_ns / NS_PER_MS));
	lib->setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
	lib->setopt(curl, CURLOPT_OPENSOCKETFUNCTION, socket_make);
	lib->setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, socket_close);
	lib->setopt(curl, CURLOPT_CLOSESOCKETDATA, call);
	lib->setopt(curl, CURLOPT_WRITEFUNCTION, take);
	lib->setopt(curl, CURLOPT_WRITEDATA, call);
	lib->setopt(curl, CURLOPT_NOPROGRESS, 0L);
	lib->setopt(curl, CURLOPT_XFERINFOFUNCTION, look);
	lib->setopt(curl, CURLOPT_XFERINFODATA, call);
}

/* Why nothing came back. */
static int not_answered(const struct library *lib, CURL *curl, CURLcode code, const struct call *call,
	const struct engine *g, struct err *e)
{
	long reason = 0;

	lib->getinfo(curl, CURLINFO_OS_ERRNO, &reason);
	if (call->interrupted)
		return err_set(e, EINTR, "interrupted");
	if (call->too_long)
		return err_set(
			e, EMSGSIZE, "the answer from %s is longer than %u MiB", g->socket, ANSWER_MAX >> 20);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return err_set(e, ETIMEDOUT, "no answer from %s in time", g->socket);
	if (code == CURLE_COULDNT_CONNECT && reason == EACCES) {
		err_refused(e, "no permission for %s", g->socket);
		return err_try(e, "run as root");
	}
	if (code == CURLE_COULDNT_CONNECT && reason > 0) {
		err_code(e, (int)reason, "nobody answers at %s", g->socket);
		return err_try(e, "start the engine");
	}
	return err_set(e, EIO, "%s: %s", g->socket, lib->strerror(code));
}

/* What an engine says of a call that it refuses: {"message": "…"}, or any text. */
static int refused(long status, const struct buf *said, struct err *e)
{
	json_t *answer = json_loadb(said->data ? said->data : "", said->len, 0, NULL);
	const char *message = json_string_value(json_object_get(answer, "message"));
	AUTO_FREE char *words = str_format("%.*s", WORDS_MAX,
		message && *message ? message
		: said->data        ? said->data
				    : "");

	err_set(e,
		status == 404   ? ENOENT
		: status == 409 ? EEXIST
				: EIO,
		"%s (HTTP status %ld)",
		*words ? str_printable(str_trim(words)) : "the engine refuses without a word", status);
	json_decref(answer);
	return -e->code;
}

static int perform(const struct library *lib, CURL *curl, const struct engine *g,
	const struct engine_request *r, struct call *call, struct err *e)
{
	AUTO_FREE char *body = r->body ? json_dumps(r->body, JSON_COMPACT) : NULL;
	AUTO_FREE char *url = str_format("http://engine%s%s%s", *g->api ? "/" : "", g->api, r->path);
	struct curl_slist *headers = lib->slist_append(
		NULL, r->data ? "Content-Type: application/x-tar" : "Content-Type: application/json");
	const char *data = r->data ? r->data : body ? body : "";
	size_t len = r->data ? r->data_len : strlen(data);
	long status = 0;

	configure(lib, curl, g, r, call);
	lib->setopt(curl, CURLOPT_URL, url);
	lib->setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (strcmp(r->method, "GET") != 0) {
		lib->setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
		lib->setopt(curl, CURLOPT_POSTFIELDS, data);
	}
	call->begun_ns = time_now_ns();
	call->removes = r->removes;
	CURLcode code = lib->perform(curl);
	lib->slist_free_all(headers);
	if (code != CURLE_OK)
		return not_answered(lib, curl, code, call, g, e);
	lib->getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300 ? 0 : status == 304 ? 0 : refused(status, &call->said, e);
}

static int call_make(const struct engine *g, struct engine_request *request, struct call *call, struct err *e)
{
	const struct library *lib = library(e);
	CURL *curl = lib ? lib->init() : NULL;
	int rc = !lib    ? -e->code
		 : !curl ? err_code(e, ENOMEM, "no handle of libcurl")
			 : perform(lib, curl, g, request, call, e);

	if (curl)
		lib->cleanup(curl);
	json_decref(steal_ptr(&request->body));
	return rc < 0 ? err_wrap(e, "cannot %s", request->what) : 0;
}

int engine_call(const struct engine *g, struct engine_request *request, char **answer, struct err *e)
{
	AUTO(buf_free) struct buf none = {0};
	struct call call = {0};
	int rc = call_make(g, request, &call, e);

	none = call.said;
	if (rc < 0 || !answer)
		return rc;
	if (!none.data)
		buf_put(&none, "", 0);
	*answer = none.data ? steal_ptr(&none.data) : str_dup("");
	return 0;
}

int engine_ask(const struct engine *g, struct engine_request *request, json_t **answer, struct err *e)
{
	AUTO_FREE char *text = NULL;
	json_error_t why;
	int rc = engine_call(g, request, &text, e);

	if (rc < 0)
		return rc;
	json_t *read = json_loads(text, 0, &why);
	if (!read)
		return err_set(e, EPROTO, "cannot %s: the answer is no JSON: %s", request->what, why.text);
	*answer = read;
	return 0;
}

/* --- which one --------------------------------------------------------------------------------- */

int engine_socket(const struct engine_row *row, const char **out, struct err *e)
{
	const char *named = getenv(row->variable);

	*out = NULL;
	if (named && *named && !str_starts(named, "unix://")) {
		err_usage(e, "cannot use %s '%s': taut speaks with an engine of this machine", row->variable,
			named);
		return err_try(e, "%s=unix:///PATH", row->variable);
	}
	if (named && *named)
		*out = str_keep(named + strlen("unix://"));
	for (size_t i = 0; !*out && i < ARRAY_LEN(row->sockets); i++)
		if (access(row->sockets[i], F_OK) == 0)
			*out = row->sockets[i];
	return 0;
}

int engine_open_at(struct engine *out, const char *socket, struct err *e)
{
	struct engine g = {0};
	struct engine_request request = {
		.method = "GET", .path = "/version", .what = "ask the engine for its version"};
	AUTO(buf_free) struct buf said = {0};
	struct call call = {0};

	if (str_copy(g.socket, sizeof(g.socket), socket))
		return err_set(e, ENAMETOOLONG, "cannot use %s: no socket has so long a path", socket);
	int rc = call_make(&g, &request, &call, e);
	said = call.said;
	if (rc < 0)
		return rc;
	json_t *answer = json_loadb(said.data ? said.data : "", said.len, 0, NULL);
	rc = engine_version_read(&g, answer, e);
	json_decref(answer);
	g.server = call.server;
	if (rc == 0)
		*out = g;
	return rc;
}

/* Podman starts several programs to answer this, so each engine is asked once. */
int engine_cgroup_paths(const struct engine *g, bool *out, struct err *e)
{
	static struct {
		char socket[sizeof(g->socket)];
		pid_t server;
		bool paths;
	} known;
	struct engine_request request = {
		.method = "GET", .path = "/info", .what = "ask the engine for its cgroups"};
	json_t *answer = NULL;

	if (!g->server || known.server != g->server || strcmp(known.socket, g->socket) != 0) {
		int rc = engine_ask(g, &request, &answer, e);
		if (rc < 0)
			return rc;
		const char *driver = json_string_value(json_object_get(answer, "CgroupDriver"));
		known.paths = driver && !strcmp(driver, "cgroupfs");
		known.server = g->server;
		str_copy(known.socket, sizeof(known.socket), g->socket);
		json_decref(answer);
	}
	*out = known.paths;
	return 0;
}

int engine_open(struct engine *out, const struct engine_row *row, struct err *e)
{
	const char *socket;
	int rc = engine_socket(row, &socket, e);

	if (rc < 0)
		return rc;
	if (!socket) {
		err_set(e, ENOENT, "cannot find %s: there is no socket %s", row->title, row->sockets[0]);
		return err_try(e, "%s, or %s=unix:///PATH", row->install, row->variable);
	}
	return engine_open_at(out, socket, e);
}
