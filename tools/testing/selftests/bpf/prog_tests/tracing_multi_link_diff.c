// SPDX-License-Identifier: GPL-2.0
/* What programs see that a tracing multi-link attaches to many functions must be
 * what programs see that are attached to each of these functions alone.
 */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "progs/tracing_multi.h"
#include "tracing_multi_record.skel.h"

#define COOKIE(i) (0x5eed000000000000ULL + (i))

/* Called with constants, each function once by trigger(). */
static const struct func {
	const char *name;
	/* slots with the padding of a struct: the lowest byte counts */
	__u32 padded;
	/* slots with an address that is another one in each call */
	__u32 moving;
	/* fmod_ret programs may be attached to it */
	bool modify;
} funcs[] = {
	{ "bpf_fentry_test1" },
	{ "bpf_fentry_test2" },
	{ "bpf_fentry_test3" },
	{ "bpf_fentry_test4" },
	{ "bpf_fentry_test5" },
	{ "bpf_fentry_test6" },
	{ "bpf_fentry_test7" },
	{ "bpf_testmod:bpf_testmod_multi_0" },
	{ "bpf_testmod:bpf_testmod_multi_1" },
	{ "bpf_testmod:bpf_testmod_multi_2" },
	{ "bpf_testmod:bpf_testmod_multi_3" },
	{ "bpf_testmod:bpf_testmod_multi_4" },
	{ "bpf_testmod:bpf_testmod_multi_5" },
	{ "bpf_testmod:bpf_testmod_multi_6" },
	{ "bpf_testmod:bpf_testmod_multi_7" },
	{ "bpf_testmod:bpf_testmod_multi_8" },
	{ "bpf_testmod:bpf_testmod_multi_9" },
	{ "bpf_testmod:bpf_testmod_multi_10" },
	{ "bpf_testmod:bpf_testmod_multi_11" },
	{ "bpf_testmod:bpf_testmod_multi_12" },
	{ "bpf_testmod:bpf_testmod_multi_struct" },
	{ "bpf_testmod:bpf_testmod_multi_struct_more" },
	{ "bpf_testmod:bpf_testmod_multi_ret_obj" },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_1" },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_2" },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_3" },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_4", 1 << 0 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_5" },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_7", 1 << 6 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_8", 1 << 6 },
	{ "bpf_testmod:bpf_testmod_test_struct_arg_9", 1 << 7 },
	{ "bpf_testmod:bpf_testmod_fentry_test1" },
	{ "bpf_testmod:bpf_testmod_fentry_test2" },
	{ "bpf_testmod:bpf_testmod_fentry_test3" },
	{ "bpf_testmod:bpf_testmod_fentry_test7" },
	{ "bpf_testmod:bpf_testmod_fentry_test11" },
	{ "bpf_testmod:bpf_testmod_multi_inject", .moving = 1 << 1 },
	{ "bpf_testmod:bpf_testmod_limit_modify", .modify = true },
	{ "bpf_testmod:bpf_testmod_limit_int128_at_8", .modify = true },
};

#define NR_FUNCS ARRAY_SIZE(funcs)

#define TESTMOD "bpf_testmod:bpf_testmod_"

/* One function's own programs */
struct single {
	struct tracing_multi_record *skel;
	struct bpf_link *entry, *leave, *modify;
};

static struct tracing_multi_record *skel;
static struct single singles[NR_FUNCS];
/* what these programs saw before there was any multi-link */
static struct multi_record want_entry[NR_FUNCS], want_exit[NR_FUNCS], want_modify[NR_FUNCS];

static void trigger(void)
{
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_OK(trigger_module_test_read(1), "read");
}

static bool set_target(struct bpf_program *prog, const char *func)
{
	bpf_program__set_autoload(prog, true);
	return ASSERT_OK(bpf_program__set_attach_target(prog, 0, func), func);
}

static bool load_single(struct single *s, const struct func *func)
{
	s->skel = tracing_multi_record__open();
	if (!ASSERT_OK_PTR(s->skel, func->name))
		return false;
	s->skel->bss->pid = getpid();
	return set_target(s->skel->progs.single_entry, func->name) &&
	       set_target(s->skel->progs.single_exit, func->name) &&
	       (!func->modify || set_target(s->skel->progs.single_modify, func->name)) &&
	       ASSERT_OK(tracing_multi_record__load(s->skel), func->name);
}

