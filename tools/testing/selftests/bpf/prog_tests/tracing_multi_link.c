// SPDX-License-Identifier: GPL-2.0
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "progs/tracing_multi.h"
#include "tracing_multi_link.skel.h"
#include "tracing_multi_link_fail.skel.h"
#include "tracing_multi_target.skel.h"

/* What note() in progs/tracing_multi_link.c sees of a function: the number of
 * slots, the low four bits of each (the first one is the last digit), and the
 * return value.
 */
static const struct func {
	const char *name;
	__u64 nr_args;
	__u64 args;
	__u64 ret;
} funcs[] = {
	{ "bpf_fentry_test1", 1, 0x1, 2 },
	{ "bpf_fentry_test2", 2, 0x32, 5 },
	{ "bpf_fentry_test3", 3, 0x654, 15 },
	{ "bpf_fentry_test4", 4, 0xa987, 34 },
	{ "bpf_fentry_test5", 5, 0xfedcb, 65 },
	{ "bpf_fentry_test6", 6, 0x543210, 111 },
	{ "bpf_testmod:bpf_testmod_multi_0", 0, 0, 0 },
	{ "bpf_testmod:bpf_testmod_multi_1", 1, 0x1, 1 },
	{ "bpf_testmod:bpf_testmod_multi_2", 2, 0x21, 3 },
	{ "bpf_testmod:bpf_testmod_multi_3", 3, 0x321, 6 },
	{ "bpf_testmod:bpf_testmod_multi_4", 4, 0x4321, 10 },
	{ "bpf_testmod:bpf_testmod_multi_5", 5, 0x54321, 15 },
	{ "bpf_testmod:bpf_testmod_multi_6", 6, 0x654321, 21 },
	{ "bpf_testmod:bpf_testmod_multi_7", 7, 0x7654321, 28 },
	{ "bpf_testmod:bpf_testmod_multi_8", 8, 0x87654321, 36 },
	{ "bpf_testmod:bpf_testmod_multi_9", 9, 0x987654321, 45 },
	{ "bpf_testmod:bpf_testmod_multi_10", 10, 0xa987654321, 55 },
	{ "bpf_testmod:bpf_testmod_multi_11", 11, 0xba987654321, 66 },
	{ "bpf_testmod:bpf_testmod_multi_12", 12, 0xcba987654321, 78 },
	/* structs by value, in registers and on the stack */
	{ "bpf_testmod:bpf_testmod_test_struct_arg_1", 4, 0x4132, 10 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_2", 4, 0x4321, 10 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_3", 4, 0x3241, 10 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_4", 6, 0x32321a, 21 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_7", 7, 0x6543210, 133 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_8", 8, 0x76543210, 156 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_9", 10, 0xba76543210, 258 },
};

static struct ksyms *ksyms;

static __u64 func_addr(const char *spec)
{
	const char *colon = strchr(spec, ':');

	return ksym_get_addr_local(ksyms, colon ? colon + 1 : spec);
}

static bool run_prog(const struct bpf_program *prog, __u32 *retval)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (!ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts),
		       bpf_program__name(prog)))
		return false;
	if (retval)
		*retval = opts.retval;
	return true;
}

/* Call everything in the tests below once. */
static void trigger(struct tracing_multi_link *skel)
{
	skel->bss->pid = getpid();
	run_prog(skel->progs.run_fentry_tests, NULL);
	run_prog(skel->progs.run_modify_tests, NULL);
	ASSERT_OK(trigger_module_test_read(1), "trigger_module_test_read");
	getpgid(getpid());
}

static __u32 trigger_modify(struct tracing_multi_link *skel)
{
	__u32 retval = 0;

	skel->bss->pid = getpid();
	run_prog(skel->progs.run_modify_tests, &retval);
	return retval;
}

static void clear_seen(struct tracing_multi_link *skel)
{
	memset(skel->bss->at_entry, 0, sizeof(skel->bss->at_entry));
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	memset(skel->bss->at_modify, 0, sizeof(skel->bss->at_modify));
}

/* Fill t and the program's table of addresses with the functions of a list. */
static bool set_funcs(struct tracing_multi_link *skel, struct multi_targets *t,
		      const char *const *names, int cnt)
{
	int i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < cnt; i++) {
		if (!multi_add(t, names[i]))
			return false;
		skel->bss->addrs[i] = func_addr(names[i]);
		if (!ASSERT_NEQ(skel->bss->addrs[i], 0, names[i]))
			return false;
	}
	return true;
}

