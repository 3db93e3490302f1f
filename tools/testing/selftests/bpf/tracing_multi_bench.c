// SPDX-License-Identifier: GPL-2.0
/*
 * tracing_multi_bench: what it costs to trace many functions
 *
 * For each way to trace functions (a row) and each number of functions (a column):
 * how long attaching and detaching takes, how much memory the kernel has less while
 * attached, and how long a traced call takes. Prints one line of JSON for each.
 *
 * Meant for an emulated machine with one CPU whose clock counts instructions (qemu
 * -icount shift=0): only there the times are those of the kernel alone, and the same
 * in each run. Refuses kernels that are built to find mistakes.
 *
 * All rows of a column get the same functions, those of which multi-link programs can
 * trace entry and exit: a fixed random selection for the columns that aren't "all".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <linux/types.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "bpf_util.h"
#include "tracing_multi_memory.h"
#include "tracing_multi_bench.skel.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define SINGLES		300	/* functions with a program of their own */
#define MORE_ROUNDS	8
#define CALL_ROUNDS	16
#define CHECK_CHUNK	64
#define AFTER_SECS	20
#define NSEC_PER_SEC	1000000000LL
#define MAX_COLUMNS	16

struct func {
	const char *name;
	__u32 id;
	/* its number in available_filter_functions, 0 if it isn't there */
	__u32 line;
};

struct list {
	struct func **elems;
	size_t cnt;
};

/* What one cell attaches to, in the order of the ids. */
struct targets {
	size_t cnt;
	struct func **funcs;
	const char **syms;
	__u32 *ids;
	__u64 *cookies;
};

struct result {
	int err;
	size_t functions;	/* attached to in the time measured */
	size_t others;		/* attached to before */
	long long attach_ns;
	long long attach_busy_ns;
	long long detach_ns;
	long long detach_busy_ns;
	/* how often programs that were attached before were run in that time */
	long long attach_hits;
	long long detach_hits;
	long long after_ns;
	long long total_ns;	/* with what is attached before */
	struct mem mem;
	double call_one;	/* negative if not measured */
	double call_all;
};

struct row {
	const char *name;
	/* the program that attach() attaches, an offset into the skeleton */
	size_t prog;
	int (*prepare)(const struct row *row, const struct targets *t);
	/* the number of functions attached to, or an error */
	int (*attach)(const struct row *row, const struct targets *t);
	void (*detach)(const struct targets *t);
	void (*cleanup)(const struct targets *t);
	/* of so many functions, whatever the column */
	size_t fixed;
	/* how often it is done, 0 for once */
	int rounds;
	__u32 flags;		/* for BPF_LINK_CREATE */
	bool needs_multi;
	/* of functions that fmod_ret programs may be attached to */
	bool modify;
	bool counts_hits;
	bool one_more;
};

/* The two points from which the time of a column is predicted */
struct history {
	size_t cnt[2];
	double secs[2];
	int points;
};

static struct env {
	const char *rows;
	const char *columns;
	const char *names_in;
	const char *names_out;
	double budget;
	bool verbose;
} env = {
	.columns = "1000 10000 all",
	.budget = 150,
};

static struct tracing_multi_bench *skel;
static struct btf *btf;
static struct func *funcs;	/* of vmlinux, by name */
static size_t nr_funcs;
static struct list all, modifiable;
static double untraced[2];	/* ns of a call: helper, kfunc */
static struct result *shared;

static int link_fd = -1, first_fd = -1, tracer_fd = -1;
static int prog_fds[SINGLES], link_fds[SINGLES];
static int traced;		/* functions in the function tracer's filter */

static void warn(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "tracing_multi_bench: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return env.verbose ? vfprintf(stderr, fmt, args) : 0;
}

/* --- the machine --- */

static const char *const slow_options[] = {
	"LOCKDEP", "DEBUG_LOCK_ALLOC", "PROVE_LOCKING", "PROVE_RAW_LOCK_NESTING", "PROVE_RCU",
	"LOCK_STAT", "DEBUG_LOCKDEP", "DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RT_MUTEXES",
	"DEBUG_WW_MUTEX_SLOWPATH", "DEBUG_RWSEMS", "DEBUG_ATOMIC_SLEEP", "DEBUG_PREEMPT",
	"TRACE_IRQFLAGS", "TRACE_PREEMPT_TOGGLE", "DEBUG_IRQFLAGS", "PREEMPTIRQ_TRACEPOINTS",
	"CSD_LOCK_WAIT_DEBUG", "DEBUG_LIST", "DEBUG_PLIST", "DEBUG_SG", "DEBUG_NOTIFIERS",
	"DEBUG_OBJECTS", "DEBUG_TIMEKEEPING", "RCU_EQS_DEBUG", "RCU_STRICT_GRACE_PERIOD",
	"KASAN", "KCSAN", "KMSAN", "KFENCE", "UBSAN", "KCOV", "GCOV_KERNEL", "DEBUG_KMEMLEAK",
	"SLUB_DEBUG_ON", "PAGE_POISONING", "PAGE_OWNER", "PAGE_TABLE_CHECK", "DEBUG_PAGEALLOC",
	"DEBUG_PAGE_REF", "DEBUG_VM", "DEBUG_VIRTUAL", "DEBUG_PER_CPU_MAPS",
	"DEBUG_STACK_USAGE", "FAULT_INJECTION", "FTRACE_RECORD_RECURSION", "FUNCTION_PROFILER",
	"FTRACE_VALIDATE_RCU_IS_WATCHING", "FTRACE_SORT_STARTUP_TEST", "X86_DEBUG_FPU",
};

