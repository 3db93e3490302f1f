/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */

/*
 * Which functions a multi-link tracing program is attached to: lookup of
 * functions by name, and selection by patterns.
 */
#ifndef __LIBBPF_TRACING_MULTI_H
#define __LIBBPF_TRACING_MULTI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
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

/* Does a BPF trampoline serve functions of this signature? */
bool func_sig_is_supported(const struct btf *btf, __u32 func_id, bool needs_ret);

/* One element of a pattern: [!][mod:]name, both parts can be globs */
struct func_pattern {
	/* NULL if none is given */
	const char *mod;
	const char *name;
	/* stands for any number of functions */
	bool is_glob;
	bool mod_is_glob;
	/* stands for functions not to be taken, whatever else stands for them */
	bool is_exclusion;
};

struct func_patterns {
	struct func_pattern *elems;
	size_t cnt;
	/* any of elems is a glob, and no exclusion */
	bool has_glob;
	bool has_exclusion;
	/* what the strings in elems point into */
	char *buf;
};

int func_patterns__parse(struct func_patterns *pats, const char *list, const char *prog_name);
void func_patterns__free(struct func_patterns *pats);
/* The first element that is no exclusion */
const struct func_pattern *func_patterns__first(const struct func_patterns *pats);
/* Is the function not to be taken? */
bool func_patterns__exclude(const struct func_patterns *pats, const struct func_index *idx,
			    const char *name);
/* Does the module's name, or "vmlinux", match what stands before the colon? */
bool func_pattern__match_mod(const struct func_pattern *pat, const struct func_index *idx);

struct func_target {
	const struct func_index *funcs;
	__u32 id;
	/* position in what the user passed */
	__u32 pos;
	__u64 cookie;
	/* not just one of the functions that a glob stands for */
	bool is_named;
};

struct func_targets {
	struct func_target *elems;
	size_t cnt;
	size_t cap;
};

/* How many functions have matching names, and why how many of them weren't taken */
struct func_match_stats {
	size_t matched;
	size_t excluded;
	size_t untraceable;
	size_t ambiguous;
	size_t unsupported;
	/* the user's match_fn didn't want them */
	size_t unwanted;
};

int func_targets__add(struct func_targets *tgts, const struct func_target *tgt);
/* Adds the functions matching any glob that can be attached to. Globs without
 * a module stand for functions of this index if use_plain is set.
 */
int func_targets__add_globs(struct func_targets *tgts, const struct func_index *idx,
			    const struct func_patterns *pats, bool use_plain,
			    bool needs_ret, struct func_match_stats *stats);
/* Leaves one of each; sorts by object and id, with those that are named in front */
void func_targets__uniq(struct func_targets *tgts);
/* To be called after func_targets__uniq(): how many are named, and which of them
 * a function is, or -ENOENT
 */
size_t func_targets__nr_named(const struct func_targets *tgts);
ssize_t func_targets__find_named(const struct func_targets *tgts, int fd, __u32 id);
void func_targets__free(struct func_targets *tgts);

/* To be called before func_targets__add_globs(): finds which functions are
 * traceable and unambiguous, as far as the kernel lets us know. Each index
 * is looked at only once. -EAGAIN if modules come and go all the time.
 */
int func_index__scan(struct func_index **idxs, size_t cnt);

#endif /* __LIBBPF_TRACING_MULTI_H */
