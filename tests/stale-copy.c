// SPDX-License-Identifier: GPL-2.0
/* Does the emulator go on with what code was before mvc or mvcl copied over it? Why s390x's
 * guests need a newer one (QEMU_MIN in scripts/arch/s390x):
 *
 *	s390x-linux-gnu-gcc -O2 --sysroot=$(ARCH=s390x scripts/sysroot) \
 *		-o build/stale-copy tests/stale-copy.c
 *	ARCH=s390x scripts/vm -- build/stale-copy
 *
 * A function that returns 0 or 1 is called, overwritten with the other one by a copy that
 * begins before the function, and called again. The kernel writes to user space like that
 * when it puts a uprobe's breakpoint into a page: it copies the page.
 *
 * Exit status: 0 if what ran was always what had been copied.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 100
#define BEFORE 64		/* bytes in front of the function that are copied, too */

static const unsigned char functions[2][6] = {
	{ 0xa7, 0x29, 0, 0, 0x07, 0xfe },	/* lghi %r2,0; br %r14 */
	{ 0xa7, 0x29, 0, 1, 0x07, 0xfe },	/* lghi %r2,1; br %r14 */
};

struct image {
	unsigned char before[BEFORE];
	unsigned char function[sizeof(functions[0])];
};

static void copy_by_mvc(struct image *to, const struct image *from)
{
	asm volatile("mvc 0(%[len],%[to]),0(%[from])"
		     : : [to] "a" (to), [from] "a" (from), [len] "i" (sizeof(*to)) : "memory");
}

static void copy_by_mvcl(struct image *to, const struct image *from)
{
	register unsigned long dest asm("2") = (unsigned long)to;
	register unsigned long dest_len asm("3") = sizeof(*to);
	register unsigned long src asm("4") = (unsigned long)from;
	register unsigned long src_len asm("5") = sizeof(*to);

	asm volatile("mvcl %[dest],%[src]"
		     : [dest] "+d" (dest), "+d" (dest_len), [src] "+d" (src), "+d" (src_len)
		     : : "cc", "memory");
}

/* How often is it the old function that runs? */
static int play(const char *name, void (*copy)(struct image *, const struct image *))
{
	struct image *code, new = {};
	int stale = 0, i;
	long (*function)(void);

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		err(2, "memory");
	function = (void *)code->function;
	for (i = 0; i < ROUNDS; i++) {
		memcpy(new.function, functions[i % 2], sizeof(functions[0]));
		copy(code, &new);
		/* the architecture wants a serialization before changed code runs */
		asm volatile("bcr 15,0" ::: "memory");
		stale += function() != i % 2;
	}
	munmap(code, 4096);
	printf("%s: %d times copied, %d times the old code ran\n", name, ROUNDS, stale);
	return stale;
}

int main(void)
{
	int stale = play("mvc", copy_by_mvc) + play("mvcl", copy_by_mvcl);

	return stale > 0;
}
