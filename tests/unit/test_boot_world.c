/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "test_boot_world.h"
#include "test_keep.h"

#include <elf.h>
#include <fcntl.h>

char world[64];

int world_begin(void **state)
{
	(void)state;
	snprintf(world, sizeof(world), "/tmp/taut-boot-XXXXXX");
	return keep_folder(world) ? 0 : -1;
}

int world_end(void **state)
{
	(void)state;
	return tree_remove(world, ERR_IGNORED);
}

static void write_at(const char *path, const void *data, size_t len)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *folder = str_dup(path);

	*strrchr(folder, '/') = 0;
	ok(dir_make(folder, 0755, &e));
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
}

static char *path_of(const char *format, va_list args)
{
	char below[512];

	assert_true(vsnprintf(below, sizeof(below), format, args) < (int)sizeof(below));
	return str_format("%s%s", world, below);
}

void world_write(const void *data, size_t len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *path = path_of(format, args);
	va_end(args);
	write_at(path, data, len);
}

void world_text(const char *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *path = path_of(format, args);
	va_end(args);
	write_at(path, text, strlen(text));
}

void bzimage_make(unsigned char out[BZIMAGE_BYTES], const char *name)
{
	memset(out, 0, BZIMAGE_BYTES);
	out[0x1f1] = 3;                             /* setup: 3 sectors and the boot sector */
	out[0x1f4] = (BZIMAGE_BYTES - 2048) / 16;   /* syssize */
	out[0x1fe] = 0x55, out[0x1ff] = 0xaa;       /* boot flag */
	memcpy(out + 0x202, "HdrS\x0f\x02", 6);     /* protocol 2.15 */
	out[0x20e] = (BZIMAGE_NAME - 0x200) & 0xff; /* kernel_version */
	out[0x20f] = (BZIMAGE_NAME - 0x200) >> 8;
	out[0x211] = 1, out[0x236] = 1; /* bzImage, 64 bits */
	assert_true(strlen(name) < 2048 - BZIMAGE_NAME);
	memcpy(out + BZIMAGE_NAME, name, strlen(name) + 1);
}

void world_kernel(const char *release, const char *version, const char *format, ...)
{
	unsigned char image[BZIMAGE_BYTES];
	AUTO_FREE char *name = str_format("%s (who@where) %s", release, version);
	va_list args;

	va_start(args, format);
	AUTO_FREE char *path = path_of(format, args);
	va_end(args);
	bzimage_make(image, name);
	write_at(path, image, sizeof(image));
}

char *module_make(const char *info, size_t *len)
{
	static const char names[] = "\0.modinfo\0.shstrtab";
	size_t info_len = strlen(info) + 1, at = sizeof(Elf64_Ehdr);
	size_t headers = (at + info_len + sizeof(names) + 7) / 8 * 8;
	Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_REL,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_shoff = headers,
		.e_ehsize = sizeof(h),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3,
		.e_shstrndx = 2};
	Elf64_Shdr s[3] = {{0}, {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = at, .sh_size = info_len},
		{.sh_name = 10, .sh_type = SHT_STRTAB, .sh_offset = at + info_len, .sh_size = sizeof(names)}};

	*len = headers + sizeof(s);
	char *out = mem_alloc(*len);
	memcpy(out, &h, sizeof(h));
	memcpy(out + at, info, info_len);
	for (size_t i = 0; i < info_len; i++)
		out[at + i] = (char)(out[at + i] == '|' ? 0 : out[at + i]);
	memcpy(out + at + info_len, names, sizeof(names));
	memcpy(out + headers, s, sizeof(s));
	return out;
}
