// SPDX-License-Identifier: GPL-2.0
/* Tracing multi-links while everything that changes the same functions, or what they
 * are traced with, comes and goes at the same time: each in a thread of its own.
 *
 * Other threads, one on each of two CPUs, call the functions meanwhile, and programs count
 * the calls: they must miss none and see none twice, which is looked at after each call.
 * There is just one thread, on any CPU, where CPUs come and go.
 *
 * With TRACING_MULTI_LONG=1 in the environment each thread does LONG_FACTOR times as
 * much, there is a subtest with all of them at once, and each subtest goes on until links,
 * programs, tracers and modules have come and gone LONG_STEPS times: more than 10,000 times
 * in all.
 */
#include <test_progs.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_race.skel.h"

#define LONG_FACTOR 10
#define LONG_STEPS 2500
#define NR_CALLERS 2
#define CPU_STEPS 3

#define CPU1 "/sys/devices/system/cpu/cpu1"
#define PATCH_MODULE "bpf_test_ipmodify"
#define PATCH "/sys/kernel/livepatch/" PATCH_MODULE
#define TESTMOD "bpf_testmod"
#define TESTMOD_FILE "/sys/kernel/" TESTMOD

/* of the first target of the module's links; the others follow */
#define MODULE_COOKIE 0x100

#define RETRIES 30000
#define RETRY_US 2000
#define QUICK_RETRIES 1000
#define PERF_PAGES 8
#define PERF_FREQ 4000

/* Which racers take part in a subtest */
enum {
	LINKS = 1,
	TRACERS = 2,
	MODULES = 4,
	CPUS = 8,
};

struct racer {
	const char *name;
	int group;
	/* Change something and change it back: 0 or a negative errno */
	int (*step)(struct racer *r);
	/* Does the kernel have what it takes? Optional */
	bool (*usable)(void);
	__u64 min_steps;
	bool no_more;	/* than min_steps */

	pthread_t thread;
	bool started;
	__u64 steps;
	int err;
};

static __u64 all_steps(void);

static struct tracing_multi_race *skel;
static bool stop;

/* The targets of links that come and go; the links that stay */
static struct multi_targets entry_targets, exit_targets;
static int entry_fd = -1, exit_fd = -1, updated_fd = -1;
static __u64 perf_freq, perf_samples, perf_in_images;

/* Functions that the links have which stay */
#define NR_COUNTED 6
/* Threads that call them */
static int nr_callers;

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_SEQ_CST);
}

static int fd_or_errno(int fd)
{
	return fd < 0 ? -errno : fd;
}

