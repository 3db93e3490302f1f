/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */

/*
 * Which functions a multi-link tracing program is attached to: lookup of
 * functions by name, and selection by patterns.
 */
#ifndef __LIBBPF_TRACING_MULTI_H
#define __LIBBPF_TRACING_MULTI_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

struct btf;
struct hashmap;

/* The functions of one BTF object: vmlinux, a module or a BPF program */
struct func_index {
	const struct btf *btf;
	/* how BPF_LINK_CREATE names the object, 0 for vmlinux */
	int fd;
	/* name of the module, NULL if it isn't one */
	const char *mod;
	/* BPF program: neither tracefs nor kallsyms knows of its functions */
	bool is_prog;

	/* name -> BTF id of the first function of that name */
	struct hashmap *ids;
	/* first id that is the object's own */
	__u32 start_id;
	/* FUNC_* of each id from start_id on, NULL if not looked for yet */
	__u8 *flags;
};

struct func_index *func_index__new(const struct btf *btf, int fd, const char *mod, bool is_prog);
void func_index__free(struct func_index *idx);

/* BTF id of a function, -ENOENT if there's none of that name */
int func_index__find(const struct func_index *idx, const char *name);
const char *func_index__name(const struct func_index *idx, __u32 id);

/* One element of a pattern: [mod:]name or [mod:]glob */
struct func_pattern {
	/* NULL if none is given */
	const char *mod;
	const char *name;
	bool is_glob;
};

struct func_patterns {
	struct func_pattern *elems;
	size_t cnt;
	/* any of elems is a glob */
	bool has_glob;
	/* what the strings in elems point into */
	char *buf;
};

int func_patterns__parse(struct func_patterns *pats, const char *list, const char *prog_name);
void func_patterns__free(struct func_patterns *pats);

struct func_target {
	const struct func_index *funcs;
	__u32 id;
	/* position in what the user passed */
	__u32 pos;
	__u64 cookie;
};

struct func_targets {
	struct func_target *elems;
	size_t cnt;
	size_t cap;
};

int func_targets__add(struct func_targets *tgts, const struct func_index *idx,
		      __u32 id, __u32 pos, __u64 cookie);
/* Adds the functions matching the glob that can be attached to */
int func_targets__add_glob(struct func_targets *tgts, const struct func_index *idx,
			   const char *glob, bool needs_ret);
/* Sorts by object and id, leaves one of each */
void func_targets__uniq(struct func_targets *tgts);
void func_targets__free(struct func_targets *tgts);

/* To be called before func_targets__add_glob(): finds which functions are
 * traceable and unambiguous, as far as the kernel lets us know. Each index
 * is looked at only once; idxs can have duplicates and NULLs.
 */
int func_index__scan(struct func_index **idxs, size_t cnt);

#endif /* __LIBBPF_TRACING_MULTI_H */
