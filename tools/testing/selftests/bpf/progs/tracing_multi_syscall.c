// SPDX-License-Identifier: GPL-2.0
/* BPF_LINK_CREATE with attr and ids in kernel memory. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define NR_IDS 3
#define NO_IDX 0xdeadbeef

int prog_fd;
__u32 attach_type;
__u32 btf_ids[NR_IDS];
__u64 values[NR_IDS];
__u32 bad_idx;
int link_fd;

SEC("syscall")
int create_link(void *ctx)
{
	static union bpf_attr attr;

	attr.link_create.prog_fd = prog_fd;
	attr.link_create.attach_type = attach_type;
	attr.link_create.tracing_multi.ids = (long)btf_ids;
	attr.link_create.tracing_multi.cookies = (long)values;
	attr.link_create.tracing_multi.cnt = NR_IDS;
	attr.link_create.tracing_multi.bad_idx = NO_IDX;
	link_fd = bpf_sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
	bad_idx = attr.link_create.tracing_multi.bad_idx;
	return 0;
}
