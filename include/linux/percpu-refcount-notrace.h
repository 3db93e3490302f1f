/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PERCPU_REFCOUNT_NOTRACE_H
#define _LINUX_PERCPU_REFCOUNT_NOTRACE_H

#include <linux/percpu-refcount.h>
#include <linux/preempt.h>

/*
 * percpu_ref_get() and percpu_ref_put() for tracers. They call no function, which
 * could be traced in turn, and which would be most of their cost: not
 * rcu_read_lock(), but disabled preemption keeps the percpu_ref from becoming
 * atomic meanwhile. Grace periods wait for that as well, and percpu_ref_kill() and
 * the others wait for one.
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
 * If the count is 0 then, calls the release function, with preemption disabled.
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
