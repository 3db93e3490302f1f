// SPDX-License-Identifier: GPL-2.0
/* Tracing multi-links when memory, or what else they need, is short.
 *
 * With TRACING_MULTI_LONG=1 in the environment also with images that aren't shared, and
 * what is left behind is looked at after each failure instead of each 16th. Where there are
 * many targets, more points are tried.
 */
#include <test_progs.h>
#include <linux/capability.h>
#include <linux/kernel.h>
#include <sys/resource.h>
#include "cap_helpers.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_stress.skel.h"
#include "tracing_multi_target.skel.h"
#include "tracing_multi_trampolines.skel.h"

#define MAX_NTH 5000
#define CHECK_EACH 16

static struct tracing_multi_stress *skel;
static struct tracing_multi_trampolines *tramps;
static int tramps_at_first;	/* before the subtest */

#define COUNTS 100

/* Nothing keeps the lists as they are meanwhile: INT_MAX if one can't be followed. */
static int count_trampolines(void)
{
	if (!multi_test_run(tramps->progs.count_trampolines, NULL) || tramps->bss->errors)
		return INT_MAX;
	return tramps->bss->trampolines;
}

/* Until two counts are the same */
static int get_trampolines(void)
{
	int i, cnt, last = INT_MAX;

	for (i = 0; i < COUNTS; i++) {
		cnt = count_trampolines();
		if (cnt < INT_MAX && cnt == last)
			return cnt;
		last = cnt;
	}
	ASSERT_LT(i, COUNTS, "trampolines stay");
	return -1;
}

/* As multi_state, and trampolines, which nothing else tells of */
struct state {
	struct multi_state all;
	int trampolines;
};

static void get_state(struct state *state)
{
	multi_get_state(&state->all);
	state->trampolines = get_trampolines();
}

static bool same_state(const struct state *before, const char *name)
{
	return multi_same_state(&before->all, name) &
	       multi_wait_for(count_trampolines, before->trampolines, "trampolines");
}

/* What is attached, and what fails of that */
struct faults {
	/* what: a program, with what flags of the link, beside which other one, which has
	 * some of the targets and is there all the time, if any
	 */
	const struct bpf_program *prog, *other;
	__u32 flags;
	bool cookies;
	/* to which functions; for fmod_ret other ones than for fentry and fexit */
	bool modify;
	bool some_refused;	/* among the targets are some that can't be attached to */

	struct tracing_multi_target *target;
	struct multi_targets t;
	int refused;	/* so many of them, if some_refused */
	struct state before;
	__u64 others;	/* how often the other program runs */
	int other_fd;
	int points;	/* how many allocations and copies there are */
	int failures;	/* ... which the call does not do without */
	int copies;	/* ... because user space could not be read or written */
};

/* Functions of the kernel, one of a module, one of a program */
static bool faults_add_targets(struct faults *f)
{
	if (f->modify)
		return multi_set(&f->t, "bpf_modify_return_test", "bpf_modify_return_test2",
				 "bpf_testmod:bpf_testmod_limit_modify",
				 "bpf_testmod:bpf_testmod_limit_int128_at_8", NULL);
	return multi_set(&f->t, "bpf_fentry_test8", "bpf_fentry_test7", "bpf_fentry_test1",
			 "bpf_testmod:bpf_testmod_multi_8", "bpf_fentry_test2", "vfs_read",
			 "vfs_write", "vfs_open", "vfs_llseek", "vfs_mkdir", "vfs_rmdir",
			 "vfs_unlink", "vfs_symlink", "vfs_truncate", NULL) &&
	       multi_add_prog(&f->t, bpf_program__fd(f->target->progs.target_tc), "target_sum");
}

/* One that a task ends in, and, if there is such a pair, two ids of one function: the second
 * is refused when it has a trampoline.
 */
static bool faults_add_refused(struct faults *f)
{
	if (!f->some_refused)
		return true;
	if (!multi_add(&f->t, "get_signal"))
		return false;
	f->refused = 1;
	if (multi_find_alias(&f->t.ids[f->t.cnt], &f->t.ids[f->t.cnt + 1])) {
		f->t.cnt += 2;
		f->refused++;
	}
	return true;
}

static int faults_attach(const struct faults *f, union bpf_attr *attr)
{
	multi_attr(attr, f->prog, &f->t);
	attr->link_create.flags |= f->flags;
	return multi_create(attr);
}

