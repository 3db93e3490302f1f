// SPDX-License-Identifier: GPL-2.0
/* BPF_LINK_UPDATE of tracing multi-links: one program takes the place of another one at
 * all targets.
 *
 * With TRACING_MULTI_LONG=1 in the environment programs are replaced NR_UPDATES_LONG
 * times while calls are counted, and what is left behind is looked at after each failure.
 */
#include <test_progs.h>
#include <sys/eventfd.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_update.skel.h"
#include "tracing_multi_target.skel.h"

#define NR_UPDATES 140
#define NR_UPDATES_LONG 10000
#define NR_FAILURES_MAX 2000
#define CHECK_EACH 16
#define MODULE_X "bpf_test_modorder_x"

static struct tracing_multi_update *skel;
static struct tracing_multi_target *target;

static int prog_fd(const struct bpf_program *prog)
{
	return bpf_program__fd(prog);
}

static int update(int link_fd, const struct bpf_program *prog)
{
	return bpf_link_update(link_fd, prog_fd(prog), NULL);
}

/* One target of each kind, each with its index + 1 as cookie. */
#define NR_TARGETS 4

static bool set_targets(struct multi_targets *t)
{
	int i;

	if (!multi_set(t, "bpf_fentry_test1", "bpf_fentry_test7",
		       "bpf_testmod:bpf_testmod_fentry_test1", NULL) ||
	    !multi_add_prog(t, prog_fd(target->progs.target_tc), "target_sum"))
		return false;
	for (i = 0; i < NR_TARGETS; i++)
		t->cookies[i] = i + 1;
	t->use_cookies = true;
	return true;
}

static void call_targets(void)
{
	skel->bss->pid = getpid();
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	multi_test_run_tc(target->progs.target_tc, NULL);
	ASSERT_OK(trigger_module_test_read(1), "call in the module");
}

/* Each of the first cnt targets was called once. */
static void check_first_hits(__u64 hits[][16], int cnt, int prog, const char *name)
{
	int i;

	for (i = 1; i <= cnt; i++) {
		ASSERT_EQ(hits[prog][i], 1, name);
		ASSERT_EQ(hits[!prog][i], 0, name);
	}
	memset(hits, 0, 2 * sizeof(*hits));
}

static void check_hits(__u64 hits[][16], int prog, const char *name)
{
	check_first_hits(hits, NR_TARGETS, prog, name);
}

static void replace_and_call(struct bpf_program *prog0, struct bpf_program *prog1,
			     __u64 hits[][16])
{
	struct multi_targets t;
	int fd;

	if (!set_targets(&t))
		return;
	fd = multi_link(prog0, &t, "attach");
	if (fd < 0)
		return;
	call_targets();
	check_hits(hits, 0, "before");

	ASSERT_OK(update(fd, prog1), "update");
	ASSERT_EQ(multi_link_prog_id(fd), multi_prog_id(prog1), "program of the link");
	ASSERT_EQ(multi_link_count(fd), NR_TARGETS, "targets");
	call_targets();
	check_hits(hits, 1, "after");

	ASSERT_OK(update(fd, prog0), "back");
	call_targets();
	check_hits(hits, 0, "after the second update");
}

static void test_entry(void)
{
	replace_and_call(skel->progs.entry_0, skel->progs.entry_1, skel->bss->entry_hits);
}

static void test_exit(void)
{
	replace_and_call(skel->progs.exit_0, skel->progs.exit_1, skel->bss->exit_hits);
}

static void test_own_images(void)
{
	if (multi_set_sharing(false)) {
		test_entry();
		test_exit();
	}
	multi_set_sharing(true);
}

static void test_modify(void)
{
	struct multi_targets t = { .use_cookies = true, .cookies = { 1 } };
	int fd;

	if (!multi_add(&t, "bpf_modify_return_test"))
		return;
	skel->bss->pid = getpid();
	fd = multi_link(skel->progs.modify_0, &t, "attach");
	if (fd < 0)
		return;
	ASSERT_OK(update(fd, skel->progs.modify_1), "update");
	multi_test_run(skel->progs.run_modify_tests, NULL);
	ASSERT_EQ(skel->bss->modify_hits[0][1], 0, "old program");
	ASSERT_EQ(skel->bss->modify_hits[1][1], 1, "new program");
}

