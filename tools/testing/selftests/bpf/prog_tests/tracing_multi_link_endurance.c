// SPDX-License-Identifier: GPL-2.0
/* Tracing multi-links that come and go, round by round, must leave the memory of the
 * kernel as it was.
 *
 * With TRACING_MULTI_LONG=1 in the environment for an hour, and the memory is looked at
 * each five minutes: a table tells how much it is. Otherwise for some rounds.
 */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_memory.h"
#include "tracing_multi_endurance.skel.h"
#include "tracing_multi_stress.skel.h"
#include "tracing_multi_target.skel.h"

#define NR_SAMPLES 2
#define NR_SAMPLES_LONG 12
#define ROUNDS 6
#define SECS_LONG 300
#define ATTACH_ALL 50		/* in the second of so many rounds */
#define SAMPLE_TRIES 10

/* What else the kernel frees late or keeps is not the same at any two moments, such as the
 * stacks of tasks that are gone, for new ones. Neither is the number of its workers, which
 * end when they have been idle for five minutes: a task takes this much in slabs, and with
 * its stack in all, or less.
 */
#define MAX_GROWTH (64 * 1024)
#define TASK_OBJECTS (14 * 1024)
#define TASK_ALL (40 * 1024)

struct sample {
	long long secs;
	__u64 rounds;
	int tasks;
	long long jit;
	struct mem mem;
};

static struct tracing_multi_stress *skel;
static struct tracing_multi_target *target;
static __u64 rounds, links;
static long long start_secs;

static long long now_secs(void)
{
	return get_time_ns() / 1000000000;
}

static int link_some(const struct bpf_program *prog, const struct multi_targets *t)
{
	int fd = multi_link(prog, t, bpf_program__name(prog));

	links += fd >= 0;
	return fd;
}

static bool run(void)
{
	return multi_test_run(skel->progs.run_fentry_tests, NULL) &&
	       multi_test_run_tc(target->progs.target_tc, NULL);
}

/* Functions of the kernel, a module and a program, with cookies */
static bool set_mixed(struct multi_targets *t)
{
	int i;

	if (!multi_set(t, "bpf_fentry_test1", "bpf_fentry_test7", "bpf_fentry_test8",
		       "bpf_fentry_test2", "bpf_testmod:bpf_testmod_multi_8", NULL) ||
	    !multi_add_prog(t, bpf_program__fd(target->progs.target_tc), "target_sum"))
		return false;
	t->use_cookies = true;
	for (i = 0; i < t->cnt; i++)
		t->cookies[i] = i;
	return true;
}

static bool run_single(const struct bpf_program *prog)
{
	int fd = bpf_raw_tracepoint_open(NULL, bpf_program__fd(prog));
	bool ok;

	if (!ASSERT_OK_FD(fd, bpf_program__name(prog)))
		return false;
	ok = run();
	close(fd);
	return ok;
}

/* Links that overlap, one with images of its own, an update, single programs; they go in
 * another order than they came.
 */
static bool overlap(void)
{
	struct multi_targets mixed, few;
	int entry, leave, own;
	bool ok;

	if (!set_mixed(&mixed) ||
	    !multi_set(&few, "bpf_fentry_test7", "bpf_fentry_test8", "bpf_fentry_test4", NULL))
		return false;
	entry = link_some(skel->progs.count_entry, &mixed);
	leave = link_some(skel->progs.count_exit, &mixed);
	multi_set_sharing(false);
	own = link_some(skel->progs.toggle_entry, &few);
	multi_set_sharing(true);
	ok = run() && run_single(skel->progs.toggle_single_entry) &&
	     run_single(skel->progs.toggle_single_exit);
	multi_unlink(&leave);
	ok &= ASSERT_OK(bpf_link_update(entry, bpf_program__fd(skel->progs.any_entry), NULL),
			"update") && run();
	multi_unlink(&entry);
	ok &= run();
	multi_unlink(&own);
	return ok;
}

/* The last target is one that the link has twice. */
static bool refuse(void)
{
	struct multi_targets t;

	return set_mixed(&t) && multi_add(&t, "bpf_fentry_test2") &&
	       multi_refused(skel->progs.count_exit, &t, -EINVAL, t.cnt - 1, "twice");
}

static bool attach_pattern(const struct bpf_program *prog, const char *pattern)
{
	struct bpf_link *link;
	bool ok;

	link = bpf_program__attach_tracing_multi(prog, pattern, NULL);
	if (!ASSERT_OK_PTR(link, pattern))
		return false;
	links++;
	ok = run();
	return ASSERT_OK(bpf_link__destroy(link), "destroy") && ok;
}

static void attach_and_wait(void *arg)
{
	if (bpf_program__attach_tracing_multi(skel->progs.any_exit, "tcp_*", NULL))
		pause();
}

/* Whether it has come to attach by then is another time each time. */
static bool kill_child(void)
{
	pid_t pid = multi_fork(attach_and_wait, NULL);

	if (pid < 0)
		return false;
	usleep(rounds % 10 * 50000);
	kill(pid, SIGKILL);
	multi_expect_killed(pid);
	return true;
}

static bool play_round(void)
{
	bool ok;

	skel = tracing_multi_stress__open_and_load();
	target = tracing_multi_target__open_and_load();
	ok = ASSERT_OK_PTR(skel, "open_and_load") && ASSERT_OK_PTR(target, "target");
	if (ok) {
		skel->bss->pid = getpid();
		ok = overlap() && refuse() && kill_child() &&
		     attach_pattern(skel->progs.any_exit, "vfs_*");
	}
	if (ok && rounds % ATTACH_ALL == 1)
		ok = attach_pattern(skel->progs.any_entry, "*");
	tracing_multi_target__destroy(target);
	tracing_multi_stress__destroy(skel);
	rounds += ok;
	return ok;
}

