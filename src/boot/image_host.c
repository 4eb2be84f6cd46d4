/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image of an emulated host: taut, and what taut starts there.  That is a container runtime; where
 * virtual machines are wanted QEMU with its firmware, and kernel and image of each guest, laid into the cache
 * that the taut inside looks them up in; stress-ng where noise is; a shell where somebody wants one.
 *
 * Programs and their libraries are this machine's (closure.c), and are known by size and time.  A host finds
 * the images of its guests by a name without their modules, which it has not got.
 */
#include "closure.h"
#include "cpio.h"
#include "image.h"

#include <stdio.h>

#define HOST_CACHE "/var/cache/taut"
/* Where PID 1 looks for programs (the whole path is in src/agent/pid1.c). */
#define HOST_PROGRAMS "/usr/bin"

static const char *const host_modules[] = {"virtio_pci", "virtio_console", "veth", "bridge"};
static const char *const vm_modules[] = {"tun", "vhost_net", "kvm", "kvm_amd"};

/* Programs of the machine, as far as it has them, for each part of a host. */
static const struct {
	unsigned part; /* 0: always */
	const char *name;
} programs[] = {
	{0, "runc"},
	{0, "crun"},
	{IMAGE_NOISE, "stress-ng"},
	{IMAGE_SHELL, "bash"},
	{IMAGE_SHELL, "dash"},
	{IMAGE_SHELL, "cat"},
	{IMAGE_SHELL, "ls"},
	{IMAGE_SHELL, "ps"},
	{IMAGE_SHELL, "ip"},
	{IMAGE_SHELL, "ss"},
	{IMAGE_SHELL, "ping"},
	{IMAGE_SHELL, "grep"},
	{IMAGE_SHELL, "less"},
	{IMAGE_SHELL, "mount"},
	{IMAGE_SHELL, "dmesg"},
	{IMAGE_SHELL, "chrt"},
	{IMAGE_SHELL, "taskset"},
	{IMAGE_SHELL, "top"},
	{IMAGE_SHELL, "sleep"},
	{IMAGE_SHELL, "head"},
	{IMAGE_SHELL, "tail"},
	{IMAGE_SHELL, "uname"},
	{IMAGE_SHELL, "stty"},
	{IMAGE_SHELL, "wc"},
	{IMAGE_SHELL, "sed"},
	{IMAGE_SHELL, "id"},
	{IMAGE_SHELL, "env"},
	{IMAGE_SHELL, "date"},
	{IMAGE_SHELL, "nproc"},
	{IMAGE_SHELL, "df"},
	{IMAGE_SHELL, "free"},
	{IMAGE_SHELL, "ethtool"},
};

/* What QEMU reads at run time, wherever a distribution keeps it. */
static const char *const firmware_folders[] = {
	"/usr/share/qemu", "/usr/share/seabios", "/usr/share/qemu-kvm", "/usr/local/share/qemu"};
static const char *const firmware[] = {"bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "linuxboot.bin"};
static const char *const qemu_modules[] = {
	"/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so", "/usr/lib64/qemu/accel-tcg-x86_64.so"};

static int each_program(
	unsigned parts, int (*fn)(const char *path, void *arg, struct err *e), void *arg, struct err *e)
{
	char path[PATH_BYTES];
	struct qemu qemu;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(programs); i++)
		if (!(programs[i].part & ~parts) && program_find(programs[i].name, path, sizeof(path)))
			rc = fn(path, arg, e);
	if (rc == 0 && (parts & IMAGE_VM) && (rc = qemu_find(&qemu, e)) == 0)
		rc = fn(qemu.program, arg, e);
	for (size_t i = 0; rc == 0 && (parts & IMAGE_VM) && i < ARRAY_LEN(qemu_modules); i++)
		if (access(qemu_modules[i], R_OK) == 0)
			rc = fn(qemu_modules[i], arg, e);
	return rc;
}

/* At its own path, which a program may know of, and where it is looked for. */
static int add_program(const char *path, void *arg, struct err *e)
{
	AUTO_FREE char *looked_for = str_format(HOST_PROGRAMS "/%s", strrchr(path, '/') + 1);
	int rc = closure_add(arg, path, e);

	if (rc == 0 && !strstr(path, ".so"))
		cpio_link(arg, looked_for, path);
	return rc;
}

/* Our own program by its name: in the mouth of the loader /proc/self/exe would be the loader. */
static int self_path(char out[PATH_BYTES], struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_BYTES - 1);

	out[n > 0 ? n : 0] = 0;
	return n > 0 ? 0 : err_sys(e, "cannot find the program that runs");
}

static int add_taut(struct cpio *c, const char *agent, struct err *e)
{
	char self[PATH_BYTES];
	int rc = self_path(self, e);

	if (rc < 0)
		return rc;
	cpio_copy(c, "/usr/bin/taut-agent", 0755, agent);
	return closure_add_as(c, self, "/usr/bin/taut", e);
}

