// SPDX-License-Identifier: GPL-2.0
/* Tracing multi-links on all functions of the kernel that can be traced.
 *
 * With TRACING_MULTI_LONG=1 in the environment they are also attached beside a
 * workload. Where each call of a traced function is dear, as with lockdep on an emulated
 * CPU, a timer tick may take longer than the time to the next one, and nothing else gets
 * on. So let the emulator's clock count instructions (qemu -icount).
 */
#include <test_progs.h>
#include <sys/mman.h>
#include "network_helpers.h"
#include "cgroup_helpers.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_stress.skel.h"
#include "tracing_multi_update.skel.h"

#define WAIT_STEPS 1000
#define WAIT_STEP_US 20000
#define MAX_ROUNDS 50
#define WORK_BYTES (4 << 20)
#define MODULE "bpf_test_modorder_x"

static struct tracing_multi_stress *skel;

/* BTF ids of all the functions, ascending, and room for what is told of them. Not all
 * that fentry programs can be attached to can have fexit programs.
 */
struct all {
	__u32 cnt;
	__u32 *ids;
	__u64 *cookies;
	__u64 *addrs;
};

static struct all entry_all, exit_all;

static const struct all *all_of(const struct bpf_program *prog)
{
	return bpf_program__expected_attach_type(prog) == BPF_TRACE_FENTRY_MULTI ?
	       &entry_all : &exit_all;
}

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

static bool find_all(const struct bpf_program *prog, struct all *all)
{
	struct bpf_link *link;
	bool ok = false;

	link = bpf_program__attach_tracing_multi(prog, "*", NULL);
	if (ASSERT_OK_PTR(link, "attach to all"))
		ok = get_info(bpf_link__fd(link), all) &&
		     ASSERT_GT(all->cnt, 20000, "functions");
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
	const struct all *all = all_of(prog);
	struct multi_raw raw = {
		.prog_fd = bpf_program__fd(prog),
		.attach_type = bpf_program__expected_attach_type(prog),
		.cnt = all->cnt,
		.size = RAW_CREATE_SIZE_FIRST,
	};
	struct all a;
	int fd = -1;
	__u32 i;

	if (!alloc_all(&a, all->cnt))
		goto out;
	for (i = 0; i < all->cnt; i++) {
		a.ids[i] = all->ids[all->cnt - 1 - i];
		a.cookies[i] = cookie_of(a.ids[i]);
	}
	raw.ids = a.ids;
	raw.cookies = a.cookies;
	fd = multi_raw_create(&raw);
	if (!ASSERT_OK_FD(fd, "attach to all"))
		fprintf(stdout, "refused: %u\n", raw.bad_idx);
out:
	free_all(&a);
	return fd;
}

static void check_info(int fd, const struct all *all)
{
	struct all a = {};
	__u32 i, bad = 0;

	if (!get_info(fd, &a) || !ASSERT_EQ(a.cnt, all->cnt, "count"))
		goto out;
	for (i = 0; i < a.cnt; i++)
		bad += a.ids[i] != all->ids[i] || a.addrs[i] != all->addrs[i] ||
		       a.cookies[i] != cookie_of(a.ids[i]);
	ASSERT_EQ(bad, 0, "wrong entries of info");
out:
	free_all(&a);
}

static void check_fdinfo(int fd, const struct all *all)
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
		bad += cnt >= all->cnt || id != all->ids[cnt] || cookie != cookie_of(id);
		cnt++;
	}
	fclose(f);
	ASSERT_EQ(cnt, all->cnt, "lines of fdinfo");
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
	ASSERT_EQ(multi_enabled_functions(), enabled + entry_all.cnt, "enabled_functions");
	check_info(fd, &exit_all);
	check_fdinfo(fd, &exit_all);
out:
	if (first_fd >= 0)
		close(first_fd);
	if (fd >= 0)
		close(fd);
	ASSERT_EQ(multi_enabled_functions(), enabled, "enabled_functions afterwards");
}

