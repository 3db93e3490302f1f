// SPDX-License-Identifier: GPL-2.0
/* The examples of Documentation/bpf/prog_tracing_multi.rst, which shows what is
 * between the lines with "docs:". Here they are run.
 */
#include <test_progs.h>
#include <sys/stat.h>
#include <bpf/btf.h>
#include "trace_helpers.h"
#include "tracing_multi_docs.skel.h"

/* docs: detect begin */
static bool can_load(enum bpf_attach_type type)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },	/* r0 = 0 */
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd;

	opts.expected_attach_type = type;

	/* a program that names no function */
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "GPL", insns, 2, &opts);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool has_tracing_multi(void)
{
	return can_load(BPF_TRACE_FENTRY_MULTI);
}

/* typed programs, fmod_ret, targets in several objects, bad_idx */
static bool has_all_of_it(void)
{
	return can_load(BPF_MODIFY_RETURN_MULTI);
}

/* docs: detect end */

/* docs: pattern begin */
static int number_funcs(const char *module, const char *func, __u64 *cookie, void *ctx)
{
	int *cnt = ctx;

	/* not this one */
	if (strcmp(func, "bpf_fentry_test3") == 0)
		return 1;

	*cookie = ++*cnt;
	return 0;
}

static struct bpf_link *attach_pattern(const struct bpf_program *prog, int *cnt)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);

	*cnt = 0;
	opts.match_fn = number_funcs;
	opts.match_ctx = cnt;
	return bpf_program__attach_tracing_multi(prog,
			"bpf_fentry_test?,bpf_testmod:bpf_testmod_fentry_test*", &opts);
}

/* docs: pattern end */

/* docs: names begin */
static struct bpf_link *attach_names(const struct bpf_program *prog, const char **names,
				     size_t cnt)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;
	__u32 bad_idx = ~0U;

	opts.syms = names;
	opts.cnt = cnt;
	opts.bad_idx = &bad_idx;
	link = bpf_program__attach_tracing_multi(prog, NULL, &opts);
	if (!link && bad_idx < cnt)
		fprintf(stderr, "can't trace %s: %s\n", names[bad_idx], strerror(errno));
	return link;
}

/* docs: names end */

/* docs: info begin */
/* kind and obj_id: which BTF object or BPF program the function is in */
typedef void (*target_fn)(__u32 kind, __u32 obj_id, __u32 btf_id, __u64 cookie, void *ctx);

static int walk_targets(const struct bpf_link *link, target_fn fn, void *ctx)
{
	__u32 *kinds = NULL, *objs = NULL, *ids = NULL, i, cnt;
	__u32 len = sizeof(struct bpf_link_info);
	struct bpf_link_info info = {};
	__u64 *cookies = NULL;
	int err;

	/* without buffers: how many there are */
	err = bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len);
	if (err)
		return err;

	cnt = info.tracing_multi.count;
	kinds = calloc(cnt, sizeof(*kinds));
	objs = calloc(cnt, sizeof(*objs));
	ids = calloc(cnt, sizeof(*ids));
	cookies = calloc(cnt, sizeof(*cookies));
	if (!kinds || !objs || !ids || !cookies) {
		err = -ENOMEM;
		goto out;
	}

	info.tracing_multi.obj_kinds = (__u64)(unsigned long)kinds;
	info.tracing_multi.obj_ids = (__u64)(unsigned long)objs;
	info.tracing_multi.ids = (__u64)(unsigned long)ids;
	info.tracing_multi.cookies = (__u64)(unsigned long)cookies;
	err = bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len);
	for (i = 0; i < cnt && !err; i++)
		fn(kinds[i], objs[i], ids[i], cookies[i], ctx);
out:
	free(kinds);
	free(objs);
	free(ids);
	free(cookies);
	return err;
}

/* docs: info end */

/* bpf_fentry_test1 to 9 but 3, and bpf_testmod_fentry_test1, 2, 3, 7, 11 */
#define NR_MATCHED (8 + 5)

static void test_detect(void)
{
	ASSERT_TRUE(has_tracing_multi(), "tracing multi-links");
	ASSERT_TRUE(has_all_of_it(), "all of it");
	/* declared, but refused */
	ASSERT_FALSE(can_load(BPF_TRACE_FSESSION_MULTI), "fsession");
	ASSERT_FALSE(can_load(BPF_TRACE_FENTRY), "single fentry");
}

/* The count of calls of a function, -1 if there's none */
static long long calls_of(struct tracing_multi_docs *skel, const char *name)
{
	__u64 key, val;

	key = ksym_get_addr(name);
	if (!ASSERT_NEQ(key, 0, name))
		return -1;
	if (bpf_map__lookup_elem(skel->maps.calls, &key, sizeof(key), &val, sizeof(val), 0))
		return -1;
	return val;
}

