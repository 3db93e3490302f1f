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
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	{ "bpf_testmod:bpf_testmod_test_struct_arg_7", 7, 0x6543210, 133 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_8", 8, 0x76543210, 156 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_9", 10, 0xba76543210, 258 },
#else
	/* the others have padding there */
	{ "bpf_testmod:bpf_testmod_test_struct_arg_9", 10, 0xba96543210, 258 },
#endif
};

static struct tracing_multi_link *skel;
static struct ksyms *ksyms;

static __u64 func_addr(const char *spec)
{
	const char *colon = strchr(spec, ':');

	return ksym_get_addr_local(ksyms, colon ? colon + 1 : spec);
}

/* Call everything in the tests below once. */
static void trigger(void)
{
	skel->bss->pid = getpid();
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	multi_test_run(skel->progs.run_modify_tests, NULL);
	ASSERT_OK(trigger_module_test_read(1), "trigger_module_test_read");
	getpgid(getpid());
}

static __u32 trigger_modify(void)
{
	__u32 retval = 0;

	skel->bss->pid = getpid();
	multi_test_run(skel->progs.run_modify_tests, &retval);
	return retval;
}

static void clear_seen(void)
{
	memset(skel->bss->at_entry, 0, sizeof(skel->bss->at_entry));
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	memset(skel->bss->at_modify, 0, sizeof(skel->bss->at_modify));
}

/* Fill t and a program's table of addresses with the functions of a list. */
static bool set_funcs(struct tracing_multi_link *to, struct multi_targets *t,
		      const char *const *names, int cnt)
{
	int i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < cnt; i++) {
		if (!multi_add(t, names[i]))
			return false;
		to->bss->addrs[i] = func_addr(names[i]);
		if (!ASSERT_NEQ(to->bss->addrs[i], 0, names[i]))
			return false;
	}
	return true;
}

#define SET_FUNCS_OF(to, t, ...) ({						\
	static const char *const names_[] = { __VA_ARGS__ };			\
	set_funcs(to, t, names_, ARRAY_SIZE(names_));				\
})
#define SET_FUNCS(t, ...) SET_FUNCS_OF(skel, t, __VA_ARGS__)

static void check_func(const struct multi_seen *seen, const struct func *func,
		       const char *where)
{
	ASSERT_EQ(seen->hits, 1, func->name);
	ASSERT_EQ(seen->nr_args, func->nr_args, where);
	ASSERT_EQ(seen->args, func->args, where);
}

/* fentry and fexit, untyped, on functions with 0 to 12 arguments. */
static void test_all_args(void)
{
	const char *names[ARRAY_SIZE(funcs)];
	struct multi_targets t;
	int entry_fd, i;

	for (i = 0; i < ARRAY_SIZE(funcs); i++)
		names[i] = funcs[i].name;
	if (!set_funcs(skel, &t, names, ARRAY_SIZE(funcs)))
		return;
	entry_fd = multi_link(skel->progs.entry, &t, "fentry");
	if (entry_fd < 0 || multi_link(skel->progs.leave, &t, "fexit") < 0)
		return;

	trigger();
	for (i = 0; i < ARRAY_SIZE(funcs); i++) {
		check_func(&skel->bss->at_entry[i], &funcs[i], "at entry");
		ASSERT_EQ(skel->bss->at_entry[i].ret_err, -EOPNOTSUPP, "ret at entry");
		check_func(&skel->bss->at_exit[i], &funcs[i], "at exit");
		ASSERT_EQ(skel->bss->at_exit[i].ret_err, 0, "ret_err at exit");
		ASSERT_EQ((__u32)skel->bss->at_exit[i].ret, funcs[i].ret, "ret at exit");
	}
	ASSERT_EQ(skel->bss->strays, 0, "strays");

	multi_unlink(&entry_fd);
	clear_seen();
	trigger();
	for (i = 0; i < ARRAY_SIZE(funcs); i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 0, "detached");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "still attached");
	}
}

