/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image of an emulated host: taut, and the programs that taut starts there.  These are a container
 * runtime; for virtual machines QEMU with its firmware, and the kernel and image of each guest, in the cache
 * of the emulated host; for a container engine Docker with what it starts; for noise stress-ng; and for `taut
 * lab shell` a shell.
 *
 * Programs and their libraries are copied from this machine (closure.c); the hash of the image contains their
 * sizes and times.  The image of a guest gets the name that it has without the guest's modules, since the
 * emulated host does not have these and computes its name without them.
 */
#include "closure.h"
#include "cpio.h"
#include "image.h"
#include "qemu.h"

#include <stdio.h>
#include <sys/stat.h>

#define HOST_CACHE "/var/cache/taut"
/* The folder in which PID 1 of the host finds programs (its PATH is in src/agent/pid1.c). */
#define HOST_PROGRAMS "/usr/bin"

static const char *const host_modules[] = {"virtio_pci", "virtio_console", "veth", "bridge", "macvlan"};
static const char *const vm_modules[] = {"tun", "macvtap", "vhost_net", "kvm", "kvm_amd"};
static const char *const nic_modules[] = {"igb", "igbvf", "virtio_net", "vfio_pci", "vfio_iommu_type1"};
/* Nothing loads a module there when it is wanted: those of rules for nftables, and for the older tables. */
static const char *const engine_modules[] = {"overlay", "br_netfilter", "nf_tables", "nft_compat",
	"nft_chain_nat", "iptable_filter", "iptable_nat", "xt_addrtype", "xt_conntrack", "xt_MASQUERADE",
	"xt_nat", "xt_tcpudp"};

/* The modules of each part. */
static const struct {
	unsigned part;
	bool optional; /* a kernel may have none of that name, and so what they are for */
	const char *const *names;
	size_t n;
} modules[] = {
	{0, false, host_modules, ARRAY_LEN(host_modules)},
	{IMAGE_NICS, true, nic_modules, ARRAY_LEN(nic_modules)},
	{IMAGE_VM, true, vm_modules, ARRAY_LEN(vm_modules)},
	{IMAGE_ENGINE, true, engine_modules, ARRAY_LEN(engine_modules)},
};
/* The drivers of the NICs and of their functions, which a guest needs that is lent one; a guest has that of
 * virtio anyway. */
static const char *const lent_drivers[NIC_MODELS_N][2] = {[NIC_IGB] = {"igb", "igbvf"}};

/* Programs of this machine that go into an emulated host, where they are installed, by the part that needs
 * them. */
static const struct {
	unsigned part; /* 0: always */
	const char *name;
} programs[] = {
	{0, "runc"},
	{0, "crun"},
	{IMAGE_ENGINE, "dockerd"},
	{IMAGE_ENGINE, "docker-proxy"},
	{IMAGE_ENGINE, "containerd"},
	{IMAGE_ENGINE, "containerd-shim-runc-v2"},
	{IMAGE_ENGINE, "runc"},
	{IMAGE_ENGINE, "iptables"},
	{IMAGE_NOISE, "stress-ng"},
	{IMAGE_TOOLS, "netperf"},
	{IMAGE_TOOLS, "netserver"},
	{IMAGE_TOOLS, "iperf3"},
	{IMAGE_TOOLS, "sockperf"},
	{IMAGE_TOOLS, "ping"},
	{IMAGE_SHELL, "bash"},
	{IMAGE_SHELL, "dash"},
	{IMAGE_SHELL, "cat"},
	{IMAGE_SHELL, "ls"},
	{IMAGE_SHELL, "readlink"},
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

/* Folders in which distributions keep the files that QEMU reads at run time. */
static const char *const firmware_folders[] = {
	"/usr/share/qemu", "/usr/share/seabios", "/usr/share/qemu-kvm", "/usr/local/share/qemu"};
/* Libraries that programs load by themselves: the loader does not list them. */
static const char *const qemu_modules[] = {
	"/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so", "/usr/lib64/qemu/accel-tcg-x86_64.so"};
static const char *const engine_libraries[] = {"/lib/x86_64-linux-gnu/libcurl.so.4", "/lib64/libcurl.so.4"};
static const char *const iptables_folders[] = {"/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib64/xtables"};

const char *image_engine_lacks(void)
{
	char path[PATH_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (programs[i].part == IMAGE_ENGINE && !program_find(programs[i].name, path, sizeof(path)))
			return programs[i].name;
	return NULL;
}

typedef int program_fn(const char *path, void *arg, struct err *e);

/* Those of these files that are there. */
static int each_library(
	bool wanted, const char *const *paths, size_t n, program_fn *fn, void *arg, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && wanted && i < n; i++)
		if (access(paths[i], R_OK) == 0)
			rc = fn(paths[i], arg, e);
	return rc;
}

static int each_program(
	const struct host_content *host, const struct qemu *q, program_fn *fn, void *arg, struct err *e)
{
	bool own = host->parts & IMAGE_VM && !q->folder[0];
	char path[PATH_BYTES];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(programs); i++)
		if (!(programs[i].part & ~host->parts) && program_find(programs[i].name, path, sizeof(path)))
			rc = fn(path, arg, e);
	if (rc == 0 && own)
		rc = fn(q->program, arg, e);
	if (rc == 0)
		rc = each_library(own, qemu_modules, ARRAY_LEN(qemu_modules), fn, arg, e);
	return rc < 0 ? rc
		      : each_library(host->parts & IMAGE_ENGINE, engine_libraries,
				ARRAY_LEN(engine_libraries), fn, arg, e);
}

