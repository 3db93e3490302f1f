// SPDX-License-Identifier: GPL-2.0
/* Tracing multi-links on all functions of the kernel that can be traced. */
#include <test_progs.h>
#include "cgroup_helpers.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_stress.skel.h"

#define WAIT_STEPS 1000
#define WAIT_STEP_US 20000
#define MAX_ROUNDS 50

static struct tracing_multi_stress *skel;

/* BTF ids of all the functions, ascending, and room for what is told of them. */
static struct all {
	__u32 cnt;
	__u32 *ids;
	__u64 *cookies;
	__u64 *addrs;
} all;

static bool alloc_all(struct all *a, __u32 cnt)
{
	a->cnt = cnt;
	a->ids = calloc(cnt, sizeof(*a->ids));
	a->cookies = calloc(cnt, sizeof(*a->cookies));
	a->addrs = calloc(cnt, sizeof(*a->addrs));
	return ASSERT_TRUE(a->ids && a->cookies && a->addrs, "calloc");
}

static void free_all(struct all *a)
{
	free(a->ids);
	free(a->cookies);
	free(a->addrs);
	memset(a, 0, sizeof(*a));
}

static bool get_info(int link_fd, struct all *a)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_link_get_info_by_fd(link_fd, &info, &len), "count") ||
	    !alloc_all(a, info.tracing_multi.count))
		return false;
	info.tracing_multi.ids = ptr_to_u64(a->ids);
	info.tracing_multi.cookies = ptr_to_u64(a->cookies);
	info.tracing_multi.addrs = ptr_to_u64(a->addrs);
	return ASSERT_OK(bpf_link_get_info_by_fd(link_fd, &info, &len), "info") &&
	       ASSERT_EQ(info.tracing_multi.count, a->cnt, "count again");
}

/* fexit programs can't be attached to functions that don't return */
static bool find_all(void)
{
	struct bpf_link *link;
	bool ok = false;

	link = bpf_program__attach_tracing_multi(skel->progs.any_exit, "*", NULL);
	if (ASSERT_OK_PTR(link, "attach to all"))
		ok = get_info(bpf_link__fd(link), &all) &&
		     ASSERT_GT(all.cnt, 10000, "functions");
	bpf_link__destroy(link);
	return ok;
}

static __u64 cookie_of(__u32 id)
{
	return id * 0x9e3779b97f4a7c15ULL;
}

/* The ids in the reverse order, each with a cookie */
static int attach_all(const struct bpf_program *prog)
{
	union bpf_attr attr = {};
	struct all a;
	int fd = -1;
	__u32 i;

	if (!alloc_all(&a, all.cnt))
		goto out;
	for (i = 0; i < all.cnt; i++) {
		a.ids[i] = all.ids[all.cnt - 1 - i];
		a.cookies[i] = cookie_of(a.ids[i]);
	}
	attr.link_create.prog_fd = bpf_program__fd(prog);
	attr.link_create.attach_type = bpf_program__expected_attach_type(prog);
	attr.link_create.tracing_multi.ids = ptr_to_u64(a.ids);
	attr.link_create.tracing_multi.cookies = ptr_to_u64(a.cookies);
	attr.link_create.tracing_multi.cnt = a.cnt;
	attr.link_create.tracing_multi.bad_idx = MULTI_NO_IDX;
	fd = multi_create(&attr);
	if (!ASSERT_OK_FD(fd, "attach to all"))
		fprintf(stdout, "refused: %u\n", attr.link_create.tracing_multi.bad_idx);
out:
	free_all(&a);
	return fd;
}

static void check_info(int fd)
{
	struct all a = {};
	__u32 i, bad = 0;

	if (!get_info(fd, &a) || !ASSERT_EQ(a.cnt, all.cnt, "count"))
		goto out;
	for (i = 0; i < a.cnt; i++)
		bad += a.ids[i] != all.ids[i] || a.addrs[i] != all.addrs[i] ||
		       a.cookies[i] != cookie_of(a.ids[i]);
	ASSERT_EQ(bad, 0, "wrong entries of info");
out:
	free_all(&a);
}

static void check_fdinfo(int fd)
{
	__u32 obj_id, id, cnt = 0, bad = 0;
	unsigned long long cookie;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!ASSERT_OK_PTR(f, path))
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "btf %u %u %llu", &obj_id, &id, &cookie) != 3)
			continue;
		bad += cnt >= all.cnt || id != all.ids[cnt] || cookie != cookie_of(id);
		cnt++;
	}
	fclose(f);
	ASSERT_EQ(cnt, all.cnt, "lines of fdinfo");
	ASSERT_EQ(bad, 0, "wrong lines of fdinfo");
}

