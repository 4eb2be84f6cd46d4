/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QEMU as this machine has it: the program, its version, and whether it has the devices that taut's machines
 * consist of.  A program is asked once in a process.
 *
 * There may be two: the machine's own, and one that was fetched into the cache (fetch_qemu.c).  The machine's
 * own is taken wherever it will do, see qemu_for_machine(); of those in the cache the newest counts, as it is
 * now, for one may be fetched meanwhile.  That of the cache comes from another release of Debian with other
 * libraries, so its own dynamic loader starts it.
 */
#include "qemu.h"

#include "image.h"

#include <stdio.h>

#define ASK_NS (20 * NS_PER_S)
#define OLDEST 6 /* the first with -chardev socket,fd=, -sandbox and query-cpus-fast as used here */

static const char *const devices[] = {"virtio-net-pci", "virtio-serial-pci", "virtserialport"};

const char *const qemu_firmware[] = {
	"bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "linuxboot.bin", NULL};

/* What QEMU must have for a model: a device with this property. */
static const struct {
	const char *device, *property;
} models[NIC_MODELS_N] = {
	[NIC_IGB] = {"igb", "romfile"},
	[NIC_VIRTIO] = {"virtio-net-pci", "sriov-pf"},
};

struct answer {
	bool asked;
	struct qemu qemu;
	struct err why;
	enum { NOT_ASKED, HAS, LACKS } nics[NIC_MODELS_N];
};

/* --- how it is started --------------------------------------------------------------------------- */

char **qemu_words(const struct qemu *q, const char *const *arguments)
{
	AUTO_FREE char *loader = str_format("%s/lib/" QEMU_LOADER, q->folder);
	AUTO_FREE char *libraries = str_format("%s/lib", q->folder);
	AUTO_FREE char *firmware = str_format("%s/share", q->folder);
	const char *const cached[] = {loader, "--library-path", libraries, q->program, "-L", firmware, NULL};
	const char *const own[] = {q->program, NULL};
	const char *const *const parts[] = {q->folder[0] ? cached : own, arguments};
	char **words = NULL;
	size_t n = 0;

	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		for (size_t i = 0; parts[p][i]; i++) {
			words = mem_grow(words, n + 2, sizeof(*words));
			words[n++] = str_dup(parts[p][i]);
			words[n] = NULL;
		}
	return words;
}

void words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

char *qemu_environment(const struct qemu *q)
{
	return q->folder[0] ? str_format("QEMU_MODULE_DIR=%s/modules", q->folder) : NULL;
}

static int qemu_ask(const struct qemu *q, const char *const *arguments, char **text, struct err *e)
{
	char **words = qemu_words(q, arguments);
	int rc = child_run((const char *const *)(uintptr_t)words, true, ASK_NS, text, e);

	words_free(words);
	return rc;
}

/* --- what it is ---------------------------------------------------------------------------------- */

static int version_read(struct qemu *q, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int rc = qemu_ask(q, (const char *const[]){"--version", NULL}, &text, e);

	if (rc < 0)
		return rc;
	if (rc > 0 || sscanf(text, "QEMU emulator version %u.%u", &q->major, &q->minor) != 2) {
		text[strcspn(text, "\n")] = 0;
		return err_set(e, ENOTSUP, "cannot use %s: it says '%.120s' when asked for its version",
			q->program, text);
	}
	if (sscanf(text, "QEMU emulator version %40s", q->version) != 1)
		q->version[0] = 0;
	if (q->major < OLDEST)
		return err_set(e, ENOTSUP, "cannot use QEMU %s: it is older than %d.0", q->version, OLDEST);
	return 0;
}

static int devices_check(const struct qemu *q, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int rc = qemu_ask(q, (const char *const[]){"-device", "help", NULL}, &text, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		AUTO_FREE char *name = str_format("name \"%s\"", devices[i]);
		if (!strstr(text, name))
			return err_set(e, ENOTSUP, "cannot use QEMU %s: it has no device %s", q->version,
				devices[i]);
	}
	return 0;
}

/* Debian's QEMU has the devices; its list of them would load modules of the machine's own QEMU. */
int qemu_at(struct qemu *out, const char *folder, struct err *e)
{
	struct qemu q = {0};
	int rc = str_copy(q.folder, sizeof(q.folder), folder);

	if (rc < 0)
		return err_code(e, ENAMETOOLONG, "cannot use %s", folder);
	snprintf(q.program, sizeof(q.program), "%s/" QEMU_PROGRAM, folder);
	if (access(q.program, X_OK) < 0)
		return err_sys(e, "cannot run %s", q.program);
	rc = version_read(&q, e);
	if (rc == 0)
		*out = q;
	return rc;
}

/* --- looking for it ------------------------------------------------------------------------------ */

static void ask_own(struct answer *a)
{
	int rc = 0;

	if (!program_find(QEMU_PROGRAM, a->qemu.program, sizeof(a->qemu.program))) {
		rc = err_set(&a->why, ENOENT, "no " QEMU_PROGRAM " on PATH");
		err_try(&a->why, "apt-get install qemu-system-x86, or taut lab fetch");
	}
	if (rc == 0)
		rc = version_read(&a->qemu, &a->why);
	if (rc == 0)
		devices_check(&a->qemu, &a->why);
	a->asked = true;
}

static int take_newer(const char *name, void *arg)
{
	char **newest = arg;

	if (name[0] == '.' || (*newest && strverscmp(name, *newest) <= 0))
		return 0;
	free(*newest);
	*newest = str_dup(name);
	return 0;
}

/* The folder of the newest in the cache, malloc'd; NULL: there is none. */
static char *newest_cached(void)
{
	AUTO_CLOSE int root = root_open("/", ERR_IGNORED);
	AUTO_FREE char *name = NULL;
	char cache[256];

	if (!cache_exists(cache, sizeof(cache)))
		return NULL;
	AUTO_FREE char *folder = str_format("%s/qemu", cache);
	if (root_exists(root, folder))
		root_each(root, folder, take_newer, &name, ERR_IGNORED);
	return name ? str_format("%s/%s", folder, name) : NULL;
}

/* That there is none is no error worth a word; one that cannot be used is. */
static void ask_cached(struct answer *a)
{
	AUTO_FREE char *path = newest_cached();

	if (a->asked && !a->why.code && path && !strcmp(path, a->qemu.folder))
		return;
	*a = (struct answer){.asked = true};
	if (!path || qemu_at(&a->qemu, path, &a->why) < 0)
		a->why.code = a->why.code ? a->why.code : ENOENT;
}

enum { OWN, CACHED, PLACES_N };

static struct answer *answer_of(int place)
{
	static struct answer answers[PLACES_N];
	struct answer *a = &answers[place];

	if (place == CACHED)
		ask_cached(a);
	else if (!a->asked)
		ask_own(a);
	return a;
}

int qemu_find(struct qemu *out, struct err *e)
{
	const struct answer *own = answer_of(OWN), *taken = own;

	if (own->why.code && answer_of(CACHED)->why.code == 0)
		taken = answer_of(CACHED);
	if (taken->why.code) {
		*e = taken->why;
		return -taken->why.code;
	}
	*out = taken->qemu;
	return 0;
}

static bool makes(struct answer *a, enum nic_model model)
{
	AUTO_FREE char *help = str_format("%s,help", models[model].device);
	AUTO_FREE char *text = NULL;

	if (a->why.code)
		return false;
	if (a->nics[model] == NOT_ASKED)
		a->nics[model] = qemu_ask(&a->qemu, (const char *const[]){"-device", help, NULL}, &text,
					 ERR_IGNORED) == 0 &&
						 strstr(text, models[model].property)
					 ? HAS
					 : LACKS;
	return a->nics[model] == HAS;
}

int qemu_for(enum nic_model model, struct qemu *out, struct err *e)
{
	if (model == NIC_NONE)
		return qemu_find(out, e);
	for (int place = 0; place < PLACES_N; place++) {
		struct answer *a = answer_of(place);
		if (makes(a, model)) {
			*out = a->qemu;
			return 0;
		}
	}
	const struct answer *own = answer_of(OWN);
	if (own->why.code)
		err_set(e, ENOENT, "cannot make %s NICs: %s", nic_model_name(model), own->why.text);
	else
		err_set(e, ENOENT, "cannot make %s NICs: QEMU %s has no %s with %s", nic_model_name(model),
			own->qemu.version, models[model].device, models[model].property);
	return err_try(e, "taut lab fetch");
}

/*
 * A QEMU before 8.1 that emulates several CPUs can translate code while another CPU rewrites it, and keep the
 * outdated translation.  Kernels put a breakpoint (int3) into code while they rewrite it, and panic when an
 * outdated one is executed later.
 */
bool qemu_may_be_stale(const struct qemu *q, const struct machine_options *o)
{
	return o->accel == ACCEL_TCG && !o->exact && o->cpus > 1 && q->major * 100 + q->minor < 801;
}

int qemu_for_machine(const struct machine_options *o, struct qemu *out, struct err *e)
{
	int rc = qemu_for(o->nics, out, e);

	if (rc < 0 || !qemu_may_be_stale(out, o))
		return rc;
	struct answer *cached = answer_of(CACHED);
	if (!cached->why.code && !qemu_may_be_stale(&cached->qemu, o) &&
		(o->nics == NIC_NONE || makes(cached, o->nics)))
		*out = cached->qemu;
	return rc;
}

const char *accel_name(enum accel accel)
{
	return accel == ACCEL_KVM ? "kvm" : "tcg";
}
