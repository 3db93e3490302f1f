// SPDX-License-Identifier: GPL-2.0
/* Which functions a program fits on, that was verified for another one. */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_match.skel.h"
#include "tracing_multi_target.skel.h"

#define MAX_GOOD 8

/* A link of program prog on all of good must be possible; with bad behind them
 * it must fail because of that one. "prog:name" is a function of the programs
 * in progs/tracing_multi_target.c.
 */
static const struct match {
	const char *name;
	const char *prog;
	const char *good[MAX_GOOD];
	const char *bad;
	int err; /* default: -EINVAL */
} matches[] = {
	{
		.name = "reads_nothing",
		.prog = "read_nothing",
		.good = { "bpf_fentry_test6", "bpf_fentry_test7", "bpf_fentry_test_sinfo",
			  "bpf_testmod:bpf_testmod_multi_0",
			  "bpf_testmod:bpf_testmod_multi_12",
			  "bpf_testmod:bpf_testmod_test_struct_arg_9",
			  "prog:target_tc", "prog:target_conservative" },
		/* denied for everyone */
		.bad = "migrate_disable",
	}, {
		.name = "scalar_vs_pointer",
		.prog = "read_int",
		/* of any size and sign, void *, int *, whatever follows */
		.good = { "bpf_fentry_test2", "bpf_fentry_test3", "bpf_fentry_test4",
			  "bpf_fentry_test5", "bpf_fentry_test9",
			  "bpf_testmod:bpf_testmod_multi_struct_more" },
		.bad = "bpf_fentry_test7",
	}, {
		.name = "scalar_vs_struct_in_two_slots",
		.prog = "read_int",
		.good = { "bpf_testmod:bpf_testmod_test_struct_arg_4" },
		.bad = "bpf_testmod:bpf_testmod_test_struct_arg_1",
	}, {
		.name = "struct_in_one_slot",
		.prog = "read_small_struct",
		.good = { "bpf_testmod:bpf_testmod_test_struct_arg_4", "bpf_fentry_test1" },
		.bad = "bpf_fentry_test7",
	}, {
		.name = "too_few_arguments",
		.prog = "read_third",
		.good = { "bpf_fentry_test3", "bpf_fentry_test4", "bpf_fentry_test6",
			  "bpf_testmod:bpf_testmod_multi_12" },
		.bad = "bpf_fentry_test2",
	}, {
		.name = "no_arguments",
		.prog = "read_int",
		.good = { "bpf_testmod:bpf_testmod_multi_1" },
		.bad = "bpf_testmod:bpf_testmod_multi_0",
	}, {
		.name = "pointer_vs_scalar",
		.prog = "read_ptr",
		.good = { "bpf_fentry_test7", "bpf_fentry_test8" },
		.bad = "bpf_fentry_test1",
	}, {
		.name = "pointer_vs_void_pointer",
		.prog = "read_ptr",
		.good = { "bpf_fentry_test8" },
		.bad = "bpf_fentry_test4",
	}, {
		.name = "pointer_to_other_struct",
		.prog = "read_ptr",
		.good = { "bpf_fentry_test8" },
		.bad = "bpf_fentry_test_sinfo",
	}, {
		.name = "read_in_subprog",
		.prog = "read_in_subprog",
		.good = { "bpf_fentry_test8" },
		.bad = "bpf_fentry_test1",
	}, {
		.name = "read_in_callback",
		.prog = "read_in_callback",
		.good = { "bpf_fentry_test8" },
		.bad = "bpf_fentry_test1",
	}, {
		.name = "offset_behind_struct",
		.prog = "read_after_struct",
		/* what counts is the slot, not the argument's number */
		.good = { "bpf_testmod:bpf_testmod_multi_struct",
			  "bpf_testmod:bpf_testmod_multi_struct_more",
			  "bpf_testmod:bpf_testmod_test_struct_arg_2",
			  "bpf_testmod:bpf_testmod_multi_12" },
		.bad = "bpf_testmod:bpf_testmod_test_struct_arg_3",
	}, {
		.name = "argument_at_other_offset",
		.prog = "read_after_struct",
		.good = { "bpf_testmod:bpf_testmod_multi_struct" },
		.bad = "bpf_testmod:bpf_testmod_multi_3",
	}, {
		.name = "half_of_struct",
		.prog = "read_half_struct",
		.good = { "bpf_testmod:bpf_testmod_multi_struct",
			  "bpf_testmod:bpf_testmod_test_struct_arg_2" },
		.bad = "bpf_testmod:bpf_testmod_multi_4",
	}, {
		.name = "offset_within_struct",
		.prog = "read_third",
		.good = { "bpf_testmod:bpf_testmod_multi_3" },
		.bad = "bpf_testmod:bpf_testmod_multi_struct",
	}, {
		.name = "qualifiers_and_typedefs",
		.prog = "read_obj",
		.good = { "bpf_testmod:bpf_testmod_multi_obj",
			  "bpf_testmod:bpf_testmod_multi_obj_const",
			  "bpf_testmod:bpf_testmod_multi_obj_volatile",
			  "bpf_testmod:bpf_testmod_multi_obj_typedef" },
		.bad = "bpf_testmod:bpf_testmod_multi_other",
	}, {
		.name = "nullable_pointer",
		.prog = "read_obj",
		.good = { "bpf_testmod:bpf_testmod_multi_obj" },
		.bad = "bpf_testmod:bpf_testmod_multi_obj_nullable",
	}, {
		.name = "vmlinux_type_in_module",
		.prog = "read_file",
		.good = { "filp_close", "vfs_llseek", "bpf_testmod:bpf_testmod_test_read" },
		.bad = "bpf_testmod:bpf_testmod_multi_obj",
	}, {
		.name = "module_type_in_vmlinux",
		.prog = "read_obj",
		.good = { "bpf_testmod:bpf_testmod_multi_obj" },
		.bad = "bpf_fentry_test7",
	}, {
		.name = "ret_at_other_offset",
		.prog = "read_ret",
		.good = { "bpf_fentry_test2", "bpf_testmod:bpf_testmod_multi_2",
			  "bpf_testmod:bpf_testmod_multi_inject" },
		.bad = "bpf_fentry_test1",
	}, {
		.name = "ret_scalar_vs_pointer",
		.prog = "read_ret",
		.good = { "bpf_testmod:bpf_testmod_multi_2" },
		.bad = "bpf_testmod:bpf_testmod_multi_ret_obj",
	}, {
		.name = "ret_scalar_vs_void",
		.prog = "read_ret",
		.good = { "bpf_testmod:bpf_testmod_multi_2" },
		.bad = "bpf_testmod:bpf_testmod_multi_ret_void",
	}, {
		.name = "ret_pointer_vs_scalar",
		.prog = "read_ret_ptr",
		.good = { "bpf_testmod:bpf_testmod_multi_ret_obj",
			  "bpf_testmod:bpf_testmod_multi_ret_typedef" },
		.bad = "bpf_testmod:bpf_testmod_multi_2",
	}, {
		.name = "ret_pointer_to_other_struct",
		.prog = "read_ret_ptr",
		.good = { "bpf_testmod:bpf_testmod_multi_ret_typedef" },
		.bad = "bpf_testmod:bpf_testmod_multi_ret_other",
	}, {
		.name = "ret_not_read",
		.prog = "read_nothing_exit",
		.good = { "bpf_fentry_test1", "bpf_fentry_test6",
			  "bpf_testmod:bpf_testmod_multi_ret_obj",
			  "bpf_testmod:bpf_testmod_multi_ret_void" },
		.bad = "do_exit",
	}, {
		.name = "fmod_ret_of_pointer",
		.prog = "modify_blind",
		.good = { "bpf_modify_return_test", "bpf_modify_return_test2",
			  "bpf_testmod:bpf_testmod_multi_inject",
			  "bpf_testmod:bpf_testmod_multi_inject_long",
			  "security_task_getpgid" },
		.bad = "bpf_testmod:bpf_testmod_multi_ret_obj",
	}, {
		.name = "fmod_ret_of_pointer_untyped",
		.prog = "modify_untyped",
		.good = { "bpf_testmod:bpf_testmod_multi_inject" },
		.bad = "bpf_testmod:bpf_testmod_multi_ret_obj",
	}, {
		.name = "fmod_ret_not_modifiable",
		.prog = "modify_blind",
		.good = { "bpf_modify_return_test2" },
		.bad = "bpf_fentry_test2",
	}, {
		.name = "fmod_ret_ret_at_other_offset",
		.prog = "modify_read_ret",
		.good = { "bpf_testmod:bpf_testmod_multi_inject_long" },
		.bad = "bpf_modify_return_test2",
	}, {
		.name = "fmod_ret_of_program",
		.prog = "modify_untyped",
		.good = { "bpf_modify_return_test" },
		.bad = "prog:target_sum",
	}, {
		.name = "tail_call_other_prototype",
		.prog = "tail_call",
		.good = { "bpf_fentry_test1", "bpf_fentry_shadow_test" },
		.bad = "bpf_fentry_test2",
	}, {
		.name = "tail_call_other_type",
		.prog = "tail_call",
		.good = { "bpf_fentry_shadow_test" },
		.bad = "bpf_fentry_test7",
	}, {
		.name = "d_path",
		.prog = "use_d_path",
		.good = { "filp_close", "vfs_fallocate" },
		.bad = "vfs_llseek",
	}, {
		.name = "sk_storage",
		.prog = "use_sk_storage",
		.good = { "sk_common_release", "inet_sock_destruct" },
		.bad = "bpf_sk_storage_free",
	}, {
		.name = "sleepable",
		.prog = "sleepable",
		.good = { "bpf_fentry_test1", "bpf_testmod:bpf_testmod_multi_inject" },
		.bad = "bpf_fentry_test2",
	}, {
		.name = "sleepable_untyped",
		.prog = "sleepable_untyped",
		.good = { "bpf_testmod:bpf_testmod_multi_inject", "bpf_fentry_test1" },
		.bad = "bpf_testmod:bpf_testmod_multi_1",
	}, {
		.name = "sleepable_on_program",
		.prog = "sleepable_untyped",
		.good = { "bpf_fentry_test1" },
		.bad = "prog:target_sum",
	}, {
		.name = "tracing_program",
		.prog = "untyped",
		.good = { "prog:target_xdp", "prog:target_tail_call" },
		.bad = "prog:target_tracing",
	}, {
		.name = "tracing_program_typed",
		.prog = "read_nothing",
		.good = { "prog:target_tc" },
		.bad = "prog:target_tracing",
	}, {
		.name = "program_scalars",
		.prog = "read_prog_int",
		.good = { "prog:target_sum", "bpf_fentry_test1", "prog:target_conservative" },
		.bad = "prog:target_tc",
	}, {
		.name = "program_of_other_type",
		.prog = "read_prog_ctx",
		.good = { "prog:target_tc", "prog:target_tc_other", "prog:target_ctx_sub" },
		.bad = "prog:target_xdp",
	}, {
		.name = "program_vs_conservative",
		.prog = "read_prog_ctx",
		.good = { "prog:target_tc_other" },
		.bad = "prog:target_conservative",
	}, {
		.name = "conservative_scalars",
		.prog = "read_conservative",
		.good = { "prog:target_conservative", "prog:target_sum" },
		.bad = "prog:target_xdp",
	}, {
		.name = "int_vs_conservative",
		.prog = "read_int",
		.good = { "prog:target_conservative" },
		.bad = "prog:target_tc",
	},
};