static bool is_single(const struct bpf_program *prog)
{
	return bpf_program__expected_attach_type(prog) == BPF_TRACE_FENTRY;
}

/* Some of the targets */
static bool faults_set_other(struct faults *f, struct multi_targets *t)
{
	if (f->modify)
		return multi_set(t, "bpf_modify_return_test", NULL);
	return multi_set(t, "bpf_fentry_test1", "bpf_fentry_test7", NULL) &&
	       multi_add_prog(t, bpf_program__fd(f->target->progs.target_tc), "target_sum");
}

static bool faults_add_other(struct faults *f)
{
	struct multi_targets t;

	if (!f->other)
		return true;
	if (is_single(f->other)) {
		f->others = 1;
		f->other_fd = bpf_link_create(bpf_program__fd(f->other), 0, BPF_TRACE_FENTRY,
					      NULL);
		return ASSERT_OK_FD(f->other_fd, "other program, single link");
	}
	if (!faults_set_other(f, &t))
		return false;
	f->others = t.cnt;
	f->other_fd = multi_attach(f->other, &t);
	return ASSERT_OK_FD(f->other_fd, "other program");
}

static bool faults_setup(struct faults *f)
{
	int i;

	f->other_fd = -1;
	f->target = tracing_multi_target__open_and_load();
	skel->bss->pid = getpid();
	if (!ASSERT_OK_PTR(f->target, "open_and_load target") || !faults_add_other(f) ||
	    !faults_add_targets(f) || !faults_add_refused(f) || !multi_settle())
		return false;
	f->t.use_cookies = f->cookies;
	for (i = 0; i < f->t.cnt; i++)
		f->t.cookies[i] = i;
	get_state(&f->before);
	return true;
}

static void faults_teardown(struct faults *f)
{
	multi_unlink(&f->other_fd);
	tracing_multi_target__destroy(f->target);
}

/* True if there was an nth thing that could fail. That memory is short is never a reason
 * to leave out a target, also if those that can't be attached may be left out.
 */
static bool fail_attach(struct faults *f, int n)
{
	union bpf_attr attr;
	bool hit;
	int fd;

	multi_fault_arm(n);
	fd = faults_attach(f, &attr);
	hit = multi_fault_disarm();
	if (fd >= 0) {
		ASSERT_EQ(multi_link_count(fd), f->t.cnt - f->refused, "all targets");
		close(fd);
		return hit;
	}
	f->failures++;
	f->copies += fd == -EFAULT;
	ASSERT_TRUE(hit, "failed for that reason");
	if (!ASSERT_TRUE(fd == -ENOMEM || fd == -EFAULT, "error"))
		fprintf(stdout, "n %d: error %d\n", n, fd);
	ASSERT_EQ(attr.link_create.tracing_multi.bad_idx, MULTI_NO_IDX, "bad_idx");
	return hit;
}

static bool fail_detach(struct faults *f, int n)
{
	union bpf_attr attr;
	int fd = faults_attach(f, &attr);

	if (!ASSERT_OK_FD(fd, "attach"))
		return false;
	multi_fault_arm(n);
	close(fd);
	return multi_fault_disarm();
}

static __u64 count_hits(void)
{
	__u64 hits = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(skel->bss->exit_hits); i++)
		hits += skel->bss->entry_hits[i] + skel->bss->exit_hits[i] +
			skel->bss->modify_hits[i];
	return hits;
}

/* Prints nothing: standard output may be one of the targets' files. */
static int call_targets(const struct faults *f)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	LIBBPF_OPTS(bpf_test_run_opts, tc_opts);
	char pkt[64] = {};

	tc_opts.data_in = pkt;
	tc_opts.data_size_in = sizeof(pkt);
	return bpf_prog_test_run_opts(bpf_program__fd(skel->progs.run_fentry_tests), &opts) ?:
	       bpf_prog_test_run_opts(bpf_program__fd(skel->progs.run_modify_tests), &opts) ?:
	       bpf_prog_test_run_opts(bpf_program__fd(f->target->progs.target_tc), &tc_opts);
}