static void each_firmware(void (*fn)(const char *path, void *arg), void *arg)
{
	for (size_t f = 0; f < ARRAY_LEN(firmware_folders); f++)
		for (size_t i = 0; i < ARRAY_LEN(firmware); i++) {
			AUTO_FREE char *path = str_format("%s/%s", firmware_folders[f], firmware[i]);
			if (access(path, R_OK) == 0)
				fn(path, arg);
		}
}

static void add_firmware(const char *path, void *arg)
{
	cpio_copy(arg, path, 0644, path);
}

/* Kernel and image of a guest, where kernel_find() and image_guest() of the taut inside will look. */
static int add_guest(struct cpio *c, const struct kernel *k, const char *agent, struct err *e)
{
	char image[PATH_BYTES], name[PATH_BYTES];
	struct kernel bare = *k;
	int rc = image_guest(k, agent, image, sizeof(image), e);

	bare.modules[0] = 0;
	if (rc == 0)
		rc = image_guest_path(&bare, agent, name, sizeof(name), e);
	if (rc < 0)
		return rc;
	AUTO_FREE char *kernel = str_format(HOST_CACHE "/kernels/%s/vmlinuz", k->release);
	AUTO_FREE char *inside = str_format(HOST_CACHE "/images/%s", strrchr(name, '/') + 1);
	cpio_copy(c, kernel, 0644, k->path);
	cpio_copy(c, inside, 0644, image);
	return 0;
}

static int fill_host(struct cpio *c, const struct image_content *content, struct err *e)
{
	static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n", group[] = "root:x:0:\n";
	const struct kernel *k = content->kernel;
	AUTO(buf_free) struct buf list = {0};
	int rc;

	image_add_ground(c, content->agent);
	cpio_data(c, "/etc/passwd", 0644, passwd, strlen(passwd));
	cpio_data(c, "/etc/group", 0644, group, strlen(group));
	if (content->parts & IMAGE_SHELL)
		cpio_link(c, "/bin/sh", HOST_PROGRAMS "/dash");
	if ((rc = image_add_modules(c, k, host_modules, ARRAY_LEN(host_modules), false, &list, e)) < 0)
		return rc;
	if ((content->parts & IMAGE_VM) &&
		(rc = image_add_modules(c, k, vm_modules, ARRAY_LEN(vm_modules), true, &list, e)) < 0)
		return rc;
	cpio_data(c, "/taut/modules", 0644, list.data, list.len);
	closure_add_loader_cache(c);
	if ((rc = add_taut(c, content->agent, e)) < 0 ||
		(rc = each_program(content->parts, add_program, c, e)) < 0)
		return rc;
	if (content->parts & IMAGE_VM)
		each_firmware(add_firmware, c);
	for (size_t i = 0; rc == 0 && i < content->guests_n; i++)
		rc = add_guest(c, content->guests[i], content->agent, e);
	return rc;
}

static int hash_program(const char *path, void *arg, struct err *e)
{
	return closure_hash(arg, path, e);
}

static void hash_firmware(const char *path, void *arg)
{
	image_hash_stat(arg, path);
}

static int hash_host(struct hash *h, const struct image_content *content, struct err *e)
{
	char self[PATH_BYTES];
	int rc = self_path(self, e);

	image_hash_kernel(h, content->kernel);
	hash_add(h, &content->parts, sizeof(content->parts));
	if (rc < 0 || (rc = image_hash_agent(h, content->agent, e)) < 0 ||
		(rc = closure_hash(h, self, e)) < 0)
		return rc;
	for (size_t i = 0; i < content->guests_n; i++) {
		image_hash_kernel(h, content->guests[i]);
		image_hash_stat(h, content->guests[i]->path);
	}
	image_hash_stat(h, CLOSURE_LOADER_CACHE);
	if (content->parts & IMAGE_VM)
		each_firmware(hash_firmware, h);
	return each_program(content->parts, hash_program, h, e);
}

int image_host(const struct kernel *k, const char *agent, unsigned parts, const struct kernel *const *guests,
	size_t guests_n, char *path, size_t size, struct err *e)
{
	const struct image_content content = {
		.kernel = k, .agent = agent, .parts = parts, .guests = guests, .guests_n = guests_n};
	AUTO_FREE char *kind = str_format("host%u", parts);
	struct hash hash = hash_new();
	char found[PATH_BYTES];

	int rc = hash_host(&hash, &content, e);
	if (rc == 0)
		rc = image_path(kind, k, &hash, found, sizeof(found), e);
	if (rc == 0)
		rc = image_ensure(found, kind, &content, fill_host, e);
	return rc < 0 ? rc : str_copy(path, size, found);
}
