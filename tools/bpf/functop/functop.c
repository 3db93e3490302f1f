// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * functop: count and time the calls of any number of kernel functions
 *
 * One fentry and one fexit program, each attached with one link to all
 * functions that the given globs match.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "functop.h"
#include "functop.skel.h"

/* exit status: wrong arguments; anything else */
#define EXIT_USAGE	2

/* how long a command that is to end may take for it */
#define END_CMD_SECS	3

/* inode of the initial pid namespace in nsfs, PROC_PID_INIT_INO of the kernel */
#define INIT_PID_NS_INO	0xEFFFFFFC

struct func {
	char *module;		/* NULL if it's in vmlinux */
	char *name;
	bool timed;		/* functop_exit is attached to it */
	__u32 ret;		/* RET_* */
	struct func_stat stat;
};

struct error_stat {
	struct error_key key;
	__u64 cnt;
};

static struct env {
	char *pattern;
	char *module;
	char **cmd;
	double secs;
	double interval;
	pid_t pid;
	bool ret;
	bool hist;
	bool json;
	bool verbose;
} env;

static struct funcs {
	struct func *elems;
	size_t cnt;
	size_t cap;
	/* the elems that functop_exit's pattern matched, by name */
	__u32 *by_name;
	size_t by_name_cnt;
	/* all of them, as they are to be shown */
	__u32 *order;
} funcs;

/* those of all functions for the first CPU, then for the second, and so on */
static const struct func_stat *stats;
static int cpus;

/* NULL if not asked for */
static const struct func_hist *hists;

/* what was returned, by function; NULL if not asked for */
static struct error_stat *errors;
static size_t errors_cnt;

/* what the kernel had missed before counting began */
static __u64 missed_before;

static double start_time;

/* Ctrl-C was pressed */
static bool interrupted;

/* what libbpf has to say about the current step, told only if it fails */
static char libbpf_log[16 * 1024];

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: functop [OPTION]... GLOB... [-- COMMAND [ARG]...]\n"
		"Count and time the calls of all kernel functions that match a GLOB, and the\n"
		"errors that they return, until COMMAND ends, SECS are over or Ctrl-C is pressed;\n"
		"COMMAND is ended then. Calls are counted whoever makes them, unless -p is given.\n"
		"\n"
		"GLOB: 'vfs_*', 'tcp_sendmsg', 'ext4:ext4_*' for those of a module, '*:*_init'\n"
		"for the kernel's and all modules', '!vfs_read*' for those to leave out.\n"
		"\n"
		"  -d, --duration SECS   stop after SECS seconds\n"
		"  -i, --interval SECS   show the table every SECS seconds, too\n"
		"  -p, --pid PID         only calls made by process PID (all of its threads)\n"
		"  -m, --module MODULE   GLOBs are those of MODULE's functions\n"
		"  -r, --ret             tell which errors were returned, and how often\n"
		"  -H, --hist            show how long the calls of each function took\n"
		"  -j, --json            instead of a table, print an object, in one line\n"
		"  -v, --verbose         tell what libbpf is doing\n"
		"  -h, --help            show this text\n"
		"\n"
		"The table has all calls from the start on, most time first. An error is a\n"
		"negative value of a signed integer type, or an error pointer.\n"
		"\n"
		"Examples:\n"
		"    functop 'vfs_*' -- ls -l /             # while a command runs\n"
		"    functop -i 1 'tcp_*' 'udp_*'           # refresh the table every second\n"
		"    functop -d 10 -p 123 --ret '__x64_sys_*'\n"
		"    functop -d 10 -m ext4 --json '*' | jq .functions\n");
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

	if (env.verbose) {
		va_list copy;

		va_copy(copy, args);
		vfprintf(stderr, fmt, copy);
		va_end(copy);
	}
	if (level != LIBBPF_WARN)
		return 0;

	return vsnprintf(libbpf_log + len, sizeof(libbpf_log) - len, fmt, args);
}

/* The first thing that libbpf said, without the name of our program in front */
static const char *libbpf_reason(void)
{
	char *text = libbpf_log, *end = strchr(text, '\n');
	const char *prog = "libbpf: prog 'functop_", *colon;

	if (end)
		*end = '\0';
	if (strncmp(text, prog, strlen(prog)))
		return text;

	colon = strstr(text, "': ");
	return colon ? colon + 3 : text;
}

/* Globs with commas in between, each in env.module if that is given */
static int add_patterns(FILE *f, char *globs)
{
	const char *module = env.module ?: "", *glob, *not, *comma = "";

	while ((glob = strsep(&globs, ","))) {
		not = *glob == '!' ? "!" : "";
		glob += strlen(not);
		if (env.module && strchr(glob, ':')) {
			warn("'%s' names a module, and so does -m %s", glob, env.module);
			return -EINVAL;
		}
		fprintf(f, "%s%s%s%s%s", comma, not, module, *module ? ":" : "", glob);
		comma = ",";
	}

	return 0;
}

