/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A running libvirt domain: is it there (virsh says it), which process is it (libvirt's PID file), and what
 * is it made of (the command line of that process).
 *
 * Whether a domain is there and runs is decided by virsh's lists of names; its sentences are only shown. They
 * would be in the user's language, so it is told to use none.  It takes a name that could be an id or a UUID
 * for one, so of such a name it is asked whose it is.
 *
 * The library would say no more: it knows neither the process of a domain nor whether vhost carries its
 * network, and a call to a daemon that hangs has no deadline, so it would have to be made in another process
 * too.  It would bring forty libraries with it, also into the image of every emulated host.
 *
 * A PID file may be of a domain of yesterday, so the process must say itself that it is this domain: libvirt
 * gives QEMU -name guest=NAME.  KVM's own folder in debugfs is the surest sign of the accelerator; where it
 * is not mounted the command line has to do.
 */
#include "domain.h"

#include "sys/sys.h"

#include <stdio.h>

#define VIRSH_NS    (10 * NS_PER_S)
#define DEFAULT_URI "qemu:///system"
#define KVM_DEBUG   "/sys/kernel/debug/kvm"

/* --- virsh ------------------------------------------------------------------------------------- */

char *domain_words(char *text)
{
	char *line = str_trim(text), *feed = strrchr(line, '\n');

	line = feed ? feed + 1 : line;
	if (str_starts(line, "error: "))
		line += strlen("error: ");
	return str_printable(line);
}

int virsh(const char *const *words, uint64_t timeout_ns, char **out, struct err *e)
{
	const char *argv[20] = {"env", "LC_ALL=C.UTF-8", "virsh", "-q"}, *uri = getenv("LIBVIRT_DEFAULT_URI");
	AUTO_FREE char *said = NULL;
	char program[4096];
	size_t n = 4;

	if (!program_find("virsh", program, sizeof(program))) {
		err_set(e, ENOENT, "no virsh on PATH");
		err_try(e, "apt-get install libvirt-clients");
		return -ENOENT;
	}
	if (!uri || !*uri) {
		argv[n++] = "-c";
		argv[n++] = DEFAULT_URI;
	}
	for (size_t i = 0; words[i] && n < ARRAY_LEN(argv) - 1; i++)
		argv[n++] = words[i];
	int rc = child_run(argv, true, timeout_ns, &said, e);
	if (rc == -ETIMEDOUT) {
		err_set(e, ETIMEDOUT, "libvirt does not answer within %llu s",
			(unsigned long long)(timeout_ns / NS_PER_S));
		return err_try(
			e, "virsh %s, and restart libvirtd or virtqemud when that hangs too", words[0]);
	}
	if (rc < 0)
		return rc;
	if (rc > 0)
		return err_set(e, EREMOTEIO, "libvirt says: %.400s", domain_words(said));
	*out = steal_ptr(&said);
	return 0;
}

void domain_hypervisor_read(const char *said, char *out, size_t size)
{
	static const char key[] = "Running hypervisor: ";
	const char *line = strstr(said, key);

	if (!line)
		return;
	line += strlen(key);
	snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
	str_printable(out);
}

void domain_hypervisor(char *out, size_t size)
{
	const char *const words[] = {"version", NULL};
	AUTO_FREE char *said = NULL;

	str_copy(out, size, "QEMU");
	if (virsh(words, VIRSH_NS, &said, ERR_IGNORED) == 0 && said)
		domain_hypervisor_read(said, out, size);
}

bool domain_listed(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, line, len) && (!at[len] || at[len] == '\n'))
			return true;
	}
	return false;
}

/* Adds the running domains, a line each, as advice. */
static int name_running(char *names, struct err *e)
{
	AUTO(buf_free) struct buf list = {0};

	for (char *save = NULL, *name = strtok_r(names, "\n", &save); name;
		name = strtok_r(NULL, "\n", &save))
		buf_add(&list, "%svm:%s", list.len ? ", " : "", name);
	return list.len ? err_try(e, "%.200s", list.data) : err_try(e, "start it, no domain is running");
}

