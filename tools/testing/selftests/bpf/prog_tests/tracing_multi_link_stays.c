// SPDX-License-Identifier: GPL-2.0
/* What happens if a program can't be detached, since there is no memory for the image
 * that its function needs without it: the kernel waits for some, warns, and keeps all
 * that the function goes on using. Run only if TRACING_MULTI_WARN is in the environment,
 * since a warning is what a kernel may be set to panic on.
 */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_stress.skel.h"

#define FAILSLAB "/sys/kernel/debug/failslab"
#define MODULE_X "bpf_test_modorder_x"

static struct tracing_multi_stress *skel;

/* No slab can be allocated by tasks that ask for it. */
static bool slabs_fail_begin(void)
{
	return ASSERT_TRUE(multi_write_file(FAILSLAB, "task-filter", "Y") &&
			   multi_write_file(FAILSLAB, "interval", "1") &&
			   multi_write_file(FAILSLAB, "times", "-1") &&
			   multi_write_file(FAILSLAB, "probability", "100"), "failslab");
}

static void slabs_fail_end(void)
{
	multi_write_file(FAILSLAB, "probability", "0");
	multi_write_file(FAILSLAB, "times", "1");
	multi_write_file(FAILSLAB, "task-filter", "N");
}

static void close_as_slabs_fail(int fd)
{
	int fail_fd = open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (!ASSERT_OK_FD(fail_fd, "make-it-fail"))
		return;
	if (write(fail_fd, "1", 1) != 1)
		err = errno;
	close(fd);
	if (write(fail_fd, "0", 1) != 1)
		err = errno;
	ASSERT_OK(err, "make-it-fail");
	close(fail_fd);
}

static void close_without_memory(int fd)
{
	if (slabs_fail_begin())
		close_as_slabs_fail(fd);
	slabs_fail_end();
}

static __u32 prog_id(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), "prog info");
	return info.id;
}

static void check_loaded(__u32 id, const char *name)
{
	int fd = bpf_prog_get_fd_by_id(id);

	if (ASSERT_OK_FD(fd, name))
		close(fd);
}

static __u64 hits_of(__u64 *cnt)
{
	*cnt = 0;
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	return *cnt;
}

static void test_single(void)
{
	struct bpf_link *stays, *goes;
	__u64 *hits = &skel->bss->toggle_hits;
	__u32 id = prog_id(skel->progs.toggle_single_exit);
	int fd;

	stays = bpf_program__attach(skel->progs.toggle_single_exit);
	goes = bpf_program__attach(skel->progs.toggle_single_entry);
	skel->links.toggle_single_exit = stays;
	skel->links.toggle_single_entry = goes;
	if (!ASSERT_OK_PTR(stays, "attach fexit") || !ASSERT_OK_PTR(goes, "attach fentry"))
		return;
	ASSERT_EQ(hits_of(hits), 2, "both");
	fd = dup(bpf_link__fd(stays));
	bpf_link__destroy(stays);
	skel->links.toggle_single_exit = NULL;
	bpf_program__unload(skel->progs.toggle_single_exit);
	close_without_memory(fd);

	multi_settle();
	ASSERT_EQ(hits_of(hits), 2, "both still");
	check_loaded(id, "program that stays");
	/* that needs no image */
	bpf_link__destroy(goes);
	ASSERT_EQ(hits_of(hits), 0, "none");
	skel->links.toggle_single_entry = bpf_program__attach(skel->progs.toggle_single_entry);
	ASSERT_EQ(hits_of(hits), 1, "attached again");
}

static void set_cookies(struct multi_targets *t, __u64 first)
{
	int i;

	for (i = 0; i < t->cnt; i++)
		t->cookies[i] = first + i;
	t->use_cookies = true;
}

static bool set_targets(struct multi_targets *t)
{
	if (!multi_set(t, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3",
		       MODULE_X ":bpf_test_modorder_retx", NULL))
		return false;
	set_cookies(t, 1);
	return true;
}

/* By cookie: of the three functions that are called */
static void check_exit_hits(__u64 want, const char *name)
{
	__u64 *hits = skel->bss->exit_hits;

	memset(hits, 0, sizeof(skel->bss->exit_hits));
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_EQ(hits[0], 0, "without a cookie");
	ASSERT_EQ(hits[1], want, name);
	ASSERT_EQ(hits[2], want, name);
	ASSERT_EQ(hits[3], want, name);
}

