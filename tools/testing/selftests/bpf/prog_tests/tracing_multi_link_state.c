// SPDX-License-Identifier: GPL-2.0
/* What tracing multi-links hold while they exist, and leave behind: traced
 * functions, trampoline images, references to modules and programs.
 */
#include <test_progs.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>
#include "tracing_multi_helpers.h"
#include "progs/tracing_multi.h"
#include "tracing_multi_link.skel.h"
#include "tracing_multi_target.skel.h"

static bool verbose(void)
{
	return env_verbosity > VERBOSE_NONE;
}

/* Functions that are attached to one after the other. */
static bool add_many(struct multi_targets *t)
{
	static const char *const names[] = {
		"vfs_read", "vfs_write", "vfs_open", "vfs_fsync", "vfs_llseek",
		"vfs_mkdir", "vfs_rmdir", "vfs_unlink", "vfs_link", "vfs_rename",
		"vfs_symlink", "vfs_truncate", "vfs_fallocate", "vfs_getattr",
		"vfs_statx", "filp_close", "dentry_open", "bpf_fentry_test2",
		"bpf_fentry_test3", "bpf_fentry_test4",
	};
	int i, id;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		id = multi_func_id(names[i]);
		if (id > 0)
			t->ids[t->cnt++] = id;
	}
	return ASSERT_GT(t->cnt, 10, "functions");
}

static __u64 test1_hits(struct tracing_multi_link *skel)
{
	skel->bss->pid = getpid();
	skel->bss->at_entry[0].hits = 0;
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	return skel->bss->at_entry[0].hits;
}

/* What the documentation says; and more than that */
#ifdef __s390x__
#define NR_PROGS 27
#else
#define NR_PROGS 38
#endif
#define NR_FILL 40

/* As many programs on a function as it takes, then one more is refused. */
static int fill_function(const struct multi_targets *t, int *link_fds)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = BPF_TRACE_FENTRY_MULTI);
	union bpf_attr attr = {};
	int prog_fd, i;

	for (i = 0; i < NR_FILL; i++) {
		prog_fd = multi_load_empty(BPF_PROG_TYPE_TRACING, &opts);
		if (!ASSERT_OK_FD(prog_fd, "load"))
			break;
		multi_attr_fd(&attr, prog_fd, BPF_TRACE_FENTRY_MULTI, t);
		link_fds[i] = multi_create(&attr);
		close(prog_fd);
		if (link_fds[i] < 0)
			break;
	}
	if (ASSERT_LT(i, NR_FILL, "links on one function"))
		ASSERT_EQ(link_fds[i], -E2BIG, "full");
	ASSERT_EQ(attr.link_create.tracing_multi.bad_idx, 0, "bad_idx");
	return i;
}

/* All but the last target, which is full */
static void attach_but_full(struct tracing_multi_link *skel, const struct multi_targets *t)
{
	int enabled = multi_enabled_functions(), fd;
	union bpf_attr attr;

	multi_attr(&attr, skel->progs.entry, t);
	attr.link_create.flags |= BPF_F_TRACING_MULTI_SKIP_INVALID;
	fd = multi_create(&attr);
	if (!ASSERT_OK_FD(fd, "skip what is full"))
		return;
	ASSERT_EQ(multi_link_count(fd), t->cnt - 1, "targets that aren't full");
	ASSERT_EQ(attr.link_create.tracing_multi.bad_idx, MULTI_NO_IDX, "bad_idx untouched");
	ASSERT_EQ(multi_enabled_functions(), enabled + t->cnt - 1, "enabled_functions, skipped");
	close(fd);
	ASSERT_EQ(multi_enabled_functions(), enabled, "enabled_functions, detached");
}

/* One of many targets is refused, and so none is attached to. */
static void test_rollback_full(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t, full;
	int link_fds[NR_FILL], cnt, i;
	char image[MULTI_IMAGE_KEY];
	struct multi_state before;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!multi_set(&full, "bpf_fentry_test1", NULL) || !add_many(&t))
		goto out;
	cnt = fill_function(&full, link_fds);
	ASSERT_EQ(cnt, NR_PROGS, "limit");
	/* those with fewer programs go first */
	if (!multi_settle() || !multi_image_key(link_fds[0], full.ids[0], image, sizeof(image)))
		goto close;
	multi_get_state(&before);
	t.ids[t.cnt++] = full.ids[0];
	multi_refused(skel->progs.entry, &t, -E2BIG, t.cnt - 1, "last is full");
	ASSERT_EQ(multi_enabled_functions(), before.enabled, "enabled_functions");
	multi_same_state(&before, "left behind");
	attach_but_full(skel, &t);
	multi_same_state(&before, "left behind, skipped");
	ASSERT_EQ(multi_count_images(image), 1, "image of the full function");
