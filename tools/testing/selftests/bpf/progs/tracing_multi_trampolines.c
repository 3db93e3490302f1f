// SPDX-License-Identifier: GPL-2.0
/* Counts the trampolines that there are, in the table that the kernel has of them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char _license[] SEC("license") = "GPL";

#define NR_HEADS (1 << 13)	/* TRAMPOLINE_TABLE_SIZE of kernel/bpf/trampoline.c */
#define MAX_CHAIN 64

extern const void trampoline_table __ksym;

int trampolines;
int errors;	/* lists that could not be read, or are too long */

static long count_chain(__u32 i, void *ctx)
{
	const struct hlist_head *head = (const struct hlist_head *)&trampoline_table + i;
	struct hlist_node *node = NULL;
	int len, err;

	err = bpf_core_read(&node, sizeof(node), &head->first);
	for (len = 0; !err && node && len < MAX_CHAIN; len++)
		err = bpf_core_read(&node, sizeof(node), &node->next);
	trampolines += len;
	errors += err || node;
	return 0;
}

SEC("syscall")
int count_trampolines(void *ctx)
{
	trampolines = 0;
	errors = 0;
	bpf_loop(NR_HEADS, count_chain, NULL, 0);
	return 0;
}