static struct tracing_multi_match *match_skel;
static struct tracing_multi_target *target;

static bool add_target(struct multi_targets *t, const char *spec)
{
	static const char prefix[] = "prog:";
	struct bpf_program *prog;
	const char *func;

	if (strncmp(spec, prefix, sizeof(prefix) - 1))
		return multi_add(t, spec);
	func = spec + sizeof(prefix) - 1;
	prog = bpf_object__find_program_by_name(target->obj, func);
	/* a subprogram: only target_tc has some */
	if (!prog)
		prog = target->progs.target_tc;
	return multi_add_prog(t, bpf_program__fd(prog), func);
}

static void test_match(const struct match *match)
{
	const struct bpf_program *prog;
	struct multi_targets t = {};
	int i;

	prog = bpf_object__find_program_by_name(match_skel->obj, match->prog);
	if (!ASSERT_OK_PTR(prog, match->prog))
		return;
	for (i = 0; i < MAX_GOOD && match->good[i]; i++) {
		if (!add_target(&t, match->good[i]))
			return;
	}
	multi_attached(prog, &t, "good targets");
	if (!add_target(&t, match->bad))
		return;
	multi_refused(prog, &t, match->err ?: -EINVAL, t.cnt - 1, match->bad);
}

/* A multi-link program may be traced by a program of a single link, but not
 * the other way round, and nothing may replace a part of it.
 */
