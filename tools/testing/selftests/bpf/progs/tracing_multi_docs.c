// SPDX-License-Identifier: GPL-2.0
/* The examples of Documentation/bpf/prog_tracing_multi.rst, which shows what is
 * between the lines with "docs:".
 */
#include "vmlinux.h"
#include <errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char _license[] SEC("license") = "GPL";

/* docs: untyped begin */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} calls SEC(".maps");

SEC("fentry.multi/vfs_*,!vfs_read*")
int count_calls(void *ctx)
{
	__u64 ip = bpf_get_func_ip(ctx), one = 1, *cnt;

	cnt = bpf_map_lookup_elem(&calls, &ip);
	if (cnt)
		__sync_fetch_and_add(cnt, 1);
	else
		bpf_map_update_elem(&calls, &ip, &one, BPF_NOEXIST);
	return 0;
}

/* docs: untyped end */

/* docs: untyped exit begin */
__u64 nr_errors;
__u64 last_arg;

/* no list: user space says what it's attached to */
SEC("fexit.multi")
int count_errors(void *ctx)
{
	__u64 ret, arg;

	if (bpf_get_func_ret(ctx, &ret) || bpf_get_func_arg(ctx, 0, &arg))
		return 0;

	/* an int: what is in the upper half is not part of it */
	if ((int)ret < 0) {
		__sync_fetch_and_add(&nr_errors, 1);
		last_arg = arg;
	}
	return 0;
}

/* docs: untyped exit end */

/* docs: typed begin */
__u64 bytes;
__u64 last_inode;
int pid;

/* vfs_read() types it: ctx is (struct file *file, char *buf, size_t count, ...).
 * vfs_write() has a const char * there, which does not matter, as buf isn't used.
 */
SEC("fentry.multi/vfs_read,vfs_write")
int BPF_PROG(sum_bytes, struct file *file, char *buf, size_t count)
{
	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;

	bytes += count;
	last_inode = file->f_inode->i_ino;
	return 0;
}

/* docs: typed end */

/* docs: fmod_ret begin */
SEC("fmod_ret.multi/bpf_modify_return_test,bpf_modify_return_test2")
int BPF_PROG(deny, int a)
{
	/* not 0: the function isn't called, and returns this */
	return a == 1 ? -EPERM : 0;
}

/* docs: fmod_ret end */