static int close_link(int fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* Most of what is retried with this is there soon. */
static void wait_to_retry(int i)
{
	usleep(i < QUICK_RETRIES ? RETRY_US / 10 : RETRY_US);
}

/* Until the program has run, so that what comes and goes is not gone before that. */
static int wait_hit(const __u64 *hits)
{
	__u64 before = __atomic_load_n(hits, __ATOMIC_SEQ_CST);
	int i;

	/* sooner than those give up who wait for the link to go */
	for (i = 0; i < RETRIES / 2; i++) {
		if (stopped() || __atomic_load_n(hits, __ATOMIC_SEQ_CST) != before)
			return 0;
		wait_to_retry(i);
	}
	return -ENODATA;
}

static int hold_link(int fd, const __u64 *hits)
{
	int err;

	if (fd < 0)
		return fd;
	err = wait_hit(hits);
	close(fd);
	return err;
}

static int step_entry(struct racer *r)
{
	return hold_link(multi_attach(skel->progs.toggled_entry, &entry_targets),
			 &skel->bss->toggled_entry_hits);
}

static int step_exit(struct racer *r)
{
	return hold_link(multi_attach(skel->progs.toggled_exit, &exit_targets),
			 &skel->bss->toggled_exit_hits);
}

/* Until each caller has called all functions with it */
static int wait_updated(bool second)
{
	int i, err = 0;

	for (i = 0; !err && i < nr_callers; i++)
		err = wait_hit(&skel->bss->updated_hits[second][i][NR_COUNTED]);
	return err;
}

static int step_update(struct racer *r)
{
	bool second = r->steps % 2 == 0;
	const struct bpf_program *prog;

	prog = second ? skel->progs.updated_second : skel->progs.updated_first;
	if (bpf_link_update(updated_fd, bpf_program__fd(prog), NULL))
		return -errno;
	return wait_updated(second);
}

static int toggle_single(const struct bpf_program *prog, const __u64 *hits)
{
	return hold_link(fd_or_errno(bpf_raw_tracepoint_open(NULL, bpf_program__fd(prog))),
			 hits);
}

static int step_single_entry(struct racer *r)
{
	return toggle_single(skel->progs.single_entry, &skel->bss->single_entry_hits);
}

static int step_single_exit(struct racer *r)
{
	return toggle_single(skel->progs.single_exit, &skel->bss->single_exit_hits);
}

static int step_lsm(struct racer *r)
{
	return toggle_single(skel->progs.lsm_hook, &skel->bss->lsm_hits);
}

static int attach_kprobes(void)
{
	static const char *const syms[] = {
		"bpf_fentry_test6", "bpf_fentry_test4", "bpf_fentry_test7", "bpf_fentry_test8",
	};
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	opts.kprobe_multi.syms = (const char **)syms;
	opts.kprobe_multi.cnt = ARRAY_SIZE(syms);
	return fd_or_errno(bpf_link_create(bpf_program__fd(skel->progs.kprobes), 0,
					   BPF_TRACE_KPROBE_MULTI, &opts));
}

static int step_kprobes(struct racer *r)
{
	return hold_link(attach_kprobes(), &skel->bss->kprobe_hits);
}

static bool has_kprobes(void)
{
	return close_link(attach_kprobes()) != -EOPNOTSUPP;
}

static int set_tracer(const char *name)
{
	return multi_write_file(multi_tracefs(), "current_tracer", name) ? 0 : -errno;
}

static int toggle_tracer(const char *name)
{
	int err = set_tracer(name);

	usleep(1000);
	return set_tracer("nop") ?: err;
}

static bool has_tracer(const char *name)
{
	char tracers[256];

	return multi_read_file(multi_tracefs(), "available_tracers", tracers, sizeof(tracers)) &&
	       strstr(tracers, name);
}

static bool has_tracers(void)
{
	return has_tracer("function_graph") && has_tracer("function ");
}

static int step_tracers(struct racer *r)
{
	return toggle_tracer(r->steps % 2 ? "function" : "function_graph");
}

static int step_module(struct racer *r)
{
	int err = multi_unload_module(TESTMOD);

	return err ?: multi_load_module(TESTMOD ".ko", "");
}

static int attach_module(int btf_fd)
{
	struct multi_targets t = entry_targets;
	struct btf *btf;
	int i, id;

	btf = btf__load_from_kernel_by_id_split(multi_btf_obj_id(btf_fd), multi_vmlinux_btf());
	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, "bpf_testmod_fentry_test1", BTF_KIND_FUNC);
	btf__free(btf);
	if (id < 0)
		return id;
	t.ids[0] = id;
	t.fds[0] = btf_fd;
	for (i = 0; i < t.cnt; i++)
		t.cookies[i] = MODULE_COOKIE + i;
	t.use_cookies = true;
	return multi_attach(skel->progs.toggled_module, &t);
}

static int try_module_link(void)
{
	int err, btf_fd = multi_open_module_btf(TESTMOD);

	if (btf_fd < 0)
		return btf_fd;
	err = hold_link(attach_module(btf_fd), &skel->bss->module_hits);
	close(btf_fd);
	return err;
}

/* The module may come or go at any point of this; a step is a link that worked. */
static int step_module_link(struct racer *r)
{
	int i, err = 0;

	for (i = 0; i < RETRIES && !stopped(); i++) {
		err = try_module_link();
		if (err != -ENOENT && err != -ENODEV)
			return err;
		wait_to_retry(i);
	}
	return stopped() ? 0 : err;
}