close:
	for (i = 0; i < cnt; i++)
		close(link_fds[i]);
	/* once there is room, it works */
	multi_attached(skel->progs.entry, &t, "not full anymore");
out:
	tracing_multi_link__destroy(skel);
}

static void attach_to_all(struct tracing_multi_link *skel, const struct multi_targets *t,
			  bool share)
{
	int enabled = multi_enabled_functions(), images = multi_count_images(""), now, fd;

	if (!multi_set_sharing(share))
		return;
	fd = multi_attach(skel->progs.entry, t);
	multi_set_sharing(true);
	if (!ASSERT_OK_FD(fd, "attach to all"))
		return;
	ASSERT_EQ(multi_enabled_functions(), enabled + t->cnt, "enabled_functions, all");
	if (share) {
		now = multi_count_images("");
		ASSERT_GT(now, images, "trampoline images, shared");
		ASSERT_LT(now, images + t->cnt, "trampoline images, shared");
	} else {
		ASSERT_EQ(multi_count_images(""), images + t->cnt, "trampoline images, all");
	}
	ASSERT_EQ(test1_hits(skel), 1, "attached");
	close(fd);
}

/* Refused for what it is, and for the program being there already. */
static void test_rollback(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t, one;
	struct multi_state before;
	int fd;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!ASSERT_OK(kallsyms_find("bpf_fentry_test1", &skel->bss->addrs[0]), "addr") ||
	    !multi_set(&one, "bpf_fentry_test1", NULL) || !add_many(&t) ||
	    !multi_settle())
		goto out;
	multi_get_state(&before);

	t.ids[t.cnt] = t.ids[0];
	t.ids[0] = one.ids[0];
	t.cnt++;
	if (!multi_add(&t, "migrate_disable"))
		goto out;
	multi_refused(skel->progs.entry, &t, -EINVAL, t.cnt - 1, "last is denied");
	ASSERT_EQ(multi_enabled_functions(), before.enabled, "enabled_functions, denied");
	ASSERT_EQ(test1_hits(skel), 0, "not attached");

	/* the program sits on the last one of t */
	t.cnt--;
	one.ids[0] = t.ids[t.cnt - 1];
	fd = multi_attach(skel->progs.entry, &one);
	if (!ASSERT_OK_FD(fd, "attach to one"))
		goto out;
	multi_refused(skel->progs.entry, &t, -EBUSY, t.cnt - 1, "last is busy");
	ASSERT_EQ(multi_enabled_functions(), before.enabled + 1, "enabled_functions, busy");
	ASSERT_EQ(test1_hits(skel), 0, "not attached, busy");
	close(fd);
	ASSERT_EQ(multi_enabled_functions(), before.enabled, "enabled_functions, detached");
	multi_same_state(&before, "left behind");

	attach_to_all(skel, &t, false);
	multi_same_state(&before, "left behind, own images");
	attach_to_all(skel, &t, true);
	ASSERT_EQ(multi_enabled_functions(), before.enabled, "enabled_functions, at the end");
	ASSERT_EQ(test1_hits(skel), 0, "detached");
	multi_same_state(&before, "left behind, at the end");
out:
	tracing_multi_link__destroy(skel);
}

/* Counts functions once, however many links are on them. */
static void test_enabled_functions(void)
{
	struct tracing_multi_link *skel;
	int enabled, entry_fd, leave_fd;
	struct multi_targets t;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!multi_set(&t, "bpf_fentry_test1", "bpf_testmod:bpf_testmod_multi_1", NULL))
		goto out;
	enabled = multi_enabled_functions();
	entry_fd = multi_attach(skel->progs.entry, &t);
	leave_fd = multi_attach(skel->progs.leave, &t);
	if (!ASSERT_OK_FD(entry_fd, "fentry") || !ASSERT_OK_FD(leave_fd, "fexit"))
		goto out;
	ASSERT_EQ(multi_enabled_functions(), enabled + 2, "both");
	close(entry_fd);
	ASSERT_EQ(multi_enabled_functions(), enabled + 2, "one");
	close(leave_fd);
	ASSERT_EQ(multi_enabled_functions(), enabled, "none");
