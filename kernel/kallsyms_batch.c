// SPDX-License-Identifier: GPL-2.0-only
/*
 * Look up many symbols by name.
 *
 * A single lookup takes a binary search, at each step of which a symbol has to
 * be found among the compressed names, and expanded: some 30,000 instructions.
 * For thousands of names it's better to go through all symbols once, with a hash
 * table of what is wanted at hand:
 *
 *	hash the wanted names
 *	for each symbol of vmlinux
 *		if its hash is in the table, and so is its name
 *			that's the symbol; its name leaves the table
 *
 * or for each symbol of a module.
 *
 * Nearly all that a symbol costs then is its hash. For that a name needn't be
 * expanded, since the hash of two strings in a row follows from those of the two:
 *
 *	hash(ab) = hash(a) * MUL^strlen(b) + hash(b)
 *
 * so there is one step for each of its tokens instead of one for each character.
 */
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "kallsyms_internal.h"

/* Odd, so that no character that was added is shifted out of the hash. */
#define KSYM_HASH_MUL	0x01000193u

/* Going through all symbols takes as long as this share of them in single lookups */
#define KSYM_PASS_SHARE	256
/* ... and for a module, which has its symbols in a list, as this number */
#define KSYM_PASS_MOD	16

struct ksym_token {
	u32 mul;	/* KSYM_HASH_MUL^length */
	u32 hash;
};

/**
 * struct ksym_table - names that are wanted
 * @tokens: how each token of kallsyms_token_table changes the hash of a symbol
 * @first: hash of a token at the start of a symbol, where one character is its type
 * @cnt: number of names in the table
 * @bits: log2 of the number of @buckets
 * @buckets: the names by their hash
 */
struct ksym_table {
	struct ksym_token tokens[256];
	u32 first[256];
	unsigned int cnt;
	unsigned int bits;
	struct ksym_query *buckets[];
};

static u32 ksym_hash(const char *s)
{
	u32 hash = 0;

	while (*s)
		hash = hash * KSYM_HASH_MUL + (u8)*s++;
	return hash;
}

static void ksym_hash_tokens(struct ksym_table *table)
{
	unsigned int i;
	const char *s;

	for (i = 0; i < ARRAY_SIZE(table->tokens); i++) {
		s = &kallsyms_token_table[kallsyms_token_index[i]];
		table->tokens[i].hash = ksym_hash(s);
		table->first[i] = *s ? ksym_hash(s + 1) : 0;
		table->tokens[i].mul = 1;
		while (*s++)
			table->tokens[i].mul *= KSYM_HASH_MUL;
	}
}

static struct ksym_table *ksym_table_alloc(unsigned int cnt)
{
	unsigned int bits = max(order_base_2(cnt), 1);
	struct ksym_table *table;

	table = kvzalloc(struct_size(table, buckets, 1UL << bits), GFP_KERNEL_ACCOUNT);
	if (!table)
		return NULL;
	table->bits = bits;
	ksym_hash_tokens(table);
	return table;
}

static struct ksym_query **ksym_bucket(struct ksym_table *table, u32 hash)
{
	return &table->buckets[hash_32(hash, table->bits)];
}

static int ksym_table_add_all(struct ksym_table *table, struct ksym_query *queries)
{
	struct ksym_query *query, **bucket;

	while ((query = queries)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		queries = query->next;
		query->hash = ksym_hash(query->name);
		bucket = ksym_bucket(table, query->hash);
		query->next = *bucket;
		*bucket = query;
		table->cnt++;
	}
	return 0;
}

/* A symbol among the compressed names */
struct ksym {
	unsigned int idx;
	unsigned int len;
	const u8 *data;
};

static void ksym_next(struct ksym *sym)
{
	sym->data += sym->len;
	sym->len = *sym->data++;
	/* "big" symbol, see kallsyms_expand_symbol() */
	if (sym->len & 0x80)
		sym->len = (sym->len & 0x7F) | (*sym->data++ << 7);
}

static u32 ksym_hash_symbol(const struct ksym_table *table, const struct ksym *sym)
{
	u32 hash = table->first[sym->data[0]];
	unsigned int i;

	for (i = 1; i < sym->len; i++) {
		const struct ksym_token *token = &table->tokens[sym->data[i]];

		hash = hash * token->mul + token->hash;
	}
	return hash;
}

static bool ksym_has_name(const struct ksym *sym, const char *name)
{
	unsigned int i;
	const char *s;

	for (i = 0; i < sym->len; i++) {
		s = &kallsyms_token_table[kallsyms_token_index[sym->data[i]]];
		if (!i)
			s++;
		for (; *s; s++, name++) {
			if (*s != *name)
				return false;
		}
	}
	return !*name;
}

