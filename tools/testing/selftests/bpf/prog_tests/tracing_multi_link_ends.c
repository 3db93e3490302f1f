// SPDX-License-Identifier: GPL-2.0
/* Functions in which tasks end: tasks are made to end in several ways, and each
 * function that was on their stacks must be refused to fexit programs of multi links.
 */
#include <test_progs.h>
#include <linux/reboot.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include "tracing_multi_helpers.h"
#include "progs/tracing_multi_ends.h"
#include "tracing_multi_ends.skel.h"

#define SYSCTL "/proc/sys/kernel"

static struct tracing_multi_ends *skel;

static void *end_thread(void *unused)
{
	return NULL;
}

static void end_by_exit(void *unused)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, end_thread, NULL) || pthread_join(thread, NULL))
		_exit(1);
}

static void end_by_signal(void *unused)
{
	raise(SIGKILL);
}

static void end_by_fault(void *unused)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile int *)8 = 1;
}

static void end_by_strict(void *unused)
{
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	syscall(SYS_getppid);
}

/* For process 1 of a PID namespace this is the end of the namespace. */
static void end_by_reboot(void *unused)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		_exit(1);
	pid = fork();
	if (!pid) {
		if (getpid() == 1)
			reboot(LINUX_REBOOT_CMD_RESTART);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

/* The kernel starts a program that isn't there, for a module that isn't, either. */
static void end_helper(void *unused)
{
	socket(AF_X25, SOCK_SEQPACKET, 0);
}

static const struct way {
	const char *name;
	void (*run)(void *unused);
	int sig;
	const char *func;	/* who goes this way is in it */
} ways[] = {
	{ "exit", end_by_exit, 0, "do_exit" },
	{ "signal", end_by_signal, SIGKILL, "get_signal" },
	{ "fault", end_by_fault, SIGSEGV, "get_signal" },
	{ "strict", end_by_strict, SIGKILL, "__secure_computing" },
	{ "reboot", end_by_reboot, 0, "reboot_pid_ns" },
	{ "helper", end_helper, 0, "call_usermodehelper_exec_async" },
};

static bool was_gone[ARRAY_SIZE(ways)];

static void end_tasks(void)
{
	char modprobe[256];
	int i, status;
	pid_t pid;

	if (!ASSERT_TRUE(multi_read_file(SYSCTL, "modprobe", modprobe, sizeof(modprobe)), "read") ||
	    !ASSERT_TRUE(multi_write_file(SYSCTL, "modprobe", "/nonexistent"), "write"))
		return;
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		pid = multi_fork(ways[i].run, NULL);
		status = -1;
		if (pid > 0)
			waitpid(pid, &status, 0);
		ASSERT_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : status, ways[i].sig,
			  ways[i].name);
	}
	ASSERT_TRUE(multi_write_file(SYSCTL, "modprobe", modprobe), "restore");
}

/* Is this function refused to fexit, or can't it be traced at all? */
static bool check_func(const char *name)
{
	struct multi_targets t = {};
	int fd;

	if (btf__find_by_name_kind(multi_vmlinux_btf(), name, BTF_KIND_FUNC) < 0 ||
	    !multi_add(&t, name))
		return false;
	fd = multi_attach(skel->progs.any_entry, &t);
	if (fd < 0)
		return false;
	close(fd);
	return multi_refused(skel->progs.any_exit, &t, -EINVAL, 0, name);
}

static void note_ways(const char *func)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ways); i++)
		was_gone[i] |= !strcmp(func, ways[i].func);
}

/* From do_exit() to where the task began: how many of the functions can be traced? */
static int check_stack(const __u64 *stack)
{
	bool below = false;
	int i, checked = 0;
	struct ksym *sym;

	for (i = 0; i < ENDS_DEPTH && stack[i]; i++) {
		/* a call that doesn't return may be a function's last instruction */
		sym = ksym_search(stack[i] - 1);
		if (!sym)
			continue;
		note_ways(sym->name);
		below |= !strcmp(sym->name, "do_exit");
		if (below)
			checked += check_func(sym->name);
	}
	return checked;
}

static void test_stacks(void)
{
	struct bpf_link *link;
	int i, cnt, checked;

	if (!ASSERT_OK(load_kallsyms(), "load_kallsyms"))
		return;
	link = bpf_program__attach(skel->progs.task_ends);
	if (!ASSERT_OK_PTR(link, "attach"))
		return;
	end_tasks();
	bpf_link__destroy(link);

	cnt = skel->bss->cnt;
	ASSERT_GE(cnt, (int)ARRAY_SIZE(ways), "ends");
	for (i = 0; i < cnt && i < ENDS_MAX; i++) {
		checked = check_stack(skel->bss->stacks[i]);
		ASSERT_GT(checked, 1, "do_exit and others");
	}
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		ASSERT_TRUE(was_gone[i], ways[i].name);
}

static bool setup_each(void)
{
	skel = tracing_multi_ends__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load");
}

static void teardown_each(void)
{
	tracing_multi_ends__destroy(skel);
	skel = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "stacks", test_stacks },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link_ends(void)
{
	multi_run_suite(&suite);
}
