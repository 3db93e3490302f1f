// SPDX-License-Identifier: GPL-2.0
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "functop.h"

struct start {
	__u64 ts;
	__u64 cookie;
	__u64 task;
};

/*
 * Start times of the calls in progress. The key is the address of the context:
 * both programs find the same one, as it's in the stack frame of the trampoline
 * that calls the traced function. No two calls in progress share a stack frame,
 * so recursion to any depth, interrupts, sleeping and migration need no further
 * care. A task that was inside of a function when the programs were attached
 * has no start: it comes from where no trampoline was, or functop_exit finds
 * nothing.
 *
 * A start stays behind if functop_exit doesn't run for its call: because of
 * recursion, or as the task ended in the call. The next call in that stack frame
 * replaces it, so there are never more of them than stack frames.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_STARTS);
	__type(key, __u64);
	__type(value, struct start);
} starts SEC(".maps");

/*
 * Whether one of the programs is running on this CPU. The kernel doesn't run a
 * program which interrupts itself there, but would run the other one: in a call
 * made by an interrupt in functop_exit there would be functop_entry, but no
 * functop_exit; in one made by an interrupt in functop_entry, functop_exit
 * might find what the former left. So both stay away from such calls. (Also the
 * maps, whose functions can be traced, are then not used in the midst of using
 * them.)
 */
struct running {
	__u32 entry;
	__u32 exit;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct running);
} running SEC(".maps");

/*
 * Statistics of all functions for each CPU, and their histograms. User space
 * makes these maps when it knows how many functions there are, which is after
 * the programs were loaded. (The size of a per-CPU array can't be left open.)
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

struct hists {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, STATS_FLAGS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct func_hist));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct hists);
} hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ERRORS);
	__type(key, struct error_key);
	__type(value, __u64);
} errors SEC(".maps");

/* filter and options, set before load */
const volatile __u32 targ_tgid = 0;
const volatile bool targ_hist = false;
const volatile bool targ_errors = false;

__u32 nr_funcs = 0;

/* set while calls are to be counted */
int enabled = 0;

/* calls that weren't counted as functop_exit was running */
__u64 missed = 0;

/* calls that weren't timed for lack of room in starts */
__u64 no_start = 0;

/* errors that weren't told apart for lack of room in errors */
__u64 no_error = 0;

static struct running *this_cpu_running(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&running, &zero);
}

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

static void count_call(void *ctx)
{
	__u64 key = (__u64)ctx;
	struct func_stat *stat;
	struct start start;

	start.cookie = bpf_get_attach_cookie(ctx);
	stat = stat_of(start.cookie & COOKIE_INDEX_MASK);
	if (!stat)
		return;
	stat->calls++;

	if (!(start.cookie & COOKIE_TIMED))
		return;

	start.task = bpf_get_current_task();
	start.ts = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&starts, &key, &start, BPF_ANY))
		__sync_fetch_and_add(&no_start, 1);
}

SEC("fentry.multi")
int functop_entry(void *ctx)
{
	volatile struct running *run;

	if (!enabled)
		return 0;
	if (targ_tgid && bpf_get_current_pid_tgid() >> 32 != targ_tgid)
		return 0;

	run = this_cpu_running();
	if (!run)
		return 0;
	if (run->exit) {
		__sync_fetch_and_add(&missed, 1);
		return 0;
	}

	run->entry = 1;
	count_call(ctx);
	run->entry = 0;
	return 0;
}

/* The error that the function returned, 0 if it returned none */
static __s64 returned_error(void *ctx, __u32 kind)
{
	__u64 ret;
	__s64 val;

	if (kind == RET_OTHER || bpf_get_func_ret(ctx, &ret))
		return 0;

	/* there can be anything in the upper bits of the register */
	val = ret;
	if (RET_IS_INT(kind))
		val = (__s64)(ret << (64 - kind)) >> (64 - kind);
	else if (val < -MAX_ERRNO)
		return 0;

	return val < 0 ? val : 0;
}

static void count_error(__u32 index, __s64 error)
{
	struct error_key key = { .index = index };
	__u64 zero = 0, *cnt;

	if (error >= -MAX_ERRNO)
		key.error = error;

	cnt = bpf_map_lookup_elem(&errors, &key);
	if (!cnt) {
		bpf_map_update_elem(&errors, &key, &zero, BPF_NOEXIST);
		cnt = bpf_map_lookup_elem(&errors, &key);
	}
	if (cnt)
		__sync_fetch_and_add(cnt, 1);
	else
		__sync_fetch_and_add(&no_error, 1);
}

static __u32 ilog2(__u64 val)
{
	__u32 shift, res = 0;

#pragma unroll
	for (shift = 32; shift; shift /= 2) {
		if (val >> shift) {
			val >>= shift;
			res += shift;
		}
	}

	return res;
}

static void count_hist(__u32 index, __u64 ns)
{
	__u32 zero = 0, slot = ilog2(ns);
	struct func_hist *hist;
	void *map;

	map = bpf_map_lookup_elem(&hists, &zero);
	if (!map)
		return;
	hist = bpf_map_lookup_elem(map, &index);
	if (!hist)
		return;

	if (slot >= HIST_SLOTS)
		slot = HIST_SLOTS - 1;
	__sync_fetch_and_add(&hist->slots[slot], 1);
}

static void count_return(void *ctx, const struct start *start, __u64 now)
{
	__u32 index = start->cookie & COOKIE_INDEX_MASK;
	__u64 ns = now - start->ts;
	struct func_stat *stat;
	__s64 error;

	stat = stat_of(index);
	if (!stat)
		return;

	stat->returns++;
	stat->total_ns += ns;
	if (ns > stat->max_ns)
		stat->max_ns = ns;
	if (targ_hist)
		count_hist(index, ns);

	error = returned_error(ctx, start->cookie >> COOKIE_RET_SHIFT);
	if (!error)
		return;

	stat->errors++;
	if (targ_errors)
		count_error(index, error);
}

static void end_call(void *ctx, __u64 now)
{
	__u64 key = (__u64)ctx;
	struct start *start;

	start = bpf_map_lookup_elem(&starts, &key);
	if (!start)
		return;

	/* If functop_entry didn't run for this call, the start is what an earlier
	 * call in this stack frame left: seldom one of the same task and function.
	 */
	if (start->task == bpf_get_current_task() &&
	    (start->cookie & COOKIE_INDEX_MASK) == bpf_get_attach_cookie(ctx))
		count_return(ctx, start, now);

	bpf_map_delete_elem(&starts, &key);
}

SEC("fexit.multi")
int functop_exit(void *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	volatile struct running *run;

	if (!enabled)
		return 0;

	run = this_cpu_running();
	if (!run || run->entry)
		return 0;

	run->exit = 1;
	end_call(ctx, now);
	run->exit = 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
