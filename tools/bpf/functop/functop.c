// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * functop: count and time the calls of any number of kernel functions
 *
 * One fentry and one fexit program, each attached with one link to all
 * functions that the given globs match.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "functop.h"
#include "functop.skel.h"

struct func {
	char *name;		/* with the module, if it's in one */
	bool timed;		/* functop_exit is attached to it */
	struct func_stat stat;
};

struct funcs {
	struct func *elems;
	size_t cnt;
	size_t cap;
	/* where functop_entry's matches were merged up to */
	size_t pos;
	/* how many of elems came from functop_exit's matches */
	size_t merge_cnt;
};

static struct env {
	char *pattern;
	char **cmd;
	double secs;
	bool verbose;
} env;

static struct funcs funcs;

/* those of all functions for the first CPU, then for the second, and so on */
static const struct func_stat *stats;
static int cpus;

/* what libbpf has to say about the current step, told only if it fails */
static char libbpf_log[16 * 1024];

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: functop [OPTION]... GLOB... [-- COMMAND [ARG]...]\n"
		"Count and time the calls of all kernel functions that match a GLOB\n"
		"('vfs_*', 'tcp_sendmsg', 'ext4:ext4_*' for a module's), until COMMAND ends,\n"
		"SECS are over or Ctrl-C is pressed.\n"
		"\n"
		"  -d, --duration SECS   stop after SECS seconds\n"
		"  -v, --verbose         tell what libbpf is doing\n"
		"  -h, --help            show this text\n");
}

static void warn(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "functop: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	size_t len = strlen(libbpf_log);

	if (env.verbose)
		return vfprintf(stderr, fmt, args);
	if (level != LIBBPF_WARN)
		return 0;

	return vsnprintf(libbpf_log + len, sizeof(libbpf_log) - len, fmt, args);
}

static char *join_patterns(char **globs, int cnt)
{
	size_t len = 1;
	char *pattern;
	int i;

	for (i = 0; i < cnt; i++)
		len += strlen(globs[i]) + 1;

	pattern = calloc(1, len);
	for (i = 0; pattern && i < cnt; i++) {
		strcat(pattern, i ? "," : "");
		strcat(pattern, globs[i]);
	}

	return pattern;
}

/* 0: go on, 1: done, negative: error */
static int parse_args(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "duration",	required_argument,	NULL, 'd' },
		{ "verbose",	no_argument,		NULL, 'v' },
		{ "help",	no_argument,		NULL, 'h' },
		{}
	};
	int opt, first;
	char *end;

	/* '+': what follows the globs isn't ours */
	while ((opt = getopt_long(argc, argv, "+d:vh", opts, NULL)) != -1) {
		switch (opt) {
		case 'd':
			errno = 0;
			env.secs = strtod(optarg, &end);
			if (errno || *end || !(env.secs > 0 && env.secs < 1e9)) {
				warn("'%s' isn't a number of seconds", optarg);
				return -EINVAL;
			}
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

	for (first = optind; optind < argc; optind++) {
		if (strcmp(argv[optind], "--") == 0)
			break;
	}
	if (first == optind) {
		warn("no GLOB is given");
		usage(stderr);
		return -EINVAL;
	}
	if (optind < argc) {
		env.cmd = &argv[optind + 1];
		if (!*env.cmd) {
			warn("no COMMAND is given after --");
			return -EINVAL;
		}
	}

	env.pattern = join_patterns(argv + first, optind - first);
	return env.pattern ? 0 : -ENOMEM;
}

static bool func_is(const struct func *func, const char *module, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(func->name, name, len))
		return false;
	if (!module)
		return !func->name[len];

	return strncmp(func->name + len, " [", 2) == 0 &&
	       strncmp(func->name + len + 2, module, strlen(module)) == 0 &&
	       strcmp(func->name + len + 2 + strlen(module), "]") == 0;
}

static int add_func(const char *module, const char *name)
{
	struct func *elems, *func;
	size_t cap;

	if (funcs.cnt == funcs.cap) {
		cap = funcs.cap ? funcs.cap * 2 : 1024;
		elems = realloc(funcs.elems, cap * sizeof(*elems));
		if (!elems)
			return -ENOMEM;
		funcs.elems = elems;
		funcs.cap = cap;
	}

	func = &funcs.elems[funcs.cnt];
	memset(func, 0, sizeof(*func));
	if (!module)
		func->name = strdup(name);
	else if (asprintf(&func->name, "%s [%s]", name, module) < 0)
		func->name = NULL;
	if (!func->name)
		return -ENOMEM;

	funcs.cnt++;
	return 0;
}

static int match_exit(const char *module, const char *name, __u64 *cookie, void *ctx)
{
	*cookie = funcs.cnt;
	return add_func(module, name);
}

/* functop_entry can be attached to more functions, as it needs no return value;
 * apart from these, both see the same ones in the same order.
 */
