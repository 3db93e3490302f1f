// SPDX-License-Identifier: GPL-2.0
#include <glob.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
/* PTRACE_GET_SYSCALL_INFO; after sys/ptrace.h, which it clashes with otherwise */
#include <linux/ptrace.h>
#include "tracing_multi_helpers.h"

#define MULTI_MODULES 4
#define MULTI_LINKS 16

#define WAIT_YIELDS 1000
#define WAIT_STEPS 1000
#define WAIT_STEP_US 20000
#define TRANSITION_STEPS 3000
#define SETTLE_SLEEPABLE 3	/* the most sleepable programs of an image here */
#define READS 100	/* of what changes meanwhile */
#define UNLOAD_STEPS 30000
#define UNLOAD_STEP_US 2000

static struct btf *vmlinux_btf;

static struct {
	struct btf *btf;
	char name[32];
	int fd;
} modules[MULTI_MODULES];

/* open links of this subtest */
static int links[MULTI_LINKS];
static int link_cnt;

static int count_ids(int (*get_next_id)(__u32, __u32 *))
{
	__u32 id = 0;
	int cnt = 0;

	while (!get_next_id(id, &id))
		cnt++;
	return cnt;
}

static int all_progs(void)
{
	return count_ids(bpf_prog_get_next_id);
}

static int all_links(void)
{
	return count_ids(bpf_link_get_next_id);
}

static int all_btfs(void)
{
	return count_ids(bpf_btf_get_next_id);
}

/* Wait until there are so many, and return how many there were in the end. */
static int wait_until(int (*count)(void), int least, int most)
{
	int cnt, i;

	for (i = 0;; i++) {
		cnt = count();
		/* /proc/kallsyms skips one if another goes away at that moment */
		if (cnt >= least && cnt <= most)
			cnt = count();
		if ((cnt >= least && cnt <= most) || i == WAIT_STEPS)
			return cnt;
		kern_sync_rcu();
		usleep(WAIT_STEP_US);
	}
}

bool multi_wait_for(int (*count)(void), int expected, const char *name)
{
	return ASSERT_EQ(wait_until(count, expected, expected), expected, name);
}

/* What was there before may go meanwhile. */
bool multi_wait_at_most(int (*count)(void), int most, const char *name)
{
	return ASSERT_LE(wait_until(count, 0, most), most, name);
}

static void run_subtest(const struct multi_suite *suite, const struct multi_subtest *subtest)
{
	if (!suite->setup_each || suite->setup_each())
		subtest->run();
	while (link_cnt)
		close(links[--link_cnt]);
	if (suite->teardown_each)
		suite->teardown_each();
}

static void run_subtests(const struct multi_suite *suite)
{
	int i;

	if (suite->setup && !suite->setup())
		goto out;
	for (i = 0; i < suite->cnt; i++) {
		const struct multi_subtest *subtest = &suite->subtests[i];

		if (subtest->is_long && !multi_long())
			continue;
		if (test__start_subtest(subtest->name))
			run_subtest(suite, subtest);
	}
out:
	if (suite->teardown)
		suite->teardown();
}

void multi_run_suite(const struct multi_suite *suite)
{
	int progs, btfs;

	if (!env.has_testmod) {
		test__skip();
		return;
	}
	progs = all_progs();
	btfs = all_btfs();
	run_subtests(suite);
	if (suite->leaves_progs)
		return;
	multi_wait_at_most(all_progs, progs, "programs in the end");
	/* those of modules are there as long as these */
	multi_wait_at_most(all_btfs, btfs, "BTFs in the end");
}

bool multi_init(void)
{
	vmlinux_btf = btf__load_vmlinux_btf();
	return ASSERT_OK_PTR(vmlinux_btf, "load_vmlinux_btf");
}

void multi_fini(void)
{
	int i;

	for (i = 0; i < MULTI_MODULES && modules[i].btf; i++) {
		btf__free(modules[i].btf);
		close(modules[i].fd);
		memset(&modules[i], 0, sizeof(modules[i]));
	}
	btf__free(vmlinux_btf);
	vmlinux_btf = NULL;
}

struct btf *multi_vmlinux_btf(void)
{
	return vmlinux_btf;
}

static int btf_fd_info(int fd, struct bpf_btf_info *info, char *name, __u32 len)
{
	__u32 size = sizeof(*info);

	memset(info, 0, size);
	info->name = ptr_to_u64(name);
	info->name_len = len;
	return bpf_btf_get_info_by_fd(fd, info, &size);
}

__u32 multi_btf_obj_id(int btf_fd)
{
	struct bpf_btf_info info;

	return btf_fd_info(btf_fd, &info, NULL, 0) ? 0 : info.id;
}