static void test_freplace(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	const struct bpf_program *progs[] = {
		match_skel->progs.call_entry, match_skel->progs.call_exit,
		match_skel->progs.call_modify,
	};
	static char log[4096];
	const char *name;
	int i, fd;

	opts.log_buf = log;
	opts.log_size = sizeof(log);
	opts.log_level = 1;
	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		name = bpf_program__name(progs[i]);
		opts.attach_prog_fd = bpf_program__fd(progs[i]);
		opts.attach_btf_id = multi_prog_func_id(opts.attach_prog_fd, "replaceable");
		log[0] = 0;
		fd = multi_load_empty(BPF_PROG_TYPE_EXT, &opts);
		if (!ASSERT_EQ(fd, -EINVAL, name) && fd >= 0)
			close(fd);
		ASSERT_HAS_SUBSTR(log, "Cannot extend fentry/fexit", "log");
	}
}

static int load_fentry_of(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = BPF_TRACE_FENTRY);

	opts.attach_prog_fd = bpf_program__fd(prog);
	opts.attach_btf_id = multi_prog_func_id(opts.attach_prog_fd,
						bpf_program__name(prog));
	return multi_load_empty(BPF_PROG_TYPE_TRACING, &opts);
}

static void test_tracing_each_other(void)
{
	const struct bpf_program *prog = match_skel->progs.untyped;
	struct multi_targets t = {};
	int prog_fd, link_fd;

	prog_fd = load_fentry_of(prog);
	if (!ASSERT_OK_FD(prog_fd, "fentry of a multi-link program"))
		return;
	link_fd = bpf_raw_tracepoint_open(NULL, prog_fd);
	ASSERT_OK_FD(link_fd, "attach to a multi-link program");
	/* neither itself nor another multi-link program nor its tracer */
	if (multi_add_prog(&t, bpf_program__fd(prog), "untyped"))
		multi_refused(prog, &t, -EINVAL, 0, "itself");
	t.cnt = 0;
	if (multi_add_prog(&t, bpf_program__fd(match_skel->progs.untyped_exit),
			   "untyped_exit"))
		multi_refused(prog, &t, -EINVAL, 0, "another");
	if (link_fd >= 0)
		close(link_fd);
	close(prog_fd);
}