#define SET_FUNCS(skel, t, ...) ({						\
	static const char *const names_[] = { __VA_ARGS__ };			\
	set_funcs(skel, t, names_, ARRAY_SIZE(names_));				\
})

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* fentry and fexit, untyped, on functions with 0 to 12 arguments. */
static void test_all_args(void)
{
	int entry_fd = -1, leave_fd = -1, i;
	struct tracing_multi_link *skel;
	struct multi_targets t = {};

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	for (i = 0; i < ARRAY_SIZE(funcs); i++) {
		if (!multi_add(&t, funcs[i].name))
			goto out;
		skel->bss->addrs[i] = func_addr(funcs[i].name);
	}
	entry_fd = multi_attach(skel->progs.entry, &t);
	leave_fd = multi_attach(skel->progs.leave, &t);
	if (!ASSERT_OK_FD(entry_fd, "fentry") || !ASSERT_OK_FD(leave_fd, "fexit"))
		goto out;

	trigger(skel);
	for (i = 0; i < ARRAY_SIZE(funcs); i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, funcs[i].name);
		ASSERT_EQ(skel->bss->at_entry[i].nr_args, funcs[i].nr_args, "slots at entry");
		ASSERT_EQ(skel->bss->at_entry[i].args, funcs[i].args, "args at entry");
		ASSERT_EQ(skel->bss->at_entry[i].ret_err, -EOPNOTSUPP, "ret at entry");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, funcs[i].name);
		ASSERT_EQ(skel->bss->at_exit[i].nr_args, funcs[i].nr_args, "slots at exit");
		ASSERT_EQ(skel->bss->at_exit[i].args, funcs[i].args, "args at exit");
		ASSERT_EQ(skel->bss->at_exit[i].ret_err, 0, "ret_err at exit");
		ASSERT_EQ((__u32)skel->bss->at_exit[i].ret, funcs[i].ret, "ret at exit");
	}
	ASSERT_EQ(skel->bss->strays, 0, "strays");

	close_fd(&entry_fd);
	clear_seen(skel);
	trigger(skel);
	for (i = 0; i < ARRAY_SIZE(funcs); i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 0, "detached");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "still attached");
	}
out:
	close_fd(&entry_fd);
	close_fd(&leave_fd);
	tracing_multi_link__destroy(skel);
}

static void test_fentry_typed(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t;
	int fd = -1, fd_12 = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_fentry_test2", "bpf_fentry_test3",
		       "bpf_testmod:bpf_testmod_multi_8",
		       "bpf_testmod:bpf_testmod_multi_12"))
		goto out;
	fd = multi_attach(skel->progs.entry_typed, &t);
	if (!ASSERT_OK_FD(fd, "two scalars"))
		goto out;
	trigger(skel);
	ASSERT_EQ(skel->bss->at_entry[0].args, 0x32, "bpf_fentry_test2");
	ASSERT_EQ(skel->bss->at_entry[1].args, 0x54, "bpf_fentry_test3");
	ASSERT_EQ(skel->bss->at_entry[2].args, 0x21, "bpf_testmod_multi_8");
	ASSERT_EQ(skel->bss->at_entry[3].args, 0x21, "bpf_testmod_multi_12");
	close_fd(&fd);

	clear_seen(skel);
	if (!multi_set(&t, "bpf_testmod:bpf_testmod_multi_12", NULL))
		goto out;
	fd_12 = multi_attach(skel->progs.entry_typed_12, &t);
	if (!ASSERT_OK_FD(fd_12, "twelve scalars"))
		goto out;
	trigger(skel);
	ASSERT_EQ(skel->bss->at_entry[3].hits, 1, "hits");
	ASSERT_EQ(skel->bss->at_entry[3].args, 0xcba987654321, "twelve args");
	ASSERT_EQ(skel->bss->strays, 0, "strays");
out:
	close_fd(&fd);
	close_fd(&fd_12);
	tracing_multi_link__destroy(skel);
}

