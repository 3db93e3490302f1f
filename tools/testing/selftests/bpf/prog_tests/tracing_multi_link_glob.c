// SPDX-License-Identifier: GPL-2.0
/* What patterns stand for, and what is told if that can't be attached to. */
#include <dirent.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <test_progs.h>
#include "cap_helpers.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_glob.skel.h"
#include "tracing_multi_glob_fail.skel.h"
#include "tracing_multi_target.skel.h"

#define NR_CALLED 9	/* bpf_fentry_test1 to 9 */

/* What match_fn was called for: "func" or "module:func" */
struct func_names {
	char **names;
	size_t cnt;
};

static struct tracing_multi_glob *skel;

static void free_names(struct func_names *list)
{
	size_t i;

	for (i = 0; i < list->cnt; i++)
		free(list->names[i]);
	free(list->names);
	memset(list, 0, sizeof(*list));
}

static int add_name(struct func_names *list, const char *module, const char *func)
{
	char **names, *name;

	if (asprintf(&name, "%s%s%s", module ?: "", module ? ":" : "", func) < 0)
		return -ENOMEM;
	names = realloc(list->names, (list->cnt + 1) * sizeof(*names));
	if (!names) {
		free(name);
		return -ENOMEM;
	}
	list->names = names;
	list->names[list->cnt++] = name;
	return 0;
}

/* Notes all functions, and leaves them out: nothing is attached to. */
static int note_match(const char *module, const char *func, __u64 *cookie, void *ctx)
{
	return add_name(ctx, module, func) ?: 1;
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(char **)a, *(char **)b);
}

static bool has_name(const struct func_names *list, const char *name)
{
	return bsearch(&name, list->names, list->cnt, sizeof(name), name_cmp);
}

/* The functions that a pattern stands for, sorted by name */
static bool match(const struct bpf_program *prog, const char *pattern, struct func_names *list)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;

	memset(list, 0, sizeof(*list));
	opts.match_fn = note_match;
	opts.match_ctx = list;
	link = bpf_program__attach_tracing_multi(prog, pattern, &opts);
	if (!ASSERT_NULL(link, pattern)) {
		bpf_link__destroy(link);
		return false;
	}
	if (list->cnt)
		qsort(list->names, list->cnt, sizeof(*list->names), name_cmp);
	return ASSERT_EQ(errno, ENOENT, pattern);
}

static void check_match(const char *pattern, const char *expected)
{
	struct func_names list;
	char got[1024] = "";
	size_t i, len = 0;

	if (match(skel->progs.entry, pattern, &list)) {
		for (i = 0; i < list.cnt && len < sizeof(got); i++)
			len += snprintf(got + len, sizeof(got) - len, "%s%s",
					i ? " " : "", list.names[i]);
		ASSERT_STREQ(got, expected, pattern);
	}
	free_names(&list);
}

#define MULTI "bpf_testmod:bpf_testmod_multi_"

static void test_patterns(void)
{
	static const struct {
		const char *pattern;
		const char *expected;
	} cases[] = {
		/* several globs, overlapping */
		{ "*fentry_test1,bpf_fentry_tes?1,bpf_fentry_test1,vmlinux:bpf_fentry_test1",
		  "bpf_fentry_test1" },
		{ "bpf_fentry_test1,*_fentry_test_sinfo,*_fentry_test2",
		  "bpf_fentry_test1 bpf_fentry_test2 bpf_fentry_test_sinfo" },
		/* exclusions, before and after what they exclude */
		{ "bpf_fentry_test?,!*test2,!*test3,!*test4,!*test5,!*test6",
		  "bpf_fentry_test1 bpf_fentry_test7 bpf_fentry_test8 bpf_fentry_test9" },
		{ "!*test?,bpf_fentry_test*", "bpf_fentry_test_sinfo" },
		{ "bpf_fentry_test1,bpf_fentry_test2,!bpf_fentry_test1", "bpf_fentry_test2" },
		{ "bpf_fentry_test1,!bpf_fentry_test", "bpf_fentry_test1" },
		{ "bpf_fentry_test1,!no_such_function", "bpf_fentry_test1" },
		{ "bpf_fentry_test1,!*", "" },
		/* modules */
		{ MULTI "1?", MULTI "10 " MULTI "11 " MULTI "12" },
		{ MULTI "1*,!*_1?", MULTI "1" },
		{ "bpf_testmod_multi_1*", "" },
		{ "vmlinux:bpf_testmod_multi_1*", "" },
		{ "bpf_testmod:bpf_fentry_test*", "" },
		{ MULTI "1?,!vmlinux:*,!bpf_testmod:*_11", MULTI "10 " MULTI "12" },
		{ MULTI "?,bpf_fentry_test1,!bpf_test*:*", "bpf_fentry_test1" },
		{ MULTI "12,bpf_fentry_test1,!vmlinux:*", MULTI "12" },
		/* all modules and vmlinux */
		{ "*:bpf_fentry_test1", "bpf_fentry_test1" },
		{ "*:bpf_testmod_multi_12", MULTI "12" },
		{ "*:bpf_testmod_multi_1?,*:bpf_fentry_test1,!*mod:*_11",
		  "bpf_fentry_test1 " MULTI "10 " MULTI "12" },
		{ "*:bpf_*_test_sinfo,b*mod:bpf_testmod_multi_12",
		  "bpf_fentry_test_sinfo " MULTI "12" },
		{ "vmlinu?:bpf_fentry_test1,vmlinu?:bpf_testmod_multi_1", "bpf_fentry_test1" },
		{ "no_such_*:*", "" },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		check_match(cases[i].pattern, cases[i].expected);
}

static void test_bad_patterns(void)
{
	static const struct {
		const char *pattern;
		int err;
		const char *msg;
	} bad[] = {
		{ "!bpf_fentry_test1", EINVAL, "'!bpf_fentry_test1' only tells which" },
		{ "!*:*,!a", EINVAL, "only tells which functions not to take" },
		{ "bpf_fentry_test1,!", EINVAL, "'!' in pattern 'bpf_fentry_test1,!' is neither" },
		{ "!!bpf_fentry_test1,*", EINVAL, "'!!bpf_fentry_test1' in pattern" },
		{ "bpf_fentry_test1!", EINVAL, "'bpf_fentry_test1!' in pattern" },
		{ "bpf_testmod:!bpf_testmod_multi_1", EINVAL, "neither a function nor a glob" },
		{ "*:", EINVAL, "'*:' in pattern" },
		{ "!*:,*", EINVAL, "'!*:' in pattern" },
		{ "*:*:*", EINVAL, "'*:*:*' in pattern" },
		{ "bpf_fentry_test[12]", EINVAL, "'bpf_fentry_test[12]' in pattern" },
		{ "bpf_fentry_test1,no_such_function", ENOENT,
		  "function 'no_such_function' isn't found" },
		{ "bpf_fentry_test*,bpf_testmod:no_such_function", ENOENT,
		  "function 'bpf_testmod:no_such_function' isn't found" },
		{ "no_such_module:*", ENOENT, "module 'no_such_module' isn't loaded" },
		{ "no_such_function*", ENOENT, "none matches 'no_such_function*'" },
		{ "bpf_fentry_test?,!*test*", ENOENT,
		  "among 9 matched by 'bpf_fentry_test?,!*test*': 9 excluded" },
	};
	struct bpf_link *link;
	char *log;
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (!ASSERT_OK(start_libbpf_log_capture(), "capture"))
			return;
		link = bpf_program__attach_tracing_multi(skel->progs.entry, bad[i].pattern, NULL);
		log = stop_libbpf_log_capture();
		if (!ASSERT_NULL(link, bad[i].pattern))
			bpf_link__destroy(link);
		else
			ASSERT_EQ(errno, bad[i].err, bad[i].pattern);
		ASSERT_HAS_SUBSTR(log, bad[i].msg, "message");
		free(log);
	}
}