int multi_open_module_btf(const char *module)
{
	struct bpf_btf_info info;
	char name[64] = {};
	__u32 id = 0;
	int fd;

	while (!bpf_btf_get_next_id(id, &id)) {
		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		if (!btf_fd_info(fd, &info, name, sizeof(name)) &&
		    info.kernel_btf && !strcmp(name, module))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static int module_idx(const char *module)
{
	int i;

	for (i = 0; i < MULTI_MODULES && modules[i].btf; i++) {
		if (!strcmp(modules[i].name, module))
			return i;
	}
	if (!ASSERT_LT(i, MULTI_MODULES, "free module slot"))
		return -ENOSPC;

	modules[i].fd = multi_open_module_btf(module);
	if (!ASSERT_OK_FD(modules[i].fd, module))
		return -ENOENT;
	modules[i].btf = btf__load_from_kernel_by_id_split(multi_btf_obj_id(modules[i].fd),
							   vmlinux_btf);
	if (!ASSERT_OK_PTR(modules[i].btf, module)) {
		close(modules[i].fd);
		modules[i].btf = NULL;
		return -ENOENT;
	}
	snprintf(modules[i].name, sizeof(modules[i].name), "%s", module);
	return i;
}

int multi_module_fd(const char *module)
{
	int i = module_idx(module);

	return i < 0 ? i : modules[i].fd;
}

/* Split "module:func"; what is returned points into spec. */
static const char *split_spec(const char *spec, char *module, size_t size)
{
	const char *colon = strchr(spec, ':');

	if (!colon) {
		module[0] = 0;
		return spec;
	}
	snprintf(module, size, "%.*s", (int)(colon - spec), spec);
	return colon + 1;
}

static int find_func(const char *spec, int *fd)
{
	struct btf *btf = vmlinux_btf;
	const char *func;
	char module[32];
	int i;

	*fd = 0;
	func = split_spec(spec, module, sizeof(module));
	if (module[0]) {
		i = module_idx(module);
		if (i < 0)
			return i;
		btf = modules[i].btf;
		*fd = modules[i].fd;
	}
	return btf__find_by_name_kind(btf, func, BTF_KIND_FUNC);
}

int multi_func_id(const char *spec)
{
	int fd;

	return find_func(spec, &fd);
}

int multi_prog_func_id(int prog_fd, const char *func)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct btf *btf;
	int id;

	if (bpf_prog_get_info_by_fd(prog_fd, &info, &len))
		return -errno;
	btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, func, BTF_KIND_FUNC);
	btf__free(btf);
	return id;
}

#define MAX_SYSCALLS 2048

/* as in progs/bpf_misc.h */
#if defined(__x86_64__)
#define SYS_PREFIX "__x64_"
#elif defined(__aarch64__)
#define SYS_PREFIX "__arm64_"
#elif defined(__riscv)
#define SYS_PREFIX "__riscv_"
#elif defined(__s390x__)
#define SYS_PREFIX "__s390x_"
#else
#define SYS_PREFIX "__se_"
#endif

static bool is_prefix(const char *prefix, const char *name)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static bool same_address(struct ksyms *ksyms, const char *name1, const char *name2)
{
	long addr = ksym_get_addr_local(ksyms, name1);

	return addr && addr == ksym_get_addr_local(ksyms, name2);
}

bool multi_find_alias(__u32 *first, __u32 *second)
{
	static struct {
		const char *name, *call;
		__u32 id;
	} funcs[MAX_SYSCALLS];
	__u32 id, cnt = 0, i, type_cnt = btf__type_cnt(vmlinux_btf);
	const struct btf_type *t;
	struct ksyms *ksyms;
	const char *name;
	bool found = false;

	ksyms = load_kallsyms_local();
	if (!ASSERT_OK_PTR(ksyms, "load_kallsyms_local"))
		return false;
	for (id = 1; id < type_cnt && cnt < MAX_SYSCALLS && !found; id++) {
		t = btf__type_by_id(vmlinux_btf, id);
		if (!btf_is_func(t))
			continue;
		name = btf__name_by_offset(vmlinux_btf, t->name_off);
		if (!is_prefix(SYS_PREFIX "sys_", name) && !is_prefix("__do_sys_", name))
			continue;
		funcs[cnt].id = id;
		funcs[cnt].name = name;
		funcs[cnt].call = strstr(name, "_sys_");
		for (i = 0; i < cnt && !found; i++) {
			if (strcmp(funcs[i].call, funcs[cnt].call))
				continue;
			found = !strcmp(funcs[i].name, name) ||
				same_address(ksyms, funcs[i].name, name);
			*first = funcs[i].id;
			*second = id;
		}
		cnt++;
	}
	free_kallsyms_local(ksyms);
	return found;
}

static bool add(struct multi_targets *t, int fd, int id, const char *name)
{
	if (!ASSERT_GT(id, 0, name) || !ASSERT_LT(t->cnt, MULTI_MAX, name))
		return false;
	t->fds[t->cnt] = fd;
	t->ids[t->cnt++] = id;
	return true;
}

bool multi_add(struct multi_targets *t, const char *spec)
{
	int fd, id = find_func(spec, &fd);

	return add(t, fd, id, spec);
}

bool multi_add_prog(struct multi_targets *t, int prog_fd, const char *func)
{
	return add(t, prog_fd, multi_prog_func_id(prog_fd, func), func);
}

