// SPDX-License-Identifier: GPL-2.0
/* Programs for tracing multi-links that can't be loaded. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_misc.h"

char _license[] SEC("license") = "GPL";

#define UNTYPED "multi-link program without attach_btf_id can't access ctx directly"

__u64 sink;

SEC("fentry.multi")
__failure __msg(UNTYPED)
int untyped_reads_arg(unsigned long long *ctx)
{
	sink = ctx[0];
	return 0;
}

SEC("fexit.multi")
__failure __msg(UNTYPED)
int untyped_reads_ret(unsigned long long *ctx)
{
	sink = ctx[1];
	return 0;
}

SEC("fmod_ret.multi")
__failure __msg(UNTYPED)
int untyped_fmod_ret_reads_arg(unsigned long long *ctx)
{
	return ctx[0];
}

static __noinline __u64 read_last(unsigned long long *ctx)
{
	return ctx[11];
}

SEC("fentry.multi")
__failure __msg(UNTYPED)
int untyped_subprog_reads_arg(unsigned long long *ctx)
{
	sink = read_last(ctx);
	return 0;
}

/* where the number of arguments is kept: for helpers only */
SEC("fentry.multi")
__failure __msg("invalid bpf_context access")
int untyped_reads_before_ctx(unsigned long long *ctx)
{
	sink = *(ctx - 1);
	return 0;
}

SEC("fentry.multi/bpf_fentry_test1")
__failure __msg("func 'bpf_fentry_test1' doesn't have 2-th argument")
int typed_reads_too_much(unsigned long long *ctx)
{
	sink = ctx[1];
	return 0;
}

SEC("fexit.multi/bpf_fentry_test1")
__failure __msg("func 'bpf_fentry_test1' doesn't have 3-th argument")
int typed_reads_behind_ret(unsigned long long *ctx)
{
	sink = ctx[2];
	return 0;
}

SEC("fentry.multi")
__failure __msg("At program exit the register R0 has")
int fentry_returns_one(void *ctx)
{
	return 1;
}

SEC("fexit.multi")
__failure __msg("At program exit the register R0 has")
int fexit_returns_one(void *ctx)
{
	return 1;
}

SEC("fmod_ret.multi/bpf_fentry_test2")
__failure __msg("bpf_fentry_test2() is not modifiable")
int fmod_ret_not_modifiable(void *ctx)
{
	return 0;
}

SEC("fmod_ret.multi/bpf_testmod:bpf_testmod_multi_ret_obj")
__failure __msg("bpf_testmod_multi_ret_obj() doesn't return an int, fmod_ret is not allowed")
int fmod_ret_of_pointer(void *ctx)
{
	return 0;
}

SEC("fentry.multi.s/bpf_fentry_test2")
__failure __msg("bpf_fentry_test2 is not sleepable")
int sleepable_where_not_allowed(void *ctx)
{
	return 0;
}

SEC("fexit.multi/do_exit")
__failure __msg("Attaching fexit/fmod_ret to __noreturn functions is rejected")
int fexit_of_noreturn(void *ctx)
{
	return 0;
}

SEC("fentry.multi/vfs_llseek")
__failure __msg("helper call is not allowed in probe")
int BPF_PROG(d_path_where_not_allowed, struct file *file)
{
	char buf[16];

	bpf_d_path(&file->f_path, buf, sizeof(buf));
	return 0;
}

/* not sleepable itself */
SEC("fentry.multi")
__failure __msg("helper call might sleep in a non-sleepable prog")
int untyped_sleeps(void *ctx)
{
	char buf[16];

	bpf_copy_from_user(buf, sizeof(buf), NULL);
	return 0;
}
