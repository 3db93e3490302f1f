// SPDX-License-Identifier: GPL-2.0
/* Programs that record all that there is to be seen of a traced function. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "tracing_multi.h"

char _license[] SEC("license") = "GPL";

#define MAX_RECORDS 64

int pid;
/* by the low bits of the cookie */
struct multi_record at_entry[MAX_RECORDS];
struct multi_record at_exit[MAX_RECORDS];
struct multi_record at_modify[MAX_RECORDS];

static __always_inline int record(void *ctx, struct multi_record *all)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct multi_record *rec = &all[cookie % MAX_RECORDS];
	int i;

	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;
	rec->hits++;
	rec->cookie = cookie;
	rec->ip = bpf_get_func_ip(ctx);
	rec->nr_args = bpf_get_func_arg_cnt(ctx);
	for (i = 0; i < MULTI_SLOTS; i++) {
		rec->args[i] = 0;
		bpf_get_func_arg(ctx, i, &rec->args[i]);
	}
	rec->ret = 0;
	rec->ret_err = bpf_get_func_ret(ctx, &rec->ret);
	return 0;
}

SEC("?fentry.multi")
int multi_entry(void *ctx)
{
	return record(ctx, at_entry);
}

/* asks for nothing that would keep it from sharing an image */
SEC("?fentry.multi")
int multi_nothing(void *ctx)
{
	return 0;
}

SEC("?fexit.multi")
int multi_exit(void *ctx)
{
	return record(ctx, at_exit);
}

SEC("?fmod_ret.multi")
int multi_modify(void *ctx)
{
	return record(ctx, at_modify);
}

SEC("?fentry")
int single_entry(void *ctx)
{
	return record(ctx, at_entry);
}

SEC("?fexit")
int single_exit(void *ctx)
{
	return record(ctx, at_exit);
}

SEC("?fmod_ret")
int single_modify(void *ctx)
{
	return record(ctx, at_modify);
}

/* lets the function return this at once */
__u64 override_hits;

SEC("?kprobe/bpf_testmod_multi_inject")
int override(struct pt_regs *ctx)
{
	override_hits++;
	bpf_override_return(ctx, 42);
	return 0;
}

SEC("?kprobe/bpf_testmod_inject_none")
int override_none(struct pt_regs *ctx)
{
	override_hits++;
	bpf_override_return(ctx, 42);
	return 0;
}

/* never attached: running it calls bpf_fentry_test* */
SEC("?fentry/bpf_fentry_test1")
int run_fentry_tests(void *ctx)
{
	return 0;
}