bool multi_set(struct multi_targets *t, ...)
{
	const char *spec;
	va_list args;
	bool ok = true;

	memset(t, 0, sizeof(*t));
	va_start(args, t);
	while (ok && (spec = va_arg(args, const char *)))
		ok = multi_add(t, spec);
	va_end(args);
	return ok;
}

void multi_attr_fd(union bpf_attr *attr, int prog_fd, enum bpf_attach_type type,
		   const struct multi_targets *t)
{
	__u32 i;

	memset(attr, 0, sizeof(*attr));
	attr->link_create.prog_fd = prog_fd;
	attr->link_create.attach_type = type;
	attr->link_create.tracing_multi.ids = ptr_to_u64(t->ids);
	attr->link_create.tracing_multi.cnt = t->cnt;
	attr->link_create.tracing_multi.bad_idx = MULTI_NO_IDX;
	if (t->use_cookies)
		attr->link_create.tracing_multi.cookies = ptr_to_u64(t->cookies);
	for (i = 0; i < t->cnt; i++) {
		if (!t->fds[i])
			continue;
		attr->link_create.flags = BPF_F_TRACING_MULTI_TGT_FDS;
		attr->link_create.tracing_multi.tgt_fds = ptr_to_u64(t->fds);
		break;
	}
}

void multi_attr(union bpf_attr *attr, const struct bpf_program *prog,
		const struct multi_targets *t)
{
	multi_attr_fd(attr, bpf_program__fd(prog), bpf_program__expected_attach_type(prog), t);
}

int multi_create_size(union bpf_attr *attr, __u32 size)
{
	int fd = syscall(__NR_bpf, BPF_LINK_CREATE, attr, size);

	return fd < 0 ? -errno : fd;
}

int multi_create(union bpf_attr *attr)
{
	return multi_create_size(attr, sizeof(*attr));
}

void multi_put32(char *to, int off, __u32 val)
{
	memcpy(to + off, &val, sizeof(val));
}

void multi_put64(char *to, int off, __u64 val)
{
	memcpy(to + off, &val, sizeof(val));
}

__u32 multi_get32(const char *from, int off)
{
	__u32 val;

	memcpy(&val, from + off, sizeof(val));
	return val;
}

int multi_raw_create(struct multi_raw *raw)
{
	char attr[RAW_CREATE_SIZE] __aligned(8) = {};
	int fd;

	multi_put32(attr, 0, raw->prog_fd);
	multi_put32(attr, 8, raw->attach_type);
	multi_put32(attr, 12, raw->flags);
	multi_put64(attr, 16, ptr_to_u64(raw->ids));
	multi_put64(attr, 24, ptr_to_u64(raw->cookies));
	multi_put32(attr, 32, raw->cnt);
	multi_put32(attr, 36, MULTI_NO_IDX);
	multi_put64(attr, 40, ptr_to_u64(raw->tgt_fds));
	fd = syscall(__NR_bpf, 28 /* BPF_LINK_CREATE */, attr, raw->size);
	if (fd < 0)
		fd = -errno;
	raw->bad_idx = multi_get32(attr, 36);
	return fd;
}

int multi_attach(const struct bpf_program *prog, const struct multi_targets *t)
{
	union bpf_attr attr;

	multi_attr(&attr, prog, t);
	return multi_create(&attr);
}

int multi_link(const struct bpf_program *prog, const struct multi_targets *t,
	       const char *name)
{
	int fd = multi_attach(prog, t);

	if (!ASSERT_OK_FD(fd, name))
		return -1;
	if (!ASSERT_LT(link_cnt, MULTI_LINKS, "links of a subtest")) {
		close(fd);
		return -1;
	}
	links[link_cnt++] = fd;
	return fd;
}

void multi_unlink(int *fd)
{
	int i;

	if (*fd < 0)
		return;
	for (i = 0; i < link_cnt; i++) {
		if (links[i] == *fd)
			links[i--] = links[--link_cnt];
	}
	close(*fd);
	*fd = -1;
}

bool multi_created(union bpf_attr *attr, const char *name)
{
	int fd = multi_create(attr);

	if (!ASSERT_OK_FD(fd, name))
		return false;
	close(fd);
	return true;
}

bool multi_attached(const struct bpf_program *prog, const struct multi_targets *t,
		    const char *name)
{
	union bpf_attr attr;
	int fd;

	multi_attr(&attr, prog, t);
	fd = multi_create(&attr);
	if (!ASSERT_GE(fd, 0, name))
		return ASSERT_EQ(attr.link_create.tracing_multi.bad_idx,
				 MULTI_NO_IDX, "refused target");
	close(fd);
	return ASSERT_EQ(attr.link_create.tracing_multi.bad_idx, MULTI_NO_IDX,
			 "bad_idx untouched");
}

