/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KERNEL_BPF_TRAMPOLINE_H
#define _KERNEL_BPF_TRAMPOLINE_H

#include <linux/bpf.h>

/*
 * What the files that make up trampolines share:
 *
 *	trampoline.c		trampolines, the programs of each, their images
 *	trampoline_shared.c	images that many trampolines use
 *	trampoline_drain.c	images that only calls in flight still use
 *	trampoline_multi.c	updates of many trampolines
 *
 * Any change of a trampoline goes like this, under its lock:
 *
 *	bpf_trampoline_add_conn(tr, conn) or bpf_trampoline_del_conn(tr, conn)
 *	bpf_trampoline_update(tr, ...)
 *
 * Where many are updated together, the second step is, for each of them,
 *
 *	im = bpf_trampoline_make_image(tr)
 *	let the function call im->image, or nothing if im is NULL
 *	bpf_trampoline_commit_image(tr, im)
 *
 * Where a link gets another program, no connection comes or goes, and that is all.
 *
 * Lock order: trampoline locks, in the order of the pool, and under them one of
 *	shared_images_mutex -> pack_mutex (core.c) -> text_mutex
 *	draining_mutex -> text_mutex
 *	direct_mutex (ftrace.c) -> ftrace_lock (ftrace.c) -> text_mutex
 *	ext_mutex of a program that is extended
 * but ftrace holds direct_mutex when it asks for a change: it may only try to
 * get the trampoline's lock then, and the others are taken under both. On riscv, where
 * all CPUs are stopped to patch text, cpu_hotplug_lock comes right before text_mutex,
 * and on s390, where they are interrupted afterwards, in its place.
 */
void bpf_trampoline_lock(struct bpf_trampoline *tr);
void bpf_trampoline_unlock(struct bpf_trampoline *tr);
void bpf_trampoline_lock_all(void);
void bpf_trampoline_unlock_all(void);
void bpf_trampoline_assert_locked(const struct bpf_trampoline *tr);

int bpf_trampoline_nr_conns(const struct bpf_trampoline *tr, const struct bpf_prog *prog);
int bpf_trampoline_check_conn(const struct bpf_trampoline *tr,
			      const struct bpf_tramp_link_conn *conn);
void bpf_trampoline_add_conn(struct bpf_trampoline *tr, struct bpf_tramp_link_conn *conn);
void bpf_trampoline_del_conn(struct bpf_trampoline *tr, struct bpf_tramp_link_conn *conn);

struct bpf_tramp_image *bpf_trampoline_make_image(struct bpf_trampoline *tr);
struct bpf_tramp_image *bpf_trampoline_make_image_nofail(struct bpf_trampoline *tr);
int bpf_trampoline_update(struct bpf_trampoline *tr, bool detach, bool lock_direct_mutex);
void bpf_trampoline_commit_image(struct bpf_trampoline *tr, struct bpf_tramp_image *im);
void bpf_tramp_image_discard(struct bpf_tramp_image *im);

/* Does an image with these flags live with the modified return address that a
 * function with an IPMODIFY user (live patch, kprobe) has?
 */
static inline bool bpf_tramp_flags_share_ipmodify(u32 flags)
{
	return !(flags & BPF_TRAMP_F_SHARED) &&
		(!(flags & BPF_TRAMP_F_CALL_ORIG) || (flags & BPF_TRAMP_F_ORIG_STACK));
}

/* for trampoline_shared.c */
u32 bpf_trampoline_image_flags(const struct bpf_trampoline *tr);
struct bpf_tramp_image *bpf_tramp_image_create(const struct bpf_trampoline *tr,
					       const struct btf_func_model *model,
					       u32 flags, const char *name);

struct bpf_tramp_image *bpf_tramp_shared_image_get(const struct bpf_trampoline *tr);
bool bpf_tramp_shared_image_put(struct bpf_tramp_image *im);
void bpf_tramp_shared_images_retire(const struct bpf_link *link);

/* for trampoline_drain.c */
void bpf_tramp_image_skip_fexit(struct bpf_tramp_image *im);

int bpf_tramp_image_note_progs(struct bpf_tramp_image *im, const struct bpf_tramp_links *tlinks);
const struct bpf_prog *bpf_tramp_image_prog_of(const struct bpf_tramp_image *im,
					       const struct bpf_link *link);
void bpf_tramp_image_drain(struct bpf_tramp_image *im, struct bpf_trampoline *tr);
void bpf_tramp_image_drained(struct bpf_tramp_image *im);
void bpf_trampoline_stop_draining(struct bpf_trampoline *tr, const struct bpf_link *link);
void bpf_link_stop_draining(const struct bpf_link *link);

#endif /* _KERNEL_BPF_TRAMPOLINE_H */
