// SPDX-License-Identifier: GPL-2.0
/* Functions whose arguments or return values not every architecture's trampolines can
 * handle: each is either refused, or all its slots are seen as they are passed, and
 * neither it nor its caller notices. That is the table of the limits in
 * Documentation/bpf/prog_tracing_multi.rst.
 */
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "progs/tracing_multi.h"
#include "tracing_multi_link.skel.h"
#include "tracing_multi_target.skel.h"

#define X86	1
#define ARM64	2
#define RISCV	4
#define S390	8
#define ALL	(X86 | ARM64 | RISCV | S390)

#if defined(__x86_64__)
#define THIS_ARCH X86
#elif defined(__aarch64__)
#define THIS_ARCH ARM64
#elif defined(__riscv)
#define THIS_ARCH RISCV
#elif defined(__s390x__)
#define THIS_ARCH S390
#else
#define THIS_ARCH 0
#endif

#define ENOTSUPP 524

/* The low four bits of each slot, the first one is the last digit; and the
 * architectures that serve the function with fentry, and with fexit and fmod_ret; and
 * whether it allows the latter; and the error, where no architecture serves it and that
 * isn't EOPNOTSUPP.
 */
static const struct limit {
	const char *name;
	__u64 nr_slots;
	__u64 slots;
	int entry;
	int leave;
	bool modify;
	int err;
} limits[] = {
	{ "bpf_testmod_limit_struct_12", 12, 0xcba987654321, ALL, ALL },
	{ "bpf_testmod_limit_struct_13", 13, 0xdcba987654321, ALL & ~X86, ALL & ~X86, true },
	/* the first 16 of its slots */
	{ "bpf_testmod_limit_struct_24", 24, 0xcbcbcbcbcbcbcbcb, ALL & ~X86, ALL & ~X86 },
	{ "bpf_testmod_limit_struct_at_7", 10, 0xa987654321, ALL, ALL },
	{ "bpf_testmod_limit_struct_at_5", 8, 0x87654321, ALL, ALL },
	{ "bpf_testmod_limit_bytes_3", 2, 0x21, ALL & ~S390, ALL & ~S390, true },
	{ "bpf_testmod_limit_bytes_5", 2, 0x21, ALL & ~S390, ALL & ~S390 },
	{ "bpf_testmod_limit_bytes_6", 2, 0x21, ALL & ~S390, ALL & ~S390 },
	{ "bpf_testmod_limit_bytes_7", 2, 0x21, ALL & ~S390, ALL & ~S390 },
	{ "bpf_testmod_limit_int128_at_2", 5, 0x54321, ALL, ALL },
	{ "bpf_testmod_limit_int128_at_1", 4, 0x4321, ALL, ALL },
	{ "bpf_testmod_limit_struct_int128_at_1", 4, 0x4321, ALL, ALL },
	{ "bpf_testmod_limit_union_int128_at_1", 4, 0x4321, ALL, ALL },
	{ "bpf_testmod_limit_packed_at_1", 4, 0x4321, ALL & ~X86, ALL & ~X86, true },
	{ "bpf_testmod_limit_packed_5_at_1", 3, 0x321, ARM64 | RISCV, ARM64 | RISCV },
	{ "bpf_testmod_limit_packed_at_7", 10, 0xa987654321, ALL, ALL },
	{ "bpf_testmod_limit_int128_at_7", 10, 0xa987654321, ALL & ~X86, ALL & ~X86, true },
	{ "bpf_testmod_limit_int128_at_8", 11, 0xba987654321, ALL, ALL, true },
	{ "bpf_testmod_limit_int128_at_9", 11, 0xba987654321, ARM64 | S390, ARM64 | S390 },
	{ "bpf_testmod_limit_ret_int128", 1, 0x1, ALL & ~S390, 0 },
	{ "bpf_testmod_limit_ret_struct", .err = -EINVAL },
	{ "bpf_testmod_limit_large", .err = -EINVAL },
	{ "bpf_testmod_limit_union", .err = -EINVAL },
	{ "bpf_testmod_limit_variadic", .err = -EINVAL },
	{ "bpf_testmod_limit_args_13", .err = -EINVAL },
};

