/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an end of a trial sends, over the control stream and over the network under test. */
#include "fuzz.h"

#include "engine/frame.h"
#include "engine/internal.h"
#include "engine/neighbour.h"
#include "site/guest.h"
#include "wire/job.h"
#include "wire/record.h"

#include <endian.h>
#include <sys/un.h>

/* What an agent sends: frames over the control stream. */
FUZZ_TARGET(frame)
{
	AUTO_CLOSE int other = -1;
	AUTO_CLOSE int fd = fuzz_stream(data, size, &other);
	json_t *body = NULL;

	while (fd >= 0 && frame_recv(fd, &body, time_now_ns() + NS_PER_S, ERR_IGNORED) >= 0)
		json_decref(body);
}

/* What is in a frame: the record of an endpoint. */
FUZZ_TARGET(record)
{
	static struct endpoint_record record, again;
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (object && endpoint_record_from_json(&record, object, READ_STREAM, ERR_IGNORED) == 0) {
		json_t *written = endpoint_record_json(&record);
		int rc = endpoint_record_from_json(&again, written, READ_STREAM, ERR_IGNORED);
		assert(rc == 0 && again.transactions == record.transactions &&
			again.windows_n == record.windows_n);
		json_decref(written);
	}
	json_decref(object);
}

/* What a site sends. */
FUZZ_TARGET(plan)
{
	struct endpoint_job job;
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

	if (object)
		job_from_json(&job, object, ERR_IGNORED);
	json_decref(object);
}

FUZZ_TARGET(hist)
{
	static struct hist h, again;
	size_t len;

	if (hist_decode(&h, data, size, ERR_IGNORED) < 0)
		return;
	AUTO_FREE unsigned char *bytes = hist_encode(&h, &len);
	int rc = hist_decode(&again, bytes, len, ERR_IGNORED);
	assert(rc == 0 && !memcmp(&h, &again, sizeof(h)));
}

/* What the agent in a guest says of its half of the tuning. */
FUZZ_TARGET(knobs)
{
	json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_t *knobs = NULL;

	if (body && guest_knobs_read(body, &knobs, ERR_IGNORED) == 0)
		assert(json_is_array(knobs) &&
			json_array_size(knobs) == json_array_size(json_object_get(body, "knobs")));
	json_decref(knobs);
	json_decref(body);
}

/* Its first word, which says who it is. */
FUZZ_TARGET(hello)
{
	AUTO(buf_free) struct buf frame = {0};
	AUTO_CLOSE int other = -1;
	uint32_t len = htobe32((uint32_t)size);
	unsigned char type = FRAME_HELLO;
	struct kernel_facts k = {0};
	json_t *body = NULL;

	buf_put(&frame, &len, sizeof(len));
	buf_put(&frame, &type, 1);
	buf_put(&frame, data, size);
	AUTO_CLOSE int fd = fuzz_stream((const uint8_t *)frame.data, frame.len, &other);
	if (fd < 0 || frame_expect(fd, FRAME_HELLO, &body, time_now_ns() + NS_PER_S, ERR_IGNORED) < 0)
		return;
	if (frame_hello_read(body, &k, ERR_IGNORED) == 0) {
		json_t *written = kernel_facts_json(&k);
		assert(written && !strchr(k.kernel, 27) && !strchr(k.version, 27));
		json_decref(written);
	}
	json_decref(body);
}

/* --- the network under test -------------------------------------------------------------------- */

#define TOKEN "0123456789abcdef0123456789abcdef"

/* A connection to a server that waits for its client. */
static void to_server(struct flow *f, const uint8_t *data, size_t size)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX}; /* without a name: the kernel gives one */
	socklen_t len = sizeof(name);
	AUTO_CLOSE int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected = bind(f->listen_fd, (struct sockaddr *)&name, sizeof(sa_family_t)) == 0 &&
			 listen(f->listen_fd, 4) == 0 &&
			 getsockname(f->listen_fd, (struct sockaddr *)&name, &len) == 0 &&
			 connect(client, (struct sockaddr *)&name, len) == 0 &&
			 send(client, data, MIN(size, 60000), MSG_NOSIGNAL) >= 0;
	assert(connected);
	shutdown(client, SHUT_WR);
	f->engine->prepare_deadline_ns = time_now_ns() + NS_PER_MS;
	hello_accept(f, ERR_IGNORED);
	if (f->fd >= 0)
		close(steal_fd(&f->fd));
	if (f->listen_fd >= 0)
		close(steal_fd(&f->listen_fd));
}

