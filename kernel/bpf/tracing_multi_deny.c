// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel functions that fexit and fmod_ret programs of multi-links may not be attached
 * to, because they may be entered and never left, or left by a CPU that counts as dead.
 */
#include <linux/bpf_verifier.h>
#include <linux/bsearch.h>
#include <linux/string.h>

/*
 * For these programs the trampoline calls the function, and its image is freed when
 * every call of it has returned (bpf_tramp_image::pcref). A call in which the task
 * ends, its CPU goes offline, or its stack is given up on the way to sleep, doesn't.
 * With a link on all of the kernel's functions there is such a call whenever a task
 * is killed, and one is enough for the image that the functions share to stay for good.
 *
 * noreturn_deny in verifier.c has what no fexit program may be attached to: functions
 * that never return, by their BTF ids. Here are the other ones, and those that usually
 * return but may not. A program of a single link, attached to one of them on purpose,
 * is worth an image. Many are static and not in each build, so they are found by their
 * names, in modules as well. What is on the stack of an oops is not here.
 *
 * play_dead_common(), and what a CPU calls in its end and behind it, do return, but when
 * the CPU counts as dead already (cpuhp_ap_report_dead()). Nobody waits for it any more,
 * so it must not be the one that leaves an image.
 *
 * Sorted as strcmp() does.
 */
static const char * const names[] = {
	"__arm64_sys_exit",
	"__arm64_sys_exit_group",
	"__arm64_sys_reboot",
	"__ia32_sys_reboot",
	"__invoke_syscall",
	"__psci_cpu_off",
	"__ret_from_fork",
	"__riscv_sys_exit",
	"__riscv_sys_exit_group",
	"__riscv_sys_reboot",
	"__s390_sys_exit",
	"__s390_sys_exit_group",
	"__s390_sys_reboot",
	"__s390x_sys_exit",
	"__s390x_sys_exit_group",
	"__s390x_sys_reboot",
	"__se_sys_exit",
	"__se_sys_exit_group",
	"__se_sys_reboot",
	"__seccomp_filter",
	"__secure_computing",
	"__secure_computing_strict",
#ifndef CONFIG_X86
	/* called on the stack of the task that is switched from, which may be at its end */
	"__switch_to",
#endif
	"__x64_sys_reboot",
	"acpi_enter_sleep_state",
	"acpi_idle_play_dead",
	"acpi_mp_play_dead",
	"arch_cpu_idle_dead",
	"arch_do_signal_or_restart",
	"bnep_session",
	"bpf_throw",
	"call_usermodehelper_exec_async",
	"cifs_demultiplex_thread",
	"cmtp_session",
	"cpu_bringup_and_idle",
	"cpu_die",
	"cpu_psci_cpu_die",
	"cpu_startup_entry",
	"cpuhp_ap_report_dead",
	"cpuidle_get_cpu_driver",
	"cpuidle_play_dead",
	"cryptomgr_probe",
	"cryptomgr_test",
	"do_el0_svc",
	"do_el0_svc_compat",
	"do_idle",
	"do_notify_resume",
	"do_signal",
	"do_syscall",
	"do_task_dead",
	"el0_svc_common",
	"emulate_vsyscall",
	"fsg_main_thread",
	"get_signal",
	"hidp_session_thread",
	"hlt_play_dead",
	"ia32_sys_call",
	"invoke_syscall",
	"io_sq_thread",
	"io_worker_exit",
	"io_wq_worker",
	"jffs2_garbage_collect_thread",
	"kthread",
	"native_play_dead",
	"nfs4_run_state_manager",
	"pcpu_sigp_retry",
	"play_dead_common",
	"psci_0_1_cpu_off",
	"psci_0_2_cpu_off",
	"psci_system_suspend",
	"reboot_pid_ns",
	"ret_from_fork",
	"rsi_coex_scheduler_thread",
	"rsi_sdio_rx_thread",
	"rsi_tx_scheduler_thread",
	"rsi_usb_rx_thread",
	"rtsx_control_thread",
	"rtsx_polling_thread",
	"rtsx_scan_thread",
	"sbi_system_suspend",
	"smp_callin",
	"smp_start_secondary",
	"syscall_exit_to_user_mode_work",
	"syscall_trace_enter",
	"tboot_shutdown",
	"usbatm_do_heavy_init",
	"vhost_task_fn",
	"x32_sys_call",
	"x64_sys_call",
	"x86_acpi_enter_sleep_state",
	"xen_pv_play_dead",
};

static int compare(const void *name, const void *elem)
{
	return strcmp(name, *(const char * const *)elem);
}

/**
 * bpf_func_may_not_return - may a call of a kernel function never return?
 * @name: the function's name in BTF
 *
 * Return: whether it is known as one that may be entered and never left, or left too late.
 */
bool bpf_func_may_not_return(const char *name)
{
	return bsearch(name, names, ARRAY_SIZE(names), sizeof(names[0]), compare);
}