static bool could_be_an_id(const char *name)
{
	return name[strspn(name, "0123456789abcdefABCDEF-")] == 0;
}

/* -EINVAL when libvirt means another domain by that name. */
static int domain_is_its_name(const char *name, struct err *e)
{
	const char *const words[] = {"domname", "--domain", name, NULL};
	AUTO_FREE char *said = NULL;

	if (!could_be_an_id(name))
		return 0;
	int rc = virsh(words, VIRSH_NS, &said, e);
	if (rc < 0)
		return rc;
	const char *is = str_trim(said);
	if (!strcmp(is, name))
		return 0;
	err_set(e, EINVAL, "'%s' is domain '%s' to libvirt", name, is);
	return err_try(e, "vm:%s", is);
}

static int domain_state(const char *name, struct err *e)
{
	const char *const running[] = {"list", "--name", "--state-running", NULL};
	const char *const defined[] = {"list", "--name", "--all", NULL};
	const char *const state[] = {"domstate", "--domain", name, NULL};
	AUTO_FREE char *names = NULL;
	AUTO_FREE char *all = NULL;
	AUTO_FREE char *is = NULL;
	int rc = virsh(running, VIRSH_NS, &names, e);

	if (rc < 0)
		return rc;
	if (domain_listed(names, name))
		return domain_is_its_name(name, e);
	rc = virsh(defined, VIRSH_NS, &all, e);
	if (rc < 0)
		return rc;
	if (!domain_listed(all, name)) {
		err_set(e, ENOENT, "there is no domain '%s'", name);
		return name_running(names, e);
	}
	rc = domain_is_its_name(name, e);
	if (rc == 0)
		rc = virsh(state, VIRSH_NS, &is, e);
	if (rc < 0)
		return rc;
	err_set(e, ENOTCONN, "domain '%s' does not run, it is %s", name, str_trim(is));
	return name_running(names, e);
}

/* --- its process ------------------------------------------------------------------------------- */

/* Calls fn for every word; stops at the first true and returns it. */
static bool any_word(const char *command, size_t len, bool (*fn)(const char *word, void *arg), void *arg)
{
	for (size_t at = 0; at < len; at += strlen(command + at) + 1)
		if (fn(command + at, arg))
			return true;
	return false;
}

static bool names(const char *word, void *arg)
{
	const char *name = arg, *at = strstr(word, "guest=");
	size_t len = name ? strlen(name) : 0;

	if (!name || !at || (at != word && at[-1] != ','))
		return false;
	at += strlen("guest=");
	return !strncmp(at, name, len) && (!at[len] || at[len] == ',');
}

bool domain_command_names(const char *command, size_t len, const char *name)
{
	struct buf escaped = {0}; /* QEMU's options double their commas */

	for (const char *c = name; *c; c++)
		buf_add(&escaped, *c == ',' ? ",," : "%c", *c);
	bool is = any_word(command, len, names, escaped.data);
	buf_free(&escaped);
	return is;
}

struct reading {
	struct domain *d;
	size_t devices, virtio, taps, vhost;
	bool kvm;
};

/* "mac=52:54:00:12:34:56" or, in JSON, "mac":"52:54:00:12:34:56". */
static void read_mac(struct domain *d, const char *word)
{
	static const char *const keys[] = {"mac=", "\"mac\":\""};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *at = strstr(word, keys[i]);
		if (at)
			snprintf(d->mac, sizeof(d->mac), "%.17s", at + strlen(keys[i]));
	}
	if (strspn(d->mac, "0123456789abcdefABCDEF:") != 17 || strlen(d->mac) != 17)
		d->mac[0] = 0;
}

static bool read_word(const char *word, void *arg)
{
	struct reading *r = arg;

	r->kvm |= !strcmp(word, "kvm") || str_starts(word, "kvm,") || !strcmp(word, "-enable-kvm") ||
		  strstr(word, "accel=kvm");
	if (strstr(word, "mac=") || strstr(word, "\"mac\":")) {
		r->devices++;
		r->virtio += strstr(word, "virtio-net") != NULL;
		read_mac(r->d, word);
	}
	if (str_starts(word, "tap,") || strstr(word, "\"type\":\"tap\"")) {
		r->taps++;
		r->vhost += strstr(word, "vhost=on") || strstr(word, "\"vhost\":true");
	}
	return false;
}