bool multi_create_refused(union bpf_attr *attr, int err, __u32 bad_idx,
			  const char *name)
{
	int fd = multi_create(attr);

	if (fd >= 0)
		close(fd);
	return ASSERT_EQ(fd, err, name) &
	       ASSERT_EQ(attr->link_create.tracing_multi.bad_idx, bad_idx, name);
}

bool multi_refused(const struct bpf_program *prog, const struct multi_targets *t,
		   int err, __u32 bad_idx, const char *name)
{
	union bpf_attr attr;

	multi_attr(&attr, prog, t);
	return multi_create_refused(&attr, err, bad_idx, name);
}

int multi_link_count(int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link info"))
		return -1;
	return info.tracing_multi.count;
}

__u32 multi_link_prog_id(int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link info"))
		return 0;
	return info.prog_id;
}

int multi_load_named(enum bpf_prog_type type, const char *name, struct bpf_prog_load_opts *opts)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};

	return bpf_prog_load(type, name, "GPL", insns, ARRAY_SIZE(insns), opts);
}

int multi_load_empty(enum bpf_prog_type type, struct bpf_prog_load_opts *opts)
{
	return multi_load_named(type, NULL, opts);
}

__u32 multi_prog_id(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len),
		       "prog info"))
		return 0;
	return info.id;
}

static bool test_run(const struct bpf_program *prog, struct bpf_test_run_opts *opts,
		     __u32 *retval)
{
	if (!ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), opts),
		       bpf_program__name(prog)))
		return false;
	if (retval)
		*retval = opts->retval;
	return true;
}

bool multi_test_run(const struct bpf_program *prog, __u32 *retval)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return test_run(prog, &opts, retval);
}

bool multi_test_run_tc(const struct bpf_program *prog, __u32 *retval)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	char pkt[64] = {};

	opts.data_in = pkt;
	opts.data_size_in = sizeof(pkt);
	return test_run(prog, &opts, retval);
}

/* Lines with both words in them; an indented line belongs to the one before. */
static int count_lines(const char *path, const char *word, const char *other)
{
	size_t size = 0;
	char *line = NULL;
	int cnt = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!ASSERT_OK_PTR(f, path))
		return -1;
	while (getline(&line, &size, f) > 0)
		cnt += line[0] != '\t' && strstr(line, word) && strstr(line, other);
	free(line);
	fclose(f);
	return cnt;
}

const char *multi_tracefs(void)
{
	static const char *const dir = "/sys/kernel/tracing";

	return access("/sys/kernel/tracing/trace", F_OK) ? "/sys/kernel/debug/tracing" : dir;
}

int multi_lines(const char *path, const char *word, const char *other)
{
	return count_lines(path, word, other);
}

int multi_tracefs_lines(const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", multi_tracefs(), file);
	return count_lines(path, "", "");
}

int multi_images(const char *key)
{
	char name[64];

	snprintf(name, sizeof(name), " bpf_trampoline_%s", key);
	return count_lines("/proc/kallsyms", name, "[bpf]");
}

int multi_enabled_functions(void)
{
	return multi_tracefs_lines("enabled_functions");
}

int multi_count_images(const char *key)
{
	int last, cnt = multi_images(key), i;

	for (i = 0; i < READS; i++) {
		last = cnt;
		cnt = multi_images(key);
		if (cnt == last)
			break;
	}
	ASSERT_LT(i, READS, "images stay");
	return cnt;
}

bool multi_long(void)
{
	return getenv("TRACING_MULTI_LONG");
}

void multi_figure(const char *fmt, ...)
{
	const char *name = env.subtest_state ? env.subtest_state->name : "setup";
	const char *path = getenv("TRACING_MULTI_FIGURES");
	FILE *f = path ? fopen(path, "a") : NULL;
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(stdout, "%s\n", text);
	if (!f)
		return;
	fprintf(f, "%s: %s\n", name, text);
	fclose(f);
}

bool multi_wait_count(const __u64 *cnt, __u64 end, const char *name)
{
	int i;

	for (i = 0; i < WAIT_YIELDS + WAIT_STEPS; i++) {
		if (__atomic_load_n(cnt, __ATOMIC_SEQ_CST) >= end)
			return true;
		if (i < WAIT_YIELDS)
			sched_yield();
		else
			usleep(WAIT_STEP_US);
	}
	return ASSERT_GE(*cnt, end, name);
}

pid_t multi_fork(void (*run)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid) {
		ASSERT_GT(pid, 0, "fork");
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(arg);
	_exit(0);
}

void multi_expect_killed(pid_t pid)
{
	int status = 0;

	ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid");
	/* else it has the code that the task exited with, times 256, or another signal */
	ASSERT_EQ(status, SIGKILL, "killed");
}

static int module_refs(void)
{
	char text[16];

	return multi_read_file("/sys/module/bpf_testmod", "refcnt", text, sizeof(text)) ?
	       atoi(text) : -1;
}

