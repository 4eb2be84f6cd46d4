/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Plans in force: applied, read back, undone.
 *
 * Applying a plan writes its journal and then its entries in order.  Entries that carry a choice are ways to
 * the same end (the CPU partition by cgroup v2, by cgroup v1, by affinity): the first choice whose entries
 * all take effect stands; one that fails is undone, the journal is written anew for the next, and so on. When
 * none works, or a mandatory entry fails, everything this plan wrote is put back.
 *
 * Many writes sleep (grace periods, fsync), and every wake-up of this thread would queue behind the load of
 * the housekeeping CPUs, on which it now sits as well.  So it does its work at the best nice value, where
 * that is allowed, and steps back when done.  Not at a realtime priority: opening /proc/TID of a task that is
 * just ending spins in the kernel until that task has finished, which it never does when the two share a CPU.
 */
#include "private.h"

#include <stdio.h>
#include <sys/resource.h>

struct tune {
	const struct undo_host *host;
	struct undo_list **plans;
	size_t n;
};

int tune_open(struct tune **out, const struct undo_host *host, struct err *e)
{
	struct tune *tune = mem_alloc(sizeof(*tune));

	(void)e;
	tune->host = host;
	*out = tune;
	return 0;
}

#define NICE_BEST (-20)

struct hurry {
	int nice; /* before */
	bool on;
};

/* Of this thread alone. */
static struct hurry hurry_begin(const struct undo_host *host)
{
	struct hurry hurry = {0};

	errno = 0;
	hurry.nice = getpriority(PRIO_PROCESS, 0);
	hurry.on = host->privileged && errno == 0 && setpriority(PRIO_PROCESS, 0, NICE_BEST) == 0;
	return hurry;
}

static void hurry_end(const struct hurry *hurry)
{
	if (hurry->on)
		setpriority(PRIO_PROCESS, 0, hurry->nice);
}

/* The lowest choice above `above` that has entries to write; 0: none. */
static unsigned next_choice(const struct undo_list *plan, unsigned above)
{
	unsigned best = 0;

	for (size_t i = 0; i < plan->n; i++) {
		const struct undo_entry *entry = &plan->entries[i];
		if (entry->choice > above && entry->status == UNDO_PLANNED && (!best || entry->choice < best))
			best = entry->choice;
	}
	return best;
}

static bool anything_due(const struct undo_list *plan, unsigned choice)
{
	for (size_t i = 0; i < plan->n; i++)
		if (undo_entry_due(&plan->entries[i], choice))
			return true;
	return false;
}

/*
 * Carries out one entry.  An optional one that is refused or reads back otherwise is put back and says why; a
 * mandatory one is an error, and stays marked as written for the undoing of the whole.
 */
static int apply_entry(const struct undo_host *host, struct undo_entry *entry, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = undo_entry_apply(host, entry, &why);

	if (rc == 0 && entry->status == UNDO_EFFECTIVE)
		return 0;
	if (rc == 0 && entry->status == UNDO_AWAY)
		rc = err_set(&why, ENODEV, "cannot set %s to '%s': %s", entry->object, entry->after,
			entry->reason);
	else if (rc == 0)
		err_set(&why, EIO, "cannot set %s to '%s': it %s", entry->object, entry->after,
			entry->reason);
	if (!entry->optional) {
		if (why.code == EPERM && !host->privileged) {
			why.exit = EXIT_REFUSED;
			err_try(&why, "run as root");
		}
		*e = why;
		return -why.code;
	}
	enum undo_status status = rc == 0 ? UNDO_FAILED : UNDO_SKIPPED;
	rc = entry->written ? undo_entry_revert(host, entry, e) : 0;
	if (!entry->written)
		undo_entry_stand(entry, status, "%s", why.text);
	return rc;
}

/* All entries of one choice: 0 they hold, 1 they do not and are undone again (*why says what stood in the
 * way). */
