// SPDX-License-Identifier: GPL-2.0
/* Functions of special BPF programs as targets of tracing multi-links. */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "progs/tracing_multi.h"
#include "tracing_multi_record.skel.h"
#include "tracing_multi_special.skel.h"
#include "tracing_multi_target.skel.h"

#define ENOTSUPP 524

static struct tracing_multi_record *skel;
static struct tracing_multi_special *special;
static struct tracing_multi_target *target;

/* fentry and fexit on one function of a program, and beside it on one of the kernel */
static bool attach_both(const struct bpf_program *prog, const char *func)
{
	struct multi_targets t = { .use_cookies = true };

	t.cookies[0] = 1;
	t.cookies[1] = 2;
	return multi_add(&t, "bpf_fentry_test1") &&
	       multi_add_prog(&t, bpf_program__fd(prog), func) &&
	       multi_link(skel->progs.multi_entry, &t, "fentry") >= 0 &&
	       multi_link(skel->progs.multi_exit, &t, "fexit") >= 0;
}

static void check_kernel_func(void)
{
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_EQ(skel->bss->at_entry[1].hits, 1, "kernel function at entry");
	ASSERT_EQ(skel->bss->at_exit[1].hits, 1, "kernel function at exit");
	ASSERT_EQ(skel->bss->at_exit[1].ret, 2, "its ret");
}

static void check_target_sum(__u32 want)
{
	__u32 retval = 0;

	multi_test_run_tc(target->progs.target_tc, &retval);
	ASSERT_EQ(retval, want, "retval of target");
}

static bool load_special(struct bpf_program *prog)
{
	return ASSERT_OK(bpf_program__set_autoload(prog, true), "set_autoload") &&
	       ASSERT_OK(tracing_multi_special__load(special), "load special");
}

static bool load_freplace(void)
{
	struct bpf_program *prog = special->progs.special_sum;

	return ASSERT_OK(bpf_program__set_attach_target(prog,
							bpf_program__fd(target->progs.target_tc),
							"target_sum"), "target_sum") &&
	       load_special(prog);
}

static void check_replaced(void)
{
	const struct bpf_program *sum = special->progs.special_sum;
	struct multi_targets t = {};

	check_target_sum(13);
	if (!attach_both(sum, bpf_program__name(sum)))
		return;
	check_target_sum(13);
	ASSERT_EQ(skel->bss->at_entry[2].hits, 1, "hits at entry");
	ASSERT_EQ(skel->bss->at_entry[2].nr_args, 2, "slots");
	ASSERT_EQ(skel->bss->at_entry[2].args[0], 1, "first arg");
	ASSERT_EQ(skel->bss->at_entry[2].args[1], 2, "second arg");
	ASSERT_EQ(skel->bss->at_exit[2].hits, 1, "hits at exit");
	ASSERT_EQ((__u32)skel->bss->at_exit[2].ret, 13, "ret");
	check_kernel_func();

	/* what was replaced can't be traced anymore */
	if (multi_add(&t, "bpf_fentry_test2") &&
	    multi_add_prog(&t, bpf_program__fd(target->progs.target_tc), "target_sum"))
		multi_refused(skel->progs.multi_entry, &t, -EBUSY, 1, "replaced");
}

static void test_freplace_target(void)
{
	struct bpf_link *link;

	if (!load_freplace())
		return;
	link = bpf_program__attach(special->progs.special_sum);
	if (ASSERT_OK_PTR(link, "attach freplace"))
		check_replaced();
	bpf_link__destroy(link);
	check_target_sum(3);
}

/* Nor can be replaced what is traced. */
static void test_freplace_of_target(void)
{
	struct multi_targets t = {};
	struct bpf_link *link;
	int fd;

	if (!load_freplace() ||
	    !multi_add_prog(&t, bpf_program__fd(target->progs.target_tc), "target_sum"))
		return;
	fd = multi_link(skel->progs.multi_entry, &t, "attach");
	if (fd < 0)
		return;
	link = bpf_program__attach(special->progs.special_sum);
	if (!ASSERT_NULL(link, "freplace of traced function"))
		bpf_link__destroy(link);
	else
		ASSERT_EQ(errno, EBUSY, "errno");
	check_target_sum(3);
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, "still traced");

	multi_unlink(&fd);
	link = bpf_program__attach(special->progs.special_sum);
	if (ASSERT_OK_PTR(link, "attach freplace"))
		check_target_sum(13);
	bpf_link__destroy(link);
}

/* Not every JIT has exceptions. */
static bool load_throw(struct bpf_program *prog)
{
	int err;

	if (!ASSERT_OK(bpf_program__set_autoload(prog, true), "set_autoload"))
		return false;
	err = tracing_multi_special__load(special);
	if (err == -ENOTSUPP) {
		test__skip();
		return false;
	}
	return ASSERT_OK(err, "load throw");
}