/* Links to as many other functions take memory that such a link would have freed. */
static void check_kept(void)
{
	const struct bpf_program *progs[] = {
		skel->progs.any_entry, skel->progs.any_exit, skel->progs.toggle_entry,
	};
	int fds[ARRAY_SIZE(progs)], i;
	struct multi_targets t;

	if (!multi_set(&t, "bpf_fentry_test4", "bpf_fentry_test5", "bpf_fentry_test6",
		       "bpf_fentry_test7", NULL))
		return;
	set_cookies(&t, 11);
	for (i = 0; i < ARRAY_SIZE(progs); i++)
		fds[i] = multi_link(progs[i], &t, "attach elsewhere");
	check_exit_hits(1, "attached still");
	for (i = 0; i < ARRAY_SIZE(progs); i++)
		multi_unlink(&fds[i]);
}

static int try_unload(void)
{
	return delete_module(MODULE_X, O_NONBLOCK) ? -errno : 0;
}

static void check_multi(void)
{
	__u32 id = prog_id(skel->progs.count_exit);
	struct multi_targets t;
	int goes_fd, fd;

	if (!set_targets(&t))
		return;
	goes_fd = multi_link(skel->progs.count_entry, &t, "attach fentry");
	fd = multi_link(skel->progs.count_exit, &t, "attach fexit");
	if (goes_fd < 0 || fd < 0)
		return;
	check_exit_hits(1, "attached");
	bpf_program__unload(skel->progs.count_exit);
	close_without_memory(fd);

	multi_settle();
	check_kept();
	check_loaded(id, "program that stays");
	multi_unlink(&goes_fd);
	check_exit_hits(0, "detached");
	/* no link has it any more */
	ASSERT_EQ(try_unload(), -EWOULDBLOCK, "module of a function that went on");
	fd = multi_link(skel->progs.toggle_exit, &t, "attach again");
	ASSERT_EQ(hits_of(&skel->bss->toggle_hits), 3, "attached again");
	multi_unlink(&fd);
	ASSERT_EQ(hits_of(&skel->bss->toggle_hits), 0, "detached again");
}

static void test_multi(void)
{
	/* it is never unloaded */
	if (ASSERT_OK(multi_load_module(MODULE_X ".ko", ""), "load_module"))
		check_multi();
}

/* The link's only fd is closed by this task, which is killed when it begins to detach. */
static void close_killed(void *arg)
{
	const struct multi_targets *t = arg;
	int fd = multi_attach(skel->progs.count_exit, t);

	if (fd < 0)
		_exit(1);
	skel->bss->kill_at = skel->bss->kill_calls + 1;
	skel->bss->pid = getpid();
	close_as_slabs_fail(fd);
	_exit(2);
}

/* There is memory, but not for a task that is killed: somebody else has to get it. */
static void test_killed(void)
{
	struct multi_targets t;
	struct bpf_link *link;
	int fd = -1;
	pid_t pid;

	link = bpf_program__attach(skel->progs.kill_attaching);
	if (!ASSERT_OK_PTR(link, "attach") ||
	    !multi_set(&t, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3", NULL))
		goto out;
	set_cookies(&t, 1);
	fd = multi_link(skel->progs.count_entry, &t, "attach what stays");
	if (fd < 0)
		goto out;
	pid = slabs_fail_begin() ? multi_fork(close_killed, &t) : -1;
	if (pid > 0)
		multi_expect_killed(pid);
	slabs_fail_end();
	ASSERT_GE(skel->bss->kill_calls, skel->bss->kill_at, "killed by the program");
	skel->bss->pid = getpid();
	skel->bss->kill_at = 0;
	check_exit_hits(0, "detached");
	ASSERT_EQ(skel->bss->entry_hits[1], 1, "what stays");
out:
	multi_unlink(&fd);
	bpf_link__destroy(link);
}

static bool setup(void)
{
	return multi_init() && multi_faults_begin();
}

static void teardown(void)
{
	multi_faults_end();
	multi_fini();
}

static bool setup_each(void)
{
	skel = tracing_multi_stress__open();
	if (!ASSERT_OK_PTR(skel, "open") ||
	    !ASSERT_OK(bpf_program__set_autoload(skel->progs.kill_attaching, true),
		       "set_autoload") ||
	    !ASSERT_OK(tracing_multi_stress__load(skel), "load"))
		return false;
	skel->bss->pid = getpid();
	return true;
}

static void teardown_each(void)
{
	tracing_multi_stress__destroy(skel);
	skel = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "killed", test_killed },
	{ "single", test_single },
	{ "multi", test_multi },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
	.leaves_progs = true,
};

void serial_test_tracing_multi_link_stays(void)
{
	if (!getenv("TRACING_MULTI_WARN")) {
		test__skip();
		return;
	}
	multi_run_suite(&suite);
}
