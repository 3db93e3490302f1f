// SPDX-License-Identifier: GPL-2.0
/* Tells how much memory the kernel counts for code of BPF programs and images. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

extern const void bpf_jit_current __ksym;

__u64 jit_bytes;

SEC("syscall")
int read_jit(void *ctx)
{
	return bpf_probe_read_kernel(&jit_bytes, sizeof(jit_bytes), &bpf_jit_current);
}