/* vmlinux' part of /proc/kallsyms, by name, and those of one name by address. */
struct symbol {
	char *name;
	__u64 addr;
};

static struct symbol *symbols;
static size_t nr_symbols;

static int symbol_cmp(const void *a, const void *b)
{
	const struct symbol *sa = a, *sb = b;

	return strcmp(sa->name, sb->name) ?: (sa->addr > sb->addr) - (sa->addr < sb->addr);
}

static bool add_symbol(const char *name, __u64 addr)
{
	void *larger;

	/* twice as many whenever it is a power of two */
	if (!(nr_symbols & (nr_symbols - 1))) {
		larger = realloc(symbols, (2 * nr_symbols ?: 1) * sizeof(*symbols));
		if (!larger)
			return false;
		symbols = larger;
	}
	symbols[nr_symbols].addr = addr;
	symbols[nr_symbols].name = strdup(name);
	return symbols[nr_symbols].name && ++nr_symbols;
}

static void free_symbols(void)
{
	while (nr_symbols)
		free(symbols[--nr_symbols].name);
	free(symbols);
	symbols = NULL;
}

static bool read_symbols(void)
{
	unsigned long long addr;
	char line[1024], name[512];
	FILE *f;
	bool ok = true;

	f = fopen("/proc/kallsyms", "r");
	if (!ASSERT_OK_PTR(f, "kallsyms"))
		return false;
	/* those of modules and programs have theirs behind the name, and come last */
	while (ok && fgets(line, sizeof(line), f) && !strchr(line, '['))
		ok = sscanf(line, "%llx %*c %511s", &addr, name) == 2 && add_symbol(name, addr);
	fclose(f);
	qsort(symbols, nr_symbols, sizeof(*symbols), symbol_cmp);
	return ASSERT_TRUE(ok, "read kallsyms");
}

