/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_FTRACE_DIRECT_H
#define _LINUX_FTRACE_DIRECT_H

#include <linux/types.h>

/*
 * Direct calls of many functions, each with a trampoline of its own, set and
 * changed in one update:
 *
 *	struct thing {
 *		struct ftrace_func_entry direct;	// zeroed
 *		...
 *	};
 *
 *	thing->direct.ip = ftrace_location(func);
 *	changes[i].entry = &thing->direct;
 *	changes[i].addr = trampoline;
 *	err = ftrace_direct_update(changes, cnt);
 *
 * The functions call the trampolines until another update gives them other
 * addresses, or 0. After that, RCU tasks grace periods have to pass before a
 * thing or a trampoline that is no longer used is freed.
 */

struct dyn_ftrace;
struct ftrace_ops;

/* What is in the hashes of functions: those of filters, and of direct calls. */
struct ftrace_func_entry {
	struct hlist_node hlist;
	unsigned long ip;
	unsigned long direct; /* for direct lookup only */
};

/**
 * struct ftrace_direct_change - one function's part of ftrace_direct_update()
 * @entry: the function's entry in the table of direct calls. It belongs to the
 *	caller, who zeroes it, sets its ip, and has it at rest while it is in
 *	the table and for an RCU tasks grace period after.
 * @addr: address of the trampoline to call, 0 to remove the call
 * @share_ipmodify: the trampoline lives with a modified return address
 * @err: set to why this change is refused, or to 0
 * @rec: set by ftrace_direct_update() for its own use
 */
struct ftrace_direct_change {
	struct ftrace_func_entry *entry;
	unsigned long addr;
	bool share_ipmodify;
	int err;
	struct dyn_ftrace *rec;
};

#ifdef CONFIG_DYNAMIC_FTRACE_DIRECT_UPDATE
/* ->ops_func is for the one who uses ftrace_direct_update() to set. */
extern struct ftrace_ops ftrace_direct_ops;

int ftrace_direct_update(struct ftrace_direct_change *changes, unsigned int cnt);
int ftrace_direct_update_nolock(struct ftrace_direct_change *changes, unsigned int cnt);
struct ftrace_func_entry *ftrace_direct_entry(unsigned long ip);
#endif

#endif /* _LINUX_FTRACE_DIRECT_H */
