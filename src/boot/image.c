/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images.  An image is an initramfs; a machine that taut boots with it has no disk.
 *
 *   /init                taut-agent, PID 1
 *   /taut/modules        names of modules, in the order of loading; the files are /taut/NAME.ko
 *   /taut/boot.json      what this boot is for; appended at every boot (image_append), so that the image
 *                        itself can be kept
 *
 * A guest has nothing else; image_host.c adds the programs of an emulated host.
 *
 * An image is kept in the cache under a hash of all that it was made from.  A new one is written under
 * another name and renamed when it is complete, so an incomplete image is never booted.  The hash contains
 * the build of the kernel, the modules.order of its module tree (which every installation writes anew), and
 * the content of the agent.
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
#define IMAGES_KEPT   3 /* for each kind and kernel */

static const char *const guest_modules[] = {"virtio_pci", "virtio_net", "virtio_console"};

/* --- where they are kept ----------------------------------------------------------------------- */

int image_path(const char *kind, const struct kernel *k, const struct hash *hash, char *path, size_t size,
	struct err *e)
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
	const char *folder, *prefix;
	struct kept {
		char *path;
		struct timespec used;
	} newest[IMAGES_KEPT]; /* the first is the newest */
};

static bool is_newer(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/*
 * Removes old images of the same kind and kernel.  The last ones that were used stay, because arms that
 * differ by the contents of the image use several in turn.  Only names with exactly a hash between the prefix
 * and
 * ".img" are taken, so that images of a release that begins alike, and those that are being written, stay.
 */
static int sweep_one(const char *name, void *arg)
{
	struct sweep *s = arg;
	struct stat st;

	if (!str_starts(name, s->prefix) ||
		strspn(name + strlen(s->prefix), "0123456789abcdef") != HASH_DIGITS ||
		strcmp(name + strlen(s->prefix) + HASH_DIGITS, ".img") != 0)
		return 0;
	struct kept one = {.path = str_format("%s/%s", s->folder, name)};
	if (stat(one.path, &st) == 0)
		one.used = st.st_mtim;
	for (size_t i = 0; i < ARRAY_LEN(s->newest); i++)
		if (!s->newest[i].path || is_newer(&one.used, &s->newest[i].used)) {
			struct kept next = s->newest[i];
			s->newest[i] = one;
			one = next;
		}
	if (one.path)
		unlink(one.path);
	free(one.path);
	return 0;
}

static void sweep_old(const char *path, const char *kind, const struct kernel *k)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *folder = str_dup(path);
	AUTO_FREE char *prefix = str_format("%s-%s-", kind, k->release);
	char *slash = strrchr(folder, '/');

	*slash = 0;
	struct sweep s = {.folder = folder, .prefix = prefix};
	root_each(root, folder, sweep_one, &s, ERR_IGNORED);
	for (size_t i = 0; i < ARRAY_LEN(s.newest); i++)
		free(s.newest[i].path);
}

