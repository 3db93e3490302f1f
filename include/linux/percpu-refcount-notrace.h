/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PERCPU_REFCOUNT_NOTRACE_H
#define _LINUX_PERCPU_REFCOUNT_NOTRACE_H

#include <linux/percpu-refcount.h>
#include <linux/preempt.h>

/*
 * percpu_ref_get() and percpu_ref_put() for tracers. They call no function, which
 * could be traced in turn, and which would be most of their cost; except to reschedule
 * when that is due, and the release function.
 *
 * Not rcu_read_lock() but disabled preemption keeps the per-CPU counts from being
 * added up between the look at the mode and the change of the count:
 * percpu_ref_switch_to_atomic_rcu() does that after a grace period, which waits for
 * disabled preemption as well.
 */

/**
 * percpu_ref_get_notrace - increment a percpu refcount in a tracer
 * @ref: percpu_ref to get
 *
 * This function is safe to call as long as @ref is between init and exit, in any
 * context in which RCU is watching.
 */
static __always_inline void percpu_ref_get_notrace(struct percpu_ref *ref)
{
	unsigned long __percpu *percpu_count;

	preempt_disable_notrace();

	if (__ref_is_percpu(ref, &percpu_count))
		this_cpu_inc(*percpu_count);
	else
		atomic_long_inc(&ref->data->count);

	preempt_enable_notrace();
}

/**
 * percpu_ref_put_notrace - decrement a percpu refcount in a tracer
 * @ref: percpu_ref to put
 *
 * Decrement the count, and if it is 0 then, call the release function, with
 * preemption disabled.
 *
 * This function is safe to call as long as @ref is between init and exit, in any
 * context in which RCU is watching.
 */
static __always_inline void percpu_ref_put_notrace(struct percpu_ref *ref)
{
	unsigned long __percpu *percpu_count;

	preempt_disable_notrace();

	if (__ref_is_percpu(ref, &percpu_count))
		this_cpu_dec(*percpu_count);
	else if (unlikely(atomic_long_dec_and_test(&ref->data->count)))
		ref->data->release(ref);

	preempt_enable_notrace();
}

#endif /* _LINUX_PERCPU_REFCOUNT_NOTRACE_H */