out:
	tracing_multi_link__destroy(skel);
}

#define MODULE_X "bpf_test_modorder_x"
#define MODULE_Y "bpf_test_modorder_y"

static int try_unload(const char *module)
{
	return delete_module(module, O_NONBLOCK) ? -errno : 0;
}

static void test_module_ref(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t, bad;
	int fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!ASSERT_OK(load_module(MODULE_X ".ko", verbose()), "load_module"))
		goto destroy;
	if (!multi_set(&t, "bpf_fentry_test1", MODULE_X ":bpf_test_modorder_obj_x",
		       MODULE_X ":bpf_test_modorder_retx", NULL))
		goto out;
	fd = multi_attach(skel->progs.entry, &t);
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_EQ(try_unload(MODULE_X), -EWOULDBLOCK, "unload while linked");
	close(fd);

	/* a failed link holds nothing */
	bad = t;
	bad.ids[bad.cnt++] = 0;
	multi_refused(skel->progs.entry, &bad, -EINVAL, bad.cnt - 1, "last is bad");
out:
	ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
	/* the BTF's fd outlives the module */
	if (fd >= 0)
		multi_refused(skel->progs.entry, &t, -ENOENT, 1, "module is gone");
destroy:
	tracing_multi_link__destroy(skel);
}

static void *load_module_x(void *arg)
{
	ASSERT_OK(multi_load_module(MODULE_X ".ko", ""), "load_module");
	return NULL;
}

static int load_single(const char *func)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);

	opts.attach_btf_obj_fd = multi_module_fd(MODULE_X);
	opts.attach_btf_id = multi_func_id(func);
	return multi_load_empty(BPF_PROG_TYPE_TRACING, &opts);
}

/* Its __init code is about to be freed. */
static void refuse_init(struct tracing_multi_link *skel)
{
	struct multi_targets t;
	int fd;

	if (!multi_wait_count(&skel->bss->modules_waiting, 1, "module is live") ||
	    !multi_set(&t, "bpf_fentry_test1", MODULE_X ":bpf_test_modorder_retx",
		       MODULE_X ":bpf_test_modorder_x_init", NULL))
		return;
	multi_refused(skel->progs.entry, &t, -ENOENT, 2, "__init");
	fd = load_single(MODULE_X ":bpf_test_modorder_retx");
	if (ASSERT_OK_FD(fd, "single, not __init"))
		close(fd);
	ASSERT_EQ(load_single(MODULE_X ":bpf_test_modorder_x_init"), -ENOENT, "single, __init");
	ASSERT_EQ(skel->bss->modules_waited, 0, "still loading");
}

static void test_module_init(void)
{
	struct tracing_multi_link *skel;
	pthread_t thread;

	skel = tracing_multi_link__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return;
	bpf_program__set_autoload(skel->progs.module_wait, true);
	if (!ASSERT_OK(tracing_multi_link__load(skel), "load"))
		goto out;
	skel->bss->pid = getpid();
	skel->links.module_wait = bpf_program__attach(skel->progs.module_wait);
	if (!ASSERT_OK_PTR(skel->links.module_wait, "attach") ||
	    !ASSERT_OK(pthread_create(&thread, NULL, load_module_x, NULL), "pthread_create"))
		goto out;
	refuse_init(skel);
	skel->bss->module_go = 1;
	pthread_join(thread, NULL);
	ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
out:
	tracing_multi_link__destroy(skel);
}

/* A link holds one reference to a module, one to each of several. */
static void test_two_modules_ref(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t;
	int fd, other_fd;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!ASSERT_OK(load_module(MODULE_X ".ko", verbose()), "load x"))
		goto destroy;
	if (!ASSERT_OK(load_module(MODULE_Y ".ko", verbose()), "load y"))
		goto unload_x;
	if (!multi_set(&t, MODULE_Y ":bpf_test_modorder_obj_y",
		       MODULE_X ":bpf_test_modorder_obj_x", NULL))
		goto unload;
	fd = multi_attach(skel->progs.entry, &t);
	t.cnt = 1;
	other_fd = multi_attach(skel->progs.leave, &t);
	ASSERT_OK_FD(fd, "attach to both");
	ASSERT_OK_FD(other_fd, "attach to y");
	ASSERT_EQ(try_unload(MODULE_X), -EWOULDBLOCK, "x is traced");
	ASSERT_EQ(try_unload(MODULE_Y), -EWOULDBLOCK, "y is traced twice");
	close(fd);
	ASSERT_OK(multi_unload_module(MODULE_X), "unload x");
	ASSERT_EQ(try_unload(MODULE_Y), -EWOULDBLOCK, "y is still traced");
	close(other_fd);
	ASSERT_OK(multi_unload_module(MODULE_Y), "unload y");
	goto destroy;