/* One of the programs, loaded, and attached to what its section says: must fail in that
 * step with that error, and tell of what.
 */
struct bad_section {
	const char *prog;
	bool loads;
	int err;
	const char *msg;
};

static void check_bad_section(const struct bad_section *bad)
{
	struct tracing_multi_glob_fail *fail;
	struct bpf_program *prog = NULL;
	struct bpf_link *link = NULL;
	int load_err = 0, err = 0;
	char *log;

	fail = tracing_multi_glob_fail__open();
	if (!ASSERT_OK_PTR(fail, "open"))
		return;
	prog = bpf_object__find_program_by_name(fail->obj, bad->prog);
	if (!ASSERT_OK_PTR(prog, bad->prog))
		goto out;
	bpf_program__set_autoload(prog, true);

	if (!ASSERT_OK(start_libbpf_log_capture(), "capture"))
		goto out;
	load_err = tracing_multi_glob_fail__load(fail);
	if (!load_err) {
		link = bpf_program__attach(prog);
		err = link ? 0 : -errno;
	}
	log = stop_libbpf_log_capture();

	ASSERT_EQ(load_err, bad->loads ? 0 : bad->err, bad->prog);
	if (bad->loads)
		ASSERT_EQ(err, bad->err, bad->prog);
	ASSERT_HAS_SUBSTR(log, bad->msg, bad->prog);
	free(log);
	bpf_link__destroy(link);
out:
	tracing_multi_glob_fail__destroy(fail);
}

static void test_bad_sections(void)
{
	static const struct bad_section bad[] = {
		{ "empty", false, -EINVAL, "'' in pattern '' is neither" },
		{ "empty_sleepable", false, -EINVAL, "'' in pattern '' is neither" },
		{ "empty_element", false, -EINVAL,
		  "'' in pattern 'bpf_fentry_test1,,bpf_fentry_test2' is neither" },
		{ "empty_end", false, -EINVAL, "'' in pattern 'bpf_fentry_test*,' is neither" },
		{ "only_exclusion", false, -EINVAL, "'!bpf_fentry_test1' only tells which" },
		{ "bad_glob", false, -EINVAL, "'bpf_fentry_test[12]' in pattern" },
		{ "no_name", false, -EINVAL, "'bpf_testmod:' in pattern" },
		{ "bad_separator", false, -EINVAL,
		  "'bpf_fentry_test1/bpf_fentry_test2' in pattern" },
		{ "no_function", false, -ENOENT, "function 'no_such_function' isn't found" },
		{ "no_function_in_module", false, -ENOENT,
		  "function 'bpf_testmod:no_such_function' isn't found" },
		{ "no_module", false, -ENOENT, "module 'no_such_module' isn't loaded" },
		{ "no_second_function", true, -ENOENT, "function 'no_such_function' isn't found" },
		{ "no_module_of_glob", true, -ENOENT, "module 'no_such_module' isn't loaded" },
		{ "no_match", true, -ENOENT, "none matches 'no_such_function*'" },
		{ "no_match_in_modules", true, -ENOENT, "none matches 'no_such_*:*'" },
		{ "all_excluded", true, -ENOENT,
		  "among 9 matched by 'bpf_fentry_test?,!*test*': 9 excluded" },
		{ "may_not", true, -EINVAL, "can't attach to do_exit (BTF id " },
		{ "no_section", false, -EINVAL,
		  "missing BPF prog type, check ELF section name 'fentry.multiple/" },
		{ "no_section_of_session", false, -EINVAL,
		  "missing BPF prog type, check ELF section name 'fsession.multi/" },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		check_bad_section(&bad[i]);
}

/* The names in a file of tracefs or procfs that aren't in a module, sorted */
static bool read_names(struct func_names *list, const char *path, bool has_type)
{
	char *line = NULL, name[512], type;
	size_t size = 0;
	bool ok = true;
	FILE *f;

	memset(list, 0, sizeof(*list));
	f = fopen(path, "r");
	if (!ASSERT_OK_PTR(f, path))
		return false;
	while (ok && getline(&line, &size, f) > 0) {
		if (strchr(line, '['))
			continue;
		if (has_type ? sscanf(line, "%*x %c %511s", &type, name) != 2 :
			       sscanf(line, "%511s", name) != 1)
			continue;
		if (!has_type || strchr("tTwW", type))
			ok = !add_name(list, NULL, name);
	}
	free(line);
	fclose(f);
	if (ok && list->cnt)
		qsort(list->names, list->cnt, sizeof(*list->names), name_cmp);
	return ASSERT_TRUE(ok, path);
}

static int count_name(const struct func_names *list, const char *name)
{
	char **found = bsearch(&name, list->names, list->cnt, sizeof(name), name_cmp);
	char **end = list->names + list->cnt;
	int cnt = 0;

	while (found && found > list->names && !strcmp(found[-1], name))
		found--;
	for (; found && found < end && !strcmp(*found, name); found++)
		cnt++;
	return cnt;
}

static const char *filter_functions(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/available_filter_functions", multi_tracefs());
	return path;
}

struct kernel_names {
	struct func_names traceable;
	struct func_names symbols;
};

static bool read_kernel_names(struct kernel_names *names)
{
	return read_names(&names->traceable, filter_functions(), false) &&
	       read_names(&names->symbols, "/proc/kallsyms", true);
}

static void free_kernel_names(struct kernel_names *names)
{
	free_names(&names->traceable);
	free_names(&names->symbols);
}

/* Refused with which error? 0 if it isn't. */
static int try_id(const struct bpf_program *prog, __u32 id)
{
	struct multi_targets t = { .ids = { id }, .cnt = 1 };
	int fd = multi_attach(prog, &t);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

struct take_counts {
	int taken, twice, refused, untraceable, ambiguous, unsupported;
};

/* Is it right that libbpf took a function or didn't? The kernel knows better. If ftrace has a
 * name more than once, all but one are code of overridden weak functions behind the function,
 * or all are, if it can't be traced itself.
 */
static bool check_taken(const struct bpf_program *prog, const struct kernel_names *names,
			const char *name, __u32 id, bool taken, bool attached,
			struct take_counts *cnts)
{
	bool ambiguous = count_name(&names->symbols, name) > 1;
	int err, traceable = count_name(&names->traceable, name);

	if (taken) {
		cnts->taken++;
		cnts->twice += traceable > 1;
		/* there are thousands: no line for each that's as it should be */
		if (!traceable || ambiguous) {
			PRINT_FAIL("%s is taken, but %s\n", name,
				   traceable ? "ambiguous" : "not traceable");
			return false;
		}
		if (attached)
			return true;
		/* only for reasons that libbpf can't know */
		cnts->refused++;
		err = try_id(prog, id);
		if (traceable > 1 && err == -ENOENT)
			return true;
		return ASSERT_EQ(err, -EINVAL, name);
	}
	if (ambiguous) {
		cnts->ambiguous++;
		return true;
	}
	if (!traceable) {
		cnts->untraceable++;
		return true;
	}
	cnts->unsupported++;
	return ASSERT_LT(try_id(prog, id), 0, name);
}

static bool link_ids(const struct bpf_link *link, __u32 *ids, __u32 *cnt)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	info.tracing_multi.ids = ptr_to_u64(ids);
	info.tracing_multi.count = *cnt;
	if (!ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "link info"))
		return false;
	*cnt = info.tracing_multi.count;
	return true;
}

static const char *func_name(__u32 id)
{
	const struct btf *btf = multi_vmlinux_btf();
	const struct btf_type *t = btf__type_by_id(btf, id);

	return btf_is_func(t) ? btf__name_by_offset(btf, t->name_off) : NULL;
}

