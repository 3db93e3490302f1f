/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_HELPERS_H
#define __TRACING_MULTI_HELPERS_H

#include "test_progs.h"
#include <bpf/btf.h>

#define MULTI_MAX 64
#define MULTI_NO_IDX 0xdeadbeef	/* what bad_idx is preset to */

/* The targets of one link, as the kernel wants them. */
struct multi_targets {
	__u32 ids[MULTI_MAX];
	int fds[MULTI_MAX];
	__u64 cookies[MULTI_MAX];
	__u32 cnt;
	bool use_cookies;
};

struct multi_subtest {
	const char *name;
	void (*run)(void);
	bool is_long;	/* only if multi_long() */
};

struct multi_suite {
	const struct multi_subtest *subtests;
	int cnt;
	/* around all subtests, and around each of them; optional */
	bool (*setup)(void);
	void (*teardown)(void);
	bool (*setup_each)(void);
	void (*teardown_each)(void);
	bool leaves_progs;	/* what it tests stays attached until the machine is off */
};

/* Needs bpf_testmod. After each subtest the links of multi_link() are closed. In the end no
 * more programs and BTFs must be there than before.
 */
void multi_run_suite(const struct multi_suite *suite);

/* Around the functions below: load vmlinux' BTF, and drop all that was loaded. */
bool multi_init(void);
void multi_fini(void);

struct btf *multi_vmlinux_btf(void);
/* "func" in vmlinux or "module:func"; negative if there is none. */
int multi_func_id(const char *spec);
int multi_module_fd(const char *module);
/* The same, for a module that comes and goes: another fd each time */
int multi_open_module_btf(const char *module);
__u32 multi_btf_obj_id(int btf_fd);
int multi_prog_func_id(int prog_fd, const char *func);
/* Two ids of one syscall function: pahole may emit it twice, and where it has
 * no arguments, __do_sys_x is the same as, for instance, __x64_sys_x.
 */
bool multi_find_alias(__u32 *first, __u32 *second);

bool multi_add(struct multi_targets *t, const char *spec);
bool multi_add_prog(struct multi_targets *t, int prog_fd, const char *func);
/* Empty t, then add all specs up to a NULL. */
bool multi_set(struct multi_targets *t, ...);

/* BPF_LINK_CREATE's attr for prog on t, to be changed before multi_create(). */
void multi_attr(union bpf_attr *attr, const struct bpf_program *prog,
		const struct multi_targets *t);
void multi_attr_fd(union bpf_attr *attr, int prog_fd, enum bpf_attach_type type,
		   const struct multi_targets *t);
/* Create a link from the first size bytes of attr: its fd or a negative errno. */
int multi_create_size(union bpf_attr *attr, __u32 size);
int multi_create(union bpf_attr *attr);
int multi_attach(const struct bpf_program *prog, const struct multi_targets *t);

/* A link that must be possible, for the rest of the subtest or till multi_unlink(). */
int multi_link(const struct bpf_program *prog, const struct multi_targets *t,
	       const char *name);
void multi_unlink(int *fd);

/* BPF_LINK_CREATE as a program has it that was built elsewhere: without the names of
 * this tree's headers, by numbers. size: as much of attr as that program knows of.
 */
enum {
	RAW_FENTRY_MULTI = 59,
	RAW_FEXIT_MULTI = 60,
	RAW_FMOD_RET_MULTI = 62,
	RAW_LINK_TYPE = 15,
	RAW_F_TGT_FDS = 1,
	RAW_F_SKIP_INVALID = 2,
	/* what the first ones that had this interface know, and all */
	RAW_CREATE_SIZE_FIRST = 40,
	RAW_CREATE_SIZE = 48,
};

struct multi_raw {
	int prog_fd;
	__u32 attach_type;
	__u32 flags;
	const __u32 *ids;
	const __u64 *cookies;
	const int *tgt_fds;
	__u32 cnt;
	__u32 bad_idx;	/* out */
	__u32 size;
};

/* The link's fd, or a negative errno. */
int multi_raw_create(struct multi_raw *raw);

void multi_put32(char *to, int off, __u32 val);
void multi_put64(char *to, int off, __u64 val);
__u32 multi_get32(const char *from, int off);

/* Links that must be possible, closed at once. */
bool multi_created(union bpf_attr *attr, const char *name);
bool multi_attached(const struct bpf_program *prog, const struct multi_targets *t,
		    const char *name);
/* The link must be refused with err because of target bad_idx (or none). */
bool multi_refused(const struct bpf_program *prog, const struct multi_targets *t,
		   int err, __u32 bad_idx, const char *name);
bool multi_create_refused(union bpf_attr *attr, int err, __u32 bad_idx,
			  const char *name);

/* Number of targets of a link, -1 if it can't be told; its program, or 0 */
int multi_link_count(int fd);
__u32 multi_link_prog_id(int fd);
/* A program that does nothing: its fd or a negative errno. */
int multi_load_empty(enum bpf_prog_type type, struct bpf_prog_load_opts *opts);
int multi_load_named(enum bpf_prog_type type, const char *name, struct bpf_prog_load_opts *opts);
__u32 multi_prog_id(const struct bpf_program *prog);

/* BPF_PROG_TEST_RUN, of a tc program with a packet; the value returned is optional. */
bool multi_test_run(const struct bpf_program *prog, __u32 *retval);
bool multi_test_run_tc(const struct bpf_program *prog, __u32 *retval);