static void test_fentry_typed(void)
{
	struct multi_targets t;
	int fd;

	if (!SET_FUNCS(&t, "bpf_fentry_test2", "bpf_fentry_test3",
		       "bpf_testmod:bpf_testmod_multi_8",
		       "bpf_testmod:bpf_testmod_multi_12"))
		return;
	fd = multi_link(skel->progs.entry_typed, &t, "two scalars");
	if (fd < 0)
		return;
	trigger();
	ASSERT_EQ(skel->bss->at_entry[0].args, 0x32, "bpf_fentry_test2");
	ASSERT_EQ(skel->bss->at_entry[1].args, 0x54, "bpf_fentry_test3");
	ASSERT_EQ(skel->bss->at_entry[2].args, 0x21, "bpf_testmod_multi_8");
	ASSERT_EQ(skel->bss->at_entry[3].args, 0x21, "bpf_testmod_multi_12");
	multi_unlink(&fd);

	clear_seen();
	if (!multi_set(&t, "bpf_testmod:bpf_testmod_multi_12", NULL) ||
	    multi_link(skel->progs.entry_typed_12, &t, "twelve scalars") < 0)
		return;
	trigger();
	ASSERT_EQ(skel->bss->at_entry[3].hits, 1, "hits");
	ASSERT_EQ(skel->bss->at_entry[3].args, 0xcba987654321, "twelve args");
	ASSERT_EQ(skel->bss->strays, 0, "strays");
}

static void test_fexit_typed(void)
{
	struct multi_targets t;

	if (!SET_FUNCS(&t, "bpf_testmod:bpf_testmod_multi_2", "bpf_fentry_test2",
		       "bpf_testmod:bpf_testmod_multi_struct"))
		return;
	t.cnt = 2;
	if (multi_link(skel->progs.leave_typed, &t, "two scalars") < 0 ||
	    !multi_set(&t, "bpf_testmod:bpf_testmod_multi_struct", NULL) ||
	    multi_link(skel->progs.leave_typed_struct, &t, "struct") < 0)
		return;
	trigger();
	ASSERT_EQ(skel->bss->at_exit[0].args, 0x21, "args of bpf_testmod_multi_2");
	ASSERT_EQ(skel->bss->at_exit[0].ret, 3, "ret of bpf_testmod_multi_2");
	ASSERT_EQ(skel->bss->at_exit[1].args, 0x32, "args of bpf_fentry_test2");
	ASSERT_EQ(skel->bss->at_exit[1].ret, 5, "ret of bpf_fentry_test2");
	ASSERT_EQ(skel->bss->at_exit[2].args, 0x4321, "args with a struct");
	ASSERT_EQ(skel->bss->at_exit[2].ret, 10, "ret behind a struct");
	ASSERT_EQ(skel->bss->strays, 0, "strays");
}

/* Two test functions: 4 and 29, and both change what they got a pointer to. */
#define MODIFY_NONE	(2 << 16 | 33)
#define MODIFY_BOTH(x)	(2 * (x))

static void test_fmod_ret(void)
{
	struct multi_targets t;
	int fd;

	if (!SET_FUNCS(&t, "bpf_modify_return_test", "bpf_modify_return_test2",
		       "bpf_testmod:bpf_testmod_multi_inject",
		       "security_task_getpgid"))
		return;
	fd = multi_link(skel->progs.modify, &t, "fmod_ret");
	if (fd < 0 || multi_link(skel->progs.leave, &t, "fexit") < 0)
		return;

	trigger();
	ASSERT_EQ(skel->bss->at_modify[0].hits, 1, "bpf_modify_return_test");
	ASSERT_EQ(skel->bss->at_modify[0].nr_args, 2, "slots");
	ASSERT_EQ(skel->bss->at_modify[0].ret_err, 0, "ret_err");
	ASSERT_EQ(skel->bss->at_modify[0].ret, 0, "nothing modified yet");
	ASSERT_EQ(skel->bss->at_modify[1].hits, 1, "bpf_modify_return_test2");
	ASSERT_EQ(skel->bss->at_modify[1].nr_args, 7, "slots of the second");
	ASSERT_EQ(skel->bss->at_modify[2].hits, 1, "bpf_testmod_multi_inject");
	ASSERT_EQ(skel->bss->at_modify[3].hits, 1, "security_task_getpgid");

	ASSERT_EQ(trigger_modify(), MODIFY_NONE, "returned 0");
	skel->bss->modify_ret = 21;
	ASSERT_EQ(trigger_modify(), MODIFY_BOTH(21), "returned 21");
	ASSERT_EQ((__u32)skel->bss->at_exit[0].ret, 21, "fexit sees 21");
	ASSERT_EQ((__u32)skel->bss->at_exit[1].ret, 21, "fexit sees 21 of the second");
	skel->bss->modify_ret = -EPERM;
	ASSERT_EQ(getpgid(getpid()), -1, "getpgid");
	ASSERT_EQ(errno, EPERM, "getpgid's errno");
	multi_unlink(&fd);
	ASSERT_EQ(trigger_modify(), MODIFY_NONE, "detached");
	ASSERT_EQ((__u32)skel->bss->at_exit[1].ret, 29, "fexit sees 29");
	ASSERT_GT(getpgid(getpid()), 0, "getpgid without fmod_ret");
	ASSERT_EQ(skel->bss->strays, 0, "strays");
}

