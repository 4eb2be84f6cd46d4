/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spec.h"

const char *role_name(enum role role)
{
	static const char *const names[] = {"client", "server", "vcpu", "emulator", "iothread", "vhost"};

	return (size_t)role < ARRAY_LEN(names) ? names[role] : "unknown";
}