static int match_entry(const char *module, const char *name, __u64 *cookie, void *ctx)
{
	struct func *func = &funcs.elems[funcs.pos];

	if (funcs.pos < funcs.merge_cnt && func_is(func, module, name)) {
		*cookie = funcs.pos++ | (func->timed ? COOKIE_TIMED : 0);
		return 0;
	}

	*cookie = funcs.cnt;
	return add_func(module, name);
}

/* The cookies of what a link is really attached to: the kernel leaves out what
 * a glob matches but BPF may not trace.
 */
static int link_cookies(struct bpf_link *link, __u64 **cookies)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	int err;

	*cookies = NULL;
	err = bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len);
	if (err)
		return err;

	*cookies = calloc(info.tracing_multi.count, sizeof(**cookies));
	if (!*cookies)
		return -ENOMEM;

	info.tracing_multi.cookies = (__u64)(unsigned long)*cookies;
	err = bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len);
	if (err) {
		free(*cookies);
		return err;
	}

	return info.tracing_multi.count;
}

static int attach_exit(struct functop_bpf *skel)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	__u32 bad_idx = ~0U;
	struct bpf_link *link;
	__u64 *cookies;
	int i, cnt;

	opts.match_fn = match_exit;
	opts.bad_idx = &bad_idx;
	opts.skip_invalid = true;

	link = bpf_program__attach_tracing_multi(skel->progs.functop_exit, env.pattern, &opts);
	if (!link) {
		/* what can't be timed can perhaps be counted */
		if (errno == ENOENT || bad_idx != ~0U)
			return 0;
		return -errno;
	}
	skel->links.functop_exit = link;

	cnt = link_cookies(link, &cookies);
	if (cnt < 0)
		return cnt;
	for (i = 0; i < cnt; i++)
		funcs.elems[cookies[i]].timed = true;
	free(cookies);
	return 0;
}

/* The number of functions attached to, or an error */
static int attach_entry(struct functop_bpf *skel)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;
	__u64 *cookies;
	int cnt;

	opts.match_fn = match_entry;
	funcs.merge_cnt = funcs.cnt;

	link = bpf_program__attach_tracing_multi(skel->progs.functop_entry, env.pattern, &opts);
	if (!link)
		return -errno;
	skel->links.functop_entry = link;

	cnt = link_cookies(link, &cookies);
	if (cnt >= 0)
		free(cookies);
	return cnt;
}

static size_t stats_size(void)
{
	return funcs.cnt * cpus * sizeof(struct func_stat);
}

static int create_stats(struct functop_bpf *skel)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int fd, err, outer_fd = bpf_map__fd(skel->maps.stats);
	__u32 zero = 0;

	cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return cpus;
	if (funcs.cnt * cpus > UINT_MAX)
		return -E2BIG;

	opts.map_flags = STATS_FLAGS;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "functop_stats", sizeof(__u32),
			    sizeof(struct func_stat), funcs.cnt * cpus, &opts);
	if (fd < 0)
		return -errno;

	stats = mmap(NULL, stats_size(), PROT_READ, MAP_SHARED, fd, 0);
	if (stats == MAP_FAILED) {
		err = -errno;
		stats = NULL;
		close(fd);
		return err;
	}

	err = bpf_map_update_elem(outer_fd, &zero, &fd, BPF_ANY);
	close(fd);
	if (err)
		return err;

	skel->bss->nr_funcs = funcs.cnt;
	return 0;
}

static void sum_stats(void)
{
	const struct func_stat *val = stats;
	struct func_stat *sum;
	size_t i;
	int cpu;

	for (cpu = 0; cpu < cpus; cpu++) {
		for (i = 0; i < funcs.cnt; i++, val++) {
			sum = &funcs.elems[i].stat;
			sum->calls += val->calls;
			sum->returns += val->returns;
			sum->total_ns += val->total_ns;
		}
	}
}

