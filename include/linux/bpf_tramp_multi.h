/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BPF_TRAMP_MULTI_H
#define _LINUX_BPF_TRAMP_MULTI_H

#include <linux/bpf.h>

/*
 * One link, one program, many trampolines:
 *
 *	link (bpf_tramp_multi_link)
 *	  entries[0]: conn  --in progs_hlist of-->  trampoline of function 0
 *	  entries[1]: conn  --in progs_hlist of-->  trampoline of function 1
 *	  ...
 *
 * kernel/bpf/trampoline_multi.c adds the conns of a link to its trampolines
 * and takes them away again. Who creates the link, kernel/bpf/tracing_multi.c,
 * finds the targets and gets their trampolines.
 */

/* What bpf_get_func_ip() gives for a target, and the target's cookie */
struct bpf_tramp_ip_cookie {
	unsigned long ip;
	u64 cookie;
};

/**
 * struct bpf_tramp_multi_cookies - cookies of the targets of a multi link
 * @rcu: to free it when no program can be running any more that looks at it
 * @cookie: cookie of all targets, if @cnt is 0
 * @cnt: number of elements of @by_ip
 * @by_ip: the cookies of the functions, in the order of their addresses
 *
 * One image may serve many targets. So it gives programs no cookie, but this,
 * and bpf_get_attach_cookie() finds the cookie of the function it's called for.
 */
struct bpf_tramp_multi_cookies {
	struct bpf_tramp_rcu rcu;
	u64 cookie;
	u32 cnt;
	struct bpf_tramp_ip_cookie by_ip[];
};

/**
 * struct bpf_tramp_multi_link_entry - one target of a multi link
 * @conn: what connects the link to @trampoline; conn.cookie is the target's
 *	cookie until it is attached, see bpf_tramp_multi_link_cookie()
 * @trampoline: trampoline of the target, the entry holds a reference to it
 */
struct bpf_tramp_multi_link_entry {
	struct bpf_tramp_link_conn conn;
	struct bpf_trampoline *trampoline;
};

/**
 * struct bpf_tramp_multi_link - link to many trampolines
 * @link: the link, whose program is attached
 * @cnt: number of @entries in use
 * @entries: the targets, in the order in which the creator of the link gave them
 * @by_ip: indices of the entries in the order of addresses
 * @cookies: cookies of the targets, NULL if all are 0; set and freed along with
 *	attaching
 *
 * The creator fills @entries and @cnt, and gets room for @by_ip. They don't change
 * from the return of bpf_trampoline_multi_link_prog() to the end of the link, so
 * that readers who hold a reference to the link need no lock. Only the program of
 * @link does, by bpf_trampoline_multi_update_prog().
 */
struct bpf_tramp_multi_link {
	struct bpf_link link;
	u32 cnt;
	struct bpf_tramp_multi_link_entry *entries;
	u32 *by_ip;
	struct bpf_tramp_multi_cookies *cookies;
};

/**
 * bpf_tramp_target_refused - tell refusal of one target from a general failure
 * @err: negative error of checking or attaching one target
 *
 * Return: true if @err says that this target can't be attached, whatever
 * happens to the others. False for lack of resources, or a signal: going on
 * with the other targets makes no sense then.
 */
static inline bool bpf_tramp_target_refused(int err)
{
	switch (err) {
	case -EINVAL:
	case -ENOENT:
	case -EOPNOTSUPP:
	case -ENOTSUPP:
	case -EBUSY:
	case -E2BIG:
		return true;
	default:
		return false;
	}
}

int bpf_trampoline_multi_link_prog(struct bpf_tramp_multi_link *mlink, bool skip_refused,
				   u32 *bad_entry);
int bpf_trampoline_multi_update_prog(struct bpf_tramp_multi_link *mlink, struct bpf_prog *prog);
void bpf_trampoline_multi_unlink_prog(struct bpf_tramp_multi_link *mlink);
void bpf_trampoline_multi_free(struct bpf_tramp_multi_link *mlink);

#ifdef CONFIG_BPF_JIT
u64 bpf_tramp_multi_cookie(const struct bpf_tramp_multi_cookies *cookies, unsigned long ip);
#else
static inline u64 bpf_tramp_multi_cookie(const struct bpf_tramp_multi_cookies *cookies,
					 unsigned long ip)
{
	return 0;
}
#endif

/* Cookie of a target of a link that is attached */
static inline u64 bpf_tramp_multi_link_cookie(const struct bpf_tramp_multi_link *mlink,
					      const struct bpf_tramp_multi_link_entry *entry)
{
	return bpf_tramp_multi_cookie(mlink->cookies, (unsigned long)entry->trampoline->func.addr);
}

#endif /* _LINUX_BPF_TRAMP_MULTI_H */