static bool attach_single(struct single *s, bool modify, __u64 cookie)
{
	LIBBPF_OPTS(bpf_trace_opts, opts, .cookie = cookie);

	s->entry = bpf_program__attach_trace_opts(s->skel->progs.single_entry, &opts);
	s->leave = bpf_program__attach_trace_opts(s->skel->progs.single_exit, &opts);
	if (modify)
		s->modify = bpf_program__attach_trace_opts(s->skel->progs.single_modify, &opts);
	return ASSERT_OK_PTR(s->entry, "single fentry") &
	       ASSERT_OK_PTR(s->leave, "single fexit") &
	       (!modify || ASSERT_OK_PTR(s->modify, "single fmod_ret"));
}

static bool attach_singles(void)
{
	bool ok = true;
	int i;

	for (i = 0; ok && i < NR_FUNCS; i++)
		ok = attach_single(&singles[i], funcs[i].modify, COOKIE(i));
	return ok;
}

static void detach_singles(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++) {
		bpf_link__destroy(singles[i].entry);
		bpf_link__destroy(singles[i].leave);
		bpf_link__destroy(singles[i].modify);
		singles[i].entry = NULL;
		singles[i].leave = NULL;
		singles[i].modify = NULL;
	}
}

static void clear(struct tracing_multi_record *s)
{
	memset(s->bss->at_entry, 0, sizeof(s->bss->at_entry));
	memset(s->bss->at_exit, 0, sizeof(s->bss->at_exit));
	memset(s->bss->at_modify, 0, sizeof(s->bss->at_modify));
}

static void clear_singles(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++)
		clear(singles[i].skel);
}

/* One link of each type; -1 is no link. */
struct multi_links {
	int entry, leave, modify;
};

static bool add_func(struct multi_targets *t, int i)
{
	t->cookies[t->cnt] = COOKIE(i);
	return multi_add(t, funcs[i].name);
}

static bool attach_multi(struct multi_links *l)
{
	struct multi_targets t = { .use_cookies = true }, modify = { .use_cookies = true };
	int i;

	*l = (struct multi_links) { -1, -1, -1 };
	clear(skel);
	for (i = 0; i < NR_FUNCS; i++) {
		if (!add_func(&t, i) || (funcs[i].modify && !add_func(&modify, i)))
			return false;
	}
	l->entry = multi_link(skel->progs.multi_entry, &t, "multi fentry");
	l->leave = multi_link(skel->progs.multi_exit, &t, "multi fexit");
	l->modify = multi_link(skel->progs.multi_modify, &modify, "multi fmod_ret");
	return l->entry >= 0 && l->leave >= 0 && l->modify >= 0;
}

static void compare(const struct func *func, const struct multi_record *rec,
		    const struct multi_record *want)
{
	__u64 mask;
	int i;

	ASSERT_EQ(rec->hits, want->hits, func->name);
	ASSERT_EQ(rec->ip, want->ip, func->name);
	ASSERT_EQ(rec->cookie, want->cookie, func->name);
	ASSERT_EQ(rec->nr_args, want->nr_args, func->name);
	for (i = 0; i < MULTI_SLOTS; i++) {
		mask = func->padded & (1 << i) ? 0xff :
		       func->moving & (1 << i) ? 0 : ~0ULL;
		ASSERT_EQ(rec->args[i] & mask, want->args[i] & mask, func->name);
	}
	ASSERT_EQ(rec->ret, want->ret, func->name);
	ASSERT_EQ(rec->ret_err, want->ret_err, func->name);
}

static int shared_images(void)
{
	return multi_count_images("multi_");
}

/* Some of the functions share images, or none does. */
static void check_images(bool shared, int before)
{
	int images = shared_images() - before;

	if (shared) {
		ASSERT_GT(images, 0, "shared images");
		ASSERT_LT(images, NR_FUNCS, "shared images");
	} else {
		ASSERT_EQ(images, 0, "shared images");
	}
}

/* All records of one function's programs, wherever they are */
static void compare_func(int i, struct tracing_multi_record *s)
{
	compare(&funcs[i], &s->bss->at_entry[i], &want_entry[i]);
	compare(&funcs[i], &s->bss->at_exit[i], &want_exit[i]);
	if (funcs[i].modify)
		compare(&funcs[i], &s->bss->at_modify[i], &want_modify[i]);
}

static void compare_multi(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++)
		compare_func(i, skel);
}

static void compare_singles(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++)
		compare_func(i, singles[i].skel);
}

static void instead_of_singles(bool shared)
{
	struct multi_links l;
	int before;

	/* or images of an earlier subtest may go meanwhile */
	if (!multi_settle())
		return;
	before = shared_images();
	if (!attach_multi(&l))
		return;
	check_images(shared, before);
	trigger();
	compare_multi();
}

static void test_instead_of_singles(void)
{
	instead_of_singles(true);
}

