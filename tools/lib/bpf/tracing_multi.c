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
 * - names of several functions (/proc/kallsyms): BTF describes one of them, the
 *   kernel might take another;
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

/* Kernel's limits: arguments (MAX_BPF_FUNC_ARGS), which on x86 may take no more slots
 * of 8 bytes either, and bytes of one of them
 */
#define TRAMP_MAX_ARGS		12
#define TRAMP_MAX_ARG_SIZE	16
#define TRAMP_MAX_RET_SIZE	8

enum {
	FUNC_TRACEABLE	= 1 << 0,	/* ftrace knows a function of that name */
	FUNC_SYMBOL	= 1 << 1,	/* kallsyms knows a function of that name */
	FUNC_AMBIGUOUS	= 1 << 2,	/* there are several, see func_index_note() */
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

	pr_debug("indexed %zu functions in BTF of %s\n", hashmap__size(idx->ids),
		 is_prog ? "a BPF program" : mod ?: "vmlinux");
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

static bool pattern_part_ok(const char *s)
{
	if (!*s)
		return false;

	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("_.$-*?", *s))
			return false;
	}

	return true;
}

static bool is_glob(const char *s)
{
	return strpbrk(s, "*?");
}

static int func_pattern_parse(struct func_pattern *pat, char *elem)
{
	char *colon;

	memset(pat, 0, sizeof(*pat));
	if (*elem == '!') {
		pat->is_exclusion = true;
		elem++;
	}

	pat->name = elem;
	colon = strchr(elem, ':');
	if (colon) {
		*colon = '\0';
		pat->mod = elem;
		pat->name = colon + 1;
		if (!pattern_part_ok(pat->mod))
			return -EINVAL;
		pat->mod_is_glob = is_glob(pat->mod);
	}
	if (!pattern_part_ok(pat->name))
		return -EINVAL;

	pat->is_glob = pat->mod_is_glob || is_glob(pat->name);
	return 0;
}

