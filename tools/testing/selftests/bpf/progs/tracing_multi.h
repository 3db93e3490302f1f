/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_H
#define __TRACING_MULTI_H

/* What a program saw at one target: the low four bits of each argument slot
 * are a digit of args, the first slot the last digit.
 */
struct multi_seen {
	__u64 hits;
	__u64 cookie;
	__u64 args;
	__u64 nr_args;
	__u64 ret;
	long ret_err;
};

#define MULTI_SLOTS 13

/* The same in full, for comparison. */
struct multi_record {
	__u64 hits;
	__u64 ip;
	__u64 cookie;
	__u64 nr_args;
	__u64 args[MULTI_SLOTS];
	__u64 ret;
	long ret_err;
};

#endif
