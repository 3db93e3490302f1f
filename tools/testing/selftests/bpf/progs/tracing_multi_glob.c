// SPDX-License-Identifier: GPL-2.0
/* Programs whose sections have exclusions, and globs for modules. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int pid;
__u64 but_one_hits, everywhere_hits, typed_hits, typed_sum, modify_hits;

static __always_inline bool is_ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == pid;
}

SEC("fentry.multi/!bpf_fentry_test1,bpf_fentry_test?")
int BPF_PROG(but_one)
{
	but_one_hits += is_ours();
	return 0;
}

SEC("fentry.multi.s/*:bpf_fentry_test1,*:bpf_testmod_test_read")
int BPF_PROG(sleepable)
{
	everywhere_hits += is_ours();
	return 0;
}

SEC("fexit.multi/*:bpf_fentry_test1,b*_testmod:bpf_testmod_multi_1?")
int BPF_PROG(everywhere)
{
	everywhere_hits += is_ours();
	return 0;
}

/* typed by the first one that isn't excluded */
SEC("fentry.multi/!bpf_fentry_test1,bpf_fentry_test2,!bpf_fentry_test3,bpf_fentry_test?")
int BPF_PROG(typed, int a, __u64 b)
{
	if (is_ours()) {
		typed_hits++;
		typed_sum += b;
	}
	return 0;
}

/* only few functions let their return value be modified */
SEC("fmod_ret.multi/bpf_modify_return_test*,bpf_fentry_test*")
int BPF_PROG(modify)
{
	modify_hits += is_ours();
	return 0;
}

/* no list: attached by hand */
SEC("fentry.multi")
int BPF_PROG(entry)
{
	return 0;
}

SEC("fexit.multi")
int BPF_PROG(leave)
{
	return 0;
}

/* running it calls bpf_fentry_test* */
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