unload:
	multi_unload_module(MODULE_Y);
unload_x:
	multi_unload_module(MODULE_X);
destroy:
	tracing_multi_link__destroy(skel);
}

static bool set_ftrace(bool on)
{
	return ASSERT_TRUE(multi_write_file("/proc/sys/kernel", "ftrace_enabled", on ? "1" : "0"),
			   on ? "ftrace on" : "ftrace off");
}

/* Two tracers, so that functions call what serves any number, not the code of one, which
 * ftrace looks for in vain when that is gone.
 */
static bool set_tracers(const char *instance, const char *name)
{
	return ASSERT_TRUE(multi_write_file(multi_tracefs(), "current_tracer", name), name) &
	       ASSERT_TRUE(multi_write_file(instance, "current_tracer", name), name);
}

/* No function calls anything while ftrace is off, but links come and go. */
static void test_ftrace_off(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t;
	int fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!ASSERT_OK(kallsyms_find("bpf_fentry_test1", &skel->bss->addrs[0]), "addr") ||
	    !multi_set(&t, "bpf_fentry_test1", "bpf_fentry_test2", NULL) || !set_ftrace(false))
		goto out;
	fd = multi_attach(skel->progs.entry, &t);
	ASSERT_OK_FD(fd, "attach");
	ASSERT_EQ(test1_hits(skel), 0, "attached while off");
	set_ftrace(true);
	ASSERT_EQ(test1_hits(skel), 1, "on");
	set_ftrace(false);
	ASSERT_EQ(test1_hits(skel), 0, "off");
	close(fd);
	set_ftrace(true);
	ASSERT_EQ(test1_hits(skel), 0, "detached while off");
	fd = multi_attach(skel->progs.entry, &t);
	ASSERT_OK_FD(fd, "attach again");
	ASSERT_EQ(test1_hits(skel), 1, "attached while on");
	close(fd);
out:
	tracing_multi_link__destroy(skel);
}

static int attach_to_x(struct tracing_multi_link *skel)
{
	struct multi_targets t;
	int fd;

	if (!multi_set(&t, MODULE_X ":bpf_test_modorder_retx", NULL))
		return -1;
	fd = multi_attach(skel->progs.entry, &t);
	ASSERT_OK_FD(fd, "attach");
	return fd;
}

/* The function tracer puts calls into a module that is loaded, even while ftrace is off.
 * They are there still when nobody wants them any more: who takes them for nops later
 * makes ftrace warn, and give up.
 */
static void off_with_module(struct tracing_multi_link *skel, const char *instance)
{
	int fd;

	if (!set_ftrace(false))
		return;
	if (!set_tracers(instance, "function") ||
	    !ASSERT_OK(multi_load_module(MODULE_X ".ko", ""), "load_module")) {
		set_tracers(instance, "nop");
		set_ftrace(true);
		return;
	}
	fd = attach_to_x(skel);
	set_tracers(instance, "nop");
	close(fd);
	set_ftrace(true);
	close(attach_to_x(skel));
	ASSERT_OK(multi_unload_module(MODULE_X), "unload_module");
}

static void test_ftrace_off_module(void)
{
	struct tracing_multi_link *skel;
	char instance[128];

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	snprintf(instance, sizeof(instance), "%s/instances/tracing_multi", multi_tracefs());
	if (ASSERT_OK(mkdir(instance, 0700), "mkdir")) {
		off_with_module(skel, instance);
		ASSERT_OK(rmdir(instance), "rmdir");
	}
	tracing_multi_link__destroy(skel);
}

static int load_for_module(const char *func, enum bpf_attach_type type,
			   const struct bpf_insn *insns, size_t cnt)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);

	opts.attach_btf_obj_fd = multi_module_fd(MODULE_X);
	opts.attach_btf_id = multi_func_id(func);
	return bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "GPL", insns, cnt, &opts);
}

/* A program that reads its first argument, loaded for func: must fit on good,
 * not on bad.
 */