/* The first of several with that name */
static const struct symbol *find_symbol(const char *name)
{
	struct symbol key = { .name = (char *)name };
	size_t low = 0, high = nr_symbols, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (symbol_cmp(&symbols[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < nr_symbols && !strcmp(symbols[low].name, name) ? &symbols[low] : NULL;
}

static bool is_ambiguous(const struct symbol *sym)
{
	return sym + 1 < symbols + nr_symbols && !strcmp(sym[0].name, sym[1].name);
}

/* All that BTF describes, also functions of whose name there are several. */
static int attach_described(void)
{
	struct btf *btf = multi_vmlinux_btf();
	struct multi_raw raw = {
		.prog_fd = bpf_program__fd(skel->progs.any_entry),
		.attach_type = BPF_TRACE_FENTRY_MULTI,
		.flags = RAW_F_SKIP_INVALID,
		.size = RAW_CREATE_SIZE,
	};
	__u32 *ids, i;
	int fd = -1;

	ids = calloc(btf__type_cnt(btf), sizeof(*ids));
	if (!ASSERT_OK_PTR(ids, "calloc"))
		return -1;
	for (i = 1; i < btf__type_cnt(btf); i++) {
		if (btf_is_func(btf__type_by_id(btf, i)))
			ids[raw.cnt++] = i;
	}
	raw.ids = ids;
	fd = multi_raw_create(&raw);
	ASSERT_OK_FD(fd, "attach to all described");
	free(ids);
	return fd;
}

/* A function is the first symbol of its name, as for a program of a single link, also where
 * names are looked up many at a time.
 */
static void check_addresses(const struct all *all)
{
	__u32 i, bad = 0, ambiguous = 0;
	const struct symbol *sym;
	const char *name;

	for (i = 0; i < all->cnt; i++) {
		name = btf__name_by_offset(multi_vmlinux_btf(),
					   btf__type_by_id(multi_vmlinux_btf(),
							   all->ids[i])->name_off);
		sym = find_symbol(name);
		if (sym && sym->addr == all->addrs[i]) {
			ambiguous += is_ambiguous(sym);
			continue;
		}
		if (!bad++)
			fprintf(stdout, "%s is not at %llx\n", name, all->addrs[i]);
	}
	ASSERT_EQ(bad, 0, "wrong addresses");
	ASSERT_GT(ambiguous, 0, "functions of whose name there are several");
	multi_figure("%u functions, %u of them with a name that others have", all->cnt,
		     ambiguous);
}

static void test_addresses(void)
{
	struct all all = {};
	int fd = -1;

	if (read_symbols())
		fd = attach_described();
	if (fd >= 0) {
		if (get_info(fd, &all) && ASSERT_GE(all.cnt, entry_all.cnt, "functions"))
			check_addresses(&all);
		close(fd);
	}
	free_all(&all);
	free_symbols();
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
		/* what comes between attaching and detaching doesn't count */
		end = __atomic_load_n(&o.links, __ATOMIC_SEQ_CST);
		if (fd < 0)
			break;
		close(fd);
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
	multi_settle();

	before = memory_current(cgroup_fd);
	fd = attach_all(skel->progs.any_exit);
	with = memory_current(cgroup_fd);
	ASSERT_GE(with - before, (long)exit_all.cnt * MIN_BYTES_PER_FUNC, "charged");
	if (fd >= 0)
		close(fd);
	for (i = 0; i < WAIT_STEPS; i++) {
		after = memory_current(cgroup_fd);
		if (after < with - (long)exit_all.cnt * MIN_BYTES_PER_FUNC)
			break;
		kern_sync_rcu();
		usleep(WAIT_STEP_US);
	}
	ASSERT_LT(after, with - (long)exit_all.cnt * MIN_BYTES_PER_FUNC, "uncharged");
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

static bool use_file(void)
{
	char path[64], buf[64] = {};
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "/tmp/tracing_multi_%d", getpid());
	fd = open(path, O_CREAT | O_RDWR, 0600);
	if (fd < 0)
		return false;
	ok = write(fd, buf, sizeof(buf)) == sizeof(buf) &&
	     pread(fd, buf, sizeof(buf), 0) == sizeof(buf);
	close(fd);
	return !unlink(path) && ok;
}

static bool use_pair(int in, int out)
{
	char c = 0;
	bool ok = write(in, &c, 1) == 1 && read(out, &c, 1) == 1;

	close(in);
	close(out);
	return ok;
}

static bool use_sockets(void)
{
	int fds[2], server, client, conn;

	if (pipe(fds) || !use_pair(fds[1], fds[0]) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, fds) || !use_pair(fds[0], fds[1]))
		return false;
	server = start_server(AF_INET, SOCK_STREAM, "127.0.0.1", 0, 0);
	if (server < 0)
		return false;
	client = connect_to_fd(server, 0);
	conn = client < 0 ? -1 : accept(server, NULL, NULL);
	close(server);
	if (conn < 0) {
		close(client);
		return false;
	}
	return use_pair(client, conn);
}

static bool use_memory(void)
{
	char *p = mmap(NULL, WORK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	memset(p, 1, WORK_BYTES);
	/* reclaim these pages, if there is swap */
	madvise(p, WORK_BYTES, MADV_PAGEOUT);
	return !munmap(p, WORK_BYTES);
}

static bool use_process(void)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

#define PRESSURE_CGROUP "/tracing_multi_pressure"
#define PRESSURE_MAX (16 << 20)

/* Take more than the cgroup may have: the kernel reclaims what it can, and then kills us. */
static void use_too_much(void)
{
	size_t size = 2 * PRESSURE_MAX;
	char *p;

	if (join_parent_cgroup(PRESSURE_CGROUP))
		_exit(1);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		memset(p, 1, size);
	_exit(2);
}

static bool use_pressure(void)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		use_too_much();
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	fprintf(stdout, "not killed for its memory: status %x\n", status);
	return false;
}

/* A cgroup for use_pressure(), if the kernel limits the memory of cgroups. */
static bool has_pressure;

static bool pressure_begin(void)
{
	bool has_swap;
	char max[16];
	int fd;

	if (!ASSERT_OK(setup_cgroup_environment(), "cgroup environment"))
		return false;
	fd = create_and_get_cgroup(PRESSURE_CGROUP);
	if (!ASSERT_OK_FD(fd, "cgroup"))
		return false;
	has_pressure = !faccessat(fd, "memory.max", W_OK, 0);
	has_swap = !faccessat(fd, "memory.swap.max", W_OK, 0);
	close(fd);
	snprintf(max, sizeof(max), "%d", PRESSURE_MAX);
	if (!has_pressure) {
		fprintf(stdout, "this kernel doesn't limit the memory of cgroups\n");
		return true;
	}
	/* nothing is to go there instead */
	if (has_swap && !ASSERT_OK(write_cgroup_file(PRESSURE_CGROUP, "memory.swap.max", "0"),
				   "memory.swap.max"))
		return false;
	return ASSERT_OK(write_cgroup_file(PRESSURE_CGROUP, "memory.max", max), "memory.max");
}

static bool work(void)
{
	return use_file() && use_sockets() && use_memory() && use_process();
}

static void work_on(void *unused)
{
	while (work())
		;
}

/* Which of the programs must run meanwhile? */
static void work_and_module(const char *name, bool entry, bool exit)
{
	__u64 entries = skel->bss->any_entry_hits, exits = skel->bss->any_exit_hits;

	fprintf(stdout, "%s\n", name);
	ASSERT_TRUE(work(), name);
	if (has_pressure)
		ASSERT_TRUE(use_pressure(), "memory pressure");
	ASSERT_OK(load_module(MODULE ".ko", false), "load_module");
	ASSERT_OK(multi_unload_module(MODULE), "unload_module");
	if (entry)
		ASSERT_GT(skel->bss->any_entry_hits, entries, "fentry program runs");
	if (exit)
		ASSERT_GT(skel->bss->any_exit_hits, exits, "fexit program runs");
}

/* All the time another process works, too: some of its calls are in flight when
 * links come and go. The links go in another order than they came.
 */
static void attach_beside_work(void)
{
	int enabled = multi_enabled_functions(), fds[3];

	fds[0] = attach_all(skel->progs.any_entry);
	work_and_module("fentry", true, false);
	close(fds[0]);
	fds[0] = attach_all(skel->progs.any_exit);
	work_and_module("fexit", false, true);
	fds[1] = attach_all(skel->progs.any_entry);
	work_and_module("both", true, true);
	fds[2] = attach_all(skel->progs.count_entry);
	work_and_module("both and a second fentry", true, true);
	ASSERT_EQ(multi_enabled_functions(), enabled + entry_all.cnt, "enabled_functions");
	close(fds[0]);
	work_and_module("both fentry", true, false);
	close(fds[2]);
	close(fds[1]);
	ASSERT_EQ(multi_enabled_functions(), enabled, "enabled_functions afterwards");
}

static void sleep_on(void *unused)
{
	while (true)
		pause();
}

static void *end_thread(void *unused)
{
	return NULL;
}

static void end_tasks(void)
{
	pthread_t thread;
	pid_t pid;

	ASSERT_TRUE(use_process(), "a process exits");
	if (ASSERT_OK(pthread_create(&thread, NULL, end_thread, NULL), "pthread_create"))
		ASSERT_OK(pthread_join(thread, NULL), "a thread exits");
	pid = multi_fork(sleep_on, NULL);
	if (pid > 0) {
		kill(pid, SIGKILL);
		multi_expect_killed(pid);
	}
}

/* A task that ends has left all the functions that it was traced in. */
static void test_task_ends(void)
{
	static struct multi_image_list before;
	int fd;

	if (!multi_settle())
		return;
	multi_get_images(&before);
	fd = attach_all(skel->progs.any_exit);
	if (fd < 0)
		return;
	end_tasks();
	close(fd);
	if (multi_settle())
		multi_check_images(&before);
}

static void test_workload(void)
{
	static struct multi_image_list before;
	struct multi_state state;
	pid_t pid;

	if (!pressure_begin() || !multi_settle())
		goto out;
	multi_get_images(&before);
	multi_get_state(&state);
	pid = multi_fork(work_on, NULL);
	if (pid > 0) {
		attach_beside_work();
		/* unless it met an error, it is still at work */
		kill(pid, SIGKILL);
		multi_expect_killed(pid);
	}
	multi_same_but_images(&state, "left behind");
	if (multi_settle())
		multi_check_images(&before);
out:
	cleanup_cgroup_environment();
}

/* entry_0 and entry_1 of it replace each other. */
static struct tracing_multi_update *upd;

static __u64 entry_hits(int prog)
{
	__u64 hits = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(upd->bss->entry_hits[prog]); i++)
		hits += upd->bss->entry_hits[prog][i];
	return hits;
}

/* All that this task calls is seen by one of the programs, and by that one only. */
static void check_runs(int prog, const char *name)
{
	__u64 hits = entry_hits(prog), others = entry_hits(!prog);

	upd->bss->pid = getpid();
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	ASSERT_TRUE(use_file(), "use_file");
	upd->bss->pid = 0;
	ASSERT_GT(entry_hits(prog), hits, name);
	ASSERT_EQ(entry_hits(!prog), others, name);
}

static FILE *open_enabled_functions(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/enabled_functions", multi_tracefs());
	return fopen(path, "r");
}

/* What names of images with no other program have in them; only of shared images */
static void name_in_images(const struct bpf_program *prog, char *name, size_t size)
{
	snprintf(name, size, "_prog_%u+", multi_prog_id(prog));
}

/* All functions are traced, and those that share images, which is most of them, all call
 * images with that one of the programs.
 */
static void check_all_call(int prog, int enabled, const char *name)
{
	int functions = 0, calls[2] = {};
	char *line = NULL, names[2][32];
	size_t size = 0;
	FILE *f;

	name_in_images(upd->progs.entry_0, names[0], sizeof(names[0]));
	name_in_images(upd->progs.entry_1, names[1], sizeof(names[1]));
	f = open_enabled_functions();
	if (!ASSERT_OK_PTR(f, "enabled_functions"))
		return;
	while (getline(&line, &size, f) > 0) {
		/* an indented line tells of the function before what it calls */
		functions += line[0] != '\t';
		calls[0] += line[0] == '\t' && strstr(line, names[0]);
		calls[1] += line[0] == '\t' && strstr(line, names[1]);
	}
	free(line);
	fclose(f);
	ASSERT_EQ(functions, enabled + entry_all.cnt, name);
	ASSERT_GT(calls[prog], entry_all.cnt / 2, name);
	ASSERT_EQ(calls[!prog], 0, name);
}

static void check_prog(int link_fd, const struct bpf_program *prog, const char *name)
{
	ASSERT_EQ(multi_link_prog_id(link_fd), multi_prog_id(prog), name);
}

/* A link that has entry_0 on all functions, for as long as check() takes */
static void with_updated(void (*check)(int link_fd, int enabled))
{
	int fd, enabled = multi_enabled_functions();

	upd = tracing_multi_update__open_and_load();
	if (!ASSERT_OK_PTR(upd, "open_and_load"))
		return;
	fd = attach_all(upd->progs.entry_0);
	if (fd >= 0) {
		check_runs(0, "before");
		check(fd, enabled);
		close(fd);
	}
	ASSERT_EQ(multi_enabled_functions(), enabled, "enabled_functions afterwards");
	tracing_multi_update__destroy(upd);
	upd = NULL;
}

static void update(int link_fd, int enabled)
{
	ASSERT_OK(bpf_link_update(link_fd, bpf_program__fd(upd->progs.entry_1), NULL), "update");
	check_prog(link_fd, upd->progs.entry_1, "new program");
	check_runs(1, "new program");
	check_all_call(1, enabled, "new program");
	check_info(link_fd, &entry_all);
}

/* An update takes many steps, each of which updates some hundred functions. */
static void test_update(void)
{
	with_updated(update);
}

static void update_killed(void *arg)
{
	skel->bss->pid = getpid();
	bpf_link_update(*(int *)arg, bpf_program__fd(upd->progs.entry_1), NULL);
}

/* By a program in a function that an update calls again and again: the kill_at-th time.
 * Return: how often it was called.
 */
static __u64 kill_update(int link_fd, struct bpf_program *prog, __u64 kill_at)
{
	struct bpf_link *link;
	pid_t pid;

	link = bpf_program__attach(prog);
	if (!ASSERT_OK_PTR(link, "attach"))
		return 0;
	skel->bss->kill_calls = 0;
	skel->bss->kill_at = kill_at;
	pid = multi_fork(update_killed, &link_fd);
	if (pid > 0)
		multi_expect_killed(pid);
	skel->bss->pid = 0;
	bpf_link__destroy(link);
	return skel->bss->kill_calls;
}

static __u32 new_prog_id;

static int new_prog_alive(void)
{
	int fd = bpf_prog_get_fd_by_id(new_prog_id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

#define KILL_CHECK 1000
#define KILL_CHUNK 5

static void kill_updates(int link_fd, int enabled)
{
	ASSERT_EQ(kill_update(link_fd, skel->progs.kill_checking, KILL_CHECK), KILL_CHECK,
		  "targets checked");
	check_prog(link_fd, upd->progs.entry_0, "killed while checking");

	/* some hundred functions have the new program then, and get the old one again */
	ASSERT_GT(kill_update(link_fd, skel->progs.kill_attaching, KILL_CHUNK), KILL_CHUNK,
		  "steps, and those back");
	check_prog(link_fd, upd->progs.entry_0, "killed half-way");
	check_runs(0, "killed half-way");
	check_all_call(0, enabled, "killed half-way");
	check_info(link_fd, &entry_all);

	/* nothing holds the program that was not to be */
	new_prog_id = multi_prog_id(upd->progs.entry_1);
	bpf_program__unload(upd->progs.entry_1);
	multi_wait_for(new_prog_alive, 0, "new program is freed");
}

static void test_update_killed(void)
{
	static struct multi_image_list before;

	if (!multi_settle())
		return;
	multi_get_images(&before);
	with_updated(kill_updates);
	if (multi_settle())
		multi_check_images(&before);
}

/* with the programs that kill */
static bool load(void)
{
	skel = tracing_multi_stress__open();
	return ASSERT_OK_PTR(skel, "open") &&
	       ASSERT_OK(bpf_program__set_autoload(skel->progs.kill_checking, true),
			 "set_autoload") &&
	       ASSERT_OK(bpf_program__set_autoload(skel->progs.kill_attaching, true),
			 "set_autoload") &&
	       ASSERT_OK(tracing_multi_stress__load(skel), "load");
}

static bool setup(void)
{
	return multi_init() && load() && find_all(skel->progs.any_entry, &entry_all) &&
	       find_all(skel->progs.any_exit, &exit_all) &&
	       ASSERT_GE(entry_all.cnt, exit_all.cnt, "functions");
}

static void teardown(void)
{
	free_all(&entry_all);
	free_all(&exit_all);
	tracing_multi_stress__destroy(skel);
	skel = NULL;
	multi_fini();
}

static const struct multi_subtest subtests[] = {
	{ "info", test_info },
	{ "addresses", test_addresses },
	{ "memory", test_memory },
	{ "others_progress", test_others_progress },
	{ "update", test_update },
	{ "update_killed", test_update_killed },
	{ "task_ends", test_task_ends },
	{ "workload", test_workload, .is_long = true },
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
