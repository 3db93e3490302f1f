// SPDX-License-Identifier: GPL-2.0
/* What BPF_LINK_CREATE refuses, with which error and which bad_idx. */
#include <test_progs.h>
#include <sys/mman.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_match.skel.h"
#include "tracing_multi_syscall.skel.h"

#define MAX_CNT 0x100000

/* untyped fentry, and three good targets, in every subtest's hands */
static struct tracing_multi_match *skel;
static struct multi_targets good;

/* attr for the good targets; field is link_create.tracing_multi's */
#define TM(attr, field) ((attr).link_create.tracing_multi.field)

static void good_attr(union bpf_attr *attr)
{
	multi_attr(attr, skel->progs.untyped, &good);
}

static void skip_attr(union bpf_attr *attr, const struct bpf_program *prog,
		      const struct multi_targets *t)
{
	multi_attr(attr, prog, t);
	attr->link_create.flags |= BPF_F_TRACING_MULTI_SKIP_INVALID;
}

static void test_no_targets(void)
{
	union bpf_attr attr;

	good_attr(&attr);
	TM(attr, cnt) = 0;
	multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "cnt 0");
	good_attr(&attr);
	TM(attr, ids) = 0;
	multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "ids NULL");
	TM(attr, cnt) = 0;
	multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "neither");
}

static void test_unknown_flag(void)
{
	union bpf_attr attr;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		good_attr(&attr);
		attr.link_create.flags = 1U << bit;
		if (attr.link_create.flags & (BPF_F_TRACING_MULTI_TGT_FDS |
					      BPF_F_TRACING_MULTI_SKIP_INVALID))
			continue;
		multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "unknown flag");
	}
}

static void test_nonzero_bytes(void)
{
	const int end = offsetofend(union bpf_attr, link_create.tracing_multi);
	union bpf_attr attr;
	int i;

	/* behind our struct, in and behind the union */
	for (i = end; i < sizeof(attr); i++) {
		good_attr(&attr);
		((char *)&attr)[i] = 1;
		if (!multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "nonzero byte")) {
			fprintf(stdout, "byte %d\n", i);
			break;
		}
	}
}

static void test_nonzero_tail(void)
{
	struct {
		union bpf_attr attr;
		__u64 tail;
	} big = {};
	int fd;

	good_attr(&big.attr);
	fd = multi_create_size(&big.attr, sizeof(big));
	if (ASSERT_OK_FD(fd, "zero tail"))
		close(fd);
	good_attr(&big.attr);
	big.tail = 1;
	ASSERT_EQ(multi_create_size(&big.attr, sizeof(big)), -E2BIG, "nonzero tail");
}

static void test_target_fd(void)
{
	union bpf_attr attr;

	good_attr(&attr);
	attr.link_create.target_fd = bpf_program__fd(skel->progs.untyped);
	multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "target_fd");
}

static void test_too_many(void)
{
	union bpf_attr attr;

	/* looked at before the ids are copied */
	good_attr(&attr);
	TM(attr, cnt) = MAX_CNT + 1;
	multi_create_refused(&attr, -E2BIG, MULTI_NO_IDX, "limit + 1");
	TM(attr, cnt) = ~0U;
	multi_create_refused(&attr, -E2BIG, MULTI_NO_IDX, "largest cnt");
	/* the limit itself is not too many: it is tried to copy that many ids */
	TM(attr, cnt) = MAX_CNT;
	TM(attr, ids) = ~0xfffULL;
	multi_create_refused(&attr, -EFAULT, MULTI_NO_IDX, "limit");
}