static void test_exception_cb(void)
{
	const struct bpf_program *prog = special->progs.special_throw;
	struct multi_targets t = {};
	__u32 retval = 0;

	if (!load_throw(special->progs.special_throw))
		return;
	if (multi_add(&t, "bpf_fentry_test2") &&
	    multi_add_prog(&t, bpf_program__fd(prog), "special_exception_cb")) {
		multi_refused(skel->progs.multi_entry, &t, -EINVAL, 1, "fentry");
		multi_refused(skel->progs.multi_exit, &t, -EINVAL, 1, "fexit");
	}

	/* the program that throws the exception can be traced */
	if (!attach_both(prog, bpf_program__name(prog)))
		return;
	multi_test_run_tc(prog, &retval);
	ASSERT_EQ(retval, 16 + 5, "retval of exception callback");
	ASSERT_EQ(skel->bss->at_entry[2].hits, 1, "hits at entry");
	ASSERT_EQ(skel->bss->at_exit[2].hits, 1, "hits at exit");
	ASSERT_EQ((__u32)skel->bss->at_exit[2].ret, 16 + 5, "ret");
	check_kernel_func();
}

/* An exception can't pass a trampoline that has called its function. */
static void test_exception_passes(void)
{
	const struct bpf_program *prog = special->progs.special_throw_deep;
	struct multi_targets t = { .use_cookies = true, .cookies = { 1, 2 } };
	__u32 retval = 0;

	if (!load_throw(special->progs.special_throw_deep))
		return;
	if (!multi_add(&t, "bpf_fentry_test2") ||
	    !multi_add_prog(&t, bpf_program__fd(prog), "special_thrower") ||
	    !multi_refused(skel->progs.multi_exit, &t, -EINVAL, 1, "fexit"))
		return;
	if (multi_link(skel->progs.multi_entry, &t, "fentry") < 0)
		return;
	multi_test_run_tc(prog, &retval);
	ASSERT_EQ(retval, 16 + 5, "retval of exception callback");
	ASSERT_EQ(skel->bss->at_entry[2].hits, 1, "hits at entry");
}

static void test_struct_ops(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	const struct bpf_program *prog = special->progs.special_test_1;
	__u64 args[1] = {};

	opts.ctx_in = args;
	opts.ctx_size_in = sizeof(args);
	if (!load_special(special->progs.special_test_1) ||
	    !attach_both(prog, bpf_program__name(prog)))
		return;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), "run");
	ASSERT_EQ(opts.retval, 23, "retval");
	ASSERT_EQ(skel->bss->at_entry[2].hits, 1, "hits at entry");
	/* as of each program whose BTF does not tell its arguments */
	ASSERT_EQ(skel->bss->at_entry[2].nr_args, 5, "slots");
	ASSERT_EQ(skel->bss->at_exit[2].hits, 1, "hits at exit");
	ASSERT_EQ((__u32)skel->bss->at_exit[2].ret, 23, "ret");
	check_kernel_func();
}

/* An argument of 16 bytes, which the verifier doesn't know in BPF functions */
static void test_wide_arg(void)
{
	struct bpf_program *prog = special->progs.special_wide;
	static char log[16384];

	bpf_program__set_log_buf(prog, log, sizeof(log));
	bpf_program__set_autoload(prog, true);
	ASSERT_EQ(tracing_multi_special__load(special), -EINVAL, "load");
	ASSERT_HAS_SUBSTR(log, "Arg#0 type INT in special_wide_arg() is not supported yet", "log");
}

/* Of a static function with one, its BTF isn't taken for true. */
static void test_wide_static_arg(void)
{
	struct bpf_program *prog = special->progs.special_static_wide;
	__u32 retval = 0;

	if (!load_special(prog) || !attach_both(prog, "special_static_wide_arg"))
		return;
	multi_test_run_tc(prog, &retval);
	ASSERT_EQ(retval, 3, "retval");
	ASSERT_EQ(skel->bss->at_entry[2].hits, 1, "hits at entry");
	ASSERT_EQ(skel->bss->at_entry[2].nr_args, 5, "slots");
	ASSERT_EQ(skel->bss->at_entry[2].args[0], 1, "first slot");
	ASSERT_EQ(skel->bss->at_exit[2].hits, 1, "hits at exit");
	ASSERT_EQ((__u32)skel->bss->at_exit[2].ret, 3, "ret");
	check_kernel_func();
}

static bool setup_each(void)
{
	skel = tracing_multi_record__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return false;
	bpf_program__set_autoload(skel->progs.multi_entry, true);
	bpf_program__set_autoload(skel->progs.multi_exit, true);
	bpf_program__set_autoload(skel->progs.run_fentry_tests, true);
	skel->bss->pid = getpid();
	target = tracing_multi_target__open_and_load();
	special = tracing_multi_special__open();
	return ASSERT_OK(tracing_multi_record__load(skel), "load") &&
	       ASSERT_OK_PTR(target, "load targets") &&
	       ASSERT_OK_PTR(special, "open special");
}

static void teardown_each(void)
{
	tracing_multi_special__destroy(special);
	tracing_multi_target__destroy(target);
	tracing_multi_record__destroy(skel);
	special = NULL;
	target = NULL;
	skel = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "freplace_target", test_freplace_target },
	{ "freplace_of_target", test_freplace_of_target },
	{ "exception_cb", test_exception_cb },
	{ "exception_passes", test_exception_passes },
	{ "struct_ops", test_struct_ops },
	{ "wide_arg", test_wide_arg },
	{ "wide_static_arg", test_wide_static_arg },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link_special(void)
{
	multi_run_suite(&suite);
}