/* All are counted; images->lines has as many as it has room for. */
static void read_images(struct multi_image_list *images)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[MULTI_LINE];

	images->cnt = 0;
	if (!ASSERT_OK_PTR(f, "kallsyms"))
		return;
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, " bpf_trampoline_") || !strstr(line, "[bpf]"))
			continue;
		if (images->cnt < MULTI_MAX_IMAGES)
			memcpy(images->lines[images->cnt], line, sizeof(line));
		images->cnt++;
	}
	fclose(f);
}

static bool same_images(const struct multi_image_list *a, const struct multi_image_list *b)
{
	int i;

	for (i = 0; i < a->cnt && i < MULTI_MAX_IMAGES; i++) {
		if (i >= b->cnt || strcmp(a->lines[i], b->lines[i]))
			return false;
	}
	return a->cnt == b->cnt;
}

/* One that is freed during the read makes the next one vanish from it: until two reads have
 * the same.
 */
void multi_get_images(struct multi_image_list *images)
{
	static struct multi_image_list last;
	int i;

	read_images(images);
	for (i = 0; i < READS; i++) {
		last = *images;
		read_images(images);
		if (same_images(&last, images))
			break;
	}
	ASSERT_LT(i, READS, "images stay");
	if (!ASSERT_LE(images->cnt, MULTI_MAX_IMAGES, "images"))
		images->cnt = MULTI_MAX_IMAGES;
}

/* "ffffffffa0201000 t bpf_trampoline_6442536467\t[bpf]": on a stack, an offset follows */
static void name_on_stack(const char *line, char *name, size_t size)
{
	line = strstr(line, " bpf_trampoline_") + 1;
	snprintf(name, size, "%.*s+", (int)strcspn(line, " \t"), line);
}

/* How often images of this name are on this stack, such as that of a task that sleeps in a
 * function that was called through one
 */
static int count_on_stack(const char *path, const char *name)
{
	char stack[8192], *s = stack;
	FILE *f = fopen(path, "r");
	size_t len;
	int cnt = 0;

	/* the task may have gone */
	if (!f)
		return 0;
	len = fread(stack, 1, sizeof(stack) - 1, f);
	stack[len] = 0;
	fclose(f);
	while ((s = strstr(s, name))) {
		s += strlen(name);
		cnt++;
	}
	if (cnt)
		fprintf(stdout, "%s is in %s:\n%s", path, name, stack);
	return cnt;
}

static int count_on_stacks(const char *name)
{
	glob_t stacks;
	int cnt = 0;
	size_t i;

	if (!ASSERT_OK(glob("/proc/[0-9]*/task/*/stack", 0, NULL, &stacks), "glob"))
		return 0;
	for (i = 0; i < stacks.gl_pathc; i++)
		cnt += count_on_stack(stacks.gl_pathv[i], name);
	globfree(&stacks);
	return cnt;
}

/* How many of the first cnt images have the name of that one? */
static int count_named(const struct multi_image_list *images, int cnt, const char *line)
{
	char name[MULTI_LINE], other[MULTI_LINE];
	int i, same = 0;

	name_on_stack(line, name, sizeof(name));
	for (i = 0; i < cnt; i++) {
		name_on_stack(images->lines[i], other, sizeof(other));
		same += !strcmp(name, other);
	}
	return same;
}

/* An image has the name of its programs. Links that stay may have got another one, which
 * has the same name then: those are new by which there are more of a name.
 */
static bool is_new(const struct multi_image_list *before, const struct multi_image_list *now, int i)
{
	return count_named(now, i + 1, now->lines[i]) >
	       count_named(before, before->cnt, now->lines[i]);
}

static int count_new(const struct multi_image_list *before, const struct multi_image_list *now)
{
	int i, cnt = 0;

	for (i = 0; i < now->cnt; i++)
		cnt += is_new(before, now, i);
	return cnt;
}

/* No more images of a name are new than stacks have it: there are no addresses on them. */
static bool is_explained(const struct multi_image_list *before, const struct multi_image_list *now,
			 const char *line)
{
	char name[MULTI_LINE];

	name_on_stack(line, name, sizeof(name));
	return count_named(now, now->cnt, line) - count_named(before, before->cnt, line) <=
	       count_on_stacks(name);
}

static const char *find_unexplained(const struct multi_image_list *before,
				    const struct multi_image_list *now)
{
	int i;

	/* those of many functions, which are not freed at once */
	if (now->cnt > MULTI_MAX_IMAGES)
		return "too many\n";
	for (i = 0; i < now->cnt; i++) {
		if (is_new(before, now, i) && !is_explained(before, now, now->lines[i]))
			return now->lines[i];
	}
	return NULL;
}

void multi_check_images(const struct multi_image_list *before)
{
	const char *unexplained = NULL;
	static struct multi_image_list now;
	int step, good = 0;

	/* one read may miss some */
	for (step = 0; step < WAIT_STEPS && good < 2; step++) {
		if (step)
			usleep(WAIT_STEP_US);
		read_images(&now);
		unexplained = find_unexplained(before, &now);
		good = unexplained ? 0 : good + 1;
	}
	if (!ASSERT_NULL(unexplained, "image without a task inside")) {
		fprintf(stdout, "%s", unexplained);
		return;
	}
	multi_figure("%d images are left, with their names on stacks", count_new(before, &now));
}

