/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An emulated host with a shell on the caller's terminal.  It has what every emulated host has, and the tools
 * of this machine that one looks around with; taut inside can measure there, virtual machines included.  It
 * is gone when the shell ends, whose exit status comes back as a frame over the control stream.
 *
 * A script in place of a terminal goes in whole, with the plan of the boot: a serial port would lose what is
 * written before anybody reads, and has no end of file.
 */
#include "hosts.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#define MEMORY_MIB   3072
#define CPUS         2 /* unless said otherwise */
#define SCRIPT_BYTES (1u << 20)

static int script_read(struct boot_document *document, struct err *e)
{
	AUTO(buf_free) struct buf script = {0};
	char chunk[4096];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0 ||
		(n < 0 && errno == EINTR && !stop_flag)) {
		if (n > 0)
			buf_put(&script, chunk, (size_t)n);
		if (script.len > SCRIPT_BYTES)
			return err_set(e, EFBIG,
				"cannot give an emulated host a script of more than %u bytes", SCRIPT_BYTES);
	}
	if (stop_flag)
		return err_set(e, EINTR, "interrupted");
	document->script = str_dup(script.data ? script.data : "");
	json_t *text = json_string(document->script);
	bool utf8 = text != NULL;
	json_decref(text);
	if (!utf8 || strlen(document->script) != script.len)
		return err_set(
			e, EINVAL, "cannot give an emulated host that script: it is not text in UTF-8");
	return 0;
}

static int document_make(bool terminal, struct boot_document *out, struct err *e)
{
	struct winsize size = {0};
	const char *term = getenv("TERM");

	ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	out->role = BOOT_SHELL;
	out->rows = size.ws_row;
	out->columns = size.ws_col;
	str_copy(out->term, sizeof(out->term), term ? term : "");
	return terminal ? 0 : script_read(out, e);
}

/* What the shell ended with; without a word of it the machine has ended by itself. */
static int status_take(int control, struct machine *m, int *status, struct err *e)
{
	json_t *body = NULL;
	char how[512];

	if (frame_expect(control, FRAME_RECORD, &body, time_now_ns() + NS_PER_S, ERR_IGNORED) == 0) {
		*status = (int)json_integer_value(json_object_get(body, "status")) & 0xff;
		json_decref(body);
		return 0;
	}
	machine_ended(m, true, how, sizeof(how));
	return err_set(e, ECHILD, "the emulated host ended before its shell did%s%s",
		machine_failed(m) ? ": " : "", machine_failed(m) ? how : "");
}

static int run(const struct kernel *k, const struct shell_options *shell, const char *image,
	const char *folder, int *status, struct err *e)
{
	struct machine_options o = {.kernel = k,
		.image = image,
		.append = shell->boot,
		.mark = undo_mark(),
		.folder = folder,
		.terminal = true,
		.keys = isatty(STDIN_FILENO),
		.host = true,
		.nics = shell->nics,
		.cpus = shell->cpus ? shell->cpus : CPUS,
		.memory_mib = MEMORY_MIB};
	AUTO_CLOSE int control = -1;
	int ends[2];
	struct machine *m = NULL;
	struct termios before;
	AUTO(boot_document_free) struct boot_document document = {0};
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	int rc = document_make(o.keys, &document, e);

	if (rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		rc = err_sys(e, "cannot make a control stream");
	if (rc == 0) {
		control = ends[0];
		o.control = ends[1];
		o.document = &document;
		rc = machine_start(&m, &o, e);
		close(ends[1]);
	}
	if (rc == 0)
		rc = machine_wait(m, UINT64_MAX, e);
	if (rc > 0)
		rc = status_take(control, m, status, e);
	machine_stop(m);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return rc;
}

int site_shell(const struct shell_options *shell, int *status, struct err *e)
{
	const struct kernel *k = NULL;
	struct host_content content = {.parts = IMAGE_VM | IMAGE_NOISE | IMAGE_SHELL, .nics = shell->nics};
	char agent[4096], image[1024], folder[256];
	int rc = kernel_known(&k, shell->kernel, e);

	if (rc == 0)
		rc = target_agent(agent, sizeof(agent), e);
	content.guests = &k;
	content.guests_n = 1;
	if (rc == 0)
		rc = image_host(k, agent, &content, image, sizeof(image), e);
	if (rc == 0)
		rc = undo_folder_make(folder, sizeof(folder), e);
	if (rc < 0)
		return rc;
	rc = run(k, shell, image, folder, status, e);
	int removed = undo_folder_remove(folder, rc < 0 ? ERR_IGNORED : e);
	return rc < 0 ? rc : removed;
}
