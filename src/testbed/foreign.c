/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Foreign guests: what taut has not made the system of, and enters by a login.
 *
 * One runs already, as a domain of libvirt.  It is the user's: what is read of it are its process
 * and its threads; what is changed are CPUs and scheduling of those threads, by the profile, and they are put
 * back; in the guest an agent lives for the time of a trial.  Its cgroups, its network and the domain itself
 * are left alone, and nothing here can end it.
 *
 * The client is a process in the host's own network namespace, for the guest's address is on a network of
 * the user's.  Its threads are known before anything is tuned, so that what moves everybody else leaves them
 * where they are.
 */
#include "private.h"
#include "vm_threads.h"

#include <stdio.h>

/* --- in and out -------------------------------------------------------------------------------- */

/* A machine that has ended says more than what it left of the login: QEMU may not have opened the disk. */
static int end_of_machine(struct machine *m, int rc, struct err *e)
{
	char how[512];

	return m && machine_ended(m, rc == -EPIPE, how, sizeof(how)) ? err_set(e, ECHILD, "%s", how) : rc;
}

int foreign_enter(struct target *t, uint64_t deadline_ns, struct err *e)
{
	struct login *l = &t->login;
	bool runs = t->domain.pid > 0;

	l->way = t->plan.settings.login;
	l->program = t->agent;
	l->mark = undo_mark();
	l->domain = runs ? &t->domain : NULL;
	l->ipv6 = t->plan.settings.ipv6;
	l->pidfd = t->server.machine ? machine_pidfd(t->server.machine) : -1;
	l->control = &t->server.control;
	l->theirs = &t->server.theirs;
	l->said = t->server.said;
	l->child = &t->server.child;
	if (!runs) /* nobody else gives its network device an address */
		snprintf(l->device, sizeof(l->device), "%s %s %u %llu", t->vm.mac, target_address(t, true),
			target_prefix(t), (unsigned long long)t->plan.settings.mtu);
	int rc = login_enter(l, deadline_ns, e);
	t->server.through = l->through;
	return rc < 0 ? end_of_machine(t->server.machine, rc, e) : rc;
}

void foreign_leave(struct target *t)
{
	if (t->login.control)
		login_leave(&t->login);
}

/* --- domains ----------------------------------------------------------------------------------- */

static int path_check(const struct settings *s, const struct domain *d, struct err *e)
{
	if (!s->path[0] || !strcmp(s->path, d->path))
		return 0;
	return err_set(e, ENOTSUP, "the network path of domain '%s' is %s, not %s", d->name,
		d->path[0] ? d->path : "not known", s->path);
}

static int libvirt_resolve(struct trial_plan *plan, struct err *e)
{
	const struct settings *s = &plan->settings;
	struct domain domain;
	int rc;

	if (!is_privileged())
		return err_set(e, EPERM, "a running domain needs root: its threads are another user's");
	rc = domain_find(&domain, plan->domain, e);
	if (rc == 0)
		rc = path_check(s, &domain, e);
	return rc < 0 ? rc : login_probe(s, e);
}

static int libvirt_find(struct target *t, struct err *e)
{
	t->server.foreign = true;
	domain_hypervisor(t->version, sizeof(t->version));
	return domain_find(&t->domain, t->plan.domain, e);
}

static int libvirt_threads(const struct target *t, struct subject *subject, struct err *e)
{
	const struct domain *d = &t->domain;
	AUTO_CLOSE int root = root_open("/", e);
	uint64_t start = 0;

	if (root < 0)
		return root;
	if (task_start_time(root, d->pid, &start, ERR_IGNORED) < 0 || start != d->start)
		return err_set(e, ESRCH, "domain '%s' has ended", d->name);
	return vm_threads(root, d->pid, NULL, 0, subject, e);
}

pid_t target_running(struct settings *s)
{
	struct domain domain;

	if (!settings_domain(s) || domain_find(&domain, settings_domain(s), ERR_IGNORED) < 0)
		return 0;
	if (!s->path[0])
		s->path = str_keep(domain.path);
	return domain.pid;
}

const struct runtime_row runtime_libvirt = {
	.name = "libvirt",
	.help = "a libvirt domain that runs already",
	.targets = "vm:NAME",
	.find = libvirt_find,
	.resolve = libvirt_resolve,
	.enter = foreign_enter,
	.leave = foreign_leave,
	.threads = libvirt_threads,
};