static int id_name_cmp(const void *a, const void *b)
{
	__u32 x = *(__u32 *)a, y = *(__u32 *)b;

	return strcmp(func_name(x), func_name(y)) ?: x < y ? -1 : x > y;
}

static int id_cmp(const void *a, const void *b)
{
	__u32 x = *(__u32 *)a, y = *(__u32 *)b;

	return x < y ? -1 : x > y;
}

/* All functions; of several with one name, the first one counts. */
static __u32 func_ids(__u32 *ids)
{
	__u32 id, type_cnt = btf__type_cnt(multi_vmlinux_btf()), cnt = 0, i, n;

	for (id = 1; id < type_cnt; id++) {
		if (func_name(id))
			ids[cnt++] = id;
	}
	qsort(ids, cnt, sizeof(*ids), id_name_cmp);
	for (i = 0, n = 0; i < cnt; i++) {
		if (!n || strcmp(func_name(ids[i]), func_name(ids[n - 1])))
			ids[n++] = ids[i];
	}
	qsort(ids, n, sizeof(*ids), id_cmp);
	return n;
}

static bool find_attached(const struct bpf_program *prog, __u32 *ids, __u32 *cnt)
{
	struct bpf_link *link = bpf_program__attach_tracing_multi(prog, "*", NULL);
	bool ok;

	if (!ASSERT_OK_PTR(link, "attach to all"))
		return false;
	ok = link_ids(link, ids, cnt);
	/* so that trying a function isn't refused for the sake of the link */
	bpf_link__destroy(link);
	return ok;
}

#define TRIED 512	/* functions at a time */

/* Keep those of cnt ids that pass the kernel's checks of targets for prog, without attaching
 * it: all are checked first, and behind these is one that is no function. ids has room for
 * that. What only attaching finds isn't refused here.
 */
static bool keep_accepted(const struct bpf_program *prog, __u32 *ids, __u32 *cnt)
{
	struct multi_raw raw = {
		.prog_fd = bpf_program__fd(prog),
		.attach_type = bpf_program__expected_attach_type(prog),
		.ids = ids,
		.size = RAW_CREATE_SIZE_FIRST,
	};
	int err;

	for (;;) {
		ids[*cnt] = 0;
		raw.cnt = *cnt + 1;
		raw.bad_idx = MULTI_NO_IDX;
		err = multi_raw_create(&raw);
		if (err >= 0)
			close(err);
		if (!ASSERT_LE(raw.bad_idx, *cnt, "bad_idx") ||
		    !ASSERT_EQ(err, -EINVAL, func_name(ids[raw.bad_idx]) ?: "no function"))
			return false;
		if (raw.bad_idx == *cnt)
			return true;
		memmove(&ids[raw.bad_idx], &ids[raw.bad_idx + 1],
			(*cnt - raw.bad_idx) * sizeof(*ids));
		(*cnt)--;
	}
}

/* Which functions that libbpf takes does the kernel accept? They are not attached to: where
 * tasks sleep, an image of fexit would stay on the stacks of some for as long as they
 * do, and what waits for these, such as a live patch, would wait as long.
 */
static bool find_accepted(const struct bpf_program *prog, const struct func_names *taken,
			  const __u32 *funcs, __u32 nr_funcs, __u32 *ids, __u32 *cnt)
{
	__u32 tried[TRIED + 1], n = 0, i;

	for (i = 0, *cnt = 0; i < nr_funcs; i++) {
		if (has_name(taken, func_name(funcs[i])))
			tried[n++] = funcs[i];
		if (n < TRIED && i + 1 < nr_funcs)
			continue;
		if (!keep_accepted(prog, tried, &n))
			return false;
		memcpy(ids + *cnt, tried, n * sizeof(*ids));
		*cnt += n;
		n = 0;
	}
	return true;
}

static void check_takes(const struct bpf_program *prog, bool attach)
{
	__u32 type_cnt = btf__type_cnt(multi_vmlinux_btf());
	__u32 *ids, *funcs, cnt = type_cnt, nr_funcs, pos = 0, i;
	struct take_counts cnts = {};
	struct kernel_names names = {};
	struct func_names all = {};
	const char *name;

	ids = calloc(type_cnt, sizeof(*ids));
	funcs = calloc(type_cnt, sizeof(*funcs));
	if (!ASSERT_OK_PTR(ids, "calloc") || !ASSERT_OK_PTR(funcs, "calloc"))
		goto out;
	if (!match(prog, "*", &all) || !read_kernel_names(&names))
		goto out;
	nr_funcs = func_ids(funcs);
	if (attach ? !find_attached(prog, ids, &cnt) :
		     !find_accepted(prog, &all, funcs, nr_funcs, ids, &cnt))
		goto out;
	for (i = 0; i < nr_funcs; i++) {
		while (pos < cnt && ids[pos] < funcs[i])
			pos++;
		name = func_name(funcs[i]);
		if (!check_taken(prog, &names, name, funcs[i], has_name(&all, name),
				 pos < cnt && ids[pos] == funcs[i], &cnts))
			break;
	}
	multi_figure("%s '*': %d taken, %d of them named twice, %d refused",
		     bpf_program__name(prog), cnts.taken, cnts.twice, cnts.refused);
	multi_figure("%s left out: %d not traceable, %d ambiguous, %d not supported",
		     bpf_program__name(prog), cnts.untraceable, cnts.ambiguous, cnts.unsupported);
	ASSERT_GT(cnts.taken, 1000, "taken");
	ASSERT_GT(cnts.untraceable, 0, "not traceable");
	ASSERT_GT(cnts.ambiguous, 0, "ambiguous");
	ASSERT_GT(cnts.unsupported, 0, "not supported");
out:
	free(ids);
	free(funcs);
	free_kernel_names(&names);
	free_names(&all);
}

static void test_takes_attachable(void)
{
	check_takes(skel->progs.entry, true);
	check_takes(skel->progs.leave, false);
}

/* Only where tracefs says what is traceable, libbpf knows it. */
struct no_tracefs_result {
	int mounted, all, attached;
};

static int count_match(const char *module, const char *func, __u64 *cookie, void *ctx)
{
	(*(int *)ctx)++;
	return 1;
}

static void run_without_tracefs(struct no_tracefs_result *res)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct tracing_multi_glob *skel;
	struct bpf_link *link;
	__u32 ids[16], cnt = ARRAY_SIZE(ids);

	res->mounted = !unshare(CLONE_NEWNS) &&
		       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		       !mount("none", "/sys/kernel/debug", "tmpfs", 0, NULL) &&
		       !mount("none", "/sys/kernel/tracing", "tmpfs", 0, NULL);
	skel = tracing_multi_glob__open_and_load();
	if (!res->mounted || !skel)
		return;
	opts.match_fn = count_match;
	opts.match_ctx = &res->all;
	bpf_program__attach_tracing_multi(skel->progs.entry, "*", &opts);
	link = bpf_program__attach_tracing_multi(skel->progs.entry, "bpf_fentry_test*", NULL);
	if (link && link_ids(link, ids, &cnt))
		res->attached = cnt;
	bpf_link__destroy(link);
	tracing_multi_glob__destroy(skel);
}

static void test_no_tracefs(void)
{
	struct no_tracefs_result *res;
	struct func_names all;
	int status = -1;
	pid_t pid;

	res = mmap(NULL, sizeof(*res), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!ASSERT_NEQ(res, MAP_FAILED, "mmap"))
		return;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		run_without_tracefs(res);
		_exit(0);
	}
	if (!ASSERT_GT(pid, 0, "fork") || !ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid"))
		goto out;
	ASSERT_EQ(status, 0, "status");
	ASSERT_TRUE(res->mounted, "tracefs is hidden");
	if (match(skel->progs.entry, "*", &all))
		ASSERT_GT(res->all, all.cnt, "takes what isn't traceable, too");
	free_names(&all);
	ASSERT_EQ(res->attached, NR_CALLED + 1, "attached");
out:
	munmap(res, sizeof(*res));
}