static void test_old_prog(void)
{
	DECLARE_LIBBPF_OPTS(bpf_link_update_opts, opts);
	int fd, entry_0 = prog_fd(skel->progs.entry_0), entry_1 = prog_fd(skel->progs.entry_1);
	struct multi_targets t;

	if (!set_targets(&t))
		return;
	fd = multi_link(skel->progs.entry_0, &t, "attach");
	if (fd < 0)
		return;
	opts.flags = BPF_F_REPLACE;
	opts.old_prog_fd = entry_1;
	ASSERT_EQ(bpf_link_update(fd, entry_1, &opts), -EPERM, "not that one");
	opts.old_prog_fd = -1;
	ASSERT_EQ(bpf_link_update(fd, entry_1, &opts), -EBADF, "no program");
	opts.old_prog_fd = entry_0;
	ASSERT_OK(bpf_link_update(fd, entry_1, &opts), "that one");
	ASSERT_EQ(bpf_link_update(fd, entry_0, &opts), -EPERM, "not any more");
	opts.flags = 0;
	ASSERT_EQ(bpf_link_update(fd, entry_0, &opts), -EINVAL, "old program without flag");
	opts.flags = BPF_F_REPLACE << 1;
	ASSERT_EQ(bpf_link_update(fd, entry_0, &opts), -EINVAL, "unknown flag");
	ASSERT_EQ(multi_link_prog_id(fd), multi_prog_id(skel->progs.entry_1),
		  "program of the link");

	ASSERT_OK(update(fd, skel->progs.entry_1), "the same program");
	call_targets();
	check_hits(skel->bss->entry_hits, 1, "the same program");
}

static __u32 replaced;

