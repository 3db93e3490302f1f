// SPDX-License-Identifier: GPL-2.0
/* Programs that read this or that of what they were verified for, and so fit
 * on some functions and not on others.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* each for the prototype of who calls through it */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} jmp_table SEC(".maps"), jmp_exit SEC(".maps"), jmp_file SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, int);
} storage SEC(".maps");

int pid;
__u64 sink;
/* what a program saw that was called by another one */
struct {
	__u64 hits, ip, cookie, arg;
} seen;
char path_buf[64];

SEC("fentry.multi/bpf_fentry_test1")
int BPF_PROG(read_nothing)
{
	return 0;
}

SEC("fexit.multi/bpf_fentry_test1")
int BPF_PROG(read_nothing_exit)
{
	return 0;
}

SEC("fentry.multi/bpf_fentry_test1")
int BPF_PROG(read_int, int a)
{
	sink = a;
	return 0;
}

SEC("fentry.multi/bpf_fentry_test3")
int BPF_PROG(read_third, char a, int b, __u64 c)
{
	sink = c;
	return 0;
}

SEC("fentry.multi/bpf_fentry_test7")
int BPF_PROG(read_ptr, struct bpf_fentry_test_t *arg)
{
	sink = (__u64)arg;
	return 0;
}

static __noinline __u64 first_of(unsigned long long *ctx)
{
	return ctx[0];
}

SEC("fentry.multi/bpf_fentry_test7")
int read_in_subprog(unsigned long long *ctx)
{
	sink = first_of(ctx);
	return 0;
}

struct loop_ctx {
	unsigned long long *ctx;
};

static int read_cb(__u32 i, struct loop_ctx *loop)
{
	sink = loop->ctx[0];
	return 0;
}

SEC("fentry.multi/bpf_fentry_test7")
int read_in_callback(unsigned long long *ctx)
{
	struct loop_ctx loop = { .ctx = ctx };

	bpf_loop(1, read_cb, &loop, 0);
	return 0;
}

/* the third argument, in slot 3 behind a struct in slots 1 and 2 */
SEC("fentry.multi/bpf_testmod:bpf_testmod_multi_struct")
int read_after_struct(unsigned long long *ctx)
{
	sink = ctx[3];
	return 0;
}

SEC("fentry.multi/bpf_testmod:bpf_testmod_multi_struct")
int read_half_struct(unsigned long long *ctx)
{
	sink = ctx[2];
	return 0;
}

SEC("fentry.multi/bpf_testmod:bpf_testmod_test_struct_arg_4")
int read_small_struct(unsigned long long *ctx)
{
	sink = ctx[0];
	return 0;
}

SEC("fentry.multi/filp_close")
int BPF_PROG(read_file, struct file *file)
{
	sink = file->f_flags;
	return 0;
}

SEC("fentry.multi/bpf_testmod:bpf_testmod_multi_obj")
int BPF_PROG(read_obj, void *obj)
{
	sink = (__u64)obj;
	return 0;
}

SEC("fexit.multi/bpf_fentry_test2")
int BPF_PROG(read_ret, int a, __u64 b, int ret)
{
	sink = ret;
	return 0;
}

SEC("fexit.multi/bpf_testmod:bpf_testmod_multi_ret_obj")
int BPF_PROG(read_ret_ptr, int a, long b, void *ret)
{
	sink = (__u64)ret;
	return 0;
}

SEC("fmod_ret.multi/bpf_modify_return_test")
int BPF_PROG(modify_blind)
{
	return 0;
}

SEC("fmod_ret.multi/bpf_modify_return_test")
int BPF_PROG(modify_read_ret, int a, int *b, int ret)
{
	sink = ret;
	return 0;
}

SEC("fmod_ret.multi")
int BPF_PROG(modify_untyped)
{
	return 0;
}

SEC("fentry.multi/bpf_fentry_test1")
int BPF_PROG(tail_call)
{
	bpf_tail_call(ctx, &jmp_table, 0);
	return 0;
}

static __always_inline int see(void *ctx, int arg)
{
	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;
	seen.hits++;
	seen.ip = bpf_get_func_ip(ctx);
	seen.cookie = bpf_get_attach_cookie(ctx);
	seen.arg = arg;
	return 0;
}

SEC("fentry.multi/bpf_fentry_test1")
int BPF_PROG(tail_called, int a)
{
	return see(ctx, a);
}

SEC("fexit.multi/bpf_fentry_test1")
int BPF_PROG(tail_call_exit)
{
	bpf_tail_call(ctx, &jmp_exit, 0);
	return 0;
}

SEC("fexit.multi/bpf_fentry_test1")
int BPF_PROG(tail_called_exit, int a)
{
	return see(ctx, a);
}

SEC("fentry.multi/filp_close")
int BPF_PROG(tail_call_file)
{
	bpf_tail_call(ctx, &jmp_file, 0);
	return 0;
}

SEC("fentry.multi/filp_close")
int BPF_PROG(use_d_path, struct file *file)
{
	bpf_d_path(&file->f_path, path_buf, sizeof(path_buf));
	return 0;
}

SEC("fentry.multi/sk_common_release")
int BPF_PROG(use_sk_storage, struct sock *sk)
{
	bpf_sk_storage_delete(&storage, sk);
	return 0;
}

SEC("fentry.multi.s/bpf_fentry_test1")
int BPF_PROG(sleepable)
{
	return 0;
}

SEC("fentry.multi.s")
int BPF_PROG(sleepable_untyped)
{
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(untyped)
{
	return 0;
}

SEC("fexit.multi")
int BPF_PROG(untyped_exit)
{
	return 0;
}

/* a function that another program could replace, were it not called by these */
__noinline int replaceable(int a)
{
	barrier_var(a);
	return a;
}

SEC("fentry.multi")
int BPF_PROG(call_entry)
{
	sink = replaceable(0);
	return 0;
}

SEC("fexit.multi/bpf_fentry_test1")
int BPF_PROG(call_exit)
{
	sink = replaceable(1);
	return 0;
}

SEC("fmod_ret.multi")
int BPF_PROG(call_modify)
{
	return replaceable(0);
}

/* loaded for functions of BPF programs, see the test */
SEC("?fentry.multi")
int BPF_PROG(read_prog_ctx, struct sk_buff *skb)
{
	sink = skb->len;
	return 0;
}

SEC("?fentry.multi")
int BPF_PROG(read_prog_int, int a)
{
	sink = a;
	return 0;
}

SEC("?fentry.multi")
int BPF_PROG(read_conservative, __u64 a)
{
	sink = a;
	return 0;
}

/* never attached: running it calls bpf_fentry_test* */
SEC("fentry/bpf_fentry_test1")
int run_fentry_tests(void *ctx)
{
	return 0;
}