/* "CONFIG_X=y" and "CONFIG_X=m" are on */
static bool line_enables(const char *line, const char *option)
{
	size_t len = strlen(option);

	return strncmp(line, "CONFIG_", 7) == 0 && strncmp(line + 7, option, len) == 0 &&
	       line[7 + len] == '=' && line[8 + len] != 'n';
}

static int count_slow_options(const char *line)
{
	int cnt = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(slow_options); i++) {
		if (!line_enables(line, slow_options[i]))
			continue;
		warn("this kernel has CONFIG_%s, so its times mean nothing", slow_options[i]);
		cnt++;
	}
	return cnt;
}

/* How many options the kernel has whose costs would be measured, too; or an error */
static int check_config(void)
{
	int lines = 0, bad = 0;
	char line[256];
	gzFile f;

	f = gzopen("/proc/config.gz", "r");
	for (; f && gzgets(f, line, sizeof(line)); lines++)
		bad += count_slow_options(line);
	if (!f || gzclose(f) || !lines) {
		warn("/proc/config.gz can't be read, so it isn't known how the kernel was built");
		return -ENOENT;
	}
	return bad;
}

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void sleep_ns(long long ns)
{
	struct timespec ts = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/* Begin each measurement at the same distance from what goes by the clock. */
static void sleep_to_full_second(void)
{
	sleep_ns(NSEC_PER_SEC - now_ns() % NSEC_PER_SEC);
}

/* Do nothing n times: the instructions of one time, or 0 if that isn't known */
static inline long run_loop(long n)
{
#if defined(__x86_64__)
	asm volatile("1: dec %0\n\tjnz 1b" : "+r" (n) : : "cc");
	return 2;
#elif defined(__aarch64__)
	asm volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r" (n) : : "cc");
	return 2;
#elif defined(__riscv)
	asm volatile("1: addi %0, %0, -1\n\tbnez %0, 1b" : "+r" (n));
	return 2;
#elif defined(__s390x__)
	asm volatile("1: brctg %0, 1b" : "+d" (n));
	return 1;
#else
	return 0;
#endif
}

/* 1 ns where the clock counts instructions; 0 if it can't be told */
static double ns_per_instruction(void)
{
	const long loops = 1000000;
	long long start, ns, min = 0;
	long i, insns = 0;

	for (i = 0; i < 5; i++) {
		start = now_ns();
		insns = run_loop(loops);
		ns = now_ns() - start;
		if (!min || ns < min)
			min = ns;
	}
	return insns ? min / ((double)insns * loops) : 0;
}

static int write_file(const char *path, const char *text)
{
	int fd, err = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* How long the CPUs have had nothing to do */
static long long idle_ns(void)
{
	const char *text = mem_read_file("/proc/timer_list");

	return mem_sum_after(text, ".idle_sleeptime") + mem_sum_after(text, ".iowait_sleeptime");
}

/* How long the CPU isn't idle while this process sleeps */
static long long work_of_others_ns(void)
{
	long long idle = idle_ns(), start = now_ns();

	sleep_ns(AFTER_SECS * NSEC_PER_SEC);
	idle = idle_ns() - idle;
	return now_ns() - start - idle;
}

/* --- the functions --- */

static int cmp_name(const void *a, const void *b)
{
	const struct func *x = a, *y = b;

	return strcmp(x->name, y->name) ?: (x->id < y->id ? -1 : x->id > y->id);
}

static int cmp_key(const void *name, const void *func)
{
	return strcmp(name, ((const struct func *)func)->name);
}

static int cmp_id(const void *a, const void *b)
{
	const struct func *x = *(struct func **)a, *y = *(struct func **)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct func *find_func(const char *name)
{
	return bsearch(name, funcs, nr_funcs, sizeof(*funcs), cmp_key);
}

static int list_add(struct list *list, struct func *func)
{
	if (!list->elems) {
		list->elems = calloc(nr_funcs, sizeof(*list->elems));
		if (!list->elems)
			return -ENOMEM;
	}
	list->elems[list->cnt++] = func;
	return 0;
}

static int read_btf(void)
{
	__u32 id, types;
	size_t i, n;

	btf = btf__load_vmlinux_btf();
	if (!btf)
		return -errno;
	types = btf__type_cnt(btf);
	funcs = calloc(types, sizeof(*funcs));
	if (!funcs)
		return -ENOMEM;

	for (id = 1, n = 0; id < types; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (!btf_is_func(t))
			continue;
		funcs[n].name = btf__name_by_offset(btf, t->name_off);
		funcs[n++].id = id;
	}
	qsort(funcs, n, sizeof(*funcs), cmp_name);

	/* the first one of each name */
	for (i = 0; i < n; i++) {
		if (!i || strcmp(funcs[i].name, funcs[i - 1].name))
			funcs[nr_funcs++] = funcs[i];
	}
	return 0;
}

static int read_available(void)
{
	struct func *func;
	char *line = NULL;
	size_t size = 0;
	__u32 nr = 0;
	FILE *f;

	f = fopen(TRACEFS "available_filter_functions", "r");
	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		nr++;
		if (strchr(line, '['))
			continue;	/* of a module */
		line[strcspn(line, "\n ")] = '\0';
		func = find_func(line);
		if (func && !func->line)
			func->line = nr;
	}
	free(line);
	fclose(f);
	return nr ? 0 : -ENOENT;
}

/* Note what libbpf takes '*' for, and attach to none of it. */
static int note_match(const char *module, const char *name, __u64 *cookie, void *ctx)
{
	struct func *func;
	int err = 0;

	func = module ? NULL : find_func(name);
	if (func && func->line)
		err = list_add(ctx, func);
	return err ?: 1;
}

static int find_candidates(struct list *list)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;

	opts.match_fn = note_match;
	opts.match_ctx = list;
	link = bpf_program__attach_tracing_multi(skel->progs.multi_exit, "*", &opts);
	if (link || errno != ENOENT) {
		bpf_link__destroy(link);
		return -EINVAL;
	}
	return list->cnt ? 0 : -ENOENT;
}

/* Add those of the functions to list that the kernel would attach the program to.
 * It checks all targets of a link before it attaches the program to the first one,
 * so the last target asked for is one that doesn't exist.
 */
static int check_chunk(struct list *list, const struct bpf_program *prog,
		       struct func **chunk, size_t cnt)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	__u32 ids[CHECK_CHUNK + 1], bad = 0;
	size_t i, first;
	int fd, err;

	for (i = 0; i < cnt; i++)
		ids[i] = chunk[i]->id;
	ids[cnt] = btf__type_cnt(btf);

	opts.tracing_multi.bad_idx = &bad;
	for (first = 0; first < cnt; first += bad + 1) {
		opts.tracing_multi.ids = ids + first;
		opts.tracing_multi.cnt = cnt + 1 - first;
		fd = bpf_link_create(bpf_program__fd(prog), 0,
				     bpf_program__expected_attach_type(prog), &opts);
		if (fd >= 0) {
			close(fd);
			return -EINVAL;
		}
		if (bad > cnt - first)
			return -errno;
		for (i = first; i < first + bad; i++) {
			err = list_add(list, chunk[i]);
			if (err)
				return err;
		}
	}
	return 0;
}

