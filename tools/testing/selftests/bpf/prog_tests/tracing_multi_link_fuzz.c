// SPDX-License-Identifier: GPL-2.0
/* BPF_LINK_CREATE, BPF_LINK_UPDATE and BPF_OBJ_GET_INFO_BY_FD of tracing multi-links
 * with attributes made at random: of good and of wrong ids, fds, counts, flags, sizes
 * and pointers, some of which fault half-way, as some attributes do themselves.
 *
 * TRACING_MULTI_SEED=number in the environment replays what the test printed when it
 * failed, but for what another thread does meanwhile ("race"). With
 * TRACING_MULTI_LONG=1 NR_CALLS_LONG calls are made.
 */
#include <test_progs.h>
#include <sys/mman.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_match.skel.h"
#include "tracing_multi_target.skel.h"

#define NR_CALLS 2000
#define NR_CALLS_LONG 200000
#define NR_REPLAYED 500
#define DEFAULT_SEED 20240612
#define NR_IDS 4096
#define MAX_PROGS 64
/* Links are put at these fds: nothing else of the process is there. */
#define FIRST_SLOT 400
#define NR_SLOTS 12
#define ATTR_SIZE 256	/* more than the kernel knows of */

enum fuzz_op {
	FUZZ_CREATE,
	FUZZ_UPDATE,
	FUZZ_INFO,
	FUZZ_FDINFO,
	FUZZ_CLOSE,
	FUZZ_RUN,
	NR_FUZZ_OPS
};

static struct fuzz {
	struct tracing_multi_match *match;
	struct tracing_multi_target *target;
	int progs[MAX_PROGS];
	int nr_progs;
	struct multi_targets good;	/* first of vmlinux, then of a module and a program */
	int nr_vmlinux;
	/* Each of these ends at a page that can't be accessed, so that what the kernel reads
	 * past the end doesn't depend on what else there is: what attributes point to,
	 * attributes, and arrays of a link's targets
	 */
	char *edge, *attr_edge;
	__u32 *ids;
	int *fds;
	__u64 *cookies;
	char *out;	/* what the kernel writes */
	__u64 state;	/* of the random numbers */
	__u32 next;	/* of the good functions */
	bool tame;	/* this call is to be as it should be, and may succeed */
	__u64 calls[NR_FUZZ_OPS];
	__u64 done[NR_FUZZ_OPS];
	__u64 results;	/* a hash of them all, in their order */
	__u64 faulting;	/* attributes */
	bool is_link[NR_SLOTS];
	/* links with functions of a module or a program; of fmod_ret programs */
	__u64 foreign_links;
	__u64 modify_links;
} fuzz;

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled", 2016): a number below n
 */
static __u32 fuzz_below(__u32 n)
{
	fuzz.state ^= fuzz.state >> 12;
	fuzz.state ^= fuzz.state << 25;
	fuzz.state ^= fuzz.state >> 27;
	return ((fuzz.state * 0x2545f4914f6cdd1dULL) >> 32) % n;
}

static bool fuzz_one_in(__u32 n)
{
	return fuzz_below(n) == 0;
}

/* To go wrong here? */
static bool fuzz_wrong(__u32 n)
{
	return fuzz_one_in(n) && !fuzz.tame;
}

static __u32 fuzz_u32(void)
{
	static const __u32 odd[] = { 0, 1, 2, 3, 4, 8, 0x7fffffff, 0x80000000, ~0U, ~0U - 1,
				     1 << 20, (1 << 20) + 1, 0x10000, 0xffff };

	return fuzz_one_in(2) ? odd[fuzz_below(ARRAY_SIZE(odd))] : fuzz_below(~0U);
}

static int fuzz_fd(void)
{
	switch (fuzz_below(5)) {
	case 0:
		return FIRST_SLOT + fuzz_below(NR_SLOTS);
	case 1:
		return multi_module_fd("bpf_testmod");
	case 2:
		return fuzz_below(FIRST_SLOT);
	case 3:
		return fuzz_u32();
	default:
		return fuzz.progs[fuzz_below(fuzz.nr_progs)];
	}
}

