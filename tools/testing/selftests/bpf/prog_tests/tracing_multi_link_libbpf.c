// SPDX-License-Identifier: GPL-2.0
/* bpf_program__attach_tracing_multi() and the sections that lead to it. */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_auto.skel.h"

/* bpf_fentry_test1 to 9; bpf_fentry_test_sinfo is not called by the trigger */
#define NR_CALLED 9

static struct tracing_multi_auto *skel;

static void trigger(void)
{
	skel->bss->pid = getpid();
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	multi_test_run(skel->progs.run_modify_tests, NULL);
	ASSERT_OK(trigger_module_test_read(1), "read");
}

static int link_count(const struct bpf_link *link)
{
	return multi_link_count(bpf_link__fd(link));
}

static void test_autoattach(void)
{
	if (!ASSERT_OK(tracing_multi_auto__attach(skel), "attach"))
		return;
	ASSERT_NULL(skel->links.by_hand, "nothing to attach to");
	trigger();
	ASSERT_EQ(skel->bss->entry_hits, NR_CALLED, "fentry glob");
	ASSERT_EQ(skel->bss->leave_hits, NR_CALLED, "fexit glob");
	ASSERT_EQ(skel->bss->modify_hits, 2, "fmod_ret list");
	ASSERT_EQ(skel->bss->module_hits, 10, "module glob");
	ASSERT_EQ(skel->bss->list_hits, 3, "typed list");
	ASSERT_EQ(skel->bss->list_sum, 3 + 2 + 5, "typed list's arguments");
	tracing_multi_auto__detach(skel);
	trigger();
	ASSERT_EQ(skel->bss->entry_hits, NR_CALLED, "detached");
}

static void test_pattern(void)
{
	struct bpf_link *link;

	link = bpf_program__attach_tracing_multi(skel->progs.by_hand,
						 "bpf_fentry_test*,bpf_testmod:bpf_testmod_multi_1?",
						 NULL);
	if (!ASSERT_OK_PTR(link, "globs"))
		return;
	trigger();
	ASSERT_EQ(skel->bss->entry_hits, NR_CALLED + 3, "hits");
	ASSERT_EQ(link_count(link), NR_CALLED + 1 + 3, "count");
	bpf_link__destroy(link);

	/* overlapping globs name a function once */
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand,
						 "bpf_fentry_test?,bpf_fentry_test1,*fentry_test2",
						 NULL);
	if (ASSERT_OK_PTR(link, "overlapping globs")) {
		ASSERT_EQ(link_count(link), NR_CALLED, "count of overlapping globs");
		bpf_link__destroy(link);
	}

	/* globs take what the program may be attached to */
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand_sleepable,
						 "bpf_fentry_test*", NULL);
	if (ASSERT_OK_PTR(link, "sleepable")) {
		ASSERT_EQ(link_count(link), 1, "only one may sleep");
		bpf_link__destroy(link);
	}
}

static void test_bad_patterns(void)
{
	static const struct {
		const char *pattern;
		int err;
	} bad[] = {
		{ "", EINVAL },
		{ "bpf_fentry_test1,", EINVAL },
		{ ",bpf_fentry_test1", EINVAL },
		{ "bpf_testmod:", EINVAL },
		{ ":bpf_fentry_test1", EINVAL },
		{ "bpf_fentry_test[12]", EINVAL },
		{ "bpf_fentry_test1 bpf_fentry_test2", EINVAL },
		{ "no_such_function", ENOENT },
		{ "no_such_function*", ENOENT },
		{ "bpf_fentry_test*,no_such_function", ENOENT },
		{ "bpf_testmod:bpf_fentry_test1", ENOENT },
	};
	struct bpf_link *link;
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		link = bpf_program__attach_tracing_multi(skel->progs.by_hand,
							 bad[i].pattern, NULL);
		if (!ASSERT_NULL(link, bad[i].pattern))
			bpf_link__destroy(link);
		else
			ASSERT_EQ(errno, bad[i].err, bad[i].pattern);
	}
}