int func_patterns__parse(struct func_patterns *pats, const char *list, const char *prog_name)
{
	struct func_pattern *pat;
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

		pat = &pats->elems[pats->cnt];
		err = func_pattern_parse(pat, elem);
		if (err) {
			pr_warn("prog '%s': '%.*s' in pattern '%s' is neither a function nor a glob\n",
				prog_name, (int)len, start, list);
			goto err_out;
		}
		pats->has_glob |= pat->is_glob && !pat->is_exclusion;
		pats->has_exclusion |= pat->is_exclusion;
		pats->cnt++;
	}

	if (!func_patterns__first(pats)) {
		pr_warn("prog '%s': pattern '%s' only tells which functions not to take\n",
			prog_name, list);
		err = -EINVAL;
		goto err_out;
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

const struct func_pattern *func_patterns__first(const struct func_patterns *pats)
{
	size_t i;

	for (i = 0; i < pats->cnt; i++) {
		if (!pats->elems[i].is_exclusion)
			return &pats->elems[i];
	}

	return NULL;
}

bool func_pattern__match_mod(const struct func_pattern *pat, const struct func_index *idx)
{
	return !idx->is_prog && glob_match(idx->mod ?: "vmlinux", pat->mod);
}

bool func_patterns__exclude(const struct func_patterns *pats, const struct func_index *idx,
			    const char *name)
{
	const struct func_pattern *pat;
	size_t i;

	/* elems can be a long list of names, which is not to be gone through for each */
	for (i = 0; i < pats->cnt && pats->has_exclusion; i++) {
		pat = &pats->elems[i];
		/* without a module: wherever the function is */
		if (pat->is_exclusion && glob_match(name, pat->name) &&
		    (!pat->mod || func_pattern__match_mod(pat, idx)))
			return true;
	}

	return false;
}

int func_targets__add(struct func_targets *tgts, const struct func_target *tgt)
{
	int err;

	err = libbpf_ensure_mem((void **)&tgts->elems, &tgts->cap,
				sizeof(*tgts->elems), tgts->cnt + 1);
	if (err)
		return err;

	tgts->elems[tgts->cnt++] = *tgt;
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

/* Of two names of one function, the kernel takes the one that comes first */
static int func_target_named_cmp(const void *a, const void *b)
{
	const struct func_target *x = a, *y = b;

	if (x->is_named != y->is_named)
		return x->is_named ? -1 : 1;
	return func_target_cmp(a, b);
}

void func_targets__uniq(struct func_targets *tgts)
{
	struct func_target *elems = tgts->elems;
	bool has_named, has_others;
	size_t i, cnt;

	if (!tgts->cnt)
		return;

	qsort(elems, tgts->cnt, sizeof(*elems), func_target_cmp);
	has_named = elems[0].is_named;
	has_others = !has_named;
	for (i = 1, cnt = 1; i < tgts->cnt; i++) {
		has_named |= elems[i].is_named;
		has_others |= !elems[i].is_named;
		if (func_target_cmp(&elems[i], &elems[cnt - 1]))
			elems[cnt++] = elems[i];
		else
			elems[cnt - 1].is_named |= elems[i].is_named;
	}
	tgts->cnt = cnt;

	if (has_named && has_others)
		qsort(elems, cnt, sizeof(*elems), func_target_named_cmp);
}

size_t func_targets__nr_named(const struct func_targets *tgts)
{
	size_t cnt = 0;

	while (cnt < tgts->cnt && tgts->elems[cnt].is_named)
		cnt++;
	return cnt;
}

ssize_t func_targets__find_named(const struct func_targets *tgts, int fd, __u32 id)
{
	const struct func_index funcs = { .fd = fd };
	const struct func_target *tgt, key = { .funcs = &funcs, .id = id };

	tgt = bsearch(&key, tgts->elems, func_targets__nr_named(tgts), sizeof(*tgt),
		      func_target_cmp);
	return tgt ? tgt - tgts->elems : -ENOENT;
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
	/* a structure, but no union */
	if (btf_is_int(t) || btf_is_any_enum(t) || btf_is_struct(t))
		return t->size;
	return -EINVAL;
}

static bool is_composite(const struct btf *btf, __u32 type_id)
{
	return btf_is_composite(skip_mods_and_typedefs(btf, type_id, NULL));
}

bool func_sig_is_supported(const struct btf *btf, __u32 func_id, bool needs_ret)
{
	const struct btf_type *t = btf__type_by_id(btf, func_id);
	const struct btf_param *p;
	int i, n, size, slots;

	t = btf__type_by_id(btf, t->type);
	if (!t || !btf_is_func_proto(t))
		return false;

	size = arg_size(btf, t->type);
	if (size < 0 || is_composite(btf, t->type) || (needs_ret && size > TRAMP_MAX_RET_SIZE))
		return false;

	n = btf_vlen(t);
	slots = n;
	for (i = 0, p = btf_params(t); i < n; i++, p++) {
		/* a void one at the end stands for variable arguments */
		size = arg_size(btf, p->type);
		if (size <= 0 || size > TRAMP_MAX_ARG_SIZE)
			return false;
#ifdef __x86_64__
		slots += size > 8;
#endif
	}

	return slots <= TRAMP_MAX_ARGS;
}

/* Can the function be attached to? If not, notes why. */
static bool func_is_attachable(const struct func_index *idx, __u32 id, bool needs_ret,
			       struct func_match_stats *stats)
{
	__u8 flags = FUNC_NO_TRACEFS;

	if (!idx->is_prog)
		flags = idx->flags ? idx->flags[id - idx->start_id] : 0;

	if (!(flags & (FUNC_TRACEABLE | FUNC_NO_TRACEFS))) {
		stats->untraceable++;
		return false;
	}
	if (flags & FUNC_AMBIGUOUS) {
		stats->ambiguous++;
		return false;
	}
	if (!func_sig_is_supported(idx->btf, id, needs_ret)) {
		stats->unsupported++;
		return false;
	}

	return true;
}

static bool match_any(const char *name, const char **globs, size_t cnt)
{
	size_t i;

	for (i = 0; i < cnt; i++) {
		if (glob_match(name, globs[i]))
			return true;
	}

	return false;
}

/* The globs that stand for functions of this index, NULL if memory is short */
static const char **index_globs(const struct func_index *idx, const struct func_patterns *pats,
				bool use_plain, size_t *cnt)
{
	const struct func_pattern *pat;
	const char **globs;
	size_t i;

	*cnt = 0;
	globs = calloc(pats->cnt, sizeof(*globs));
	if (!globs)
		return NULL;

	for (i = 0; i < pats->cnt; i++) {
		pat = &pats->elems[i];
		if (!pat->is_glob || pat->is_exclusion)
			continue;
		if (pat->mod ? func_pattern__match_mod(pat, idx) : use_plain)
			globs[(*cnt)++] = pat->name;
	}

	return globs;
}

int func_targets__add_globs(struct func_targets *tgts, const struct func_index *idx,
			    const struct func_patterns *pats, bool use_plain,
			    bool needs_ret, struct func_match_stats *stats)
{
	__u32 id, cnt = btf__type_cnt(idx->btf);
	struct func_target tgt = { .funcs = idx };
	const char **globs, *name;
	size_t nr_globs;
	int err = 0;

	globs = index_globs(idx, pats, use_plain, &nr_globs);
	if (!globs)
		return -ENOMEM;

	for (id = idx->start_id; id < cnt && !err; id++) {
		if (!btf_is_func(btf__type_by_id(idx->btf, id)))
			continue;

		name = func_index__name(idx, id);
		if (!match_any(name, globs, nr_globs) || func_index__find(idx, name) != id)
			continue;

		stats->matched++;
		if (func_patterns__exclude(pats, idx, name)) {
			stats->excluded++;
			continue;
		}
		if (!func_is_attachable(idx, id, needs_ret, stats))
			continue;

		tgt.id = id;
		tgt.pos = tgts->cnt;
		err = func_targets__add(tgts, &tgt);
	}

	free(globs);
	return err;
}

/* Notes what a file tells of a function. A second symbol of that name is a second
 * function. A second line in ftrace's list is one only if symbols aren't known: the
 * code of a weak function that was overridden has no symbol, and where ftrace still
 * has it, it is listed by the name of the symbol before.
 */
static void func_index_note(struct func_index *idx, const char *name, __u8 flag)
{
	__u8 *flags;
	int id;

	id = func_index__find(idx, name);
	if (id < 0)
		return;

	flags = &idx->flags[id - idx->start_id];
	if (!(*flags & flag))
		*flags |= flag;
	else if (flag == FUNC_SYMBOL || !(*flags & FUNC_SYMBOL))
		*flags |= FUNC_AMBIGUOUS;
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

/* Which of many indexes the symbols of a module belong to. They come module by
 * module, so that it's mostly the one of the symbol before.
 */
struct index_finder {
	struct func_index **idxs;
	size_t cnt;
	struct func_index *vmlinux;
	/* last module that was asked for, and its index, if there is one */
	char mod[64];
	struct func_index *mod_idx;
};

static void index_finder__init(struct index_finder *finder, struct func_index **idxs, size_t cnt)
{
	size_t i;

	memset(finder, 0, sizeof(*finder));
	finder->idxs = idxs;
	finder->cnt = cnt;
	for (i = 0; i < cnt; i++) {
		if (!idxs[i]->mod)
			finder->vmlinux = idxs[i];
	}
}

static struct func_index *index_finder__find(struct index_finder *finder, const char *mod)
{
	size_t i;

	if (!mod)
		return finder->vmlinux;
	if (strcmp(mod, finder->mod) == 0)
		return finder->mod_idx;

	libbpf_strlcpy(finder->mod, mod, sizeof(finder->mod));
	finder->mod_idx = NULL;
	for (i = 0; i < finder->cnt; i++) {
		if (finder->idxs[i]->mod && strcmp(finder->idxs[i]->mod, mod) == 0)
			finder->mod_idx = finder->idxs[i];
	}
	return finder->mod_idx;
}

static FILE *open_available_functions(void)
{
	FILE *f = fopen("/sys/kernel/tracing/available_filter_functions", "re");

	return f ?: fopen("/sys/kernel/debug/tracing/available_filter_functions", "re");
}

/* How many types are the object's own, so have flags */
static __u32 func_index_cnt(const struct func_index *idx)
{
	return btf__type_cnt(idx->btf) - idx->start_id;
}

static void func_index_no_tracefs(struct func_index *idx)
{
	__u32 i, cnt = func_index_cnt(idx);

	for (i = 0; i < cnt; i++)
		idx->flags[i] |= FUNC_NO_TRACEFS;
}

/* After scan_kallsyms() */
static int scan_available_functions(struct func_index **idxs, size_t cnt)
{
	struct index_finder finder;
	char *line = NULL, *name, *mod;
	struct func_index *idx;
	size_t sz = 0, i;
	int err = 0;
	FILE *f;

	f = open_available_functions();
	if (!f) {
		pr_debug("available_filter_functions can't be read, globs take everything in BTF\n");
		for (i = 0; i < cnt; i++)
			func_index_no_tracefs(idxs[i]);
		return 0;
	}

	index_finder__init(&finder, idxs, cnt);
	while (getline(&line, &sz, f) > 0) {
		name = split_symbol(line, &mod);
		idx = index_finder__find(&finder, mod);
		if (idx)
			func_index_note(idx, name, FUNC_TRACEABLE);
	}
	if (!feof(f))
		err = -errno;

	free(line);
	fclose(f);
	return err;
}

/* Lines are "<address> <type> <name>[\t[<module>]]" */
static int scan_kallsyms(struct func_index **idxs, size_t cnt)
{
	char *line = NULL, *sym, *name, *mod;
	struct index_finder finder;
	struct func_index *idx;
	size_t sz = 0;
	int err = 0;
	FILE *f;

	f = fopen("/proc/kallsyms", "re");
	if (!f) {
		pr_debug("/proc/kallsyms can't be read, globs leave out only ambiguous names that can be traced\n");
		return 0;
	}

	index_finder__init(&finder, idxs, cnt);
	while (getline(&line, &sz, f) > 0) {
		sym = strchr(line, ' ');
		if (!sym || !sym[1] || !strchr("tTwW", sym[1]) || sym[2] != ' ')
			continue;

		name = split_symbol(sym + 3, &mod);
		/* trampolines and BPF programs: at the end, and slow to read */
		if (mod && strcmp(mod, "bpf") == 0)
			goto out;
		idx = index_finder__find(&finder, mod);
		if (idx)
			func_index_note(idx, name, FUNC_SYMBOL);
	}
	if (!feof(f))
		err = -errno;

out:
	free(line);
	fclose(f);
	return err;
}

/* The modules in their order, and their states: what decides where in /proc/kallsyms and
 * in ftrace's list the lines of each of them are. (A module counts as live for a moment
 * before its symbols of init code go, which isn't noticed.) Lines are
 * "<name> <size> <references> <users> <state> <address>".
 */
static size_t hash_modules(void)
{
	char *line = NULL, name[64], state[16];
	size_t sz = 0, hash = 0;
	FILE *f;

	f = fopen("/proc/modules", "re");
	if (!f)
		return 0;

	while (getline(&line, &sz, f) > 0) {
		if (sscanf(line, "%63s %*s %*s %*s %15s", name, state) == 2)
			hash = (hash * 31 + str_hash(name)) * 31 + str_hash(state);
	}

	free(line);
	fclose(f);
	return hash;
}

static bool has_module(struct func_index **idxs, size_t cnt)
{
	size_t i;

	for (i = 0; i < cnt; i++) {
		if (idxs[i]->mod)
			return true;
	}

	return false;
}

static void forget_flags(struct func_index **idxs, size_t cnt)
{
	size_t i;

	for (i = 0; i < cnt; i++)
		memset(idxs[i]->flags, 0, func_index_cnt(idxs[i]));
}

#define SCAN_TRIES 10

/* The files are read in pieces, and the kernel counts lines to find where to go on. So if
 * a module comes or goes meanwhile, lines of others are read twice, or not at all. Those
 * of vmlinux come first.
 */
static int scan(struct func_index **idxs, size_t cnt)
{
	size_t modules;
	int err, i;

	for (i = 0; i < SCAN_TRIES; i++) {
		modules = hash_modules();
		pr_debug("looking up which functions of %zu BTF object(s) can be traced\n", cnt);
		err = scan_kallsyms(idxs, cnt) ?: scan_available_functions(idxs, cnt);
		if (err) {
			pr_warn("can't read which functions can be traced: %d\n", err);
			return err;
		}
		if (!has_module(idxs, cnt) || hash_modules() == modules)
			return 0;
		forget_flags(idxs, cnt);
	}

	pr_warn("can't read which functions of modules can be traced: modules come and go all the time\n");
	return -EAGAIN;
}

int func_index__scan(struct func_index **idxs, size_t cnt)
{
	struct func_index **todo;
	size_t i, n = 0;
	int err = -ENOMEM;

	todo = calloc(cnt, sizeof(*todo));
	if (!todo)
		return -ENOMEM;

	for (i = 0; i < cnt; i++) {
		if (idxs[i]->flags || idxs[i]->is_prog)
			continue;

		idxs[i]->flags = calloc(func_index_cnt(idxs[i]) + 1, 1);
		if (!idxs[i]->flags)
			goto err_out;
		todo[n++] = idxs[i];
	}

	err = n ? scan(todo, n) : 0;
	if (err)
		goto err_out;

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
