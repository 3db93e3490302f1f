// SPDX-License-Identifier: GPL-2.0
/* Programs that replace each other: each counts its own calls, by cookie. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define MAX_COUNTED 16
#define NR_PROGS 2

int pid;
__u64 entry_hits[NR_PROGS][MAX_COUNTED];
__u64 exit_hits[NR_PROGS][MAX_COUNTED];
__u64 modify_hits[NR_PROGS][MAX_COUNTED];
__u64 typed_sum;

static __always_inline int count(void *ctx, __u64 *hits)
{
	if (bpf_get_current_pid_tgid() >> 32 == pid)
		__sync_fetch_and_add(&hits[bpf_get_attach_cookie(ctx) % MAX_COUNTED], 1);
	return 0;
}

SEC("fentry.multi")
int entry_0(void *ctx)
{
	return count(ctx, entry_hits[0]);
}

SEC("fentry.multi")
int entry_1(void *ctx)
{
	return count(ctx, entry_hits[1]);
}

SEC("fexit.multi")
int exit_0(void *ctx)
{
	return count(ctx, exit_hits[0]);
}

SEC("fexit.multi")
int exit_1(void *ctx)
{
	return count(ctx, exit_hits[1]);
}

SEC("fmod_ret.multi")
int modify_0(void *ctx)
{
	return count(ctx, modify_hits[0]);
}

SEC("fmod_ret.multi")
int modify_1(void *ctx)
{
	return count(ctx, modify_hits[1]);
}

/* what can't replace entry_0 */

SEC("fentry.multi.s")
int entry_sleepable(void *ctx)
{
	return count(ctx, entry_hits[1]);
}

SEC("fentry.multi/bpf_fentry_test2")
int BPF_PROG(entry_typed, int a, __u64 b)
{
	typed_sum = a + b;
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int entry_single(void *ctx)
{
	return 0;
}

SEC("raw_tp/sys_enter")
int no_tracing(void *ctx)
{
	return 0;
}

/* never attached: running these calls bpf_fentry_test* and bpf_modify_return_test* */

SEC("fentry/bpf_fentry_test1")
int run_fentry_tests(void *ctx)
{
	return 0;
}

SEC("fmod_ret/bpf_modify_return_test")
int BPF_PROG(run_modify_tests)
{
	return 0;
}