static int fuzz_prog(void)
{
	const struct bpf_program *good[] = {
		fuzz.match->progs.untyped, fuzz.match->progs.call_entry,
		fuzz.match->progs.untyped_exit, fuzz.match->progs.call_exit,
		fuzz.match->progs.modify_untyped,
	};

	if (fuzz_wrong(8))
		return fuzz_fd();
	if (fuzz_wrong(2))
		return fuzz.progs[fuzz_below(fuzz.nr_progs)];
	return bpf_program__fd(good[fuzz_below(ARRAY_SIZE(good))]);
}

static bool fuzz_is_entry(int prog_fd)
{
	return prog_fd == bpf_program__fd(fuzz.match->progs.untyped) ||
	       prog_fd == bpf_program__fd(fuzz.match->progs.call_entry);
}

/* Of most good programs */
static __u32 fuzz_type(int prog_fd)
{
	__u32 types[] = { RAW_FENTRY_MULTI, RAW_FEXIT_MULTI, RAW_FMOD_RET_MULTI,
			  fuzz_below(70) };

	if (fuzz_wrong(4))
		return types[fuzz_below(ARRAY_SIZE(types))];
	if (prog_fd == bpf_program__fd(fuzz.match->progs.modify_untyped))
		return RAW_FMOD_RET_MULTI;
	return fuzz_is_entry(prog_fd) ? RAW_FENTRY_MULTI : RAW_FEXIT_MULTI;
}

static int fuzz_slot(void)
{
	return fuzz_wrong(16) ? fuzz_fd() : FIRST_SLOT + fuzz_below(NR_SLOTS);
}

/* An address from which some of len bytes can be read or written, or none. */
static __u64 fuzz_pointer(void *good, __u32 len)
{
	static const __u64 bad[] = { 0, 1, 0xffff, 0xffffffff81000000, 0xffff888000000000,
				     0x7ffffffff000, ~0ULL, 0x8000000000000000 };
	__u32 page = getpagesize(), there;

	switch (fuzz.tame ? 3 : fuzz_below(12)) {
	case 0:
		return bad[fuzz_below(ARRAY_SIZE(bad))];
	case 1:
		there = fuzz_below((len < page ? len : page) + 1);
		memcpy(fuzz.edge + page - there, good, there);
		return ptr_to_u64(fuzz.edge + page - there);
	case 2:
		return ptr_to_u64(good) + fuzz_below(8);
	default:
		return ptr_to_u64(good);
	}
}

/* Where the kernel shall find attr, of size bytes as it is told: some are not all there. */
static char *fuzz_attr(char *attr, __u32 size)
{
	__u32 page = getpagesize(), there;

	/* of more than a page nothing is read */
	if (!size || size > page || !fuzz_wrong(16))
		return attr;
	there = fuzz_below(size < ATTR_SIZE ? size : ATTR_SIZE);
	memcpy(fuzz.attr_edge + page - there, attr, there);
	fuzz.faulting++;
	return fuzz.attr_edge + page - there;
}

static long fuzz_bpf(int cmd, char *attr, __u32 size)
{
	return syscall(__NR_bpf, cmd, fuzz_attr(attr, size), size);
}

/* An id and the fd that goes with it. Some function of the kernel is met by chance by fentry
 * programs only: a task may sleep in it as long as it likes, an image with fexit or fmod_ret
 * stays on its stack for that time, and no live patch gets complete.
 */
static void fuzz_target(__u32 flags, bool any, __u32 *id, int *fd)
{
	int i = fuzz.next++ % (flags & RAW_F_TGT_FDS ? fuzz.good.cnt : fuzz.nr_vmlinux);
	__u32 type_cnt = btf__type_cnt(multi_vmlinux_btf());

	*id = fuzz.good.ids[i];
	*fd = fuzz.good.fds[i];
	if (fuzz_wrong(16)) {
		*id = fuzz_u32();
		if (*id < type_cnt && !any)
			*id += type_cnt;
	}
	/* some function or other type of vmlinux */
	if (fuzz_wrong(16) && any)
		*id = fuzz_below(type_cnt);
	if (fuzz_wrong(8))
		*fd = fuzz_fd();
}

/* A bit here and there */
static void fuzz_mutate(char *attr, __u32 len)
{
	__u32 n;

	if (!fuzz_wrong(4))
		return;
	for (n = fuzz_below(4); n > 0; n--)
		attr[fuzz_below(len)] ^= 1 << fuzz_below(8);
}

