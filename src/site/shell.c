/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An emulated host with a shell on the caller's terminal.  It has what every emulated host has, and the tools
 * of this machine that one looks around with; taut inside can measure there, virtual machines included.  It
 * is gone when the shell ends.
 */
#include "hosts.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

#define MEMORY_MIB 3072
#define CPUS       2

static json_t *document(void)
{
	struct winsize size = {0};
	const char *term = getenv("TERM");

	ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	return json_pack("{s:s, s:b, s:i, s:i, s:s}", "role", "shell", "emulated", 1, "rows",
		(int)size.ws_row, "columns", (int)size.ws_col, "term", term ? term : "");
}

static int run(const struct kernel *k, const char *boot, const char *image, const char *folder, struct err *e)
{
	const struct machine_options o = {.kernel = k,
		.image = image,
		.append = boot,
		.document = document(),
		.mark = target_mark(),
		.folder = folder,
		.terminal = true,
		.host = true,
		.cpus = CPUS,
		.memory_mib = MEMORY_MIB};
	struct machine *m = NULL;
	struct termios before;
	char how[512];
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	int rc = machine_start(&m, &o, e);

	if (rc == 0)
		rc = machine_wait(m, UINT64_MAX, e);
	if (rc > 0 && machine_failed(m)) {
		machine_ended(m, true, how, sizeof(how));
		rc = err_set(e, ECHILD, "cannot keep an emulated host: %s", how);
	}
	machine_stop(m);
	json_decref(o.document);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return rc < 0 ? rc : 0;
}

int site_shell(const char *kernel, const char *boot, struct err *e)
{
	struct kernel k;
	char agent[4096], image[1024], folder[256];
	int rc = kernel_find(&k, kernel, e);

	if (rc == 0)
		rc = target_agent(agent, sizeof(agent), e);
	if (rc == 0)
		rc = image_host(
			&k, agent, IMAGE_VM | IMAGE_NOISE | IMAGE_SHELL, &k, 1, image, sizeof(image), e);
	if (rc == 0)
		rc = target_folder_make(folder, sizeof(folder), e);
	if (rc < 0)
		return rc;
	rc = run(&k, boot, image, folder, e);
	int removed = target_folder_remove(folder, rc < 0 ? NULL : e);
	return rc < 0 ? rc : removed;
}