static void check_pointer_arg(const char *func, const char *good, const char *bad)
{
	const struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_1, 0),
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	struct multi_targets t;
	union bpf_attr attr;
	int prog_fd;

	prog_fd = load_for_module(func, BPF_TRACE_FENTRY_MULTI, insns, ARRAY_SIZE(insns));
	if (!ASSERT_OK_FD(prog_fd, func))
		return;
	if (!multi_set(&t, good, bad, NULL))
		goto out;
	multi_attr_fd(&attr, prog_fd, BPF_TRACE_FENTRY_MULTI, &t);
	attr.link_create.tracing_multi.cnt = 1;
	multi_created(&attr, good);
	attr.link_create.tracing_multi.cnt = 2;
	multi_create_refused(&attr, -EINVAL, 1, bad);
out:
	close(prog_fd);
}

static void test_types_of_two_modules(void)
{
	if (!ASSERT_OK(load_module(MODULE_X ".ko", verbose()), "load x"))
		return;
	if (!ASSERT_OK(load_module(MODULE_Y ".ko", verbose()), "load y"))
		goto unload_x;
	check_pointer_arg(MODULE_X ":bpf_test_modorder_obj_x",
			  MODULE_X ":bpf_test_modorder_user",
			  MODULE_Y ":bpf_test_modorder_obj_y");
	multi_unload_module(MODULE_Y);
unload_x:
	multi_unload_module(MODULE_X);
}

/* Make "const" in the argument of bpf_test_modorder_user() a type tag. */
static bool tag_argument(struct btf *btf, const char *tag)
{
	const struct btf_type *proto, *ptr;
	struct btf_type *mod;
	int func, name_off;

	func = btf__find_by_name_kind(btf, "bpf_test_modorder_user", BTF_KIND_FUNC);
	name_off = btf__find_str(btf, tag);
	if (!ASSERT_GT(func, 0, "find function") || !ASSERT_GT(name_off, 0, tag))
		return false;
	proto = btf__type_by_id(btf, btf__type_by_id(btf, func)->type);
	ptr = btf__type_by_id(btf, btf_params(proto)[0].type);
	if (!ASSERT_TRUE(btf_is_ptr(ptr), "pointer"))
		return false;
	mod = (struct btf_type *)btf__type_by_id(btf, ptr->type);
	if (!ASSERT_TRUE(btf_is_const(mod), "const"))
		return false;
	mod->info = BTF_KIND_TYPE_TAG << 24;
	mod->name_off = name_off;
	return true;
}

/* The bytes of section .BTF within a module's file. */
static char *find_btf(char *image, size_t size, size_t *btf_size)
{
	size_t strs, n = 1;
	char *found = NULL;
	Elf_Scn *scn;
	GElf_Shdr sh;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_memory(image, size);
	if (!elf || elf_getshdrstrndx(elf, &strs))
		goto out;
	while ((scn = elf_getscn(elf, n++))) {
		const char *name;

		if (!gelf_getshdr(scn, &sh))
			break;
		name = elf_strptr(elf, strs, sh.sh_name);
		/* types relative to the module's own copy of some */
		if (name && !strcmp(name, ".BTF.base")) {
			found = NULL;
			break;
		}
		if (name && !strcmp(name, ".BTF")) {
			found = image + sh.sh_offset;
			*btf_size = sh.sh_size;
		}
	}
out:
	elf_end(elf);
	return found;
}

static char *read_file(const char *path, size_t *size)
{
	struct stat st;
	char *buf;
	int fd;

	fd = open(path, O_RDONLY);
	if (!ASSERT_OK_FD(fd, path))
		return NULL;
	buf = fstat(fd, &st) ? NULL : malloc(st.st_size);
	if (buf && read(fd, buf, st.st_size) != st.st_size) {
		free(buf);
		buf = NULL;
	}
	close(fd);
	*size = st.st_size;
	return ASSERT_OK_PTR(buf, path) ? buf : NULL;
}

/* Not every compiler puts type tags into a module's BTF. So load the module
 * with one added, in the place of a qualifier. Returns 1 if that can't be done.
 */