/* The program must not run anymore, the other one on some of the functions must. */
static bool check_detached(const struct faults *f)
{
	__u64 hits = count_hits(), others = skel->bss->toggle_hits;
	int err = call_targets(f);

	return ASSERT_OK(err, "call targets") &
	       ASSERT_EQ(count_hits(), hits, "program is detached") &
	       ASSERT_EQ(skel->bss->toggle_hits, others + f->others, "other program is attached");
}

/* call_targets() calls so many of the targets: of fmod_ret two, else four of the kernel and
 * that of a program.
 */
static __u64 called_targets(const struct faults *f)
{
	return f->modify ? 2 : 4 + 1;
}

static __u64 hits_of_calls(const struct faults *f)
{
	__u64 hits = count_hits();
	int err = call_targets(f);

	hits = count_hits() - hits;
	ASSERT_OK(err, "call targets");
	return hits;
}

#define TRIES 1000

/* A task that is preempted in the program, which other targets run for every task, lets the
 * program miss calls of ours on that CPU, until it goes on.
 */
static bool check_attached(const struct faults *f)
{
	__u64 hits = 0, called = called_targets(f);
	union bpf_attr attr;
	int i, fd, with_link;

	fd = faults_attach(f, &attr);
	for (i = 0; fd >= 0 && i < TRIES && hits != called; i++) {
		if (i)
			usleep(1000);
		hits = hits_of_calls(f);
	}
	with_link = get_trampolines();
	close(fd);
	return ASSERT_OK_FD(fd, "attach") &&
	       ASSERT_EQ(hits, called, "program runs with each call") &&
	       ASSERT_GT(with_link, f->before.trampolines, "trampolines of the link");
}

static void fail_each(struct faults *f, bool (*fail)(struct faults *f, int n))
{
	int n, each = multi_long() ? 1 : CHECK_EACH;
	bool hit = true;

	for (n = 1; hit && n <= MAX_NTH; n++) {
		hit = fail(f, n);
		if (!check_detached(f) ||
		    !ASSERT_EQ(multi_enabled_functions(), f->before.all.enabled, "left attached") ||
		    ((!hit || n % each == 0) && !same_state(&f->before, "left behind"))) {
			fprintf(stdout, "n %d\n", n);
			return;
		}
	}
	ASSERT_FALSE(hit, "end");
	f->points = n - 2;
}

/* Were all points tried? */
static bool run_faults(struct faults *f, bool (*fail)(struct faults *f, int n))
{
	bool ran = faults_setup(f) && check_attached(f) &&
		   same_state(&f->before, "after a link") && multi_faults_begin();

	if (ran)
		fail_each(f, fail);
	multi_faults_end();
	faults_teardown(f);
	return ran;
}

/* The minima are below what was seen when this was written, by a tenth or more: a change
 * that needs less is welcome, but a test that has ceased to inject isn't.
 */
static void run_attach(struct faults *f, int min_points, int min_failures)
{
	if (!run_faults(f, fail_attach))
		return;
	multi_figure("fault, attach %s: %d points of failure, %d failures, %d of copies",
		     bpf_program__name(f->prog), f->points, f->failures, f->copies);
	ASSERT_GE(f->points, min_points, "points");
	ASSERT_GE(f->failures, min_failures, "failures");
	/* attr and two arrays, at least */
	ASSERT_GE(f->copies, 3, "failures of copies");
}

/* Detaching needs memory for the images of those who stay: none without them. It does
 * without what it can't have.
 */
static void run_detach(struct faults *f, int min_points)
{
	if (!run_faults(f, fail_detach))
		return;
	multi_figure("fault, detach %s: %d points of failure", bpf_program__name(f->prog),
		     f->points);
	if (f->other)
		ASSERT_GE(f->points, min_points, "points");
	else
		ASSERT_EQ(f->points, 0, "points");
}

/* All that there is: another multi-link on some of the targets, and cookies */
static struct faults faults_exit(void)
{
	return (struct faults) {
		.prog = skel->progs.count_exit,
		.other = skel->progs.toggle_exit,
		.cookies = true,
	};
}

static struct faults faults_plain(void)
{
	return (struct faults) { .prog = skel->progs.count_exit };
}

/* Beside a single link, where images are made for one function */
static struct faults faults_entry(void)
{
	return (struct faults) {
		.prog = skel->progs.count_entry,
		.other = skel->progs.toggle_single_entry,
	};
}