static int check_candidates(struct list *list, const struct bpf_program *prog,
			    const struct list *candidates)
{
	size_t i, n;
	int err;

	for (i = 0; i < candidates->cnt; i += n) {
		n = candidates->cnt - i;
		if (n > CHECK_CHUNK)
			n = CHECK_CHUNK;
		err = check_chunk(list, prog, candidates->elems + i, n);
		if (err)
			return err;
	}
	return list->cnt ? 0 : -ENOENT;
}

/* The same random order in each run, so that each column is a fair selection; but
 * the function that is called comes first.
 */
static int shuffle(struct list *list, const char *called)
{
	unsigned long long seed = 1;
	struct func *tmp;
	size_t i, j;

	for (i = list->cnt - 1; i > 0; i--) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		j = (seed >> 33) % (i + 1);
		tmp = list->elems[i];
		list->elems[i] = list->elems[j];
		list->elems[j] = tmp;
	}
	for (i = 0; i < list->cnt; i++) {
		if (strcmp(list->elems[i]->name, called))
			continue;
		tmp = list->elems[i];
		list->elems[i] = list->elems[0];
		list->elems[0] = tmp;
		return 0;
	}
	warn("%s isn't among the functions that can be attached to", called);
	return -ENOENT;
}

/* The names that another kernel's run has written, but those that this one hasn't. */
static int read_names(void)
{
	struct func *func;
	char *line = NULL;
	size_t size = 0;
	int err = 0;
	FILE *f;

	f = fopen(env.names_in, "r");
	if (!f)
		return -errno;
	while (!err && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		func = find_func(line);
		if (func && func->line)
			err = list_add(&all, func);
	}
	free(line);
	fclose(f);
	return err ?: all.cnt > 1 ? 0 : -ENOENT;
}

static int write_names(void)
{
	size_t i;
	FILE *f;

	f = fopen(env.names_out, "w");
	if (!f)
		return -errno;
	for (i = 0; i < all.cnt; i++)
		fprintf(f, "%s\n", all.elems[i]->name);
	return fclose(f) ? -errno : 0;
}

static int find_functions(void)
{
	struct list candidates = {};
	int err;

	err = read_btf() ?: read_available();
	if (err)
		return err;
	if (env.names_in)
		return read_names();

	err = find_candidates(&candidates);
	err = err ?: check_candidates(&all, skel->progs.multi_exit, &candidates);
	err = err ?: check_candidates(&modifiable, skel->progs.multi_modify, &candidates);
	err = err ?: shuffle(&all, "bpf_get_numa_node_id");
	err = err ?: shuffle(&modifiable, "bpf_modify_return_test_tp");
	free(candidates.elems);
	return err ?: env.names_out ? write_names() : 0;
}

static void targets_free(struct targets *t)
{
	free(t->funcs);
	free(t->syms);
	free(t->ids);
	free(t->cookies);
}