/* The second link is created while all of the kernel is traced by the first one. */
static void test_info(void)
{
	int enabled = multi_enabled_functions(), first_fd, fd;

	first_fd = attach_all(skel->progs.any_entry);
	fd = attach_all(skel->progs.any_exit);
	if (first_fd < 0 || fd < 0)
		goto out;
	ASSERT_EQ(multi_enabled_functions(), enabled + all.cnt, "enabled_functions");
	check_info(fd);
	check_fdinfo(fd);
out:
	if (first_fd >= 0)
		close(first_fd);
	if (fd >= 0)
		close(fd);
	ASSERT_EQ(multi_enabled_functions(), enabled, "enabled_functions afterwards");
}

/* A thread that attaches and detaches a single link again and again. */
struct other {
	pthread_t thread;
	bool stop;
	__u64 links;
	__u64 errors;
};

static void *attach_single(void *arg)
{
	int fd, prog_fd = bpf_program__fd(skel->progs.run_fentry_tests);
	struct other *o = arg;

	while (!__atomic_load_n(&o->stop, __ATOMIC_SEQ_CST)) {
		fd = bpf_link_create(prog_fd, 0, BPF_TRACE_FENTRY, NULL);
		if (fd < 0)
			o->errors++;
		else
			close(fd);
		__atomic_add_fetch(&o->links, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Whoever attaches to many functions must not keep others from attaching. */
static void test_others_progress(void)
{
	__u64 before, end = 0, during = 0;
	struct other o = {};
	int fd, i;

	if (!ASSERT_OK(pthread_create(&o.thread, NULL, attach_single, &o), "pthread_create"))
		return;
	multi_wait_count(&o.links, 2, "links before");
	for (i = 0; i < MAX_ROUNDS && during < 4; i++) {
		before = __atomic_load_n(&o.links, __ATOMIC_SEQ_CST);
		fd = attach_all(skel->progs.any_exit);
		if (fd < 0)
			break;
		close(fd);
		end = __atomic_load_n(&o.links, __ATOMIC_SEQ_CST);
		/* one may have been over before this began */
		during += end - before > 1 ? end - before - 1 : 0;
	}
	__atomic_store_n(&o.stop, true, __ATOMIC_SEQ_CST);
	pthread_join(o.thread, NULL);
	ASSERT_GE(during, 4, "links of others meanwhile");
	ASSERT_EQ(o.errors, 0, "errors of others");
}

static long memory_current(int cgroup_fd)
{
	char buf[32] = {};
	int fd;

	fd = openat(cgroup_fd, "memory.current", O_RDONLY);
	if (!ASSERT_OK_FD(fd, "memory.current"))
		return -1;
	ASSERT_GT(read(fd, buf, sizeof(buf) - 1), 0, "read");
	close(fd);
	return atol(buf);
}

/* The memory of a link is that of the task's cgroup: entries, cookies, trampolines. */
#define MIN_BYTES_PER_FUNC 200

static void check_charged(int cgroup_fd)
{
	long before, with, after = 0;
	int fd, i;

	/* what is allocated only once is there */
	fd = attach_all(skel->progs.any_exit);
	if (fd < 0)
		return;
	close(fd);
	multi_settle(skel->progs.toggle_entry);

	before = memory_current(cgroup_fd);
	fd = attach_all(skel->progs.any_exit);
	with = memory_current(cgroup_fd);
	ASSERT_GE(with - before, (long)all.cnt * MIN_BYTES_PER_FUNC, "charged");
	if (fd >= 0)
		close(fd);
	for (i = 0; i < WAIT_STEPS; i++) {
		after = memory_current(cgroup_fd);
		if (after < with - (long)all.cnt * MIN_BYTES_PER_FUNC)
			break;
		kern_sync_rcu();
		usleep(WAIT_STEP_US);
	}
	ASSERT_LT(after, with - (long)all.cnt * MIN_BYTES_PER_FUNC, "uncharged");
}

static void test_memory(void)
{
	int fd;

	if (!ASSERT_OK(setup_cgroup_environment(), "cgroup environment"))
		return;
	fd = create_and_get_cgroup("/tracing_multi");
	if (ASSERT_OK_FD(fd, "cgroup")) {
		if (faccessat(fd, "memory.current", R_OK, 0))
			test__skip();
		else if (ASSERT_OK(join_cgroup("/tracing_multi"), "join cgroup"))
			check_charged(fd);
		close(fd);
	}
	cleanup_cgroup_environment();
}

static bool setup(void)
{
	if (!multi_init())
		return false;
	skel = tracing_multi_stress__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load") && find_all();
}

static void teardown(void)
{
	free_all(&all);
	tracing_multi_stress__destroy(skel);
	skel = NULL;
	multi_fini();
}

static const struct multi_subtest subtests[] = {
	{ "info", test_info },
	{ "memory", test_memory },
	{ "others_progress", test_others_progress },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
};

void serial_test_tracing_multi_link_vmlinux(void)
{
	multi_run_suite(&suite);
}