static __u32 fuzz_size(__u32 known)
{
	switch (fuzz.tame ? 2 : fuzz_below(8)) {
	case 0:
		return fuzz_below(ATTR_SIZE + 1);
	case 1:
		return fuzz_u32();
	default:
		return known;
	}
}

/* All errors that there is a reason for. */
static bool is_expected(int err)
{
	static const int errs[] = { EINVAL, E2BIG, EBADF, EBADFD, ENOENT, EFAULT, EBUSY, EPERM,
				    EOPNOTSUPP, 524 /* ENOTSUPP */, ENOSPC, EACCES, EEXIST,
				    ENODEV, ENOMEM };
	int i;

	for (i = 0; i < ARRAY_SIZE(errs); i++) {
		if (err == errs[i])
			return true;
	}
	return false;
}

/* FNV-1a (Fowler, Noll, Vo), with numbers in place of bytes */
static void fuzz_hash(__u64 val)
{
	fuzz.results = (fuzz.results ^ val) * 0x100000001b3ULL;
}

static bool fuzz_result(enum fuzz_op op, long ret)
{
	fuzz.calls[op]++;
	fuzz_hash(op);
	fuzz_hash(ret < 0 ? errno : 0);
	if (ret >= 0) {
		fuzz.done[op]++;
		return true;
	}
	if (!ASSERT_TRUE(is_expected(errno), "error")) {
		fprintf(stdout, "operation %d: error %d\n", op, errno);
		return false;
	}
	return true;
}

static bool check_bad_idx(const char *attr, __u32 cnt, __u32 size)
{
	__u32 bad_idx = multi_get32(attr, 36);

	if (size < RAW_CREATE_SIZE_FIRST || bad_idx == MULTI_NO_IDX)
		return true;
	return ASSERT_LT(bad_idx, cnt, "bad_idx");
}

/* A link's fd, or that of something else, at a random place of those that are closed again */
static void fuzz_keep(int fd, bool is_link)
{
	int slot = fuzz_below(NR_SLOTS);

	dup2(fd, FIRST_SLOT + slot);
	fuzz.is_link[slot] = is_link;
}

static void fuzz_created(int fd, __u32 cnt, const char *attr)
{
	bool foreign = false;
	__u32 i;

	for (i = 0; i < cnt && i < NR_IDS; i++)
		foreign |= fuzz.fds[i] > 0;
	/* not the links that may be without them */
	fuzz.foreign_links += foreign && multi_get32(attr, 12) == RAW_F_TGT_FDS;
	fuzz.modify_links += multi_get32(attr, 8) == RAW_FMOD_RET_MULTI;
	fuzz_keep(fd, true);
	close(fd);
}

static bool fuzz_create(void)
{
	__u32 cnt = 1 + fuzz_below(fuzz_wrong(8) ? NR_IDS : 4), i, size;
	__u32 flags = fuzz_wrong(16) ? fuzz_u32() : fuzz_below(4);
	char attr[ATTR_SIZE] __aligned(8) = {};
	int fd, prog_fd = fuzz_prog();
	bool mutated;

	/* nothing of earlier calls is behind them */
	memset(fuzz.ids, 0, NR_IDS * sizeof(*fuzz.ids));
	memset(fuzz.fds, 0, NR_IDS * sizeof(*fuzz.fds));
	memset(fuzz.cookies, 0, NR_IDS * sizeof(*fuzz.cookies));
	for (i = 0; i < cnt; i++) {
		fuzz_target(flags, fuzz_is_entry(prog_fd), &fuzz.ids[i], &fuzz.fds[i]);
		fuzz.cookies[i] = fuzz_u32();
	}
	multi_put32(attr, 0, prog_fd);
	multi_put32(attr, 8, fuzz_type(prog_fd));
	multi_put32(attr, 12, flags);
	multi_put64(attr, 16, fuzz_pointer(fuzz.ids, cnt * sizeof(*fuzz.ids)));
	if (fuzz_one_in(2))
		multi_put64(attr, 24, fuzz_pointer(fuzz.cookies, cnt * sizeof(*fuzz.cookies)));
	multi_put32(attr, 32, fuzz_wrong(16) ? fuzz_u32() : cnt);
	multi_put32(attr, 36, MULTI_NO_IDX);
	if (flags & RAW_F_TGT_FDS)
		multi_put64(attr, 40, fuzz_pointer(fuzz.fds, cnt * sizeof(*fuzz.fds)));
	cnt = multi_get32(attr, 32);
	size = fuzz_size(RAW_CREATE_SIZE);
	mutated = fuzz_wrong(2);
	if (mutated) {
		/* not the pointers, as what is found elsewhere would not be found again */
		fuzz_mutate(attr, 16);
		fuzz_mutate(attr + 32, 8);
	}
	fd = fuzz_bpf(28 /* BPF_LINK_CREATE */, attr, size);
	if (!fuzz_result(FUZZ_CREATE, fd))
		return false;
	if (fd < 0)
		return mutated || check_bad_idx(attr, cnt, size);
	fuzz_created(fd, cnt, attr);
	return true;
}