/* Calls the module's function, if it is there. */
static int step_module_call(struct racer *r)
{
	int i, fd = -1;
	char c;

	for (i = 0; i < RETRIES && !stopped() && fd < 0; i++) {
		fd = open(TESTMOD_FILE, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			wait_to_retry(i);
	}
	if (fd < 0)
		return stopped() ? 0 : -ENOENT;
	/* it may go meanwhile, and the file has nothing to read */
	if (read(fd, &c, 1) < 0)
		wait_to_retry(0);
	close(fd);
	usleep(RETRY_US);
	return 0;
}

static int wait_patch(const char *number)
{
	return multi_wait_transition(PATCH, number) ? 0 : -ETIMEDOUT;
}

static int step_patch(struct racer *r)
{
	int err = multi_load_module(PATCH_MODULE ".ko", "user=livepatch");

	if (err)
		return err;
	err = wait_patch("0");
	if (!multi_write_file(PATCH, "enabled", "0"))
		return -errno;
	return wait_patch("") ?: multi_unload_module(PATCH_MODULE) ?: err;
}

static bool has_patch(void)
{
	return !access("/sys/kernel/livepatch", F_OK);
}

/* Others may forbid it for a moment. */
static int set_cpu(const char *online)
{
	int i;

	for (i = 0; i < RETRIES; i++) {
		if (multi_write_file(CPU1, "online", online))
			return 0;
		if (errno != EBUSY)
			return -errno;
		usleep(RETRY_US);
	}
	return -ETIMEDOUT;
}

/* Wait until others have done nr more steps, or it takes too long. */
static void wait_steps(__u64 nr)
{
	__u64 end = all_steps() + nr;
	int i;

	for (i = 0; i < RETRIES; i++) {
		if (stopped() || all_steps() >= end)
			return;
		wait_to_retry(i);
	}
}

/* While the CPU is away, others change what its instruction cache has. */
static int step_cpu(struct racer *r)
{
	int err = set_cpu("0");

	wait_steps(CPU_STEPS);
	err = set_cpu("1") ?: err;
	wait_steps(CPU_STEPS);
	return err;
}

static bool has_cpu(void)
{
	return !access(CPU1 "/online", W_OK);
}

/* Programs and images of trampolines */
#define MAX_BPF_SYMS 1024

static struct bpf_sym {
	__u64 addr;
	bool image;
} bpf_syms[MAX_BPF_SYMS];
static int nr_bpf_syms;

static void read_bpf_syms(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512];

	nr_bpf_syms = 0;
	if (!f)
		return;
	while (nr_bpf_syms < MAX_BPF_SYMS && fgets(line, sizeof(line), f)) {
		if (!strstr(line, "[bpf]"))
			continue;
		bpf_syms[nr_bpf_syms].addr = strtoull(line, NULL, 16);
		bpf_syms[nr_bpf_syms++].image = strstr(line, " bpf_trampoline_");
	}
	fclose(f);
}

/* Is the last of them that begins in front of it an image, in the same page or the next? */
static bool is_in_image(__u64 addr)
{
	const struct bpf_sym *last = NULL;
	int i;

	for (i = 0; i < nr_bpf_syms; i++) {
		if (bpf_syms[i].addr <= addr && addr - bpf_syms[i].addr < getpagesize() &&
		    (!last || bpf_syms[i].addr > last->addr))
			last = &bpf_syms[i];
	}
	return last && last->image;
}

/* sample: address, number of those of the stack, these */
static bool has_image(const __u64 *sample)
{
	bool has = is_in_image(sample[0]);
	__u64 i;

	for (i = 0; i < sample[1] && !has; i++)
		has = is_in_image(sample[2 + i]);
	return has;
}

/* The samples that are in the buffer, which hold an address and a stack each. Nobody moves
 * its tail: what comes when it is full is lost, and nothing is written over.
 */