static void test_fexit_typed(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t;
	int fd = -1, struct_fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_testmod:bpf_testmod_multi_2", "bpf_fentry_test2",
		       "bpf_testmod:bpf_testmod_multi_struct"))
		goto out;
	t.cnt = 2;
	fd = multi_attach(skel->progs.leave_typed, &t);
	if (!ASSERT_OK_FD(fd, "two scalars"))
		goto out;
	if (!multi_set(&t, "bpf_testmod:bpf_testmod_multi_struct", NULL))
		goto out;
	struct_fd = multi_attach(skel->progs.leave_typed_struct, &t);
	if (!ASSERT_OK_FD(struct_fd, "struct"))
		goto out;
	trigger(skel);
	ASSERT_EQ(skel->bss->at_exit[0].args, 0x21, "args of bpf_testmod_multi_2");
	ASSERT_EQ(skel->bss->at_exit[0].ret, 3, "ret of bpf_testmod_multi_2");
	ASSERT_EQ(skel->bss->at_exit[1].args, 0x32, "args of bpf_fentry_test2");
	ASSERT_EQ(skel->bss->at_exit[1].ret, 5, "ret of bpf_fentry_test2");
	ASSERT_EQ(skel->bss->at_exit[2].args, 0x4321, "args with a struct");
	ASSERT_EQ(skel->bss->at_exit[2].ret, 10, "ret behind a struct");
	ASSERT_EQ(skel->bss->strays, 0, "strays");
out:
	close_fd(&fd);
	close_fd(&struct_fd);
	tracing_multi_link__destroy(skel);
}

/* Two test functions: 4 and 29, and both change what they got a pointer to. */
#define MODIFY_NONE	(2 << 16 | 33)
#define MODIFY_BOTH(x)	(2 * (x))

static void test_fmod_ret(void)
{
	struct tracing_multi_link *skel;
	int fd = -1, leave_fd = -1;
	struct multi_targets t;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_modify_return_test", "bpf_modify_return_test2",
		       "bpf_testmod:bpf_testmod_multi_inject",
		       "security_task_getpgid"))
		goto out;
	fd = multi_attach(skel->progs.modify, &t);
	leave_fd = multi_attach(skel->progs.leave, &t);
	if (!ASSERT_OK_FD(fd, "fmod_ret") || !ASSERT_OK_FD(leave_fd, "fexit"))
		goto out;

	trigger(skel);
	ASSERT_EQ(skel->bss->at_modify[0].hits, 1, "bpf_modify_return_test");
	ASSERT_EQ(skel->bss->at_modify[0].nr_args, 2, "slots");
	ASSERT_EQ(skel->bss->at_modify[0].ret_err, 0, "ret_err");
	ASSERT_EQ(skel->bss->at_modify[0].ret, 0, "nothing modified yet");
	ASSERT_EQ(skel->bss->at_modify[1].hits, 1, "bpf_modify_return_test2");
	ASSERT_EQ(skel->bss->at_modify[1].nr_args, 7, "slots of the second");
	ASSERT_EQ(skel->bss->at_modify[2].hits, 1, "bpf_testmod_multi_inject");
	ASSERT_EQ(skel->bss->at_modify[3].hits, 1, "security_task_getpgid");

	ASSERT_EQ(trigger_modify(skel), MODIFY_NONE, "returned 0");
	skel->bss->modify_ret = 21;
	ASSERT_EQ(trigger_modify(skel), MODIFY_BOTH(21), "returned 21");
	ASSERT_EQ((__u32)skel->bss->at_exit[0].ret, 21, "fexit sees 21");
	ASSERT_EQ((__u32)skel->bss->at_exit[1].ret, 21, "fexit sees 21 of the second");
	skel->bss->modify_ret = -EPERM;
	ASSERT_EQ(getpgid(getpid()), -1, "getpgid");
	ASSERT_EQ(errno, EPERM, "getpgid's errno");
	close_fd(&fd);
	ASSERT_EQ(trigger_modify(skel), MODIFY_NONE, "detached");
	ASSERT_EQ((__u32)skel->bss->at_exit[1].ret, 29, "fexit sees 29");
	ASSERT_GT(getpgid(getpid()), 0, "getpgid without fmod_ret");
	ASSERT_EQ(skel->bss->strays, 0, "strays");
out:
	close_fd(&fd);
	close_fd(&leave_fd);
	tracing_multi_link__destroy(skel);
}