/* One comma-separated pattern */
static int join_patterns(char **globs, int cnt)
{
	size_t len = 0;
	int i, err = 0;
	FILE *f;

	f = open_memstream(&env.pattern, &len);
	if (!f)
		return -ENOMEM;

	for (i = 0; i < cnt && !err; i++) {
		if (i)
			fputc(',', f);
		err = add_patterns(f, globs[i]);
	}

	return fclose(f) ? -ENOMEM : err;
}

static int parse_secs(const char *arg, double *secs)
{
	char *end;

	errno = 0;
	*secs = strtod(arg, &end);
	if (errno || end == arg || *end || !(*secs > 0 && *secs < 1e9)) {
		warn("'%s' isn't a number of seconds", arg);
		return -EINVAL;
	}

	return 0;
}

/* The process that a thread is of, 0 if that can't be found out */
static pid_t tgid_of(pid_t pid)
{
	char path[64], line[256];
	pid_t tgid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f) && sscanf(line, "Tgid: %d", &tgid) != 1)
		;
	fclose(f);
	return tgid;
}

/* BPF programs see the ids of this one. */
static bool in_init_pid_ns(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) || st.st_ino == INIT_PID_NS_INO;
}

static int parse_pid(const char *arg, pid_t *pid)
{
	pid_t tgid;
	char *end;
	long val;

	errno = 0;
	val = strtol(arg, &end, 10);
	if (errno || end == arg || *end || val <= 0 || val > INT_MAX) {
		warn("'%s' isn't the id of a process", arg);
		return -EINVAL;
	}
	if (kill(val, 0) && errno == ESRCH) {
		warn("there is no process %ld", val);
		return -EINVAL;
	}
	tgid = tgid_of(val);
	if (tgid && tgid != val) {
		warn("%ld is a thread of process %d", val, tgid);
		return -EINVAL;
	}
	if (!in_init_pid_ns()) {
		warn("-p needs the initial pid namespace");
		return -EINVAL;
	}

	*pid = val;
	return 0;
}

static int parse_module(char *arg)
{
	char path[PATH_MAX];

	if (!*arg || strchr(arg, '/') || arg[0] == '.') {
		warn("'%s' isn't the name of a module", arg);
		return -EINVAL;
	}

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", arg);
	if (access(path, F_OK)) {
		warn("module '%s' isn't loaded or has no BTF", arg);
		return -EINVAL;
	}

	env.module = arg;
	return 0;
}

static int parse_opts(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "duration",	required_argument,	NULL, 'd' },
		{ "interval",	required_argument,	NULL, 'i' },
		{ "pid",	required_argument,	NULL, 'p' },
		{ "module",	required_argument,	NULL, 'm' },
		{ "ret",	no_argument,		NULL, 'r' },
		{ "hist",	no_argument,		NULL, 'H' },
		{ "json",	no_argument,		NULL, 'j' },
		{ "verbose",	no_argument,		NULL, 'v' },
		{ "help",	no_argument,		NULL, 'h' },
		{}
	};
	int opt, err = 0;

	while (!err && (opt = getopt_long(argc, argv, "d:i:p:m:rHjvh", opts, NULL)) != -1) {
		switch (opt) {
		case 'd':
			err = parse_secs(optarg, &env.secs);
			break;
		case 'i':
			err = parse_secs(optarg, &env.interval);
			break;
		case 'p':
			err = parse_pid(optarg, &env.pid);
			break;
		case 'm':
			err = parse_module(optarg);
			break;
		case 'r':
			env.ret = true;
			break;
		case 'H':
			env.hist = true;
			break;
		case 'j':
			env.json = true;
			break;
		case 'v':
			env.verbose = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			fprintf(stderr, "Try 'functop --help'.\n");
			err = -EINVAL;
		}
	}

	return err;
}

static int parse_args(int argc, char **argv)
{
	int i, err;

	/* what follows is not for getopt_long() to put in order */
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		env.cmd = &argv[i + 1];
		argc = i;
		break;
	}

	err = parse_opts(argc, argv);
	if (err)
		return err;

	if (env.cmd && !*env.cmd) {
		warn("no COMMAND is given after --");
		return -EINVAL;
	}
	if (optind == argc) {
		warn("no GLOB is given");
		fprintf(stderr, "Try 'functop --help'.\n");
		return -EINVAL;
	}

	return join_patterns(argv + optind, argc - optind);
}

static int name_cmp(const struct func *x, const struct func *y)
{
	int cmp = strcmp(x->name, y->name);

	return cmp ?: strcmp(x->module ?: "", y->module ?: "");
}

