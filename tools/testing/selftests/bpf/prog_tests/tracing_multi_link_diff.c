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
};

#define NR_FUNCS ARRAY_SIZE(funcs)

/* One function's own programs */
struct single {
	struct tracing_multi_record *skel;
	struct bpf_link *entry, *leave;
};

static struct tracing_multi_record *skel;
static struct single singles[NR_FUNCS];
/* what these programs saw before there was any multi-link */
static struct multi_record want_entry[NR_FUNCS], want_exit[NR_FUNCS];

static void trigger(void)
{
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_OK(trigger_module_test_read(1), "read");
}

static bool load_single(struct single *s, const char *func)
{
	struct bpf_program *entry, *leave;

	s->skel = tracing_multi_record__open();
	if (!ASSERT_OK_PTR(s->skel, func))
		return false;
	entry = s->skel->progs.single_entry;
	leave = s->skel->progs.single_exit;
	bpf_program__set_autoload(entry, true);
	bpf_program__set_autoload(leave, true);
	s->skel->bss->pid = getpid();
	return ASSERT_OK(bpf_program__set_attach_target(entry, 0, func), func) &&
	       ASSERT_OK(bpf_program__set_attach_target(leave, 0, func), func) &&
	       ASSERT_OK(tracing_multi_record__load(s->skel), func);
}

static bool attach_single(struct single *s, __u64 cookie)
{
	LIBBPF_OPTS(bpf_trace_opts, opts, .cookie = cookie);

	s->entry = bpf_program__attach_trace_opts(s->skel->progs.single_entry, &opts);
	s->leave = bpf_program__attach_trace_opts(s->skel->progs.single_exit, &opts);
	return ASSERT_OK_PTR(s->entry, "single fentry") &
	       ASSERT_OK_PTR(s->leave, "single fexit");
}

static bool attach_singles(void)
{
	bool ok = true;
	int i;

	for (i = 0; ok && i < NR_FUNCS; i++)
		ok = attach_single(&singles[i], COOKIE(i));
	return ok;
}

static void detach_singles(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++) {
		bpf_link__destroy(singles[i].entry);
		bpf_link__destroy(singles[i].leave);
		singles[i].entry = NULL;
		singles[i].leave = NULL;
	}
}

static void clear_singles(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++) {
		memset(singles[i].skel->bss->at_entry, 0, sizeof(skel->bss->at_entry));
		memset(singles[i].skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	}
}

static bool attach_multi(int *entry_fd, int *leave_fd)
{
	struct multi_targets t = { .use_cookies = true };
	int i;

	memset(skel->bss->at_entry, 0, sizeof(skel->bss->at_entry));
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	for (i = 0; i < NR_FUNCS; i++) {
		t.cookies[i] = COOKIE(i);
		if (!multi_add(&t, funcs[i].name))
			return false;
	}
	*entry_fd = multi_link(skel->progs.multi_entry, &t, "multi fentry");
	*leave_fd = multi_link(skel->progs.multi_exit, &t, "multi fexit");
	return *entry_fd >= 0 && *leave_fd >= 0;
}

static void compare(const struct func *func, const struct multi_record *rec,
		    const struct multi_record *want)
{
	__u64 mask;
	int i;

	ASSERT_EQ(rec->hits, 1, func->name);
	ASSERT_EQ(rec->ip, want->ip, func->name);
	ASSERT_EQ(rec->cookie, want->cookie, func->name);
	ASSERT_EQ(rec->nr_args, want->nr_args, func->name);
	for (i = 0; i < MULTI_SLOTS; i++) {
		mask = func->padded & (1 << i) ? 0xff : ~0ULL;
		ASSERT_EQ(rec->args[i] & mask, want->args[i] & mask, func->name);
	}
	ASSERT_EQ(rec->ret, want->ret, func->name);
	ASSERT_EQ(rec->ret_err, want->ret_err, func->name);
}

static void compare_multi(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++) {
		compare(&funcs[i], &skel->bss->at_entry[i], &want_entry[i]);
		compare(&funcs[i], &skel->bss->at_exit[i], &want_exit[i]);
	}
}

static void compare_singles(void)
{
	int i;

	for (i = 0; i < NR_FUNCS; i++) {
		compare(&funcs[i], &singles[i].skel->bss->at_entry[i], &want_entry[i]);
		compare(&funcs[i], &singles[i].skel->bss->at_exit[i], &want_exit[i]);
	}
}

static void test_instead_of_singles(void)
{
	int entry_fd, leave_fd;

	if (!attach_multi(&entry_fd, &leave_fd))
		return;
	trigger();
	compare_multi();
}

static void test_beside_singles(void)
{
	int entry_fd, leave_fd;

	clear_singles();
	if (!attach_singles() || !attach_multi(&entry_fd, &leave_fd))
		goto out;
	trigger();
	compare_multi();
	compare_singles();

	multi_unlink(&entry_fd);
	clear_singles();
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	trigger();
	compare_multi();
	compare_singles();
out:
	detach_singles();
}

static void test_before_singles(void)
{
	int entry_fd, leave_fd;

	clear_singles();
	if (!attach_multi(&entry_fd, &leave_fd) || !attach_singles())
		goto out;
	trigger();
	compare_multi();
	compare_singles();

	multi_unlink(&leave_fd);
	multi_unlink(&entry_fd);
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

	if (!attach_singles())
		return false;
	trigger();
	detach_singles();
	for (i = 0; i < NR_FUNCS; i++) {
		want_entry[i] = singles[i].skel->bss->at_entry[i];
		want_exit[i] = singles[i].skel->bss->at_exit[i];
		if (!ASSERT_EQ(want_entry[i].hits, 1, funcs[i].name) ||
		    !ASSERT_EQ(want_exit[i].hits, 1, funcs[i].name) ||
		    !ASSERT_EQ(want_exit[i].cookie, COOKIE(i), funcs[i].name))
			return false;
	}
	return true;
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
	bpf_program__set_autoload(skel->progs.run_fentry_tests, true);
	skel->bss->pid = getpid();
	if (!ASSERT_OK(tracing_multi_record__load(skel), "load"))
		return false;
	for (i = 0; i < NR_FUNCS; i++) {
		if (!load_single(&singles[i], funcs[i].name))
			return false;
	}
	return record_singles();
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
	{ "beside_singles", test_beside_singles },
	{ "before_singles", test_before_singles },
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
