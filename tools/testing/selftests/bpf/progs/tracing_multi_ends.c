// SPDX-License-Identifier: GPL-2.0
/* Where tasks are when they end. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "tracing_multi_ends.h"

char _license[] SEC("license") = "GPL";

__u64 stacks[ENDS_MAX][ENDS_DEPTH];
__u32 cnt;

/* In do_exit(). At its entry, s390 could not follow the stack beyond it. */
SEC("tp_btf/sched_process_exit")
int task_ends(void *ctx)
{
	__u32 i = __sync_fetch_and_add(&cnt, 1);

	if (i < ENDS_MAX)
		bpf_get_stack(ctx, stacks[i], sizeof(stacks[i]), 0);
	return 0;
}

SEC("fentry.multi")
int any_entry(void *ctx)
{
	return 0;
}

SEC("fexit.multi")
int any_exit(void *ctx)
{
	return 0;
}