static __u32 link_cnt(const struct bpf_link *link)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK_PTR(link, "link") ||
	    !ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "link info"))
		return 0;
	return info.tracing_multi.count;
}

static void trigger(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->pid = getpid();
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.run_fentry_tests), &opts),
		  "run fentry tests");
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.run_modify_tests), &opts),
		  "run modify tests");
	ASSERT_OK(trigger_module_test_read(1), "read");
}

static void test_autoattach(void)
{
	bpf_program__set_autoattach(skel->progs.run_fentry_tests, false);
	bpf_program__set_autoattach(skel->progs.run_modify_tests, false);
	if (!ASSERT_OK(tracing_multi_glob__attach(skel), "attach"))
		return;
	ASSERT_EQ(link_cnt(skel->links.but_one), NR_CALLED - 1, "all but one");
	ASSERT_EQ(link_cnt(skel->links.sleepable), 2, "sleepable");
	ASSERT_EQ(link_cnt(skel->links.everywhere), 1 + 3, "everywhere");
	ASSERT_EQ(link_cnt(skel->links.typed), 4, "typed");
	ASSERT_NULL(skel->links.entry, "no list");
	trigger();
	ASSERT_EQ(skel->bss->but_one_hits, NR_CALLED - 1, "hits of all but one");
	ASSERT_EQ(skel->bss->everywhere_hits, 2 + 1 + 3, "hits everywhere");
	/* bpf_fentry_test2, 4, 5, 6 have a second argument, and it's a number */
	ASSERT_EQ(skel->bss->typed_hits, 4, "hits of typed");
	ASSERT_EQ(skel->bss->typed_sum, 3 + 8 + 12 + 17, "arguments of typed");
	/* bpf_modify_return_test, test2, test_tp (not called), bpf_fentry_test1 */
	ASSERT_EQ(link_cnt(skel->links.modify), 4, "fmod_ret");
	ASSERT_EQ(skel->bss->modify_hits, 3, "hits of fmod_ret");
	tracing_multi_glob__detach(skel);
}

static int indexed_vmlinux, indexed_testmod, looked_up;

static int count_lookups(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char buf[256];

	vsnprintf(buf, sizeof(buf), fmt, args);
	if (strstr(buf, "functions in BTF of vmlinux"))
		indexed_vmlinux++;
	else if (strstr(buf, "functions in BTF of bpf_testmod\n"))
		indexed_testmod++;
	else if (strstr(buf, "looking up which functions"))
		looked_up++;
	return 0;
}

/* For all programs of an object, functions are looked up once. */
static void test_looked_up_once(void)
{
	struct tracing_multi_glob *skel;
	libbpf_print_fn_t old;
	struct bpf_link *link;
	int i;

	indexed_vmlinux = 0;
	indexed_testmod = 0;
	looked_up = 0;
	old = libbpf_set_print(count_lookups);
	skel = tracing_multi_glob__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		goto out;
	if (!ASSERT_OK(tracing_multi_glob__attach(skel), "attach"))
		goto out;
	for (i = 0; i < 3; i++) {
		link = bpf_program__attach_tracing_multi(skel->progs.entry,
							 "bpf_fentry_test*,bpf_testmod:*multi*",
							 NULL);
		if (!ASSERT_OK_PTR(link, "attach again"))
			break;
		bpf_link__destroy(link);
	}
	ASSERT_EQ(indexed_vmlinux, 1, "vmlinux");
	ASSERT_EQ(indexed_testmod, 1, "bpf_testmod");
	/* vmlinux is needed first, modules by a later program */
	ASSERT_EQ(looked_up, 2, "traceable functions");
out:
	libbpf_set_print(old);
	tracing_multi_glob__destroy(skel);
}

/* Attach must fail with err and tell why. */
static void check_refused(const struct bpf_program *prog, const char *pattern,
			  const struct bpf_tracing_multi_opts *opts, int err,
			  const char *msg, const char *more)
{
	struct bpf_link *link;
	char *log;

	if (!ASSERT_OK(start_libbpf_log_capture(), "capture"))
		return;
	link = bpf_program__attach_tracing_multi(prog, pattern, opts);
	log = stop_libbpf_log_capture();
	if (!ASSERT_NULL(link, msg))
		bpf_link__destroy(link);
	else
		ASSERT_EQ(errno, err, msg);
	ASSERT_HAS_SUBSTR(log, msg, "message");
	ASSERT_HAS_SUBSTR(log, more, "message");
	free(log);
}

/* Globs leave out what doesn't match the program's type, names don't. */
static void test_typed(void)
{
	static const char *const mismatch =
		"its prototype doesn't match that of bpf_fentry_test2";
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_program *prog = skel->progs.typed;
	struct bpf_link *link;
	__u32 bad_idx = 0;

	link = bpf_program__attach_tracing_multi(prog, "bpf_fentry_test*", NULL);
	ASSERT_EQ(link_cnt(link), 5, "glob");
	bpf_link__destroy(link);
	link = bpf_program__attach_tracing_multi(prog, "bpf_fentry_test*,bpf_fentry_test4", NULL);
	ASSERT_EQ(link_cnt(link), 5, "glob and name");
	bpf_link__destroy(link);
	/* arguments of a module's functions are as good */
	link = bpf_program__attach_tracing_multi(prog, "bpf_fentry_test4,*:bpf_testmod_multi_?",
						 NULL);
	ASSERT_EQ(link_cnt(link), 1 + 8, "names and globs of several objects");
	bpf_link__destroy(link);

	opts.bad_idx = &bad_idx;
	check_refused(prog, "bpf_fentry_test1", &opts, EINVAL,
		      "can't attach to bpf_fentry_test1 (BTF id ", mismatch);
	ASSERT_EQ(bad_idx, 0, "bad_idx of name");
	bad_idx = 0;
	check_refused(prog, "bpf_fentry_test?,bpf_fentry_test4,bpf_fentry_test7", &opts, EINVAL,
		      "can't attach to bpf_fentry_test7 (BTF id ", mismatch);
	/* named functions come first, in the order of their ids */
	ASSERT_EQ(bad_idx, multi_func_id("bpf_fentry_test4") < multi_func_id("bpf_fentry_test7"),
		  "bad_idx of name among globs");
	check_refused(prog, MULTI "0,bpf_fentry_test?", NULL, EINVAL,
		      "can't attach to " MULTI "0 (BTF id ",
		      "1 of 10 functions matched by '" MULTI "0,bpf_fentry_test?'");
	check_refused(prog, "bpf_fentry_test7*,*fentry_test1*", NULL, EINVAL,
		      "any of 2 functions matched by 'bpf_fentry_test7*,*fentry_test1*'; bpf_fent",
		      mismatch);

	opts.skip_invalid = true;
	link = bpf_program__attach_tracing_multi(prog, "bpf_fentry_test7,bpf_fentry_test?", &opts);
	ASSERT_EQ(link_cnt(link), 5, "skip_invalid");
	bpf_link__destroy(link);
}

