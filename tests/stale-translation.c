// SPDX-License-Identifier: GPL-2.0
/* Does the emulator go on with what code was before it was patched? Why most guests have
 * one thread for all CPUs (THREADS in scripts/arch/). For s390x and riscv64:
 *
 *	s390x-linux-gnu-gcc -O2 -pthread --sysroot=$(ARCH=s390x scripts/sysroot) \
 *		-o build/stale tests/stale-translation.c
 *	ARCH=s390x scripts/vm -- build/stale 400
 *
 * One CPU patches the first instruction of a function, a nop, to a jump, while the other one
 * calls the function. A thousand calls later, each behind what the architecture wants for
 * code that has changed, all must jump. The patch before it, of a nop to a nop, makes the
 * emulator translate the function again, so that this and the patch meet.
 *
 * Exit status: 0 if all calls jumped in all rounds.
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FILLING 220		/* instructions behind the patched one: to be long at translating */

#if defined(__s390x__)
typedef uint8_t patch_t;
#define PATCH_AT 1		/* brcl's mask */
#define NOP 0x04
#define JUMP 0xf4
#define NEW_CODE_SEEN() asm volatile("bcr 15,0" ::: "memory")

static void make_function(unsigned char *code)
{
	static const unsigned char filling[] = { 0x18, 0x33 };			/* lr %r3,%r3 */
	static const unsigned char ret[2][6] = {
		{ 0xa7, 0x29, 0, 0, 0x07, 0xfe },	/* lghi %r2,0; br %r14 */
		{ 0xa7, 0x29, 0, 1, 0x07, 0xfe },	/* lghi %r2,1; br %r14 */
	};
	int halfwords = (6 + FILLING * sizeof(filling) + sizeof(ret[0])) / 2, i;
	unsigned char entry[6] = { 0xc0, NOP, 0, 0, halfwords >> 8, halfwords };

	memcpy(code, entry, sizeof(entry));
	code += sizeof(entry);
	for (i = 0; i < FILLING; i++, code += sizeof(filling))
		memcpy(code, filling, sizeof(filling));
	memcpy(code, ret, sizeof(ret));
}
#elif defined(__riscv)
typedef uint32_t patch_t;
#define PATCH_AT 0
#define NOP 0x00000013
#define JUMP_OVER (4 + FILLING * 4 + 8)
#define JUMP (0x6f | (JUMP_OVER & 0x7fe) << 20 | (JUMP_OVER & 0x800) << 9)
#define NEW_CODE_SEEN() asm volatile("fence.i" ::: "memory")

static void make_function(unsigned char *code)
{
	static const uint32_t ret[2][2] = {
		{ 0x00000513, 0x00008067 },		/* li a0,0; ret */
		{ 0x00100513, 0x00008067 },		/* li a0,1; ret */
	};
	uint32_t *insn = (uint32_t *)code;
	int i;

	for (i = 0; i < 1 + FILLING; i++)
		*insn++ = NOP;
	memcpy(insn, ret, sizeof(ret));
}
#else
#error "no code for this architecture"
#endif

static unsigned char *code;
static atomic_ulong calls, jumped;
static atomic_bool stop;

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(2, "CPU %d", cpu);
}

static void *call(void *unused)
{
	long (*function)(void) = (void *)code;

	run_on(1);
	while (!stop) {
		NEW_CODE_SEEN();
		jumped += function();
		calls++;
	}
	return NULL;
}

static void wait_for_calls(unsigned long cnt)
{
	unsigned long from = calls;

	while (calls - from < cnt)
		;
}

static void patch(patch_t insn)
{
	*(volatile patch_t *)(code + PATCH_AT) = insn;
	atomic_thread_fence(memory_order_seq_cst);
}

/* Do all of a hundred calls jump? */
static bool play(int delay)
{
	unsigned long from_jumped;
	volatile int i;

	patch(NOP);
	wait_for_calls(3);
	patch(NOP);
	for (i = 0; i < delay; i++)
		;
	patch(JUMP);
	wait_for_calls(1000);
	from_jumped = jumped;
	wait_for_calls(100 + 1);
	return jumped - from_jumped >= 100;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 400, stale = 0, i;
	pthread_t thread;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		err(2, "memory");
	make_function(code);
	run_on(0);
	if (pthread_create(&thread, NULL, call, NULL))
		errx(2, "no thread");
	for (i = 0; i < rounds; i++)
		stale += !play(i % 400);
	stop = true;
	pthread_join(thread, NULL);
	printf("%d times patched, %d times the old code went on\n", rounds, stale);
	return stale > 0;
}