static struct faults faults_modify(void)
{
	return (struct faults) {
		.prog = skel->progs.count_modify,
		.other = skel->progs.toggle_exit,
		.cookies = true,
		.modify = true,
	};
}

static void test_fail_attach(void)
{
	struct faults f = faults_exit();

	run_attach(&f, 70, 65);
}

static void test_fail_attach_skip_invalid(void)
{
	struct faults f = faults_exit();

	f.flags = BPF_F_TRACING_MULTI_SKIP_INVALID;
	f.some_refused = true;
	run_attach(&f, 70, 65);
}

static void test_fail_attach_plain(void)
{
	struct faults f = faults_plain();

	run_attach(&f, 65, 65);
}

static void test_fail_attach_entry(void)
{
	struct faults f = faults_entry();

	run_attach(&f, 60, 60);
}

static void test_fail_attach_modify(void)
{
	struct faults f = faults_modify();

	run_attach(&f, 50, 50);
}

static void test_fail_detach(void)
{
	struct faults f = faults_exit();

	run_detach(&f, 10);
}

static void test_fail_detach_plain(void)
{
	struct faults f = faults_plain();

	run_detach(&f, 0);
}

static void test_fail_detach_entry(void)
{
	struct faults f = faults_entry();

	run_detach(&f, 2);
}

static void test_fail_detach_modify(void)
{
	struct faults f = faults_modify();

	run_detach(&f, 6);
}

static void with_own_images(void (*test)(void))
{
	if (multi_set_sharing(false))
		test();
	multi_set_sharing(true);
}

static void test_fail_attach_own_images(void)
{
	with_own_images(test_fail_attach);
}

static void test_fail_detach_own_images(void)
{
	with_own_images(test_fail_detach);
}

/* More targets than are updated at a time: what fails in the second step or later
 * undoes those before. There are too many points to try each: every MANY_STEPth, and at
 * the end, where the most is to be undone, every MANY_LATE_STEPth.
 */
#define NR_MANY 600
#define MANY_STEP 97
#define MANY_STEP_LONG 7
#define MANY_LATE_STEP 3
/* there are several for each function, and more where kmemleak keeps a record of each */
#define MANY_MAX_NTH (32 * NR_MANY)

struct many {
	const struct many_call *call;
	struct multi_raw raw;
	struct state before;
	int fd;		/* the link */
	int other_fd;
	bool updated;	/* to its other program */
	int points;
	int failures;
	int late;	/* ... when functions had been changed by then */
	int min_last;	/* the last point must be beyond this one */
	bool own_images;
};

/* The call in which something fails */
struct many_call {
	const char *name;
	/* optional: once, and before each call */
	bool (*setup)(struct many *m);
	bool (*prepare)(struct many *m);
	/* 0 or a negative errno */
	int (*run)(struct many *m);
	void (*check)(struct many *m, int err);
	bool survives;
	/* what kill_attaching counts if the second step of three fails */
	int late_calls;
};

static bool set_many(struct multi_raw *raw, __u32 *ids)
{
	struct bpf_link_info info = {
		.tracing_multi.ids = ptr_to_u64(ids),
		.tracing_multi.count = NR_MANY,
	};
	__u32 len = sizeof(info);
	struct bpf_link *link;
	int err;

	*raw = (struct multi_raw) {
		.prog_fd = bpf_program__fd(skel->progs.count_exit),
		.attach_type = RAW_FEXIT_MULTI,
		.ids = ids,
		.cnt = NR_MANY,
		.size = RAW_CREATE_SIZE_FIRST,
	};
	link = bpf_program__attach_tracing_multi(skel->progs.any_exit, "bpf_*", NULL);
	if (!ASSERT_OK_PTR(link, "bpf_*"))
		return false;
	err = bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len);
	bpf_link__destroy(link);
	/* there are more, which don't fit */
	return ASSERT_EQ(err, -ENOSPC, "info");
}

static int attach_many(struct many *m)
{
	m->raw.bad_idx = MULTI_NO_IDX;
	m->fd = multi_raw_create(&m->raw);
	return m->fd < 0 ? m->fd : 0;
}

static bool must_attach_many(struct many *m)
{
	return ASSERT_OK(attach_many(m), "attach");
}