static void test_fmod_ret_typed(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t;
	int fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_modify_return_test",
		       "bpf_testmod:bpf_testmod_multi_inject"))
		goto out;
	fd = multi_attach(skel->progs.modify_typed, &t);
	if (!ASSERT_OK_FD(fd, "fmod_ret"))
		goto out;
	trigger(skel);
	ASSERT_EQ(skel->bss->at_modify[0].hits, 1, "bpf_modify_return_test");
	ASSERT_EQ(skel->bss->at_modify[0].args, 1, "first arg");
	ASSERT_EQ(skel->bss->at_modify[1].hits, 1, "bpf_testmod_multi_inject");
	ASSERT_EQ(skel->bss->at_modify[1].args, 1, "first arg in module");
	skel->bss->modify_ret = 20;
	/* the second test function is not attached to: 29, with side effect */
	ASSERT_EQ(trigger_modify(skel), 1 << 16 | (20 + 29), "returned 20");
out:
	close_fd(&fd);
	tracing_multi_link__destroy(skel);
}

static __u64 subprog_addr(const struct bpf_program *prog, int idx)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	__u64 addrs[8] = {};

	info.jited_ksyms = ptr_to_u64(addrs);
	info.nr_jited_ksyms = ARRAY_SIZE(addrs);
	if (!ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len),
		       "jited_ksyms"))
		return 0;
	return idx < info.nr_jited_ksyms ? addrs[idx] : 0;
}

static void run_target(struct tracing_multi_target *target)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	char pkt[64] = {};

	opts.data_in = pkt;
	opts.data_size_in = sizeof(pkt);
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(target->progs.target_tc), &opts),
		  "run target");
	ASSERT_EQ(opts.retval, 3, "target's retval");
}

/* Kernel, module and program in one link, not in order, each with its cookie. */
static void test_mixed_targets(void)
{
	struct tracing_multi_target *target = NULL;
	struct tracing_multi_link *skel;
	int entry_fd = -1, leave_fd = -1, prog_fd, i;
	struct multi_targets t;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(target, "open_and_load target"))
		goto out;
	prog_fd = bpf_program__fd(target->progs.target_tc);
	if (!SET_FUNCS(skel, &t, "bpf_testmod:bpf_testmod_multi_3", "bpf_fentry_test5",
		       "bpf_testmod:bpf_testmod_multi_1", "bpf_fentry_test1") ||
	    !multi_add_prog(&t, prog_fd, "target_tc") ||
	    !multi_add_prog(&t, prog_fd, "target_sum"))
		goto out;
	skel->bss->addrs[4] = subprog_addr(target->progs.target_tc, 0);
	/* the order of subprograms in the object: target_sum may be either */
	skel->bss->addrs[5] = subprog_addr(target->progs.target_tc, 1);
	skel->bss->addrs[6] = subprog_addr(target->progs.target_tc, 2);
	for (i = 0; i < t.cnt; i++)
		t.cookies[i] = 100 - i;
	t.use_cookies = true;

	entry_fd = multi_attach(skel->progs.entry, &t);
	leave_fd = multi_attach(skel->progs.leave, &t);
	if (!ASSERT_OK_FD(entry_fd, "fentry") || !ASSERT_OK_FD(leave_fd, "fexit"))
		goto out;
	trigger(skel);
	run_target(target);
	if (skel->bss->at_entry[6].hits) {
		skel->bss->at_entry[5] = skel->bss->at_entry[6];
		skel->bss->at_exit[5] = skel->bss->at_exit[6];
	}
	for (i = 0; i < t.cnt; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "entry");
		ASSERT_EQ(skel->bss->at_entry[i].cookie, 100 - i, "entry cookie");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "exit");
		ASSERT_EQ(skel->bss->at_exit[i].cookie, 100 - i, "exit cookie");
	}
	ASSERT_EQ(skel->bss->at_exit[4].ret, 3, "ret of target_tc");
	ASSERT_EQ(skel->bss->at_exit[5].args, 0x21, "args of target_sum");
	ASSERT_EQ((__u32)skel->bss->at_exit[5].ret, 3, "ret of target_sum");
	ASSERT_EQ(skel->bss->strays, 0, "strays");

	close_fd(&entry_fd);
	close_fd(&leave_fd);
	clear_seen(skel);
	trigger(skel);
	run_target(target);
	for (i = 0; i < t.cnt; i++)
		ASSERT_EQ(skel->bss->at_entry[i].hits + skel->bss->at_exit[i].hits,
			  0, "detached");
