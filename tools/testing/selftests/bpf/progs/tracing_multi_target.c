// SPDX-License-Identifier: GPL-2.0
/* BPF programs that tracing multi-links attach to. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} jmp_table SEC(".maps");

int sink;

__noinline int target_sum(int a, long b)
{
	barrier_var(a);
	return a + b;
}

__noinline int target_ctx_sub(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("tc")
int target_tc(struct __sk_buff *skb)
{
	sink = target_ctx_sub(skb);
	return target_sum(1, 2);
}

__noinline __u64 target_wide(int a)
{
	barrier_var(a);
	return 5ULL << 32 | a;
}

SEC("tc")
int target_tc_wide(struct __sk_buff *skb)
{
	return target_wide(1) >> 32;
}

SEC("tc")
int target_tc_other(struct __sk_buff *skb)
{
	return 0;
}

SEC("xdp")
int target_xdp(struct xdp_md *xdp)
{
	return XDP_PASS;
}

/* A tc program takes one argument: BTF that can't be used. */
SEC("tc")
int target_conservative(struct __sk_buff *skb, int odd)
{
	return 0;
}

SEC("tc")
int target_tail_call(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jmp_table, 0);
	return 7;
}

SEC("tc")
int target_tail_called(struct __sk_buff *skb)
{
	return 8;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(target_tracing)
{
	return 0;
}