static void check_attach(struct many *m, int err)
{
	if (!err)
		ASSERT_EQ(multi_link_count(m->fd), NR_MANY, "all targets");
	multi_unlink(&m->fd);
	ASSERT_EQ(m->raw.bad_idx, MULTI_NO_IDX, "bad_idx");
}

/* Functions that are called with each call of bpf() are among the targets: which of
 * count_exit and toggle_exit is attached to them?
 */
static void check_runs(bool count, bool toggle)
{
	__u64 counts = skel->bss->exit_hits[0], toggles = skel->bss->toggle_hits;

	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_EQ(skel->bss->exit_hits[0] > counts, count, "count_exit runs");
	ASSERT_EQ(skel->bss->toggle_hits > toggles, toggle, "toggle_exit runs");
}

static const struct bpf_program *many_prog(bool updated)
{
	return updated ? skel->progs.toggle_exit : skel->progs.count_exit;
}

static int update_many(struct many *m)
{
	int prog_fd = bpf_program__fd(many_prog(!m->updated));

	return bpf_link_update(m->fd, prog_fd, NULL) ? -errno : 0;
}

static void check_update(struct many *m, int err)
{
	if (!err)
		m->updated = !m->updated;
	check_runs(!m->updated, m->updated);
	ASSERT_EQ(multi_link_prog_id(m->fd), multi_prog_id(many_prog(m->updated)),
		  "program of the link");
}

/* Another link that stays: it needs images without the program that goes. */
static bool attach_other_many(struct many *m)
{
	struct multi_raw raw = m->raw;

	raw.prog_fd = bpf_program__fd(skel->progs.toggle_exit);
	m->other_fd = multi_raw_create(&raw);
	return ASSERT_OK_FD(m->other_fd, "other program");
}

static int detach_many(struct many *m)
{
	close(m->fd);
	m->fd = -1;
	return 0;
}

static void check_detach(struct many *m, int err)
{
	check_runs(false, true);
}

static bool fail_many(struct many *m, int n)
{
	bool hit;
	int err;

	if (m->call->prepare && !m->call->prepare(m))
		return false;
	skel->bss->kill_calls = 0;
	multi_fault_arm(n);
	err = m->call->run(m);
	hit = multi_fault_disarm();
	if (err) {
		m->failures++;
		m->late += skel->bss->kill_calls >= m->call->late_calls;
		ASSERT_TRUE(hit, "failed for that reason");
		ASSERT_TRUE(err == -ENOMEM || err == -EFAULT, "error");
	}
	m->points += hit;
	m->call->check(m, err);
	if (!ASSERT_EQ(multi_enabled_functions(), m->before.all.enabled, "functions attached to"))
		fprintf(stdout, "n %d\n", n);
	return hit && !env.subtest_state->error_cnt;
}

/* From the nth point to the end: the last one that was tried */
static int fail_from(struct many *m, int n, int step)
{
	int last = 0;

	for (; n <= MANY_MAX_NTH && fail_many(m, n); n += step)
		last = n;
	ASSERT_LT(n, MANY_MAX_NTH, "end");
	return last;
}

/* Return: the last point */
static int fail_each_many(struct many *m)
{
	int last = fail_from(m, 1, multi_long() ? MANY_STEP_LONG : MANY_STEP);

	last = fail_from(m, max(last - MANY_STEP, 1), MANY_LATE_STEP);
	/* images have the names of their programs: those of before */
	if (m->updated)
		check_update(m, update_many(m));
	same_state(&m->before, "left behind");
	multi_figure("fault, %s %d: %d points of failure up to %d, %d failures, %d late",
		     m->call->name, NR_MANY, m->points, last, m->failures, m->late);
	return last;
}

static void fail_all_many(struct many *m)
{
	if (multi_faults_begin()) {
		ASSERT_GT(fail_each_many(m), m->min_last, "points");
		/* Some are survived by trying in another way, most of all the pages of a
		 * new slab: fewer do, too. Less full slabs have more of these.
		 */
		ASSERT_GE(m->failures, m->call->survives ? 0 : m->points * 4 / 5, "failures");
		/* most of what is tried is near the end, but little of it with LONG=1 */
		if (m->own_images && !m->call->survives)
			ASSERT_GE(m->late, m->failures / (multi_long() ? 3 : 2),
				  "failures after changes");
	}
	multi_faults_end();
}

