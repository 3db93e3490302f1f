// SPDX-License-Identifier: GPL-2.0
/* Programs whose sections are wrong: each either can't be loaded or can't be attached. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("?fentry.multi/")
int empty(void *ctx)
{
	return 0;
}

SEC("?fexit.multi.s/")
int empty_sleepable(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/bpf_fentry_test1,,bpf_fentry_test2")
int empty_element(void *ctx)
{
	return 0;
}

SEC("?fexit.multi/bpf_fentry_test*,")
int empty_end(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/!bpf_fentry_test1")
int only_exclusion(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/bpf_fentry_test[12]")
int bad_glob(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/bpf_testmod:")
int no_name(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/bpf_fentry_test1/bpf_fentry_test2")
int bad_separator(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/no_such_function,bpf_fentry_test1")
int no_function(void *ctx)
{
	return 0;
}

SEC("?fexit.multi/bpf_testmod:no_such_function")
int no_function_in_module(void *ctx)
{
	return 0;
}

SEC("?fmod_ret.multi/no_such_module:function")
int no_module(void *ctx)
{
	return 0;
}

/* what isn't first is looked up when the program is attached */
SEC("?fentry.multi/bpf_fentry_test1,no_such_function")
int no_second_function(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/bpf_fentry_test1,no_such_module:*")
int no_module_of_glob(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/no_such_function*")
int no_match(void *ctx)
{
	return 0;
}

SEC("?fexit.multi/no_such_*:*")
int no_match_in_modules(void *ctx)
{
	return 0;
}

SEC("?fentry.multi/bpf_fentry_test?,!*test*")
int all_excluded(void *ctx)
{
	return 0;
}

/* refused by the kernel */
SEC("?fexit.multi/bpf_fentry_test*,do_exit")
int may_not(void *ctx)
{
	return 0;
}

/* no such sections */
SEC("?fentry.multiple/bpf_fentry_test1")
int no_section(void *ctx)
{
	return 0;
}

SEC("?fsession.multi/bpf_fentry_test1")
int no_section_of_session(void *ctx)
{
	return 0;
}
