/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What kernels, programs and packages are made of, and what tells where they are. */
#include "fuzz.h"

#include "boot/apt.h"
#include "boot/closure.h"
#include "boot/kernels.h"
#include "boot/kvm_answer.h"
#include "boot/unpack.h"

#include <sys/stat.h>

/* What lies in a file that is said to be a kernel: its header, and what follows from the names in it. */
FUZZ_TARGET(bzimage)
{
	struct kernel k = {0};
	struct kernel_word word;

	if (bzimage_parse(&k, data, size, size * 16, ERR_IGNORED) < 0)
		return;
	assert(k.release[0] && !strchr(k.release, '/') && k.release[0] != '.');
	kernel_judge(&k, k.version);
	assert(release_begins(k.release, k.release));
	kernel_word_parse(&word, k.release);
}

/* A module of a kernel: ELF, and the list in .modinfo. */
FUZZ_TARGET(module)
{
	static const char *const keys[] = {"depends", "softdep", "vermagic", ""};
	const char *info;
	size_t len, total = 0;

	if (module_info((const char *)data, size, &info, &len, ERR_IGNORED) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *value;
		for (size_t at = 0; (value = module_info_next(info, len, keys[i], &at));)
			total += strlen(value);
	}
	assert(total <= size);
}

/* What apt says of its lists, and of the versions in them: what is kept is part of what was there. */
FUZZ_TARGET(sources)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	AUTO(sources_free) struct sources s = {.codename = "b"};

	sources_take(&s, text);
	AUTO_FREE char *line = sources_backports(&s);
	AUTO_FREE char *kept = sources_filter(&s, text, text);
	assert(strlen(kept) <= size && !(line && s.backports));
}

/* A package of a kernel: ar, tar, and the names in it. */
FUZZ_TARGET(deb)
{
	AUTO_FREE char *folder = str_format("%s/unpacked", fuzz_folder());
	AUTO_FREE char *beside = str_format("%s/beside", fuzz_folder());
	char package[32];
	AUTO_CLOSE int fd = fuzz_file(data, size, package);

	bool made = fd >= 0 && mkdir(folder, 0700) == 0;
	unpack_package(package, folder, unpack_kernel, ERR_IGNORED);
	assert(made && access(beside, F_OK) < 0);
	int rc = tree_remove(folder, ERR_IGNORED);
	assert(rc == 0);
}

/* A compressed file: a configuration or a module of a kernel, of 1 MiB at most. */
FUZZ_TARGET(xz)
{
	char path[32];
	AUTO_CLOSE int fd = fuzz_file(data, size, path);
	AUTO_FREE char *out = NULL;
	size_t len = 0;

	if (fd >= 0 && unpack_file(path, 1 << 20, &out, &len, ERR_IGNORED) == 0)
		assert(out && len <= 1 << 20 && out[len] == 0);
}

static int library_seen(const char *library, void *arg, struct err *e)
{
	size_t *n = arg;

	(void)e;
	assert(library[0] == '/' && !strchr(library, '\n'));
	return (int)++*n;
}

/* What the dynamic loader prints of a program. */
FUZZ_TARGET(ldso)
{
	AUTO_FREE char *text = fuzz_text(data, size);
	size_t n = 0;

	closure_read(text, "/bin/true", library_seen, &n, ERR_IGNORED);
	assert(n <= size);
}

/* What a taut before this one found out about KVM: what is kept of it must be found again. */
FUZZ_TARGET(kvm)
{
	AUTO_FREE char *path = str_format("%s/kvm.json", fuzz_folder());
	char why[256], again[256];
	int rc = file_write_synced(path, data, size, 0600, ERR_IGNORED);

	assert(rc == 0);
	kvm_answer(path, "boot", "with", why, sizeof(why));
	kvm_answer_keep(path, "boot", "with", false, "it did not boot");
	int after = kvm_answer(path, "boot", "with", again, sizeof(again));
	assert(after == 1 || (after == 0 && !strcmp(again, "it did not boot")));
	kvm_answer_keep(path, "boot", "with", true, "");
	after = kvm_answer(path, "boot", "with", again, sizeof(again));
	assert(after == 1);
}

FUZZ_MAIN