static void test_syms(void)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	const __u64 cookies[] = { 1, 10, 100 };
	const char *syms[3];
	__u32 bad_idx = 0;
	struct bpf_link *link;

	syms[0] = "bpf_fentry_test3";
	syms[1] = "bpf_testmod:bpf_testmod_multi_4";
	syms[2] = "bpf_fentry_test1";
	opts.syms = syms;
	opts.cookies = cookies;
	opts.cnt = ARRAY_SIZE(syms);
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, NULL, &opts);
	if (ASSERT_OK_PTR(link, "attach")) {
		trigger();
		ASSERT_EQ(skel->bss->entry_hits, 3, "hits");
		ASSERT_EQ(skel->bss->cookie_sum, 111, "cookies");
		bpf_link__destroy(link);
	}

	opts.bad_idx = &bad_idx;
	syms[1] = "no_such_function";
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, NULL, &opts);
	ASSERT_NULL(link, "no such function");
	ASSERT_EQ(errno, ENOENT, "errno");
	ASSERT_EQ(bad_idx, 1, "bad_idx");

	syms[1] = "bpf_fentry_test5";
	syms[2] = "migrate_disable";
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, NULL, &opts);
	ASSERT_NULL(link, "denied");
	ASSERT_EQ(errno, EINVAL, "errno of denied");
	ASSERT_EQ(bad_idx, 2, "bad_idx of denied");

	opts.skip_invalid = true;
	syms[1] = "no_such_function";
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, NULL, &opts);
	if (ASSERT_OK_PTR(link, "skip_invalid")) {
		ASSERT_EQ(link_count(link), 1, "count with skip_invalid");
		bpf_link__destroy(link);
	}
}

static void test_ids(void)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct multi_targets t;
	struct bpf_link *link;
	__u32 bad_idx = 0;

	if (!multi_set(&t, "bpf_fentry_test1", "bpf_testmod:bpf_testmod_multi_1",
		       "bpf_fentry_test7", NULL))
		return;
	t.cookies[0] = 5;
	t.cookies[1] = 50;
	t.cookies[2] = 500;
	opts.ids = t.ids;
	opts.tgt_fds = t.fds;
	opts.cookies = t.cookies;
	opts.cnt = t.cnt;
	opts.bad_idx = &bad_idx;
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, NULL, &opts);
	if (ASSERT_OK_PTR(link, "attach")) {
		trigger();
		ASSERT_EQ(skel->bss->entry_hits, 3, "hits");
		ASSERT_EQ(skel->bss->cookie_sum, 555, "cookies");
		bpf_link__destroy(link);
	}
	link = bpf_program__attach_tracing_multi(skel->progs.list_typed, NULL, &opts);
	ASSERT_NULL(link, "too few arguments");
	ASSERT_EQ(errno, EINVAL, "errno");
	ASSERT_EQ(bad_idx, 0, "bad_idx");
}

static int match_some(const char *module, const char *func, __u64 *cookie, void *ctx)
{
	int *calls = ctx;

	(*calls)++;
	*cookie = *calls;
	return !strcmp(func, "bpf_fentry_test1");
}

static int match_fail(const char *module, const char *func, __u64 *cookie, void *ctx)
{
	return -ESRCH;
}

static void test_match_fn(void)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;
	int calls = 0;

	opts.match_fn = match_some;
	opts.match_ctx = &calls;
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, "bpf_fentry_test?", &opts);
	if (ASSERT_OK_PTR(link, "attach")) {
		ASSERT_EQ(calls, NR_CALLED, "calls");
		ASSERT_EQ(link_count(link), NR_CALLED - 1, "one left out");
		trigger();
		ASSERT_EQ(skel->bss->entry_hits, NR_CALLED - 1, "hits");
		bpf_link__destroy(link);
	}
	opts.match_fn = match_fail;
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, "bpf_fentry_test?", &opts);
	ASSERT_NULL(link, "match_fn fails");
	ASSERT_EQ(errno, ESRCH, "its error");
}

static void expect_einval(const struct bpf_program *prog, const char *pattern,
			  const struct bpf_tracing_multi_opts *opts, const char *name)
{
	struct bpf_tracing_multi_opts with_idx = {};
	struct bpf_link *link;
	__u32 bad_idx = 0;

	if (opts)
		with_idx = *opts;
	with_idx.sz = sizeof(with_idx);
	with_idx.bad_idx = &bad_idx;
	link = bpf_program__attach_tracing_multi(prog, pattern, &with_idx);
	if (!ASSERT_NULL(link, name))
		bpf_link__destroy(link);
	else
		ASSERT_EQ(errno, EINVAL, name);
	ASSERT_EQ(bad_idx, ~0U, name);
}