static int targets_init(struct targets *t, const struct list *list, size_t cnt)
{
	size_t i;

	t->cnt = cnt;
	t->funcs = calloc(cnt, sizeof(*t->funcs));
	t->syms = calloc(cnt, sizeof(*t->syms));
	t->ids = calloc(cnt, sizeof(*t->ids));
	t->cookies = calloc(cnt, sizeof(*t->cookies));
	if (!t->funcs || !t->syms || !t->ids || !t->cookies) {
		targets_free(t);
		return -ENOMEM;
	}

	memcpy(t->funcs, list->elems, cnt * sizeof(*t->funcs));
	qsort(t->funcs, cnt, sizeof(*t->funcs), cmp_id);
	for (i = 0; i < cnt; i++) {
		t->syms[i] = t->funcs[i]->name;
		t->ids[i] = t->funcs[i]->id;
		t->cookies[i] = i + 1;
	}
	return 0;
}

/* --- the rows --- */

static struct bpf_program *row_prog(const struct row *row)
{
	return *(struct bpf_program **)((char *)skel + row->prog);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void detach_link(const struct targets *t)
{
	close_fd(&link_fd);
}

/* The function tracer. Its filter is set before, by the functions' numbers: each
 * name would be compared with all that there are.
 */
static int tracer_set_filter(const struct targets *t)
{
	char text[16];
	int fd, len, err = 0;
	size_t i;

	fd = open(TRACEFS "set_ftrace_filter", O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (i = 0; t && i < t->cnt; i++) {
		len = snprintf(text, sizeof(text), "%u\n", t->funcs[i]->line);
		if (write(fd, text, len) != len)
			err = -errno;
	}
	if (close(fd))
		err = -errno;
	return err;
}

static int tracer_prepare(const struct row *row, const struct targets *t)
{
	const char *names[2] = { t->funcs[0]->name, t->funcs[t->cnt - 1]->name };
	char line[512];
	int err, found = 0;
	FILE *f;

	err = tracer_set_filter(t);
	if (err)
		return err;
	f = fopen(TRACEFS "set_ftrace_filter", "r");
	if (!f)
		return -errno;
	for (traced = 0; fgets(line, sizeof(line), f); traced++) {
		line[strcspn(line, "\n ")] = '\0';
		if (!strcmp(line, names[0]))
			found |= 1;
		if (!strcmp(line, names[1]))
			found |= 2;
	}
	fclose(f);
	if (found != 3)
		return -ENOENT;

	tracer_fd = open(TRACEFS "current_tracer", O_WRONLY | O_CLOEXEC);
	return tracer_fd < 0 ? -errno : 0;
}

static int tracer_attach(const struct row *row, const struct targets *t)
{
	return write(tracer_fd, "function", 8) == 8 ? traced : -errno;
}

static void tracer_detach(const struct targets *t)
{
	if (write(tracer_fd, "nop", 3) != 3)
		warn("the function tracer can't be turned off: %s", strerror(errno));
}

static void tracer_cleanup(const struct targets *t)
{
	close_fd(&tracer_fd);
	tracer_set_filter(NULL);
	write_file(TRACEFS "trace", "");
}

/* A copy of the program for this function, from the instructions of the loaded one */
static int load_single(const struct bpf_program *prog, const struct func *func)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int fd;

	opts.expected_attach_type = bpf_program__expected_attach_type(prog);
	opts.attach_btf_id = func->id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "single", "GPL", bpf_program__insns(prog),
			   bpf_program__insn_cnt(prog), &opts);
	return fd < 0 ? -errno : fd;
}

static int single_prepare(const struct row *row, const struct targets *t)
{
	size_t i;

	for (i = 0; i < t->cnt; i++) {
		prog_fds[i] = load_single(row_prog(row), t->funcs[i]);
		if (prog_fds[i] < 0)
			return prog_fds[i];
	}
	return 0;
}

static int single_attach(const struct row *row, const struct targets *t)
{
	enum bpf_attach_type type = bpf_program__expected_attach_type(row_prog(row));
	size_t i;

	for (i = 0; i < t->cnt; i++) {
		link_fds[i] = bpf_link_create(prog_fds[i], 0, type, NULL);
		if (link_fds[i] < 0)
			return -errno;
	}
	return i;
}

static void single_detach(const struct targets *t)
{
	size_t i;

	for (i = 0; i < t->cnt; i++)
		close_fd(&link_fds[i]);
}

static void single_cleanup(const struct targets *t)
{
	size_t i;

	for (i = 0; i < t->cnt; i++)
		close_fd(&prog_fds[i]);
}

static int link_count(int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (bpf_link_get_info_by_fd(fd, &info, &len))
		return -errno;
	return info.type == BPF_LINK_TYPE_KPROBE_MULTI ? info.kprobe_multi.count :
							 info.tracing_multi.count;
}

static int kprobe_attach(const struct row *row, const struct targets *t)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	opts.kprobe_multi.flags = row->flags;
	opts.kprobe_multi.syms = t->syms;
	opts.kprobe_multi.cnt = t->cnt;
	link_fd = bpf_link_create(bpf_program__fd(row_prog(row)), 0, BPF_TRACE_KPROBE_MULTI, &opts);
	return link_fd < 0 ? -errno : link_count(link_fd);
}

static int multi_create(const struct bpf_program *prog, const struct targets *t,
			const __u64 *cookies)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int fd;

	/* what only attaching itself finds out is left out */
	opts.flags = BPF_F_TRACING_MULTI_SKIP_INVALID;
	opts.tracing_multi.ids = t->ids;
	opts.tracing_multi.cookies = cookies;
	opts.tracing_multi.cnt = t->cnt;
	fd = bpf_link_create(bpf_program__fd(prog), 0, bpf_program__expected_attach_type(prog),
			     &opts);
	return fd < 0 ? -errno : fd;
}