void multi_get_state(struct multi_state *state)
{
	state->enabled = multi_enabled_functions();
	multi_get_images(&state->images);
	state->progs = all_progs();
	state->links = all_links();
	state->module_refs = module_refs();
}

bool multi_same_but_images(const struct multi_state *before, const char *name)
{
	return multi_wait_for(multi_enabled_functions, before->enabled, name) &
	       multi_wait_for(all_links, before->links, name) &
	       multi_wait_for(all_progs, before->progs, name) &
	       multi_wait_for(module_refs, before->module_refs, name);
}

static const struct multi_image_list *images_before;

static int new_images(void)
{
	static struct multi_image_list now;

	read_images(&now);
	/* too many to compare, see find_unexplained() */
	if (now.cnt > MULTI_MAX_IMAGES)
		return now.cnt;
	return count_new(images_before, &now);
}

bool multi_same_state(const struct multi_state *before, const char *name)
{
	images_before = &before->images;
	return multi_same_but_images(before, name) & multi_wait_for(new_images, 0, name);
}

/* Shared images are named after the programs in them:
 * bpf_trampoline_multi_args2_prog_11_12
 */
static bool image_has_prog(const char *name, __u32 prog_id)
{
	const char *id = strstr(name, "_prog_");
	char *end;

	if (!id)
		return false;
	for (id += 6; ; id = end + 1) {
		if (strtoul(id, &end, 10) == prog_id)
			return true;
		if (*end != '_')
			return false;
	}
}

static bool find_shared_image(__u32 prog_id, char *key, size_t size)
{
	char *line = NULL, *name;
	bool found = false;
	size_t len = 0;
	FILE *f;

	f = fopen("/proc/kallsyms", "r");
	if (!ASSERT_OK_PTR(f, "kallsyms"))
		return false;
	while (!found && getline(&line, &len, f) > 0) {
		name = strstr(line, " bpf_trampoline_multi_");
		found = name && image_has_prog(name, prog_id);
		if (found)
			snprintf(key, size, "%.*s\t", (int)strcspn(name + 16, "\t"), name + 16);
	}
	free(line);
	fclose(f);
	return found;
}

void multi_own_image_key(__u32 btf_obj_id, __u32 id, char *key, size_t size)
{
	/* the tab is what is behind the name: no prefix of another */
	snprintf(key, size, "%llu\t", (__u64)btf_obj_id << 32 | 1U << 31 | id);
}

bool multi_image_key(int link_fd, __u32 id, char *key, size_t size)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	bool found = false;
	int i;

	if (!ASSERT_OK(bpf_link_get_info_by_fd(link_fd, &info, &len), "info"))
		return false;
	multi_own_image_key(info.tracing_multi.btf_obj_id, id, key, size);
	/* may not be seen while another one is freed, see multi_get_images() */
	for (i = 0; i < READS && !found; i++)
		found = multi_images(key) > 0 || find_shared_image(info.prog_id, key, size);
	return ASSERT_TRUE(found, "image's name");
}

bool multi_set_sharing(bool on)
{
	static const char path[] = "/sys/module/bpf_trampoline/parameters/share_images";

	return ASSERT_OK(write_sysctl(path, on ? "Y" : "N"), "share_images");
}

static char settle_image[MULTI_IMAGE_KEY];

static int settle_images(void)
{
	return multi_images(settle_image);
}

static __u32 settle_map;

static int settle_maps(void)
{
	int fd = bpf_map_get_fd_by_id(settle_map);

	if (fd < 0)
		return errno != ENOENT;
	close(fd);
	return 1;
}

static bool settle_bind_map(int prog_fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	bool ok;
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "settle", 4, 4, 1, NULL);
	if (!ASSERT_OK_FD(fd, "map"))
		return false;
	ok = ASSERT_OK(bpf_map_get_info_by_fd(fd, &info, &len), "map's info") &&
	     ASSERT_OK(bpf_prog_bind_map(prog_fd, fd, NULL), "bind map");
	settle_map = info.id;
	close(fd);
	return ok;
}

static bool settle_link(int prog_fd)
{
	struct multi_targets t;
	union bpf_attr attr;
	bool ok;
	int fd;

	if (!multi_set(&t, "bpf_fentry_test9", NULL))
		return false;
	multi_attr_fd(&attr, prog_fd, BPF_TRACE_FEXIT_MULTI, &t);
	fd = multi_create(&attr);
	if (!ASSERT_OK_FD(fd, "attach to settle"))
		return false;
	ok = multi_image_key(fd, t.ids[0], settle_image, sizeof(settle_image));
	close(fd);
	return ok && multi_wait_for(settle_images, 0, "settled image");
}

/* The image takes as long as others that call their function. The program, which lets go of
 * its map when it is freed, takes as long as the images that are there by then ask for.
 */