/* Up to the next symbol that isn't an alias, as kallsyms_lookup_size_offset() has
 * it, which says nothing of addresses that are not in the kernel's image.
 */
static unsigned long ksym_size(unsigned int idx, unsigned long addr)
{
	unsigned long next;

	if (!is_ksym_addr(addr))
		return 0;
	while (++idx < kallsyms_num_syms) {
		next = kallsyms_sym_address(idx);
		if (next > addr)
			return next - addr;
	}
	return 0;
}

/* Symbols are in the order of their addresses, and so are those of one name in
 * kallsyms_seqs_of_names, of which a single lookup takes the first one, too.
 */
static void ksym_match(struct ksym_table *table, const struct ksym *sym)
{
	u32 hash = ksym_hash_symbol(table, sym);
	struct ksym_query **pos = ksym_bucket(table, hash), *query;

	while ((query = *pos)) {
		if (query->hash != hash || !ksym_has_name(sym, query->name)) {
			pos = &query->next;
			continue;
		}
		query->addr = kallsyms_sym_address(sym->idx);
		query->size = ksym_size(sym->idx, query->addr);
		*pos = query->next;
		table->cnt--;
	}
}

static int ksym_match_vmlinux(struct ksym_table *table)
{
	struct ksym sym = { .data = kallsyms_names };

	for (; sym.idx < kallsyms_num_syms && table->cnt; sym.idx++) {
		ksym_next(&sym);
		ksym_match(table, &sym);
		if (sym.idx % 1024)
			continue;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

#ifdef CONFIG_MODULES
static int ksym_match_module_symbol(void *data, const char *name, unsigned long addr)
{
	u32 hash = ksym_hash(name);
	struct ksym_table *table = data;
	struct ksym_query **pos = ksym_bucket(table, hash), *query;

	while ((query = *pos)) {
		if (query->hash != hash || strcmp(query->name, name)) {
			pos = &query->next;
			continue;
		}
		query->addr = addr;
		*pos = query->next;
		table->cnt--;
	}
	return !table->cnt;
}

static void ksym_match_module(struct ksym_table *table, const struct module *mod)
{
	module_kallsyms_on_each_symbol(mod->name, ksym_match_module_symbol, table);
}
#else
static void ksym_match_module(struct ksym_table *table, const struct module *mod)
{
}
#endif

static int ksym_lookup_pass(struct ksym_query *queries, unsigned int cnt,
			    const struct module *mod)
{
	struct ksym_table *table;
	int err;

	table = ksym_table_alloc(cnt);
	if (!table)
		return -ENOMEM;
	err = ksym_table_add_all(table, queries);
	if (!err && mod)
		ksym_match_module(table, mod);
	else if (!err)
		err = ksym_match_vmlinux(table);
	kvfree(table);
	return err;
}

static int ksym_take_addr(void *data, unsigned long addr)
{
	*(unsigned long *)data = addr;
	return 1;
}

/* As kallsyms_lookup_name(), which would go on to modules */
static unsigned long ksym_lookup_vmlinux(const char *name)
{
	unsigned long addr = 0;

	kallsyms_on_each_match_symbol(ksym_take_addr, name, &addr);
	return addr;
}

static int ksym_lookup_each(struct ksym_query *query, struct module *mod)
{
	for (; query; query = query->next) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		query->addr = mod ? find_kallsyms_symbol_value(mod, query->name) :
				    ksym_lookup_vmlinux(query->name);
	}
	return 0;
}

/**
 * kallsyms_lookup_batch - find the addresses of many symbols
 * @queries: list of names; the list is gone afterwards, its members have the results
 * @cnt: number of @queries
 * @mod: module to search, which the caller holds; NULL for vmlinux, of which each name
 *	finds the first such symbol. Unlike by kallsyms_lookup_name(), modules are not
 *	searched then
 *
 * Context: process context, may sleep.
 *
 * Return: 0, also if some or all names were not found; -ENOMEM, or -EINTR if the
 * task was killed.
 */
int kallsyms_lookup_batch(struct ksym_query *queries, unsigned int cnt, struct module *mod)
{
	unsigned int min = mod ? KSYM_PASS_MOD : kallsyms_num_syms / KSYM_PASS_SHARE;
	struct ksym_query *query;

	for (query = queries; query; query = query->next) {
		query->addr = 0;
		query->size = 0;
	}
	if (cnt < min)
		return ksym_lookup_each(queries, mod);
	return ksym_lookup_pass(queries, cnt, mod);
}