static int replaced_alive(void)
{
	int fd = bpf_prog_get_fd_by_id(replaced);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The link holds its program, and no longer the one before. */
static void test_references(void)
{
	struct multi_targets t;
	int fd;

	if (!set_targets(&t))
		return;
	fd = multi_link(skel->progs.entry_0, &t, "attach");
	if (fd < 0)
		return;
	replaced = multi_prog_id(skel->progs.entry_0);
	bpf_program__unload(skel->progs.entry_0);
	kern_sync_rcu();
	ASSERT_EQ(replaced_alive(), 1, "held by the link");
	ASSERT_OK(update(fd, skel->progs.entry_1), "update");
	multi_wait_for(replaced_alive, 0, "replaced program is freed");

	bpf_program__unload(skel->progs.entry_1);
	call_targets();
	check_hits(skel->bss->entry_hits, 1, "held by the link");
}

static bool refused(int fd, const struct bpf_program *prog, int err, const char *name)
{
	bool ok = ASSERT_EQ(update(fd, prog), err, name);

	ASSERT_EQ(multi_link_prog_id(fd), multi_prog_id(skel->progs.entry_0), name);
	call_targets();
	check_hits(skel->bss->entry_hits, 0, name);
	return ok;
}

static void test_refused(void)
{
	struct multi_targets t, second = {};
	int fd, other;

	if (!set_targets(&t) || !multi_add(&second, "bpf_fentry_test9") ||
	    !multi_add(&second, "bpf_fentry_test7"))
		return;
	fd = multi_link(skel->progs.entry_0, &t, "attach");
	if (fd < 0)
		return;
	refused(fd, skel->progs.exit_1, -EINVAL, "other attach type");
	refused(fd, skel->progs.entry_single, -EINVAL, "for one target only");
	refused(fd, skel->progs.entry_sleepable, -EINVAL, "sleepable");
	refused(fd, skel->progs.no_tracing, -EINVAL, "other program type");
	refused(fd, skel->progs.entry_typed, -EINVAL, "other prototype");
	ASSERT_EQ(bpf_link_update(fd, -1, NULL), -EBADF, "no program");

	/* nowhere else, and the first of the common targets is the second of each */
	other = multi_link(skel->progs.entry_1, &second, "second link");
	if (other < 0)
		return;
	refused(fd, skel->progs.entry_1, -EBUSY, "attached already");
	ASSERT_EQ(update(other, skel->progs.entry_0), -EBUSY, "attached already, the other way");
	multi_unlink(&other);
	ASSERT_OK(update(fd, skel->progs.entry_1), "no longer attached");
}

/* A link on some of bpf_fentry_test*, the first of them with cookie 1, and so on */
static int link_tests(const struct bpf_program *prog, struct multi_targets *t)
{
	int i;

	for (i = 0; i < t->cnt; i++)
		t->cookies[i] = i + 1;
	t->use_cookies = true;
	skel->bss->pid = getpid();
	return multi_link(prog, t, "attach");
}

/* Neither takes the place of the other: images call the two in different ways. */
static void test_not_sleepable(void)
{
	struct multi_targets t;
	int fd;

	if (!multi_set(&t, "bpf_fentry_test1", NULL))
		return;
	fd = link_tests(skel->progs.entry_sleepable, &t);
	if (fd < 0)
		return;
	ASSERT_EQ(update(fd, skel->progs.entry_0), -EINVAL, "not sleepable");
	ASSERT_EQ(multi_link_prog_id(fd), multi_prog_id(skel->progs.entry_sleepable),
		  "old program");
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	check_first_hits(skel->bss->entry_hits, t.cnt, 1, "sleepable");
}

/* The first target has what the program reads, the second one has not. */
static void test_refused_second(void)
{
	struct multi_targets t;
	int fd;

	if (!multi_set(&t, "bpf_fentry_test2", "bpf_fentry_test7", NULL))
		return;
	fd = link_tests(skel->progs.entry_0, &t);
	if (fd < 0)
		return;
	ASSERT_EQ(update(fd, skel->progs.entry_typed), -EINVAL, "other prototype");
	ASSERT_EQ(multi_link_prog_id(fd), multi_prog_id(skel->progs.entry_0), "old program");
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	check_first_hits(skel->bss->entry_hits, t.cnt, 0, "old program");
	ASSERT_EQ(skel->bss->typed_sum, 0, "new program");
}

/* Only where the program typed by bpf_fentry_test2 fits: called with 2 and 3 */
static void test_typed(void)
{
	struct multi_targets t;
	int fd;

	if (!multi_set(&t, "bpf_fentry_test2", NULL))
		return;
	fd = link_tests(skel->progs.entry_0, &t);
	if (fd < 0 || !ASSERT_OK(update(fd, skel->progs.entry_typed), "update"))
		return;
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_EQ(skel->bss->typed_sum, 2 + 3, "what the new program read");
	ASSERT_EQ(skel->bss->entry_hits[0][1], 0, "old program");
	ASSERT_OK(update(fd, skel->progs.entry_0), "back");
	skel->bss->typed_sum = 0;
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_EQ(skel->bss->typed_sum, 0, "replaced");
	check_first_hits(skel->bss->entry_hits, t.cnt, 0, "back");
}

/* Targets in two programs, whose functions only one of them has */
static bool add_progs(struct multi_targets *t)
{
	return multi_add_prog(t, prog_fd(target->progs.target_tc), "target_sum") &&
	       multi_add_prog(t, prog_fd(target->progs.target_tc_wide), "target_wide");
}

static void check_two_programs(void)
{
	struct multi_targets t = {};
	int fd;

	if (!add_progs(&t))
		return;
	fd = link_tests(skel->progs.entry_0, &t);
	if (fd < 0)
		return;
	/* what it reads only the function of the first has */
	ASSERT_EQ(update(fd, skel->progs.entry_typed), -EINVAL, "other prototype");
	ASSERT_OK(update(fd, skel->progs.entry_1), "programs");
	multi_test_run_tc(target->progs.target_tc, NULL);
	multi_test_run_tc(target->progs.target_tc_wide, NULL);
	check_first_hits(skel->bss->entry_hits, t.cnt, 1, "programs");
	multi_unlink(&fd);
}

static void check_two_modules(void)
{
	struct multi_targets t;
	int fd;

	if (!multi_set(&t, "bpf_testmod:bpf_testmod_fentry_test1",
		       MODULE_X ":bpf_test_modorder_retx", NULL))
		return;
	fd = link_tests(skel->progs.entry_0, &t);
	if (fd < 0)
		return;
	ASSERT_EQ(update(fd, skel->progs.entry_typed), -EINVAL, "other prototype");
	ASSERT_OK(update(fd, skel->progs.entry_1), "modules");
	ASSERT_OK(trigger_module_test_read(1), "call in the module");
	check_first_hits(skel->bss->entry_hits, 1, 1, "modules");
	multi_unlink(&fd);
}

/* Each target is looked for in the object that it is in. */
static void test_objects(void)
{
	check_two_programs();
	if (!ASSERT_OK(multi_load_module(MODULE_X ".ko", ""), "load_module"))
		return;
	check_two_modules();
	ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
}

/* The targets of fmod_ret programs */
#define NR_MODIFIED 2

/* A thread that calls all targets once in each round, and then looks whether of the two
 * programs of each link one has seen the call, and only one: a call that both saw must
 * not make up for one that none saw. Only one thread, as with struct multi_caller.
 */
struct caller {
	pthread_t thread;
	int module_fd;
	bool stop;
	__u64 rounds;
	__u64 errors;
	/* the first call that was seen twice or not at all */
	const char *wrong;
	int wrong_target;
	__u64 wrong_hits;
	__u64 wrong_calls;
};

static int call_round(const struct caller *c)
{
	LIBBPF_OPTS(bpf_test_run_opts, tests);
	LIBBPF_OPTS(bpf_test_run_opts, modify);
	LIBBPF_OPTS(bpf_test_run_opts, tc);
	char pkt[64] = {};

	tc.data_in = pkt;
	tc.data_size_in = sizeof(pkt);
	/* always fails, after the call */
	if (pread(c->module_fd, pkt, 1, 0) >= 0)
		return -EINVAL;
	return bpf_prog_test_run_opts(prog_fd(skel->progs.run_fentry_tests), &tests) ?:
	       bpf_prog_test_run_opts(prog_fd(skel->progs.run_modify_tests), &modify) ?:
	       bpf_prog_test_run_opts(prog_fd(target->progs.target_tc), &tc);
}

/* In each round up to this one the call of each target was seen once. */
static void check_seen(struct caller *c, __u64 hits[][16], int cnt, const char *name)
{
	__u64 seen, calls = c->rounds + 1;
	int i;

	for (i = 1; i <= cnt && !c->wrong; i++) {
		seen = hits[0][i] + hits[1][i];
		if (seen == calls)
			continue;
		c->wrong_target = i;
		c->wrong_hits = seen;
		c->wrong_calls = calls;
		__atomic_store_n(&c->wrong, name, __ATOMIC_SEQ_CST);
	}
}

static void *call_rounds(void *arg)
{
	struct caller *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST)) {
		if (call_round(c))
			c->errors++;
		check_seen(c, skel->bss->entry_hits, NR_TARGETS, "fentry");
		check_seen(c, skel->bss->exit_hits, NR_TARGETS, "fexit");
		check_seen(c, skel->bss->modify_hits, NR_MODIFIED, "fmod_ret");
		__atomic_add_fetch(&c->rounds, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static bool start_caller(struct caller *c)
{
	memset(c, 0, sizeof(*c));
	c->module_fd = open(BPF_TESTMOD_TEST_FILE, O_RDONLY);
	if (!ASSERT_OK_FD(c->module_fd, BPF_TESTMOD_TEST_FILE))
		return false;
	if (ASSERT_OK(pthread_create(&c->thread, NULL, call_rounds, c), "pthread_create"))
		return true;
	close(c->module_fd);
	return false;
}

static void stop_caller(struct caller *c)
{
	__atomic_store_n(&c->stop, true, __ATOMIC_SEQ_CST);
	pthread_join(c->thread, NULL);
	close(c->module_fd);
	ASSERT_EQ(c->errors, 0, "failed calls");
	if (!ASSERT_NULL(c->wrong, "calls not seen once"))
		fprintf(stdout, "%s, target %d: seen %llu times after %llu calls\n", c->wrong,
			c->wrong_target, c->wrong_hits, c->wrong_calls);
}

/* The links whose programs are replaced, of each kind */
struct updated {
	int entry_fd;
	int exit_fd;
	int modify_fd;
};

static bool link_updated(struct updated *u)
{
	struct multi_targets t, modified = { .use_cookies = true, .cookies = { 1, 2 } };

	if (!set_targets(&t) || !multi_add(&modified, "bpf_modify_return_test") ||
	    !multi_add(&modified, "bpf_modify_return_test2"))
		return false;
	skel->bss->pid = getpid();
	u->entry_fd = multi_link(skel->progs.entry_0, &t, "fentry");
	u->exit_fd = multi_link(skel->progs.exit_0, &t, "fexit");
	u->modify_fd = multi_link(skel->progs.modify_0, &modified, "fmod_ret");
	return u->entry_fd >= 0 && u->exit_fd >= 0 && u->modify_fd >= 0;
}

static int update_all(const struct updated *u, bool second)
{
	return update(u->entry_fd, second ? skel->progs.entry_1 : skel->progs.entry_0) ?:
	       update(u->exit_fd, second ? skel->progs.exit_1 : skel->progs.exit_0) ?:
	       update(u->modify_fd, second ? skel->progs.modify_1 : skel->progs.modify_0);
}

/* Of two rounds that end, one has begun after the update. */
static bool update_and_wait(const struct updated *u, struct caller *c, bool second)
{
	__u64 rounds;

	if (!ASSERT_OK(update_all(u, second), "update"))
		return false;
	rounds = __atomic_load_n(&c->rounds, __ATOMIC_SEQ_CST);
	return multi_wait_count(&c->rounds, rounds + 2, "rounds of calls");
}

/* Both programs had their share. */
static void check_shares(__u64 hits[][16], int cnt, const char *name)
{
	int i;

	for (i = 1; i <= cnt; i++) {
		ASSERT_GT(hits[0][i], 0, name);
		ASSERT_GT(hits[1][i], 0, name);
	}
	ASSERT_EQ(hits[0][0] + hits[1][0], 0, "calls without a cookie");
}

static void count_while_updating(void)
{
	int i, cnt = multi_long() ? NR_UPDATES_LONG : NR_UPDATES;
	struct caller c;
	struct updated u;

	if (!link_updated(&u) || !start_caller(&c))
		return;
	for (i = 0; i < cnt && !__atomic_load_n(&c.wrong, __ATOMIC_SEQ_CST); i++) {
		if (!update_and_wait(&u, &c, i % 2 == 0))
			break;
	}
	stop_caller(&c);
	ASSERT_EQ(i, cnt, "updates");
	check_shares(skel->bss->entry_hits, NR_TARGETS, "fentry");
	check_shares(skel->bss->exit_hits, NR_TARGETS, "fexit");
	check_shares(skel->bss->modify_hits, NR_MODIFIED, "fmod_ret");
}

static void test_counts(void)
{
	count_while_updating();
}

static void test_counts_own_images(void)
{
	if (multi_set_sharing(false))
		count_while_updating();
	multi_set_sharing(true);
}

#define EVENT 7

static void *read_event(void *arg)
{
	__u64 event = 0;

	return read(*(int *)arg, &event, sizeof(event)) == sizeof(event) && event == EVENT ?
	       NULL : (void *)-1;
}

/* A call that is in a function with an fentry and an fexit link */
struct flight {
	int event_fd;
	int entry_fd;
	int exit_fd;
	pthread_t thread;
};

static bool flight_begin(struct flight *f, int event_fd)
{
	struct multi_targets t = { .use_cookies = true, .cookies = { 1 } };

	if (!multi_add(&t, "eventfd_read"))
		return false;
	skel->bss->pid = getpid();
	f->event_fd = event_fd;
	f->entry_fd = multi_link(skel->progs.entry_0, &t, "fentry");
	f->exit_fd = multi_link(skel->progs.exit_0, &t, "fexit");
	if (f->entry_fd < 0 || f->exit_fd < 0 ||
	    !ASSERT_OK(pthread_create(&f->thread, NULL, read_event, &f->event_fd),
		       "pthread_create"))
		return false;
	multi_wait_count(&skel->bss->entry_hits[0][1], 1, "in the function");
	return true;
}

static void flight_end(struct flight *f, __u64 old_hits)
{
	__u64 event = EVENT;
	void *ret = NULL;

	ASSERT_EQ(skel->bss->exit_hits[0][1], 0, "still in the function");
	ASSERT_EQ(write(f->event_fd, &event, sizeof(event)), sizeof(event), "wake");
	ASSERT_OK(pthread_join(f->thread, &ret), "pthread_join");
	ASSERT_NULL(ret, "event was read");
	ASSERT_EQ(skel->bss->exit_hits[0][1], old_hits, "old program");
	ASSERT_EQ(skel->bss->exit_hits[1][1], 0, "new program");
}

/* The fexit program is replaced, and maybe detached. */
static void update_in_flight(int event_fd, bool detach)
{
	struct flight f;

	if (!flight_begin(&f, event_fd))
		return;
	ASSERT_OK(update(f.exit_fd, skel->progs.exit_1), "update");
	if (detach)
		multi_unlink(&f.exit_fd);
	flight_end(&f, !detach);
}

/* Both links of a function get other programs, and the old ones are let go. The image
 * that the call is in must keep them.
 */
static void update_both_in_flight(int event_fd)
{
	struct flight f;
	int i;

	if (!flight_begin(&f, event_fd))
		return;
	ASSERT_OK(update(f.entry_fd, skel->progs.entry_1), "update fentry");
	ASSERT_OK(update(f.exit_fd, skel->progs.exit_1), "update fexit");
	replaced = multi_prog_id(skel->progs.exit_0);
	bpf_program__unload(skel->progs.entry_0);
	bpf_program__unload(skel->progs.exit_0);
	for (i = 0; i < 10; i++)
		kern_sync_rcu();
	ASSERT_EQ(replaced_alive(), 1, "held for the call");
	flight_end(&f, 1);
	multi_wait_for(replaced_alive, 0, "replaced program is freed");
}

static void with_event(void (*in_flight)(int event_fd), bool share)
{
	int event_fd = eventfd(0, 0);

	if (!ASSERT_OK_FD(event_fd, "eventfd"))
		return;
	if (share || multi_set_sharing(false))
		in_flight(event_fd);
	multi_set_sharing(true);
	close(event_fd);
}

static void in_flight(int event_fd)
{
	update_in_flight(event_fd, false);
}

static void in_flight_detached(int event_fd)
{
	update_in_flight(event_fd, true);
}

static void test_in_flight(void)
{
	with_event(in_flight, true);
}

static void test_in_flight_own_image(void)
{
	with_event(in_flight, false);
}

static void test_in_flight_detached(void)
{
	with_event(in_flight_detached, true);
}

static void test_in_flight_detached_own_image(void)
{
	with_event(in_flight_detached, false);
}

static void test_in_flight_both(void)
{
	with_event(update_both_in_flight, true);
}

static void test_in_flight_both_own_image(void)
{
	with_event(update_both_in_flight, false);
}

/* What is updated while something fails; overlap: another link, with another program, has
 * two of the targets.
 */
struct failing {
	bool cookies;
	bool overlap;
	int fd;
	int cur;	/* which of the two programs the link has */
	int points;
	int failures;
};

static const struct bpf_program *failing_prog(int i)
{
	return i ? skel->progs.exit_1 : skel->progs.exit_0;
}

/* All targets have the old program, or all have the new one. */
static void check_failing(const struct failing *f)
{
	__u64 (*hits)[16] = skel->bss->exit_hits;

	call_targets();
	if (f->cookies) {
		check_hits(hits, f->cur, "after a failure");
	} else {
		ASSERT_EQ(hits[f->cur][0], NR_TARGETS, "after a failure");
		ASSERT_EQ(hits[!f->cur][0], 0, "after a failure, other program");
		memset(hits, 0, sizeof(skel->bss->exit_hits));
	}
	if (f->overlap)
		check_first_hits(skel->bss->entry_hits, 2, 0, "other link");
	ASSERT_EQ(multi_link_prog_id(f->fd), multi_prog_id(failing_prog(f->cur)),
		  "program of the link");
}

/* Let the nth thing fail that can. Return: was there one? */
static bool fail_update(struct failing *f, int nth)
{
	bool hit;
	int err;

	multi_fault_arm(nth);
	err = update(f->fd, failing_prog(!f->cur));
	hit = multi_fault_disarm();
	/* memory, or the arguments of the call */
	if (err)
		ASSERT_TRUE(hit && (err == -ENOMEM || err == -EFAULT), "error");
	else
		f->cur = !f->cur;
	f->points += hit;
	f->failures += !!err;
	check_failing(f);
	return hit;
}

/* Images have the names of their programs: those of before */
static void use_first(struct failing *f)
{
	if (f->cur && ASSERT_OK(update(f->fd, failing_prog(0)), "back"))
		f->cur = 0;
}

static void fail_updates(struct failing *f)
{
	int nth, each = multi_long() ? 1 : CHECK_EACH;
	struct multi_state before;
	bool hit = true;

	multi_get_state(&before);
	for (nth = 1; hit && nth < NR_FAILURES_MAX; nth++) {
		hit = fail_update(f, nth);
		ASSERT_EQ(multi_enabled_functions(), before.enabled, "enabled_functions");
		if (!hit || nth % each == 0) {
			use_first(f);
			multi_same_state(&before, "left behind");
		}
		if (env.subtest_state->error_cnt) {
			fprintf(stdout, "n %d\n", nth);
			return;
		}
	}
	ASSERT_FALSE(hit, "comes to an end");
}

/* The minima are as in tracing_multi_link_fault. */
static void run_failing(struct failing *f, int min_points, int min_failures)
{
	struct multi_targets t, other;

	if (!set_targets(&t))
		return;
	other = t;
	other.cnt = 2;
	t.use_cookies = f->cookies;
	if (f->overlap && multi_link(skel->progs.entry_0, &other, "other link") < 0)
		return;
	f->fd = multi_link(skel->progs.exit_0, &t, "attach");
	if (f->fd < 0 || !multi_settle())
		return;
	if (multi_faults_begin()) {
		fail_updates(f);
		multi_figure("update: %d points of failure, %d failures", f->points,
			     f->failures);
		ASSERT_GE(f->points, min_points, "points");
		ASSERT_GE(f->failures, min_failures, "failures");
	}
	multi_faults_end();
}

static void test_fail(void)
{
	struct failing f = { .cookies = true };

	run_failing(&f, 12, 12);
}

static void test_fail_plain(void)
{
	struct failing f = {};

	run_failing(&f, 12, 12);
}

static void test_fail_overlap(void)
{
	struct failing f = { .cookies = true, .overlap = true };

	run_failing(&f, 18, 18);
}

static void test_fail_own_images(void)
{
	if (multi_set_sharing(false))
		test_fail();
	multi_set_sharing(true);
}

static bool setup_each(void)
{
	skel = tracing_multi_update__open_and_load();
	target = tracing_multi_target__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load") && ASSERT_OK_PTR(target, "load target");
}

static void teardown_each(void)
{
	tracing_multi_update__destroy(skel);
	tracing_multi_target__destroy(target);
	skel = NULL;
	target = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "entry", test_entry },
	{ "exit", test_exit },
	{ "own_images", test_own_images },
	{ "modify", test_modify },
	{ "old_prog", test_old_prog },
	{ "references", test_references },
	{ "refused", test_refused },
	{ "not_sleepable", test_not_sleepable },
	{ "refused_second", test_refused_second },
	{ "typed", test_typed },
	{ "objects", test_objects },
	{ "counts", test_counts },
	{ "counts_own_images", test_counts_own_images },
	{ "in_flight", test_in_flight },
	{ "in_flight_own_image", test_in_flight_own_image },
	{ "in_flight_detached", test_in_flight_detached },
	{ "in_flight_detached_own_image", test_in_flight_detached_own_image },
	{ "in_flight_both", test_in_flight_both },
	{ "in_flight_both_own_image", test_in_flight_both_own_image },
	{ "fail", test_fail },
	{ "fail_plain", test_fail_plain },
	{ "fail_overlap", test_fail_overlap },
	{ "fail_own_images", test_fail_own_images },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

/* Other tests call the functions, too: not in parallel with them. */
void serial_test_tracing_multi_link_update(void)
{
	multi_run_suite(&suite);
}