static void test_bad_pointers(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	union bpf_attr attr;
	__u32 *ids;
	char *mem;

	mem = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!ASSERT_NEQ(mem, MAP_FAILED, "mmap"))
		return;
	mprotect(mem + page, page, PROT_NONE);

	good_attr(&attr);
	TM(attr, ids) = ptr_to_u64(mem + page);
	multi_create_refused(&attr, -EFAULT, MULTI_NO_IDX, "ids");
	/* the last id is out of reach */
	ids = (__u32 *)(mem + page) - (good.cnt - 1);
	memcpy(ids, good.ids, (good.cnt - 1) * sizeof(*ids));
	TM(attr, ids) = ptr_to_u64(ids);
	multi_create_refused(&attr, -EFAULT, MULTI_NO_IDX, "last id");
	good_attr(&attr);
	TM(attr, cookies) = ptr_to_u64(mem + page);
	multi_create_refused(&attr, -EFAULT, MULTI_NO_IDX, "cookies");
	good_attr(&attr);
	attr.link_create.flags = BPF_F_TRACING_MULTI_TGT_FDS;
	TM(attr, tgt_fds) = ptr_to_u64(mem + page);
	multi_create_refused(&attr, -EFAULT, MULTI_NO_IDX, "tgt_fds");
	/* not a user address at all */
	good_attr(&attr);
	TM(attr, ids) = ~0xfffULL;
	multi_create_refused(&attr, -EFAULT, MULTI_NO_IDX, "kernel address");
	munmap(mem, 2 * page);
}

static void test_tgt_fds_flag(void)
{
	int fds[MULTI_MAX] = {};
	union bpf_attr attr;

	good_attr(&attr);
	TM(attr, tgt_fds) = ptr_to_u64(fds);
	multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "tgt_fds without flag");
	good_attr(&attr);
	attr.link_create.flags = BPF_F_TRACING_MULTI_TGT_FDS;
	multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "flag without tgt_fds");
	TM(attr, tgt_fds) = ptr_to_u64(fds);
	multi_created(&attr, "all in vmlinux");
}

static void test_bad_fd(void)
{
	struct multi_targets t = good;
	struct btf *btf;

	t.fds[1] = 1 << 20;
	multi_refused(skel->progs.untyped, &t, -EBADF, 1, "not open");
	t.fds[1] = -1;
	multi_refused(skel->progs.untyped, &t, -EBADF, 1, "negative");
	t.fds[1] = bpf_map__fd(skel->maps.jmp_table);
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "map");
	t.fds[1] = open("/dev/null", O_RDONLY);
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "file");
	close(t.fds[1]);

	/* BTF, but neither vmlinux' nor a module's */
	btf = btf__new_empty();
	if (ASSERT_OK_PTR(btf, "btf__new_empty") &&
	    ASSERT_GT(btf__add_int(btf, "int", 4, BTF_INT_SIGNED), 0, "btf__add_int") &&
	    ASSERT_OK(btf__load_into_kernel(btf), "btf__load_into_kernel")) {
		t.fds[1] = btf__fd(btf);
		t.ids[1] = 1;
		multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "BTF of a program");
	}
	btf__free(btf);
}

/* Just another name for what 0 means */
static void test_vmlinux_fd(void)
{
	struct multi_targets t = good;
	int fd, i;

	fd = multi_open_module_btf("vmlinux");
	if (!ASSERT_OK_FD(fd, "fd of vmlinux' BTF"))
		return;
	t.fds[1] = fd;
	multi_attached(skel->progs.untyped, &t, "fd and 0");
	t.ids[2] = t.ids[1];
	multi_refused(skel->progs.untyped, &t, -EINVAL, 2, "one function twice");
	t = good;
	for (i = 0; i < t.cnt; i++)
		t.fds[i] = fd;
	multi_attached(skel->progs.untyped, &t, "fd only");
	close(fd);
}

static void test_duplicate(void)
{
	struct multi_targets t = good;

	t.ids[t.cnt++] = t.ids[1];
	multi_refused(skel->progs.untyped, &t, -EINVAL, t.cnt - 1, "vmlinux twice");
	if (!multi_set(&t, "bpf_fentry_test1", "bpf_testmod:bpf_testmod_multi_1",
		       "bpf_testmod:bpf_testmod_multi_1", "bpf_fentry_test2", NULL))
		return;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 2, "module twice");
	/* through another fd of the same BTF */
	t.fds[2] = bpf_btf_get_fd_by_id(multi_btf_obj_id(t.fds[1]));
	if (ASSERT_OK_FD(t.fds[2], "second fd")) {
		multi_refused(skel->progs.untyped, &t, -EINVAL, 2, "twice, two fds");
		close(t.fds[2]);
	}
	t = good;
	t.cnt = 1;
	if (!multi_add_prog(&t, bpf_program__fd(skel->progs.untyped), "untyped"))
		return;
	/* the first refused of several */
	t.ids[t.cnt++] = t.ids[0];
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "first of two bad ones");
}

