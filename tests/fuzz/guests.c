/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What guests, and the programs that get at them, say. */
#include "fuzz.h"

#include "boot/machine.h"
#include "login/private.h"
#include "login/qga.h"
#include "testbed/engine_api.h"
#include "testbed/oci.h"

/*
 * What a guest agent says on its port, to somebody who greets it and asks it twice; and what libvirt prints
 * of a domain.
 */
FUZZ_TARGET(qga)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	struct domain domain = {0};
	char path[64];
	json_t *value = NULL;

	domain_command_read(&domain, text, size);
	assert(!domain.mac[0] || strlen(domain.mac) == 17);
	domain_command_names(text, size, "a,b");
	domain_xml_channel(text, "taut.control", path, sizeof(path));
	if (qga_reply_read(text, size, &value, ERR_IGNORED) == 0)
		json_decref(value);
	AUTO_CLOSE int other = -1;
	AUTO_CLOSE int fd = fuzz_stream(data, size, &other);
	const struct qga q = {.fd = fd};
	struct qga_program program = {.pid = 1};
	uint64_t deadline = time_now_ns() + NS_PER_S;
	if (fd >= 0 && qga_able(&q, deadline, ERR_IGNORED) == 0)
		qga_look(&q, &program, deadline, ERR_IGNORED);
}

/* What QEMU's monitor says. */
FUZZ_TARGET(qmp)
{
	json_t *reply = NULL;
	bool greeted = false;
	AUTO_CLOSE int other = -1;
	AUTO_CLOSE int fd = fuzz_stream(data, size, &other);

	if (fd < 0)
		return;
	if (qmp_command(fd, &greeted, "query-cpus-fast", &reply, time_now_ns() + NS_PER_S, ERR_IGNORED) == 0)
		assert(greeted && reply);
	json_decref(reply);
}

/* What a guest writes to its console: the first byte says how much room there is to show it. */
FUZZ_TARGET(console)
{
	static struct ring ring;
	char out[256];

	ring.total = 0;
	for (int i = 0; i < 3; i++) /* as one write, and around the end of the ring */
		ring_put(&ring, (const char *)data, size);
	if (size && data[0] & 1)
		ring.total += RING_BYTES - size % RING_BYTES;
	size_t room = size ? 1 + data[0] : 1;
	ring_text(&ring, out, room);
	assert(strlen(out) < room);
	for (const char *c = out; *c; c++)
		assert(*c == '\n' || (*c >= ' ' && *c <= '~'));
}

/* What ssh prints of its configuration, and the guest's login shell to the probe. */
FUZZ_TARGET(ssh)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	struct err e = ERR_INIT;
	char host[256] = "";

	if (ssh_host_read(text, host, sizeof(host)))
		assert(*host && !strchr(host, '\n') && strstr(text, host));
	if (ssh_answer_read(text, &e) < 0)
		assert(!strchr(e.text, 27));
}

/* What virsh prints: a version, lists of names, or what is wrong. */
FUZZ_TARGET(virsh)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	char version[64] = "QEMU";

	domain_hypervisor_read(text, version, sizeof(version));
	domain_listed(text, "web");
	const char *words = domain_words(text);
	assert(strlen(words) <= size && !strchr(words, '\n') && !strchr(words, 27) && !strchr(version, 27));
}

/* What runc and crun print: their version, and in a log what is wrong. */
FUZZ_TARGET(runc)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	AUTO_CLOSE int said = memfd_create("said", MFD_CLOEXEC);
	const struct endpoint ep = {.said = said};
	char version[64], words[320];

	oci_version_read("runc", text, version, sizeof(version));
	assert(strlen(version) > strlen("runc ") && !strchr(version, 27));
	bool whole = write(said, data, size) == (ssize_t)size;
	const char *line = endpoint_words(&ep, words, sizeof(words));
	assert(whole && line >= words && line + strlen(line) < words + sizeof(words) && !strchr(line, '\n'));
}

#if defined(TAUT_ENGINES)
/* What a container engine answers, and what runc and crun write down of a container. */
FUZZ_TARGET(engine)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	json_t *answer = json_loadb((const char *)data, size, 0, NULL);
	struct engine g = {.socket = "/s"};
	struct engine_container c = {0};
	uint64_t start = 0;
	pid_t pid = 0;
	char id[80];

	if (engine_version_read(&g, answer, ERR_IGNORED) == 0)
		assert(str_starts(g.api, "v1."));
	if (engine_container_read(&c, answer, ERR_IGNORED) == 0)
		assert(engine_name_valid(c.id) && c.pid >= 0 && c.status >= 0 && c.status <= 255);
	engine_network_read(answer, "web", ERR_IGNORED);
	if (engine_import_read(id, text, ERR_IGNORED) == 0)
		assert(strlen(id) == 64 && strstr(text, id));
	if (running_state_read(text, &pid, &start))
		assert(pid > 0);
	json_decref(answer);
}
#endif

FUZZ_MAIN
