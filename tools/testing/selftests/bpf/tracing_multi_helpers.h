/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_HELPERS_H
#define __TRACING_MULTI_HELPERS_H

#include "test_progs.h"
#include <bpf/btf.h>

#define MULTI_MAX 64
#define MULTI_NO_IDX 0xdeadbeef	/* what bad_idx is preset to */

/* The targets of one link, as the kernel wants them. */
struct multi_targets {
	__u32 ids[MULTI_MAX];
	int fds[MULTI_MAX];
	__u64 cookies[MULTI_MAX];
	__u32 cnt;
	bool use_cookies;
};

/* Around the functions below: load vmlinux' BTF, and drop all that was loaded. */
bool multi_init(void);
void multi_fini(void);

struct btf *multi_vmlinux_btf(void);
/* "func" in vmlinux or "module:func"; negative if there is none. */
int multi_func_id(const char *spec);
int multi_module_fd(const char *module);
__u32 multi_btf_obj_id(int btf_fd);
int multi_prog_func_id(int prog_fd, const char *func);

bool multi_add(struct multi_targets *t, const char *spec);
bool multi_add_prog(struct multi_targets *t, int prog_fd, const char *func);
/* Empty t, then add all specs up to a NULL. */
bool multi_set(struct multi_targets *t, ...);

/* BPF_LINK_CREATE's attr for prog on t, to be changed before multi_create(). */
void multi_attr(union bpf_attr *attr, const struct bpf_program *prog,
		const struct multi_targets *t);
/* Create a link from the first size bytes of attr: its fd or a negative errno. */
int multi_create_size(union bpf_attr *attr, __u32 size);
int multi_create(union bpf_attr *attr);
int multi_attach(const struct bpf_program *prog, const struct multi_targets *t);

bool multi_attached(const struct bpf_program *prog, const struct multi_targets *t,
		    const char *name);
/* The link must be refused with err because of target bad_idx (or none). */
bool multi_refused(const struct bpf_program *prog, const struct multi_targets *t,
		   int err, __u32 bad_idx, const char *name);
bool multi_create_refused(union bpf_attr *attr, int err, __u32 bad_idx,
			  const char *name);

/* Lines of a file of tracefs; images of trampolines whose keys start with key. */
int multi_tracefs_lines(const char *file);
int multi_images(const char *key);

#endif
