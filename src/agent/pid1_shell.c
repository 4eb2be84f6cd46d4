/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The role of PID 1 that is a shell: one on the console, with the terminal that somebody sits at, or a script
 * whose output goes there.  How it ended is told on the virtio port.
 */
#include "pid1.h"

#include "wire/wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#define SCRIPT "/taut/script"

/* A shell must own a terminal, which a session leader gets by opening one. */
_Noreturn static void run_shell(const struct boot *b)
{
	const struct winsize size = {
		.ws_row = (unsigned short)b->document.rows, .ws_col = (unsigned short)b->document.columns};

	setsid();
	int tty = open(SERIAL_SHELL, O_RDWR);
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) < 0)
		_exit(EXIT_FAILED);
	ioctl(tty, TIOCSWINSZ, &size);
	for (int fd = 0; fd < 3; fd++)
		dup2(tty, fd);
	setenv("TERM", *b->document.term ? b->document.term : "linux", 1);
	setenv("PS1", "taut lab \\w # ", 1);
	execl("/usr/bin/bash", "bash", "--norc", (char *)NULL);
	execl("/bin/sh", "sh", (char *)NULL);
	_exit(127);
}

/* Its output is passed on as it is; there is nothing to read. */
_Noreturn static void run_script(const struct boot *b)
{
	struct err e = ERR_INIT;
	int tty = serial_open(SERIAL_SHELL, &e), none = open("/dev/null", O_RDONLY);

	if (tty < 0 || none < 0 ||
		file_write_synced(SCRIPT, b->document.script, strlen(b->document.script), 0700, &e) < 0)
		_exit(EXIT_FAILED);
	setenv("TERM", "dumb", 1);
	dup2(none, STDIN_FILENO);
	dup2(tty, STDOUT_FILENO);
	dup2(tty, STDERR_FILENO);
	execl("/usr/bin/bash", "bash", SCRIPT, (char *)NULL);
	execl("/bin/sh", "sh", SCRIPT, (char *)NULL);
	_exit(127);
}

int be_shell(struct boot *b, struct child *child, struct err *e)
{
	b->control = port_open(b, e);
	if (b->control < 0)
		return b->control;
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, "cannot fork");
	if (pid == 0)
		signals_reset();
	if (pid == 0 && b->document.script)
		run_script(b);
	if (pid == 0)
		run_shell(b);
	*child = (struct child){pid, -1};
	return 0;
}

/* What is on its way to a terminal goes first: the machine ends at once afterwards. */
void shell_tell_end(const struct boot *b, int status)
{
	int shown = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

	if (b->control < 0)
		return;
	AUTO_CLOSE int tty = open(SERIAL_SHELL, O_RDWR | O_NOCTTY | O_CLOEXEC);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	root_write(root, "/proc/sys/kernel/printk", "0", ERR_IGNORED); /* not even that it powers off */
	if (tty >= 0)
		tcdrain(tty);
	frame_send(b->control, FRAME_RECORD, json_pack("{s:i}", "status", shown), time_now_ns() + DEVICE_NS,
		ERR_IGNORED);
}