/* What is tail-called runs on its caller's functions, so it has to be verified
 * for the same prototype.
 */
static void test_tail_callee(void)
{
	int map_fd = bpf_map__fd(match_skel->maps.jmp_table), fd, zero = 0;

	fd = bpf_program__fd(match_skel->progs.read_int);
	ASSERT_OK(bpf_map_update_elem(map_fd, &zero, &fd, 0), "same prototype");
	fd = bpf_program__fd(match_skel->progs.read_ptr);
	ASSERT_EQ(bpf_map_update_elem(map_fd, &zero, &fd, 0), -EINVAL, "other prototype");
	fd = bpf_program__fd(match_skel->progs.untyped);
	ASSERT_EQ(bpf_map_update_elem(map_fd, &zero, &fd, 0), -EINVAL, "untyped");
	fd = bpf_program__fd(match_skel->progs.sleepable);
	ASSERT_EQ(bpf_map_update_elem(map_fd, &zero, &fd, 0), -EINVAL, "sleepable");
	ASSERT_OK(bpf_map_delete_elem(map_fd, &zero), "delete");

	/* the helper is for some of the functions with this prototype only */
	map_fd = bpf_map__fd(match_skel->maps.jmp_file);
	fd = bpf_program__fd(match_skel->progs.read_file);
	ASSERT_OK(bpf_map_update_elem(map_fd, &zero, &fd, 0), "no helper");
	fd = bpf_program__fd(match_skel->progs.use_d_path);
	ASSERT_EQ(bpf_map_update_elem(map_fd, &zero, &fd, 0), -EINVAL, "helper");
	ASSERT_OK(bpf_map_delete_elem(map_fd, &zero), "delete");
}