static int multi_attach(const struct row *row, const struct targets *t)
{
	link_fd = multi_create(row_prog(row), t, NULL);
	return link_fd < 0 ? link_fd : link_count(link_fd);
}

static int cookies_attach(const struct row *row, const struct targets *t)
{
	link_fd = multi_create(row_prog(row), t, t->cookies);
	return link_fd < 0 ? link_fd : link_count(link_fd);
}

static int second_prepare(const struct row *row, const struct targets *t)
{
	first_fd = multi_create(skel->progs.multi_entry, t, NULL);
	return first_fd < 0 ? first_fd : 0;
}

static void second_cleanup(const struct targets *t)
{
	close_fd(&first_fd);
}

static int more_load(const struct row *row, const struct targets *t)
{
	prog_fds[0] = load_single(row_prog(row), all.elems[1]);
	return prog_fds[0] < 0 ? prog_fds[0] : 0;
}

static int more_prepare(const struct row *row, const struct targets *t)
{
	return second_prepare(row, t) ?: more_load(row, t);
}

static int more_attach(const struct row *row, const struct targets *t)
{
	link_fd = bpf_link_create(prog_fds[0], 0, BPF_TRACE_FENTRY, NULL);
	return link_fd < 0 ? -errno : 1;
}

static void more_cleanup(const struct targets *t)
{
	close_fd(&prog_fds[0]);
	second_cleanup(t);
}

#define PROG(name) offsetof(struct tracing_multi_bench, progs.name)

static const struct row rows[] = {
	{ .name = "function", .prepare = tracer_prepare, .attach = tracer_attach,
	  .detach = tracer_detach, .cleanup = tracer_cleanup },
	{ .name = "fentry", .prog = PROG(single_entry), .fixed = SINGLES,
	  .prepare = single_prepare, .attach = single_attach, .detach = single_detach,
	  .cleanup = single_cleanup, .counts_hits = true },
	{ .name = "fexit", .prog = PROG(single_exit), .fixed = SINGLES,
	  .prepare = single_prepare, .attach = single_attach, .detach = single_detach,
	  .cleanup = single_cleanup, .counts_hits = true },
	{ .name = "kprobe.multi", .prog = PROG(kprobe_entry), .attach = kprobe_attach,
	  .detach = detach_link, .counts_hits = true },
	{ .name = "kretprobe.multi", .prog = PROG(kprobe_exit), .attach = kprobe_attach,
	  .detach = detach_link, .flags = BPF_F_KPROBE_MULTI_RETURN, .counts_hits = true },
	{ .name = "fentry.multi", .prog = PROG(multi_entry), .attach = multi_attach,
	  .detach = detach_link, .needs_multi = true, .counts_hits = true },
	{ .name = "fexit.multi", .prog = PROG(multi_exit), .attach = multi_attach,
	  .detach = detach_link, .needs_multi = true, .counts_hits = true },
	{ .name = "fmod_ret.multi", .prog = PROG(multi_modify), .attach = multi_attach,
	  .detach = detach_link, .needs_multi = true, .counts_hits = true, .modify = true },
	{ .name = "cookies", .prog = PROG(multi_cookie), .attach = cookies_attach,
	  .detach = detach_link, .needs_multi = true, .counts_hits = true },
	{ .name = "second", .prog = PROG(multi_second), .prepare = second_prepare,
	  .attach = multi_attach, .detach = detach_link, .cleanup = second_cleanup,
	  .needs_multi = true, .counts_hits = true },
	{ .name = "one-more-idle", .prog = PROG(single_entry), .fixed = 1,
	  .rounds = MORE_ROUNDS, .prepare = more_load, .attach = more_attach,
	  .detach = detach_link, .cleanup = more_cleanup, .one_more = true },
	{ .name = "one-more", .prog = PROG(single_entry), .rounds = MORE_ROUNDS,
	  .prepare = more_prepare, .attach = more_attach, .detach = detach_link,
	  .cleanup = more_cleanup, .one_more = true, .needs_multi = true },
};

/* --- measuring --- */

/* The shortest time of a call: the one without an interrupt in it */
static int time_call(bool kfunc, bool count_hits, double *ns)
{
	int fd = bpf_program__fd(kfunc ? skel->progs.call_kfunc : skel->progs.call_helper);
	unsigned int calls = skel->rodata->calls;
	__u64 hits, min = 0;
	int i;

	for (i = 0; i < CALL_ROUNDS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts);

		hits = skel->bss->hits;
		if (bpf_prog_test_run_opts(fd, &opts))
			return -errno;
		/* a few get lost in interrupts, which are traced as well */
		if (count_hits && skel->bss->hits - hits < calls - calls / 10)
			return -ENODATA;
		if (!min || skel->bss->duration < min)
			min = skel->bss->duration;
	}
	*ns = (double)min / calls;
	return 0;
}

static int time_traced_call(const struct row *row, double *ns)
{
	int err;

	if (row->one_more)
		return 0;
	err = time_call(row->modify, row->counts_hits, ns);
	*ns -= untraced[row->modify];
	return err;
}

