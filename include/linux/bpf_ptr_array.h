/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BPF_PTR_ARRAY_H
#define _LINUX_BPF_PTR_ARRAY_H

#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/types.h>

/**
 * struct ptr_array - growing array of pointers, each in it at most once
 * @ptrs: the pointers, in the order in which they were added
 * @cnt: number of pointers in @ptrs
 * @cap: number of pointers that @ptrs has room for
 *
 * What a link with many targets uses to hold one reference to each object
 * (module, BTF, program) that its targets are in:
 *
 *	if (ptr_array_has(&arr, obj))
 *		return 0;
 *	get(obj);
 *	err = ptr_array_add(&arr, obj);
 *	if (err)
 *		put(obj);
 *
 * and, when the link goes away or can't be created:
 *
 *	for (i = 0; i < arr.cnt; i++)
 *		put(arr.ptrs[i]);
 *	ptr_array_free(&arr);
 *
 * An array that is all zeroes is empty. There is no locking here.
 */
struct ptr_array {
	void **ptrs;
	u32 cnt;
	u32 cap;
};

/**
 * ptr_array_add - append a pointer
 * @arr: array to append to
 * @ptr: pointer that is not in @arr yet
 *
 * Context: may sleep.
 *
 * Return: 0, or -ENOMEM with @arr unchanged.
 */
static inline int ptr_array_add(struct ptr_array *arr, void *ptr)
{
	if (arr->cnt == arr->cap) {
		u32 cap = max_t(u32, 16, arr->cap * 3 / 2);
		void **ptrs;

		ptrs = krealloc_array(arr->ptrs, cap, sizeof(*ptrs),
				      GFP_KERNEL | __GFP_NOWARN);
		if (!ptrs)
			return -ENOMEM;
		arr->ptrs = ptrs;
		arr->cap = cap;
	}

	arr->ptrs[arr->cnt++] = ptr;
	return 0;
}

/**
 * ptr_array_has - tell whether a pointer is in the array
 * @arr: array to search
 * @ptr: pointer to look for
 *
 * Searches from the end, since targets of one object tend to come in a row.
 *
 * Context: any.
 *
 * Return: true if @ptr is in @arr.
 */
static inline bool ptr_array_has(const struct ptr_array *arr, const void *ptr)
{
	u32 i;

	for (i = arr->cnt; i > 0; i--) {
		if (arr->ptrs[i - 1] == ptr)
			return true;
	}
	return false;
}

/**
 * ptr_array_free - free the memory of an array
 * @arr: array, empty after the call
 *
 * What the pointers point to is the caller's to release before.
 */
static inline void ptr_array_free(struct ptr_array *arr)
{
	kfree(arr->ptrs);
	*arr = (struct ptr_array) {};
}

#endif /* _LINUX_BPF_PTR_ARRAY_H */