static int by_name_cmp(const void *a, const void *b)
{
	return name_cmp(&funcs.elems[*(__u32 *)a], &funcs.elems[*(__u32 *)b]);
}

static int by_name_find(const void *key, const void *elem)
{
	return name_cmp(key, &funcs.elems[*(__u32 *)elem]);
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

	func = &funcs.elems[funcs.cnt++];
	memset(func, 0, sizeof(*func));
	func->name = strdup(name);
	if (module)
		func->module = strdup(module);

	return !func->name || (module && !func->module) ? -ENOMEM : 0;
}

static void free_funcs(void)
{
	size_t i;

	for (i = 0; i < funcs.cnt; i++) {
		free(funcs.elems[i].module);
		free(funcs.elems[i].name);
	}
	free(funcs.elems);
	free(funcs.by_name);
	free(funcs.order);
}

static int match_exit(const char *module, const char *name, __u64 *cookie, void *ctx)
{
	*cookie = funcs.cnt;
	return add_func(module, name);
}

/* functop_entry can be attached to more functions than functop_exit, as it needs
 * no return value.
 */
static int match_entry(const char *module, const char *name, __u64 *cookie, void *ctx)
{
	struct func key = { .module = (char *)module, .name = (char *)name };
	const struct func *func;
	__u32 *index;

	index = bsearch(&key, funcs.by_name, funcs.by_name_cnt, sizeof(*index), by_name_find);
	if (!index) {
		*cookie = funcs.cnt;
		return add_func(module, name);
	}

	func = &funcs.elems[*index];
	*cookie = *index;
	if (func->timed)
		*cookie |= COOKIE_TIMED | (__u64)func->ret << COOKIE_RET_SHIFT;
	return 0;
}

struct target {
	__u64 cookie;
	__u32 id;
};

/* What a link is really attached to: the kernel leaves out what a glob matches
 * but BPF may not trace. Returns their number.
 */
static int link_targets(struct bpf_link *link, struct target **targets)
{
	struct bpf_link_info info = {};
	__u32 i, cnt, len = sizeof(info);
	__u64 *cookies = NULL;
	__u32 *ids = NULL;
	int err;

	*targets = NULL;
	err = bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len);
	if (err)
		return err;

	cnt = info.tracing_multi.count;
	cookies = calloc(cnt, sizeof(*cookies));
	ids = calloc(cnt, sizeof(*ids));
	*targets = calloc(cnt, sizeof(**targets));
	if (!cookies || !ids || !*targets) {
		err = -ENOMEM;
		goto out;
	}

	info.tracing_multi.cookies = (__u64)(unsigned long)cookies;
	info.tracing_multi.ids = (__u64)(unsigned long)ids;
	err = bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len);
	if (err)
		goto out;

	for (i = 0; i < cnt; i++) {
		(*targets)[i].cookie = cookies[i];
		(*targets)[i].id = ids[i];
	}
out:
	free(cookies);
	free(ids);
	if (err) {
		free(*targets);
		*targets = NULL;
	}
	return err ?: cnt;
}

/* RET_* of a function */
static __u32 return_kind(const struct btf *btf, __u32 func_id)
{
	const struct btf_type *t = btf__type_by_id(btf, func_id);
	int id;

	if (!t || !btf_is_func(t))
		return RET_OTHER;

	t = btf__type_by_id(btf, t->type);
	id = btf__resolve_type(btf, t->type);
	if (id <= 0)
		return RET_OTHER;

	t = btf__type_by_id(btf, id);
	if (btf_is_ptr(t))
		return RET_PTR;
	if (btf_is_int(t) && (btf_int_encoding(t) & BTF_INT_SIGNED) && t->size <= 8)
		return t->size * 8;
	return RET_OTHER;
}

static bool same_module(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Notes which functions are timed, and what they return. The targets come sorted
 * by the BTF object that they're in, so that each is loaded once.
 */
static int note_timed(const struct target *targets, int cnt)
{
	struct btf *vmlinux, *btf = NULL;
	const char *module = NULL;
	struct func *func;
	int i, err = 0;

	vmlinux = btf__load_vmlinux_btf();
	if (!vmlinux)
		return -errno;

	for (i = 0; i < cnt; i++) {
		func = &funcs.elems[targets[i].cookie & COOKIE_INDEX_MASK];
		if (func->module && !same_module(func->module, module)) {
			btf__free(btf);
			module = func->module;
			btf = btf__load_module_btf(module, vmlinux);
			if (!btf) {
				err = -errno;
				break;
			}
		}
		func->timed = true;
		func->ret = return_kind(func->module ? btf : vmlinux, targets[i].id);
	}

	btf__free(btf);
	btf__free(vmlinux);
	return err;
}

static int attach_exit(struct functop_bpf *skel)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	__u32 bad_idx = ~0U;
	struct target *targets;
	struct bpf_link *link;
	int err, cnt;

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

	cnt = link_targets(link, &targets);
	if (cnt < 0)
		return cnt;

	err = note_timed(targets, cnt);
	free(targets);
	return err;
}