/* The last two of t are one function. */
static void check_alias(const struct bpf_program *prog, struct multi_targets t)
{
	int last = t.cnt - 1, fd;

	multi_refused(prog, &t, -EBUSY, last, "alias in one link");

	/* and over two links */
	t.cnt--;
	fd = multi_link(prog, &t, "first id");
	if (fd < 0)
		return;
	t.ids[0] = t.ids[last];
	t.cnt = 1;
	multi_refused(prog, &t, -EBUSY, 0, "alias in another link");
	multi_unlink(&fd);
	multi_attached(prog, &t, "second id alone");
}

/* The last two of t are one function: the second of them is left out, its cookie, too. */
static void check_alias_skipped(const struct bpf_program *prog, struct multi_targets t)
{
	struct bpf_link_info info = {};
	__u64 cookies[MULTI_MAX] = {};
	__u32 ids[MULTI_MAX] = {}, i, len = sizeof(info), found = 0;
	union bpf_attr attr;
	int fd;

	for (i = 0; i < t.cnt; i++)
		t.cookies[i] = i + 1;
	t.use_cookies = true;
	skip_attr(&attr, prog, &t);
	fd = multi_create(&attr);
	if (!ASSERT_OK_FD(fd, "without the alias"))
		return;
	info.tracing_multi.ids = ptr_to_u64(ids);
	info.tracing_multi.cookies = ptr_to_u64(cookies);
	info.tracing_multi.count = MULTI_MAX;
	ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "info");
	ASSERT_EQ(info.tracing_multi.count, t.cnt - 1, "targets");
	for (i = 0; i < t.cnt - 1; i++) {
		if (ids[i] != t.ids[t.cnt - 2])
			continue;
		found++;
		ASSERT_EQ(cookies[i], t.cookies[t.cnt - 2], "cookie of the first");
	}
	ASSERT_EQ(found, 1, "the first");
	close(fd);
}

static void test_alias(void)
{
	struct multi_targets t = good;
	__u32 id;

	if (!multi_find_alias(&t.ids[t.cnt], &t.ids[t.cnt + 1])) {
		test__skip();
		return;
	}
	t.cnt += 2;
	check_alias(skel->progs.untyped, t);
	check_alias(skel->progs.untyped_exit, t);
	check_alias_skipped(skel->progs.untyped, t);
	/* the other way round */
	id = t.ids[t.cnt - 1];
	t.ids[t.cnt - 1] = t.ids[t.cnt - 2];
	t.ids[t.cnt - 2] = id;
	check_alias_skipped(skel->progs.untyped, t);
}

static void test_bad_ids(void)
{
	struct btf *btf = multi_vmlinux_btf();
	struct multi_targets t = good;

	t.ids[1] = 0;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "id 0");
	t.ids[1] = 1 << 30;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "no such id");
	t.ids[1] = ~0U;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "largest id");
	t.ids[1] = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "struct");
	t.ids[1] = btf__type_by_id(btf, good.ids[0])->type;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "prototype");
	/* vmlinux' functions can't be reached through a module's BTF */
	t = good;
	t.fds[2] = multi_module_fd("bpf_testmod");
	multi_refused(skel->progs.untyped, &t, -EINVAL, 2, "module's BTF, vmlinux' id");
	/* a module's id in vmlinux */
	t = good;
	t.ids[0] = multi_func_id("bpf_testmod:bpf_testmod_multi_1");
	multi_refused(skel->progs.untyped, &t, -EINVAL, 0, "vmlinux, module's id");
}