static void test_messages(void)
{
	const char *denied = "BPF programs may not trace it (-22)";
	struct bpf_program *prog = skel->progs.entry;

	check_refused(prog, "migrate_disable", NULL, EINVAL,
		      "can't attach to migrate_disable (BTF id ", denied);
	check_refused(prog, "bpf_fentry_test1,migrate_disable", NULL, EINVAL,
		      "2 functions matched by 'bpf_fentry_test1,migrate_disable': ", denied);
	check_refused(prog, "bpf_fentry_test?,migrate_disable", NULL, EINVAL,
		      "can't attach to migrate_disable (BTF id ",
		      "1 of 10 functions matched by 'bpf_fentry_test?,migrate_disable'");
	check_refused(prog, "migrate_disabl?", NULL, EINVAL,
		      "can't attach to any of 1 functions matched by 'migrate_disabl?'", denied);
	check_refused(prog, "_printk", NULL, EINVAL, "can't attach to _printk (BTF id ",
		      "its signature isn't supported (-22)");
	check_refused(prog, "vmlinu?:_printk", NULL, ENOENT,
		      "among 1 matched by 'vmlinu?:_printk'", "': 1 of unsupported signature");
	check_refused(prog, "bpf_testmod:bpf_testmod_limit_unio?", NULL, ENOENT,
		      "among 1 matched by", "': 1 of unsupported signature");
	check_refused(skel->progs.sleepable, "bpf_fentry_test2", NULL, EINVAL,
		      "can't attach to bpf_fentry_test2", "or not if they sleep");
	check_refused(skel->progs.modify, "bpf_fentry_test2", NULL, EINVAL,
		      "can't attach to bpf_fentry_test2", "may not modify its return value");
	check_refused(skel->progs.leave, "do_exit", NULL, EINVAL,
		      "can't attach to do_exit", "may not trace its return");
}

/* What is left out is told: functions of this kernel that are examples of it */
static void test_left_out_messages(void)
{
	const char *untraceable = NULL, *ambiguous = NULL, *name;
	__u32 id, cnt = btf__type_cnt(multi_vmlinux_btf());
	struct kernel_names names = {};
	char pattern[256];

	if (!read_kernel_names(&names))
		goto out;
	for (id = 1; id < cnt && (!untraceable || !ambiguous); id++) {
		name = func_name(id);
		if (!name)
			continue;
		if (count_name(&names.traceable, name) && count_name(&names.symbols, name) > 1)
			ambiguous = name;
		else if (!untraceable && !count_name(&names.traceable, name) &&
			 try_id(skel->progs.entry, id) == -ENOENT)
			untraceable = name;
	}
	if (!ASSERT_OK_PTR(untraceable, "not traceable") ||
	    !ASSERT_OK_PTR(ambiguous, "ambiguous"))
		goto out;
	snprintf(pattern, sizeof(pattern), "vmlinu?:%s", untraceable);
	check_refused(skel->progs.entry, pattern, NULL, ENOENT, pattern, ": 1 not traceable");
	check_refused(skel->progs.entry, untraceable, NULL, ENOENT, untraceable,
		      "it isn't traceable, or gone (-2)");
	snprintf(pattern, sizeof(pattern), "vmlinu?:%s,vmlinu?:%s,vmlinu?:_printk", untraceable,
		 ambiguous);
	check_refused(skel->progs.entry, pattern, NULL, ENOENT, "among 3 matched by 'vmlinu?:",
		      "': 1 not traceable, 1 of ambiguous name, 1 of unsupported signature");
out:
	free_kernel_names(&names);
}

static void check_syms(const char *sym0, const char *sym1, __u32 bad, int err,
		       const char *msg, const char *more)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	const char *syms[2];
	__u32 bad_idx = 0;

	syms[0] = sym0;
	syms[1] = sym1;
	opts.syms = syms;
	opts.cnt = ARRAY_SIZE(syms);
	opts.bad_idx = &bad_idx;
	check_refused(skel->progs.entry, NULL, &opts, err, msg, more);
	ASSERT_EQ(bad_idx, bad, msg);
}

static void test_syms_messages(void)
{
	check_syms("bpf_fentry_test1", "bpf_fentry_test1", 1, EINVAL,
		   "can't attach to bpf_fentry_test1 (BTF id ",
		   "2 of 2 functions: it is given twice (-22)");
	check_syms("bpf_fentry_test1", "bpf_testmod:bpf_fentry_test1", 1, ENOENT,
		   "function 'bpf_testmod:bpf_fentry_test1' isn't found", "");
	check_syms("migrate_disable", "bpf_fentry_test1", 0, EINVAL,
		   "can't attach to migrate_disable (BTF id ", "1 of 2 functions: ");
	check_syms("bpf_fentry_test1", NULL, 1, EINVAL, "syms[1] is NULL", "");
	check_syms("", "bpf_fentry_test1", 0, EINVAL, "syms[0] is empty", "");
	/* a name is a name, not a glob */
	check_syms("bpf_fentry_test1", "bpf_fentry_test*", 1, ENOENT,
		   "function 'bpf_fentry_test*' isn't found", "");
	check_syms("bpf_fentry_test1", "!bpf_fentry_test2", 1, ENOENT,
		   "function '!bpf_fentry_test2' isn't found", "");
}

/* It isn't because of the function that there is no FD to look for its module. */
static void test_syms_no_fd(void)
{
	static const char *const syms[] = { "bpf_testmod:bpf_testmod_multi_0" };
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct rlimit saved, limit = {};
	__u32 bad_idx = 0;

	opts.syms = (const char **)syms;
	opts.cnt = ARRAY_SIZE(syms);
	opts.bad_idx = &bad_idx;
	/* what libbpf finds out only once, with an FD */
	check_syms("bpf_fentry_test1", "bpf_testmod:no_such_function", 1, ENOENT,
		   "function 'bpf_testmod:no_such_function' isn't found", "");
	if (!ASSERT_OK(getrlimit(RLIMIT_NOFILE, &saved), "getrlimit"))
		return;
	limit.rlim_max = saved.rlim_max;
	if (!ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit"))
		return;
	check_refused(skel->progs.entry, NULL, &opts, EMFILE, "", "");
	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &saved), "restore");
	ASSERT_EQ(bad_idx, ~0U, "bad_idx");
}

static void test_ids_messages(void)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;
	struct multi_targets t;
	__u32 bad_idx = 0;
	char id[32];

	if (!multi_set(&t, "bpf_fentry_test4", "bpf_fentry_test2",
		       "bpf_testmod:bpf_testmod_multi_0", NULL))
		return;
	opts.ids = t.ids;
	opts.tgt_fds = t.fds;
	opts.cnt = t.cnt;
	opts.bad_idx = &bad_idx;
	snprintf(id, sizeof(id), " (BTF id %u), 3 of 3 ", t.ids[2]);
	check_refused(skel->progs.typed, NULL, &opts, EINVAL,
		      "can't attach to bpf_testmod:bpf_testmod_multi_0", id);
	ASSERT_EQ(bad_idx, 2, "bad_idx");
	opts.skip_invalid = true;
	link = bpf_program__attach_tracing_multi(skel->progs.typed, NULL, &opts);
	ASSERT_EQ(link_cnt(link), 2, "skip_invalid");
	bpf_link__destroy(link);
	opts.skip_invalid = false;

	/* TRACING programs are refused as targets */
	t.cnt = 2;
	if (!multi_add_prog(&t, bpf_program__fd(skel->progs.but_one), "but_one"))
		return;
	check_refused(skel->progs.entry, NULL, &opts, EINVAL, "can't attach to but_one (BTF id ",
		      ", 3 of 3 functions: ");

	/* no descriptor */
	t.fds[2] = -1;
	check_refused(skel->progs.entry, NULL, &opts, EBADF, "can't attach to function (BTF id ",
		      ", 3 of 3 functions: ");

	/* of what has no functions, or doesn't tell whose they are */
	t.fds[2] = bpf_map__fd(skel->maps.bss);
	check_refused(skel->progs.entry, NULL, &opts, EINVAL, "can't attach to function (BTF id ",
		      ", 3 of 3 functions: its FD in tgt_fds is neither");
	t.fds[2] = bpf_object__btf_fd(skel->obj);
	check_refused(skel->progs.entry, NULL, &opts, EINVAL, "can't attach to function (BTF id ",
		      ", 3 of 3 functions: its FD in tgt_fds is neither");

	/* ids of what isn't a function, and of nothing */
	t.cnt = 0;
	opts.cnt = 2;
	if (!multi_add(&t, "bpf_fentry_test4"))
		return;
	t.fds[1] = 0;
	t.ids[1] = btf__find_by_name_kind(multi_vmlinux_btf(), "task_struct", BTF_KIND_STRUCT);
	check_refused(skel->progs.entry, NULL, &opts, EINVAL, "can't attach to task_struct (",
		      ", 2 of 2 functions: it isn't a function (-22)");
	t.ids[1] = UINT_MAX;
	check_refused(skel->progs.entry, NULL, &opts, EINVAL,
		      "can't attach to function (BTF id 4294967295)", "it isn't a function (-22)");
	/* all of a list that is left out is told of one */
	t.ids[0] = UINT_MAX;
	t.ids[1] = UINT_MAX - 1;
	opts.skip_invalid = true;
	check_refused(skel->progs.entry, NULL, &opts, EINVAL, "can't attach to any of 2 functions;",
		      "(BTF id 4294967295)");
}

