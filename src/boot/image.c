/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images.  An initramfs is all that a machine of ours has: no disk, no network of its own.
 *
 *   /init                taut-agent, PID 1
 *   /taut/modules        names of modules, in the order of loading; the files are /taut/NAME.ko
 *   /taut/boot.json      what this boot is to be; appended at every boot (image_append), so that images
 *                        themselves can be kept
 *
 * A guest has nothing else.  An emulated host has taut, and what taut starts there: a container runtime;
 * where virtual machines are wanted QEMU with its firmware, and kernel and image of each guest, laid into the
 * cache that the taut inside looks them up in; stress-ng where noise is; a shell where somebody wants one.
 *
 * An image is kept in the cache under a hash of what it was made from; one that is not there is written under
 * another name and then given its own, so a half one is never booted.  Only kernels' builds and the content
 * of the agent go into the hash of a guest's, so a host finds the ones that were laid in.
 */
#include "image.h"

#include "closure.h"
#include "cpio.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define IMAGE_VERSION "1"
#define HASH_DIGITS   32
#define HOST_CACHE    "/var/cache/taut"

static const char *const guest_modules[] = {"virtio_pci", "virtio_net", "virtio_console"};
static const char *const host_modules[] = {"virtio_pci", "virtio_console", "veth", "bridge"};
static const char *const vm_modules[] = {"tun", "vhost_net", "kvm", "kvm_amd"};

/* --- where they are kept ----------------------------------------------------------------------- */

static int image_path(const char *kind, const struct kernel *k, const struct hash *hash, char *path,
	size_t size, struct err *e)
{
	char cache[400], hex[HASH_DIGITS + 1];
	int rc = boot_cache(cache, sizeof(cache), e);

	if (rc < 0)
		return rc;
	AUTO_FREE char *folder = str_format("%s/images", cache);
	if ((rc = dir_make(folder, 0755, e)) < 0)
		return rc;
	snprintf(path, size, "%s/%s-%s-%s.img", folder, kind, k->release, hash_hex(hash, hex));
	return 0;
}

struct sweep {
	const char *folder, *keep, *prefix;
};

/*
 * Images of the same kind and kernel that were made from something else.  What stands between prefix and
 * ".img" is a hash, no more of a release, and nothing that is only being made ends so.
 */
static int sweep_one(const char *name, void *arg)
{
	const struct sweep *s = arg;

	if (str_starts(name, s->prefix) && strcmp(name, s->keep) != 0 &&
		strspn(name + strlen(s->prefix), "0123456789abcdef") == HASH_DIGITS &&
		!strcmp(name + strlen(s->prefix) + HASH_DIGITS, ".img")) {
		AUTO_FREE char *path = str_format("%s/%s", s->folder, name);
		unlink(path);
	}
	return 0;
}

static void sweep_old(const char *path, const char *kind, const struct kernel *k)
{
	AUTO_CLOSE int root = root_open("/", NULL);
	AUTO_FREE char *folder = str_dup(path);
	AUTO_FREE char *prefix = str_format("%s-%s-", kind, k->release);
	char *slash = strrchr(folder, '/');

	*slash = 0;
	root_each(root, folder, sweep_one, &(struct sweep){folder, slash + 1, prefix}, NULL);
}

struct content {
	const struct kernel *kernel;
	const char *agent;
	const struct kernel *guests;
	size_t guests_n;
	unsigned parts;
};

