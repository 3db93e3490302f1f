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

void migrate_enable_set_cpus_allowed(struct task_struct *p);

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

	if (p->migration_disabled) {
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
 * __migrate_enable - migrate_enable() without a call
 *
 * Undoes one __migrate_disable() or migrate_disable() of the current task.
 */
static __always_inline void __migrate_enable(void)
{
	struct task_struct *p = current;

#ifdef CONFIG_DEBUG_PREEMPT
	/*
	 * Check both overflow from migrate_disable() and superfluous
	 * migrate_enable().
	 */
	if (WARN_ON_ONCE((s16)p->migration_disabled <= 0))
		return;
#endif

	if (p->migration_disabled > 1) {
		p->migration_disabled--;
		return;
	}

	/*
	 * Ensure stop_task runs either before or after this, and that
	 * __set_cpus_allowed_ptr(SCA_MIGRATE_ENABLE) doesn't schedule().
	 */
	guard(preempt)();
	if (unlikely(p->cpus_ptr != &p->cpus_mask))
		migrate_enable_set_cpus_allowed(p);
	/*
	 * Mustn't clear migration_disabled() until cpus_ptr points back at the
	 * regular cpus_mask, otherwise things that race (eg.
	 * select_fallback_rq) get confused.
	 */
	barrier();
	p->migration_disabled = 0;
	__this_cpu_dec(sched_nr_pinned);
}

#else

static inline void __migrate_disable(void) { }
static inline void __migrate_enable(void) { }

#endif /* CONFIG_SMP */

#endif /* _LINUX_SCHED_MIGRATE_H */