static void test_bad_opts(void)
{
	static const char *const name = "bpf_fentry_test1";
	const struct bpf_program *prog;
	const __u64 cookie = 1;
	const __u32 id = 1;
	const int fd = 0;
	const struct {
		const char *pattern, *name;
		struct bpf_tracing_multi_opts opts;
	} bad[] = {
		{ name, "pattern and syms", { .syms = (const char **)&name, .cnt = 1 } },
		{ name, "pattern and ids", { .ids = &id, .cnt = 1 } },
		{ name, "pattern and cookies", { .cookies = &cookie } },
		{ name, "pattern and cnt", { .cnt = 1 } },
		{ NULL, "syms and ids",
		  { .syms = (const char **)&name, .ids = &id, .cnt = 1 } },
		{ NULL, "syms and tgt_fds",
		  { .syms = (const char **)&name, .tgt_fds = &fd, .cnt = 1 } },
		{ NULL, "syms without cnt", { .syms = (const char **)&name } },
		{ NULL, "ids without cnt", { .ids = &id } },
		{ NULL, "cnt alone", { .cnt = 1 } },
		{ NULL, "nothing", {} },
	};
	int i;

	prog = skel->progs.by_hand;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct bpf_tracing_multi_opts opts = bad[i].opts;

		opts.sz = sizeof(opts);
		expect_einval(prog, bad[i].pattern, &opts, bad[i].name);
	}
	expect_einval(prog, NULL, NULL, "no options");
	expect_einval(skel->progs.run_fentry_tests, name, NULL, "no multi program");
}

/* Of the function in vmlinux that the program is loaded for; 0 if for none */
static __u32 loaded_for(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), "prog info"))
		return 0;
	return info.attach_btf_id;
}

/* ctx is typed by what the program is loaded for, not by its section. */
static void test_set_attach_target(void)
{
	static const char *const name = "bpf_fentry_test5";
	struct tracing_multi_auto *own;
	struct bpf_link *link;

	/* what the sections say */
	ASSERT_EQ(loaded_for(skel->progs.list_typed), multi_func_id("bpf_fentry_test2"),
		  "typed by the section's first name");
	ASSERT_EQ(loaded_for(skel->progs.glob_entry), 0, "not typed by a glob");

	own = tracing_multi_auto__open();
	if (!ASSERT_OK_PTR(own, "open"))
		return;
	ASSERT_OK(bpf_program__set_attach_target(own->progs.list_typed, 0, name),
		  "set_attach_target");
	ASSERT_OK(bpf_program__set_attach_target(own->progs.glob_entry, 0, name),
		  "set_attach_target of glob");
	if (!ASSERT_OK(tracing_multi_auto__load(own), "load"))
		goto out;
	ASSERT_EQ(loaded_for(own->progs.list_typed), multi_func_id(name), "typed");
	ASSERT_EQ(loaded_for(own->progs.glob_entry), multi_func_id(name), "glob, typed");
	/* the second argument of bpf_fentry_test5 is void *: a scalar, too */
	link = bpf_program__attach_tracing_multi(own->progs.list_typed,
						 "bpf_fentry_test5,bpf_fentry_test2", NULL);
	if (ASSERT_OK_PTR(link, "attach"))
		bpf_link__destroy(link);
	/* attached to what the section says, nevertheless */
	link = bpf_program__attach(own->progs.glob_entry);
	if (ASSERT_OK_PTR(link, "attach glob")) {
		ASSERT_EQ(link_count(link), NR_CALLED + 1, "count of glob");
		bpf_link__destroy(link);
	}
out:
	tracing_multi_auto__destroy(own);
}

/* An attach that comes too early doesn't take away what the load needs. */
static void test_attach_before_load(void)
{
	struct tracing_multi_auto *own = tracing_multi_auto__open();
	struct bpf_program *prog;
	struct bpf_link *link;

	if (!ASSERT_OK_PTR(own, "open"))
		return;
	prog = own->progs.by_hand;
	bpf_program__set_autoload(own->progs.in_module, true);
	ASSERT_OK(bpf_program__set_attach_target(prog, 0, "bpf_testmod:bpf_testmod_multi_1"),
		  "look for a module's function");
	/* which no program is loaded for then */
	ASSERT_OK(bpf_program__set_attach_target(prog, 0, "bpf_fentry_test1"), "vmlinux");
	link = bpf_program__attach_tracing_multi(prog, "bpf_fentry_test1", NULL);
	if (!ASSERT_NULL(link, "too early"))
		bpf_link__destroy(link);
	else
		ASSERT_EQ(errno, EINVAL, "too early");
	ASSERT_OK(tracing_multi_auto__load(own), "load");
	tracing_multi_auto__destroy(own);
}