/* Adds a program at its own path, which other programs may use, and a link where PID 1 looks for it. */
static int add_program(const char *path, void *arg, struct err *e)
{
	AUTO_FREE char *looked_for = str_format(HOST_PROGRAMS "/%s", strrchr(path, '/') + 1);
	int rc = closure_add(arg, path, e);

	if (rc == 0 && !strstr(path, ".so"))
		cpio_link(arg, looked_for, path);
	return rc;
}

/* The path of the running program.  The link /proc/self/exe itself would not do: read by the dynamic loader
 * that lists the libraries, it names the loader. */
static int self_path(char out[PATH_BYTES], struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_BYTES - 1);

	out[n > 0 ? n : 0] = 0;
	return n > 0 ? 0 : err_sys(e, "cannot find the program that runs");
}

static int add_taut(struct cpio *c, const char *agent, unsigned parts, struct err *e)
{
	char self[PATH_BYTES];
	int rc = self_path(self, e);

	if (rc < 0)
		return rc;
	cpio_copy(c, "/usr/bin/taut-agent", 0755, agent);
	if (parts & IMAGE_DPDK) {
		AUTO_FREE char *dpdk = str_format("%s" IMAGE_DPDK_ENDING, agent);
		cpio_copy(c, "/usr/bin/taut-agent" IMAGE_DPDK_ENDING, 0755, dpdk);
	}
	return closure_add_as(c, self, "/usr/bin/taut", e);
}

static void each_firmware(void (*fn)(const char *path, void *arg), void *arg)
{
	for (size_t f = 0; f < ARRAY_LEN(firmware_folders); f++)
		for (size_t i = 0; qemu_firmware[i]; i++) {
			AUTO_FREE char *path = str_format("%s/%s", firmware_folders[f], qemu_firmware[i]);
			if (access(path, R_OK) == 0)
				fn(path, arg);
		}
}

static void add_firmware(const char *path, void *arg)
{
	cpio_copy(arg, path, 0644, path);
}

/* --- whole folders: a QEMU of the cache, where qemu_find() looks for it, and parts of iptables ---- */

typedef void file_fn(const char *path, const char *inside, void *arg);

struct each_file {
	const char *folder, *inside;
	file_fn *fn;
	void *arg;
};

static int one_file(const char *name, void *arg)
{
	const struct each_file *f = arg;
	AUTO_FREE char *path = str_format("%s/%s", f->folder, name);
	AUTO_FREE char *inside = str_format("%s/%s", f->inside, name);
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return root_each(
			root, path, one_file, &(struct each_file){path, inside, f->fn, f->arg}, ERR_IGNORED);
	f->fn(path, inside, f->arg);
	return 0;
}

static void each_file(const struct host_content *host, const struct qemu *q, file_fn *fn, void *arg)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *inside =
		q->folder[0] ? str_format(HOST_CACHE "/qemu%s", strrchr(q->folder, '/')) : NULL;

	if (inside)
		root_each(root, q->folder, one_file, &(struct each_file){q->folder, inside, fn, arg},
			ERR_IGNORED);
	for (size_t i = 0; host->parts & IMAGE_ENGINE && i < ARRAY_LEN(iptables_folders); i++) {
		const char *folder = iptables_folders[i];
		if (root_exists(root, folder))
			root_each(root, folder, one_file, &(struct each_file){folder, folder, fn, arg},
				ERR_IGNORED);
	}
}

static void add_file(const char *path, const char *inside, void *arg)
{
	cpio_copy(arg, inside, 0755, path);
}

static void hash_file(const char *path, const char *inside, void *arg)
{
	(void)inside;
	image_hash_stat(arg, path);
}

/* --- guests ---------------------------------------------------------------------------------------- */

static int add_guest_image(
	struct cpio *c, const struct kernel *k, const char *agent, const char *driver, struct err *e)
{
	char image[PATH_BYTES], name[PATH_BYTES];
	struct kernel bare = *k;
	int rc = image_guest(k, agent, driver, image, sizeof(image), e);