static void refuse_one(const struct bpf_program *prog, const char *func, int err)
{
	struct multi_targets t = good;

	if (multi_add(&t, func))
		multi_refused(prog, &t, err, t.cnt - 1, func);
}

static void test_denied(void)
{
	refuse_one(skel->progs.untyped, "migrate_disable", -EINVAL);
	refuse_one(skel->progs.untyped_exit, "migrate_enable", -EINVAL);
	refuse_one(skel->progs.read_nothing, "migrate_enable", -EINVAL);
	refuse_one(skel->progs.untyped_exit, "do_exit", -EINVAL);
	refuse_one(skel->progs.read_nothing_exit, "do_group_exit", -EINVAL);
}

/* What trampolines call to leave RCU's read side, where that can be preempted */
static void test_denied_rcu(void)
{
	if (btf__find_by_name_kind(multi_vmlinux_btf(), "rcu_read_unlock_special",
				   BTF_KIND_FUNC) < 0) {
		test__skip();
		return;
	}
	refuse_one(skel->progs.untyped, "rcu_read_unlock_special", -EINVAL);
	refuse_one(skel->progs.untyped_exit, "raise_softirq_irqoff", -EINVAL);
	refuse_one(skel->progs.read_nothing, "__raise_softirq_irqoff", -EINVAL);
}

static void test_noreturn_fentry(void)
{
	struct multi_targets t;

	if (multi_set(&t, "do_exit", "do_group_exit", NULL))
		multi_attached(skel->progs.untyped, &t, "fentry of noreturn");
}

/* Tasks end in these functions, their CPUs go offline, or have gone. */
static const char * const may_not_return[] = {
	"arch_cpu_idle_dead",
	"call_usermodehelper_exec_async",
	"cpu_startup_entry",
	"do_task_dead",
	"get_signal",
	"io_sq_thread",
	"io_wq_worker",
	"kthread",
#if defined(__x86_64__)
	"arch_do_signal_or_restart",
	"cpuhp_ap_report_dead",
	"native_play_dead",
	"play_dead_common",
	"ret_from_fork",
	"x64_sys_call",
#elif defined(__aarch64__)
	"__arm64_sys_exit",
	"__arm64_sys_exit_group",
	"cpuhp_ap_report_dead",
	"do_el0_svc",
	"do_signal",
#elif defined(__s390x__)
	"__ret_from_fork",
	"__s390x_sys_exit",
	"__s390x_sys_exit_group",
	"__switch_to",
	"arch_do_signal_or_restart",
#elif defined(__riscv)
	"__riscv_sys_exit",
	"__riscv_sys_exit_group",
	"arch_do_signal_or_restart",
	"cpuhp_ap_report_dead",
#endif
};

static void test_may_not_return(void)
{
	struct multi_targets t = {};
	int i;

	for (i = 0; i < ARRAY_SIZE(may_not_return); i++) {
		refuse_one(skel->progs.untyped_exit, may_not_return[i], -EINVAL);
		refuse_one(skel->progs.read_nothing_exit, may_not_return[i], -EINVAL);
		multi_add(&t, may_not_return[i]);
	}
	multi_attached(skel->progs.untyped, &t, "fentry");
}

static void test_not_traceable(void)
{
	refuse_one(skel->progs.untyped, "__bpf_tramp_enter", -ENOENT);
	refuse_one(skel->progs.untyped_exit, "__bpf_tramp_enter", -ENOENT);
}

/* Its name is still known. */
static void test_freed_code(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);

	refuse_one(skel->progs.untyped, "start_kernel", -ENOENT);
	opts.attach_btf_id = multi_func_id("start_kernel");
	ASSERT_EQ(multi_load_empty(BPF_PROG_TYPE_TRACING, &opts), -ENOENT, "single");
}

static void test_attach_types(void)
{
	static const int types[] = {
		BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_MODIFY_RETURN,
		BPF_TRACE_FEXIT_MULTI, BPF_MODIFY_RETURN_MULTI, BPF_TRACE_FSESSION,
		BPF_TRACE_FSESSION_MULTI, BPF_TRACE_UPROBE_SESSION,
		BPF_TRACE_KPROBE_MULTI, __MAX_BPF_ATTACH_TYPE,
	};
	union bpf_attr attr;
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		good_attr(&attr);
		attr.link_create.attach_type = types[i];
		multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "attach type");
	}
}