/* The directory that is tracefs; lines of a file there; lines of a file with both words in
 * them; images of trampolines whose keys start with key. An image that is freed during
 * the read may hide another one: multi_images() is to wait with, multi_count_images() reads
 * until two reads agree.
 */
const char *multi_tracefs(void);
int multi_tracefs_lines(const char *file);
int multi_lines(const char *path, const char *word, const char *other);
int multi_images(const char *key);
int multi_count_images(const char *key);
int multi_enabled_functions(void);
/* The key of the image of a link whose only target, in vmlinux, is id: that of the
 * function, or, where functions share images, one made of their programs.
 */
#define MULTI_IMAGE_KEY 128
bool multi_image_key(int link_fd, __u32 id, char *key, size_t size);
/* The same if the function has an image of its own. */
void multi_own_image_key(__u32 btf_obj_id, __u32 id, char *key, size_t size);
/* Are functions to share images? */
bool multi_set_sharing(bool on);

/* Are the tests to take as long as they need? So if TRACING_MULTI_LONG is in the
 * environment; the files tell what is done then.
 */
bool multi_long(void);

/* A figure to be told with the results: printed, and a line of the file that
 * TRACING_MULTI_FIGURES in the environment names, if it does, behind the subtest's name.
 */
__printf(1, 2) void multi_figure(const char *fmt, ...);

/* Wait until *cnt is at least end, but not forever. */
bool multi_wait_count(const __u64 *cnt, __u64 end, const char *name);
/* What is freed after grace periods: likewise. */
bool multi_wait_for(int (*count)(void), int expected, const char *name);
bool multi_wait_at_most(int (*count)(void), int most, const char *name);

/* Run in a child process, which nothing is left of once this one is gone. */
pid_t multi_fork(void (*run)(void *arg), void *arg);
void multi_expect_killed(pid_t pid);

/* Images of trampolines, each with its line of /proc/kallsyms */
#define MULTI_MAX_IMAGES 256
#define MULTI_LINE 512

struct multi_image_list {
	char lines[MULTI_MAX_IMAGES][MULTI_LINE];
	int cnt;
};

void multi_get_images(struct multi_image_list *images);
/* Those that have come since go soon, or have their name on a task's stack. */
void multi_check_images(const struct multi_image_list *before);

/* What links leave behind if they go wrong */
struct multi_state {
	int enabled;
	struct multi_image_list images;
	int progs;
	int links;
	int module_refs;	/* of bpf_testmod; -1 if it isn't loaded */
};

void multi_get_state(struct multi_state *state);
/* Wait until all is as it was. Images of others may have gone, with the task inside. */
bool multi_same_state(const struct multi_state *before, const char *name);
/* All but images: there may be a task inside one. */
bool multi_same_but_images(const struct multi_state *before, const char *name);
/* Wait until the images and programs of earlier tests are gone, and with them what they refer
 * to, such as modules: until an image and a program are that are freed after them. Doesn't wait
 * for images with a task inside.
 */
bool multi_settle(void);

/* Wait for a minute until the file "transition" in a live patch's directory in sysfs has that
 * number: until all tasks go the new way, or, if it is "", until the patch is gone. Fails
 * for each task that the patch still waits for, and tells where it is.
 */
bool multi_wait_transition(const char *patch, const char *number);

/* Load a module from a file with parameters: 0 or a negative errno. */
int multi_load_module(const char *file, const char *params);
/* The same for unloading. Others may have it in use for a moment: unlike unload_module(),
 * this waits for them for a minute.
 */
int multi_unload_module(const char *module);

/* Let a child that has called multi_trace_me() run to its end, and call entry() whenever
 * it enters the bpf() system call. The caller waits for it afterwards.
 */
struct multi_bpf_call {
	pid_t pid;
	__u64 cmd;
	__u64 attr;	/* where the child has it, and as much of it */
	__u64 size;
};

void multi_trace_me(void);
bool multi_trace_bpf(pid_t pid, void (*entry)(const struct multi_bpf_call *call, const void *arg),
		     const void *arg);
/* A field of the call's attr, 0 if it has none; or make it one that no kernel knows. */
#define MULTI_PEEK(call, field) multi_peek(call, offsetof(union bpf_attr, field))
#define MULTI_SPOIL(call, field) multi_spoil(call, offsetof(union bpf_attr, field))
__u32 multi_peek(const struct multi_bpf_call *call, int offset);
void multi_spoil(const struct multi_bpf_call *call, int offset);

/* A thread that runs a program, which calls bpf_fentry_test*, again and again. Only one:
 * a tracing program that is interrupted for another task that calls the function on the
 * same CPU is not run there. is_counted() is asked after each call, for that many calls: a
 * call that is seen twice must not make up for one that is missed.
 */
struct multi_caller {
	pthread_t thread;
	int prog_fd;
	bool (*is_counted)(__u64 calls);
	bool stop;
	__u64 calls;
	__u64 errors;
	__u64 miscounted;
};

bool multi_start_caller(struct multi_caller *c, const struct bpf_program *prog,
			bool (*is_counted)(__u64 calls));
void multi_stop_caller(struct multi_caller *c);

/* The whole text of a file; false if it can't be written or read. */
bool multi_write_file(const char *dir, const char *file, const char *text);
bool multi_read_file(const char *dir, const char *file, char *text, size_t size);

/* Let the nth allocation or copy from or to user space of this thread fail, between
 * arm and disarm, which tells whether there was an nth one. If the kernel can't do
 * that, begin skips the test and returns false.
 */
bool multi_faults_begin(void);
void multi_faults_end(void);
void multi_fault_arm(int n);
bool multi_fault_disarm(void);

#endif
