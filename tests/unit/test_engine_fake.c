/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_engine_fake.h"

#include "test_keep.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(int fd, const struct answer *answer)
{
	char request[8192];
	static const char chunk[1 << 16];

	if (read(fd, request, sizeof(request)) <= 0)
		return;
	if (!answer->status) {
		pause();
		return;
	}
	if (!*answer->status)
		return;
	dprintf(fd, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\n", answer->status);
	if (!answer->mebibytes)
		dprintf(fd, "Content-Length: %zu\r\n", strlen(answer->body));
	dprintf(fd, "\r\n%s", answer->body);
	for (unsigned i = 0; i < answer->mebibytes * 16; i++)
		if (write(fd, chunk, sizeof(chunk)) < 0)
			return;
}

struct fake fake_start(const struct answer *answers, size_t n)
{
	struct fake fake = {.folder = "/tmp/taut-engine-XXXXXX"};
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	keep_folder(fake.folder);
	snprintf(fake.socket, sizeof(fake.socket), "%s/engine.sock", fake.folder);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", fake.socket);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	fake.pid = fork();
	if (fake.pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		for (size_t i = 0; i < n; i++) {
			int peer = accept(fd, NULL, NULL);
			say(peer, &answers[i]);
			close(peer);
		}
		_exit(0);
	}
	close(fd);
	return fake;
}

void fake_end(struct fake *fake)
{
	kill(fake->pid, SIGKILL);
	waitpid(fake->pid, NULL, 0);
}
