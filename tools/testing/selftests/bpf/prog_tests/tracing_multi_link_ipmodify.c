// SPDX-License-Identifier: GPL-2.0
/* Tracing multi-links on a function that has a live patch or a kprobe with a post
 * handler: both change, as ftrace sees it, where the function goes on.
 */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "progs/tracing_multi.h"
#include "tracing_multi_link.skel.h"

#define MODULE "bpf_test_ipmodify"
#define PATCH "/sys/kernel/livepatch/" MODULE
#define PARAM "/sys/module/" MODULE "/parameters/"

/* What running run_modify_tests gives: 4 of the one function and 29 of the other,
 * and both have changed what they got a pointer to.
 */
#define RET 4
#define RET_PATCHED (RET + 100)
#define RETVAL(ret) (2 << 16 | ((ret) + 29))
#define COOKIE(i) (0xc00c1e0000000000ULL + (i))

static struct tracing_multi_link *skel;

/* How the function is modified */
struct modifier {
	const char *param;
	bool is_patch;
	bool on;
};

/* What is attached to it */
struct traced {
	struct multi_targets t;
	bool only_entry;
	int fds[3];
};

static long read_number(const char *path)
{
	char buf[32] = {};
	int fd;

	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	if (read(fd, buf, sizeof(buf) - 1) <= 0)
		buf[0] = 0;
	close(fd);
	return buf[0] ? atol(buf) : -1;
}

static bool modify(struct modifier *m)
{
	if (!ASSERT_OK(multi_load_module(MODULE ".ko", m->param), m->param))
		return false;
	m->on = true;
	return !m->is_patch || multi_wait_transition(PATCH, "0");
}

static bool disable_patch(void)
{
	return ASSERT_TRUE(multi_write_file(PATCH, "enabled", "0"), "disable") &&
	       multi_wait_transition(PATCH, "");
}

static void unmodify(struct modifier *m)
{
	if (!m->on)
		return;
	m->on = false;
	/* the patch holds its module until it is gone */
	if (m->is_patch && !disable_patch())
		return;
	ASSERT_OK(multi_unload_module(MODULE), "unload module");
}

static bool attach(struct traced *tr)
{
	tr->fds[0] = multi_link(skel->progs.entry, &tr->t, "fentry");
	if (tr->fds[0] < 0 || tr->only_entry)
		return tr->fds[0] >= 0;
	tr->fds[1] = multi_link(skel->progs.leave, &tr->t, "fexit");
	tr->fds[2] = multi_link(skel->progs.modify, &tr->t, "fmod_ret");
	return tr->fds[1] >= 0 && tr->fds[2] >= 0;
}

static void detach(struct traced *tr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(tr->fds); i++)
		multi_unlink(&tr->fds[i]);
}

static void check_seen(const struct multi_seen *seen, int i, bool attached, __u64 nr_args)
{
	ASSERT_EQ(seen->hits, attached, "hits");
	if (!attached)
		return;
	ASSERT_EQ(seen->nr_args, nr_args, "slots");
	ASSERT_EQ(seen->args & 0xf, 1, "first arg");
	ASSERT_EQ(seen->cookie, COOKIE(i), "cookie");
}

static void check_traced(const struct traced *tr, __u32 ret)
{
	struct tracing_multi_link__bss *bss = skel->bss;
	bool entry = tr->fds[0] >= 0, leave = tr->fds[1] >= 0, mod = tr->fds[2] >= 0;

	check_seen(&bss->at_entry[0], 0, entry, 2);
	check_seen(&bss->at_entry[1], 1, entry, 7);
	check_seen(&bss->at_exit[0], 0, leave, 2);
	check_seen(&bss->at_exit[1], 1, leave, 7);
	check_seen(&bss->at_modify[0], 0, mod, 2);
	check_seen(&bss->at_modify[1], 1, mod, 7);
	if (leave) {
		ASSERT_EQ((__u32)bss->at_exit[0].ret, ret, "ret");
		ASSERT_EQ((__u32)bss->at_exit[1].ret, 29, "ret of the other");
	}
	/* of an unknown ip */
	ASSERT_EQ(bss->strays, 0, "strays");
}