out:
	close_fd(&entry_fd);
	close_fd(&leave_fd);
	tracing_multi_target__destroy(target);
	tracing_multi_link__destroy(skel);
}

/* One set of cookies for each kind; without cookies they are zero. */
static void test_cookies(void)
{
	struct multi_targets t, modify;
	struct tracing_multi_link *skel;
	int fds[3] = { -1, -1, -1 }, i;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &modify, "bpf_modify_return_test2", "bpf_modify_return_test"))
		goto out;
	t = modify;
	t.cookies[0] = 0x1111222233334444ULL;
	t.cookies[1] = ~0ULL;
	modify.cookies[0] = 7;
	t.use_cookies = true;
	modify.use_cookies = true;
	fds[0] = multi_attach(skel->progs.entry, &t);
	fds[1] = multi_attach(skel->progs.modify, &modify);
	t.use_cookies = false;
	fds[2] = multi_attach(skel->progs.leave, &t);
	for (i = 0; i < 3; i++)
		ASSERT_OK_FD(fds[i], "attach");
	trigger_modify(skel);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "entry");
		ASSERT_EQ(skel->bss->at_entry[i].cookie, t.cookies[i], "fentry cookie");
		ASSERT_EQ(skel->bss->at_modify[i].cookie, modify.cookies[i], "fmod_ret cookie");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "exit");
		ASSERT_EQ(skel->bss->at_exit[i].cookie, 0, "no cookie");
	}
out:
	for (i = 0; i < 3; i++)
		close_fd(&fds[i]);
	tracing_multi_link__destroy(skel);
}

static void test_sleepable(void)
{
	struct tracing_multi_link *skel;
	int fds[3] = { -1, -1, -1 }, i;
	struct multi_targets t;
	__u64 val = 1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_fentry_test1",
		       "bpf_testmod:bpf_testmod_multi_inject"))
		goto out;
	skel->bss->user_ptr = ptr_to_u64(&val);
	fds[0] = multi_attach(skel->progs.entry_sleepable, &t);
	fds[1] = multi_attach(skel->progs.leave_sleepable, &t);
	fds[2] = multi_attach(skel->progs.modify_sleepable, &t);
	for (i = 0; i < 3; i++)
		ASSERT_OK_FD(fds[i], "attach");
	trigger(skel);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "fentry");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "fexit");
		ASSERT_EQ(skel->bss->at_modify[i].hits, 1, "fmod_ret");
	}
	ASSERT_EQ(skel->bss->copied, 6, "copied from user space");
out:
	for (i = 0; i < 3; i++)
		close_fd(&fds[i]);
	tracing_multi_link__destroy(skel);
}

/* Beside the programs of single links: fentry, fexit and fmod_ret on
 * bpf_modify_return_test, and a LSM program.
 */
#define NR_MULTI 3
#define NR_SINGLE 4

struct overlap {
	struct tracing_multi_link *skel;
	struct multi_targets both, modify;
	struct bpf_link *single[NR_SINGLE];
	int multi[NR_MULTI];
};

static void overlap_multi(struct overlap *o, bool attach)
{
	struct tracing_multi_link *skel = o->skel;
	int i;

	if (!attach) {
		for (i = 0; i < NR_MULTI; i++)
			close_fd(&o->multi[i]);
		return;
	}
	o->multi[0] = multi_attach(skel->progs.entry, &o->both);
	o->multi[1] = multi_attach(skel->progs.leave, &o->both);
	o->multi[2] = multi_attach(skel->progs.modify, &o->modify);
	for (i = 0; i < NR_MULTI; i++)
		ASSERT_OK_FD(o->multi[i], "attach multi");
}

static void overlap_single(struct overlap *o, bool attach)
{
	struct tracing_multi_link *skel = o->skel;
	int i;

	if (!attach) {
		for (i = 0; i < NR_SINGLE; i++) {
			bpf_link__destroy(o->single[i]);
			o->single[i] = NULL;
		}
		return;
	}
	o->single[0] = bpf_program__attach(skel->progs.single_entry);
	o->single[1] = bpf_program__attach(skel->progs.single_exit);
	o->single[2] = bpf_program__attach(skel->progs.single_modify);
	o->single[3] = bpf_program__attach(skel->progs.single_lsm);
	for (i = 0; i < NR_SINGLE; i++)
		ASSERT_OK_PTR(o->single[i], "attach single");
}

