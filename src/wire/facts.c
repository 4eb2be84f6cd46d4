/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first frame: who speaks, on which kernel, and how long it took to get there, on that machine's own
 * clock. */
#include "wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>

bool host_emulated(void)
{
	return getenv(HOST_EMULATED) != NULL;
}

/* Where /proc is not mounted nobody knows. */
static void boot_read(char *out, size_t size)
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	out[n > 0 ? n : 0] = 0;
	out[strcspn(out, "\n")] = 0;
}

void kernel_facts_own(struct kernel_facts *k)
{
	const char *init = getenv("TAUT_INIT_NS");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct utsname name;

	*k = (struct kernel_facts){0};
	uname(&name);
	snprintf(k->kernel, sizeof(k->kernel), "%s", name.release);
	snprintf(k->version, sizeof(k->version), "%s", name.version);
	boot_read(k->boot_id, sizeof(k->boot_id));
	if (init)
		str_u64(init, &k->init_ns);
	k->ready_ns = time_since_boot_ns();
	k->cpus = cpus > 0 ? (uint64_t)cpus : 0;
	if (host_emulated())
		str_copy(k->accel, sizeof(k->accel), "tcg");
}

json_t *frame_hello(void)
{
	struct kernel_facts own;

	kernel_facts_own(&own);
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I}", "version", TAUT_VERSION, "kernel",
		own.kernel, "kernel_version", own.version, "boot_id", own.boot_id, "pid", getpid(), "cpus",
		(json_int_t)own.cpus, "init_ns", (json_int_t)own.init_ns, "uptime_ns",
		(json_int_t)own.ready_ns);
}

static void take_text(char *out, size_t size, const json_t *hello, const char *key)
{
	const char *text = json_string_value(json_object_get(hello, key));

	snprintf(out, size, "%s", text ? text : "");
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
}

#define CPUS_MOST      65536
#define UPTIME_MOST_NS (1000000000ull * NS_PER_S) /* 31 years */

static uint64_t take_number(const json_t *hello, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(hello, key));

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t frame_hello_pid(const json_t *hello)
{
	return take_number(hello, "pid");
}

int frame_hello_read(const json_t *hello, struct kernel_facts *k, struct err *e)
{
	const char *version = json_string_value(json_object_get(hello, "version"));

	if (!version || strcmp(version, TAUT_VERSION)) {
		err_set(e, EPROTO, "the agent is version %.20s, this is %s", version ? version : "?",
			TAUT_VERSION);
		return err_try(e, "build both together");
	}
	if (!k)
		return 0;
	take_text(k->kernel, sizeof(k->kernel), hello, "kernel");
	take_text(k->version, sizeof(k->version), hello, "kernel_version");
	take_text(k->boot_id, sizeof(k->boot_id), hello, "boot_id");
	k->cpus = MIN(take_number(hello, "cpus"), (uint64_t)CPUS_MOST);
	k->init_ns = take_number(hello, "init_ns");
	k->ready_ns = take_number(hello, "uptime_ns");
	if (k->ready_ns > UPTIME_MOST_NS || k->init_ns > k->ready_ns)
		return err_set(e, EPROTO,
			"the agent says that it is up for %llu ns, and its PID 1 since %llu ns",
			(unsigned long long)k->ready_ns, (unsigned long long)k->init_ns);
	return 0;
}
