// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel functions that fexit and fmod_ret programs of multi-links may not be attached
 * to, because they may be entered and never left.
 */
#include <linux/bpf_verifier.h>
#include <linux/bsearch.h>
#include <linux/string.h>

/*
 * For these programs the trampoline calls the function, and its image is freed when
 * every call of it has returned (bpf_tramp_image::pcref). A call in which the task
 * ends, or its CPU is taken offline, doesn't. With a link on all of the kernel's
 * functions there is such a call whenever a task is killed, and one is enough for the
 * image that the functions share to stay for good.
 *
 * noreturn_deny in verifier.c has what no fexit program may be attached to: most
 * functions that never return, by their BTF ids. Here are also those that seldom don't,
 * where a program of a single link, attached on purpose, is worth an image. Many are
 * static and not in each build, so they are found by their names. Sorted as strcmp()
 * does.
 */
static const char * const names[] = {
	"__arm64_sys_exit",
	"__arm64_sys_exit_group",
	"__psci_cpu_off",
	"__ret_from_fork",
	"__riscv_sys_exit",
	"__riscv_sys_exit_group",
	"__s390_sys_exit",
	"__s390_sys_exit_group",
	"__s390x_sys_exit",
	"__s390x_sys_exit_group",
	"__seccomp_filter",
	"__secure_computing",
	"__secure_computing_strict",
#ifndef CONFIG_X86
	/* called on the stack of the task that is switched from, which may be at its end */
	"__switch_to",
#endif
	"arch_cpu_idle_dead",
	"arch_do_signal_or_restart",
	"bpf_throw",
	"call_usermodehelper_exec_async",
	"cpu_die",
	"cpu_psci_cpu_die",
	"cpu_startup_entry",
	"cpuidle_play_dead",
	"cryptomgr_probe",
	"cryptomgr_test",
	"do_el0_svc",
	"do_el0_svc_compat",
	"do_idle",
	"do_notify_resume",
	"do_signal",
	"do_task_dead",
	"el0_svc_common",
	"get_signal",
	"hlt_play_dead",
	"ia32_sys_call",
	"invoke_syscall",
	"io_sq_thread",
	"io_wq_worker",
	"kthread",
	"mwait_play_dead",
	"native_play_dead",
	"psci_0_2_cpu_off",
	"ret_from_fork",
	"sbi_cpu_stop",
	"syscall_trace_enter",
	"vhost_task_fn",
	"x32_sys_call",
	"x64_sys_call",
};

static int compare(const void *name, const void *elem)
{
	return strcmp(name, *(const char * const *)elem);
}

/**
 * bpf_func_may_not_return - may a call of a kernel function have no end?
 * @name: the function's name in BTF
 *
 * Return: whether it is known as one in which tasks end or CPUs go offline.
 */
bool bpf_func_may_not_return(const char *name)
{
	return bsearch(name, names, ARRAY_SIZE(names), sizeof(names[0]), compare);
}
