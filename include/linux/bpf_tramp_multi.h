/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BPF_TRAMP_MULTI_H
#define _LINUX_BPF_TRAMP_MULTI_H

#include <linux/bpf.h>

/*
 * One link, one program, many trampolines:
 *
 *	link (bpf_tramp_multi_link)
 *	  entries[0]: conn  --in progs_hlist of-->  trampoline of function 0
 *	  entries[1]: conn  --in progs_hlist of-->  trampoline of function 1
 *	  ...
 *
 * kernel/bpf/trampoline_multi.c adds the conns of a link to its trampolines
 * and takes them away again. Who creates the link, kernel/bpf/tracing_multi.c,
 * finds the targets and gets their trampolines.
 */

/**
 * struct bpf_tramp_multi_link_entry - one target of a multi link
 * @conn: what connects the link to @trampoline
 * @trampoline: trampoline of the target, the entry holds a reference to it
 */
struct bpf_tramp_multi_link_entry {
	struct bpf_tramp_link_conn conn;
	struct bpf_trampoline *trampoline;
};

/**
 * struct bpf_tramp_multi_link - link to many trampolines
 * @link: the link, whose program is attached
 * @cnt: number of @entries in use
 * @entries: the targets, in the order in which the creator of the link gave them
 *
 * The creator fills @entries and @cnt. They don't change from the return of
 * bpf_trampoline_multi_link_prog() to the end of the link, so that readers who
 * hold a reference to the link need no lock.
 */
struct bpf_tramp_multi_link {
	struct bpf_link link;
	u32 cnt;
	struct bpf_tramp_multi_link_entry *entries;
};

int bpf_trampoline_multi_link_prog(struct bpf_tramp_multi_link *mlink, bool skip_refused,
				   u32 *bad_entry);
void bpf_trampoline_multi_unlink_prog(struct bpf_tramp_multi_link *mlink);
bool bpf_tramp_target_refused(int err);

#endif /* _LINUX_BPF_TRAMP_MULTI_H */