static void test_skip_invalid(void)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .skip_invalid = true);
	static const char *const syms[] = { "no_such_function", "no_such_module:function" };
	struct bpf_program *prog = skel->progs.entry;
	struct bpf_link *link;

	link = bpf_program__attach_tracing_multi(prog,
						 "migrate_disable,no_such:*,bpf_fentry_test1,no_such:a,b,*t_sinfo",
						 &opts);
	ASSERT_EQ(link_cnt(link), 2, "two are left");
	bpf_link__destroy(link);
	check_refused(prog, "no_such_function,no_such:*,no_such*", &opts, ENOENT,
		      "found no function to attach to: none matches", "no_such");
	check_refused(prog, "no_such_function,migrate_disable,_printk", &opts, EINVAL,
		      "can't attach to any of 2 functions matched by", "");
	/* a bad pattern is no function that is left out */
	check_refused(prog, "bpf_fentry_test1,", &opts, EINVAL, "'' in pattern", "neither");
	opts.syms = (const char **)syms;
	opts.cnt = ARRAY_SIZE(syms);
	check_refused(prog, NULL, &opts, ENOENT, "none of 2 names is found in BTF", "");
}

static bool link_has_cookies(const struct bpf_link *link, __u64 first, __u64 second)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	__u64 cookies[2] = {};

	info.tracing_multi.cookies = ptr_to_u64(cookies);
	info.tracing_multi.count = ARRAY_SIZE(cookies);
	return ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "info") &&
	       ASSERT_EQ(info.tracing_multi.count, 2, "count") &&
	       ASSERT_EQ(cookies[0], first, "first cookie") &&
	       ASSERT_EQ(cookies[1], second, "second cookie");
}

/* What was built for a libbpf that knows ids and cookies only, byte for byte */
static void test_short_opts(void)
{
	struct {
		__u64 sz, ids, cookies, cnt;
		__u8 behind[256];
	} opts;
	const __u64 cookies[] = { 3, 30 };
	struct bpf_link *link;
	__u32 ids[2];

	ids[0] = multi_func_id("bpf_fentry_test7");
	ids[1] = multi_func_id("bpf_fentry_test1");
	if (ids[0] > ids[1]) {
		ids[1] = ids[0];
		ids[0] = multi_func_id("bpf_fentry_test1");
	}
	/* isn't looked at, as sz says */
	memset(&opts, 0xff, sizeof(opts));
	opts.sz = offsetof(typeof(opts), behind);
	opts.ids = ptr_to_u64(ids);
	opts.cookies = ptr_to_u64(cookies);
	opts.cnt = ARRAY_SIZE(ids);
	link = bpf_program__attach_tracing_multi(skel->progs.entry, NULL, (void *)&opts);
	if (ASSERT_OK_PTR(link, "short opts"))
		link_has_cookies(link, cookies[0], cookies[1]);
	bpf_link__destroy(link);
	/* of a later libbpf, which may set nothing that this one doesn't know */
	memset(opts.behind, 0, sizeof(opts.behind));
	opts.sz = sizeof(opts);
	link = bpf_program__attach_tracing_multi(skel->progs.entry, NULL, (void *)&opts);
	ASSERT_OK_PTR(link, "long opts");
	bpf_link__destroy(link);
	opts.behind[sizeof(opts.behind) - 1] = 1;
	check_refused(skel->progs.entry, NULL, (void *)&opts, EINVAL, "non-zero extra bytes",
		      "bpf_tracing_multi_opts");
}

/* Patterns of a program that was loaded for a BPF program: no module means
 * functions of that.
 */
static void test_prog_target(void)
{
	struct tracing_multi_target *target = tracing_multi_target__open_and_load();
	struct tracing_multi_glob *skel = tracing_multi_glob__open();
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct multi_targets t = {};
	struct bpf_link *link;
	int err, fd;

	if (!ASSERT_OK_PTR(target, "target") || !ASSERT_OK_PTR(skel, "open"))
		goto out;
	fd = bpf_program__fd(target->progs.target_tc);
	ASSERT_OK(bpf_program__set_attach_target(skel->progs.typed, fd, "target_sum"), "typed");
	/* there's no name in the section that could type this one */
	ASSERT_OK(bpf_program__set_attach_target(skel->progs.entry, fd, NULL), "untyped");
	err = tracing_multi_glob__load(skel);
	if (!ASSERT_OK(err, "load"))
		goto out;

	/* of all functions in the object's BTF, target_tc has three */
	link = bpf_program__attach_tracing_multi(skel->progs.entry, "target_*", NULL);
	ASSERT_EQ(link_cnt(link), 3, "glob");
	bpf_link__destroy(link);
	link = bpf_program__attach_tracing_multi(skel->progs.entry, "target_*,!*_tc*", NULL);
	ASSERT_EQ(link_cnt(link), 2, "exclusion");
	bpf_link__destroy(link);
	link = bpf_program__attach_tracing_multi(skel->progs.typed, "target_*", NULL);
	ASSERT_EQ(link_cnt(link), 1, "glob, typed");
	bpf_link__destroy(link);
	link = bpf_program__attach_tracing_multi(skel->progs.typed,
						 "target_sum,vmlinux:bpf_fentry_test2,*:*_multi_2,*:*_fentry_test4",
						 NULL);
	ASSERT_EQ(link_cnt(link), 4, "all kinds of objects");
	bpf_link__destroy(link);
	if (multi_add_prog(&t, fd, "target_sum")) {
		opts.ids = t.ids;
		opts.cnt = t.cnt;
		link = bpf_program__attach_tracing_multi(skel->progs.entry, NULL, &opts);
		ASSERT_EQ(link_cnt(link), 1, "ids");
		bpf_link__destroy(link);
	}
	check_refused(skel->progs.entry, "bpf_fentry_test1", NULL, ENOENT,
		      "function 'bpf_fentry_test1' isn't found", "");
	check_refused(skel->progs.entry, "target_sum,target_*,target_xdp", NULL, EINVAL,
		      "can't attach to target_xdp (BTF id ", "'target_sum,target_*,target_xdp'");
	check_refused(skel->progs.typed, "target_ctx_sub,target_*", NULL, EINVAL,
		      "can't attach to target_ctx_sub (BTF id ", "match that of target_sum");
out:
	tracing_multi_glob__destroy(skel);
	tracing_multi_target__destroy(target);
}

