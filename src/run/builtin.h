/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The experiments of experiments/, embedded when taut is built; help is the first line's comment. */
#pragma once

struct builtin {
	const char *name, *help, *text;
};
extern const struct builtin builtins[]; /* ends with a null name */
