// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/* of the traced function, in one run of a program that calls it */
const volatile int calls = 1000;

/* calls of the programs that trace; they run on one CPU, and a few may get lost */
__u64 hits;

/* what the last run of a program that calls took */
__u64 duration;

/* keeps multi_cookie from being optimized */
__u64 cookies;

SEC("?fentry/bpf_get_numa_node_id")
int single_entry(void *ctx)
{
	hits++;
	return 0;
}

SEC("?fexit/bpf_get_numa_node_id")
int single_exit(void *ctx)
{
	hits++;
	return 0;
}

SEC("?kprobe.multi")
int kprobe_entry(void *ctx)
{
	hits++;
	return 0;
}

SEC("?kretprobe.multi")
int kprobe_exit(void *ctx)
{
	hits++;
	return 0;
}

SEC("?fentry.multi")
int multi_entry(void *ctx)
{
	hits++;
	return 0;
}

SEC("?fentry.multi")
int multi_second(void *ctx)
{
	hits++;
	return 0;
}

SEC("?fentry.multi")
int multi_cookie(void *ctx)
{
	hits++;
	cookies += bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("?fexit.multi")
int multi_exit(void *ctx)
{
	hits++;
	return 0;
}

/* returns 0: the function is called as ever */
SEC("?fmod_ret.multi")
int multi_modify(void *ctx)
{
	hits++;
	return 0;
}

/* The time is taken in here, so that the way to this program and back, which may
 * be traced as well, doesn't count.
 */
SEC("raw_tp")
int call_helper(void *ctx)
{
	__u64 start = bpf_ktime_get_ns();
	int i;

	for (i = 0; i < calls; i++)
		(void)bpf_get_numa_node_id();

	duration = bpf_ktime_get_ns() - start;
	return 0;
}

extern int bpf_modify_return_test_tp(int nonce) __ksym;

SEC("raw_tp")
int call_kfunc(void *ctx)
{
	__u64 start = bpf_ktime_get_ns();
	int i;

	for (i = 0; i < calls; i++)
		(void)bpf_modify_return_test_tp(0);

	duration = bpf_ktime_get_ns() - start;
	return 0;
}
