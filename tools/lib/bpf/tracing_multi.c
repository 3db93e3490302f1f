// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)

/*
 * Which functions a multi-link tracing program is attached to.
 *
 * BPF_LINK_CREATE takes BTF ids. Names are found in a hash that is built once
 * for each BTF object, as going through all types of vmlinux for each of
 * thousands of names would take minutes.
 *
 * A glob stands for the functions that can be attached to, not for everything
 * that has such a name in BTF. Those are out:
 * - functions that ftrace doesn't know (available_filter_functions);
 * - names of several functions (/proc/kallsyms, available_filter_functions):
 *   BTF describes one of them, the kernel might take another;
 * - signatures which no BPF trampoline serves;
 * - a second BTF function of the same name, as pahole emits for system calls.
 * What else the kernel refuses (its deny lists, prototypes that don't match)
 * only the kernel knows.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/err.h>
#include <linux/kernel.h>

#include "btf.h"
#include "hashmap.h"
#include "libbpf.h"
#include "libbpf_internal.h"
#include "tracing_multi.h"

/* Kernel's limits: arguments (MAX_BPF_FUNC_ARGS), and bytes of one of them */
#define TRAMP_MAX_ARGS		12
#define TRAMP_MAX_ARG_SIZE	16
#define TRAMP_MAX_RET_SIZE	8

enum {
	FUNC_TRACEABLE	= 1 << 0,	/* ftrace knows a function of that name */
	FUNC_SYMBOL	= 1 << 1,	/* kallsyms knows a function of that name */
	FUNC_AMBIGUOUS	= 1 << 2,	/* one of them knows several */
	FUNC_NO_TRACEFS	= 1 << 3,	/* it isn't known what is traceable */
};

static size_t func_name_hash(long key, void *ctx)
{
	return str_hash((const char *)key);
}

static bool func_name_equal(long key1, long key2, void *ctx)
{
	return strcmp((const char *)key1, (const char *)key2) == 0;
}

const char *func_index__name(const struct func_index *idx, __u32 id)
{
	return btf__name_by_offset(idx->btf, btf__type_by_id(idx->btf, id)->name_off);
}

struct func_index *func_index__new(const struct btf *btf, int fd, const char *mod, bool is_prog)
{
	const struct btf *base = btf__base_btf(btf);
	__u32 id, cnt = btf__type_cnt(btf);
	struct func_index *idx;
	const char *name;
	int err;

	idx = calloc(1, sizeof(*idx));
	if (!idx)
		return ERR_PTR(-ENOMEM);

	idx->btf = btf;
	idx->fd = fd;
	idx->mod = mod;
	idx->is_prog = is_prog;
	idx->start_id = base ? btf__type_cnt(base) : 1;
	idx->ids = hashmap__new(func_name_hash, func_name_equal, NULL);
	if (IS_ERR(idx->ids)) {
		err = PTR_ERR(idx->ids);
		idx->ids = NULL;
		goto err_out;
	}

	for (id = idx->start_id; id < cnt; id++) {
		if (!btf_is_func(btf__type_by_id(btf, id)))
			continue;

		/* the first one wins, as in btf__find_by_name_kind() */
		name = func_index__name(idx, id);
		err = hashmap__add(idx->ids, name, id);
		if (err && err != -EEXIST)
			goto err_out;
	}

	return idx;

err_out:
	func_index__free(idx);
	return ERR_PTR(err);
}

void func_index__free(struct func_index *idx)
{
	if (IS_ERR_OR_NULL(idx))
		return;

	hashmap__free(idx->ids);
	free(idx->flags);
	free(idx);
}

int func_index__find(const struct func_index *idx, const char *name)
{
	long id;

	return hashmap__find(idx->ids, name, &id) ? id : -ENOENT;
}

static bool pattern_part_ok(const char *s, bool allow_glob)
{
	if (!*s)
		return false;

	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("_.$-", *s))
			continue;
		if (allow_glob && (*s == '*' || *s == '?'))
			continue;
		return false;
	}

	return true;
}

static int func_pattern_parse(struct func_pattern *pat, char *elem)
{
	char *colon = strchr(elem, ':');

	pat->mod = NULL;
	pat->name = elem;
	if (colon) {
		*colon = '\0';
		pat->mod = elem;
		pat->name = colon + 1;
		if (!pattern_part_ok(pat->mod, false))
			return -EINVAL;
	}
	if (!pattern_part_ok(pat->name, true))
		return -EINVAL;

	pat->is_glob = strpbrk(pat->name, "*?");
	return 0;
}