static bool fuzz_update(void)
{
	char attr[ATTR_SIZE] __aligned(8) = {};

	multi_put32(attr, 0, fuzz_slot());
	multi_put32(attr, 4, fuzz_prog());
	if (fuzz_wrong(2)) {
		multi_put32(attr, 8, fuzz_one_in(4) ? fuzz_u32() : 4 /* BPF_F_REPLACE */);
		multi_put32(attr, 12, fuzz_prog());
	}
	fuzz_mutate(attr, 16);
	return fuzz_result(FUZZ_UPDATE, fuzz_bpf(29 /* BPF_LINK_UPDATE */, attr, fuzz_size(16)));
}

/* The kernel writes nothing behind as many elements of 8 bytes as it was told, which begin
 * in the first 8 bytes.
 */
#define OUT_SIZE ((NR_IDS + 1) * 8)
#define UNTOUCHED 0x5a

static bool fuzz_check_out(__u32 cnt)
{
	size_t i = cnt < NR_IDS ? (cnt + 1) * 8ULL : OUT_SIZE;

	for (; i < OUT_SIZE; i++) {
		if (fuzz.out[i] != UNTOUCHED)
			return ASSERT_EQ(i, OUT_SIZE, "written behind the end");
	}
	return true;
}

static bool is_link_slot(int fd)
{
	return fd >= FIRST_SLOT && fd < FIRST_SLOT + NR_SLOTS && fuzz.is_link[fd - FIRST_SLOT];
}

static bool fuzz_info(void)
{
	char info[ATTR_SIZE] __aligned(8) = {}, attr[ATTR_SIZE] __aligned(8) = {};
	__u32 cnt = fuzz_wrong(8) ? fuzz_u32() : fuzz_below(NR_IDS), off;
	int fd = fuzz_slot();
	long ret;

	memset(fuzz.out, UNTOUCHED, OUT_SIZE);

	multi_put32(info, 20, cnt);
	for (off = 32; off < 72; off += 8) {
		if (fuzz_one_in(2))
			multi_put64(info, off, fuzz_pointer(fuzz.out, NR_IDS * 8));
	}
	/* not the pointers, behind which the kernel writes */
	fuzz_mutate(info + 16, 16);
	cnt = multi_get32(info, 20);
	multi_put32(attr, 0, fd);
	multi_put32(attr, 4, fuzz_size(72));
	multi_put64(attr, 8, fuzz_pointer(info, sizeof(info)));
	ret = fuzz_bpf(15 /* BPF_OBJ_GET_INFO_BY_FD */, attr,
		       fuzz_wrong(8) ? fuzz_size(16) : 16);
	/* of something else the numbers mean something else */
	return fuzz_result(FUZZ_INFO, ret) && (!is_link_slot(fd) || fuzz_check_out(cnt));
}

static bool fuzz_fdinfo(void)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fuzz_slot());
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		n = read(fd, fuzz.out, 1 + fuzz_below(NR_IDS * 8));
		close(fd);
	}
	return fuzz_result(FUZZ_FDINFO, n);
}

/* Close a link, or a program or module's BTF that another thread may close when it is used */
static bool fuzz_close(void)
{
	if (fuzz_one_in(4))
		fuzz_keep(fuzz_one_in(2) ? fuzz_prog() : multi_module_fd("bpf_testmod"), false);
	return fuzz_result(FUZZ_CLOSE, close(FIRST_SLOT + fuzz_below(NR_SLOTS)));
}

