/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest that runs already, as a domain of libvirt.  It is the user's: what is read of it are its process
 * and its threads; what is changed are CPUs and scheduling of those threads, by the profile, and they are put
 * back; in the guest an agent lives for the time of a trial.  Its cgroups, its network and the domain itself
 * are left alone, and nothing here can end it.
 *
 * The client is a process in the host's own network namespace, for the guest's address is on a network of
 * the user's.  Its threads are known before anything is tuned, so that what moves everybody else leaves them
 * where they are.
 */
#include "login.h"

#include "vm_threads.h"

#include <stdio.h>

static int path_check(const struct settings *s, const struct domain *d, struct err *e)
{
	if (!s->path[0] || !strcmp(s->path, d->path))
		return 0;
	return err_set(e, ENOTSUP, "the network path of domain '%s' is %s, not %s", d->name,
		d->path[0] ? d->path : "not known", s->path);
}

static int libvirt_probe(const struct settings *s, struct err *e)
{
	struct domain domain;
	int rc;

	if (!is_privileged())
		return err_set(e, EPERM, "a running domain needs root: its threads are another user's");
	rc = domain_find(&domain, settings_domain(s), e);
	if (rc == 0)
		rc = path_check(s, &domain, e);
	return rc < 0 ? rc : login_find(s)->probe(s, e);
}

static int libvirt_find(struct target *t, struct err *e)
{
	t->server.foreign = true;
	domain_hypervisor(t->version, sizeof(t->version));
	return domain_find(&t->own.domain, settings_domain(&t->settings), e);
}

static int libvirt_threads(const struct target *t, struct subject *subject, struct err *e)
{
	const struct domain *d = &t->own.domain;
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
	.probe = libvirt_probe,
	.enter = login_enter,
	.leave = login_leave,
	.threads = libvirt_threads,
};