int func_patterns__parse(struct func_patterns *pats, const char *list, const char *prog_name)
{
	size_t cap = 0, len;
	const char *start;
	char *next, *elem;
	int err;

	memset(pats, 0, sizeof(*pats));
	pats->buf = strdup(list);
	if (!pats->buf)
		return -ENOMEM;

	for (next = pats->buf; (elem = strsep(&next, ",")); ) {
		start = list + (elem - pats->buf);
		len = strlen(elem);

		err = libbpf_ensure_mem((void **)&pats->elems, &cap,
					sizeof(*pats->elems), pats->cnt + 1);
		if (err)
			goto err_out;

		err = func_pattern_parse(&pats->elems[pats->cnt], elem);
		if (err) {
			pr_warn("prog '%s': '%.*s' in pattern '%s' is neither a function nor a glob\n",
				prog_name, (int)len, start, list);
			goto err_out;
		}
		pats->has_glob |= pats->elems[pats->cnt].is_glob;
		pats->cnt++;
	}

	return 0;

err_out:
	func_patterns__free(pats);
	return err;
}

void func_patterns__free(struct func_patterns *pats)
{
	free(pats->elems);
	free(pats->buf);
	memset(pats, 0, sizeof(*pats));
}

int func_targets__add(struct func_targets *tgts, const struct func_index *idx,
		      __u32 id, __u32 pos, __u64 cookie)
{
	struct func_target *tgt;
	int err;

	err = libbpf_ensure_mem((void **)&tgts->elems, &tgts->cap,
				sizeof(*tgts->elems), tgts->cnt + 1);
	if (err)
		return err;

	tgt = &tgts->elems[tgts->cnt++];
	tgt->funcs = idx;
	tgt->id = id;
	tgt->pos = pos;
	tgt->cookie = cookie;
	return 0;
}

static int func_target_cmp(const void *a, const void *b)
{
	const struct func_target *x = a, *y = b;

	if (x->funcs->fd != y->funcs->fd)
		return x->funcs->fd < y->funcs->fd ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return 0;
}

void func_targets__uniq(struct func_targets *tgts)
{
	struct func_target *elems = tgts->elems;
	size_t i, cnt;

	if (!tgts->cnt)
		return;

	qsort(elems, tgts->cnt, sizeof(*elems), func_target_cmp);
	for (i = 1, cnt = 1; i < tgts->cnt; i++) {
		if (func_target_cmp(&elems[i], &elems[cnt - 1]))
			elems[cnt++] = elems[i];
	}
	tgts->cnt = cnt;
}

void func_targets__free(struct func_targets *tgts)
{
	free(tgts->elems);
	memset(tgts, 0, sizeof(*tgts));
}

/* What the kernel takes for the size of an argument, -EINVAL if it takes none
 * of that type.
 */
static int arg_size(const struct btf *btf, __u32 type_id)
{
	const struct btf_type *t = skip_mods_and_typedefs(btf, type_id, NULL);

	if (btf_is_void(t))
		return 0;
	if (btf_is_ptr(t))
		return 8;
	if (btf_is_int(t) || btf_is_any_enum(t) || btf_is_composite(t))
		return t->size;
	return -EINVAL;
}

static bool is_composite(const struct btf *btf, __u32 type_id)
{
	return btf_is_composite(skip_mods_and_typedefs(btf, type_id, NULL));
}

static bool trampoline_serves(const struct btf *btf, __u32 func_id, bool needs_ret)
{
	const struct btf_type *t = btf__type_by_id(btf, func_id);
	const struct btf_param *p;
	int i, n, size, slots = 0;

	t = btf__type_by_id(btf, t->type);
	if (!t || !btf_is_func_proto(t))
		return false;

	size = arg_size(btf, t->type);
	if (size < 0 || is_composite(btf, t->type) || (needs_ret && size > TRAMP_MAX_RET_SIZE))
		return false;

	n = btf_vlen(t);
	for (i = 0, p = btf_params(t); i < n; i++, p++) {
		/* a void one at the end stands for variable arguments */
		size = arg_size(btf, p->type);
		if (size <= 0 || size > TRAMP_MAX_ARG_SIZE)
			return false;
		slots += (size + 7) / 8;
	}

	return slots <= TRAMP_MAX_ARGS;
}

static bool func_is_attachable(const struct func_index *idx, __u32 id)
{
	__u8 flags;

	if (idx->is_prog)
		return true;
	if (!idx->flags)
		return false;

	flags = idx->flags[id - idx->start_id];
	return (flags & (FUNC_TRACEABLE | FUNC_NO_TRACEFS)) && !(flags & FUNC_AMBIGUOUS);
}