static int load_tagged_module(const char *tag)
{
	size_t size, btf_size;
	char *image, *raw;
	struct btf *btf;
	__u32 raw_size;
	int ret = -1;

	image = read_file(MODULE_X ".ko", &size);
	if (!image)
		return -1;
	raw = find_btf(image, size, &btf_size);
	if (!raw) {
		free(image);
		return 1;
	}
	btf = btf__new_split(raw, btf_size, multi_vmlinux_btf());
	if (ASSERT_OK_PTR(btf, "btf__new_split") && tag_argument(btf, tag)) {
		const void *data = btf__raw_data(btf, &raw_size);

		if (ASSERT_EQ(raw_size, btf_size, "size of BTF")) {
			memcpy(raw, data, btf_size);
			ret = syscall(__NR_init_module, image, size, "");
			ASSERT_OK(ret, "init_module");
		}
	}
	btf__free(btf);
	free(image);
	return ret;
}

static void test_type_tag(const char *tag)
{
	int err = load_tagged_module(tag);

	if (err > 0)
		test__skip();
	if (err)
		return;
	check_pointer_arg(MODULE_X ":bpf_test_modorder_obj_x",
			  MODULE_X ":bpf_test_modorder_obj_x",
			  MODULE_X ":bpf_test_modorder_user");
	check_pointer_arg(MODULE_X ":bpf_test_modorder_user",
			  MODULE_X ":bpf_test_modorder_user",
			  MODULE_X ":bpf_test_modorder_obj_x");
	multi_unload_module(MODULE_X);
}

static void test_type_tag_user(void)
{
	test_type_tag("user");
}

static void test_type_tag_percpu(void)
{
	test_type_tag("percpu");
}

static void test_type_tag_rcu(void)
{
	test_type_tag("rcu");
}

static __u32 target_id;

static int target_alive(void)
{
	int fd = bpf_prog_get_fd_by_id(target_id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void test_program_ref(void)
{
	struct tracing_multi_target *target;
	struct tracing_multi_link *skel;
	struct multi_targets t = {};
	int fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(target, "open_and_load target"))
		goto out;
	target_id = multi_prog_id(target->progs.target_tc);
	if (multi_add(&t, "bpf_fentry_test1") &&
	    multi_add_prog(&t, bpf_program__fd(target->progs.target_tc), "target_sum"))
		fd = multi_attach(skel->progs.entry, &t);
	tracing_multi_target__destroy(target);
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	kern_sync_rcu();
	ASSERT_EQ(target_alive(), 1, "held by the link");
	close(fd);
	multi_wait_for(target_alive, 0, "dropped");
out:
	tracing_multi_link__destroy(skel);
}

/* The traced program goes on working with its tail calls. */
static void test_tail_calling_target(void)
{
	struct tracing_multi_target *target = NULL;
	struct tracing_multi_link *skel;
	struct multi_targets t = {};
	int callee, zero = 0;
	__u32 retval = 0;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(target, "open_and_load target"))
		goto out;
	callee = bpf_program__fd(target->progs.target_tail_called);
	if (!ASSERT_OK(bpf_map_update_elem(bpf_map__fd(target->maps.jmp_table),
					   &zero, &callee, 0), "jmp_table") ||
	    !multi_add_prog(&t, bpf_program__fd(target->progs.target_tail_call),
			    "target_tail_call"))
		goto out;
	if (multi_link(skel->progs.leave, &t, "attach") < 0)
		goto out;
	multi_test_run_tc(target->progs.target_tail_call, &retval);
	ASSERT_EQ(retval, 8, "retval of what is tail-called");
out:
	tracing_multi_target__destroy(target);
	tracing_multi_link__destroy(skel);
}

static const struct multi_subtest subtests[] = {
	{ "rollback", test_rollback },
	{ "rollback_full", test_rollback_full },
	{ "enabled_functions", test_enabled_functions },
	{ "module_ref", test_module_ref },
	{ "module_init", test_module_init },
	{ "two_modules_ref", test_two_modules_ref },
	{ "ftrace_off", test_ftrace_off },
	{ "ftrace_off_module", test_ftrace_off_module },
	{ "types_of_two_modules", test_types_of_two_modules },
	{ "type_tag_user", test_type_tag_user },
	{ "type_tag_percpu", test_type_tag_percpu },
	{ "type_tag_rcu", test_type_tag_rcu },
	{ "program_ref", test_program_ref },
	{ "tail_calling_target", test_tail_calling_target },
};

/* Modules come and go: don't keep their BTF. */
static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup_each = multi_init,
	.teardown_each = multi_fini,
};

void serial_test_tracing_multi_link_state(void)
{
	multi_run_suite(&suite);
}