static int timed_attach(const struct row *row, const struct targets *t, struct result *res)
{
	long long idle, start, ns, hits;
	int cnt;

	sleep_to_full_second();
	idle = idle_ns();
	hits = skel->bss->hits;
	start = now_ns();
	cnt = row->attach(row, t);
	ns = now_ns() - start;
	hits = skel->bss->hits - hits;
	idle = idle_ns() - idle;
	if (cnt < 0)
		return cnt;

	res->functions = cnt;
	res->attach_ns += ns;
	res->attach_busy_ns += ns - idle;
	res->attach_hits += hits;
	return 0;
}

static void timed_detach(const struct row *row, const struct targets *t, struct result *res)
{
	long long idle, start, ns, hits;

	sleep_to_full_second();
	idle = idle_ns();
	hits = skel->bss->hits;
	start = now_ns();
	row->detach(t);
	ns = now_ns() - start;
	hits = skel->bss->hits - hits;
	idle = idle_ns() - idle;

	res->detach_ns += ns;
	res->detach_busy_ns += ns - idle;
	res->detach_hits += hits;
}

static int measure_attached(const struct row *row, const struct mem *before, struct result *res)
{
	struct mem after;

	mem_settle(&after);
	res->mem.pages = after.pages - before->pages;
	res->mem.exact = after.exact - before->exact;
	res->mem.slab = after.slab - before->slab;
	res->mem.vmalloc = after.vmalloc - before->vmalloc;
	res->mem.percpu = after.percpu - before->percpu;
	return time_traced_call(row, &res->call_all);
}

/* Attach and detach all, and measure what there is to measure in between. */
static int measure_all(const struct row *row, const struct targets *t, struct result *res)
{
	long long quiet;
	struct mem before;
	int err;

	mem_settle(&before);
	sleep_ns(AFTER_SECS * NSEC_PER_SEC);
	quiet = work_of_others_ns();
	err = timed_attach(row, t, res);
	if (err)
		return err;
	err = measure_attached(row, &before, res);
	timed_detach(row, t, res);
	res->after_ns = work_of_others_ns() - quiet;
	return err;
}

static int measure_rounds(const struct row *row, const struct targets *t, struct result *res)
{
	int i, err = 0, rounds = row->rounds ?: 1;

	for (i = 1; i < rounds && !err; i++) {
		err = timed_attach(row, t, res);
		if (!err)
			timed_detach(row, t, res);
	}
	res->attach_ns /= rounds;
	res->attach_busy_ns /= rounds;
	res->detach_ns /= rounds;
	res->detach_busy_ns /= rounds;
	res->attach_hits /= rounds;
	res->detach_hits /= rounds;
	return err;
}

static int attach_once(const struct row *row, const struct targets *t, struct result *res)
{
	int err;

	err = timed_attach(row, t, res);
	if (!err)
		timed_detach(row, t, res);
	return err;
}

static int with_targets(const struct row *row, size_t cnt, struct result *res,
			int (*measure)(const struct row *row, const struct targets *t,
				       struct result *res))
{
	struct targets t;
	long long start;
	int err;

	err = targets_init(&t, row->modify ? &modifiable : &all, cnt);
	if (err)
		return err;

	start = now_ns();
	err = row->prepare ? row->prepare(row, &t) : 0;
	res->total_ns += now_ns() - start;
	err = err ?: measure(row, &t, res);

	start = now_ns();
	if (row->cleanup)
		row->cleanup(&t);
	res->total_ns += now_ns() - start;
	targets_free(&t);
	return err;
}

static int measure_one(const struct row *row, const struct targets *t, struct result *res)
{
	int err;

	err = row->attach(row, t);
	if (err < 0)
		return err;
	err = time_traced_call(row, &res->call_one);
	row->detach(t);
	return err;
}

static int measure_many(const struct row *row, const struct targets *t, struct result *res)
{
	int err;

	err = measure_all(row, t, res);
	res->total_ns += res->attach_ns + res->detach_ns;
	err = err ?: measure_rounds(row, t, res);
	res->others = row->one_more && !row->fixed ? t->cnt : 0;
	return err;
}

static int measure_probe(const struct row *row, const struct targets *t, struct result *res)
{
	int err;

	err = attach_once(row, t, res);
	res->total_ns += res->attach_ns + res->detach_ns;
	return err;
}

static int measure_cell(const struct row *row, size_t cnt, bool probe, struct result *res)
{
	struct result unused = {};
	int err;

	if (probe)
		return with_targets(row, cnt, res, measure_probe);

	res->call_one = -1;
	res->call_all = -1;
	/* also has all that is made only once be there */
	err = with_targets(row, 1, &unused, measure_one);
	if (err)
		return err;
	if (!row->one_more)
		res->call_one = unused.call_one;
	return with_targets(row, cnt, res, measure_many);
}

/* --- the table --- */

static void print_head(double ns_per_insn)
{
	struct utsname uts;

	uname(&uts);
	printf("{\"kernel\": \"%s\", \"budget_s\": %.0f", uts.release, env.budget);
	printf(", \"functions\": %zu, \"modifiable\": %zu", all.cnt, modifiable.cnt);
	printf(", \"ns_per_instruction\": %.4f", ns_per_insn);
	printf(", \"untraced_helper\": %.1f, \"untraced_kfunc\": %.1f}\n",
	       untraced[0], untraced[1]);
	fflush(stdout);
}

static void print_call(const char *name, double ns)
{
	if (ns < 0)
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %.1f", name, ns);
}