static void test_fmod_ret_typed(void)
{
	struct multi_targets t;

	if (!SET_FUNCS(&t, "bpf_modify_return_test", "bpf_testmod:bpf_testmod_multi_inject") ||
	    multi_link(skel->progs.modify_typed, &t, "fmod_ret") < 0)
		return;
	trigger();
	ASSERT_EQ(skel->bss->at_modify[0].hits, 1, "bpf_modify_return_test");
	ASSERT_EQ(skel->bss->at_modify[0].args, 1, "first arg");
	ASSERT_EQ(skel->bss->at_modify[1].hits, 1, "bpf_testmod_multi_inject");
	ASSERT_EQ(skel->bss->at_modify[1].args, 1, "first arg in module");
	skel->bss->modify_ret = 20;
	/* the second test function is not attached to: 29, with side effect */
	ASSERT_EQ(trigger_modify(), 1 << 16 | (20 + 29), "returned 20");
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
	__u32 retval = 0;

	multi_test_run_tc(target->progs.target_tc, &retval);
	ASSERT_EQ(retval, 3, "target's retval");
}

static bool add_target_prog(struct tracing_multi_target *target, struct multi_targets *t)
{
	const struct bpf_program *prog = target->progs.target_tc;
	int prog_fd = bpf_program__fd(prog);

	if (!multi_add_prog(t, prog_fd, "target_tc") ||
	    !multi_add_prog(t, prog_fd, "target_sum"))
		return false;
	skel->bss->addrs[4] = subprog_addr(prog, 0);
	/* the order of subprograms in the object: target_sum may be either */
	skel->bss->addrs[5] = subprog_addr(prog, 1);
	skel->bss->addrs[6] = subprog_addr(prog, 2);
	return true;
}

static void check_mixed_targets(const struct multi_targets *t)
{
	int i;

	if (skel->bss->at_entry[6].hits) {
		skel->bss->at_entry[5] = skel->bss->at_entry[6];
		skel->bss->at_exit[5] = skel->bss->at_exit[6];
	}
	for (i = 0; i < t->cnt; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "entry");
		ASSERT_EQ(skel->bss->at_entry[i].cookie, 100 - i, "entry cookie");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "exit");
		ASSERT_EQ(skel->bss->at_exit[i].cookie, 100 - i, "exit cookie");
	}
	ASSERT_EQ(skel->bss->at_exit[4].ret, 3, "ret of target_tc");
	ASSERT_EQ(skel->bss->at_exit[5].args, 0x21, "args of target_sum");
	ASSERT_EQ((__u32)skel->bss->at_exit[5].ret, 3, "ret of target_sum");
	ASSERT_EQ(skel->bss->strays, 0, "strays");
}

/* Kernel, module and program in one link, not in order, each with its cookie. */
static void test_mixed_targets(void)
{
	struct tracing_multi_target *target;
	int entry_fd, leave_fd, i;
	struct multi_targets t;

	target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(target, "open_and_load target"))
		return;
	if (!SET_FUNCS(&t, "bpf_testmod:bpf_testmod_multi_3", "bpf_fentry_test5",
		       "bpf_testmod:bpf_testmod_multi_1", "bpf_fentry_test1") ||
	    !add_target_prog(target, &t))
		goto out;
	for (i = 0; i < t.cnt; i++)
		t.cookies[i] = 100 - i;
	t.use_cookies = true;

	entry_fd = multi_link(skel->progs.entry, &t, "fentry");
	leave_fd = multi_link(skel->progs.leave, &t, "fexit");
	if (entry_fd < 0 || leave_fd < 0)
		goto out;
	trigger();
	run_target(target);
	check_mixed_targets(&t);

	multi_unlink(&entry_fd);
	multi_unlink(&leave_fd);
	clear_seen();
	trigger();
	run_target(target);
	for (i = 0; i < t.cnt; i++)
		ASSERT_EQ(skel->bss->at_entry[i].hits + skel->bss->at_exit[i].hits,
			  0, "detached");
