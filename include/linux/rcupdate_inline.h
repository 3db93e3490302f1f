/* SPDX-License-Identifier: GPL-2.0+ */
#ifndef _LINUX_RCUPDATE_INLINE_H
#define _LINUX_RCUPDATE_INLINE_H

/*
 * rcu_read_lock() and rcu_read_unlock() without calls of functions, which preemptible
 * RCU's are. Apart from rcupdate.h, as that is included where struct task_struct is
 * not known yet.
 */

#include <linux/rcupdate.h>
#include <linux/sched.h>

#ifdef CONFIG_PREEMPT_RCU

void rcu_read_unlock_special(struct task_struct *t);

static __always_inline void rcu_preempt_read_enter(void)
{
	/* Interrupts leave the count as they found it, and nobody else changes it.
	 * So this may become one instruction, as READ_ONCE() and WRITE_ONCE() don't.
	 */
	data_race(current->rcu_read_lock_nesting++);
}

static __always_inline int rcu_preempt_read_exit(void)
{
	int ret = READ_ONCE(current->rcu_read_lock_nesting) - 1;

	WRITE_ONCE(current->rcu_read_lock_nesting, ret);
	return ret;
}

/* The part of __rcu_read_unlock() that is not for debugging */
static __always_inline void __rcu_read_unlock_inline(void)
{
	struct task_struct *t = current;

	barrier();  // critical section before exit code.
	if (rcu_preempt_read_exit() == 0) {
		barrier();  // critical-section exit before .s check.
		if (unlikely(READ_ONCE(t->rcu_read_unlock_special.s)))
			rcu_read_unlock_special(t);
	}
}

#else

#define __rcu_read_unlock_inline __rcu_read_unlock

#endif /* CONFIG_PREEMPT_RCU */

/**
 * rcu_read_lock_inline - rcu_read_lock() without a call
 *
 * For code that runs so often that the call counts, such as what is run before
 * each BPF program of a trampoline; not for modules. In the same contexts as
 * rcu_read_lock(), which it can be nested with, in either order.
 */
static __always_inline void rcu_read_lock_inline(void)
{
#if defined(CONFIG_PREEMPT_RCU) && !defined(CONFIG_RCU_STRICT_GRACE_PERIOD)
	rcu_preempt_read_enter();
	barrier();  /* critical section after entry code. */
	__acquire(RCU);
	rcu_lock_acquire(&rcu_lock_map);
	RCU_LOCKDEP_WARN(!rcu_is_watching(),
			 "RCU reader began illegally while idle");
#else
	rcu_read_lock();
#endif
}

/**
 * rcu_read_unlock_inline - rcu_read_unlock() without a call
 *
 * Ends what one rcu_read_lock_inline() or rcu_read_lock() began. Calls a function
 * only if this ends the outermost one, and RCU has waited for it or the task was
 * preempted meanwhile.
 */
static __always_inline void rcu_read_unlock_inline(void)
{
	RCU_LOCKDEP_WARN(!rcu_is_watching(),
			 "RCU reader ended illegally while idle");
	rcu_lock_release(&rcu_lock_map); /* Keep acq info for rls diags. */
	__release(RCU);
	__rcu_read_unlock_inline();
}

#endif /* _LINUX_RCUPDATE_INLINE_H */