static bool settle(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FEXIT_MULTI);
	bool ok;
	int fd;

	fd = multi_load_empty(BPF_PROG_TYPE_TRACING, &opts);
	if (!ASSERT_OK_FD(fd, "load to settle"))
		return false;
	ok = settle_bind_map(fd) && settle_link(fd);
	close(fd);
	return ok && multi_wait_for(settle_maps, 0, "settled program");
}

/* An earlier program may be waiting for images that have gone: 2 * SETTLE_SLEEPABLE + 1 times.
 * One round waits three times.
 */
bool multi_settle(void)
{
	int i;

	for (i = 0; i < SETTLE_SLEEPABLE; i++) {
		if (!settle())
			return false;
	}
	return true;
}

bool multi_write_file(const char *dir, const char *file, const char *text)
{
	char path[128];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == strlen(text);
	close(fd);
	return ok;
}

bool multi_read_file(const char *dir, const char *file, char *text, size_t size)
{
	char path[128];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	len = read(fd, text, size - 1);
	close(fd);
	text[len > 0 ? len : 0] = 0;
	return len > 0;
}

int multi_unload_module(const char *module)
{
	int i;

	for (i = 0; i < UNLOAD_STEPS; i++) {
		if (!delete_module(module, O_NONBLOCK))
			return 0;
		if (errno != EAGAIN && errno != EBUSY)
			return -errno;
		usleep(UNLOAD_STEP_US);
	}
	return -ETIMEDOUT;
}

/* task: /proc/pid/task/tid; wanted: the state that each task gets to */
static void check_transition(const char *task, int wanted)
{
	char text[16], comm[32], stack[512], where[640], *end;
	int state;

	/* the task may have gone */
	if (!multi_read_file(task, "patch_state", text, sizeof(text)) ||
	    !multi_read_file(task, "comm", comm, sizeof(comm)))
		return;
	state = atoi(text);
	/* -1: the patch has become complete meanwhile */
	if (state == wanted || state == -1)
		return;
	/* nothing can be read of a task that runs */
	if (!multi_read_file(task, "stack", stack, sizeof(stack)))
		strcpy(stack, "runs\n");
	snprintf(where, sizeof(where), "%s%s", comm, stack);
	for (end = where; (end = strchr(end, '\n')); )
		*end = ' ';
	ASSERT_EQ(state, wanted, where);
}

static void check_transitions(const char *patch)
{
	char enabled[16];
	glob_t tasks;
	size_t i;

	if (!multi_read_file(patch, "enabled", enabled, sizeof(enabled)) ||
	    glob("/proc/[0-9]*/task/[0-9]*", 0, NULL, &tasks))
		return;
	for (i = 0; i < tasks.gl_pathc; i++)
		check_transition(tasks.gl_pathv[i], atoi(enabled));
	globfree(&tasks);
}

bool multi_wait_transition(const char *patch, const char *number)
{
	char text[16];
	int i;

	for (i = 0; i < TRANSITION_STEPS; i++) {
		if (!multi_read_file(patch, "transition", text, sizeof(text)))
			text[0] = 0;
		text[strcspn(text, "\n")] = 0;
		if (!strcmp(text, number))
			return true;
		usleep(WAIT_STEP_US);
	}
	check_transitions(patch);
	return ASSERT_STREQ(text, number, "transition");
}

int multi_load_module(const char *file, const char *params)
{
	int fd, err;

	fd = open(file, O_RDONLY);
	if (fd < 0)
		return -errno;
	err = finit_module(fd, params, 0) ? -errno : 0;
	close(fd);
	return err;
}

void multi_trace_me(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
}

static bool has_field(const struct multi_bpf_call *call, int offset)
{
	return offset + sizeof(__u32) <= call->size;
}

static long peek_word(const struct multi_bpf_call *call, int offset)
{
	return ptrace(PTRACE_PEEKDATA, call->pid, (void *)(long)(call->attr + offset), 0);
}

__u32 multi_peek(const struct multi_bpf_call *call, int offset)
{
	__u32 val = 0;
	long word;

	if (has_field(call, offset)) {
		word = peek_word(call, offset);
		memcpy(&val, &word, sizeof(val));
	}
	return val;
}

void multi_spoil(const struct multi_bpf_call *call, int offset)
{
	long word;

	if (!ASSERT_TRUE(has_field(call, offset), "attr has the field"))
		return;
	word = peek_word(call, offset);
	memset(&word, 0xff, sizeof(__u32));
	ptrace(PTRACE_POKEDATA, call->pid, (void *)(long)(call->attr + offset), word);
}

static bool at_bpf_entry(struct multi_bpf_call *call)
{
	struct ptrace_syscall_info info = {};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, call->pid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr != __NR_bpf)
		return false;
	call->cmd = info.entry.args[0];
	call->attr = info.entry.args[1];
	call->size = info.entry.args[2];
	return true;
}

/* The signal that it stopped for; -1 if it ended, whose status is left to be waited for. */
static int wait_stop(pid_t pid)
{
	siginfo_t info = {};

	while (waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WNOWAIT)) {
		if (errno != EINTR)
			return -1;
	}
	if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
		return -1;
	/* the stop only, not the end if it has been killed since */
	waitid(P_PID, pid, &info, WSTOPPED | WNOHANG);
	return info.si_status;
}