out:
	tracing_multi_target__destroy(target);
}

/* One set of cookies for each kind; without cookies they are zero. */
static void test_cookies(void)
{
	struct multi_targets t, modify;
	int i;

	if (!SET_FUNCS(&modify, "bpf_modify_return_test2", "bpf_modify_return_test"))
		return;
	t = modify;
	t.cookies[0] = 0x1111222233334444ULL;
	t.cookies[1] = ~0ULL;
	modify.cookies[0] = 7;
	t.use_cookies = true;
	modify.use_cookies = true;
	multi_link(skel->progs.entry, &t, "attach fentry");
	multi_link(skel->progs.modify, &modify, "attach fmod_ret");
	t.use_cookies = false;
	multi_link(skel->progs.leave, &t, "attach fexit");
	trigger_modify();
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "entry");
		ASSERT_EQ(skel->bss->at_entry[i].cookie, t.cookies[i], "fentry cookie");
		ASSERT_EQ(skel->bss->at_modify[i].cookie, modify.cookies[i], "fmod_ret cookie");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "exit");
		ASSERT_EQ(skel->bss->at_exit[i].cookie, 0, "no cookie");
	}
}

static void test_sleepable(void)
{
	struct multi_targets t;
	__u64 val = 1;
	int i;

	if (!SET_FUNCS(&t, "bpf_fentry_test1", "bpf_testmod:bpf_testmod_multi_inject"))
		return;
	skel->bss->user_ptr = ptr_to_u64(&val);
	multi_link(skel->progs.entry_sleepable, &t, "attach fentry");
	multi_link(skel->progs.leave_sleepable, &t, "attach fexit");
	multi_link(skel->progs.modify_sleepable, &t, "attach fmod_ret");
	trigger();
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "fentry");
		ASSERT_EQ(skel->bss->at_exit[i].hits, 1, "fexit");
		ASSERT_EQ(skel->bss->at_modify[i].hits, 1, "fmod_ret");
	}
	ASSERT_EQ(skel->bss->copied, 6, "copied from user space");
}

/* Beside the programs of single links: fentry, fexit and fmod_ret on
 * bpf_modify_return_test, and a LSM program.
 */
#define NR_MULTI 3
#define NR_SINGLE 4

struct overlap {
	struct multi_targets both, modify;
	struct bpf_link *single[NR_SINGLE];
	int multi[NR_MULTI];
};

static void overlap_multi(struct overlap *o, bool attach)
{
	int i;

	if (!attach) {
		for (i = 0; i < NR_MULTI; i++)
			multi_unlink(&o->multi[i]);
		return;
	}
	o->multi[0] = multi_link(skel->progs.entry, &o->both, "attach multi fentry");
	o->multi[1] = multi_link(skel->progs.leave, &o->both, "attach multi fexit");
	o->multi[2] = multi_link(skel->progs.modify, &o->modify, "attach multi fmod_ret");
}