int func_targets__add_glob(struct func_targets *tgts, const struct func_index *idx,
			   const char *glob, bool needs_ret)
{
	__u32 id, cnt = btf__type_cnt(idx->btf);
	const char *name;
	int err;

	for (id = idx->start_id; id < cnt; id++) {
		if (!btf_is_func(btf__type_by_id(idx->btf, id)))
			continue;

		name = func_index__name(idx, id);
		if (!glob_match(name, glob) || !func_is_attachable(idx, id))
			continue;
		if (func_index__find(idx, name) != id)
			continue;
		if (!trampoline_serves(idx->btf, id, needs_ret))
			continue;

		err = func_targets__add(tgts, idx, id, tgts->cnt, 0);
		if (err)
			return err;
	}

	return 0;
}

static void func_index_note(struct func_index *idx, const char *name, __u8 flag)
{
	__u8 *flags;
	int id;

	id = func_index__find(idx, name);
	if (id < 0)
		return;

	flags = &idx->flags[id - idx->start_id];
	*flags |= *flags & flag ? FUNC_AMBIGUOUS : flag;
}

/* The name and, if there is one, the module of "<name>[ \t][<module>]" */
static char *split_symbol(char *line, char **mod)
{
	char *name, *end;

	name = strsep(&line, " \t\n");
	*mod = NULL;
	if (line && *line == '[') {
		*mod = line + 1;
		end = strchr(line, ']');
		if (end)
			*end = '\0';
	}

	return name;
}

static struct func_index *find_index(struct func_index **idxs, size_t cnt, const char *mod)
{
	size_t i;

	for (i = 0; i < cnt; i++) {
		if (mod ? idxs[i]->mod && strcmp(idxs[i]->mod, mod) == 0 : !idxs[i]->mod)
			return idxs[i];
	}

	return NULL;
}

static FILE *open_available_functions(void)
{
	FILE *f = fopen("/sys/kernel/tracing/available_filter_functions", "re");

	return f ?: fopen("/sys/kernel/debug/tracing/available_filter_functions", "re");
}

static void scan_available_functions(struct func_index **idxs, size_t cnt)
{
	struct func_index *idx;
	char *line = NULL, *name, *mod;
	size_t sz = 0, i;
	FILE *f;

	f = open_available_functions();
	if (!f) {
		pr_debug("available_filter_functions can't be read, globs take everything in BTF\n");
		for (i = 0; i < cnt; i++)
			memset(idxs[i]->flags, FUNC_NO_TRACEFS,
			       btf__type_cnt(idxs[i]->btf) - idxs[i]->start_id);
		return;
	}

	while (getline(&line, &sz, f) > 0) {
		name = split_symbol(line, &mod);
		idx = find_index(idxs, cnt, mod);
		if (idx)
			func_index_note(idx, name, FUNC_TRACEABLE);
	}

	free(line);
	fclose(f);
}

/* Lines are "<address> <type> <name>[\t[<module>]]" */
static void scan_kallsyms(struct func_index **idxs, size_t cnt)
{
	struct func_index *idx;
	char *line = NULL, *sym, *name, *mod;
	size_t sz = 0;
	FILE *f;

	f = fopen("/proc/kallsyms", "re");
	if (!f) {
		pr_debug("/proc/kallsyms can't be read, globs don't leave out ambiguous names\n");
		return;
	}

	while (getline(&line, &sz, f) > 0) {
		sym = strchr(line, ' ');
		if (!sym || !sym[1] || !strchr("tTwW", sym[1]) || sym[2] != ' ')
			continue;

		name = split_symbol(sym + 3, &mod);
		/* trampolines and BPF programs: at the end, and slow to read */
		if (mod && strcmp(mod, "bpf") == 0)
			break;
		idx = find_index(idxs, cnt, mod);
		if (idx)
			func_index_note(idx, name, FUNC_SYMBOL);
	}

	free(line);
	fclose(f);
}

int func_index__scan(struct func_index **idxs, size_t cnt)
{
	struct func_index **todo;
	size_t i, n = 0;
	int err;

	todo = calloc(cnt, sizeof(*todo));
	if (!todo)
		return -ENOMEM;

	for (i = 0; i < cnt; i++) {
		if (!idxs[i] || idxs[i]->flags || idxs[i]->is_prog)
			continue;

		idxs[i]->flags = calloc(btf__type_cnt(idxs[i]->btf) - idxs[i]->start_id + 1, 1);
		if (!idxs[i]->flags) {
			err = -ENOMEM;
			goto err_out;
		}
		todo[n++] = idxs[i];
	}

	if (n) {
		scan_available_functions(todo, n);
		scan_kallsyms(todo, n);
	}

	free(todo);
	return 0;

err_out:
	/* not looked at: the next call has to */
	while (n--) {
		free(todo[n]->flags);
		todo[n]->flags = NULL;
	}
	free(todo);
	return err;
}