static void overlap_check(struct overlap *o, bool multi, bool single)
{
	struct tracing_multi_link__bss *bss = o->skel->bss;

	clear_seen(o->skel);
	bss->single_entry_hits = 0;
	bss->single_exit_hits = 0;
	bss->single_modify_hits = 0;
	bss->lsm_hits = 0;
	trigger(o->skel);
	ASSERT_EQ(bss->at_entry[0].hits, multi, "multi fentry");
	ASSERT_EQ(bss->at_exit[0].hits, multi, "multi fexit");
	ASSERT_EQ(bss->at_modify[0].hits, multi, "multi fmod_ret");
	ASSERT_EQ(bss->at_entry[1].hits, multi, "multi fentry on LSM hook");
	ASSERT_EQ(bss->at_exit[1].hits, multi, "multi fexit on LSM hook");
	ASSERT_EQ(bss->single_entry_hits, single, "single fentry");
	ASSERT_EQ(bss->single_exit_hits, single, "single fexit");
	ASSERT_EQ(bss->single_modify_hits, single, "single fmod_ret");
	ASSERT_EQ(bss->lsm_hits, single, "LSM");
}

static void overlap_round(struct overlap *o, bool multi_first, bool multi_stays)
{
	if (multi_first)
		overlap_multi(o, true);
	else
		overlap_single(o, true);
	overlap_check(o, multi_first, !multi_first);
	if (multi_first)
		overlap_single(o, true);
	else
		overlap_multi(o, true);
	overlap_check(o, true, true);
	if (multi_stays)
		overlap_single(o, false);
	else
		overlap_multi(o, false);
	overlap_check(o, multi_stays, !multi_stays);
	overlap_single(o, false);
	overlap_multi(o, false);
	overlap_check(o, false, false);
}

static void test_overlap_single(void)
{
	struct overlap o = { .multi = { -1, -1, -1 } };

	o.skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(o.skel, "open_and_load"))
		return;
	if (!SET_FUNCS(o.skel, &o.both, "bpf_modify_return_test", "bpf_lsm_task_getpgid") ||
	    !multi_set(&o.modify, "bpf_modify_return_test", NULL))
		goto out;
	overlap_round(&o, true, true);
	overlap_round(&o, true, false);
	overlap_round(&o, false, true);
	overlap_round(&o, false, false);
	ASSERT_EQ(o.skel->bss->strays, 0, "strays");
out:
	tracing_multi_link__destroy(o.skel);
}

/* Three links, one of each kind, on overlapping sets of functions: attached
 * and detached in every order, counted after every step.
 */
#define NR_LINKS 3

static const int orders[][NR_LINKS] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

struct orders {
	struct tracing_multi_link *skel;
	const struct bpf_program *progs[NR_LINKS];
	struct multi_targets targets[NR_LINKS];
	int fds[NR_LINKS];
};

/* links 0 and 1 are on bpf_modify_return_test, 1 and 2 on bpf_modify_return_test2 */
static bool orders_check(struct orders *o)
{
	struct tracing_multi_link__bss *bss = o->skel->bss;
	bool on[NR_LINKS];
	int i;

	for (i = 0; i < NR_LINKS; i++)
		on[i] = o->fds[i] >= 0;
	clear_seen(o->skel);
	return ASSERT_EQ(trigger_modify(o->skel), MODIFY_NONE, "retval") &
	       ASSERT_EQ(bss->at_entry[0].hits, on[0], "fentry on 0") &
	       ASSERT_EQ(bss->at_entry[1].hits, 0, "fentry on 1") &
	       ASSERT_EQ(bss->at_exit[0].hits, on[1], "fexit on 0") &
	       ASSERT_EQ(bss->at_exit[1].hits, on[1], "fexit on 1") &
	       ASSERT_EQ(bss->at_modify[0].hits, 0, "fmod_ret on 0") &
	       ASSERT_EQ(bss->at_modify[1].hits, on[2], "fmod_ret on 1");
}

static bool orders_round(struct orders *o, const int *attach, const int *detach)
{
	bool ok = true;
	int i;

	for (i = 0; ok && i < NR_LINKS; i++) {
		o->fds[attach[i]] = multi_attach(o->progs[attach[i]],
						 &o->targets[attach[i]]);
		ok = ASSERT_OK_FD(o->fds[attach[i]], "attach") && orders_check(o);
	}
	for (i = 0; i < NR_LINKS; i++) {
		close_fd(&o->fds[detach[i]]);
		ok = ok && orders_check(o);
	}
	return ok;
}