static bool fuzz_step(void)
{
	fuzz.tame = fuzz_one_in(2);
	switch (fuzz_below(8)) {
	case 0:
		return fuzz_update();
	case 1:
		return fuzz_info();
	case 2:
		return fuzz_fdinfo();
	case 3:
		return fuzz_close();
	case 4:
		return multi_test_run(fuzz.match->progs.untyped, NULL) &&
		       fuzz_result(FUZZ_RUN, 0);
	default:
		return fuzz_create();
	}
}

static __u64 fuzz_seed(void)
{
	const char *text = getenv("TRACING_MULTI_SEED");

	return text ? strtoull(text, NULL, 0) : DEFAULT_SEED;
}

static void fuzz_begin(__u64 seed)
{
	/* 0 would stay 0 */
	fuzz.state = seed ?: 1;
	fuzz.next = 0;
	fuzz.results = 0xcbf29ce484222325ULL;	/* FNV-1a begins with this */
	fuzz.faulting = 0;
	memset(fuzz.is_link, 0, sizeof(fuzz.is_link));
	memset(fuzz.calls, 0, sizeof(fuzz.calls));
	memset(fuzz.done, 0, sizeof(fuzz.done));
	fuzz.foreign_links = 0;
	fuzz.modify_links = 0;
}

static void fuzz_report(void)
{
	static const char *const names[] = {
		[FUZZ_CREATE] = "create",
		[FUZZ_UPDATE] = "update",
		[FUZZ_INFO] = "info",
		[FUZZ_FDINFO] = "fdinfo",
		[FUZZ_CLOSE] = "close",
		[FUZZ_RUN] = "run",
	};
	int i;

	for (i = 0; i < NR_FUZZ_OPS; i++) {
		multi_figure("fuzz, %s: %llu calls, %llu good", names[i], fuzz.calls[i],
			     fuzz.done[i]);
		/* the fewest are updates, whose programs seldom fit: one in ten */
		ASSERT_GT(fuzz.done[i], fuzz.calls[i] / 50, names[i]);
		/* there is no wrong way to run */
		if (i != FUZZ_RUN)
			ASSERT_LT(fuzz.done[i], fuzz.calls[i], names[i]);
	}
	multi_figure("fuzz: %llu links with functions of a module or program, %llu of fmod_ret",
		     fuzz.foreign_links, fuzz.modify_links);
	multi_figure("fuzz: %llu attributes that fault", fuzz.faulting);
	ASSERT_GT(fuzz.foreign_links, 0, "links with functions of a module or program");
	ASSERT_GT(fuzz.faulting, 0, "attributes that fault");
	ASSERT_GT(fuzz.modify_links, 0, "links of fmod_ret programs");
}

static void fuzz_steps(const char *name, __u64 seed, __u64 nr)
{
	__u64 i;

	fuzz_begin(seed);
	for (i = 0; i < nr; i++) {
		if (!fuzz_step()) {
			multi_figure("%s: call %llu of TRACING_MULTI_SEED=%llu", name, i, seed);
			break;
		}
	}
	for (i = 0; i < NR_SLOTS; i++)
		close(FIRST_SLOT + i);
}

static void fuzz_run(const char *name)
{
	static struct multi_image_list images;
	struct multi_state before;

	if (!multi_settle())
		return;
	multi_get_images(&images);
	multi_get_state(&before);
	fuzz_steps(name, fuzz_seed(), multi_long() ? NR_CALLS_LONG : NR_CALLS);
	fuzz_report();
	multi_same_but_images(&before, "left behind");
	/* an id changed by chance may be that of a function that a task sleeps in */
	multi_check_images(&images);
}

static void test_calls(void)
{
	fuzz_run("calls");
}

/* A finding can be had again: the same seed makes the same calls, and these end as before. */
static void test_replay(void)
{
	__u64 seed = fuzz_seed(), first;

	fuzz_steps("replay", seed, NR_REPLAYED);
	first = fuzz.results;
	fuzz_steps("replay", seed, NR_REPLAYED);
	ASSERT_EQ(fuzz.results, first, "results of the same seed");
	fuzz_steps("replay", ~seed, NR_REPLAYED);
	ASSERT_NEQ(fuzz.results, first, "results of another seed");
}

