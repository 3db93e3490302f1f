/* SPDX-License-Identifier: GPL-2.0 */
/* How much memory the kernel uses, to the byte where it can be told */
#ifndef __TRACING_MULTI_MEMORY_H
#define __TRACING_MULTI_MEMORY_H

#include <linux/types.h>

/* In bytes: what isn't free and no page of a process or file, in pages and with only
 * the objects that are allocated of the pages of slabs; and what it's used for.
 */
struct mem {
	long long pages;
	long long exact;
	long long slab;
	long long objects;	/* in slabs */
	long long vmalloc;
	long long stacks;	/* of the kernel's tasks, in vmalloc where they are */
	long long percpu;
};

/* Around the others: 0 or a negative errno. */
int mem_open(void);
void mem_close(void);

/* The memory in use now. Slabs of which nothing is allocated are freed before. */
void mem_read(struct mem *mem);

/* The memory in use when all is freed that is no longer used: by RCU callbacks and
 * workers, from caches, and slabs that have become empty by that. Takes some seconds:
 * until the number of pages stays the same, or as often as that is waited for.
 */
void mem_settle(struct mem *mem);

/* A file's text, until the next call; empty if there is none */
char *mem_read_file(const char *path);
/* The sum of all numbers that follow this word */
long long mem_sum_after(const char *text, const char *word);

#endif