/* Writes the image that `fill` describes to `path`, complete or not at all. */
static int image_make(const char *path, const struct image_content *content, image_fill *fill, struct err *e)
{
	AUTO_FREE char *temporary = str_format("%s.%d", path, getpid());
	AUTO_CLOSE int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	AUTO_CLOSE int hold = fd < 0 ? err_sys(e, "cannot write %s", temporary) : half_hold(temporary, e);

	if (hold < 0)
		return hold;
	struct cpio *c = cpio_open(fd);
	int rc = fill(c, content, e), closed = cpio_close(c, rc < 0 ? ERR_IGNORED : e);
	rc = rc < 0 ? rc : closed;
	if (rc == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		rc = err_sys(e, "cannot write %s", path);
	if (rc < 0)
		unlink(temporary);
	return rc < 0 ? err_wrap(e, "cannot make the image of kernel %s", content->kernel->release) : 0;
}

/* Makes the image at `path` when it is not there. */
int image_ensure(const char *path, const char *kind, const struct image_content *content, image_fill *fill,
	struct err *e)
{
	if (access(path, R_OK) == 0) {
		utimensat(AT_FDCWD, path, NULL, 0); /* marks it as used now */
		return 0;
	}
	int rc = image_make(path, content, fill, e);
	if (rc == 0)
		sweep_old(path, kind, content->kernel);
	return rc;
}

/* --- what is common ---------------------------------------------------------------------------- */

int image_hash_agent(struct hash *h, const char *agent, struct err *e)
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

void image_hash_stat(struct hash *h, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	const int64_t facts[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
	hash_text(h, path);
	hash_add(h, facts, sizeof(facts));
}

void image_hash_kernel(struct hash *h, const struct kernel *k)
{
	hash_text(h, IMAGE_VERSION);
	hash_text(h, k->release);
	hash_text(h, k->version);
	if (k->modules[0]) {
		AUTO_FREE char *order = str_format("%s/modules.order", k->modules);
		image_hash_stat(h, order);
	}
}

int image_add_modules(struct cpio *c, const struct kernel *k, const char *const *names, size_t names_n,
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

void image_add_ground(struct cpio *c, const char *agent)
{
	static const char *const folders[] = {"/dev", "/proc", "/sys", "/run", "/tmp", "/root"};

	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		cpio_folder(c, folders[i], 0755);
	cpio_device(c, "/dev/console", 0600, 5, 1);
	cpio_device(c, "/dev/null", 0666, 1, 3);
	cpio_copy(c, "/init", 0755, agent);
}

/* --- a guest ----------------------------------------------------------------------------------- */

static int fill_guest(struct cpio *c, const struct image_content *content, struct err *e)
{
	AUTO(buf_free) struct buf list = {0};

	image_add_ground(c, content->agent);
	int rc = image_add_modules(
		c, content->kernel, guest_modules, ARRAY_LEN(guest_modules), false, &list, e);
	if (rc < 0)
		return err_try(e, "a kernel with virtio: taut kernel list");
	if (content->driver[0])
		rc = image_add_modules(c, content->kernel, &content->driver, 1, true, &list, e);
	if (rc < 0)
		return rc;
	cpio_data(c, "/taut/modules", 0644, list.data ? list.data : "", list.len);
	if (content->program) {
		closure_add_loader_cache(c);
		rc = closure_add(c, content->program, e);
	}
	return rc;
}

/* A kind of its own for each driver, so that those in use are all kept. */
static char *guest_kind(const char *driver)
{
	return str_format("guest%s%s", *driver ? "." : "", driver);
}

int image_guest_path(
	const struct kernel *k, const char *agent, const char *driver, char *path, size_t size, struct err *e)
{
	AUTO_FREE char *kind = guest_kind(driver);
	struct hash hash = hash_new();

	image_hash_kernel(&hash, k);
	int rc = image_hash_agent(&hash, agent, e);
	return rc < 0 ? rc : image_path(kind, k, &hash, path, size, e);
}

/* The drivers of virtio are in every guest. */
static bool guest_has(const char *driver)
{
	for (size_t i = 0; i < ARRAY_LEN(guest_modules); i++)
		if (!strcmp(driver, guest_modules[i]))
			return true;
	return false;
}

int image_guest(
	const struct kernel *k, const char *agent, const char *driver, char *path, size_t size, struct err *e)
{
	const struct image_content content = {
		.kernel = k, .agent = agent, .driver = driver && !guest_has(driver) ? driver : ""};
	AUTO_FREE char *kind = guest_kind(content.driver);
	char found[PATH_BYTES];
	int rc = image_guest_path(k, agent, content.driver, found, sizeof(found), e);

	if (rc == 0)
		rc = image_ensure(found, kind, &content, fill_guest, e);
	return rc < 0 ? rc : str_copy(path, size, found);
}

int image_guest_with(const struct kernel *k, const char *agent, const char *driver, const char *program,
	char *path, size_t size, struct err *e)
{
	const struct image_content content = {
		.kernel = k, .agent = agent, .driver = driver, .program = program};
	AUTO_FREE char *kind = str_format("tool%s%s", *driver ? "." : "", driver);
	struct hash hash = hash_new();
	char found[PATH_BYTES];

	if (!*program)
		return image_guest(k, agent, driver, path, size, e);
	image_hash_kernel(&hash, k);
	image_hash_stat(&hash, CLOSURE_LOADER_CACHE);
	int rc = image_hash_agent(&hash, agent, e);
	if (rc == 0)
		rc = closure_hash(&hash, program, e);
	if (rc == 0)
		rc = image_path(kind, k, &hash, found, sizeof(found), e);
	if (rc == 0)
		rc = image_ensure(found, kind, &content, fill_guest, e);
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

static char *document_text(const struct boot_document *document)
{
	json_t *object = boot_document_json(document);
	char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(object);
	return text;
}

int image_append(const char *image, const struct boot_document *document, const char *path, struct err *e)
{
	AUTO_FREE char *text = document_text(document);
	/* In a folder of our own; QEMU may be another user. */
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_sys(e, "cannot write %s", path);
	int rc = copy_file(image, fd, path, e);
	if (rc < 0)
		return rc;
	struct cpio *c = cpio_open(fd);
	cpio_data(c, BOOT_DOCUMENT, 0600, text, strlen(text));
	return cpio_close(c, e);
}
