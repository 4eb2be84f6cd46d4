/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside undo: the functions behind its own rows, one file a family, and journals as they are read. */
#pragma once

#include "undo/undo.h"

/* --- rows -------------------------------------------------------------------------------------- */

int undo_file_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_file_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_pool_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_netns_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_netns_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_netns_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_affinity_read(
	const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_affinity_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_affinity_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_sched_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_sched_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_sched_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_rttime_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_rttime_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_memory_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_memory_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_controller_read(
	const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_controller_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_group_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_group_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_group_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_command_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_command_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);

int undo_link_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_link_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_link_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_home_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_home_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_hold_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_hold_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_hold_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);
int undo_pci_read(const struct undo_host *host, const struct undo_entry *entry, char **out, struct err *e);
int undo_pci_write(
	const struct undo_host *host, const struct undo_entry *entry, const char *value, struct err *e);
int undo_pci_revert(const struct undo_host *host, struct undo_entry *entry, struct err *e);

/* An entry whose row is still to be set. */
struct undo_entry *undo_entry_new(struct undo_list *list, const char *knob, const char *object);

/* --- journals ---------------------------------------------------------------------------------- */

struct undo_journal {
	char *path;
	char id[64]; /* for the user: PID-N, from the name of the file */
	char boot[40];
	struct undo_owner owner;
	uint64_t sequence;
	struct undo_list *list; /* NULL: it cannot be read, and `bad` says why */
	struct err bad;
};

/* Every journal of the state folder, the newest of each owner first. */
int undo_journals_load(const struct undo_host *host, struct undo_journal **out, size_t *n, struct err *e);
void undo_journals_free(struct undo_journal *journals, size_t n);
/* Removes journals that a taut was killed over: they are not complete, so nothing was written after them. */
void undo_journals_sweep(const struct undo_host *host);

/* --- owners ------------------------------------------------------------------------------------ */

#define MARK_NAME "TAUT_MARK"

/* Where the folders of all owner records are; does not look whether it exists. */
void undo_base(char *out, size_t size);
/* The base itself, and where runtimes keep their state, once nobody has anything there. */
void undo_base_remove(const char *base);
bool undo_owner_parse(const char *text, struct undo_owner *out); /* "pid:start:pidns" */
/* "taut-123-1-4026531836" or "123-1-4026531836", from an older taut without the namespace; reads the record
 * in BASE/123-1-4026531836 when there is one. */
bool undo_owner_of_name(const char *base, const char *name, struct undo_owner *out);
bool undo_is_real_root(int root); /* "/", and not a fixture tree */

/* --- cgroups ----------------------------------------------------------------------------------- */

/* Is the name of a cgroup ("taut-123-1-4026531836") that of a taut that is dead?  *alive: of one that lives.
 */
bool undo_cgroup_of_dead(const struct undo_host *host, const char *name, bool *alive);
/* Does the path lead into such a cgroup? */
bool undo_cgroup_left(const struct undo_host *host, const char *path);
/* Calls fn with the mount of every cgroup hierarchy. */
int undo_cgroup_mounts_each(
	const struct undo_host *host, int (*fn)(const char *mount, void *arg), void *arg, struct err *e);
/* Kills what is in a cgroup and below (when told to) and removes it; -EBUSY at the deadline.  One that is not
 * there is removed already. */
int undo_cgroup_remove(
	const struct undo_host *host, const char *path, bool kill_tasks, uint64_t deadline_ns, struct err *e);
