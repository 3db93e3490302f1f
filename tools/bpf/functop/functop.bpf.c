// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "functop.h"

struct start {
	__u64 ts;
	__u64 index;
};

/*
 * Start times of the calls in progress. The key is the address of the context:
 * both programs find the same one, as it's in the stack frame of the trampoline
 * that calls the traced function. No two calls in progress share a stack frame,
 * so recursion, interrupts, sleeping and migration need no further care.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_STARTS);
	__type(key, __u64);
	__type(value, struct start);
} starts SEC(".maps");

/*
 * Statistics of all functions for each CPU. User space makes this map when it
 * knows how many functions there are, which is after this program was loaded.
 * (The size of a per-CPU array can't be left open.)
 */
struct stats {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, STATS_FLAGS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct func_stat));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct stats);
} stats SEC(".maps");

__u32 nr_funcs = 0;

/* set while calls are to be counted */
int enabled = 0;

/* calls that weren't timed for lack of room in starts */
__u64 untimed = 0;

/* A program doesn't run on a CPU while it is preempted or interrupted there,
 * so that each field has only one writer.
 */
static struct func_stat *stat_of(__u32 index)
{
	__u32 zero = 0;
	void *map;

	map = bpf_map_lookup_elem(&stats, &zero);
	if (!map)
		return NULL;

	index += bpf_get_smp_processor_id() * nr_funcs;
	return bpf_map_lookup_elem(map, &index);
}

SEC("fentry.multi")
int functop_entry(void *ctx)
{
	__u64 key = (__u64)ctx, cookie;
	struct func_stat *stat;
	struct start start;

	if (!enabled)
		return 0;

	cookie = bpf_get_attach_cookie(ctx);
	stat = stat_of(cookie & COOKIE_INDEX_MASK);
	if (!stat)
		return 0;
	stat->calls++;

	if (!(cookie & COOKIE_TIMED))
		return 0;

	start.index = cookie & COOKIE_INDEX_MASK;
	start.ts = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&starts, &key, &start, BPF_ANY))
		__sync_fetch_and_add(&untimed, 1);
	return 0;
}

SEC("fexit.multi")
int functop_exit(void *ctx)
{
	__u64 key = (__u64)ctx, now = bpf_ktime_get_ns();
	struct func_stat *stat;
	struct start *start;

	start = bpf_map_lookup_elem(&starts, &key);
	if (!start)
		return 0;

	/* The index differs if neither functop_exit ran for an earlier call in
	 * this stack frame nor functop_entry for this one.
	 */
	if (enabled && start->index == bpf_get_attach_cookie(ctx)) {
		stat = stat_of(start->index);
		if (stat) {
			stat->returns++;
			stat->total_ns += now - start->ts;
		}
	}
	bpf_map_delete_elem(&starts, &key);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
