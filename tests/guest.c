/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest in place of an agent: taut-guest KERNEL CPUS AGENT boots a machine whose PID 1 starts the server's
 * endpoint, with file descriptor 3 as its control stream, and ends with it.  The machine has no network.
 */
#include "boot/boot.h"

#include "unit/test_keep.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#define CONTROL_FD 3
#define LIFE_NS    (300 * NS_PER_S)
#define MEMORY_MIB 256

static void stop(int number)
{
	(void)number;
	stop_flag = 1;
}

static int boot(const char *which, unsigned cpus_n, const char *agent, const char *folder, struct err *e)
{
	struct machine *m = NULL;
	struct kernel kernel;
	char image[1024];
	int rc = kernel_find(&kernel, which, e);

	if (rc == 0)
		rc = image_guest(&kernel, agent, NULL, image, sizeof(image), e);
	if (rc < 0)
		return rc;
	const struct boot_document document = {.role = BOOT_GUEST};
	const struct machine_options options = {.kernel = &kernel,
		.image = image,
		.document = &document,
		.folder = folder,
		.control = CONTROL_FD,
		.accel = ACCEL_TCG,
		.cpus = cpus_n,
		.memory_mib = MEMORY_MIB};
	rc = machine_start(&m, &options, e);
	close(CONTROL_FD);
	if (rc == 0)
		rc = machine_wait(m, time_now_ns() + LIFE_NS, e);
	machine_stop(m);
	return rc < 0 ? rc : 0;
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/taut-guest-XXXXXX", text[1200];
	struct err e = ERR_INIT;
	uint64_t cpus_n;

	/* What stands behind them is for an agent. */
	if (argc < 4 || str_u64(argv[2], &cpus_n) || fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC) < 0) {
		fprintf(stderr, "Usage: taut-guest KERNEL CPUS AGENT, with a stream as fd 3\n");
		return EXIT_USAGE;
	}
	signal(SIGTERM, stop);
	int rc = boot(argv[1], (unsigned)cpus_n, argv[3], keep_folder(folder), &e);
	if (rc < 0)
		fprintf(stderr, "taut-guest: %s\n", err_string(&e, text, sizeof(text)));
	return rc < 0 ? EXIT_FAILED : EXIT_DONE;
}