static bool play(__u64 end_round, long long end_secs)
{
	while (rounds < end_round || now_secs() < end_secs) {
		if (!play_round())
			return false;
	}
	return true;
}

/* "0.20 0.18 0.12 1/80 11206": of 80 tasks one runs */
static int count_tasks(void)
{
	char text[128];
	int tasks = 0;

	if (ASSERT_TRUE(multi_read_file("/proc", "loadavg", text, sizeof(text)), "loadavg"))
		ASSERT_EQ(sscanf(text, "%*s %*s %*s %*d/%d", &tasks), 1, "loadavg");
	return tasks;
}

static long long jit_bytes(void)
{
	struct tracing_multi_endurance *jit = tracing_multi_endurance__open_and_load();
	long long bytes = -1;

	if (ASSERT_OK_PTR(jit, "open_and_load") && multi_test_run(jit->progs.read_jit, NULL))
		bytes = jit->bss->jit_bytes;
	tracing_multi_endurance__destroy(jit);
	return bytes;
}

static void print_heading(void)
{
	multi_figure("%6s %7s %7s %6s | %11s %11s %9s %9s %12s", "s", "rounds", "links",
		     "tasks", "in slabs", "vmalloc", "BPF code", "per-CPU", "all, bytes");
}

static void print_sample(const struct sample *s)
{
	multi_figure("%6lld %7llu %7llu %6d | %11lld %11lld %9lld %9lld %12lld", s->secs,
		     s->rounds, links, s->tasks, s->mem.objects,
		     s->mem.vmalloc - s->mem.stacks, s->jit, s->mem.percpu, s->mem.exact);
}

/* Areas of vmalloc that were freed are kept, until page tables are changed as for a
 * module that is loaded.
 */
static bool purge_areas(void)
{
	/* what is known of the module's BTF goes with it */
	multi_fini();
	return ASSERT_OK(multi_unload_module("bpf_testmod"), "unload bpf_testmod") &&
	       ASSERT_OK(load_bpf_testmod(false), "load_bpf_testmod") && multi_init();
}

/* Again if tasks came or went meanwhile: what they take is part of the memory. */
static bool read_sample(struct sample *s)
{
	int i, before;

	if (!purge_areas())
		return false;
	for (i = 0; i < SAMPLE_TRIES; i++) {
		before = count_tasks();
		mem_settle(&s->mem);
		s->tasks = count_tasks();
		if (s->tasks == before)
			break;
	}
	s->secs = now_secs() - start_secs;
	s->rounds = rounds;
	s->jit = jit_bytes();
	return s->jit >= 0;
}

static bool is_more(const char *name, long long now, long long max)
{
	if (now > max)
		fprintf(stdout, "%s: %lld, expected at most %lld\n", name, now, max);
	return now > max;
}

static bool has_grown(const struct sample *first, const struct sample *s)
{
	long long vmalloc = first->mem.vmalloc - first->mem.stacks;
	long long tasks = s->tasks - first->tasks;

	if (tasks < 0)
		tasks = 0;
	return is_more("in slabs", s->mem.objects,
		       first->mem.objects + MAX_GROWTH + tasks * TASK_OBJECTS) |
	       is_more("vmalloc without stacks", s->mem.vmalloc - s->mem.stacks,
		       vmalloc + MAX_GROWTH) |
	       is_more("code of programs and images", s->jit, first->jit) |
	       is_more("per-CPU", s->mem.percpu, first->mem.percpu + MAX_GROWTH) |
	       is_more("all", s->mem.exact,
		       first->mem.exact + 4 * MAX_GROWTH + tasks * TASK_ALL);
}

static bool take_sample(struct sample *s)
{
	if (!read_sample(s))
		return false;
	print_sample(s);
	return true;
}

/* What has leaked stays. What is freed late, because the machine is busy, doesn't. */
static bool take_sample_like(const struct sample *first)
{
	struct sample s;
	bool grown = true;
	int i;

	for (i = 0; grown && i < SAMPLE_TRIES; i++) {
		if (!take_sample(&s))
			return false;
		grown = has_grown(first, &s);
	}
	return ASSERT_FALSE(grown, "memory has grown");
}

/* What rounds leave behind just once is there before the first sample. */
static void play_and_sample(void)
{
	int i, cnt = multi_long() ? NR_SAMPLES_LONG : NR_SAMPLES;
	long long secs = multi_long() ? SECS_LONG : 0;
	struct multi_state before;
	struct sample first;

	if (!multi_settle())
		return;
	multi_get_state(&before);
	print_heading();
	start_secs = now_secs();
	if (!play(ROUNDS, 0) || !take_sample(&first))
		return;
	multi_same_state(&before, "left behind");
	for (i = 1; i <= cnt; i++) {
		if (!play((i + 1) * ROUNDS, start_secs + i * secs) || !take_sample_like(&first))
			return;
		multi_same_state(&before, "left behind");
	}
}

static void test_memory(void)
{
	if (ASSERT_OK(mem_open(), "mem_open"))
		play_and_sample();
	mem_close();
}

static const struct multi_subtest subtests[] = {
	{ "memory", test_memory },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
};

void serial_test_tracing_multi_link_endurance(void)
{
	multi_run_suite(&suite);
}
