/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_SCHED_MIGRATE_H
#define _LINUX_SCHED_MIGRATE_H

#include <linux/cleanup.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#ifdef CONFIG_SMP

/* How many tasks of a CPU have migration disabled */
DECLARE_PER_CPU(unsigned int, sched_nr_pinned);

void migrate_enable_switched(void);

/**
 * __migrate_disable - migrate_disable() without a call
 *
 * For code that runs so often that the call counts, such as what is run before
 * each BPF program of a trampoline; not for modules. In the same contexts as
 * migrate_disable(), which it can be nested with, in either order.
 */
static __always_inline void __migrate_disable(void)
{
	struct task_struct *p = current;

	if (unlikely(p->migration_disabled)) {
#ifdef CONFIG_DEBUG_PREEMPT
		/*
		 * Warn about overflow half-way through the range.
		 */
		WARN_ON_ONCE((s16)p->migration_disabled < 0);
#endif
		p->migration_disabled++;
		return;
	}

	guard(preempt)();
	__this_cpu_inc(sched_nr_pinned);
	p->migration_disabled = 1;
}

/**
 * __migrate_enable_fast - the usual case of __migrate_enable()
 *
 * For a function that has more to do after it and leaves the other case to one that
 * isn't inlined: then it calls nothing in between, and saves no registers for that.
 *
 * Return: false if the task was switched out with migration disabled. Nothing has
 * changed then, and __migrate_enable() is still to be called.
 */
static __always_inline bool __migrate_enable_fast(void)
{
	struct task_struct *p = current;

#ifdef CONFIG_DEBUG_PREEMPT
	/*
	 * Check both overflow from migrate_disable() and superfluous
	 * migrate_enable().
	 */
	if (WARN_ON_ONCE((s16)p->migration_disabled <= 0))
		return true;
#endif

	if (unlikely(p->migration_disabled > 1)) {
		p->migration_disabled--;
		return true;
	}

	/*
	 * Ensure stop_task runs either before or after this, and that
	 * __set_cpus_allowed_ptr(SCA_MIGRATE_ENABLE) doesn't schedule().
	 */
	guard(preempt)();
	if (unlikely(p->cpus_ptr != &p->cpus_mask))
		return false;
	/*
	 * Mustn't clear migration_disabled() until cpus_ptr points back at the
	 * regular cpus_mask, otherwise things that race (eg.
	 * select_fallback_rq) get confused.
	 */
	barrier();
	p->migration_disabled = 0;
	__this_cpu_dec(sched_nr_pinned);
	return true;
}

/**
 * __migrate_enable - migrate_enable() without a call
 *
 * Undoes one __migrate_disable() or migrate_disable() of the current task.
 */
static __always_inline void __migrate_enable(void)
{
	if (!__migrate_enable_fast())
		migrate_enable_switched();
}

#else

static inline void __migrate_disable(void) { }
static inline bool __migrate_enable_fast(void) { return true; }
static inline void __migrate_enable(void) { }

#endif /* CONFIG_SMP */

#endif /* _LINUX_SCHED_MIGRATE_H */
