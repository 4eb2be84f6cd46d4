/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Temporary files of tests, which are removed when the test program ends, however it ends (tests/keeper.sh).
 * What is wrong with one of them ends the program.
 */
#pragma once

void keep(const char *path); /* has it removed */
/* mkdtemp() and mkstemp() of such paths. */
char *keep_folder(char *template);
int keep_file(char *template);
/* A folder for state folders in which changes of this machine are recorded; they are undone before it is
 * removed. */
char *keep_real(char *template);