static struct tracing_multi_link *skel;
static struct ksyms *ksyms;

/* The function, behind one that any such program can be attached to. */
static bool set_target(const struct limit *limit, const char *first, struct multi_targets *t)
{
	char spec[96];

	snprintf(spec, sizeof(spec), "bpf_testmod:%s", limit->name);
	skel->bss->addrs[0] = ksym_get_addr_local(ksyms, "bpf_testmod_limit_ok");
	skel->bss->addrs[1] = ksym_get_addr_local(ksyms, limit->name);
	return ASSERT_NEQ(skel->bss->addrs[0], 0, "bpf_testmod_limit_ok") &&
	       ASSERT_NEQ(skel->bss->addrs[1], 0, limit->name) &&
	       multi_set(t, first, spec, NULL);
}

static void check_seen(const struct multi_seen *seen, const struct limit *limit)
{
	ASSERT_EQ(seen[0].hits, 1, "called last");
	ASSERT_EQ(seen[0].args, 1, "all went well");
	ASSERT_EQ(seen[1].hits, 1, limit->name);
	ASSERT_EQ(seen[1].nr_args, limit->nr_slots, "slots");
	ASSERT_EQ(seen[1].args, limit->slots, "values");
}

/* A single link to the function: its fd, or the error of loading or of attaching */
static int attach_single(const struct limit *limit, enum bpf_attach_type type)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	char spec[96];
	int prog_fd, fd;

	snprintf(spec, sizeof(spec), "bpf_testmod:%s", limit->name);
	opts.attach_btf_id = multi_func_id(spec);
	opts.attach_btf_obj_fd = multi_module_fd("bpf_testmod");
	prog_fd = multi_load_empty(BPF_PROG_TYPE_TRACING, &opts);
	if (prog_fd < 0)
		return prog_fd;
	fd = bpf_link_create(prog_fd, 0, type, NULL);
	close(prog_fd);
	return fd;
}

/* A single link is refused with the same error, or isn't refused. */
static void test_single(const struct limit *limit, enum bpf_attach_type type, int err)
{
	int fd = attach_single(limit, type);

	ASSERT_EQ(fd < 0 ? fd : 0, err, "single link");
	if (fd >= 0)
		close(fd);
}

/* Refused, by its index; or left out if asked to */
static void test_refused(const struct limit *limit, const struct bpf_program *prog,
			 const struct multi_targets *t, int err)
{
	union bpf_attr attr;
	int fd;

	multi_refused(prog, t, err, 1, limit->name);
	multi_attr(&attr, prog, t);
	attr.link_create.flags |= BPF_F_TRACING_MULTI_SKIP_INVALID;
	fd = multi_create(&attr);
	if (!ASSERT_OK_FD(fd, "leave out"))
		return;
	ASSERT_EQ(multi_link_count(fd), t->cnt - 1, "targets");
	close(fd);
}

static void test_prog(const struct limit *limit, const struct bpf_program *prog, int archs,
		      const struct multi_seen *seen, enum bpf_attach_type single_type)
{
	/* what no architecture can do is refused before one is asked */
	int err = archs ? -ENOTSUPP : limit->err ?: -EOPNOTSUPP;
	struct multi_targets t;
	int fd;

	/* called last, and told whether all went well */
	if (!set_target(limit, "bpf_testmod:bpf_testmod_limit_ok", &t))
		return;
	if (!(archs & THIS_ARCH)) {
		test_refused(limit, prog, &t, err);
		test_single(limit, single_type, err);
		return;
	}
	test_single(limit, single_type, 0);
	fd = multi_attach(prog, &t);
	if (!ASSERT_OK_FD(fd, limit->name))
		return;
	ASSERT_OK(trigger_module_test_read(1), "trigger_module_test_read");
	check_seen(seen, limit);
	close(fd);
}