static int apply_choice(
	const struct undo_host *host, struct undo_list *plan, unsigned choice, struct err *why, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < plan->n && rc == 0; i++)
		if (plan->entries[i].choice == choice && plan->entries[i].status == UNDO_PLANNED)
			rc = apply_entry(host, &plan->entries[i], why);
	if (rc == 0)
		return 0;
	rc = undo_list_undo(host, plan, choice, e);
	for (size_t i = 0; i < plan->n; i++)
		if (plan->entries[i].choice == choice && !plan->entries[i].written)
			undo_entry_stand(&plan->entries[i], UNDO_SKIPPED, "%s", why->text);
	return rc < 0 ? rc : 1;
}

static void skip_other_choices(struct undo_list *plan, unsigned choice)
{
	for (size_t i = 0; i < plan->n; i++) {
		struct undo_entry *entry = &plan->entries[i];
		if (!entry->choice || entry->choice == choice || entry->status != UNDO_PLANNED)
			continue;
		undo_entry_stand(entry, UNDO_SKIPPED, "not needed: another way holds");
		entry->why = KNOB_OTHER_WAY;
	}
}

static int apply_choices(struct tune *tune, struct undo_list *plan, unsigned choice, struct err *e)
{
	struct err why = ERR_INIT;

	while (choice) {
		int rc = apply_choice(tune->host, plan, choice, &why, e);
		if (rc < 0)
			return rc;
		if (rc == 0) {
			skip_other_choices(plan, choice);
			return 0;
		}
		log_info("%s; trying another way", why.text);
		choice = next_choice(plan, choice);
		if (choice && (rc = undo_journal_write(tune->host, plan, choice, e)) < 0)
			return rc;
	}
	*e = why;
	err_wrap(e, "cannot keep CPUs apart in any way");
	return why.code ? -why.code : -EIO;
}

static int apply_entries(struct tune *tune, struct undo_list *plan, unsigned choice, struct err *e)
{
	bool chosen = choice == 0;
	int rc = 0;

	for (size_t i = 0; i < plan->n && rc == 0; i++) {
		struct undo_entry *entry = &plan->entries[i];
		if (entry->status != UNDO_PLANNED)
			continue;
		if (entry->choice == 0) {
			rc = apply_entry(tune->host, entry, e);
		} else if (!chosen) { /* all of them, where the first of them stands */
			chosen = true;
			rc = apply_choices(tune, plan, choice, e);
		}
	}
	return rc;
}

/* After a failure: everything of this plan goes back.  What cannot is told with the failure. */
static int give_up(struct tune *tune, struct undo_list *plan, int rc, struct err *e)
{
	struct err why = ERR_INIT;

	if (undo_list_undo(tune->host, plan, 0, &why) < 0) {
		undo_journal_shrink(plan);
		struct err failed = *e;
		*e = why;
		err_wrap(e, "%s; and then cannot undo it", failed.text);
		err_try(e, "taut tune revert");
		e->exit = EXIT_PARTLY_APPLIED;
		return -EIO;
	}
	undo_journal_remove(plan, ERR_IGNORED);
	return rc;
}

/* Journal first, then the entries. */
static int carry_out(struct tune *tune, struct undo_list *plan, unsigned choice, struct err *e)
{
	AUTO(hurry_end) struct hurry hurry = hurry_begin(tune->host);
	int rc;

	(void)hurry;
	rc = undo_journal_begin(tune->host, plan, choice, e);
	if (rc < 0)
		return err_wrap(e, "cannot tune the machine");
	rc = apply_entries(tune, plan, choice, e);
	return rc < 0 ? give_up(tune, plan, rc, e) : 0;
}

int tune_apply(struct tune *tune, struct undo_list *plan, struct err *e)
{
	unsigned choice = next_choice(plan, 0);

	tune->plans = mem_grow(tune->plans, tune->n + 1, sizeof(struct undo_list *));
	tune->plans[tune->n++] = plan;
	return anything_due(plan, choice) ? carry_out(tune, plan, choice, e) : 0;
}

/* Is it in force, whatever an earlier verification has found? */
static bool is_in_force(const struct undo_entry *entry)
{
	return entry->written && !entry->strays &&
	       (entry->status == UNDO_EFFECTIVE || entry->status == UNDO_CHANGED ||
		       entry->status == UNDO_DISPLACED || entry->status == UNDO_AWAY);
}