static int load_prog(enum bpf_prog_type prog_type, enum bpf_attach_type attach_type,
		     __u32 btf_id)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = attach_type, .attach_btf_id = btf_id);

	return multi_load_empty(prog_type, &opts);
}

/* There is no telling what its functions are. */
static void test_prog_without_btf(void)
{
	struct multi_targets t = good;

	t.fds[1] = load_prog(BPF_PROG_TYPE_XDP, 0, 0);
	if (!ASSERT_OK_FD(t.fds[1], "load"))
		return;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "program without BTF");
	t.ids[1] = 1;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "program without BTF, id 1");
	close(t.fds[1]);
}

/* A program of another type, or for one function only */
static void test_prog_types(void)
{
	static const struct {
		enum bpf_prog_type type;
		enum bpf_attach_type attach_type;
		bool btf_id;
	} progs[] = {
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, true },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, true },
		{ BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI, false },
		{ BPF_PROG_TYPE_KPROBE, BPF_TRACE_FENTRY_MULTI, false },
		{ BPF_PROG_TYPE_SOCKET_FILTER, 0, false },
		{ BPF_PROG_TYPE_XDP, 0, false },
	};
	union bpf_attr attr;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		fd = load_prog(progs[i].type, progs[i].attach_type,
			       progs[i].btf_id ? good.ids[0] : 0);
		if (!ASSERT_OK_FD(fd, "load"))
			continue;
		good_attr(&attr);
		attr.link_create.prog_fd = fd;
		multi_create_refused(&attr, -EINVAL, MULTI_NO_IDX, "program type");
		close(fd);
	}
	good_attr(&attr);
	attr.link_create.prog_fd = -1;
	multi_create_refused(&attr, -EBADF, MULTI_NO_IDX, "no program");
}

/* Declared for later kernels' sake */
static void test_refused_loads(void)
{
	static const struct {
		enum bpf_prog_type type;
		enum bpf_attach_type attach_type;
	} loads[] = {
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FSESSION },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FSESSION_MULTI },
		{ BPF_PROG_TYPE_KPROBE, BPF_TRACE_UPROBE_SESSION },
		{ BPF_PROG_TYPE_LSM, BPF_TRACE_FENTRY_MULTI },
		{ BPF_PROG_TYPE_LSM, BPF_MODIFY_RETURN_MULTI },
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		fd = load_prog(loads[i].type, loads[i].attach_type, good.ids[0]);
		if (!ASSERT_EQ(fd, -EINVAL, "load") && fd >= 0)
			close(fd);
	}
}

/* Only a link of its own type can attach a program of a multi type. */
static void test_raw_tracepoint_open(void)
{
	int fd;

	fd = bpf_raw_tracepoint_open(NULL, bpf_program__fd(skel->progs.read_int));
	ASSERT_EQ(fd, -EINVAL, "typed");
	fd = bpf_raw_tracepoint_open(NULL, bpf_program__fd(skel->progs.untyped));
	ASSERT_EQ(fd, -EINVAL, "untyped");
	fd = bpf_raw_tracepoint_open("sys_enter", bpf_program__fd(skel->progs.untyped));
	ASSERT_EQ(fd, -EINVAL, "tracepoint");
}