/* The number of functions attached to, or an error */
static int attach_entry(struct functop_bpf *skel)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct target *targets;
	struct bpf_link *link;
	size_t i;
	int cnt;

	funcs.by_name = calloc(funcs.cnt ?: 1, sizeof(*funcs.by_name));
	if (!funcs.by_name)
		return -ENOMEM;
	for (i = 0; i < funcs.cnt; i++)
		funcs.by_name[i] = i;
	funcs.by_name_cnt = funcs.cnt;
	qsort(funcs.by_name, funcs.cnt, sizeof(*funcs.by_name), by_name_cmp);

	opts.match_fn = match_entry;
	link = bpf_program__attach_tracing_multi(skel->progs.functop_entry, env.pattern, &opts);
	if (!link)
		return -errno;
	skel->links.functop_entry = link;

	cnt = link_targets(link, &targets);
	free(targets);
	return cnt;
}

/* Gives the map of maps its map, with so many entries, which is mapped here */
static int create_inner_map(const struct bpf_map *outer, const char *name, size_t value_size,
			    size_t cnt, void **mem)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	__u32 zero = 0;
	void *addr;
	int fd, err;

	if (cnt > UINT_MAX)
		return -E2BIG;

	opts.map_flags = STATS_FLAGS;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), value_size, cnt, &opts);
	if (fd < 0)
		return -errno;

	addr = mmap(NULL, value_size * cnt, PROT_READ, MAP_SHARED, fd, 0);
	if (addr == MAP_FAILED) {
		err = -errno;
		close(fd);
		return err;
	}

	*mem = addr;
	err = bpf_map_update_elem(bpf_map__fd(outer), &zero, &fd, BPF_ANY);
	close(fd);
	return err;
}

/* The highest number of a CPU, and 1: there may be numbers without a CPU. */
static int nr_cpu_ids(void)
{
	char list[4096] = "";
	int len, last = -1;
	FILE *f;

	f = fopen("/sys/devices/system/cpu/possible", "r");
	if (!f)
		return -errno;
	if (fgets(list, sizeof(list), f)) {
		/* such as "0,2-3" */
		len = strcspn(list, "\n");
		while (len && isdigit(list[len - 1]))
			len--;
		if (sscanf(list + len, "%d", &last) != 1)
			last = -1;
	}
	fclose(f);
	return last < 0 ? -EINVAL : last + 1;
}

static int create_maps(struct functop_bpf *skel)
{
	void *mem = NULL;
	size_t i;
	int err;

	cpus = nr_cpu_ids();
	if (cpus < 0)
		return cpus;

	funcs.order = calloc(funcs.cnt, sizeof(*funcs.order));
	if (!funcs.order)
		return -ENOMEM;
	for (i = 0; i < funcs.cnt; i++)
		funcs.order[i] = i;

	if (env.ret) {
		errors = calloc(MAX_ERRORS, sizeof(*errors));
		if (!errors)
			return -ENOMEM;
	}

	if (env.hist) {
		err = create_inner_map(skel->maps.hists, "functop_hists", sizeof(*hists),
				       funcs.cnt, &mem);
		hists = mem;
		if (err)
			return err;
	}

	skel->bss->nr_funcs = funcs.cnt;
	mem = NULL;
	err = create_inner_map(skel->maps.stats, "functop_stats", sizeof(*stats),
			       funcs.cnt * cpus, &mem);
	stats = mem;
	return err;
}

static void sum_stats(void)
{
	const struct func_stat *val = stats;
	struct func_stat *sum;
	size_t i;
	int cpu;

	for (i = 0; i < funcs.cnt; i++)
		memset(&funcs.elems[i].stat, 0, sizeof(funcs.elems[i].stat));

	for (cpu = 0; cpu < cpus; cpu++) {
		for (i = 0; i < funcs.cnt; i++, val++) {
			sum = &funcs.elems[i].stat;
			sum->calls += val->calls;
			sum->returns += val->returns;
			sum->errors += val->errors;
			sum->total_ns += val->total_ns;
			if (sum->max_ns < val->max_ns)
				sum->max_ns = val->max_ns;
		}
	}
}

