// SPDX-License-Identifier: GPL-2.0
/* Programs whose sections say where they are attached. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int pid;
__u64 entry_hits, entry_sum, leave_hits, modify_hits, module_hits, list_hits, list_sum;
__u64 cookie_sum;

static __always_inline bool is_ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == pid;
}

SEC("fentry.multi/bpf_fentry_test*")
int BPF_PROG(glob_entry)
{
	if (is_ours()) {
		entry_hits++;
		cookie_sum += bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("fexit.multi/bpf_fentry_test?")
int BPF_PROG(glob_exit)
{
	leave_hits += is_ours();
	return 0;
}

SEC("fmod_ret.multi/bpf_modify_return_test,bpf_modify_return_test2")
int BPF_PROG(list_modify, int a)
{
	modify_hits += is_ours();
	return 0;
}

SEC("fentry.multi/bpf_testmod:bpf_testmod_multi_?")
int BPF_PROG(glob_module)
{
	module_hits += is_ours();
	return 0;
}

/* typed by the first one */
SEC("fentry.multi/bpf_fentry_test2,bpf_testmod:bpf_testmod_multi_2,bpf_fentry_test3")
int BPF_PROG(list_typed, int a, __u64 b)
{
	if (is_ours()) {
		list_hits++;
		list_sum += b;
	}
	return 0;
}

/* no list: attached by hand */
SEC("fentry.multi")
int BPF_PROG(by_hand)
{
	if (is_ours()) {
		entry_hits++;
		cookie_sum += bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("fentry.multi.s")
int BPF_PROG(by_hand_sleepable)
{
	entry_hits += is_ours();
	return 0;
}

/* a single one, which is loaded for a module's function */
SEC("?fentry/bpf_testmod_test_read")
int BPF_PROG(in_module)
{
	return 0;
}

/* never attached: running it calls bpf_fentry_test* */
SEC("?fentry/bpf_fentry_test1")
int BPF_PROG(run_fentry_tests)
{
	return 0;
}

SEC("?fmod_ret/bpf_modify_return_test")
int BPF_PROG(run_modify_tests)
{
	return 0;
}
