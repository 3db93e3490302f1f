/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
#ifndef __FUNCTOP_H
#define __FUNCTOP_H

#include <linux/types.h>

/*
 * The cookie of a function is its index into the statistics. In functop_entry
 * it also tells whether functop_exit is attached to the function, too: without
 * it nobody would take the start time off the map again.
 */
#define COOKIE_INDEX_MASK	0xffffffffULL
#define COOKIE_TIMED		0x100000000ULL

/* mapped by user space; as many entries as functions times CPUs */
#define STATS_FLAGS	(BPF_F_MMAPABLE | BPF_F_INNER_MAP)

/* One for each function and CPU */
struct func_stat {
	__u64 calls;
	/* of these calls, those which returned and were timed */
	__u64 returns;
	__u64 total_ns;
};

/* Calls in progress */
#define MAX_STARTS	65536

#endif /* __FUNCTOP_H */
