/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The device of a process that moves packets by DPDK.
 *
 * DPDK's environment (EAL) is started once, on the main thread, with nothing of the machine but this device:
 * no huge pages, no files that processes share, no telemetry, no other devices.  It makes its folder in the
 * one that $RUNTIME_DIRECTORY names, which is the trial's, so that it goes with the trial.
 *
 * Its one "lcore" is the main thread on all CPUs that the process may use, so EAL changes the affinity of no
 * thread: flows have threads of their own, which are placed like any other.  EAL's own thread sleeps until an
 * interrupt of a device comes; the thread of a vhost-user device until the other end connects or leaves.
 *
 * What DPDK has to say is kept and becomes the reason of an error: the first line that it wrote is the cause.
 */
#include "dpdk.h"

#include "sys/sys.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>

#define BUFFERS    2047
#define FRAME_ROOM 4096
#define QUEUE      256
#define MEMORY     "64" /* MiB */
#define SAID_MAX   160
#define WORDS_MAX  16

/* --- what DPDK says ---------------------------------------------------------------------------- */

static ssize_t say(void *cookie, const char *text, size_t size)
{
	char *said = cookie;

	if (!said[0])
		snprintf(said, SAID_MAX, "%.*s", (int)MIN(strcspn(text, "\n"), size), text);
	return (ssize_t)size;
}

/* --- start ------------------------------------------------------------------------------------- */

/* Why a call of DPDK failed; some fail without a code. */
static int dpdk_code(void)
{
	return rte_errno > 0 ? -rte_errno : -EIO;
}

/* A device on the PCI bus is named by its address, any other by its driver and parameters. */
static bool is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	int end = 0;

	return sscanf(device, "%x:%x:%x.%x%n", &domain, &bus, &slot, &function, &end) == 4 && !device[end];
}

static int eal_start(const char *device)
{
	char lcores[CPUS_TEXT + 8], list[CPUS_TEXT];
	AUTO_FREE char *only = str_format("%s%s", is_pci(device) ? "--allow=" : "--vdev=", device);
	cpus own;

	CPU_ZERO(&own);
	if (sched_getaffinity(0, sizeof(own), &own) < 0)
		return -errno;
	snprintf(lcores, sizeof(lcores), "0@(%s)", cpus_format_list(&own, list, sizeof(list)));
	const char *const words[] = {"taut-agent-dpdk", "--lcores", lcores, "--no-huge", "--no-shconf",
		"--no-telemetry", "-m", MEMORY, "--log-level=error", only, is_pci(device) ? NULL : "--no-pci",
		NULL};
	char *argv[ARRAY_LEN(words)] = {NULL};
	int argc = 0;

	for (; words[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc]; /* it changes the array alone */
	return rte_eal_init(argc, argv) < 0 ? dpdk_code() : 0;
}

static int port_start(void)
{
	const struct rte_eth_conf nothing = {0};
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		DPDK_POOL, BUFFERS, 0, 0, RTE_PKTMBUF_HEADROOM + FRAME_ROOM, SOCKET_ID_ANY);
	int rc;

	if (!pool)
		return dpdk_code();
	if (rte_eth_dev_count_avail() != 1)
		return -ENODEV;
	if ((rc = rte_eth_dev_configure(DPDK_PORT, 1, 1, &nothing)) < 0 ||
		(rc = rte_eth_rx_queue_setup(DPDK_PORT, 0, QUEUE, SOCKET_ID_ANY, NULL, pool)) < 0 ||
		(rc = rte_eth_tx_queue_setup(DPDK_PORT, 0, QUEUE, SOCKET_ID_ANY, NULL)) < 0)
		return rc;
	return rte_eth_dev_start(DPDK_PORT);
}

int dpdk_device_open(const char *device, struct err *e)
{
	const cookie_io_functions_t listener = {.write = say};
	char said[SAID_MAX] = "";
	FILE *stream = fopencookie(said, "w", listener);

	if (!stream || setvbuf(stream, NULL, _IOLBF, 0) || rte_openlog_stream(stream) < 0)
		return err_set(e, ENOMEM, "cannot listen to DPDK");
	int rc = eal_start(device);
	if (rc == 0)
		rc = port_start();
	rte_openlog_stream(stderr); /* what it says later */
	fclose(stream);
	if (rc < 0)
		return err_set(e, -rc, "cannot use device '%s' by DPDK: %s", device,
			said[0] ? str_printable(said) : strerror(-rc));
	return 0;
}