#define MODULE_X "bpf_test_modorder_x"
#define RETX MODULE_X ":bpf_test_modorder_retx"

static __u32 try_attach(const char *pattern)
{
	struct bpf_link *link;
	__u32 cnt = 0;

	link = bpf_program__attach_tracing_multi(skel->progs.entry, pattern, NULL);
	if (link)
		cnt = link_cnt(link);
	bpf_link__destroy(link);
	return cnt;
}

/* The object keeps BTF of modules, but modules come and go. */
static void test_module_reload(void)
{
	static const char *const pattern = "*:bpf_test_modorder_retx";
	bool verbose = env.verbosity > VERBOSE_NONE;
	int i;

	ASSERT_EQ(try_attach(pattern), 0, "not loaded yet");
	for (i = 0; i < 3; i++) {
		if (!ASSERT_OK(load_module(MODULE_X ".ko", verbose), "load_module"))
			return;
		check_match(pattern, RETX);
		ASSERT_EQ(try_attach(pattern), 1, "glob for all modules");
		ASSERT_EQ(try_attach(MODULE_X ":*retx"), 1, "glob");
		ASSERT_EQ(try_attach("bpf_test_modorder_retx"), 1, "name");
		if (!ASSERT_OK(multi_unload_module(MODULE_X), "unload_module"))
			return;
		ASSERT_EQ(try_attach(pattern), 0, "unloaded");
		/* what is gone is left out, or named */
		ASSERT_EQ(try_attach("*:bpf_test_modorder_retx,bpf_fentry_test1*"), 1, "left out");
		check_refused(skel->progs.entry, RETX ",bpf_fentry_test1*", NULL, ENOENT,
			      "module '" MODULE_X "' isn't loaded", "");
		ASSERT_EQ(try_attach("bpf_test_modorder_retx"), 0, "name, unloaded");
	}
}

#define MODULE_Y "bpf_test_modorder_y"
#define BOTH "bpf_test_modorder_both"

static __u32 module_btf_id(const char *module)
{
	int fd = multi_open_module_btf(module);
	__u32 id;

	if (!ASSERT_GE(fd, 0, module))
		return 0;
	id = multi_btf_obj_id(fd);
	close(fd);
	return id;
}

static void check_takes_both_of(const struct bpf_program *prog, __u32 obj_id, const char *name)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	struct bpf_link *link;

	link = bpf_program__attach_tracing_multi(prog, BOTH, NULL);
	if (!ASSERT_OK_PTR(link, name))
		return;
	if (ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "link info"))
		ASSERT_EQ(info.tracing_multi.btf_obj_id, obj_id, name);
	bpf_link__destroy(link);
}

/* Of a function that two modules have, that of the first one is taken, as for programs
 * with one target: the second one's coming changes nothing.
 */
static void test_name_in_modules(void)
{
	struct tracing_multi_glob *obj;
	__u32 first;

	if (!ASSERT_OK(multi_load_module(MODULE_Y ".ko", ""), "load_module"))
		return;
	first = module_btf_id(MODULE_Y);
	obj = tracing_multi_glob__open();
	if (!ASSERT_OK_PTR(obj, "open"))
		goto unload;
	if (!ASSERT_OK(bpf_program__set_attach_target(obj->progs.typed, 0, BOTH), "target") ||
	    !ASSERT_OK(tracing_multi_glob__load(obj), "load") ||
	    !ASSERT_OK(multi_load_module(MODULE_X ".ko", ""), "load_module"))
		goto destroy;

	check_takes_both_of(obj->progs.typed, first, "typed by the first");
	check_takes_both_of(obj->progs.entry, first, "untyped");
	ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
destroy:
	tracing_multi_glob__destroy(obj);
unload:
	ASSERT_OK(multi_unload_module(MODULE_Y), "unload_module");
}

static int scans, changes;

/* Each time that libbpf reads which functions can be traced, a module comes or goes. */
static int change_modules(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!strstr(fmt, "looking up which functions") || scans++ >= changes)
		return 0;
	if (scans & 1)
		ASSERT_OK(multi_load_module(MODULE_X ".ko", ""), "load_module");
	else
		ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
	return 0;
}

/* Attach while modules change so often: how often was read what can be traced? */
static int attach_while_changing(struct tracing_multi_glob *obj, const char *pattern, int nr,
				 __u32 expected)
{
	libbpf_print_fn_t old = libbpf_set_print(change_modules);
	struct bpf_link *link;
	int err;

	scans = 0;
	changes = nr;
	link = bpf_program__attach_tracing_multi(obj->progs.entry, pattern, NULL);
	err = link ? 0 : errno;
	libbpf_set_print(old);
	ASSERT_EQ(err, expected ? 0 : EAGAIN, pattern);
	if (link)
		ASSERT_EQ(link_cnt(link), expected, pattern);
	bpf_link__destroy(link);
	return scans;
}

/* What is read of modules while one comes or goes may have others' lines twice, or not. */
static void test_modules_change(void)
{
	struct tracing_multi_glob *obj = tracing_multi_glob__open_and_load();
	int nr;

	if (!ASSERT_OK_PTR(obj, "open_and_load"))
		return;
	nr = attach_while_changing(obj, MULTI "?", INT_MAX, 0);
	ASSERT_GT(nr, 1, "tries");
	if (nr & 1)
		ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
	/* that nothing came of it is not kept */
	ASSERT_EQ(attach_while_changing(obj, MULTI "?", 1, 10), 2, "read again");
	ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
	ASSERT_EQ(attach_while_changing(obj, MULTI "?", 1, 10), 0, "known");
	/* vmlinux comes first */
	ASSERT_EQ(attach_while_changing(obj, "bpf_fentry_test?", 1, NR_CALLED), 1, "vmlinux");
	ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
	tracing_multi_glob__destroy(obj);
}

#define HELD_PATTERN "bpf_fentry_test1,bpf_fentry_test2,bpf_fentry_test*"

static bool held_created;
static int held_fd;

/* Open the link that was created, which is the last one, before it is closed again. */
static void hold_link(const struct multi_bpf_call *call, const void *arg)
{
	__u32 id = 0, last = 0;

	if (held_created && held_fd < 0) {
		while (!bpf_link_get_next_id(id, &id))
			last = id;
		held_fd = bpf_link_get_fd_by_id(last);
		ASSERT_OK_FD(held_fd, "hold link");
	}
	held_created |= call->cmd == BPF_LINK_CREATE;
}

/* Exits with the error, if the message is there that attaching must end with, else with 0. */
static void attach_held(void *message)
{
	char *log;
	int err;

	if (start_libbpf_log_capture())
		_exit(0);
	multi_trace_me();
	err = bpf_program__attach_tracing_multi(skel->progs.entry, HELD_PATTERN, NULL) ? 0 : errno;
	log = stop_libbpf_log_capture();
	_exit(log && strstr(log, message) ? err : 0);
}

/* Why a function was left out, libbpf learns by asking for a link again, when the one without
 * it is closed. That is still there if somebody else has it open by then.
 */