	bare.modules[0] = 0;
	if (rc == 0)
		rc = image_guest_path(&bare, agent, driver, name, sizeof(name), e);
	if (rc < 0)
		return rc;
	AUTO_FREE char *inside = str_format(HOST_CACHE "/images/%s", strrchr(name, '/') + 1);
	cpio_copy(c, inside, 0644, image);
	return 0;
}

/* Adds kernel and images of a guest, where kernel_find() and image_guest() look for them on the emulated
 * host. */
static int add_guest(
	struct cpio *c, const struct kernel *k, const struct image_content *content, struct err *e)
{
	const char *const *drivers = lent_drivers[content->host.nics];
	AUTO_FREE char *kernel = str_format(HOST_CACHE "/kernels/%s/vmlinuz", k->release);
	int rc = add_guest_image(c, k, content->agent, "", e);

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(lent_drivers[0]) && drivers[i]; i++)
		rc = add_guest_image(c, k, content->agent, drivers[i], e);
	if (rc == 0)
		cpio_copy(c, kernel, 0644, k->path);
	return rc;
}

static int fill_host(struct cpio *c, const struct image_content *content, struct err *e)
{
	static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n", group[] = "root:x:0:\n";
	const struct kernel *k = content->kernel;
	const struct host_content *host = &content->host;
	AUTO(buf_free) struct buf list = {0};
	struct qemu q = {0};
	int rc = host->parts & IMAGE_VM ? qemu_for(host->nics, &q, e) : 0;

	if (rc < 0)
		return rc;
	image_add_ground(c, content->agent);
	cpio_data(c, "/etc/passwd", 0644, passwd, strlen(passwd));
	cpio_data(c, "/etc/group", 0644, group, strlen(group));
	if (host->parts & IMAGE_SHELL)
		cpio_link(c, "/bin/sh", HOST_PROGRAMS "/dash");
	for (size_t i = 0; i < ARRAY_LEN(modules); i++)
		if (!(modules[i].part & ~host->parts) &&
			(rc = image_add_modules(
				 c, k, modules[i].names, modules[i].n, modules[i].optional, &list, e)) < 0)
			return rc;
	cpio_data(c, "/taut/modules", 0644, list.data, list.len);
	closure_add_loader_cache(c);
	if ((rc = add_taut(c, content->agent, host->parts, e)) < 0 ||
		(rc = each_program(host, &q, add_program, c, e)) < 0)
		return rc;
	if (host->parts & IMAGE_VM && !q.folder[0])
		each_firmware(add_firmware, c);
	each_file(host, &q, add_file, c);
	for (size_t i = 0; rc == 0 && i < host->guests_n; i++)
		rc = add_guest(c, host->guests[i], content, e);
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
	const struct host_content *host = &content->host;
	char self[PATH_BYTES];
	struct qemu q = {0};
	int rc = self_path(self, e);

	if (rc == 0 && host->parts & IMAGE_VM)
		rc = qemu_for(host->nics, &q, e);
	image_hash_kernel(h, content->kernel);
	hash_add(h, &host->parts, sizeof(host->parts));
	hash_add(h, &host->nics, sizeof(host->nics));
	if (rc < 0 || (rc = image_hash_agent(h, content->agent, e)) < 0 ||
		(rc = closure_hash(h, self, e)) < 0)
		return rc;
	for (size_t i = 0; i < host->guests_n; i++) {
		image_hash_kernel(h, host->guests[i]);
		image_hash_stat(h, host->guests[i]->path);
	}
	AUTO_FREE char *dpdk = str_format("%s" IMAGE_DPDK_ENDING, content->agent);
	if (host->parts & IMAGE_DPDK && (rc = image_hash_agent(h, dpdk, e)) < 0)
		return rc;
	image_hash_stat(h, CLOSURE_LOADER_CACHE);
	if (host->parts & IMAGE_VM)
		each_firmware(hash_firmware, h);
	each_file(host, &q, hash_file, h);
	return each_program(host, &q, hash_program, h, e);
}

int image_host(const struct kernel *k, const char *agent, const struct host_content *host, char *path,
	size_t size, struct err *e)
{
	struct image_content content = {.kernel = k, .agent = agent, .host = *host};
	struct hash hash = hash_new();
	char found[PATH_BYTES];

	content.host.parts |= host->nics ? IMAGE_NICS : 0u;
	AUTO_FREE char *kind = str_format("host%u", content.host.parts);
	int rc = hash_host(&hash, &content, e);
	if (rc == 0)
		rc = image_path(kind, k, &hash, found, sizeof(found), e);
	if (rc == 0)
		rc = image_ensure(found, kind, &content, fill_host, e);
	return rc < 0 ? rc : str_copy(path, size, found);
}