/* most time first, then most calls, then by name */
static int order_cmp(const void *a, const void *b)
{
	const struct func *x = &funcs.elems[*(__u32 *)a];
	const struct func *y = &funcs.elems[*(__u32 *)b];

	if (x->stat.total_ns != y->stat.total_ns)
		return x->stat.total_ns > y->stat.total_ns ? -1 : 1;
	if (x->stat.calls != y->stat.calls)
		return x->stat.calls > y->stat.calls ? -1 : 1;
	return name_cmp(x, y);
}

/* by function, most frequent first */
static int error_cmp(const void *a, const void *b)
{
	const struct error_stat *x = a, *y = b;

	if (x->key.index != y->key.index)
		return x->key.index < y->key.index ? -1 : 1;
	if (x->cnt != y->cnt)
		return x->cnt > y->cnt ? -1 : 1;
	return y->key.error - x->key.error;
}

static void read_errors(struct functop_bpf *skel)
{
	int fd = bpf_map__fd(skel->maps.errors);
	struct error_key *prev = NULL;
	struct error_stat *stat;

	for (errors_cnt = 0; errors_cnt < MAX_ERRORS; errors_cnt++) {
		stat = &errors[errors_cnt];
		if (bpf_map_get_next_key(fd, prev, &stat->key))
			break;
		/* none is ever deleted */
		bpf_map_lookup_elem(fd, &stat->key, &stat->cnt);
		prev = &stat->key;
	}

	qsort(errors, errors_cnt, sizeof(*errors), error_cmp);
}

/* The first of the errors of a function, or of those behind it */
static const struct error_stat *func_errors(__u32 index)
{
	size_t lo = 0, hi = errors_cnt, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (errors[mid].key.index < index)
			lo = mid + 1;
		else
			hi = mid;
	}

	return errors + lo;
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

/* All functions together */
struct totals {
	size_t called;
	__u64 calls;
	__u64 missed;
	__u64 untimed;
};

static void get_totals(struct functop_bpf *skel, struct totals *totals)
{
	const struct func *func;
	size_t i;

	memset(totals, 0, sizeof(*totals));
	totals->missed = recursion_misses(skel->progs.functop_entry) - missed_before +
			 skel->bss->missed;

	for (i = 0; i < funcs.cnt; i++) {
		func = &funcs.elems[i];
		totals->called += func->stat.calls > 0;
		totals->calls += func->stat.calls;
		/* a CPU's counters aren't read all at once */
		if (func->timed && func->stat.calls > func->stat.returns)
			totals->untimed += func->stat.calls - func->stat.returns;
	}
}

static void print_errors(FILE *f, __u32 index)
{
	const struct error_stat *stat = func_errors(index), *end = errors + errors_cnt;

	for (; stat < end && stat->key.index == index; stat++) {
		if (stat->key.error)
			fprintf(f, "  %5d %-40s %9llu\n", stat->key.error,
				strerror(-stat->key.error), stat->cnt);
		else
			fprintf(f, "  below %-40d %9llu\n", -MAX_ERRNO, stat->cnt);
	}
}

/* How long calls in a slot took at most, or what stands for no limit */
static const char *slot_max(int slot, const char *no_limit)
{
	static char buf[24];

	if (slot == HIST_SLOTS - 1)
		return no_limit;

	snprintf(buf, sizeof(buf), "%llu", (1ULL << (slot + 1)) - 1);
	return buf;
}

static void print_hist(FILE *f, const struct func_hist *hist)
{
	static const char stars[] = "******************************";
	int i, first = -1, last = -1, width;
	__u64 max = 0;

	for (i = 0; i < HIST_SLOTS; i++) {
		if (!hist->slots[i])
			continue;
		if (first < 0)
			first = i;
		last = i;
		if (max < hist->slots[i])
			max = hist->slots[i];
	}
	if (first < 0)
		return;

	for (i = first; i <= last; i++) {
		width = hist->slots[i] * (sizeof(stars) - 1) / max;
		fprintf(f, "  %12llu -> %-12s ns %9llu |%-*.*s|\n",
			i ? 1ULL << i : 0, slot_max(i, "..."), hist->slots[i],
			(int)sizeof(stars) - 1, width, stars);
	}
}

static void print_func(FILE *f, __u32 index)
{
	const struct func *func = &funcs.elems[index];
	const struct func_stat *stat = &func->stat;
	char name[256];

	snprintf(name, sizeof(name), func->module ? "%s [%s]" : "%s", func->name, func->module);
	fprintf(f, "%-29s %9llu ", name, stat->calls);

	if (func->timed && func->ret != RET_OTHER)
		fprintf(f, "%7llu ", stat->errors);
	else
		fprintf(f, "%7s ", "-");

	if (stat->returns)
		fprintf(f, "%10.3f %10.3f %10.3f\n", stat->total_ns / 1e3 / stat->returns,
			stat->max_ns / 1e3, stat->total_ns / 1e6);
	else
		fprintf(f, "%10s %10s %10s\n", "-", "-", "-");

	if (errors)
		print_errors(f, index);
	if (hists)
		print_hist(f, &hists[index]);
}