void domain_command_read(struct domain *d, const char *command, size_t len)
{
	struct reading r = {.d = d};

	any_word(command, len, read_word, &r);
	str_copy(d->accel, sizeof(d->accel), r.kvm ? "kvm" : "tcg");
	d->path[0] = 0;
	/* With several devices that differ nobody knows here which one is meant. */
	if (r.devices && r.virtio == r.devices && r.taps == r.devices && (!r.vhost || r.vhost == r.taps))
		str_copy(d->path, sizeof(d->path), r.vhost ? "vhost" : "virtio");
	if (r.devices != 1)
		d->mac[0] = 0;
}

static int is_its_vm(const char *name, void *arg)
{
	const struct domain *d = arg;
	int pid, fd;

	return sscanf(name, "%d-%d", &pid, &fd) == 2 && pid == d->pid;
}

/* Of a domain of the system's libvirt or of the user's own; in the name of this file libvirt writes some
 * characters as it does in XML. */
static int pid_read(int root, const char *name, pid_t *pid)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	AUTO_FREE char *escaped = domain_xml_escaped(name);
	const char *const names[] = {name, escaped};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *system = str_format("/run/libvirt/qemu/%s.pid", names[i]);
		AUTO_FREE char *session =
			str_format("%s/libvirt/qemu/run/%s.pid", runtime ? runtime : "", names[i]);
		uint64_t n = 0;
		if (root_read_u64(root, system, &n, ERR_IGNORED) == 0 ||
			root_read_u64(root, session, &n, ERR_IGNORED) == 0) {
			*pid = (pid_t)n;
			return 0;
		}
	}
	return -ENOENT;
}

static int process_find(struct domain *d, struct err *e)
{
	AUTO_CLOSE int root = root_open("/", e);
	AUTO_FREE char *command = NULL;
	size_t len = 0;
	char path[64];

	if (root < 0)
		return root;
	if (pid_read(root, d->name, &d->pid) < 0)
		return err_set(e, ENOENT,
			"cannot tell which process domain '%s' is: there is no /run/libvirt/qemu/%s.pid",
			d->name, d->name);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", d->pid);
	int rc = root_read_all(root, path, &command, &len, e);
	if (rc == 0)
		rc = task_start_time(root, d->pid, &d->start, e);
	if (rc < 0)
		return err_wrap(e, "cannot look at the process of domain '%s'", d->name);
	if (!domain_command_names(command, len, d->name))
		return err_set(e, ESRCH, "process %d is not domain '%s'", d->pid, d->name);
	domain_command_read(d, command, len);
	if (root_each(root, KVM_DEBUG, is_its_vm, d, ERR_IGNORED) == 1)
		str_copy(d->accel, sizeof(d->accel), "kvm");
	return 0;
}

int domain_find(struct domain *out, const char *name, struct err *e)
{
	struct err why = ERR_INIT;
	struct domain d = {0};
	int rc = str_copy(d.name, sizeof(d.name), name)
			 ? err_set(&why, ENAMETOOLONG, "no domain has such a name")
			 : domain_state(name, &why);

	if (rc == 0)
		rc = process_find(&d, &why);
	if (rc == 0)
		*out = d;
	else
		*e = why;
	return rc;
}

/* --- its channels ------------------------------------------------------------------------------ */

int domain_channel(const char *name, const char *channel, char *path, size_t size, struct err *e)
{
	const char *const words[] = {"dumpxml", "--domain", name, NULL};
	AUTO_FREE char *xml = NULL;
	int rc = virsh(words, VIRSH_NS, &xml, e);

	if (rc < 0)
		return rc;
	if (xml && domain_xml_channel(xml, channel, path, size))
		return 0;
	err_set(e, ENOENT,
		"domain '%s' has no virtio channel %s, and a guest agent alone cannot carry a trial", name,
		channel);
	return err_try(e,
		"login ssh:USER@HOST, or add <channel type='unix'><target type='virtio' name='%s'/></channel>",
		channel);
}