/* most time first, then most calls, then by name */
static int func_cmp(const void *a, const void *b)
{
	const struct func *x = a, *y = b;

	if (x->stat.total_ns != y->stat.total_ns)
		return x->stat.total_ns > y->stat.total_ns ? -1 : 1;
	if (x->stat.calls != y->stat.calls)
		return x->stat.calls > y->stat.calls ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Calls that came while the program was handling another one on the same CPU */
static __u64 recursion_misses(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		return 0;
	return info.recursion_misses;
}

static void print_table(struct functop_bpf *skel)
{
	const struct func_stat *stat;
	__u64 missed, untimed, calls = 0;
	size_t i, called = 0;

	qsort(funcs.elems, funcs.cnt, sizeof(*funcs.elems), func_cmp);

	printf("%-40s %12s %12s %12s\n", "FUNCTION", "CALLS", "AVG us", "TOTAL ms");
	for (i = 0; i < funcs.cnt; i++) {
		stat = &funcs.elems[i].stat;
		if (!stat->calls)
			continue;

		called++;
		calls += stat->calls;
		printf("%-40s %12llu ", funcs.elems[i].name, stat->calls);
		if (stat->returns)
			printf("%12.3f %12.3f\n", stat->total_ns / 1e3 / stat->returns,
			       stat->total_ns / 1e6);
		else
			printf("%12s %12s\n", "-", "-");
	}
	printf("\n%zu of %zu functions called, %llu calls", called, funcs.cnt, calls);

	missed = recursion_misses(skel->progs.functop_entry);
	if (missed)
		printf(", %llu not counted", missed);
	untimed = recursion_misses(skel->progs.functop_exit) + skel->bss->untimed;
	if (untimed)
		printf(", %llu not timed", untimed);
	printf("\n");
}

/* Starts the command, which waits until the returned fd is closed */
static int start_cmd(pid_t *pid, const sigset_t *sigmask)
{
	int fds[2];
	char c;

	if (pipe(fds))
		return -errno;

	*pid = fork();
	if (*pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}

	if (*pid) {
		close(fds[0]);
		return fds[1];
	}

	close(fds[1]);
	while (read(fds[0], &c, 1) < 0 && errno == EINTR)
		;
	close(fds[0]);
	sigprocmask(SIG_SETMASK, sigmask, NULL);
	execvp(env.cmd[0], env.cmd);
	warn("can't run '%s': %s", env.cmd[0], strerror(errno));
	_exit(127);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Waits until the command ends, time is over, or Ctrl-C is pressed */
static void wait_end(const sigset_t *signals)
{
	double left, end = env.secs ? now() + env.secs : 0;
	struct timespec ts;
	int sig;

	while (true) {
		left = end ? end - now() : 3600;
		if (left <= 0)
			return;
		ts.tv_sec = left;
		ts.tv_nsec = (left - ts.tv_sec) * 1e9;

		sig = sigtimedwait(signals, NULL, &ts);
		if (sig == SIGINT || sig == SIGTERM || (sig == SIGCHLD && env.cmd))
			return;
	}
}

static int end_cmd(pid_t pid)
{
	int status;

	/* nothing happens if it has ended, as it wasn't waited for yet */
	kill(pid, SIGTERM);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;

	return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : 0;
}

static int run(struct functop_bpf *skel)
{
	sigset_t signals, old_signals;
	int err = 0, cmd_fd = -1;
	pid_t pid = 0;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &old_signals);

	if (env.cmd) {
		cmd_fd = start_cmd(&pid, &old_signals);
		if (cmd_fd < 0) {
			warn("can't start a process: %s", strerror(-cmd_fd));
			return cmd_fd;
		}
	}

	skel->bss->enabled = 1;
	if (env.cmd)
		close(cmd_fd);
	wait_end(&signals);
	skel->bss->enabled = 0;

	if (env.cmd)
		err = end_cmd(pid);
	/* a second Ctrl-C needn't wait for what comes now */
	sigprocmask(SIG_SETMASK, &old_signals, NULL);
	return err;
}

static void warn_load(int err)
{
	if (err == -EPERM || err == -EACCES)
		warn("no permission to trace the kernel: not root, or the kernel is locked down");
	else if (strstr(libbpf_log, "doesn't support tracing multi-links"))
		warn("this kernel doesn't support tracing multi-links");
	else
		warn("can't load BPF programs: %s\n%s", strerror(-err), libbpf_log);
}

static void warn_attach(int err)
{
	if (strstr(libbpf_log, "found no function"))
		warn("no function that can be traced matches %s", env.pattern);
	else
		warn("can't trace %s: %s\n%s", env.pattern, strerror(-err), libbpf_log);
}

static int attach(struct functop_bpf *skel)
{
	size_t i, timed = 0;
	double start = now();
	int err, cnt;

	libbpf_log[0] = '\0';
	err = attach_exit(skel);
	if (!err) {
		libbpf_log[0] = '\0';
		cnt = attach_entry(skel);
		err = cnt < 0 ? cnt : 0;
	}
	if (err) {
		warn_attach(err);
		return err;
	}

	for (i = 0; i < funcs.cnt; i++)
		timed += funcs.elems[i].timed;
	fprintf(stderr, "%s: %zu function%s, attached to %d (%zu timed) in %.2f s\n",
		env.pattern, funcs.cnt, funcs.cnt == 1 ? "" : "s", cnt, timed, now() - start);
	return 0;
}

int main(int argc, char **argv)
{
	struct functop_bpf *skel;
	size_t i;
	int err;

	err = parse_args(argc, argv);
	if (err)
		return err < 0 ? 2 : 0;

	libbpf_set_print(print_libbpf);
	skel = functop_bpf__open_and_load();
	if (!skel) {
		warn_load(-errno);
		return 1;
	}

	err = attach(skel);
	if (err)
		goto out;

	err = create_stats(skel);
	if (err) {
		warn("can't create a map for %zu functions: %s", funcs.cnt, strerror(-err));
		goto out;
	}

	err = run(skel);
	if (err)
		goto out;

	sum_stats();
	print_table(skel);

out:
	if (stats)
		munmap((void *)stats, stats_size());
	functop_bpf__destroy(skel);
	for (i = 0; i < funcs.cnt; i++)
		free(funcs.elems[i].name);
	free(funcs.elems);
	free(env.pattern);
	return err ? 1 : 0;
}