/* A caller that does not know of bad_idx isn't written to. */
static void test_short_attr(void)
{
	const int old = offsetof(union bpf_attr, link_create.tracing_multi.bad_idx);
	const int covered = offsetofend(union bpf_attr, link_create.tracing_multi.bad_idx);
	struct multi_targets t = good;
	union bpf_attr attr;
	int fd;

	good_attr(&attr);
	fd = multi_create_size(&attr, old);
	if (ASSERT_OK_FD(fd, "good targets"))
		close(fd);

	t.ids[1] = 0;
	multi_attr(&attr, skel->progs.untyped, &t);
	ASSERT_EQ(multi_create_size(&attr, old), -EINVAL, "bad target");
	ASSERT_EQ(TM(attr, bad_idx), MULTI_NO_IDX, "not written");
	ASSERT_EQ(multi_create_size(&attr, covered - 1), -EINVAL, "partly covered");
	ASSERT_EQ(TM(attr, bad_idx), MULTI_NO_IDX, "not written in part");
	ASSERT_EQ(multi_create_size(&attr, covered), -EINVAL, "covered");
	ASSERT_EQ(TM(attr, bad_idx), 1, "written");

	/* too short for the fds that the flag promises, or for the count */
	good_attr(&attr);
	attr.link_create.flags = BPF_F_TRACING_MULTI_TGT_FDS;
	ASSERT_EQ(multi_create_size(&attr, covered), -EINVAL, "no tgt_fds");
	good_attr(&attr);
	ASSERT_EQ(multi_create_size(&attr, offsetof(union bpf_attr,
						    link_create.tracing_multi.cnt)),
		  -EINVAL, "no cnt");
}

/* A call from within the kernel has nowhere to write bad_idx to. */
static void test_kernel_attr(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct tracing_multi_syscall *sys;
	int prog_fd;

	sys = tracing_multi_syscall__open_and_load();
	if (!ASSERT_OK_PTR(sys, "open_and_load"))
		return;
	prog_fd = bpf_program__fd(sys->progs.create_link);
	sys->bss->prog_fd = bpf_program__fd(skel->progs.untyped);
	sys->bss->attach_type = BPF_TRACE_FENTRY_MULTI;
	memcpy(sys->bss->btf_ids, good.ids, sizeof(sys->bss->btf_ids));
	ASSERT_OK(bpf_prog_test_run_opts(prog_fd, &opts), "run");
	if (ASSERT_OK_FD(sys->bss->link_fd, "good targets"))
		close(sys->bss->link_fd);
	sys->bss->btf_ids[1] = 0;
	ASSERT_OK(bpf_prog_test_run_opts(prog_fd, &opts), "run again");
	ASSERT_EQ(sys->bss->link_fd, -EINVAL, "bad target");
	ASSERT_EQ(sys->bss->bad_idx, MULTI_NO_IDX, "not written");
	tracing_multi_syscall__destroy(sys);
}

static void skip_attached(const struct bpf_program *prog, const struct multi_targets *t,
			  int cnt, const char *name)
{
	union bpf_attr attr;
	int fd;

	skip_attr(&attr, prog, t);
	fd = multi_create(&attr);
	if (!ASSERT_OK_FD(fd, name))
		return;
	ASSERT_EQ(multi_link_count(fd), cnt, name);
	/* which ones were left out is not told */
	ASSERT_EQ(TM(attr, bad_idx), MULTI_NO_IDX, "bad_idx untouched");
	close(fd);
}

static void test_skip_invalid(void)
{
	struct multi_targets t = good;
	union bpf_attr attr;

	if (!multi_add(&t, "migrate_disable") ||
	    !multi_add(&t, "__bpf_tramp_enter") ||
	    !multi_add(&t, "bpf_testmod:bpf_testmod_multi_1") ||
	    !multi_add(&t, "bpf_fentry_test7"))
		return;
	t.ids[t.cnt++] = 0;
	t.ids[t.cnt++] = good.ids[0];

	/* 3 good ones, denied, not traceable, good, good if untyped, none, again */
	skip_attached(skel->progs.untyped, &t, 5, "untyped");
	skip_attached(skel->progs.read_int, &t, 4, "typed");

	/* none left: the first one's error */
	if (!multi_set(&t, "__bpf_tramp_enter", "migrate_disable", NULL))
		return;
	skip_attr(&attr, skel->progs.untyped, &t);
	multi_create_refused(&attr, -ENOENT, 0, "none left");
}