/* The same, with a fmod_ret program, which lets the function run */
static void test_modify_prog(const struct limit *limit)
{
	struct multi_seen *seen = &skel->bss->at_modify[1];
	struct multi_targets t;
	int fd;

	if (!set_target(limit, "bpf_testmod:bpf_testmod_limit_modify", &t))
		return;
	if (!(limit->leave & THIS_ARCH)) {
		test_refused(limit, skel->progs.modify, &t, -ENOTSUPP);
		test_single(limit, BPF_MODIFY_RETURN, -ENOTSUPP);
		return;
	}
	test_single(limit, BPF_MODIFY_RETURN, 0);
	memset(seen, 0, sizeof(*seen));
	fd = multi_attach(skel->progs.modify, &t);
	if (!ASSERT_OK_FD(fd, limit->name))
		return;
	ASSERT_OK(trigger_module_test_read(1), "trigger_module_test_read");
	ASSERT_EQ(seen->hits, 1, limit->name);
	ASSERT_EQ(seen->nr_args, limit->nr_slots, "slots");
	ASSERT_EQ(seen->args, limit->slots, "values");
	close(fd);
}

static void test_limit(const struct limit *limit)
{
	memset(skel->bss->at_entry, 0, sizeof(skel->bss->at_entry));
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	test_prog(limit, skel->progs.entry, limit->entry, skel->bss->at_entry,
		  BPF_TRACE_FENTRY);
	test_prog(limit, skel->progs.leave, limit->leave, skel->bss->at_exit,
		  BPF_TRACE_FEXIT);
	if (limit->modify)
		test_modify_prog(limit);
}

#define NR_MULTI 13	/* bpf_testmod_multi_0 to _12 */

static bool add_at(struct multi_targets *t, const char *func, int idx)
{
	char spec[96];

	snprintf(spec, sizeof(spec), "bpf_testmod:%s", func);
	skel->bss->addrs[idx] = ksym_get_addr_local(ksyms, func);
	return ASSERT_NEQ(skel->bss->addrs[idx], 0, func) && multi_add(t, spec);
}

/* As many arguments as slots: those of bpf_testmod_multi_n are 1 to n. */
static struct limit multi_limit(int nr_slots, char *name, size_t size)
{
	snprintf(name, size, "bpf_testmod_multi_%d", nr_slots);
	return (struct limit) {
		.name = name,
		.nr_slots = nr_slots,
		.slots = 0xcba987654321 & ((1ULL << 4 * nr_slots) - 1),
		.entry = ALL,
		.leave = ALL,
	};
}

static void check_seen_at(const struct multi_seen *seen, const struct limit *limit, int archs)
{
	ASSERT_EQ(seen->hits, !!(archs & THIS_ARCH), limit->name);
	if (!(archs & THIS_ARCH))
		return;
	ASSERT_EQ(seen->nr_args, limit->nr_slots, limit->name);
	ASSERT_EQ(seen->args, limit->slots, limit->name);
}

/* One link of each type to all that can have it: images are shared by functions with as many
 * slots, but by those only whose slots are in the same places.
 */
static void test_together(void)
{
	struct multi_targets entry = {}, leave = {};
	struct limit all[ARRAY_SIZE(limits) + NR_MULTI];
	char names[NR_MULTI][32];
	int i, entry_fd, leave_fd;

	memcpy(all, limits, sizeof(limits));
	for (i = 0; i < NR_MULTI; i++)
		all[ARRAY_SIZE(limits) + i] = multi_limit(i, names[i], sizeof(names[i]));
	memset(skel->bss->addrs, 0, sizeof(skel->bss->addrs));
	memset(skel->bss->at_entry, 0, sizeof(skel->bss->at_entry));
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (((all[i].entry & THIS_ARCH) && !add_at(&entry, all[i].name, i)) ||
		    ((all[i].leave & THIS_ARCH) && !add_at(&leave, all[i].name, i)))
			return;
	}
	if (!add_at(&entry, "bpf_testmod_limit_ok", i) ||
	    !add_at(&leave, "bpf_testmod_limit_ok", i))
		return;
	entry_fd = multi_attach(skel->progs.entry, &entry);
	leave_fd = multi_attach(skel->progs.leave, &leave);
	if (ASSERT_OK_FD(entry_fd, "fentry") && ASSERT_OK_FD(leave_fd, "fexit")) {
		ASSERT_OK(trigger_module_test_read(1), "trigger_module_test_read");
		ASSERT_EQ(skel->bss->at_entry[i].args, 1, "all went well");
		ASSERT_EQ(skel->bss->at_exit[i].args, 1, "all went well");
		for (i = 0; i < ARRAY_SIZE(all); i++) {
			check_seen_at(&skel->bss->at_entry[i], &all[i], all[i].entry);
			check_seen_at(&skel->bss->at_exit[i], &all[i], all[i].leave);
		}
	}
	close(entry_fd);
	close(leave_fd);
}