static void overlap_single(struct overlap *o, bool attach)
{
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

static void overlap_check(bool multi, bool single)
{
	struct tracing_multi_link__bss *bss = skel->bss;

	clear_seen();
	bss->single_entry_hits = 0;
	bss->single_exit_hits = 0;
	bss->single_modify_hits = 0;
	bss->lsm_hits = 0;
	trigger();
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
	overlap_check(multi_first, !multi_first);
	if (multi_first)
		overlap_single(o, true);
	else
		overlap_multi(o, true);
	overlap_check(true, true);
	if (multi_stays)
		overlap_single(o, false);
	else
		overlap_multi(o, false);
	overlap_check(multi_stays, !multi_stays);
	overlap_single(o, false);
	overlap_multi(o, false);
	overlap_check(false, false);
}

static void test_overlap_single(void)
{
	struct overlap o = { .multi = { -1, -1, -1 } };

	if (!SET_FUNCS(&o.both, "bpf_modify_return_test", "bpf_lsm_task_getpgid") ||
	    !multi_set(&o.modify, "bpf_modify_return_test", NULL))
		return;
	overlap_round(&o, true, true);
	overlap_round(&o, true, false);
	overlap_round(&o, false, true);
	overlap_round(&o, false, false);
	ASSERT_EQ(skel->bss->strays, 0, "strays");
}

/* Three links, one of each kind, on overlapping sets of functions: attached
 * and detached in every order, counted after every step.
 */
#define NR_LINKS 3

static const int orders[][NR_LINKS] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

struct orders {
	const struct bpf_program *progs[NR_LINKS];
	struct multi_targets targets[NR_LINKS];
	int fds[NR_LINKS];
};

/* links 0 and 1 are on bpf_modify_return_test, 1 and 2 on bpf_modify_return_test2 */
static bool orders_check(struct orders *o)
{
	struct tracing_multi_link__bss *bss = skel->bss;
	bool on[NR_LINKS];
	int i;

	for (i = 0; i < NR_LINKS; i++)
		on[i] = o->fds[i] >= 0;
	clear_seen();
	return ASSERT_EQ(trigger_modify(), MODIFY_NONE, "retval") &
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
		o->fds[attach[i]] = multi_link(o->progs[attach[i]],
					       &o->targets[attach[i]], "attach");
		ok = o->fds[attach[i]] >= 0 && orders_check(o);
	}
	for (i = 0; i < NR_LINKS; i++) {
		multi_unlink(&o->fds[detach[i]]);
		ok = ok && orders_check(o);
	}
	return ok;
}

static void test_orders(void)
{
	struct orders o = {
		.progs = { skel->progs.entry, skel->progs.leave, skel->progs.modify },
		.fds = { -1, -1, -1 },
	};
	int i, j;

	if (!SET_FUNCS(&o.targets[1], "bpf_modify_return_test", "bpf_modify_return_test2") ||
	    !multi_set(&o.targets[0], "bpf_modify_return_test", NULL) ||
	    !multi_set(&o.targets[2], "bpf_modify_return_test2", NULL))
		return;
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (j = 0; j < ARRAY_SIZE(orders); j++) {
			if (!orders_round(&o, orders[i], orders[j])) {
				fprintf(stdout, "attach order %d, detach order %d\n", i, j);
				return;
			}
		}
	}
	ASSERT_EQ(skel->bss->strays, 0, "strays");
}

static void overlap_others(struct tracing_multi_link *other)
{
	struct multi_targets t, second;
	int first_fd, i;

	if (!SET_FUNCS(&t, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3") ||
	    !SET_FUNCS_OF(other, &t, "bpf_fentry_test1", "bpf_fentry_test2",
			  "bpf_fentry_test3"))
		return;
	other->bss->pid = getpid();
	first_fd = multi_link(skel->progs.entry, &t, "first");
	if (first_fd < 0 || multi_link(other->progs.entry, &t, "other program") < 0)
		return;

	/* the same program: not twice on one function, but on others */
	if (!multi_set(&second, "bpf_fentry_test4", "bpf_fentry_test2", NULL))
		return;
	multi_refused(skel->progs.entry, &second, -EBUSY, 1, "same program");
	second.cnt = 1;
	multi_link(skel->progs.entry, &second, "same program, other function");
	skel->bss->addrs[3] = func_addr("bpf_fentry_test4");

	trigger();
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "first");
		ASSERT_EQ(other->bss->at_entry[i].hits, 1, "other");
	}
	ASSERT_EQ(skel->bss->at_entry[3].hits, 1, "second link");
	multi_unlink(&first_fd);
	trigger();
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(skel->bss->at_entry[i].hits, 1, "first is gone");
		ASSERT_EQ(other->bss->at_entry[i].hits, 2, "other stays");
	}
	ASSERT_EQ(skel->bss->at_entry[3].hits, 2, "second link stays");
}

/* Two links of one kind with different programs on the same functions, and a
 * second link of a program that is attached already.
 */
static void test_overlap_multi(void)
{
	struct tracing_multi_link *other = tracing_multi_link__open_and_load();

	if (ASSERT_OK_PTR(other, "open_and_load other"))
		overlap_others(other);
	tracing_multi_link__destroy(other);
}