/* What comes from a port that anybody can reach: to a server, to a client, and as datagrams. */
FUZZ_TARGET(flow)
{
	static struct engine engine = {.stop_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
	static struct flow flow = {.engine = &engine, .driver = &driver_socket, .fd = -1, .listen_fd = -1};
	AUTO_CLOSE int other = -1;
	AUTO_CLOSE int fd = fuzz_stream(data, size, &other);
	uint64_t low = 0, near = 0;

	if (fd < 0)
		return;
	flow.row = &workload_rows[0];
	str_copy(engine.job.token, sizeof(engine.job.token), TOKEN);
	int kind = hello_kind(&flow, data, size);
	assert(!kind || (size == HELLO_BYTES && !memcmp(data + 8, TOKEN, 32)));
	bool answered =
		hello_ask(&engine.job, fd, false, 0, time_now_ns() + 100 * NS_PER_MS, ERR_IGNORED) == 0;
	assert(!answered || (size >= HELLO_BYTES && data[5] == HELLO_ACK));
	if (size >= 2 * sizeof(low)) {
		memcpy(&low, data, sizeof(low));
		memcpy(&near, data + sizeof(low), sizeof(near));
		for (unsigned width = 1; width < 8; width++) {
			uint64_t mask = (1ull << (8 * width)) - 1;
			uint64_t seq = sequence_restore(near, low & mask, width);
			assert((seq & mask) == (low & mask));
		}
	}
	to_server(&flow, data, size);
}

/* The same past the kernel: a frame, as a driver gets it.  The path is that of the seeds. */
FUZZ_TARGET(ethernet)
{
	const struct frame_path path = {.mac = {2, 0, 0, 0, 0, 1},
		.peer_mac = {2, 0, 0, 0, 0, 2},
		.address.s_addr = htobe32(0x0a000001),
		.peer_address.s_addr = htobe32(0x0a000002),
		.port = htobe16(5000),
		.peer_port = htobe16(4000)};
	static unsigned char frame[FRAME_MOST];
	unsigned char headers[FRAME_HEADERS];
	size_t n = 0, again = 0;
	const unsigned char *found = frame_read(&path, data, size, &n);

	if (!found)
		return;
	assert(found >= data + FRAME_HEADERS && n <= size && found + n <= data + size);
	if (n > FRAME_DATA_MOST)
		return;
	frame_headers(&path, headers);
	frame_write(headers, frame, found, n);
	struct frame_path back = path;
	back.address = path.peer_address;
	back.peer_address = path.address;
	back.port = path.peer_port;
	back.peer_port = path.port;
	const unsigned char *copy =
		frame_read(&back, frame, MAX(FRAME_HEADERS + n, (size_t)FRAME_LEAST), &again);
	assert(copy && again == n && !memcmp(copy, found, n));
}

/* What an end without a kernel below it reads: Ethernet frames. */
FUZZ_TARGET(neighbour)
{
	struct frame_path path = {.address = {0x0200570a}, .peer_address = {0x0100570a}, .port = 0x1234};
	unsigned char mac[FRAME_MAC], answer[FRAME_LEAST];
	size_t inside = 0;

	if (neighbour_read(&path, data, size, mac) == NEIGHBOUR_ASKS) {
		neighbour_answer(&path, data, answer);
		assert(!memcmp(answer, data + 22, FRAME_MAC));
	}
	path = neighbour_of(&path, data, size);
	const unsigned char *found = frame_read(&path, data, size, &inside);
	assert(!found || (found > data && found + inside <= data + size));
}

FUZZ_MAIN