static void print_result(const struct row *row, const char *column, const struct result *res)
{
	printf("{\"row\": \"%s\", \"column\": \"%s\", \"functions\": %zu, \"others\": %zu",
	       row->name, column, res->functions, res->others);
	printf(", \"attach_ms\": %.6f, \"attach_busy_ms\": %.6f", res->attach_ns / 1e6,
	       res->attach_busy_ns / 1e6);
	printf(", \"detach_ms\": %.6f, \"detach_busy_ms\": %.6f", res->detach_ns / 1e6,
	       res->detach_busy_ns / 1e6);
	printf(", \"attach_hits\": %lld, \"detach_hits\": %lld", res->attach_hits,
	       res->detach_hits);
	printf(", \"after_ms\": %.3f", res->after_ns / 1e6);
	printf(", \"bytes\": %lld, \"bytes_pages\": %lld", res->mem.exact, res->mem.pages);
	printf(", \"bytes_slab\": %lld", res->mem.slab);
	printf(", \"bytes_vmalloc\": %lld, \"bytes_percpu\": %lld", res->mem.vmalloc,
	       res->mem.percpu);
	print_call("call_one", res->call_one);
	print_call("call_all", res->call_all);
	printf("}\n");
	fflush(stdout);
}

static void print_skipped(const struct row *row, const char *column, const char *fmt, ...)
{
	va_list args;

	printf("{\"row\": \"%s\", \"column\": \"%s\", \"skipped\": \"", row->name, column);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\"}\n");
	fflush(stdout);
}

/* In a child: what it attached goes when it is killed. The time is a multiple of the
 * budget, as prediction has seen to that being kept.
 */
static int run_cell(const struct row *row, size_t cnt, bool probe)
{
	struct timespec limit = { .tv_sec = 4 * env.budget + 300 };
	sigset_t set;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	shared->err = -ECHILD;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);

	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		shared->err = measure_cell(row, cnt, probe, shared);
		_exit(0);
	}
	if (sigtimedwait(&set, NULL, &limit) < 0) {
		kill(pid, SIGKILL);
		sigwaitinfo(&set, NULL);
		shared->err = -ETIMEDOUT;
	}
	waitpid(pid, NULL, 0);
	return shared->err;
}

static void history_add(struct history *h, size_t cnt)
{
	if (h->points && h->cnt[h->points - 1] >= cnt)
		return;
	if (h->points == 2) {
		h->cnt[0] = h->cnt[1];
		h->secs[0] = h->secs[1];
		h->points = 1;
	}
	h->cnt[h->points] = cnt;
	h->secs[h->points++] = shared->total_ns / 1e9;
}

static double history_predict(const struct history *h, size_t cnt)
{
	double slope;

	if (h->points < 2)
		return 0;
	slope = (h->secs[1] - h->secs[0]) / (h->cnt[1] - h->cnt[0]);
	return slope > 0 ? h->secs[1] + slope * (cnt - (double)h->cnt[1]) : h->secs[1];
}

/* Without any column so far, try small numbers. */
static int probe_row(const struct row *row, struct history *h, size_t cnt)
{
	static const size_t probes[] = { 8, 64 };
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(probes) && probes[i] < cnt; i++) {
		err = run_cell(row, probes[i], true);
		if (err)
			return err;
		history_add(h, probes[i]);
	}
	return 0;
}

static void run_column(const struct row *row, const char *column, struct history *h)
{
	const struct list *list = row->modify ? &modifiable : &all;
	bool is_all = !strcmp(column, "all");
	size_t cnt = is_all ? list->cnt : strtoul(column, NULL, 10);
	double secs;
	int err = 0;

	if (row->fixed)
		cnt = row->fixed < all.cnt ? row->fixed : all.cnt;
	if (cnt > list->cnt) {
		print_skipped(row, column, "there are only %zu functions", list->cnt);
		return;
	}
	if (!row->fixed && h->points < 2)
		err = probe_row(row, h, cnt);
	secs = history_predict(h, cnt);
	if (!err && secs > env.budget) {
		print_skipped(row, column, "would take %.0f s, more than %.0f s", secs, env.budget);
		return;
	}
	err = err ?: run_cell(row, cnt, false);
	if (err) {
		print_skipped(row, column, "failed: %s", strerror(-err));
		return;
	}
	history_add(h, cnt);
	print_result(row, column, shared);
}

static void run_row(const struct row *row, char **columns, int cnt)
{
	struct history history = {};
	char fixed[16];
	int i;

	if (row->fixed) {
		snprintf(fixed, sizeof(fixed), "%zu", row->fixed);
		run_column(row, fixed, &history);
		return;
	}
	for (i = 0; i < cnt; i++)
		run_column(row, columns[i], &history);
}

/* --- start --- */

/* Is the word in a list of words? All are if there is no list. */
static bool listed(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *s = list;

	if (!list)
		return true;
	while ((s = strstr(s, word))) {
		if ((s == list || strchr(" ,", s[-1])) && (!s[len] || strchr(" ,", s[len])))
			return true;
		s++;
	}
	return false;
}

static int check_rows(void)
{
	char *list = env.rows ? strdup(env.rows) : NULL, *name, *save;
	int err = 0;
	size_t i;

	if (!list)
		return env.rows ? -ENOMEM : 0;
	for (name = strtok_r(list, " ,", &save); name; name = strtok_r(NULL, " ,", &save)) {
		for (i = 0; i < ARRAY_SIZE(rows) && strcmp(rows[i].name, name); i++)
			;
		if (i == ARRAY_SIZE(rows)) {
			warn("there is no row '%s' (see -h)", name);
			err = -EINVAL;
		}
	}
	free(list);
	return err;
}