static void test_orders(void)
{
	struct orders o = { .fds = { -1, -1, -1 } };
	int i, j;

	o.skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(o.skel, "open_and_load"))
		return;
	o.progs[0] = o.skel->progs.entry;
	o.progs[1] = o.skel->progs.leave;
	o.progs[2] = o.skel->progs.modify;
	if (!SET_FUNCS(o.skel, &o.targets[1], "bpf_modify_return_test",
		       "bpf_modify_return_test2") ||
	    !multi_set(&o.targets[0], "bpf_modify_return_test", NULL) ||
	    !multi_set(&o.targets[2], "bpf_modify_return_test2", NULL))
		goto out;
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (j = 0; j < ARRAY_SIZE(orders); j++) {
			if (!orders_round(&o, orders[i], orders[j])) {
				fprintf(stdout, "attach order %d, detach order %d\n", i, j);
				goto out;
			}
		}
	}
	ASSERT_EQ(o.skel->bss->strays, 0, "strays");
out:
	tracing_multi_link__destroy(o.skel);
}

/* Two links of one kind with different programs on the same functions, and a
 * second link of a program that is attached already.
 */
static void test_overlap_multi(void)
{
	struct tracing_multi_link *skel, *other = NULL;
	struct multi_targets t, second;
	int fds[3] = { -1, -1, -1 }, i;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	other = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(other, "open_and_load other"))
		goto out;
	if (!SET_FUNCS(skel, &t, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3") ||
	    !SET_FUNCS(other, &t, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3"))
		goto out;
	other->bss->pid = getpid();
	fds[0] = multi_attach(skel->progs.entry, &t);
	fds[1] = multi_attach(other->progs.entry, &t);
	if (!ASSERT_OK_FD(fds[0], "first") || !ASSERT_OK_FD(fds[1], "other program"))
		goto out;

	/* the same program: not twice on one function, but on others */
	if (!multi_set(&second, "bpf_fentry_test4", "bpf_fentry_test2", NULL))
		goto out;
	multi_refused(skel->progs.entry, &second, -EBUSY, 1, "same program");
	second.cnt = 1;
	fds[2] = multi_attach(skel->progs.entry, &second);
	ASSERT_OK_FD(fds[2], "same program, other function");
	skel->bss->addrs[3] = func_addr("bpf_fentry_test4");

	trigger(skel);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "first");
		ASSERT_EQ(other->bss->at_entry[i].hits, 1, "other");
	}
	ASSERT_EQ(skel->bss->at_entry[3].hits, 1, "second link");
	close_fd(&fds[0]);
	trigger(skel);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "first is gone");
		ASSERT_EQ(other->bss->at_entry[i].hits, 2, "other stays");
	}
	ASSERT_EQ(skel->bss->at_entry[3].hits, 2, "second link stays");
out:
	for (i = 0; i < 3; i++)
		close_fd(&fds[i]);
	tracing_multi_link__destroy(other);
	tracing_multi_link__destroy(skel);
}

/* BPF_PROG_TEST_RUN of the programs themselves. */
static void test_prog_test_run(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t, modify;
	int fds[2] = { -1, -1 };
	__u32 retval;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_fentry_test1", "bpf_modify_return_test"))
		goto out;
	skel->bss->pid = getpid();
	fds[0] = multi_attach(skel->progs.entry, &t);
	if (!multi_set(&modify, "bpf_modify_return_test", NULL))
		goto out;
	fds[1] = multi_attach(skel->progs.modify, &modify);
	if (!ASSERT_OK_FD(fds[0], "fentry") || !ASSERT_OK_FD(fds[1], "fmod_ret"))
		goto out;
	run_prog(skel->progs.entry, NULL);
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, "run fentry");
	run_prog(skel->progs.leave, NULL);
	ASSERT_EQ(skel->bss->at_entry[0].hits, 2, "run fexit");
	ASSERT_EQ(skel->bss->at_entry[1].hits, 0, "not fmod_ret's functions");
	if (run_prog(skel->progs.modify, &retval))
		ASSERT_EQ(retval, MODIFY_NONE, "run fmod_ret");
	ASSERT_EQ(skel->bss->at_modify[1].hits, 1, "fmod_ret");
	ASSERT_EQ(skel->bss->at_entry[1].hits, 1, "fmod_ret's functions");
