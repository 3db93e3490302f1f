// SPDX-License-Identifier: GPL-2.0
/* Users of ftrace that may change where a function goes on (IPMODIFY), for tests
 * of what else is attached to that function: a live patch or, as the parameter
 * says, a kprobe with a post handler. While the module is loaded, it is there.
 */
#include <linux/init.h>
#include <linux/kprobes.h>
#include <linux/livepatch.h>
#include <linux/module.h>

#define TARGET "bpf_modify_return_test"

static char *user = "livepatch";
module_param(user, charp, 0444);
MODULE_PARM_DESC(user, "livepatch, livepatch_sleepable or kprobe");

static ulong pre_hits;
module_param(pre_hits, ulong, 0444);
static ulong post_hits;
module_param(post_hits, ulong, 0444);
static ulong patched_hits;
module_param(patched_hits, ulong, 0444);

#ifdef CONFIG_LIVEPATCH
/* As the original, but for 100 more. */
static noinline int patched_modify_return_test(int a, int *b)
{
	*b += 1;
	return a + *b + 100;
}

/* As the original, a function in which programs may sleep. */
static noinline int patched_fentry_test1(int a)
{
	patched_hits++;
	return a + 1;
}

static struct klp_func funcs[] = {
	{
		.old_name = TARGET,
		.new_func = patched_modify_return_test,
	}, {}
};

static struct klp_func sleepable_funcs[] = {
	{
		.old_name = "bpf_fentry_test1",
		.new_func = patched_fentry_test1,
	}, {}
};

static struct klp_object objs[] = {
	{
		.funcs = funcs,
	}, {}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int enable_patch(void)
{
	if (!strcmp(user, "livepatch_sleepable"))
		objs[0].funcs = sleepable_funcs;
	return klp_enable_patch(&patch);
}

MODULE_INFO(livepatch, "Y");
#else
static int enable_patch(void)
{
	return -EOPNOTSUPP;
}
#endif

static int pre_handler(struct kprobe *kp, struct pt_regs *regs)
{
	pre_hits++;
	return 0;
}

static void post_handler(struct kprobe *kp, struct pt_regs *regs, unsigned long flags)
{
	post_hits++;
}

static struct kprobe probe = {
	.symbol_name = TARGET,
	.pre_handler = pre_handler,
	.post_handler = post_handler,
};

static bool is_kprobe(void)
{
	return !strcmp(user, "kprobe");
}

/* Without ftrace below it, a kprobe is a breakpoint: of no use here. */
static int add_kprobe(void)
{
	return IS_ENABLED(CONFIG_KPROBES_ON_FTRACE) ? register_kprobe(&probe) : -EOPNOTSUPP;
}

static int __init bpf_test_ipmodify_init(void)
{
	return is_kprobe() ? add_kprobe() : enable_patch();
}

static void __exit bpf_test_ipmodify_exit(void)
{
	if (is_kprobe())
		unregister_kprobe(&probe);
}

module_init(bpf_test_ipmodify_init);
module_exit(bpf_test_ipmodify_exit);

MODULE_DESCRIPTION("BPF selftest module that modifies the ip of a function");
MODULE_LICENSE("GPL");