static void with_many(struct many *m, void (*run)(struct many *m))
{
	static __u32 ids[NR_MANY];
	struct bpf_link *steps;

	/* counts steps, of this process, and kills nobody */
	steps = bpf_program__attach(skel->progs.kill_attaching);
	if (!ASSERT_OK_PTR(steps, "count steps"))
		return;
	skel->bss->pid = getpid();
	if (set_many(&m->raw, ids) && (!m->call->setup || m->call->setup(m)) &&
	    multi_settle()) {
		get_state(&m->before);
		run(m);
	}
	multi_unlink(&m->fd);
	multi_unlink(&m->other_fd);
	bpf_link__destroy(steps);
}

static void run_many(const struct many_call *call, int min_last, bool own_images)
{
	struct many m = {
		.call = call,
		.fd = -1,
		.other_fd = -1,
		.min_last = min_last,
		.own_images = own_images,
	};

	with_many(&m, fail_all_many);
}

static const struct many_call attach_call = {
	.name = "attach to",
	.run = attach_many,
	.check = check_attach,
	/* two steps, and these two back */
	.late_calls = 2 + 2,
};

static const struct many_call update_call = {
	.name = "update",
	.setup = must_attach_many,
	.run = update_many,
	.check = check_update,
	/* once before the steps, two of these, once before going back, and all three back */
	.late_calls = 1 + 2 + 1 + 3,
};

static const struct many_call detach_call = {
	.name = "detach from",
	.setup = attach_other_many,
	.prepare = must_attach_many,
	.run = detach_many,
	.check = check_detach,
	.survives = true,
};

/* at least one for each function */
static void test_fail_attach_many(void)
{
	run_many(&attach_call, NR_MANY, false);
}

static void test_fail_update_many(void)
{
	run_many(&update_call, 40, false);
}

static void test_fail_detach_many(void)
{
	run_many(&detach_call, 40, false);
}

static void run_many_own(const struct many_call *call, int min_last)
{
	if (multi_set_sharing(false))
		run_many(call, min_last, true);
	multi_set_sharing(true);
}

static void test_fail_attach_many_own_images(void)
{
	run_many_own(&attach_call, 4 * NR_MANY);
}

static void test_fail_update_many_own_images(void)
{
	run_many_own(&update_call, NR_MANY);
}

static void test_fail_detach_many_own_images(void)
{
	run_many_own(&detach_call, NR_MANY);
}

/* Privileged tasks may have more than bpf_jit_limit. */
#define SYSCTL_DIR "/proc/sys/net/core"
#define CAPS (1ULL << CAP_SYS_ADMIN | 1ULL << CAP_BPF)
/* bytes: of a few images, and what an image has at least */
#define LIMIT_STEP 1024
#define MIN_IMAGE 64

struct limit {
	char saved[32];
	__u64 caps;
};

/* bytes: how much code the JIT may have made in all */
static bool limit_begin(struct limit *l, long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", bytes);
	if (!ASSERT_TRUE(multi_read_file(SYSCTL_DIR, "bpf_jit_limit", l->saved,
					 sizeof(l->saved)),
			 "bpf_jit_limit") ||
	    !ASSERT_TRUE(multi_write_file(SYSCTL_DIR, "bpf_jit_limit", text), "set bpf_jit_limit"))
		return false;
	return ASSERT_OK(cap_disable_effective(CAPS, &l->caps), "drop capabilities");
}

static void limit_end(struct limit *l)
{
	if (l->caps)
		ASSERT_OK(cap_enable_effective(l->caps, NULL), "regain capabilities");
	if (l->saved[0])
		ASSERT_TRUE(multi_write_file(SYSCTL_DIR, "bpf_jit_limit", l->saved),
			    "restore bpf_jit_limit");
}

/* No more than memory a reason to leave out targets */
static void refused_by_limit(const struct multi_targets *t)
{
	union bpf_attr attr;

	multi_refused(skel->progs.count_exit, t, -EPERM, MULTI_NO_IDX, "limit");
	multi_attr(&attr, skel->progs.count_exit, t);
	attr.link_create.flags |= BPF_F_TRACING_MULTI_SKIP_INVALID;
	multi_create_refused(&attr, -EPERM, MULTI_NO_IDX, "limit, skip invalid");
}