static bool entry_holds(const struct undo_host *host, struct undo_entry *entry)
{
	AUTO_FREE char *now = NULL;
	struct err why = ERR_INIT;
	int rc;

	if (!entry->row->read)
		return true;
	undo_entry_look(host, entry);
	if (undo_entry_away(host, entry, entry->after)) {
		log_warn("%s does not hold: %s", entry->object, entry->reason);
		return false;
	}
	rc = entry->row->read(host, entry, &now, &why);
	/* An endpoint that has ended has no scheduling left to be wrong. */
	if (rc == -ESRCH || (rc == 0 && undo_same(entry->row->format, now, entry->after))) {
		undo_entry_stand(entry, UNDO_EFFECTIVE, NULL);
		return true;
	}
	if (rc < 0)
		undo_entry_stand(entry, UNDO_CHANGED, "%s", why.text);
	else if (undo_displaced(host, entry, now))
		undo_entry_stand(entry, UNDO_DISPLACED,
			"reads back '%s': the kernel changed it when a CPU went offline", now);
	else
		undo_entry_stand(entry, UNDO_CHANGED, "reads back '%s'", now);
	log_warn("%s does not hold: %s", entry->object, entry->reason);
	return false;
}

/* Which CPUs were seen offline is written to the journal: a later taut has to know it. */
static bool plan_holds(const struct undo_host *host, struct undo_list *plan)
{
	bool holds = true, news = false;

	for (size_t i = 0; i < plan->n; i++) {
		struct undo_entry *entry = &plan->entries[i];
		int away = CPU_COUNT(&entry->away);
		if (!is_in_force(entry))
			continue;
		holds &= entry_holds(host, entry);
		news |= CPU_COUNT(&entry->away) != away;
	}
	if (news && plan->journal)
		undo_journal_shrink(plan);
	return holds;
}

int tune_verify(struct tune *tune, bool *all, struct err *e)
{
	bool holds = true;

	(void)e;
	for (size_t i = 0; i < tune->n; i++)
		holds &= plan_holds(tune->host, tune->plans[i]);
	*all = holds;
	return 0;
}

json_t *tune_effective_json(const struct tune *tune)
{
	json_t *all = json_array();

	for (size_t i = 0; i < tune->n; i++) {
		json_t *one = undo_list_json(tune->plans[i]);
		json_array_extend(all, one);
		json_decref(one);
	}
	return all;
}

static void say_left(const struct undo_list *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->entries[i].status == UNDO_LEFT)
			log_warn("left %s as it is: %s", plan->entries[i].object, plan->entries[i].reason);
}

int tune_revert(struct tune *tune, struct err *e)
{
	AUTO(hurry_end) struct hurry hurry = hurry_begin(tune->host);
	struct err why = ERR_INIT;
	size_t kept = 0;

	(void)hurry;
	for (size_t i = tune->n; i-- > 0;) {
		struct undo_list *plan = tune->plans[i];
		struct err one = ERR_INIT;
		int rc = undo_list_undo(tune->host, plan, 0, &one);
		say_left(plan);
		if (rc == 0)
			rc = undo_journal_remove(plan, &one);
		else
			undo_journal_shrink(plan);
		if (rc < 0) {
			kept++;
			why = why.code ? why : one;
			continue;
		}
		undo_list_free(plan);
		tune->plans[i] = NULL;
	}
	for (size_t i = 0, to = 0; i < tune->n; i++)
		if (tune->plans[i])
			tune->plans[to++] = tune->plans[i];
	tune->n = kept;
	if (!kept)
		return 0;
	*e = why;
	err_wrap(e, "cannot put everything back");
	err_try(e, "taut tune revert");
	e->exit = EXIT_PARTLY_APPLIED;
	return -EIO;
}

void tune_free(struct tune *tune)
{
	if (!tune)
		return;
	tune_revert(tune, ERR_IGNORED);
	for (size_t i = 0; i < tune->n; i++)
		undo_list_free(tune->plans[i]);
	free(tune->plans);
	free(tune);
}