static void check_hits(__u64 old, __u64 new, const char *name)
{
	skel->bss->module_hits = 0;
	skel->bss->entry_hits = 0;
	trigger();
	ASSERT_EQ(skel->bss->module_hits, old, name);
	ASSERT_EQ(skel->bss->entry_hits, new, name);
}

/* bpf_link__update_program(): from now on the other one runs, with the same cookies. */
static void test_update_program(void)
{
	static const char *const name[] = { "bpf_fentry_test1", "bpf_fentry_test5",
					    "bpf_testmod:bpf_testmod_multi_2" };
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_program *old = skel->progs.glob_module, *new = skel->progs.by_hand;
	const __u64 cookies[] = { 7, 70, 700 };
	struct bpf_link *link;

	opts.syms = (const char **)name;
	opts.cookies = cookies;
	opts.cnt = ARRAY_SIZE(name);
	link = bpf_program__attach_tracing_multi(old, NULL, &opts);
	if (!ASSERT_OK_PTR(link, "attach"))
		return;
	check_hits(opts.cnt, 0, "before");

	/* of another attach type, for single links, sleepable: nothing changes */
	ASSERT_EQ(bpf_link__update_program(link, skel->progs.glob_exit), -EINVAL, "fexit");
	ASSERT_EQ(bpf_link__update_program(link, skel->progs.run_fentry_tests), -EINVAL,
		  "single fentry");
	ASSERT_EQ(bpf_link__update_program(link, skel->progs.by_hand_sleepable), -EINVAL,
		  "sleepable");
	ASSERT_EQ(multi_link_prog_id(bpf_link__fd(link)), multi_prog_id(old),
		  "program after refusals");
	ASSERT_EQ(link_count(link), opts.cnt, "count after refusals");
	check_hits(opts.cnt, 0, "after refusals");

	skel->bss->cookie_sum = 0;
	ASSERT_OK(bpf_link__update_program(link, new), "update");
	ASSERT_EQ(multi_link_prog_id(bpf_link__fd(link)), multi_prog_id(new), "program");
	ASSERT_EQ(link_count(link), opts.cnt, "count");
	check_hits(0, opts.cnt, "after");
	ASSERT_EQ(skel->bss->cookie_sum, 777, "cookies");

	bpf_link__destroy(link);
	check_hits(0, 0, "detached");
}

static void test_link_pin(void)
{
	static const char path[] = "/sys/fs/bpf/tracing_multi_link_libbpf";
	struct bpf_link *link, *pinned = NULL;

	unlink(path);
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand,
						 "bpf_fentry_test1,bpf_fentry_test2", NULL);
	if (!ASSERT_OK_PTR(link, "attach"))
		return;
	ASSERT_OK(bpf_link__pin(link, path), "pin");
	bpf_link__destroy(link);
	trigger();
	ASSERT_EQ(skel->bss->entry_hits, 2, "pinned");
	pinned = bpf_link__open(path);
	ASSERT_OK_PTR(pinned, "bpf_link__open");
	ASSERT_OK(bpf_link__unpin(pinned), "unpin");
	bpf_link__destroy(pinned);
	trigger();
	ASSERT_EQ(skel->bss->entry_hits, 2, "gone");
	unlink(path);
}

static void test_type_names(void)
{
	ASSERT_STREQ(libbpf_bpf_link_type_str(BPF_LINK_TYPE_TRACING_MULTI),
		     "tracing_multi", "link type");
	ASSERT_STREQ(libbpf_bpf_attach_type_str(BPF_TRACE_FENTRY_MULTI),
		     "trace_fentry_multi", "fentry");
	ASSERT_STREQ(libbpf_bpf_attach_type_str(BPF_TRACE_FEXIT_MULTI),
		     "trace_fexit_multi", "fexit");
	ASSERT_STREQ(libbpf_bpf_attach_type_str(BPF_MODIFY_RETURN_MULTI),
		     "modify_return_multi", "fmod_ret");
}

#define NR_NAMES 20000

/* Many names resolve before the last one, which does not exist, is refused.
 * Time is printed, not judged.
 */