static void test_held_link(void)
{
	int id1 = btf__find_by_name_kind(multi_vmlinux_btf(), "bpf_fentry_test1", BTF_KIND_FUNC);
	int id2 = btf__find_by_name_kind(multi_vmlinux_btf(), "bpf_fentry_test2", BTF_KIND_FUNC);
	/* the last one of those with a name: the first one must not be named */
	const char *refused = id1 < id2 ? "bpf_fentry_test2" : "bpf_fentry_test1";
	struct bpf_link *link;
	int status = -1;
	char message[64];
	pid_t pid;

	link = bpf_program__attach_tracing_multi(skel->progs.entry, refused, NULL);
	if (!ASSERT_OK_PTR(link, refused))
		return;
	snprintf(message, sizeof(message), "can't attach to %s (BTF id ", refused);
	check_refused(skel->progs.entry, HELD_PATTERN, NULL, EBUSY, message, "");
	held_created = false;
	held_fd = -1;
	pid = multi_fork(attach_held, message);
	if (pid > 0 && multi_trace_bpf(pid, hold_link, NULL)) {
		ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid");
		ASSERT_TRUE(WIFEXITED(status), "exited");
		ASSERT_EQ(WEXITSTATUS(status), EAGAIN, message);
	}
	if (ASSERT_OK_FD(held_fd, "held"))
		close(held_fd);
	bpf_link__destroy(link);
}

static int nr_btf_fds(void)
{
	char link[64];
	struct dirent *entry;
	ssize_t len;
	int cnt = 0;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	if (!ASSERT_OK_PTR(dir, "opendir"))
		return -1;
	while ((entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (len < 0)
			continue;
		link[len] = '\0';
		cnt += !strcmp(link, "anon_inode:btf");
	}
	closedir(dir);
	return cnt;
}

/* There can be many objects, and many modules: no file stays open for each. */
static void test_module_fds(void)
{
	static const char *const pattern = "*:bpf_testmod_multi_?,bpf_testmod_test_read";
	struct bpf_link *links[2] = {};
	struct tracing_multi_glob *skel;
	int i, cnt = nr_btf_fds();

	skel = tracing_multi_glob__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	/* the object's own */
	cnt++;
	ASSERT_EQ(nr_btf_fds(), cnt, "loaded");
	for (i = 0; i < ARRAY_SIZE(links); i++) {
		links[i] = bpf_program__attach_tracing_multi(i ? skel->progs.leave :
							     skel->progs.entry, pattern, NULL);
		ASSERT_EQ(link_cnt(links[i]), 10 + 1, "targets");
		ASSERT_EQ(nr_btf_fds(), cnt, "attached");
	}
	for (i = 0; i < ARRAY_SIZE(links); i++)
		bpf_link__destroy(links[i]);
	tracing_multi_glob__destroy(skel);
}

static int attach_more(const char *module, const char *func, __u64 *cookie, void *ctx)
{
	struct bpf_link **link = ctx;

	if (*link)
		return 0;
	*link = bpf_program__attach_tracing_multi(skel->progs.leave,
						  "*:bpf_testmod_multi_?,bpf_testmod_test_read",
						  NULL);
	return *link ? 0 : -errno;
}

/* What has been looked up of modules is there still when match_fn has attached, too. */
static void test_nested_attach(void)
{
	struct bpf_link *inner = NULL, *outer;
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts,
		.match_fn = attach_more,
		.match_ctx = &inner,
	);

	outer = bpf_program__attach_tracing_multi(skel->progs.entry, "*:bpf_testmod_multi_?",
						  &opts);
	ASSERT_EQ(link_cnt(outer), 10, "outer");
	ASSERT_EQ(link_cnt(inner), 10 + 1, "inner");
	bpf_link__destroy(inner);
	bpf_link__destroy(outer);
}

static void check_without_admin(void)
{
	struct tracing_multi_glob *fresh = tracing_multi_glob__open_and_load();
	struct bpf_link *link;

	/* that there are modules is known from earlier */
	check_refused(skel->progs.entry, "bpf_testmod:bpf_testmod_multi_1", NULL, EPERM,
		      "module 'bpf_testmod'", "CAP_SYS_ADMIN");
	if (!ASSERT_OK_PTR(fresh, "open_and_load"))
		return;
	check_refused(fresh->progs.entry, "bpf_testmod:bpf_testmod_multi_1", NULL, EPERM,
		      "module 'bpf_testmod'", "CAP_SYS_ADMIN");
	check_refused(fresh->progs.entry, "bpf_fentry_test1,*:bpf_testmod_multi_?", NULL, EPERM,
		      "module '*'", "CAP_SYS_ADMIN");
	check_refused(fresh->progs.entry, "bpf_testmod_multi_1", NULL, ENOENT,
		      "'bpf_testmod_multi_1' isn't found", "CAP_SYS_ADMIN");
	link = bpf_program__attach_tracing_multi(fresh->progs.entry, "bpf_fentry_test*", NULL);
	ASSERT_EQ(link_cnt(link), NR_CALLED + 1, "functions of vmlinux");
	bpf_link__destroy(link);
	tracing_multi_glob__destroy(fresh);
}

/* It takes a capability to look for modules: no reason to leave them out silently. */
static void test_no_admin(void)
{
	__u64 caps;

	ASSERT_EQ(try_attach("bpf_testmod:bpf_testmod_multi_1"), 1, "with all capabilities");
	if (!ASSERT_OK(cap_disable_effective(1ULL << CAP_SYS_ADMIN, &caps), "no CAP_SYS_ADMIN"))
		return;
	check_without_admin();
	ASSERT_OK(cap_enable_effective(caps, NULL), "regain it");
	ASSERT_EQ(try_attach("bpf_testmod:bpf_testmod_multi_1"), 1, "with it again");
}

/* The loader of a light skeleton looks for functions by name only. */
static void test_light_skeleton(void)
{
	LIBBPF_OPTS(gen_loader_opts, opts);
	struct tracing_multi_glob_fail *fail;
	char *log;
	int err;

	fail = tracing_multi_glob_fail__open();
	if (!ASSERT_OK_PTR(fail, "open"))
		return;
	bpf_program__set_autoload(fail->progs.no_function_in_module, true);
	if (!ASSERT_OK(bpf_object__gen_loader(fail->obj, &opts), "gen_loader") ||
	    !ASSERT_OK(start_libbpf_log_capture(), "capture"))
		goto out;
	err = tracing_multi_glob_fail__load(fail);
	log = stop_libbpf_log_capture();
	ASSERT_EQ(err, -EOPNOTSUPP, "function of a module");
	ASSERT_HAS_SUBSTR(log, "light skeleton can't be loaded for a function of module 'bpf_testmod'",
			  "message");
	free(log);
out:
	tracing_multi_glob_fail__destroy(fail);
}

static const struct {
	const char *name;
	void (*run)(void);
} subtests[] = {
	{ "patterns", test_patterns },
	{ "bad_patterns", test_bad_patterns },
	{ "bad_sections", test_bad_sections },
	{ "takes_attachable", test_takes_attachable },
	{ "no_tracefs", test_no_tracefs },
	{ "autoattach", test_autoattach },
	{ "looked_up_once", test_looked_up_once },
	{ "typed", test_typed },
	{ "messages", test_messages },
	{ "left_out_messages", test_left_out_messages },
	{ "syms_messages", test_syms_messages },
	{ "syms_no_fd", test_syms_no_fd },
	{ "ids_messages", test_ids_messages },
	{ "skip_invalid", test_skip_invalid },
	{ "short_opts", test_short_opts },
	{ "prog_target", test_prog_target },
	{ "module_reload", test_module_reload },
	{ "name_in_modules", test_name_in_modules },
	{ "modules_change", test_modules_change },
	{ "held_link", test_held_link },
	{ "module_fds", test_module_fds },
	{ "nested_attach", test_nested_attach },
	{ "no_admin", test_no_admin },
	{ "light_skeleton", test_light_skeleton },
};

void serial_test_tracing_multi_link_glob(void)
{
	int i;

	if (!env.has_testmod) {
		test__skip();
		return;
	}
	if (!multi_init())
		goto out;
	skel = tracing_multi_glob__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		goto out;
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (test__start_subtest(subtests[i].name))
			subtests[i].run();
	}
	tracing_multi_glob__destroy(skel);
	skel = NULL;
out:
	multi_fini();
}