/* It sees what its caller would, also if only it asks. */
static void run_tail_callee(const struct bpf_program *caller, const struct bpf_map *map,
			    const struct bpf_program *callee)
{
	struct multi_targets t = { .use_cookies = true, .cookies = { 0x1234567890, 2 } };
	int zero = 0, fd = bpf_program__fd(callee), link_fd;
	unsigned long long addr = 0;

	if (!ASSERT_OK(kallsyms_find("bpf_fentry_test1", &addr), "bpf_fentry_test1") ||
	    !multi_add(&t, "bpf_fentry_test1") || !multi_add(&t, "bpf_fentry_shadow_test"))
		return;
	link_fd = multi_link(caller, &t, "attach");
	if (link_fd < 0)
		return;
	memset(&match_skel->bss->seen, 0, sizeof(match_skel->bss->seen));
	multi_test_run(match_skel->progs.run_fentry_tests, NULL);
	ASSERT_EQ(match_skel->bss->seen.hits, 0, "no callee");

	if (!ASSERT_OK(bpf_map_update_elem(bpf_map__fd(map), &zero, &fd, 0), "update"))
		goto unlink;
	multi_test_run(match_skel->progs.run_fentry_tests, NULL);
	ASSERT_EQ(match_skel->bss->seen.hits, 1, "hits");
	ASSERT_EQ(match_skel->bss->seen.ip, addr, "ip");
	ASSERT_EQ(match_skel->bss->seen.cookie, t.cookies[0], "cookie");
	ASSERT_EQ(match_skel->bss->seen.arg, 1, "arg");
	ASSERT_OK(bpf_map_delete_elem(bpf_map__fd(map), &zero), "delete");
unlink:
	multi_unlink(&link_fd);
}

static void test_tail_callee_runs(void)
{
	match_skel->bss->pid = getpid();
	run_tail_callee(match_skel->progs.tail_call, match_skel->maps.jmp_table,
			match_skel->progs.tail_called);
	run_tail_callee(match_skel->progs.tail_call_exit, match_skel->maps.jmp_exit,
			match_skel->progs.tail_called_exit);
}

static bool load_for(struct bpf_program *prog, const struct bpf_program *for_prog,
		     const char *func)
{
	return ASSERT_OK(bpf_program__set_autoload(prog, true), "set_autoload") &&
	       ASSERT_OK(bpf_program__set_attach_target(prog, bpf_program__fd(for_prog), func),
			 func);
}

static bool load(void)
{
	target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(target, "targets"))
		return false;
	match_skel = tracing_multi_match__open();
	if (!ASSERT_OK_PTR(match_skel, "open"))
		return false;
	return load_for(match_skel->progs.read_prog_ctx, target->progs.target_tc,
			"target_tc") &&
	       load_for(match_skel->progs.read_prog_int, target->progs.target_tc,
			"target_sum") &&
	       load_for(match_skel->progs.read_conservative,
			target->progs.target_conservative, "target_conservative") &&
	       ASSERT_OK(tracing_multi_match__load(match_skel), "load");
}

void serial_test_tracing_multi_link_match(void)
{
	int i;

	if (!env.has_testmod) {
		test__skip();
		return;
	}
	if (!multi_init() || !load())
		goto out;
	for (i = 0; i < ARRAY_SIZE(matches); i++) {
		if (test__start_subtest(matches[i].name))
			test_match(&matches[i]);
	}
	if (test__start_subtest("freplace"))
		test_freplace();
	if (test__start_subtest("tracing_each_other"))
		test_tracing_each_other();
	if (test__start_subtest("tail_callee"))
		test_tail_callee();
	if (test__start_subtest("tail_callee_runs"))
		test_tail_callee_runs();
out:
	tracing_multi_match__destroy(match_skel);
	tracing_multi_target__destroy(target);
	match_skel = NULL;
	target = NULL;
	multi_fini();
}