static void test_jit_limit(void)
{
	struct faults f = faults_exit();
	struct limit l = {};

	if (!faults_setup(&f))
		goto out;
	if (limit_begin(&l, 1))
		refused_by_limit(&f.t);
	limit_end(&l);
	check_detached(&f);
	same_state(&f.before, "left behind");
	multi_attached(skel->progs.count_exit, &f.t, "no limit");
out:
	faults_teardown(&f);
}

/* Something that is done to a link, which may be closed by that: nothing is left of it. */
static void run_linked(struct faults f, void (*run)(int *link_fd))
{
	int fd;

	if (!faults_setup(&f))
		goto out;
	fd = multi_link(skel->progs.count_exit, &f.t, "attach");
	if (fd < 0)
		goto out;
	run(&fd);
	multi_unlink(&fd);
	check_detached(&f);
	same_state(&f.before, "left behind");
out:
	faults_teardown(&f);
}

/* The program that stays needs an image without the one that goes. */
static void detach_beyond_limit(int *link_fd)
{
	struct limit l = {};

	if (limit_begin(&l, 1))
		multi_unlink(link_fd);
	limit_end(&l);
}

static void test_jit_limit_detach(void)
{
	run_linked(faults_exit(), detach_beyond_limit);
}

/* The first image that the new program needs is one too many. */
static void update_beyond_limit(int *link_fd)
{
	int prog_fd = bpf_program__fd(skel->progs.toggle_exit);
	struct limit l = {};

	if (limit_begin(&l, 1))
		ASSERT_EQ(bpf_link_update(*link_fd, prog_fd, NULL), -EPERM, "limit");
	limit_end(&l);
	check_runs(true, false);
	ASSERT_OK(bpf_link_update(*link_fd, prog_fd, NULL), "no limit");
	check_runs(false, true);
}

static void test_jit_limit_update(void)
{
	run_linked(faults_plain(), update_beyond_limit);
}

static void test_jit_limit_update_own_images(void)
{
	with_own_images(test_jit_limit_update);
}

/* Is there room for another image? */
static bool has_room(const struct multi_raw *all, long limit)
{
	struct multi_raw raw = *all;
	struct limit l = {};
	int fd = -EINVAL;
	bool room;

	raw.prog_fd = bpf_program__fd(skel->progs.toggle_exit);
	raw.cnt = 1;
	if (limit_begin(&l, limit))
		fd = multi_raw_create(&raw);
	limit_end(&l);
	room = ASSERT_TRUE(fd >= 0 || fd == -EPERM, "attach to one") && fd >= 0;
	multi_unlink(&fd);
	return room;
}

/* The lowest limit with room for another image, to LIMIT_STEP, in bytes. 0: none */
static long find_limit(const struct multi_raw *raw)
{
	long low = 0, high = LIMIT_STEP, limit;

	/* beyond what the sysctl takes, it is an error */
	for (; !env.subtest_state->error_cnt && !has_room(raw, high); high *= 2)
		low = high;
	while (!env.subtest_state->error_cnt && high - low > LIMIT_STEP) {
		limit = low + (high - low) / 2;
		if (has_room(raw, limit))
			high = limit;
		else
			low = limit;
	}
	return env.subtest_state->error_cnt ? 0 : high;
}

/* There is room for about three quarters of the new program's images, so the last of three
 * steps fails, which begins when more than half of the functions have theirs. Going back
 * needs images, too, and the limit must not stop that: the kernel would warn.
 */
static void update_many_beyond(struct many *m)
{
	long before = find_limit(&m->raw), after, size;
	struct limit l = {};
	int err = 0;

	if (!before || !must_attach_many(m) || !multi_settle())
		return;
	after = find_limit(&m->raw);
	size = after - before;
	if (!ASSERT_GT(size, NR_MANY * MIN_IMAGE, "images of the link") || !multi_settle())
		return;
	skel->bss->kill_calls = 0;
	if (limit_begin(&l, after + size * 3 / 4))
		err = update_many(m);
	limit_end(&l);
	ASSERT_EQ(err, -EPERM, "limit");
	ASSERT_GT(skel->bss->kill_calls, m->call->late_calls, "the last step failed");
	check_update(m, err);
	err = update_many(m);
	ASSERT_OK(err, "no limit");
	check_update(m, err);
	multi_unlink(&m->fd);
	same_state(&m->before, "left behind");
}

