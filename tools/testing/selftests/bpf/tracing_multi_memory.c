// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tracing_multi_memory.h"

#define SETTLE_ROUNDS	10

static int *slab_fds;		/* to shrink the caches */
static size_t nr_slabs;

char *mem_read_file(const char *path)
{
	static char buf[256 * 1024];
	ssize_t n, len = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		while ((n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
			len += n;
		close(fd);
	}
	if (len == sizeof(buf) - 1)
		fprintf(stderr, "%s is longer than what is read of it\n", path);
	buf[len] = '\0';
	return buf;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "%s can't be written: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

long long mem_sum_after(const char *text, const char *word)
{
	long long sum = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		sum += strtoll(text + strspn(text, " :"), NULL, 10);
	}
	return sum;
}

void mem_close(void)
{
	while (nr_slabs)
		close(slab_fds[--nr_slabs]);
	free(slab_fds);
	slab_fds = NULL;
}

static int open_slabs(const glob_t *paths)
{
	int fd;

	slab_fds = calloc(paths->gl_pathc, sizeof(*slab_fds));
	if (!slab_fds)
		return -ENOMEM;
	while (nr_slabs < paths->gl_pathc) {
		fd = open(paths->gl_pathv[nr_slabs], O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		slab_fds[nr_slabs++] = fd;
	}
	return 0;
}

/* For writing to later: to open them then would fill the caches that are measured. */
int mem_open(void)
{
	glob_t paths;
	int err;

	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &paths))
		return -ENOENT;
	err = open_slabs(&paths);
	if (err)
		mem_close();
	globfree(&paths);
	return err;
}

static void shrink_slabs(void)
{
	size_t i;

	for (i = 0; i < nr_slabs; i++) {
		if (pwrite(slab_fds[i], "1", 1, 0) != 1)
			fprintf(stderr, "a slab cache can't be shrunk: %s\n", strerror(errno));
	}
}

/* All lines but the two at the top begin with: name, objects, objects that there is
 * room for, size of an object. Objects are counted right if no CPU has a slab.
 */
static long long slab_objects(const char *text)
{
	unsigned long long cnt, room, size, sum = 0;

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (sscanf(text, "%*s %llu %llu %llu", &cnt, &room, &size) == 3)
			sum += cnt * size;
	}
	return sum;
}

void mem_read(struct mem *mem)
{
	const char *text;
	long long lru;

	/* bring in what the CPUs count for themselves */
	write_file("/proc/sys/vm/stat_refresh", "1");
	text = mem_read_file("/proc/meminfo");
	mem->slab = mem_sum_after(text, "\nSlab:") * 1024;
	mem->vmalloc = mem_sum_after(text, "\nVmallocUsed:") * 1024;
	mem->stacks = mem_sum_after(text, "\nKernelStack:") * 1024;
	mem->percpu = mem_sum_after(text, "\nPercpu:") * 1024;
	lru = mem_sum_after(text, "\nActive:") + mem_sum_after(text, "\nInactive:") +
	      mem_sum_after(text, "\nUnevictable:");
	mem->pages = (mem_sum_after(text, "MemTotal:") - mem_sum_after(text, "\nMemFree:") -
		      lru) * 1024;
	/* free pages in the CPUs' lists, which MemFree doesn't have */
	mem->pages -= mem_sum_after(mem_read_file("/proc/zoneinfo"), " count:") * getpagesize();

	shrink_slabs();
	mem->objects = slab_objects(mem_read_file("/proc/slabinfo"));
	mem->exact = mem->pages - mem->slab + mem->objects;
}

void mem_settle(struct mem *mem)
{
	long long before;
	int i;

	mem_read(mem);
	for (i = 0; i < SETTLE_ROUNDS; i++) {
		before = mem->pages;
		write_file("/proc/sys/vm/drop_caches", "3");
		sleep(2);
		shrink_slabs();
		sleep(1);
		mem_read(mem);
		if (i && mem->pages == before)
			return;
	}
}