/* From stop to stop: true if it ended. */
static bool trace_bpf(struct multi_bpf_call *call,
		      void (*entry)(const struct multi_bpf_call *call, const void *arg),
		      const void *arg)
{
	int sig = 0;

	while (!ptrace(PTRACE_SYSCALL, call->pid, 0, sig)) {
		sig = wait_stop(call->pid);
		if (sig < 0)
			return true;
		if (sig == (SIGTRAP | 0x80) && at_bpf_entry(call))
			entry(call, arg);
		/* what stops it for us is no signal of its own */
		if ((sig & ~0x80) == SIGTRAP)
			sig = 0;
	}
	return ASSERT_OK(errno, "PTRACE_SYSCALL");
}

bool multi_trace_bpf(pid_t pid, void (*entry)(const struct multi_bpf_call *call, const void *arg),
		     const void *arg)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	struct multi_bpf_call call = { .pid = pid };

	if (ASSERT_EQ(wait_stop(pid), SIGSTOP, "stopped") &&
	    ASSERT_OK(ptrace(PTRACE_SETOPTIONS, pid, 0, options), "PTRACE_SETOPTIONS") &&
	    trace_bpf(&call, entry, arg))
		return true;
	/* or who waits for it does so forever */
	kill(pid, SIGKILL);
	return false;
}

/* Fail what can fail, the nth of it. */
#define DEBUGFS "/sys/kernel/debug"

static const struct knob {
	const char *name;
	const char *value;
} knobs[] = {
	{ "failslab/ignore-gfp-wait", "N" },
	{ "failslab/cache-filter", "N" },
	{ "failslab/verbose", "0" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/min-order", "0" },
	{ "fail_page_alloc/verbose", "0" },
	{ "fail_usercopy/verbose", "0" },
};

static char knobs_saved[ARRAY_SIZE(knobs)][16];
static int fail_nth_fd = -1;

/* Can this kernel let all fail: slabs, pages and copies? */
static bool has_knobs(void)
{
	char path[256];
	int i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		snprintf(path, sizeof(path), DEBUGFS "/%s", knobs[i].name);
		if (access(path, W_OK))
			return false;
	}
	return true;
}

bool multi_faults_begin(void)
{
	int i;

	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth_fd < 0 || !has_knobs()) {
		test__skip();
		return false;
	}
	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		if (!ASSERT_TRUE(multi_read_file(DEBUGFS, knobs[i].name, knobs_saved[i],
						 sizeof(knobs_saved[i])), knobs[i].name) ||
		    !ASSERT_TRUE(multi_write_file(DEBUGFS, knobs[i].name, knobs[i].value),
				 knobs[i].name))
			return false;
	}
	return true;
}

void multi_faults_end(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		if (knobs_saved[i][0])
			multi_write_file(DEBUGFS, knobs[i].name, knobs_saved[i]);
		knobs_saved[i][0] = 0;
	}
	if (fail_nth_fd >= 0)
		close(fail_nth_fd);
	fail_nth_fd = -1;
}

void multi_fault_arm(int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", n);

	ASSERT_EQ(write(fail_nth_fd, buf, len), len, "fail-nth");
}

/* Was there an nth thing that could fail? Not if it is this read, or later. */
bool multi_fault_disarm(void)
{
	char buf[16] = {};
	bool hit = pread(fail_nth_fd, buf, sizeof(buf) - 1, 0) > 0 && buf[0] == '0';

	/* 0 afterwards, also if the nth thing is that it can't be written */
	if (write(fail_nth_fd, "0", 1) < 0)
		errno = 0;
	return hit;
}

static void *call_functions(void *arg)
{
	struct multi_caller *c = arg;
	__u64 calls;

	while (!__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST)) {
		LIBBPF_OPTS(bpf_test_run_opts, opts);

		if (bpf_prog_test_run_opts(c->prog_fd, &opts))
			c->errors++;
		calls = __atomic_add_fetch(&c->calls, 1, __ATOMIC_SEQ_CST);
		c->miscounted += !c->is_counted(calls);
	}
	return NULL;
}

bool multi_start_caller(struct multi_caller *c, const struct bpf_program *prog,
			bool (*is_counted)(__u64 calls))
{
	memset(c, 0, sizeof(*c));
	c->prog_fd = bpf_program__fd(prog);
	c->is_counted = is_counted;
	return ASSERT_OK(pthread_create(&c->thread, NULL, call_functions, c), "pthread_create");
}

void multi_stop_caller(struct multi_caller *c)
{
	__atomic_store_n(&c->stop, true, __ATOMIC_SEQ_CST);
	pthread_join(c->thread, NULL);
	ASSERT_EQ(c->errors, 0, "failed calls");
	ASSERT_EQ(c->miscounted, 0, "calls not counted once");
	ASSERT_GT(c->calls, 0, "calls");
}