/* Every other one: how many calls find a link must not depend on timing. */
static void *close_links(void *stop)
{
	unsigned int i;

	for (i = 0; !__atomic_load_n((bool *)stop, __ATOMIC_SEQ_CST); i += 2) {
		close(FIRST_SLOT + i % NR_SLOTS);
		usleep(100);
	}
	return NULL;
}

/* Meanwhile another thread closes links. */
static void test_race(void)
{
	pthread_t thread;
	bool stop = false;

	if (!ASSERT_OK(pthread_create(&thread, NULL, close_links, &stop), "pthread_create"))
		return;
	fuzz_run("race");
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
}

static void add_progs(const struct bpf_object *obj)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) {
		if (bpf_program__fd(prog) >= 0 && fuzz.nr_progs < MAX_PROGS)
			fuzz.progs[fuzz.nr_progs++] = bpf_program__fd(prog);
	}
}

static bool add_good(void)
{
	if (!multi_set(&fuzz.good, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3",
		       "bpf_fentry_test4", "bpf_fentry_test5", "bpf_fentry_test6",
		       "bpf_fentry_test7", "bpf_fentry_test8", "bpf_modify_return_test",
		       NULL))
		return false;
	fuzz.nr_vmlinux = fuzz.good.cnt;
	return multi_add(&fuzz.good, "bpf_testmod:bpf_testmod_multi_0") &&
	       multi_add(&fuzz.good, "bpf_testmod:bpf_testmod_multi_12") &&
	       multi_add(&fuzz.good, "bpf_testmod:bpf_testmod_limit_modify") &&
	       multi_add_prog(&fuzz.good, bpf_program__fd(fuzz.target->progs.target_tc),
			      "target_sum");
}

/* A mapping of at least size bytes, in front of a page that can't be accessed */
static size_t guarded_size(size_t size)
{
	size_t page = getpagesize();

	return (size + page - 1) / page * page + page;
}

static void unmap_guarded(void *p, size_t size)
{
	if (p)
		munmap(p, guarded_size(size));
}

static void *map_guarded(size_t size)
{
	size_t all = guarded_size(size), page = getpagesize();
	char *p;

	p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (!mprotect(p + all - page, page, PROT_NONE))
		return p;
	munmap(p, all);
	return NULL;
}

static bool setup(void)
{
	if (!multi_init())
		return false;
	fuzz.match = tracing_multi_match__open_and_load();
	fuzz.target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(fuzz.match, "load") || !ASSERT_OK_PTR(fuzz.target, "load targets") ||
	    !add_good())
		return false;
	fuzz.nr_progs = 0;
	add_progs(fuzz.match->obj);
	add_progs(fuzz.target->obj);
	fuzz.ids = map_guarded(NR_IDS * sizeof(*fuzz.ids));
	fuzz.fds = map_guarded(NR_IDS * sizeof(*fuzz.fds));
	fuzz.cookies = map_guarded(NR_IDS * sizeof(*fuzz.cookies));
	fuzz.edge = map_guarded(1);
	fuzz.attr_edge = map_guarded(1);
	fuzz.out = malloc(OUT_SIZE);
	return ASSERT_TRUE(fuzz.ids && fuzz.fds && fuzz.cookies && fuzz.edge &&
			   fuzz.attr_edge && fuzz.out, "memory");
}

static void teardown(void)
{
	free(fuzz.out);
	unmap_guarded(fuzz.attr_edge, 1);
	unmap_guarded(fuzz.edge, 1);
	unmap_guarded(fuzz.cookies, NR_IDS * sizeof(*fuzz.cookies));
	unmap_guarded(fuzz.fds, NR_IDS * sizeof(*fuzz.fds));
	unmap_guarded(fuzz.ids, NR_IDS * sizeof(*fuzz.ids));
	tracing_multi_target__destroy(fuzz.target);
	tracing_multi_match__destroy(fuzz.match);
	memset(&fuzz, 0, sizeof(fuzz));
	multi_fini();
}

static const struct multi_subtest subtests[] = {
	{ "calls", test_calls },
	{ "replay", test_replay },
	{ "race", test_race },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
};

void serial_test_tracing_multi_link_fuzz(void)
{
	multi_run_suite(&suite);
}