/* Each function has an image of its own. */
static void test_own_images(void)
{
	if (multi_set_sharing(false))
		instead_of_singles(false);
	multi_set_sharing(true);
}

static void test_beside_singles(void)
{
	struct multi_links l;

	clear_singles();
	if (!attach_singles() || !attach_multi(&l))
		goto out;
	trigger();
	compare_multi();
	compare_singles();

	/* what a program saw that is gone stays; the others see the next call */
	multi_unlink(&l.entry);
	clear_singles();
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	memset(skel->bss->at_modify, 0, sizeof(skel->bss->at_modify));
	trigger();
	compare_multi();
	compare_singles();
out:
	detach_singles();
}

static void test_before_singles(void)
{
	struct multi_links l;

	clear_singles();
	if (!attach_multi(&l) || !attach_singles())
		goto out;
	trigger();
	compare_multi();
	compare_singles();

	multi_unlink(&l.leave);
	multi_unlink(&l.modify);
	multi_unlink(&l.entry);
	clear_singles();
	trigger();
	compare_multi();
	compare_singles();
out:
	detach_singles();
}

static bool record_singles(void)
{
	int i;

	clear_singles();
	if (!attach_singles())
		return false;
	trigger();
	detach_singles();
	for (i = 0; i < NR_FUNCS; i++) {
		want_entry[i] = singles[i].skel->bss->at_entry[i];
		want_exit[i] = singles[i].skel->bss->at_exit[i];
		want_modify[i] = singles[i].skel->bss->at_modify[i];
	}
	return true;
}

static bool check_recorded(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++) {
		if (!ASSERT_EQ(want_entry[i].hits, 1, funcs[i].name) ||
		    !ASSERT_EQ(want_modify[i].hits, funcs[i].modify, funcs[i].name) ||
		    !ASSERT_EQ(want_exit[i].hits, 1, funcs[i].name) ||
		    !ASSERT_EQ(want_exit[i].cookie, COOKIE(i), funcs[i].name))
			return false;
	}
	return true;
}

static struct bpf_link *attach_override(const struct bpf_program *prog)
{
	struct bpf_link *link = bpf_program__attach(prog);

	/* without KPROBES_ON_FTRACE, where a function begins with what ftrace patches */
	if (!link && errno == EINVAL)
		test__skip();
	else
		ASSERT_OK_PTR(link, "attach kprobe");
	return link;
}

/* A kprobe that makes one of the functions return at once: it changes, and tells nobody,
 * where the function goes on. Where it comes before the programs they don't see the call.
 */
static void test_beside_override(void)
{
	struct bpf_link *link = attach_override(skel->progs.override);

	if (!link)
		return;
	skel->bss->override_hits = 0;
	if (record_singles()) {
		instead_of_singles(true);
		ASSERT_EQ(skel->bss->override_hits, 2, "overridden");
	}
	bpf_link__destroy(link);
	/* what others compare with */
	if (record_singles())
		check_recorded();
}

/* What bpf_testmod_inject_none() returns, its caller calls bpf_testmod_injected() with. */
static void check_injected(int ret, const char *name)
{
	clear(skel);
	trigger();
	ASSERT_EQ(skel->bss->at_entry[0].hits, 1, name);
	ASSERT_EQ((int)skel->bss->at_entry[0].args[0], ret, name);
	/* where the kprobe comes before it, there is none */
	if (skel->bss->at_exit[1].hits)
		ASSERT_EQ((int)skel->bss->at_exit[1].ret, ret, name);
}

static void check_injected_entry(int ret, bool shared, const char *name)
{
	struct multi_targets t = {};
	int fd, before;

	/* or images of an earlier subtest may go meanwhile */
	if (!multi_add(&t, TESTMOD "inject_none") || !multi_settle())
		return;
	before = shared_images();
	fd = multi_link(skel->progs.multi_nothing, &t, name);
	if (fd < 0)
		return;
	ASSERT_EQ(shared_images() - before, shared, name);
	check_injected(ret, name);
	multi_unlink(&fd);
}

static void check_injected_exit(int ret)
{
	struct multi_targets t = { .use_cookies = true, .cookies = { COOKIE(1) } };
	int fd;

	if (!multi_add(&t, TESTMOD "inject_none"))
		return;
	fd = multi_link(skel->progs.multi_exit, &t, "fexit");
	if (fd < 0)
		return;
	check_injected(ret, "fexit");
	multi_unlink(&fd);
}