out:
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	tracing_multi_link__destroy(skel);
}

static void test_prog_stats(void)
{
	struct bpf_prog_info info = {};
	struct tracing_multi_link *skel;
	__u32 len = sizeof(info);
	struct multi_targets t;
	int fd = -1, stats_fd;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (!ASSERT_OK_FD(stats_fd, "bpf_enable_stats") ||
	    !multi_set(&t, "bpf_fentry_test1", "bpf_fentry_test2",
		       "bpf_testmod:bpf_kfunc_common_test", NULL))
		goto out;
	fd = multi_attach(skel->progs.recurse, &t);
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	trigger(skel);
	if (!ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(skel->progs.recurse),
					       &info, &len), "info"))
		goto out;
	ASSERT_EQ(info.run_cnt, 2, "run_cnt");
	ASSERT_EQ(info.recursion_misses, 2, "recursion_misses");
out:
	close_fd(&fd);
	if (stats_fd >= 0)
		close(stats_fd);
	tracing_multi_link__destroy(skel);
}

static void test_pin(void)
{
	static const char path[] = "/sys/fs/bpf/tracing_multi_link_pin";
	struct tracing_multi_link *skel;
	struct multi_targets t;
	int fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_fentry_test1", "bpf_fentry_test2"))
		goto out;
	unlink(path);
	fd = multi_attach(skel->progs.entry, &t);
	if (!ASSERT_OK_FD(fd, "attach") || !ASSERT_OK(bpf_obj_pin(fd, path), "pin"))
		goto out;
	close_fd(&fd);
	trigger(skel);
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, "attached by the pin");
	fd = bpf_obj_get(path);
	ASSERT_OK_FD(fd, "bpf_obj_get");
	ASSERT_OK(unlink(path), "unlink");
	trigger(skel);
	ASSERT_EQ(skel->bss->at_entry[1].hits, 2, "attached by the fd");
	close_fd(&fd);
	trigger(skel);
	ASSERT_EQ(skel->bss->at_entry[1].hits, 2, "detached");
out:
	unlink(path);
	close_fd(&fd);
	tracing_multi_link__destroy(skel);
}

/* BPF_LINK_DETACH and BPF_LINK_UPDATE are not for this type of link. */
static void test_link_ops(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t;
	int fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!SET_FUNCS(skel, &t, "bpf_fentry_test1"))
		goto out;
	fd = multi_attach(skel->progs.entry, &t);
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_EQ(bpf_link_detach(fd), -EOPNOTSUPP, "detach");
	ASSERT_ERR(bpf_link_update(fd, bpf_program__fd(skel->progs.leave), NULL), "update");
	trigger(skel);
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, "still attached");
out:
	close_fd(&fd);
	tracing_multi_link__destroy(skel);
}

void serial_test_tracing_multi_link(void)
{
	if (!env.has_testmod) {
		test__skip();
		return;
	}
	ksyms = load_kallsyms_local();
	if (!ASSERT_OK_PTR(ksyms, "load_kallsyms_local"))
		return;
	if (!multi_init())
		goto out;
	if (test__start_subtest("all_args"))
		test_all_args();
	if (test__start_subtest("fentry_typed"))
		test_fentry_typed();
	if (test__start_subtest("fexit_typed"))
		test_fexit_typed();
	if (test__start_subtest("fmod_ret"))
		test_fmod_ret();
	if (test__start_subtest("fmod_ret_typed"))
		test_fmod_ret_typed();
	if (test__start_subtest("mixed_targets"))
		test_mixed_targets();
	if (test__start_subtest("cookies"))
		test_cookies();
	if (test__start_subtest("sleepable"))
		test_sleepable();
	if (test__start_subtest("overlap_single"))
		test_overlap_single();
	if (test__start_subtest("overlap_multi"))
		test_overlap_multi();
	if (test__start_subtest("orders"))
		test_orders();
	if (test__start_subtest("prog_test_run"))
		test_prog_test_run();
	if (test__start_subtest("prog_stats"))
		test_prog_stats();
	if (test__start_subtest("pin"))
		test_pin();
	if (test__start_subtest("link_ops"))
		test_link_ops();
	RUN_TESTS(tracing_multi_link_fail);
	multi_fini();
out:
	free_kallsyms_local(ksyms);
}