static void test_many_names(void)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct btf *btf = multi_vmlinux_btf();
	__u32 id, type_cnt = btf__type_cnt(btf), bad_idx = 0;
	const struct btf_type *t;
	struct bpf_link *link;
	const char **syms;
	int cnt = 0;
	__u64 start;

	syms = calloc(NR_NAMES + 1, sizeof(*syms));
	if (!ASSERT_OK_PTR(syms, "calloc"))
		return;
	for (id = 1; id < type_cnt && cnt < NR_NAMES; id++) {
		t = btf__type_by_id(btf, id);
		if (btf_is_func(t))
			syms[cnt++] = btf__name_by_offset(btf, t->name_off);
	}
	if (!ASSERT_GT(cnt, 1000, "names"))
		goto out;
	syms[cnt] = "no_such_function";
	opts.syms = syms;
	opts.cnt = cnt + 1;
	opts.bad_idx = &bad_idx;
	start = get_time_ns();
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, NULL, &opts);
	printf("%s: %d names in %llu ms\n", __func__, cnt,
	       (get_time_ns() - start) / 1000000);
	if (!ASSERT_NULL(link, "no such function"))
		bpf_link__destroy(link);
	ASSERT_EQ(errno, ENOENT, "errno");
	ASSERT_EQ(bad_idx, cnt, "all but the last one resolved");
out:
	free(syms);
}

static const char *filter_functions(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/available_filter_functions", multi_tracefs());
	return path;
}

/* Line by line, as far as libbpf has to read: BPF's symbols are the last ones. */
static bool read_lines(const char *path, int *cnt)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!ASSERT_OK_PTR(f, path))
		return false;
	while (getline(&line, &size, f) > 0 && !strstr(line, "\t[bpf]"))
		(*cnt)++;
	free(line);
	fclose(f);
	return true;
}

/* How long it takes just to read what names are looked up in; 0 if it can't be read */
static __u64 time_reading(int *lines)
{
	__u64 start = get_time_ns();
	struct btf *btf;

	*lines = 0;
	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "vmlinux BTF"))
		return 0;
	btf__free(btf);
	if (!read_lines(filter_functions(), lines) || !read_lines("/proc/kallsyms", lines))
		return 0;
	return get_time_ns() - start;
}

static int match_none(const char *module, const char *func, __u64 *cookie, void *ctx)
{
	(*(int *)ctx)++;
	return 1;
}

/* An object in which nothing has been looked up yet */
static struct tracing_multi_auto *load_by_hand(void)
{
	struct tracing_multi_auto *own = tracing_multi_auto__open();
	struct bpf_program *prog;

	if (!ASSERT_OK_PTR(own, "open"))
		return NULL;
	bpf_object__for_each_program(prog, own->obj)
		bpf_program__set_autoload(prog, prog == own->progs.by_hand);
	if (!ASSERT_OK(tracing_multi_auto__load(own), "load")) {
		tracing_multi_auto__destroy(own);
		return NULL;
	}
	return own;
}

/* How long it takes to find what all of vmlinux is, without attaching to it; 0 on error */
static __u64 time_lookup(int *funcs)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct tracing_multi_auto *own = load_by_hand();
	struct bpf_link *link;
	__u64 start, end;
	bool ok;

	if (!own)
		return 0;
	*funcs = 0;
	opts.match_fn = match_none;
	opts.match_ctx = funcs;
	start = get_time_ns();
	link = bpf_program__attach_tracing_multi(own->progs.by_hand, "*", &opts);
	end = get_time_ns();
	ok = ASSERT_NULL(link, "nothing is wanted") && ASSERT_EQ(errno, ENOENT, "errno");
	bpf_link__destroy(link);
	tracing_multi_auto__destroy(own);
	return ok ? end - start : 0;
}

/* A good part of the time of a lookup goes into reading, so both are told; but how long
 * they take is no reason to fail.
 */
static void test_lookup_time(void)
{
	__u64 reading, lookup;
	int lines, funcs;

	reading = time_reading(&lines);
	lookup = reading ? time_lookup(&funcs) : 0;
	if (!lookup)
		return;
	printf("%s: %d functions found in %llu us; reading %d lines and BTF: %llu us\n",
	       __func__, funcs, lookup / 1000, lines, reading / 1000);
	ASSERT_GT(funcs, 1000, "functions");
	ASSERT_GT(lines, funcs, "lines");
}

/* A glob that stands for both names of a function */
static void alias_glob(char *glob, size_t size, __u32 first, __u32 second)
{
	struct btf *btf = multi_vmlinux_btf();
	const char *name = btf__name_by_offset(btf, btf__type_by_id(btf, first)->name_off);
	const char *other = btf__name_by_offset(btf, btf__type_by_id(btf, second)->name_off);

	if (strcmp(name, other))
		snprintf(glob, size, "__*%s", strstr(name, "_sys_"));
	else
		snprintf(glob, size, "%.*s?", (int)strlen(name) - 1, name);
}