/* Writes what `fill` says to `path`, whole or not at all. */
static int image_make(const char *path, const struct content *content,
	int (*fill)(struct cpio *c, const struct content *content, struct err *e), struct err *e)
{
	AUTO_FREE char *temporary = str_format("%s.%d", path, getpid());
	AUTO_CLOSE int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	AUTO_CLOSE int hold = fd < 0 ? err_sys(e, "cannot write %s", temporary) : half_hold(temporary, e);

	if (hold < 0)
		return hold;
	struct cpio *c = cpio_open(fd);
	int rc = fill(c, content, e), closed = cpio_close(c, rc < 0 ? NULL : e);
	rc = rc < 0 ? rc : closed;
	if (rc == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		rc = err_sys(e, "cannot write %s", path);
	if (rc < 0)
		unlink(temporary);
	return rc < 0 ? err_wrap(e, "cannot make the image of kernel %s", content->kernel->release) : 0;
}

/* --- what is common ---------------------------------------------------------------------------- */

static int hash_agent(struct hash *h, const char *agent, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	AUTO_FREE char *data = NULL;
	size_t len = 0;
	int rc = root < 0 ? root : root_read_all(root, agent, &data, &len, e);

	if (rc < 0)
		return rc;
	hash_add(h, data, len);
	return 0;
}

static void hash_kernel(struct hash *h, const struct kernel *k)
{
	hash_text(h, IMAGE_VERSION);
	hash_text(h, k->release);
	hash_text(h, k->version);
}

static int add_modules(struct cpio *c, const struct kernel *k, const char *const *names, size_t names_n,
	bool optional, struct buf *list, struct err *e)
{
	struct module *modules = NULL;
	size_t n = 0;
	int rc = modules_load(k, names, names_n, optional, &modules, &n, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *path = str_format("/taut/%s.ko", modules[i].name);
		if (cpio_has(c, path))
			continue;
		cpio_data(c, path, 0644, modules[i].data, modules[i].len);
		buf_add(list, "%s\n", modules[i].name);
	}
	modules_free(modules, n);
	return 0;
}

static void add_ground(struct cpio *c, const char *agent)
{
	static const char *const folders[] = {"/dev", "/proc", "/sys", "/run", "/tmp", "/root"};

	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		cpio_folder(c, folders[i], 0755);
	cpio_device(c, "/dev/console", 0600, 5, 1);
	cpio_device(c, "/dev/null", 0666, 1, 3);
	cpio_copy(c, "/init", 0755, agent);
}

/* --- a guest ----------------------------------------------------------------------------------- */

static int fill_guest(struct cpio *c, const struct content *content, struct err *e)
{
	AUTO(buf_free) struct buf list = {0};

	add_ground(c, content->agent);
	int rc = add_modules(c, content->kernel, guest_modules, ARRAY_LEN(guest_modules), false, &list, e);
	if (rc < 0)
		return err_try(e, "a kernel with virtio: taut kernel list");
	cpio_data(c, "/taut/modules", 0644, list.data ? list.data : "", list.len);
	return 0;
}

int image_guest(const struct kernel *k, const char *agent, char *path, size_t size, struct err *e)
{
	const struct content content = {.kernel = k, .agent = agent};
	struct hash hash = hash_new();
	char found[PATH_BYTES];

	hash_kernel(&hash, k);
	int rc = hash_agent(&hash, agent, e);
	if (rc == 0)
		rc = image_path("guest", k, &hash, found, sizeof(found), e);
	if (rc == 0 && access(found, R_OK) < 0 && (rc = image_make(found, &content, fill_guest, e)) == 0)
		sweep_old(found, "guest", k);
	return rc < 0 ? rc : str_copy(path, size, found);
}

/* --- an emulated host -------------------------------------------------------------------------- */

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

static int add_program(const char *path, void *arg, struct err *e)
{
	return closure_add(arg, path, e);
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

static void add_firmware(struct cpio *c)
{
	for (size_t f = 0; f < ARRAY_LEN(firmware_folders); f++)
		for (size_t i = 0; i < ARRAY_LEN(firmware); i++) {
			AUTO_FREE char *path = str_format("%s/%s", firmware_folders[f], firmware[i]);
			if (access(path, R_OK) == 0)
				cpio_copy(c, path, 0644, path);
		}
}

/* Kernel and image of a guest, where kernel_find() and image_guest() of the taut inside will look. */
static int add_guest(struct cpio *c, const struct kernel *k, const char *agent, struct err *e)
{
	char image[PATH_BYTES];
	int rc = image_guest(k, agent, image, sizeof(image), e);

	if (rc < 0)
		return rc;
	AUTO_FREE char *kernel = str_format(HOST_CACHE "/kernels/%s/vmlinuz", k->release);
	AUTO_FREE char *inside = str_format(HOST_CACHE "/images/%s", strrchr(image, '/') + 1);
	cpio_copy(c, kernel, 0644, k->path);
	cpio_copy(c, inside, 0644, image);
	return 0;
}

static int fill_host(struct cpio *c, const struct content *content, struct err *e)
{
	static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n", group[] = "root:x:0:\n";
	const struct kernel *k = content->kernel;
	AUTO(buf_free) struct buf list = {0};
	int rc;

	add_ground(c, content->agent);
	cpio_data(c, "/etc/passwd", 0644, passwd, strlen(passwd));
	cpio_data(c, "/etc/group", 0644, group, strlen(group));
	if (content->parts & IMAGE_SHELL)
		cpio_link(c, "/bin/sh", "/usr/bin/dash");
	if ((rc = add_modules(c, k, host_modules, ARRAY_LEN(host_modules), false, &list, e)) < 0)
		return rc;
	if ((content->parts & IMAGE_VM) &&
		(rc = add_modules(c, k, vm_modules, ARRAY_LEN(vm_modules), true, &list, e)) < 0)
		return rc;
	cpio_data(c, "/taut/modules", 0644, list.data, list.len);
	closure_add_loader_cache(c);
	if ((rc = add_taut(c, content->agent, e)) < 0 ||
		(rc = each_program(content->parts, add_program, c, e)) < 0)
		return rc;
	if (content->parts & IMAGE_VM)
		add_firmware(c);
	for (size_t i = 0; rc == 0 && i < content->guests_n; i++)
		rc = add_guest(c, &content->guests[i], content->agent, e);
	return rc;
}

static int hash_program(const char *path, void *arg, struct err *e)
{
	return closure_hash(arg, path, e);
}

static int hash_host(struct hash *h, const struct content *content, struct err *e)
{
	char self[PATH_BYTES];
	int rc = self_path(self, e);

	hash_kernel(h, content->kernel);
	hash_add(h, &content->parts, sizeof(content->parts));
	if (rc < 0 || (rc = hash_agent(h, content->agent, e)) < 0 || (rc = closure_hash(h, self, e)) < 0)
		return rc;
	for (size_t i = 0; i < content->guests_n; i++)
		hash_kernel(h, &content->guests[i]);
	return each_program(content->parts, hash_program, h, e);
}

int image_host(const struct kernel *k, const char *agent, unsigned parts, const struct kernel *guests,
	size_t guests_n, char *path, size_t size, struct err *e)
{
	const struct content content = {
		.kernel = k, .agent = agent, .parts = parts, .guests = guests, .guests_n = guests_n};
	AUTO_FREE char *kind = str_format("host%u", parts);
	struct hash hash = hash_new();
	char found[PATH_BYTES];

	int rc = hash_host(&hash, &content, e);
	if (rc == 0)
		rc = image_path(kind, k, &hash, found, sizeof(found), e);
	if (rc == 0 && access(found, R_OK) < 0 && (rc = image_make(found, &content, fill_host, e)) == 0)
		sweep_old(found, kind, k);
	return rc < 0 ? rc : str_copy(path, size, found);
}

/* --- one boot ---------------------------------------------------------------------------------- */

static int copy_failed(const char *from, const char *path, struct err *e)
{
	int code = errno;

	err_code(e, code, "cannot copy %s to %s", from, path);
	return code == ENOSPC ? err_try(e, "free some space there") : -code;
}

static int copy_file(const char *from, int to, const char *path, struct err *e)
{
	AUTO_CLOSE int fd = open(from, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "cannot read %s", from);
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(to, fd, NULL, (size_t)left);
		if (n <= 0)
			return n < 0 ? copy_failed(from, path, e)
				     : err_set(e, EIO, "cannot copy %s: it changed meanwhile", from);
		left -= n;
	}
	return 0;
}

int image_append(const char *image, const json_t *document, const char *path, struct err *e)
{
	AUTO_FREE char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, "cannot write %s", path);
	int rc = copy_file(image, fd, path, e);
	if (rc < 0)
		return rc;
	struct cpio *c = cpio_open(fd);
	cpio_data(c, "/taut/boot.json", 0600, text, strlen(text));
	return cpio_close(c, e);
}