static bool any_needs_multi(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].needs_multi && listed(env.rows, rows[i].name))
			return true;
	}
	return false;
}

static int load(void)
{
	bool multi = !env.names_in || any_needs_multi();
	struct bpf_program *prog;

	skel = tracing_multi_bench__open();
	if (!skel)
		return -errno;
	bpf_object__for_each_program(prog, skel->obj) {
		bool is_multi = strstr(bpf_program__section_name(prog), ".multi") &&
				!strstr(bpf_program__section_name(prog), "probe");

		bpf_program__set_autoload(prog, multi || !is_multi);
	}
	return tracing_multi_bench__load(skel);
}

static void usage(FILE *f)
{
	size_t i;

	fprintf(f,
		"Usage: tracing_multi_bench [OPTION]...\n"
		"Measure what it costs to trace many functions, and print it as JSON.\n"
		"\n"
		"  -r, --rows LIST      only these rows, see below\n"
		"  -c, --columns LIST   numbers of functions, and 'all' (default: %s)\n"
		"  -b, --budget SECS    leave out what would take longer (default: %.0f)\n"
		"  -n, --names FILE     trace the functions that -w has written; a kernel\n"
		"                       without tracing multi-links needs this\n"
		"  -w, --write FILE     write the names of the functions that are traced\n"
		"  -v, --verbose        tell what libbpf is doing\n"
		"  -h, --help           show this text\n"
		"\n"
		"Rows:", env.columns, env.budget);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(f, " %s", rows[i].name);
	fprintf(f, "\n");
}

/* 0: go on, 1: done, negative: error */
static int parse_args(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "rows",	required_argument,	NULL, 'r' },
		{ "columns",	required_argument,	NULL, 'c' },
		{ "budget",	required_argument,	NULL, 'b' },
		{ "names",	required_argument,	NULL, 'n' },
		{ "write",	required_argument,	NULL, 'w' },
		{ "verbose",	no_argument,		NULL, 'v' },
		{ "help",	no_argument,		NULL, 'h' },
		{}
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "r:c:b:n:w:vh", opts, NULL)) != -1) {
		switch (opt) {
		case 'r':
			env.rows = optarg;
			break;
		case 'c':
			env.columns = optarg;
			break;
		case 'b':
			env.budget = strtod(optarg, NULL);
			break;
		case 'n':
			env.names_in = optarg;
			break;
		case 'w':
			env.names_out = optarg;
			break;
		case 'v':
			env.verbose = true;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	if (optind < argc || env.budget <= 0) {
		usage(stderr);
		return -EINVAL;
	}
	return 0;
}

static int cmp_column(const void *a, const void *b)
{
	const char *x = *(char **)a, *y = *(char **)b;
	unsigned long m = strtoul(x, NULL, 10), n = strtoul(y, NULL, 10);

	/* "all" is last */
	return m && n ? (m > n) - (m < n) : !m - !n;
}

/* Ascending, as each is predicted from the ones before */
static int parse_columns(char **columns)
{
	char *list = strdup(env.columns), *column, *save, *end;
	int cnt = 0;

	if (!list)
		return -ENOMEM;
	for (column = strtok_r(list, " ,", &save); column; column = strtok_r(NULL, " ,", &save)) {
		if (strcmp(column, "all") && (!strtoul(column, &end, 10) || *end)) {
			warn("'%s' isn't a number of functions", column);
			return -EINVAL;
		}
		if (cnt == MAX_COLUMNS)
			return -E2BIG;
		columns[cnt++] = column;
	}
	qsort(columns, cnt, sizeof(*columns), cmp_column);
	return cnt;
}

static int init(void)
{
	struct rlimit limit = { 4096, 4096 };
	int i, err;

	for (i = 0; i < SINGLES; i++) {
		prog_fds[i] = -1;
		link_fds[i] = -1;
	}
	setrlimit(RLIMIT_NOFILE, &limit);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		return -errno;

	err = mem_open();
	if (err) {
		warn("/sys/kernel/slab can't be used: %s", strerror(-err));
		return err;
	}
	err = load();
	if (err) {
		warn("the BPF programs can't be loaded: %s (try -v)", strerror(-err));
		return err;
	}
	err = find_functions();
	if (err) {
		warn("the functions to be traced can't be found: %s", strerror(-err));
		return err;
	}
	err = time_call(false, false, &untraced[0]) ?: time_call(true, false, &untraced[1]);
	if (err)
		warn("calls can't be timed: %s", strerror(-err));
	return err;
}

int main(int argc, char **argv)
{
	char *columns[MAX_COLUMNS];
	int err, cnt;
	size_t i;

	err = parse_args(argc, argv);
	if (err)
		return err < 0 ? 2 : 0;
	cnt = parse_columns(columns);
	if (cnt <= 0 || check_rows())
		return 2;

	libbpf_set_print(print_libbpf);
	if (check_config() || init())
		return 1;

	print_head(ns_per_instruction());
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (listed(env.rows, rows[i].name))
			run_row(&rows[i], columns, cnt);
	}
	tracing_multi_bench__destroy(skel);
	return 0;
}
