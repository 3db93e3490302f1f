// SPDX-License-Identifier: GPL-2.0
/* Programs that count, sleep and kill. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "../bpf_testmod/bpf_testmod_kfunc.h"

char _license[] SEC("license") = "GPL";

#define MAX_COUNTED 16
#define SIGKILL 9

int pid;
/* by cookie */
__u64 entry_hits[MAX_COUNTED], exit_hits[MAX_COUNTED], modify_hits[MAX_COUNTED];
__u64 toggle_hits, any_entry_hits, any_exit_hits;
/* calls of the function that creation of a link comes to again and again, and
 * at which of them to kill the caller
 */
__u64 kill_calls, kill_at;
/* where a program sleeps, waiting for the page, and a later one for the page behind that;
 * what it did before and after; and what it then read where nothing is mapped, which is 0,
 * and its cookie
 */
void *sleep_addr;
__u64 page_size;
__u64 before_sleep, after_sleep, sleep_value, sleep_fault = 1, sleep_cookie;
long sleep_err;
int sleep_tid;
/* grace periods of RCU tasks trace that freeing programs and images has asked for */
__u64 rounds;

static __always_inline bool is_ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == pid;
}

static __always_inline int count(void *ctx, __u64 *hits)
{
	if (is_ours())
		__sync_fetch_and_add(&hits[bpf_get_attach_cookie(ctx) % MAX_COUNTED], 1);
	return 0;
}

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

SEC("fmod_ret.multi")
int count_modify(void *ctx)
{
	return count(ctx, modify_hits);
}

static __always_inline int toggle(void)
{
	if (is_ours())
		__sync_fetch_and_add(&toggle_hits, 1);
	return 0;
}

SEC("fentry.multi")
int toggle_entry(void *ctx)
{
	return toggle();
}

SEC("fexit.multi")
int toggle_exit(void *ctx)
{
	return toggle();
}

SEC("fentry/bpf_fentry_test7")
int toggle_single_entry(void *ctx)
{
	return toggle();
}

SEC("fexit/bpf_fentry_test7")
int toggle_single_exit(void *ctx)
{
	return toggle();
}

SEC("fentry.multi")
int any_entry(void *ctx)
{
	__sync_fetch_and_add(&any_entry_hits, 1);
	return 0;
}

SEC("fexit.multi")
int any_exit(void *ctx)
{
	__sync_fetch_and_add(&any_exit_hits, 1);
	return 0;
}

/* There is no page a bit below the address that bpf_testmod has for that, either. */
#define UNMAPPED (~(1UL << 30) - (64 << 10))

static __always_inline int sleep(void *ctx, bool faulting)
{
	struct task_struct *nobody;
	void *addr;

	if (!is_ours())
		return 0;
	sleep_tid = bpf_get_current_pid_tgid();
	addr = sleep_addr + __sync_fetch_and_add(&before_sleep, 1) * page_size;
	/* else it is in the fault that it sleeps */
	if (!faulting)
		bpf_kfunc_call_test_get_page((unsigned long)addr);
	sleep_err = bpf_copy_from_user(&sleep_value, sizeof(sleep_value), addr);
	nobody = bpf_core_cast((void *)UNMAPPED, struct task_struct);
	sleep_fault = nobody->start_time;
	sleep_cookie = bpf_get_attach_cookie(ctx);
	__sync_fetch_and_add(&after_sleep, 1);
	return 0;
}

SEC("fentry.multi.s")
int sleep_entry(void *ctx)
{
	return sleep(ctx, true);
}

SEC("fexit.multi.s")
int sleep_exit(void *ctx)
{
	return sleep(ctx, true);
}

SEC("fentry.s/bpf_fentry_test1")
int sleep_single_entry(void *ctx)
{
	return sleep(ctx, true);
}

SEC("?fentry.multi.s")
int sleep_without_fault(void *ctx)
{
	return sleep(ctx, false);
}

SEC("fexit.multi.s")
int sleepable_exit(void *ctx)
{
	return 0;
}

/* weak: without it only the test that counts fails */
extern const void tramp_rcu_tasks_trace __ksym __weak;

SEC("?fentry/call_rcu_tasks_trace")
int count_rounds(void *ctx)
{
	__u64 func;

	if (!bpf_get_func_arg(ctx, 1, &func) && func == (__u64)&tramp_rcu_tasks_trace)
		__sync_fetch_and_add(&rounds, 1);
	return 0;
}

static __always_inline int kill_caller(void)
{
	if (is_ours() && __sync_fetch_and_add(&kill_calls, 1) + 1 == kill_at)
		bpf_send_signal(SIGKILL);
	return 0;
}

/* called for each target */
SEC("?fentry/bpf_check_attach_target_multi")
int kill_checking(void *ctx)
{
	return kill_caller();
}

/* called before some hundred targets are attached together, and detached */
SEC("?fentry/bpf_trampoline_lock_all")
int kill_attaching(void *ctx)
{
	return kill_caller();
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
