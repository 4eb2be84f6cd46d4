/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys.h"

#include <ctype.h>
#include <stdio.h>

int cpus_parse_list(const char *text, cpus *out)
{
	cpus set;

	CPU_ZERO(&set);
	while (*text) {
		char *end;
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		unsigned long first = strtoul(text, &end, 10), last = first;
		if (*end == '-') {
			text = end + 1;
			if (!isdigit((unsigned char)*text))
				return -EINVAL;
			last = strtoul(text, &end, 10);
		}
		if (last < first)
			return -EINVAL;
		if (last >= CPU_SETSIZE)
			return -ERANGE;
		for (unsigned long cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, &set);
		if (*end == ',' && end[1])
			end++;
		else if (*end)
			return -EINVAL;
		text = end;
	}
	*out = set;
	return 0;
}

/* Reads the digits from the right: every hex digit is four CPUs, and commas are passed over. */
int cpus_parse_mask(const char *text, cpus *out)
{
	cpus set;
	unsigned cpu = 0;

	CPU_ZERO(&set);
	if (!*text)
		return -EINVAL;
	for (const char *p = text + strlen(text); p-- > text;) {
		if (*p == ',')
			continue;
		if (!isxdigit((unsigned char)*p))
			return -EINVAL;
		unsigned digit = isdigit((unsigned char)*p)
					 ? (unsigned)(*p - '0')
					 : (unsigned)(tolower((unsigned char)*p) - 'a' + 10);
		for (unsigned bit = 0; bit < 4; bit++, cpu++)
			if (digit >> bit & 1) {
				if (cpu >= CPU_SETSIZE)
					return -ERANGE;
				CPU_SET(cpu, &set);
			}
	}
	*out = set;
	return 0;
}

char *cpus_format_list(const cpus *set, char *out, size_t size)
{
	size_t len = 0;

	out[0] = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && len < size; cpu++) {
		if (!CPU_ISSET(cpu, set))
			continue;
		int last = cpu;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		len += (size_t)snprintf(
			out + len, size - len, last > cpu ? "%s%d-%d" : "%s%d", len ? "," : "", cpu, last);
		cpu = last;
	}
	return out;
}

char *cpus_format_mask(const cpus *set, char *out, size_t size)
{
	size_t len = 0;
	int word = CPU_SETSIZE / 32 - 1;

	out[0] = 0;
	for (; word >= 0 && len < size; word--) {
		unsigned bits = 0;
		for (int bit = 0; bit < 32; bit++)
			bits |= (unsigned)(CPU_ISSET(word * 32 + bit, set) != 0) << bit;
		if (len == 0 && bits == 0 && word > 0)
			continue;
		len += (size_t)snprintf(out + len, size - len, len ? ",%08x" : "%x", bits);
	}
	return out;
}

int cpus_online(int root, cpus *out, struct err *e)
{
	char text[4096];
	int rc = root_read(root, "/sys/devices/system/cpu/online", text, sizeof(text), e);

	if (rc < 0)
		return rc;
	if (cpus_parse_list(text, out))
		return err_set(e, EINVAL, "cannot read the online CPUs: '%s' is not a CPU list", text);
	return 0;
}

void cpus_without(cpus *out, const cpus *all, const cpus *less)
{
	cpus both;

	CPU_AND(&both, all, less);
	CPU_XOR(out, all, &both);
}

void cpus_withheld(int root, const cpus *online, cpus *out)
{
	char text[8192];
	cpus allowed, isolated, common;

	CPU_ZERO(out);
	if (root_read(root, "/proc/self/status", text, sizeof(text), ERR_IGNORED) < 0)
		return;
	char *line = strstr(text, "\nCpus_allowed:");
	if (!line)
		return;
	line += strlen("\nCpus_allowed:");
	line[strcspn(line, "\n")] = 0;
	if (cpus_parse_mask(str_trim(line), &allowed))
		return;
	if (root_read(root, "/sys/devices/system/cpu/isolated", text, sizeof(text), ERR_IGNORED) < 0 ||
		cpus_parse_list(text, &isolated))
		CPU_ZERO(&isolated);
	cpus_without(&common, online, &isolated);
	CPU_AND(&allowed, &allowed, online);
	if (!CPU_EQUAL(&allowed, &common))
		cpus_without(out, online, &allowed);
}

int cpus_first(const cpus *set)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set))
			return cpu;
	return -1;
}
