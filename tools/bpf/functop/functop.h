/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
#ifndef __FUNCTOP_H
#define __FUNCTOP_H

#include <linux/types.h>

/*
 * The cookie of a function in functop_exit is its index into the statistics. In
 * functop_entry it also tells whether functop_exit is attached to the function,
 * too (else nobody would take the start time off the map again), and what the
 * function returns: nothing that could be an error, a pointer, or a signed
 * integer of so many bits.
 */
#define COOKIE_INDEX_MASK	0xffffffffULL
#define COOKIE_TIMED		0x100000000ULL
#define COOKIE_RET_SHIFT	33

#define RET_OTHER		0
#define RET_PTR			1
#define RET_IS_INT(ret)		((ret) >= 8)

/* as the kernel's: the last bytes of the address space are errors, not pointers */
#define MAX_ERRNO		4095

/* mapped by user space; as many entries as functions times CPUs */
#define STATS_FLAGS		(BPF_F_MMAPABLE | BPF_F_INNER_MAP)

/* One for each function and CPU */
struct func_stat {
	__u64 calls;
	/* of these calls, those which returned and were timed */
	__u64 returns;
	/* of these, those which returned a negative number or an error pointer */
	__u64 errors;
	__u64 total_ns;
	__u64 max_ns;
};

/* Slot n counts calls of 2^n to 2^(n + 1) - 1 ns, the first one also those of
 * 0 ns, the last one all that took longer (from 9 minutes on).
 */
#define HIST_SLOTS		40

/* One for each function */
struct func_hist {
	__u64 slots[HIST_SLOTS];
};

/* What functions returned, and how often */
struct error_key {
	__u32 index;
	__s32 error;	/* 0 for negative numbers below -MAX_ERRNO */
};

/* Calls in progress */
#define MAX_STARTS		65536

/* Different errors of all functions */
#define MAX_ERRORS		16384

#endif /* __FUNCTOP_H */
