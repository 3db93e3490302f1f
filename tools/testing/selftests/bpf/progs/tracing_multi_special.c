// SPDX-License-Identifier: GPL-2.0
/* Special BPF programs that tracing multi-links attach to, or must not. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "bpf_misc.h"

char _license[] SEC("license") = "GPL";

__noinline int special_exception_cb(u64 cookie)
{
	return cookie + 5;
}

SEC("?tc")
__exception_cb(special_exception_cb)
int special_throw(struct __sk_buff *skb)
{
	bpf_throw(16);
	return 0;
}

__noinline int special_thrower(struct __sk_buff *skb)
{
	bpf_throw(16);
	return 0;
}

SEC("?tc")
__exception_cb(special_exception_cb)
int special_throw_deep(struct __sk_buff *skb)
{
	return special_thrower(skb) + 1;
}

/* for target_sum() in tracing_multi_target.c */
SEC("?freplace")
int special_sum(int a, long b)
{
	return a + b + 10;
}

/* An argument of 16 bytes takes two registers, so that skb is in the third one. It is
 * passed in the second one: there it is for those who count one register an argument.
 */
__noinline int special_wide_arg(__int128 a, struct __sk_buff *skb)
{
	return 3;
}

static __noinline __used int special_static_wide_arg(__int128 a, struct __sk_buff *skb)
{
	return 3;
}

SEC("?tc")
__naked int special_wide(void)
{
	asm volatile("r2 = r1; r1 = 1; call special_wide_arg; exit;" ::: __clobber_all);
}

SEC("?tc")
__naked int special_static_wide(void)
{
	asm volatile("r2 = r1; r1 = 1; call special_static_wide_arg; exit;" ::: __clobber_all);
}

SEC("?struct_ops/test_1")
int special_test_1(unsigned long long *ctx)
{
	return 23;
}

SEC(".struct_ops")
struct bpf_dummy_ops special_ops = {
	.test_1 = (void *)special_test_1,
};