static int count_samples(const struct perf_event_mmap_page *page)
{
	const char *data = (const char *)page + getpagesize();
	size_t size = PERF_PAGES * getpagesize(), pos = 0;
	__u64 head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	const struct perf_event_header *h;
	int samples = 0;

	while (pos + sizeof(*h) <= head && pos + sizeof(*h) <= size) {
		h = (const void *)(data + pos);
		if (h->size < sizeof(*h))
			return -EBADMSG;
		/* address, number of callers */
		if (h->type == PERF_RECORD_SAMPLE && pos + h->size <= size) {
			const __u64 *sample = (const void *)(h + 1);

			if (!sample[0] || sizeof(*h) + (2 + sample[1]) * 8 != h->size)
				return -EBADMSG;
			perf_in_images += has_image(sample);
			samples++;
		}
		pos += h->size;
	}
	return samples;
}

/* Where the kernel is, and who called it there, at random moments: in images, too. */
static int step_perf(struct racer *r)
{
	size_t size = (PERF_PAGES + 1) * getpagesize();
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN,
		.freq = 1,
		.sample_freq = perf_freq,
		.exclude_callchain_user = 1,
	};
	struct perf_event_mmap_page *page;
	int fd, samples;

	fd = syscall(__NR_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		samples = -errno;
		close(fd);
		return samples;
	}
	usleep(10000);
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	read_bpf_syms();
	samples = count_samples(page);
	munmap(page, size);
	close(fd);
	if (samples < 0)
		return samples;
	perf_samples += samples;
	return 0;
}

static int step_stats(struct racer *r)
{
	int fd = fd_or_errno(bpf_enable_stats(BPF_STATS_RUN_TIME));

	usleep(1000);
	return close_link(fd);
}

static struct racer racers[] = {
	{ "fentry links", LINKS, step_entry, .min_steps = 10 },
	{ "fexit links", LINKS, step_exit, .min_steps = 10 },
	{ "updates", LINKS, step_update, .min_steps = 10 },
	{ "single fentry", LINKS, step_single_entry, .min_steps = 5 },
	{ "single fexit", LINKS, step_single_exit, .min_steps = 5 },
	{ "lsm", LINKS, step_lsm, .min_steps = 5 },
	{ "kprobe_multi", TRACERS, step_kprobes, has_kprobes, .min_steps = 3 },
	{ "tracers", TRACERS, step_tracers, has_tracers, .min_steps = 3 },
	{ "module", MODULES, step_module, .min_steps = 2 },
	{ "module's links", MODULES, step_module_link, .min_steps = 2 },
	{ "module's calls", MODULES, step_module_call, .min_steps = 2 },
	{ "live patch", MODULES, step_patch, has_patch, .min_steps = 1 },
	/* Linux 6.12 warns if the scheduler's deadline server of fair tasks is not done with a
	 * CPU that goes ("Dying CPU not properly vacated!"), which busy machines meet sometimes.
	 */
	{ "cpu", CPUS, step_cpu, has_cpu, .min_steps = 4, .no_more = true },
	{ "perf", CPUS, step_perf, .min_steps = 5 },
	{ "stats", CPUS, step_stats, .min_steps = 5 },
};

static __u64 min_steps(const struct racer *r)
{
	return multi_long() ? LONG_FACTOR * r->min_steps : r->min_steps;
}