/* Left out when it comes to attaching: the program is there already. */
static void test_skip_busy(void)
{
	struct multi_targets t = good;
	union bpf_attr attr;

	if (multi_link(skel->progs.untyped, &good, "attach") < 0 ||
	    !multi_add(&t, "bpf_fentry_test6"))
		return;
	multi_refused(skel->progs.untyped, &t, -EBUSY, 0, "busy");
	skip_attached(skel->progs.untyped, &t, 1, "the rest");
	skip_attr(&attr, skel->progs.untyped, &good);
	multi_create_refused(&attr, -EBUSY, 0, "none left");
}

/* The flag is for targets, not for mistakes in the call. */
static void test_skip_bad_fd(void)
{
	struct multi_targets t = good;
	union bpf_attr attr;

	t.fds[2] = 1 << 20;
	skip_attr(&attr, skel->progs.untyped, &t);
	multi_create_refused(&attr, -EBADF, 2, "bad fd");
}

/* Not the first of all bad targets, but the first one of the first step that refuses any.
 * There is one step for the fds of all targets, one for what functions they are, and one
 * for what is attached to them already. This can't be done target by target: the names of
 * one object are looked up together, and many functions are patched together.
 */
static void test_bad_idx_order(void)
{
	struct multi_targets t = {};

	if (multi_link(skel->progs.untyped, &good, "attach") < 0)
		return;
	t.ids[t.cnt++] = good.ids[0];
	if (!multi_add(&t, "migrate_disable"))
		return;
	multi_refused(skel->progs.untyped, &t, -EINVAL, 1, "busy, denied");
	t.ids[0] = t.ids[1];
	t.ids[1] = good.ids[0];
	multi_refused(skel->progs.untyped, &t, -EINVAL, 0, "denied, busy");
	t.fds[1] = 1 << 20;
	multi_refused(skel->progs.untyped, &t, -EBADF, 1, "denied, bad fd");
	t.ids[0] = good.ids[1];
	multi_refused(skel->progs.untyped, &t, -EBADF, 1, "busy, bad fd");
	t.fds[1] = 0;
	multi_refused(skel->progs.untyped, &t, -EBUSY, 0, "busy, busy");
}

static bool setup(void)
{
	if (!multi_init())
		return false;
	skel = tracing_multi_match__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load") &&
	       multi_set(&good, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3",
			 NULL);
}

static void teardown(void)
{
	tracing_multi_match__destroy(skel);
	skel = NULL;
	multi_fini();
}

static const struct multi_subtest subtests[] = {
	{ "no_targets", test_no_targets },
	{ "unknown_flag", test_unknown_flag },
	{ "nonzero_bytes", test_nonzero_bytes },
	{ "nonzero_tail", test_nonzero_tail },
	{ "target_fd", test_target_fd },
	{ "too_many", test_too_many },
	{ "bad_pointers", test_bad_pointers },
	{ "tgt_fds_flag", test_tgt_fds_flag },
	{ "bad_fd", test_bad_fd },
	{ "vmlinux_fd", test_vmlinux_fd },
	{ "duplicate", test_duplicate },
	{ "alias", test_alias },
	{ "bad_ids", test_bad_ids },
	{ "denied", test_denied },
	{ "denied_rcu", test_denied_rcu },
	{ "noreturn_fentry", test_noreturn_fentry },
	{ "may_not_return", test_may_not_return },
	{ "not_traceable", test_not_traceable },
	{ "freed_code", test_freed_code },
	{ "prog_without_btf", test_prog_without_btf },
	{ "attach_types", test_attach_types },
	{ "prog_types", test_prog_types },
	{ "refused_loads", test_refused_loads },
	{ "raw_tracepoint_open", test_raw_tracepoint_open },
	{ "short_attr", test_short_attr },
	{ "kernel_attr", test_kernel_attr },
	{ "skip_invalid", test_skip_invalid },
	{ "skip_busy", test_skip_busy },
	{ "skip_bad_fd", test_skip_bad_fd },
	{ "bad_idx_order", test_bad_idx_order },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
};

void serial_test_tracing_multi_link_bad(void)
{
	multi_run_suite(&suite);
}