/* BPF_PROG_TEST_RUN of the programs themselves. */
static void test_prog_test_run(void)
{
	struct multi_targets t, modify;
	__u32 retval;

	skel->bss->pid = getpid();
	if (!SET_FUNCS(&t, "bpf_fentry_test1", "bpf_modify_return_test") ||
	    !multi_set(&modify, "bpf_modify_return_test", NULL) ||
	    multi_link(skel->progs.entry, &t, "fentry") < 0 ||
	    multi_link(skel->progs.modify, &modify, "fmod_ret") < 0)
		return;
	multi_test_run(skel->progs.entry, NULL);
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, "run fentry");
	multi_test_run(skel->progs.leave, NULL);
	ASSERT_EQ(skel->bss->at_entry[0].hits, 2, "run fexit");
	ASSERT_EQ(skel->bss->at_entry[1].hits, 0, "not fmod_ret's functions");
	if (multi_test_run(skel->progs.modify, &retval))
		ASSERT_EQ(retval, MODIFY_NONE, "run fmod_ret");
	ASSERT_EQ(skel->bss->at_modify[1].hits, 1, "fmod_ret");
	ASSERT_EQ(skel->bss->at_entry[1].hits, 1, "fmod_ret's functions");
}

static void test_prog_stats(void)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct multi_targets t;
	int stats_fd;

	stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (!ASSERT_OK_FD(stats_fd, "bpf_enable_stats"))
		return;
	if (!multi_set(&t, "bpf_fentry_test1", "bpf_fentry_test2",
		       "bpf_testmod:bpf_kfunc_common_test", NULL) ||
	    multi_link(skel->progs.recurse, &t, "attach") < 0)
		goto out;
	trigger();
	if (!ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(skel->progs.recurse),
					       &info, &len), "info"))
		goto out;
	ASSERT_EQ(info.run_cnt, 2, "run_cnt");
	ASSERT_EQ(info.recursion_misses, 2, "recursion_misses");
out:
	close(stats_fd);
}

static void test_pin(void)
{
	static const char path[] = "/sys/fs/bpf/tracing_multi_link_pin";
	struct multi_targets t;
	int fd;

	unlink(path);
	if (!SET_FUNCS(&t, "bpf_fentry_test1", "bpf_fentry_test2"))
		return;
	fd = multi_link(skel->progs.entry, &t, "attach");
	if (fd < 0 || !ASSERT_OK(bpf_obj_pin(fd, path), "pin"))
		return;
	multi_unlink(&fd);
	trigger();
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, "attached by the pin");
	fd = bpf_obj_get(path);
	ASSERT_OK_FD(fd, "bpf_obj_get");
	ASSERT_OK(unlink(path), "unlink");
	trigger();
	ASSERT_EQ(skel->bss->at_entry[1].hits, 2, "attached by the fd");
	multi_unlink(&fd);
	trigger();
	ASSERT_EQ(skel->bss->at_entry[1].hits, 2, "detached");
}

/* BPF_LINK_DETACH is not for this type of link. */
static void test_link_ops(void)
{
	struct multi_targets t;
	int fd;

	if (!SET_FUNCS(&t, "bpf_fentry_test1"))
		return;
	fd = multi_link(skel->progs.entry, &t, "attach");
	if (fd < 0)
		return;
	ASSERT_EQ(bpf_link_detach(fd), -EOPNOTSUPP, "detach");
	trigger();
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, "still attached");
}

static bool setup(void)
{
	ksyms = load_kallsyms_local();
	return ASSERT_OK_PTR(ksyms, "load_kallsyms_local") && multi_init();
}

static void teardown(void)
{
	multi_fini();
	free_kallsyms_local(ksyms);
	ksyms = NULL;
}

static bool setup_each(void)
{
	skel = tracing_multi_link__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load");
}

static void teardown_each(void)
{
	tracing_multi_link__destroy(skel);
	skel = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "all_args", test_all_args },
	{ "fentry_typed", test_fentry_typed },
	{ "fexit_typed", test_fexit_typed },
	{ "fmod_ret", test_fmod_ret },
	{ "fmod_ret_typed", test_fmod_ret_typed },
	{ "mixed_targets", test_mixed_targets },
	{ "cookies", test_cookies },
	{ "sleepable", test_sleepable },
	{ "overlap_single", test_overlap_single },
	{ "overlap_multi", test_overlap_multi },
	{ "orders", test_orders },
	{ "prog_test_run", test_prog_test_run },
	{ "prog_stats", test_prog_stats },
	{ "pin", test_pin },
	{ "link_ops", test_link_ops },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link(void)
{
	multi_run_suite(&suite);
	if (env.has_testmod)
		RUN_TESTS(tracing_multi_link_fail);
}