/* At most max functions, most time first, in lines of 80 columns */
static void print_funcs(FILE *f, size_t max)
{
	size_t i;

	fprintf(f, "%-29s %9s %7s %10s %10s %10s\n",
		"FUNCTION", "CALLS", "ERRORS", "AVG us", "MAX us", "TOTAL ms");
	for (i = 0; i < funcs.cnt && i < max; i++) {
		if (funcs.elems[funcs.order[i]].stat.calls)
			print_func(f, funcs.order[i]);
	}
}

static void print_totals(FILE *f, struct functop_bpf *skel)
{
	struct totals totals;

	get_totals(skel, &totals);

	fprintf(f, "\n%zu of %zu functions called, %llu calls",
		totals.called, funcs.cnt, totals.calls);
	if (totals.missed)
		fprintf(f, ", %llu missed (recursion%s)", totals.missed,
			env.pid ? ", of all processes" : "");
	if (totals.untimed)
		fprintf(f, ", %llu not timed or not returned", totals.untimed);
	if (totals.untimed && skel->bss->no_start)
		fprintf(f, ", %llu of these for lack of room", skel->bss->no_start);
	if (skel->bss->no_error)
		fprintf(f, ", %llu errors not told apart", skel->bss->no_error);
	fprintf(f, "\n");
}

/* How much of the text are the lines that fit into so many rows, and how many of
 * these they take
 */
static size_t fit_rows(const char *text, size_t cols, size_t rows, size_t *used)
{
	const char *line = text, *end;
	size_t cnt;

	*used = 0;
	while ((end = strchr(line, '\n'))) {
		/* what is too long for one row goes on in the next */
		cnt = line == end ? 1 : (end - line + cols - 1) / cols;
		if (cnt > rows - *used)
			break;
		*used += cnt;
		line = end + 1;
	}

	return line - text;
}

/* As many lines of the table as the terminal has room for, and the totals */
static void print_screen(struct functop_bpf *skel)
{
	size_t table_len, totals_len, rows, cols, used;
	char *table = NULL, *totals = NULL;
	struct winsize size = {};
	FILE *f;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	/* the cursor is below */
	rows = (size.ws_row ?: 24) - 1;
	cols = size.ws_col ?: 80;

	f = open_memstream(&table, &table_len);
	if (!f)
		return;
	print_funcs(f, rows);
	if (fclose(f))
		goto out;

	f = open_memstream(&totals, &totals_len);
	if (!f)
		goto out;
	print_totals(f, skel);
	if (fclose(f))
		goto out;

	/* clear the screen */
	printf("\033[H\033[2J");
	totals_len = fit_rows(totals, cols, rows, &used);
	table_len = fit_rows(table, cols, rows - used, &used);
	printf("%.*s%.*s", (int)table_len, table, (int)totals_len, totals);
out:
	free(table);
	free(totals);
}

static void print_json_errors(__u32 index)
{
	const struct error_stat *stat = func_errors(index), *end = errors + errors_cnt;
	const char *sep = "";

	printf(",\"returned\":[");
	for (; stat < end && stat->key.index == index; stat++) {
		/* null: below -MAX_ERRNO */
		if (stat->key.error)
			printf("%s{\"error\":%d,\"calls\":%llu}", sep, stat->key.error, stat->cnt);
		else
			printf("%s{\"error\":null,\"calls\":%llu}", sep, stat->cnt);
		sep = ",";
	}
	printf("]");
}

static void print_json_hist(const struct func_hist *hist)
{
	const char *sep = "";
	int i;

	printf(",\"hist\":[");
	for (i = 0; i < HIST_SLOTS; i++) {
		if (!hist->slots[i])
			continue;
		printf("%s{\"min_ns\":%llu,\"max_ns\":%s,\"calls\":%llu}", sep,
		       i ? 1ULL << i : 0, slot_max(i, "null"), hist->slots[i]);
		sep = ",";
	}
	printf("]");
}

