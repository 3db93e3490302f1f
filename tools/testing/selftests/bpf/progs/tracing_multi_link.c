// SPDX-License-Identifier: GPL-2.0
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "tracing_multi.h"

char _license[] SEC("license") = "GPL";

#define MAX_TARGETS 40
#define MAX_SLOTS 24
#define SLOTS_SEEN 16

int pid;
int modify_ret;
__u64 modify_wide;
/* what the last call returned */
__u64 exit_ret;
__u64 user_ptr;
/* the targets' addresses; the arrays below have the same order */
__u64 addrs[MAX_TARGETS];
struct multi_seen at_entry[MAX_TARGETS];
struct multi_seen at_exit[MAX_TARGETS];
struct multi_seen at_modify[MAX_TARGETS];
/* calls of functions that are not in addrs */
__u64 strays;
__u64 single_entry_hits, single_exit_hits, single_modify_hits, lsm_hits;
__u64 copied;
/* a module's loading waits until module_go; and what then has waited */
int module_go;
__u64 modules_waiting, modules_waited;

static __always_inline bool is_ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == pid;
}

static __always_inline struct multi_seen *find(void *ctx, struct multi_seen *all)
{
	__u64 ip = bpf_get_func_ip(ctx);
	int i;

	if (!is_ours())
		return NULL;
	for (i = 0; i < MAX_TARGETS; i++) {
		if (addrs[i] == ip)
			return &all[i];
	}
	strays++;
	return NULL;
}

static __always_inline void note(void *ctx, struct multi_seen *all)
{
	struct multi_seen *seen = find(ctx, all);
	__u64 arg, args = 0;
	int i;

	if (!seen)
		return;
	for (i = 0; i < MAX_SLOTS; i++) {
		if (bpf_get_func_arg(ctx, i, &arg))
			break;
		if (i < SLOTS_SEEN)
			args |= (arg & 0xf) << (4 * i);
	}
	/* one slot more or less than told shows as a wrong number */
	seen->nr_args = i == bpf_get_func_arg_cnt(ctx) ? i : -1;
	seen->args = args;
	seen->ret_err = bpf_get_func_ret(ctx, &seen->ret);
	seen->cookie = bpf_get_attach_cookie(ctx);
	seen->hits++;
}

static __always_inline void note_typed(void *ctx, struct multi_seen *all, __u64 args, __u64 ret)
{
	struct multi_seen *seen = find(ctx, all);

	if (!seen)
		return;
	seen->args = args;
	seen->ret = ret;
	seen->cookie = bpf_get_attach_cookie(ctx);
	seen->hits++;
}

static __always_inline void copy_user(void)
{
	__u64 val = 0;

	if (is_ours() && !bpf_copy_from_user(&val, sizeof(val), (void *)user_ptr))
		copied += val;
}

SEC("fentry.multi")
int BPF_PROG(entry)
{
	note(ctx, at_entry);
	return 0;
}

SEC("fexit.multi")
int BPF_PROG(leave)
{
	note(ctx, at_exit);
	return 0;
}

SEC("fmod_ret.multi")
int BPF_PROG(modify)
{
	note(ctx, at_modify);
	return is_ours() ? modify_ret : 0;
}

SEC("fmod_ret.multi")
__u64 BPF_PROG(modify_64)
{
	return is_ours() ? modify_wide : 0;
}

SEC("fexit.multi")
int BPF_PROG(leave_ret)
{
	bpf_get_func_ret(ctx, &exit_ret);
	return 0;
}

SEC("fentry.multi.s")
int BPF_PROG(entry_sleepable)
{
	copy_user();
	note(ctx, at_entry);
	return 0;
}

SEC("fexit.multi.s")
int BPF_PROG(leave_sleepable)
{
	copy_user();
	note(ctx, at_exit);
	return 0;
}

SEC("fmod_ret.multi.s")
int BPF_PROG(modify_sleepable)
{
	copy_user();
	note(ctx, at_modify);
	return 0;
}

SEC("fentry.multi/bpf_fentry_test2")
int BPF_PROG(entry_typed, int a, __u64 b)
{
	note_typed(ctx, at_entry, (a & 0xf) | (b & 0xf) << 4, 0);
	return 0;
}

SEC("fexit.multi/bpf_fentry_test2")
int BPF_PROG(leave_typed, int a, __u64 b, int ret)
{
	note_typed(ctx, at_exit, (a & 0xf) | (b & 0xf) << 4, ret);
	return 0;
}

SEC("fmod_ret.multi/bpf_modify_return_test")
int BPF_PROG(modify_typed, int a, int *b, int ret)
{
	note_typed(ctx, at_modify, a, ret);
	return is_ours() ? modify_ret : 0;
}

SEC("fentry.multi/bpf_testmod:bpf_testmod_multi_12")
int BPF_PROG(entry_typed_12, long a, long b, long c, long d, long e, long f,
	     long g, long h, long i, long j, long k, long l)
{
	note_typed(ctx, at_entry, a | b << 4 | c << 8 | d << 12 | e << 16 |
		   f << 20 | g << 24 | h << 28 | i << 32 | j << 36 |
		   k << 40 | l << 44, 0);
	return 0;
}

/* (long, struct of two longs, long): the struct is in slots 1 and 2 */
SEC("fexit.multi/bpf_testmod:bpf_testmod_multi_struct")
int leave_typed_struct(unsigned long long *ctx)
{
	note_typed(ctx, at_exit, ctx[0] | ctx[1] << 4 | ctx[2] << 8 | ctx[3] << 12,
		   ctx[4]);
	return 0;
}

extern void bpf_kfunc_common_test(void) __ksym;

/* attached to what it calls, too */
SEC("fentry.multi")
int BPF_PROG(recurse)
{
	if (is_ours())
		bpf_kfunc_common_test();
	return 0;
}

SEC("fentry/bpf_modify_return_test")
int BPF_PROG(single_entry)
{
	single_entry_hits += is_ours();
	return 0;
}

SEC("fexit/bpf_modify_return_test")
int BPF_PROG(single_exit)
{
	single_exit_hits += is_ours();
	return 0;
}

SEC("fmod_ret/bpf_modify_return_test")
int BPF_PROG(single_modify)
{
	single_modify_hits += is_ours();
	return 0;
}

SEC("lsm/task_getpgid")
int BPF_PROG(single_lsm, struct task_struct *p, int ret)
{
	lsm_hits += is_ours();
	return ret;
}

/* never attached: running these calls bpf_fentry_test* and bpf_modify_return_test* */
SEC("fentry/bpf_fentry_test1")
int BPF_PROG(run_fentry_tests)
{
	return 0;
}

SEC("fmod_ret/bpf_modify_return_test")
int BPF_PROG(run_modify_tests)
{
	return 0;
}

#define WAIT_STEPS (1 << 20)
#define WAIT_ROUNDS 64

static int wait_step(__u32 idx, void *ctx)
{
	return *(volatile int *)&module_go != 0;
}

static int wait_round(__u32 idx, void *ctx)
{
	return bpf_loop(WAIT_STEPS, wait_step, NULL, 0) < WAIT_STEPS;
}

/* Called when a module is live already, and its __init code is still there */
SEC("?fentry/async_synchronize_full")
int module_wait(void *ctx)
{
	if (!is_ours())
		return 0;
	__sync_fetch_and_add(&modules_waiting, 1);
	bpf_loop(WAIT_ROUNDS, wait_round, NULL, 0);
	__sync_fetch_and_add(&modules_waited, 1);
	return 0;
}