static void check(const struct traced *tr, const struct modifier *m)
{
	__u32 ret = m->on && m->is_patch ? RET_PATCHED : RET, retval = 0;
	long pre = read_number(PARAM "pre_hits"), post = read_number(PARAM "post_hits");

	memset(skel->bss->at_entry, 0, sizeof(skel->bss->at_entry));
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	memset(skel->bss->at_modify, 0, sizeof(skel->bss->at_modify));
	multi_test_run(skel->progs.run_modify_tests, &retval);
	ASSERT_EQ(retval, RETVAL(ret), "retval");
	check_traced(tr, ret);
	if (m->on && !m->is_patch) {
		ASSERT_EQ(read_number(PARAM "pre_hits"), pre + 1, "kprobe's pre handler");
		ASSERT_EQ(read_number(PARAM "post_hits"), post + 1, "kprobe's post handler");
	}
}

/* The function itself is not called then. */
static void check_modify_ret(const struct traced *tr)
{
	__u32 retval = 0;

	if (tr->fds[2] < 0)
		return;
	skel->bss->modify_ret = 21;
	multi_test_run(skel->progs.run_modify_tests, &retval);
	ASSERT_EQ(retval, 2 * 21, "modified retval");
	ASSERT_EQ((__u32)skel->bss->at_exit[0].ret, 21, "modified ret");
	skel->bss->modify_ret = 0;
}

static bool begin(struct traced *tr, struct modifier *m, bool traced_first)
{
	if (traced_first) {
		if (!attach(tr))
			return false;
		check(tr, m);
		return modify(m);
	}
	if (!modify(m))
		return false;
	check(tr, m);
	return attach(tr);
}

static void round_trip(struct traced *tr, struct modifier *m, bool traced_first,
		       bool traced_stays)
{
	if (begin(tr, m, traced_first)) {
		check(tr, m);
		check_modify_ret(tr);
		if (traced_stays)
			unmodify(m);
		else
			detach(tr);
		check(tr, m);
	}
	detach(tr);
	unmodify(m);
	check(tr, m);
}

static bool find_addrs(struct traced *tr)
{
	unsigned long long *addrs = (unsigned long long *)skel->bss->addrs;

	return ASSERT_OK(kallsyms_find("bpf_modify_return_test", &addrs[0]), "addr") &&
	       ASSERT_OK(kallsyms_find("bpf_modify_return_test2", &addrs[1]), "addr") &&
	       multi_set(&tr->t, "bpf_modify_return_test", "bpf_modify_return_test2", NULL);
}

/* Does the kernel have what it takes? */
static bool supported(const char *param)
{
	int err = multi_load_module(MODULE ".ko", param);

	if (err == -EOPNOTSUPP) {
		test__skip();
		return false;
	}
	return ASSERT_OK(err, param);
}

static void test_modifier(struct modifier *m)
{
	struct traced tr = { .fds = { -1, -1, -1 } };
	int i;

	if (!supported(m->param))
		return;
	m->on = true;
	if (m->is_patch)
		multi_wait_transition(PATCH, "0");
	unmodify(m);
	if (!find_addrs(&tr))
		return;
	tr.t.use_cookies = true;
	tr.t.cookies[0] = COOKIE(0);
	tr.t.cookies[1] = COOKIE(1);
	skel->bss->pid = getpid();
	for (i = 0; i < 8; i++) {
		tr.only_entry = i & 1;
		round_trip(&tr, m, i & 2, i & 4);
	}
}

static void test_livepatch(void)
{
	struct modifier m = { .param = "user=livepatch", .is_patch = true };

	test_modifier(&m);
}

static void test_kprobe(void)
{
	struct modifier m = { .param = "user=kprobe" };

	test_modifier(&m);
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
	{ "livepatch", test_livepatch },
	{ "kprobe", test_kprobe },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link_ipmodify(void)
{
	multi_run_suite(&suite);
}