/* All 64 bits of what a fmod_ret program returns count, also if 32 of them are 0. */
static void test_modify(__u64 val)
{
	struct multi_targets modify, leave;
	int fd, leave_fd;

	skel->bss->modify_wide = val;
	skel->bss->addrs[0] = ksym_get_addr_local(ksyms, "bpf_testmod_limit_modified");
	skel->bss->addrs[1] = ksym_get_addr_local(ksyms, "bpf_testmod_limit_modify");
	memset(skel->bss->at_exit, 0, sizeof(skel->bss->at_exit));
	if (!multi_set(&modify, "bpf_testmod:bpf_testmod_limit_modify", NULL) ||
	    !multi_set(&leave, "bpf_testmod:bpf_testmod_limit_modified",
		       "bpf_testmod:bpf_testmod_limit_modify", NULL))
		return;
	fd = multi_attach(skel->progs.modify_64, &modify);
	leave_fd = multi_attach(skel->progs.leave, &leave);
	if (ASSERT_OK_FD(fd, "fmod_ret") && ASSERT_OK_FD(leave_fd, "fexit")) {
		ASSERT_OK(trigger_module_test_read(1), "trigger_module_test_read");
		ASSERT_EQ(skel->bss->at_exit[1].ret, val, "what fexit sees");
		ASSERT_EQ(skel->bss->at_exit[0].hits, 1, "caller goes on");
		ASSERT_EQ(skel->bss->at_exit[0].ret, val, "what the caller got");
	}
	close(fd);
	close(leave_fd);
}

static void test_modify_64_bits(void)
{
	test_modify(1ULL << 32);
	test_modify(-1ULL >> 1);
	test_modify(-EPERM);
}

/* The same of a BPF program's function, which fexit sees and its caller gets */
static void test_program_64_bits(void)
{
	struct tracing_multi_target *target;
	struct multi_targets t = {};
	__u32 retval = 0;
	int fd = -1;

	target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(target, "open_and_load target") ||
	    !multi_add_prog(&t, bpf_program__fd(target->progs.target_tc_wide), "target_wide"))
		goto out;
	skel->bss->exit_ret = 0;
	fd = multi_attach(skel->progs.leave_ret, &t);
	if (!ASSERT_OK_FD(fd, "fexit"))
		goto out;
	multi_test_run_tc(target->progs.target_tc_wide, &retval);
	ASSERT_EQ(skel->bss->exit_ret, 5ULL << 32 | 1, "what fexit sees");
	ASSERT_EQ(retval, 5, "upper half that the caller got");
out:
	close(fd);
	tracing_multi_target__destroy(target);
}

void serial_test_tracing_multi_link_limits(void)
{
	int i;

	if (!env.has_testmod || !THIS_ARCH) {
		test__skip();
		return;
	}
	ksyms = load_kallsyms_local();
	skel = tracing_multi_link__open_and_load();
	if (!multi_init() || !ASSERT_OK_PTR(ksyms, "kallsyms") ||
	    !ASSERT_OK_PTR(skel, "open_and_load"))
		goto out;
	skel->bss->pid = getpid();
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		if (test__start_subtest(limits[i].name))
			test_limit(&limits[i]);
	}
	if (test__start_subtest("together"))
		test_together();
	if (test__start_subtest("modify_64_bits"))
		test_modify_64_bits();
	if (test__start_subtest("program_64_bits"))
		test_program_64_bits();
out:
	tracing_multi_link__destroy(skel);
	free_kallsyms_local(ksyms);
	skel = NULL;
	ksyms = NULL;
	multi_fini();
}