static void *race(void *arg)
{
	struct racer *r = arg;

	while (!stopped() && !(r->no_more && r->steps >= min_steps(r))) {
		r->err = r->step(r);
		if (r->err)
			break;
		__atomic_add_fetch(&r->steps, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static bool is_usable(const struct racer *r)
{
	bool usable = !r->usable || r->usable();

	if (!usable)
		fprintf(stdout, "this kernel has no %s\n", r->name);
	return usable;
}

static bool start(struct racer *r, int groups)
{
	r->steps = 0;
	r->err = 0;
	r->started = false;
	if (!(r->group & groups))
		return true;
	if (!is_usable(r))
		return true;
	r->started = ASSERT_OK(pthread_create(&r->thread, NULL, race, r), r->name);
	return r->started;
}

static bool has_failed(const struct racer *r)
{
	return r->started && __atomic_load_n(&r->err, __ATOMIC_SEQ_CST);
}

static bool is_done(const struct racer *r)
{
	return !r->started || __atomic_load_n(&r->steps, __ATOMIC_SEQ_CST) >= min_steps(r);
}

/* Of those that change what is called */
static __u64 all_steps(void)
{
	__u64 steps = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		if (racers[i].group != CPUS && racers[i].step != step_module_call)
			steps += __atomic_load_n(&racers[i].steps, __ATOMIC_SEQ_CST);
	}
	return steps;
}

/* Has each done enough, or is there no point in waiting for that? */
static bool all_done(void)
{
	bool done = !multi_long() || all_steps() >= LONG_STEPS;
	int i;

	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		if (has_failed(&racers[i]))
			return true;
		done &= is_done(&racers[i]);
	}
	return done;
}

static void join(struct racer *r)
{
	if (!r->started)
		return;
	pthread_join(r->thread, NULL);
	r->started = false;
	ASSERT_OK(r->err, r->name);
	ASSERT_GE(r->steps, min_steps(r), r->name);
}

/* What stays attached. Only the updates come to the first and the fourth function, and
 * they don't take a call away from an image that it is in.
 */
static bool attach_counted(void)
{
	struct multi_targets t;
	int i;

	if (!multi_set(&t, "bpf_fentry_test6", "bpf_fentry_test7", "bpf_fentry_test8",
		       "bpf_fentry_test2", "bpf_modify_return_test", "bpf_lsm_task_getpgid", NULL))
		return false;
	for (i = 0; i < NR_COUNTED; i++)
		t.cookies[i] = i + 1;
	t.use_cookies = true;
	entry_fd = multi_link(skel->progs.count_entry, &t, "counted fentry");
	exit_fd = multi_link(skel->progs.count_exit, &t, "counted fexit");
	updated_fd = multi_link(skel->progs.updated_first, &t, "updated fentry");
	return entry_fd >= 0 && exit_fd >= 0 && updated_fd >= 0;
}

static void detach_counted(void)
{
	multi_unlink(&entry_fd);
	multi_unlink(&exit_fd);
	multi_unlink(&updated_fd);
}

static bool set_targets(void)
{
	return multi_set(&entry_targets, "bpf_fentry_test3", "bpf_fentry_test7",
			 "bpf_fentry_test8", "bpf_fentry_test4", "bpf_modify_return_test",
			 "bpf_lsm_task_getpgid", "bpf_lsm_bpf", NULL) &&
	       multi_set(&exit_targets, "bpf_fentry_test8", "bpf_fentry_test4",
			 "bpf_fentry_test5", "bpf_modify_return_test", "bpf_lsm_task_getpgid",
			 "bpf_lsm_bpf", NULL);
}

/* A thread that calls the functions. It stays on its CPU: a program that is interrupted
 * for another task that calls the function on the same CPU is not run there.
 */
static struct caller {
	pthread_t thread;
	int cpu;	/* -1: any */
	__u64 calls;
	__u64 exit_hits[NR_COUNTED + 1];	/* after the call before */
	int err;
	bool miscounted;
} callers[NR_CALLERS];

static __u64 updated_hits(int caller, int i)
{
	return skel->bss->updated_hits[0][caller][i] + skel->bss->updated_hits[1][caller][i];
}

/* When an image goes out of use, who is in the function leaves without calling the fexit
 * programs in it: at most one call of each caller, each time that something comes or goes.
 */
static __u64 may_miss(void)
{
	return 2 * all_steps();
}

/* All that the caller called was seen once, but for what may_miss() tells of. */
static bool is_counted(struct caller *c)
{
	int i, caller = c - callers;
	const __u64 *entry = skel->bss->entry_hits[caller], *exit = skel->bss->exit_hits[caller];
	__u64 calls = c->calls, seen;

	for (i = 1; i <= NR_COUNTED; i++) {
		seen = exit[i] - c->exit_hits[i];
		c->exit_hits[i] = exit[i];
		if (entry[i] != calls || updated_hits(caller, i) != calls || seen > 1)
			return false;
	}
	return exit[1] == calls && exit[4] == calls;
}

static void check_counts(int caller, __u64 calls)
{
	const __u64 *first = skel->bss->updated_hits[0][caller];
	const __u64 *second = skel->bss->updated_hits[1][caller];
	const __u64 *exit = skel->bss->exit_hits[caller];
	__u64 missed = 0;
	int i;

	for (i = 1; i <= NR_COUNTED; i++) {
		ASSERT_EQ(skel->bss->entry_hits[caller][i], calls, "calls seen at entry");
		ASSERT_EQ(first[i] + second[i], calls, "calls seen by either program");
		ASSERT_GT(first[i], 0, "calls seen by the first");
		ASSERT_GT(second[i], 0, "calls seen by the second");
		ASSERT_LE(exit[i], calls, "calls seen at exit");
		ASSERT_GE(exit[i] + may_miss(), calls, "calls seen at exit, at least");
		ASSERT_GT(exit[i], 0, "calls seen at exit");
		missed += calls - exit[i];
	}
	multi_figure("race, caller %d: %llu rounds of calls, fexit missed %llu calls in flight",
		     caller, calls, missed);
	ASSERT_EQ(exit[1], calls, "calls of the first seen at exit");
	ASSERT_EQ(exit[4], calls, "calls of the fourth seen at exit");
	ASSERT_EQ(skel->bss->entry_hits[caller][0], 0, "cookie at entry");
	ASSERT_EQ(exit[0], 0, "cookie at exit");
	ASSERT_EQ(first[0] + second[0], 0, "cookie of either program");
	ASSERT_EQ(skel->bss->module_strays, 0, "cookie of the module's links");
}

static int run(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
}

/* Must be called last: wait_updated() waits for the last of those that are counted. */
static int call_hook(void)
{
	return getpgid(getpid()) < 0 ? -errno : 0;
}

static int stay_on(int cpu)
{
	cpu_set_t cpus;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return -pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

static void *call_until_stopped(void *arg)
{
	struct caller *c = arg;

	skel->bss->tids[c - callers] = sys_gettid();
	c->err = stay_on(c->cpu);
	while (!c->err && !c->miscounted && !stopped()) {
		c->err = run(skel->progs.run_fentry_tests) ?:
			 run(skel->progs.run_modify_tests) ?: call_hook();
		if (c->err)
			break;
		c->calls++;
		c->miscounted = !is_counted(c);
		/* or grace periods that others wait for last until we don't run */
		if (c->calls % 4 == 0)
			usleep(10);
	}
	return NULL;
}

/* The CPUs for the callers; fewer if we have not as many. */
static int find_cpus(int *cpus)
{
	cpu_set_t set;
	int cpu, cnt = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (cpu = 0; cpu < CPU_SETSIZE && cnt < NR_CALLERS; cpu++) {
		if (CPU_ISSET(cpu, &set))
			cpus[cnt++] = cpu;
	}
	return cnt;
}

static void start_callers(int groups)
{
	int i, cpus[NR_CALLERS] = { -1 }, cnt = find_cpus(cpus);
	struct caller *c;

	if (sysconf(_SC_NPROCESSORS_ONLN) >= NR_CALLERS)
		ASSERT_EQ(cnt, NR_CALLERS, "CPUs to call on");
	/* a CPU that goes leaves nobody on it */
	nr_callers = (groups & CPUS) || cnt < NR_CALLERS ? 1 : NR_CALLERS;
	for (i = 0; i < nr_callers; i++) {
		c = &callers[i];
		*c = (struct caller) { .cpu = nr_callers > 1 ? cpus[i] : -1 };
		if (!ASSERT_OK(pthread_create(&c->thread, NULL, call_until_stopped, c),
			       "pthread_create"))
			nr_callers = i;
	}
}

static bool has_caller_failed(void)
{
	int i;

	for (i = 0; i < nr_callers; i++) {
		if (__atomic_load_n(&callers[i].err, __ATOMIC_SEQ_CST) ||
		    __atomic_load_n(&callers[i].miscounted, __ATOMIC_SEQ_CST))
			return true;
	}
	return !nr_callers;
}

static void join_callers(void)
{
	int i;

	for (i = 0; i < nr_callers; i++) {
		pthread_join(callers[i].thread, NULL);
		ASSERT_OK(callers[i].err, "call");
		ASSERT_FALSE(callers[i].miscounted, "a call was not counted once");
		ASSERT_GT(callers[i].calls, 0, "calls");
		check_counts(i, callers[i].calls);
	}
}

static void race_counted(int groups)
{
	int i;

	stop = false;
	start_callers(groups);
	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		if (!start(&racers[i], groups))
			break;
	}
	while (!all_done() && !has_caller_failed())
		usleep(RETRY_US);
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	for (i = 0; i < ARRAY_SIZE(racers); i++)
		join(&racers[i]);
	join_callers();
	multi_figure("race: links, programs, tracers, modules came and went %llu times",
		     all_steps());
}

static bool filter_tracers(bool on)
{
	return ASSERT_TRUE(multi_write_file(multi_tracefs(), "set_ftrace_filter",
					    on ? "bpf_fentry_test*\n" : "\n"),
			   "set_ftrace_filter");
}

/* What a racer that failed may have left, for the tests that follow. */
static void restore(int groups)
{
	if ((groups & TRACERS) && has_tracers()) {
		ASSERT_OK(set_tracer("nop"), "no tracer");
		filter_tracers(false);
	}
	if ((groups & MODULES) && !ASSERT_OK(access("/sys/module/" TESTMOD, F_OK), TESTMOD))
		ASSERT_OK(load_bpf_testmod(false), "load it again");
	if ((groups & MODULES) && !access("/sys/module/" PATCH_MODULE, F_OK)) {
		multi_write_file(PATCH, "enabled", "0");
		ASSERT_OK(wait_patch("") ?: multi_unload_module(PATCH_MODULE), PATCH_MODULE);
	}
	if ((groups & CPUS) && has_cpu())
		ASSERT_OK(set_cpu("1"), "cpu is online");
}

static void run_race(int groups)
{
	struct multi_state before;

	if (!set_targets() || !multi_settle())
		return;
	if ((groups & TRACERS) && has_tracers() && !filter_tracers(true))
		return;
	multi_get_state(&before);
	if (attach_counted())
		race_counted(groups);
	detach_counted();
	restore(groups);
	multi_same_state(&before, "left behind");
}

static void test_links(void)
{
	run_race(LINKS);
}

static void test_tracers(void)
{
	run_race(LINKS | TRACERS);
}

static void test_modules(void)
{
	run_race(LINKS | MODULES);
}

static void run_cpus(int groups)
{
	perf_freq = read_perf_max_sample_freq();
	if (perf_freq > PERF_FREQ)
		perf_freq = PERF_FREQ;
	perf_samples = 0;
	perf_in_images = 0;
	run_race(groups | CPUS);
	multi_figure("race: %llu samples by perf, %llu with an image on the stack",
		     perf_samples, perf_in_images);
	ASSERT_GT(perf_samples, 0, "samples");
	/* few samples may meet none by chance */
	if (multi_long())
		ASSERT_GT(perf_in_images, 0, "samples with an image");
}

static void test_cpus(void)
{
	if (!has_cpu()) {
		test__skip();
		return;
	}
	run_cpus(LINKS);
}

static void test_all(void)
{
	run_cpus(LINKS | TRACERS | MODULES);
}

/* A race that lacks some is less than it could be, which should not go unnoticed. */
static void test_all_kinds(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		if (!is_usable(&racers[i]))
			test__skip();
	}
}

static bool setup_each(void)
{
	skel = tracing_multi_race__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load");
}

static void teardown_each(void)
{
	tracing_multi_race__destroy(skel);
	skel = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "all_kinds", test_all_kinds },
	{ "links", test_links },
	{ "tracers", test_tracers },
	{ "modules", test_modules },
	{ "cpus", test_cpus },
	{ "all", test_all, .is_long = true },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link_race(void)
{
	multi_run_suite(&suite);
}