/* No image that was replaced may go while others are made: with RCU tasks, none does
 * before the task that updates sleeps or is in user space.
 */
static bool images_stay(void)
{
	unsigned long long addr;

	return !kallsyms_find("call_rcu_tasks", &addr);
}

static void test_jit_limit_update_many(void)
{
	struct many_call call = update_call;
	struct many m = { .call = &call, .fd = -1, .other_fd = -1 };

	if (!images_stay()) {
		test__skip();
		return;
	}
	/* update_many_beyond() attaches */
	call.setup = NULL;
	if (multi_set_sharing(false))
		with_many(&m, update_many_beyond);
	multi_set_sharing(true);
}

/* A descriptor for the link is the first thing that it gets. */
static void test_no_fd(void)
{
	struct faults f = faults_exit();
	struct rlimit saved, limit;
	int fd;

	if (!faults_setup(&f) || !ASSERT_OK(getrlimit(RLIMIT_NOFILE, &saved), "getrlimit"))
		goto out;
	/* the next descriptor would be this one */
	fd = dup(STDOUT_FILENO);
	close(fd);
	limit = saved;
	limit.rlim_cur = fd;
	if (ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit"))
		multi_refused(skel->progs.count_exit, &f.t, -EMFILE, MULTI_NO_IDX, "no fd");
	ASSERT_OK(setrlimit(RLIMIT_NOFILE, &saved), "restore");
	check_detached(&f);
	same_state(&f.before, "left behind");
	multi_attached(skel->progs.count_exit, &f.t, "an fd");
out:
	faults_teardown(&f);
}

static bool setup(void)
{
	if (!multi_init())
		return false;
	tramps = tracing_multi_trampolines__open_and_load();
	return ASSERT_OK_PTR(tramps, "open_and_load");
}

static void teardown(void)
{
	tracing_multi_trampolines__destroy(tramps);
	tramps = NULL;
	multi_fini();
}

static bool setup_each(void)
{
	tramps_at_first = multi_settle() ? get_trampolines() : -1;
	if (tramps_at_first < 0)
		return false;
	skel = tracing_multi_stress__open();
	return ASSERT_OK_PTR(skel, "open") &&
	       ASSERT_OK(bpf_program__set_autoload(skel->progs.kill_attaching, true),
			 "set_autoload") &&
	       ASSERT_OK(tracing_multi_stress__load(skel), "load");
}

static void teardown_each(void)
{
	tracing_multi_stress__destroy(skel);
	skel = NULL;
	/* also those of what was attached before get_state() */
	if (tramps_at_first >= 0)
		multi_wait_at_most(count_trampolines, tramps_at_first, "trampolines in the end");
}

static const struct multi_subtest subtests[] = {
	{ "fail_attach", test_fail_attach },
	{ "fail_attach_skip_invalid", test_fail_attach_skip_invalid },
	{ "fail_attach_plain", test_fail_attach_plain },
	{ "fail_attach_entry", test_fail_attach_entry },
	{ "fail_attach_modify", test_fail_attach_modify },
	{ "fail_attach_many", test_fail_attach_many },
	{ "fail_attach_many_own_images", test_fail_attach_many_own_images },
	{ "fail_update_many", test_fail_update_many },
	{ "fail_update_many_own_images", test_fail_update_many_own_images, .is_long = true },
	{ "fail_detach_many", test_fail_detach_many },
	{ "fail_detach_many_own_images", test_fail_detach_many_own_images, .is_long = true },
	{ "fail_detach", test_fail_detach },
	{ "fail_detach_plain", test_fail_detach_plain },
	{ "fail_detach_entry", test_fail_detach_entry },
	{ "fail_detach_modify", test_fail_detach_modify },
	{ "fail_attach_own_images", test_fail_attach_own_images, .is_long = true },
	{ "fail_detach_own_images", test_fail_detach_own_images, .is_long = true },
	{ "jit_limit", test_jit_limit },
	{ "jit_limit_detach", test_jit_limit_detach },
	{ "jit_limit_update", test_jit_limit_update },
	{ "jit_limit_update_own_images", test_jit_limit_update_own_images },
	{ "jit_limit_update_many", test_jit_limit_update_many },
	{ "no_fd", test_no_fd },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link_fault(void)
{
	multi_run_suite(&suite);
}