static int link_addrs(const struct bpf_link *link, __u64 *addrs, __u32 cnt)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	info.tracing_multi.addrs = ptr_to_u64(addrs);
	info.tracing_multi.count = cnt;
	if (!ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "info"))
		return 0;
	return info.tracing_multi.count;
}

/* Each function of a glob once, whatever number of BTF ids it has */
static void check_alias_glob(const struct bpf_program *prog, const char *glob, __u32 id)
{
	struct btf *btf = multi_vmlinux_btf();
	const char *name = btf__name_by_offset(btf, btf__type_by_id(btf, id)->name_off);
	__u64 addrs[MULTI_MAX] = {};
	unsigned long long addr = 0;
	struct bpf_link *link;
	int cnt, i, j, hits = 0;

	link = bpf_program__attach_tracing_multi(prog, glob, NULL);
	if (!ASSERT_OK_PTR(link, glob))
		return;
	ASSERT_OK(kallsyms_find(name, &addr), name);
	cnt = link_addrs(link, addrs, MULTI_MAX);
	for (i = 0; i < cnt; i++) {
		hits += addrs[i] == addr;
		for (j = 0; j < i; j++)
			ASSERT_NEQ(addrs[i], addrs[j], "twice in a link");
	}
	ASSERT_EQ(hits, 1, "function with two ids");
	bpf_link__destroy(link);
}

/* Both by their names: the second is refused, also beside a glob. */
static void check_alias_names(const struct bpf_program *prog, __u32 first, __u32 second)
{
	struct btf *btf = multi_vmlinux_btf();
	const char *name = btf__name_by_offset(btf, btf__type_by_id(btf, first)->name_off);
	const char *other = btf__name_by_offset(btf, btf__type_by_id(btf, second)->name_off);
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;
	__u32 bad_idx = 0;
	char pattern[192];

	/* libbpf takes one of the same name for the other */
	if (!strcmp(name, other))
		return;
	opts.bad_idx = &bad_idx;
	snprintf(pattern, sizeof(pattern), "%s,%s,bpf_fentry_test?", name, other);
	link = bpf_program__attach_tracing_multi(prog, pattern, &opts);
	if (!ASSERT_NULL(link, pattern))
		bpf_link__destroy(link);
	else
		ASSERT_EQ(errno, EBUSY, pattern);
	ASSERT_EQ(bad_idx, 1, pattern);
}

static void test_alias(void)
{
	struct bpf_link *link;
	__u32 first, second;
	char glob[64];

	if (multi_find_alias(&first, &second)) {
		alias_glob(glob, sizeof(glob), first, second);
		check_alias_glob(skel->progs.by_hand, glob, first);
		check_alias_glob(skel->progs.glob_exit, glob, first);
		check_alias_names(skel->progs.by_hand, first, second);
	} else {
		printf("%s: this kernel has no function with two ids\n", __func__);
	}
	link = bpf_program__attach_tracing_multi(skel->progs.by_hand, "__*_sys_getppid", NULL);
	if (!ASSERT_OK_PTR(link, "getppid"))
		return;
	skel->bss->pid = getpid();
	getppid();
	ASSERT_EQ(skel->bss->entry_hits, 1, "hits of getppid");
	bpf_link__destroy(link);
}

static bool setup_each(void)
{
	skel = tracing_multi_auto__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return false;
	bpf_program__set_autoload(skel->progs.run_fentry_tests, true);
	bpf_program__set_autoload(skel->progs.run_modify_tests, true);
	bpf_program__set_autoattach(skel->progs.run_fentry_tests, false);
	bpf_program__set_autoattach(skel->progs.run_modify_tests, false);
	return ASSERT_OK(tracing_multi_auto__load(skel), "load");
}

static void teardown_each(void)
{
	tracing_multi_auto__destroy(skel);
	skel = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "autoattach", test_autoattach },
	{ "pattern", test_pattern },
	{ "bad_patterns", test_bad_patterns },
	{ "syms", test_syms },
	{ "ids", test_ids },
	{ "match_fn", test_match_fn },
	{ "bad_opts", test_bad_opts },
	{ "set_attach_target", test_set_attach_target },
	{ "attach_before_load", test_attach_before_load },
	{ "update_program", test_update_program },
	{ "link_pin", test_link_pin },
	{ "type_names", test_type_names },
	{ "many_names", test_many_names },
	{ "lookup_time", test_lookup_time },
	{ "alias", test_alias },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link_libbpf(void)
{
	multi_run_suite(&suite);
}