static void print_json_func(__u32 index)
{
	const struct func *func = &funcs.elems[index];
	const struct func_stat *stat = &func->stat;

	printf("{\"name\":\"%s\",\"module\":", func->name);
	if (func->module)
		printf("\"%s\"", func->module);
	else
		printf("null");
	printf(",\"calls\":%llu", stat->calls);

	if (func->timed && func->ret != RET_OTHER)
		printf(",\"errors\":%llu", stat->errors);
	else
		printf(",\"errors\":null");

	if (func->timed)
		printf(",\"returns\":%llu,\"total_ns\":%llu,\"avg_ns\":%llu,\"max_ns\":%llu",
		       stat->returns, stat->total_ns,
		       stat->returns ? stat->total_ns / stat->returns : 0, stat->max_ns);
	else
		printf(",\"returns\":null,\"total_ns\":null,\"avg_ns\":null,\"max_ns\":null");

	if (errors)
		print_json_errors(index);
	if (hists)
		print_json_hist(&hists[index]);
	printf("}");
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void print_json(struct functop_bpf *skel)
{
	struct totals totals;
	const char *sep = "";
	size_t i;

	get_totals(skel, &totals);

	printf("{\"secs\":%.3f,\"matched\":%zu,\"called\":%zu",
	       now() - start_time, funcs.cnt, totals.called);
	printf(",\"calls\":%llu,\"missed\":%llu,\"untimed\":%llu,\"no_room\":%llu",
	       totals.calls, totals.missed, totals.untimed, skel->bss->no_start);
	if (errors)
		printf(",\"errors_not_told_apart\":%llu", skel->bss->no_error);
	printf(",\"functions\":[");
	for (i = 0; i < funcs.cnt; i++) {
		if (!funcs.elems[funcs.order[i]].stat.calls)
			continue;
		printf("%s", sep);
		print_json_func(funcs.order[i]);
		sep = ",";
	}
	printf("]}\n");
}

/* Is the table always at the top of the terminal? */
static bool clears_screen(void)
{
	return env.interval && !env.json && isatty(STDOUT_FILENO);
}

static void show_table(struct functop_bpf *skel, bool last)
{
	if (clears_screen()) {
		if (!last) {
			print_screen(skel);
			return;
		}
		printf("\033[H\033[2J");
	} else if (env.interval) {
		printf("%s%.3f s:\n", last ? "all of " : "", now() - start_time);
	}

	print_funcs(stdout, funcs.cnt);
	print_totals(stdout, skel);
	if (env.interval && !last)
		printf("\n");
}

static void show(struct functop_bpf *skel, bool last)
{
	sum_stats();
	qsort(funcs.order, funcs.cnt, sizeof(*funcs.order), order_cmp);
	if (errors)
		read_errors(skel);

	if (env.json)
		print_json(skel);
	else
		show_table(skel, last);
	fflush(stdout);
}

struct cmd {
	pid_t pid;
	/* closed to let it start */
	int start_fd;
	/* gets errno if it can't be run */
	int error_fd;
};

/* The command is told to end when functop does, however that ends. */
static void run_cmd(pid_t functop, int start_fd, int error_fd, const sigset_t *sigmask)
{
	int err;
	char c;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	while (read(start_fd, &c, 1) < 0 && errno == EINTR)
		;
	/* closed as functop has ended, maybe before it could be told to signal that */
	if (getppid() != functop)
		_exit(127);
	sigprocmask(SIG_SETMASK, sigmask, NULL);
	execvp(env.cmd[0], env.cmd);
	err = errno;
	if (write(error_fd, &err, sizeof(err)) < 0)
		perror("functop");
	_exit(127);
}

static int start_cmd(struct cmd *cmd, const sigset_t *sigmask)
{
	pid_t functop = getpid();
	int start[2], error[2], err;

	if (pipe2(start, O_CLOEXEC))
		return -errno;
	if (pipe2(error, O_CLOEXEC)) {
		err = -errno;
		goto err_start;
	}

	cmd->pid = fork();
	if (cmd->pid < 0) {
		err = -errno;
		goto err_error;
	}
	if (!cmd->pid) {
		close(start[1]);
		run_cmd(functop, start[0], error[1], sigmask);
	}

	close(start[0]);
	close(error[1]);
	cmd->start_fd = start[1];
	cmd->error_fd = error[0];
	return 0;

err_error:
	close(error[0]);
	close(error[1]);
err_start:
	close(start[0]);
	close(start[1]);
	return err;
}

static double min_secs(double a, double b)
{
	return a < b ? a : b;
}

/* Waits so many seconds for one of the signals */
static bool wait_signal(const sigset_t *signals, double secs)
{
	struct timespec ts;
	int sig;

	secs = secs > 0 ? min_secs(secs, 3600) : 0;
	ts.tv_sec = secs;
	ts.tv_nsec = (secs - ts.tv_sec) * 1e9;

	sig = sigtimedwait(signals, NULL, &ts);
	if (sig == SIGINT)
		interrupted = true;
	return sig > 0;
}

/* Shows tables until the command ends, time is over, or Ctrl-C is pressed */
static void watch(struct functop_bpf *skel, const sigset_t *signals)
{
	double next = env.interval ? start_time + env.interval : INFINITY;
	double end = env.secs ? start_time + env.secs : INFINITY;

	while (now() < end) {
		if (wait_signal(signals, min_secs(end, next) - now()))
			return;
		if (now() < next || now() >= end)
			continue;
		show(skel, false);
		next = now() + env.interval;
	}
}

/* Ends the command if it still runs: asks it to, then makes it */
static int end_cmd(struct cmd *cmd, const sigset_t *signals)
{
	double end = now() + END_CMD_SECS;
	pid_t pid;
	int err;

	/* nothing happens if it has ended, as it wasn't waited for yet */
	kill(cmd->pid, SIGTERM);
	while (!(pid = waitpid(cmd->pid, NULL, WNOHANG)) && now() < end)
		wait_signal(signals, end - now());
	if (!pid) {
		kill(cmd->pid, SIGKILL);
		waitpid(cmd->pid, NULL, 0);
	}

	if (read(cmd->error_fd, &err, sizeof(err)) != sizeof(err))
		err = 0;
	close(cmd->error_fd);
	if (err)
		warn("can't run '%s': %s", env.cmd[0], strerror(err));
	return -err;
}

static int run(struct functop_bpf *skel, const char *started)
{
	struct sigaction action = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP };
	sigset_t signals, old_signals;
	struct cmd cmd = {};
	int err = 0;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (env.cmd) {
		sigaction(SIGCHLD, &action, NULL);
		sigaddset(&signals, SIGCHLD);
	}
	sigprocmask(SIG_BLOCK, &signals, &old_signals);

	if (env.cmd) {
		err = start_cmd(&cmd, &old_signals);
		if (err) {
			warn("can't start a process: %s", strerror(-err));
			return err;
		}
	}

	missed_before = recursion_misses(skel->progs.functop_entry);
	start_time = now();
	skel->bss->enabled = 1;
	fputs(started, stderr);
	if (env.cmd)
		close(cmd.start_fd);
	watch(skel, &signals);
	skel->bss->enabled = 0;

	if (env.cmd)
		err = end_cmd(&cmd, &signals);
	if (err)
		return err;

	/* the terminal has shown "^C", or will, and is still in that line */
	if (interrupted && !clears_screen() && isatty(STDOUT_FILENO))
		putchar('\n');
	show(skel, true);
	return 0;
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
	/* libbpf has more to say if some match */
	if (strstr(libbpf_log, "found no function") && !strstr(libbpf_log, " among "))
		warn("no function that can be traced matches %s", env.pattern);
	else if (*libbpf_log)
		warn("can't trace %s: %s", env.pattern, libbpf_reason());
	else
		warn("can't trace %s: %s", env.pattern, strerror(-err));
}