static void test_untyped(struct tracing_multi_docs *skel)
{
	struct stat st;
	char c;
	int fd;

	if (!ASSERT_OK(load_kallsyms(), "load_kallsyms"))
		return;
	skel->links.count_calls = bpf_program__attach(skel->progs.count_calls);
	if (!ASSERT_OK_PTR(skel->links.count_calls, "attach"))
		return;

	fd = open("/proc/self/stat", O_RDONLY);
	if (ASSERT_OK_FD(fd, "open")) {
		ASSERT_EQ(read(fd, &c, 1), 1, "read");
		ASSERT_OK(fstat(fd, &st), "stat");
		close(fd);
	}
	ASSERT_GE(calls_of(skel, "vfs_open"), 1, "vfs_open");
	ASSERT_GE(calls_of(skel, "vfs_fstat"), 1, "vfs_fstat");
	ASSERT_EQ(calls_of(skel, "vfs_read"), -1, "vfs_read is left out");
}

static void add_cookie(__u32 kind, __u32 obj_id, __u32 btf_id, __u64 cookie, void *ctx)
{
	__u64 *sum = ctx;

	ASSERT_EQ(kind, BPF_TRACING_MULTI_OBJ_BTF, "kind");
	ASSERT_GT(obj_id, 0, "object");
	ASSERT_GT(btf_id, 0, "id");
	*sum += cookie;
}

static void test_pattern(struct tracing_multi_docs *skel)
{
	struct bpf_link *link;
	__u64 sum = 0;
	int cnt;

	link = attach_pattern(skel->progs.count_errors, &cnt);
	if (!ASSERT_OK_PTR(link, "attach"))
		return;
	ASSERT_EQ(cnt, NR_MATCHED, "matched");
	ASSERT_OK(walk_targets(link, add_cookie, &sum), "info");
	ASSERT_EQ(sum, NR_MATCHED * (NR_MATCHED + 1) / 2, "cookies");
	bpf_link__destroy(link);
}

static void test_names(struct tracing_multi_docs *skel)
{
	struct bpf_link *link;
	const char *names[2];
	char buf[256];
	int fd;

	names[0] = "bpf_testmod:bpf_testmod_functop_int";
	names[1] = "no_such_function";
	ASSERT_NULL(attach_names(skel->progs.count_errors, names, 2), "no such function");

	link = attach_names(skel->progs.count_errors, names, 1);
	if (!ASSERT_OK_PTR(link, "attach"))
		return;
	fd = open("/sys/kernel/bpf_testmod", O_RDONLY);
	if (ASSERT_OK_FD(fd, "open")) {
		/* every third call of the function returns an error */
		ASSERT_EQ(pread(fd, buf, sizeof(buf), 3), -1, "read");
		ASSERT_EQ(pread(fd, buf, sizeof(buf), 4), -1, "read");
		close(fd);
	}
	ASSERT_EQ(skel->bss->nr_errors, 1, "errors");
	ASSERT_EQ(skel->bss->last_arg, 3, "argument");
	bpf_link__destroy(link);
}

static void test_typed(struct tracing_multi_docs *skel)
{
	char path[] = "/tmp/tracing_multi_docs_XXXXXX";
	char buf[100] = {};
	struct stat st;
	int fd;

	fd = mkstemp(path);
	if (!ASSERT_OK_FD(fd, "mkstemp"))
		return;
	unlink(path);
	ASSERT_OK(fstat(fd, &st), "fstat");

	skel->links.sum_bytes = bpf_program__attach(skel->progs.sum_bytes);
	if (!ASSERT_OK_PTR(skel->links.sum_bytes, "attach"))
		goto out;

	skel->bss->pid = getpid();
	write(fd, buf, 100);
	read(fd, buf, 10);
	skel->bss->pid = 0;
	ASSERT_EQ(skel->bss->bytes, 110, "bytes");
	ASSERT_EQ(skel->bss->last_inode, st.st_ino, "inode");
out:
	close(fd);
}

static void test_fmod_ret(struct tracing_multi_docs *skel)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct bpf_program *prog = skel->progs.deny;

	skel->links.deny = bpf_program__attach(prog);
	if (!ASSERT_OK_PTR(skel->links.deny, "attach"))
		return;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), "test_run");
	/* both functions are called with a == 1; none had a side effect */
	ASSERT_EQ(opts.retval, (__u16)(2 * -EPERM), "result and side effects");
}

void serial_test_tracing_multi_link_docs(void)
{
	struct tracing_multi_docs *skel;

	if (test__start_subtest("detect"))
		test_detect();

	skel = tracing_multi_docs__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (test__start_subtest("untyped"))
		test_untyped(skel);
	if (test__start_subtest("pattern"))
		test_pattern(skel);
	if (test__start_subtest("names"))
		test_names(skel);
	if (test__start_subtest("typed"))
		test_typed(skel);
	if (test__start_subtest("fmod_ret"))
		test_fmod_ret(skel);
	tracing_multi_docs__destroy(skel);
}
