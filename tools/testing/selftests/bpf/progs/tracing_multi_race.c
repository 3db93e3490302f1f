// SPDX-License-Identifier: GPL-2.0
/* Programs that count calls, and others that come and go on the same functions. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define MAX_COUNTED 16

#define NR_CALLERS 2

/* who calls the functions */
int tids[NR_CALLERS];
/* by caller and cookie */
__u64 entry_hits[NR_CALLERS][MAX_COUNTED], exit_hits[NR_CALLERS][MAX_COUNTED];
__u64 updated_hits[2][NR_CALLERS][MAX_COUNTED];
/* by program */
__u64 toggled_entry_hits, toggled_exit_hits;
/* of the module's function, and with a cookie that is none of the link's */
__u64 module_hits, module_strays;
__u64 single_entry_hits, single_exit_hits, lsm_hits, kprobe_hits;

static __always_inline int count_hit(__u64 *hits)
{
	__u32 tid = bpf_get_current_pid_tgid();

	if (tid == tids[0] || tid == tids[1])
		__sync_fetch_and_add(hits, 1);
	return 0;
}

static __always_inline int count(void *ctx, __u64 (*hits)[MAX_COUNTED])
{
	__u64 cookie = bpf_get_attach_cookie(ctx) % MAX_COUNTED;
	__u32 tid = bpf_get_current_pid_tgid();

	return count_hit(&hits[tid == tids[1]][cookie]);
}

/* what stays */
SEC("fentry.multi")
int count_entry(void *ctx)
{
	return count(ctx, entry_hits);
}

SEC("fexit.multi")
int count_exit(void *ctx)
{
	return count(ctx, exit_hits);
}

/* what takes turns in one link that stays */
SEC("fentry.multi")
int updated_first(void *ctx)
{
	return count(ctx, updated_hits[0]);
}

SEC("fentry.multi")
int updated_second(void *ctx)
{
	return count(ctx, updated_hits[1]);
}

/* what comes and goes */
SEC("fentry.multi")
int toggled_entry(void *ctx)
{
	return count_hit(&toggled_entry_hits);
}

SEC("fexit.multi")
int toggled_exit(void *ctx)
{
	return count_hit(&toggled_exit_hits);
}

#define MODULE_COOKIE 0x100
#define NR_MODULE_TARGETS 7

/* called for whoever calls */
SEC("fentry.multi")
int toggled_module(void *ctx)
{
	__u64 i = bpf_get_attach_cookie(ctx) - MODULE_COOKIE;

	if (i == 0)
		__sync_fetch_and_add(&module_hits, 1);
	else if (i >= NR_MODULE_TARGETS)
		__sync_fetch_and_add(&module_strays, 1);
	return 0;
}

SEC("fentry/bpf_fentry_test7")
int single_entry(void *ctx)
{
	return count_hit(&single_entry_hits);
}

SEC("fexit/bpf_fentry_test7")
int single_exit(void *ctx)
{
	return count_hit(&single_exit_hits);
}

SEC("lsm/task_getpgid")
int BPF_PROG(lsm_hook, struct task_struct *p, int ret)
{
	count_hit(&lsm_hits);
	return ret;
}

SEC("kprobe.multi")
int kprobes(void *ctx)
{
	return count_hit(&kprobe_hits);
}

/* never attached: running them calls bpf_fentry_test* and bpf_modify_return_test* */
SEC("fentry/bpf_fentry_test1")
int run_fentry_tests(void *ctx)
{
	return 0;
}

SEC("fmod_ret/bpf_modify_return_test")
int run_modify_tests(void *ctx)
{
	return 0;
}
