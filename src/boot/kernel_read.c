/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can be read of a kernel before it runs.
 *
 * A bzImage begins with a real-mode part of (setup_sects + 1) sectors that holds the setup header at 0x1f1
 * (Documentation/arch/x86/boot.rst).  The header's kernel_version points at a text "RELEASE (who@where)
 * VERSION", which uname -r and -v will show; the name of the file is not used.  After the real-mode part come
 * syssize * 16 bytes, so a file that was cut off is noticed.
 *
 * The flavour follows from release and version, the preemption model and the abilities from the
 * configuration. The file is untrusted: every offset is checked.
 */
#include "kernels.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define SECTOR          512u
#define SETUP_SECTS     0x1f1
#define SYSSIZE         0x1f4
#define BOOT_FLAG       0x1fe
#define HEADER_MAGIC    0x202
#define PROTOCOL        0x206
#define KERNEL_VERSION  0x20e
#define LOADFLAGS       0x211
#define XLOADFLAGS      0x236
#define HEADER_END      0x264
#define LOADED_HIGH     1u
#define KERNEL_64       1u
#define PROTOCOL_XLOAD  0x20cu
#define DEFAULT_SECTORS 4u

/* --- the image ---------------------------------------------------------------------------------- */

static unsigned le16(const unsigned char *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static uint64_t le32(const unsigned char *p)
{
	return le16(p) | (uint64_t)le16(p + 2) << 16;
}

/* Splits "RELEASE (who@where) #1 SMP …" into release and version. */
static int name_split(struct kernel *k, const char *text, size_t len, struct err *e)
{
	const char *end = memchr(text, 0, len);
	const char *space = memchr(text, ' ', len);

	if (!end || !space || space > end || space == text || (size_t)(space - text) >= sizeof(k->release))
		return err_set(e, EINVAL, "its header names no release");
	for (const char *p = text; p < end; p++)
		if (!isprint((unsigned char)*p))
			return err_set(e, EINVAL, "its header names no release");
	AUTO_FREE char *release = str_format("%.*s", (int)(space - text), text);
	/* The release becomes the name of a folder. */
	if (strchr(release, '/') || release[0] == '.' || !isalnum((unsigned char)release[0]))
		return err_set(e, EINVAL, "its release '%s' is no name", release);
	const char *version = strstr(space, ") #");
	version = version ? version + 2 : strstr(space, " #") ? strstr(space, " #") + 1 : space + 1;
	if (strlen(version) >= sizeof(k->version))
		return err_set(e, EINVAL, "the version in its header is too long");
	str_copy(k->release, sizeof(k->release), release);
	str_copy(k->version, sizeof(k->version), version);
	return 0;
}

int bzimage_parse(struct kernel *k, const void *head, size_t len, uint64_t file_bytes, struct err *e)
{
	const unsigned char *p = head;

	if (len < HEADER_END)
		return err_set(e, EINVAL, "it is too short to be a kernel");
	if (p[BOOT_FLAG] != 0x55 || p[BOOT_FLAG + 1] != 0xaa || memcmp(p + HEADER_MAGIC, "HdrS", 4) != 0)
		return err_set(e, EINVAL, "it is no bzImage");
	if (!(p[LOADFLAGS] & LOADED_HIGH) || le16(p + PROTOCOL) < PROTOCOL_XLOAD ||
		!(le16(p + XLOADFLAGS) & KERNEL_64))
		return err_set(e, EINVAL, "it is no kernel for x86-64");
	uint64_t setup = ((p[SETUP_SECTS] ? p[SETUP_SECTS] : DEFAULT_SECTORS) + 1) * SECTOR;
	uint64_t wanted = setup + le32(p + SYSSIZE) * 16;
	if (file_bytes < wanted)
		return err_set(e, EINVAL, "it is cut off: %llu bytes of %llu", (unsigned long long)file_bytes,
			(unsigned long long)wanted);
	size_t at = le16(p + KERNEL_VERSION) + 0x200u, end = MIN(len, (size_t)setup);
	if (at == 0x200 || at >= end)
		return err_set(e, EINVAL, "its header names no release");
	return name_split(k, (const char *)p + at, end - at, e);
}

int bzimage_read(struct kernel *k, const char *path, struct err *e)
{
	AUTO_FREE unsigned char *head = mem_alloc(BZIMAGE_HEAD_BYTES);
	/* O_NONBLOCK: a fifo is refused, not waited for. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t len = 0;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "cannot read the kernel %s", path);
	if (!S_ISREG(st.st_mode)) {
		err_set(e, EINVAL, "it is no regular file");
		return err_wrap(e, "cannot use %s as a kernel", path);
	}
	while (len < BZIMAGE_HEAD_BYTES) {
		ssize_t n = read(fd, head + len, BZIMAGE_HEAD_BYTES - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "cannot read the kernel %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	rc = bzimage_parse(k, head, len, (uint64_t)st.st_size, e);
	return rc < 0 ? err_wrap(e, "cannot use %s as a kernel", path) : 0;
}

/* --- flavour, preemption, abilities ------------------------------------------------------------- */

/* For each ability the options that must be y or m ("A|B": one of them), and the first release that has it.
 */
static const struct {
	const char *options;
	unsigned major, minor;
} needs[KERNEL_ABILITIES_N] = {
	[KERNEL_VIRTIO] = {"VIRTIO VIRTIO_PCI VIRTIO_NET VIRTIO_CONSOLE", 0, 0},
	[KERNEL_KVM] = {"KVM KVM_INTEL|KVM_AMD", 0, 0},
	[KERNEL_VHOST] = {"VHOST_NET TUN", 0, 0},
	[KERNEL_CONTAINERS] = {"NAMESPACES NET_NS PID_NS CGROUPS VETH BRIDGE", 0, 0},
	[KERNEL_PARTITION] = {"CGROUPS CPUSETS", 6, 1}, /* the partition type "isolated" */
	[KERNEL_NOHZ_FULL] = {"NO_HZ_FULL CPU_ISOLATION", 0, 0},
	[KERNEL_NOCB] = {"RCU_NOCB_CPU", 0, 0},
	[KERNEL_DYNAMIC] = {"PREEMPT_DYNAMIC", 0, 0},
	[KERNEL_FAIR_SERVER] = {"", 6, 12},
};

#define KERNEL_ABILITY_ROW(id, word, help) {word, help},
const struct kernel_ability_row kernel_ability_rows[KERNEL_ABILITIES_N] = {
	KERNEL_ABILITIES(KERNEL_ABILITY_ROW)};

/* Endings of releases that are a distribution's usual kernel.  A release without an ending ("6.12.3") is
 * stock too. */
static const char *const stock_endings[] = {"-amd64", "-generic", ".x86_64"};

static const struct {
	const char *option, *model;
} models[] = {
	{"PREEMPT_LAZY", "lazy"},
	{"PREEMPT", "full"},
	{"PREEMPT_VOLUNTARY", "voluntary"},
	{"PREEMPT_NONE", "none"},
};

static bool config_has(const char *config, const char *name, size_t len)
{
	for (const char *p = config; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (str_starts(p, "CONFIG_") && !strncmp(p + 7, name, len) && p[7 + len] == '=')
			return p[8 + len] == 'y' || p[8 + len] == 'm';
	}
	return false;
}

/* Has the configuration all words of `options`, of "A|B" one? */
static bool config_has_all(const char *config, const char *options)
{
	bool all = true;

	for (const char *p = options; *p && all; p += *p == ' ') {
		bool any = false;
		for (;; p++) {
			size_t n = strcspn(p, " |");
			any = any || config_has(config, p, n);
			p += n;
			if (*p != '|')
				break;
		}
		all = any;
	}
	return all;
}

static const char *flavour(const struct kernel *k)
{
	if (strstr(k->version, "PREEMPT_RT"))
		return "rt";
	if (strstr(k->release, "-cloud-"))
		return "cloud";
	for (size_t i = 0; i < ARRAY_LEN(stock_endings); i++)
		if (str_ends(k->release, stock_endings[i]))
			return "stock";
	return k->release[strspn(k->release, "0123456789.")] ? "other" : "stock";
}

static const char *model(const char *config)
{
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		if (config_has(config, models[i].option, strlen(models[i].option)))
			return models[i].model;
	return "";
}

static void judge_preemption(struct kernel *k, const char *config)
{
	const char *m = config ? model(config) : "", *kind = "";

	if (strstr(k->version, "PREEMPT_RT") || (config && config_has_all(config, "PREEMPT_RT")))
		kind = "PREEMPT_RT";
	else if (strstr(k->version, "PREEMPT_DYNAMIC") ||
		 (config && config_has_all(config, "PREEMPT_DYNAMIC")))
		kind = "PREEMPT_DYNAMIC";
	/* A realtime kernel is fully preemptible whatever the model; only lazy makes a difference there. */
	if (!strcmp(kind, "PREEMPT_RT") && strcmp(m, "lazy") != 0)
		m = "";
	if (*kind)
		snprintf(k->preempt, sizeof(k->preempt), *m ? "%s (%s)" : "%s", kind, m);
	else if (*m)
		str_copy(k->preempt, sizeof(k->preempt), m);
	else
		str_copy(k->preempt, sizeof(k->preempt),
			strstr(k->version, "PREEMPT_LAZY") ? "lazy"
			: strstr(k->version, " PREEMPT ")  ? "full"
							   : "none or voluntary");
}

void kernel_judge(struct kernel *k, const char *config)
{
	unsigned major = 0, minor = 0;

	if (sscanf(k->release, "%u.%u", &major, &minor) != 2) /* NOLINT(cert-err34-c) */
		major = minor = 0;
	str_copy(k->flavour, sizeof(k->flavour), flavour(k));
	judge_preemption(k, config);
	k->configured = config != NULL;
	for (size_t i = 0; i < KERNEL_ABILITIES_N; i++)
		k->can[i] = config && config_has_all(config, needs[i].options) &&
			    (major > needs[i].major || (major == needs[i].major && minor >= needs[i].minor));
}