static void check_injected_single(int ret)
{
	static const struct func func = { TESTMOD "inject_none" };
	struct single s = {};

	if (load_single(&s, &func)) {
		s.entry = bpf_program__attach(s.skel->progs.single_entry);
		if (ASSERT_OK_PTR(s.entry, "single fentry"))
			check_injected(ret, "single");
		bpf_link__destroy(s.entry);
	}
	tracing_multi_record__destroy(s.skel);
}

static bool see_injected(void)
{
	struct multi_targets t = { .use_cookies = true, .cookies = { COOKIE(0) } };

	return multi_add(&t, TESTMOD "injected") &&
	       multi_link(skel->progs.multi_entry, &t, "who sees it") >= 0;
}

/* fentry programs don't change what a kprobe makes the function return. (Images with other
 * programs call the function.)
 */
static void test_overridden(void)
{
	struct bpf_link *link;

	if (!see_injected())
		return;
	link = attach_override(skel->progs.override_none);
	if (!link)
		return;
	skel->bss->override_hits = 0;
	check_injected(42, "no program");
	ASSERT_EQ(skel->bss->override_hits, 1, "overridden");
	check_injected_entry(42, true, "shared image");
	if (multi_set_sharing(false))
		check_injected_entry(42, false, "own image");
	multi_set_sharing(true);
	check_injected_single(42);
	bpf_link__destroy(link);
}

#define FAIL_FUNCTION "/sys/kernel/debug/fail_function"
#define FAILED FAIL_FUNCTION "/bpf_testmod_inject_none"

/* Has a post handler: if the kprobe is ftrace's, that knows that it changes where the function
 * goes on, and then no image is shared. Else it comes before what ftrace calls.
 */
static void test_failed(void)
{
	static const int err = -ENOMEM;
	bool is_ftraces;
	char text[32];
	int enabled;

	if (!see_injected())
		return;
	enabled = multi_enabled_functions();
	if (!multi_write_file(FAIL_FUNCTION, "inject", "bpf_testmod_inject_none")) {
		/* as in attach_override() */
		ASSERT_EQ(errno, EINVAL, "inject");
		test__skip();
		return;
	}
	is_ftraces = multi_enabled_functions() > enabled;
	snprintf(text, sizeof(text), "%#lx", (long)err);
	if (ASSERT_TRUE(multi_write_file(FAILED, "retval", text), "retval") &&
	    ASSERT_TRUE(multi_write_file(FAIL_FUNCTION, "verbose", "0"), "verbose") &&
	    ASSERT_TRUE(multi_write_file(FAIL_FUNCTION, "times", "-1"), "times") &&
	    ASSERT_TRUE(multi_write_file(FAIL_FUNCTION, "probability", "100"), "probability")) {
		check_injected(err, "no program");
		check_injected_entry(err, !is_ftraces, "fentry");
		check_injected_exit(err);
	}
	multi_write_file(FAIL_FUNCTION, "probability", "0");
	ASSERT_TRUE(multi_write_file(FAIL_FUNCTION, "inject", "\n"), "inject nothing");
}

static bool setup(void)
{
	int i;

	if (!multi_init())
		return false;
	skel = tracing_multi_record__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return false;
	bpf_program__set_autoload(skel->progs.multi_entry, true);
	bpf_program__set_autoload(skel->progs.multi_exit, true);
	bpf_program__set_autoload(skel->progs.multi_nothing, true);
	bpf_program__set_autoload(skel->progs.multi_modify, true);
	bpf_program__set_autoload(skel->progs.override, true);
	bpf_program__set_autoload(skel->progs.override_none, true);
	bpf_program__set_autoload(skel->progs.run_fentry_tests, true);
	skel->bss->pid = getpid();
	if (!ASSERT_OK(tracing_multi_record__load(skel), "load"))
		return false;
	for (i = 0; i < NR_FUNCS; i++) {
		if (!load_single(&singles[i], &funcs[i]))
			return false;
	}
	return record_singles() && check_recorded();
}

static void teardown(void)
{
	int i;

	detach_singles();
	for (i = 0; i < NR_FUNCS; i++) {
		tracing_multi_record__destroy(singles[i].skel);
		singles[i].skel = NULL;
	}
	tracing_multi_record__destroy(skel);
	skel = NULL;
	multi_fini();
}

static const struct multi_subtest subtests[] = {
	{ "instead_of_singles", test_instead_of_singles },
	{ "own_images", test_own_images },
	{ "beside_singles", test_beside_singles },
	{ "before_singles", test_before_singles },
	{ "beside_override", test_beside_override },
	{ "overridden", test_overridden },
	{ "failed", test_failed },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
};

void serial_test_tracing_multi_link_diff(void)
{
	multi_run_suite(&suite);
}