/* Says, in what is to be freed, what was attached to */
static int attach(struct functop_bpf *skel, char **done)
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
	if (asprintf(done, "%s: %zu function%s, attached to %d (%zu timed) in %.2f s\n",
		     env.pattern, funcs.cnt, funcs.cnt == 1 ? "" : "s", cnt, timed,
		     now() - start) < 0) {
		*done = NULL;
		return -ENOMEM;
	}
	return 0;
}

static struct functop_bpf *load(void)
{
	struct functop_bpf *skel;
	int err;

	skel = functop_bpf__open();
	if (!skel) {
		warn_load(-errno);
		return NULL;
	}

	skel->rodata->targ_tgid = env.pid;
	skel->rodata->targ_hist = env.hist;
	skel->rodata->targ_errors = env.ret;

	err = functop_bpf__load(skel);
	if (err) {
		warn_load(err);
		functop_bpf__destroy(skel);
		return NULL;
	}

	return skel;
}

int main(int argc, char **argv)
{
	struct functop_bpf *skel;
	char *started = NULL;
	int err;

	err = parse_args(argc, argv);
	if (err) {
		free(env.pattern);
		return EXIT_USAGE;
	}

	/* what a terminal shows of what is typed must not come between the lines of a table */
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	libbpf_set_print(print_libbpf);
	skel = load();
	if (!skel) {
		free(env.pattern);
		return 1;
	}

	err = attach(skel, &started);
	if (err)
		goto out;

	err = create_maps(skel);
	if (err) {
		warn("can't create maps for %zu functions: %s", funcs.cnt, strerror(-err));
		goto out;
	}

	err = run(skel, started);
	if (!err && (fflush(stdout) || ferror(stdout))) {
		warn("can't write all of the output");
		err = -EIO;
	}

out:
	if (stats)
		munmap((void *)stats, funcs.cnt * cpus * sizeof(*stats));
	if (hists)
		munmap((void *)hists, funcs.cnt * sizeof(*hists));
	functop_bpf__destroy(skel);
	free_funcs();
	free(errors);
	free(started);
	free(env.pattern);
	return err ? 1 : 0;
}
