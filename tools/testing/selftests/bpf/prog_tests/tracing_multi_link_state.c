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

#define WAIT_STEPS 1000
#define WAIT_STEP_US 20000

static bool verbose(void)
{
	return env_verbosity > VERBOSE_NONE;
}

/* Freed after grace periods, so wait for it, but not forever. */
static bool wait_for(int (*count)(void), int expected, const char *name)
{
	int i;

	for (i = 0; i < WAIT_STEPS && count() != expected; i++) {
		kern_sync_rcu();
		usleep(WAIT_STEP_US);
	}
	return ASSERT_EQ(count(), expected, name);
}

static int enabled_functions(void)
{
	return multi_tracefs_lines("enabled_functions");
}

static int images_cnt(void)
{
	return multi_images("");
}

/* The image of a link's only target is in the symbols as this: named after the
 * function, or, where functions share images, after their programs.
 */
static char own_image[40];

static int own_images(void)
{
	return multi_images(own_image);
}

/* Wait until the images of earlier tests are gone: until one that is freed
 * after them is.
 */
static bool settle_images(const struct bpf_program *prog)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	struct multi_targets t;
	int fd;

	if (!multi_set(&t, "bpf_fentry_test9", NULL))
		return false;
	fd = multi_attach(prog, &t);
	if (!ASSERT_OK_FD(fd, "attach to settle"))
		return false;
	if (ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "info"))
		snprintf(own_image, sizeof(own_image), "%llu",
			 (__u64)info.tracing_multi.btf_obj_id << 32 | 1U << 31 | t.ids[0]);
	if (!own_images())
		snprintf(own_image, sizeof(own_image), "multi_args1_prog_%u", info.prog_id);
	ASSERT_EQ(own_images(), 1, "image's name");
	close(fd);
	return wait_for(own_images, 0, "settled");
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
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->pid = getpid();
	skel->bss->at_entry[0].hits = 0;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.run_fentry_tests), &opts),
		  "trigger");
	return skel->bss->at_entry[0].hits;
}

#define NR_FILL 40

/* As many programs on func as it takes, then one more is refused. */
static int fill_function(const struct multi_targets *t, int *link_fds)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = BPF_TRACE_FENTRY_MULTI);
	union bpf_attr attr;
	int prog_fd, i;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.attach_type = BPF_TRACE_FENTRY_MULTI;
	attr.link_create.tracing_multi.ids = ptr_to_u64(t->ids);
	attr.link_create.tracing_multi.cnt = t->cnt;
	attr.link_create.tracing_multi.bad_idx = MULTI_NO_IDX;
	for (i = 0; i < NR_FILL; i++) {
		prog_fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "GPL", insns,
					ARRAY_SIZE(insns), &opts);
		if (!ASSERT_OK_FD(prog_fd, "load"))
			break;
		attr.link_create.prog_fd = prog_fd;
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

/* The last of many targets is refused while the others are attached already. */
static void test_rollback_full(void)
{
	int link_fds[NR_FILL], cnt, enabled, images, i;
	struct multi_targets t, full;
	struct tracing_multi_link *skel;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!multi_set(&full, "bpf_fentry_test1", NULL) || !add_many(&t))
		goto out;
	cnt = fill_function(&full, link_fds);
	ASSERT_EQ(cnt, get_bpf_max_tramp_links(), "limit");
	if (!settle_images(skel->progs.leave))
		goto close;
	enabled = enabled_functions();
	images = images_cnt();
	t.ids[t.cnt++] = full.ids[0];
	multi_refused(skel->progs.entry, &t, -E2BIG, t.cnt - 1, "last is full");
	ASSERT_EQ(enabled_functions(), enabled, "enabled_functions");
	wait_for(images_cnt, images, "trampoline images");
close:
	for (i = 0; i < cnt; i++)
		close(link_fds[i]);
	/* once there is room, it works */
	multi_attached(skel->progs.entry, &t, "not full anymore");
out:
	tracing_multi_link__destroy(skel);
}

/* Are functions to share images? On other architectures they never do. */
static bool set_sharing(bool on)
{
	static const char path[] = "/sys/module/bpf_trampoline/parameters/share_images";

	return ASSERT_OK(write_sysctl(path, on ? "Y" : "N"), "switch");
}

static void attach_to_all(struct tracing_multi_link *skel, const struct multi_targets *t,
			  bool share)
{
	int enabled = enabled_functions(), images = images_cnt(), fd;

	if (!set_sharing(share))
		return;
	fd = multi_attach(skel->progs.entry, t);
	set_sharing(true);
	if (!ASSERT_OK_FD(fd, "attach to all"))
		return;
	ASSERT_EQ(enabled_functions(), enabled + t->cnt, "enabled_functions, all");
#ifdef __x86_64__
	if (share) {
		ASSERT_GT(images_cnt(), images, "trampoline images, shared");
		ASSERT_LT(images_cnt(), images + t->cnt, "trampoline images, shared");
	}
#else
	share = false;
#endif
	if (!share)
		ASSERT_EQ(images_cnt(), images + t->cnt, "trampoline images, all");
	ASSERT_EQ(test1_hits(skel), 1, "attached");
	close(fd);
}

/* Refused for what it is, and for the program being there already. */
static void test_rollback(void)
{
	struct tracing_multi_link *skel;
	struct multi_targets t, one;
	int enabled, images, fd;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	if (!ASSERT_OK(kallsyms_find("bpf_fentry_test1", &skel->bss->addrs[0]), "addr") ||
	    !multi_set(&one, "bpf_fentry_test1", NULL) || !add_many(&t) ||
	    !settle_images(skel->progs.leave))
		goto out;
	enabled = enabled_functions();
	images = images_cnt();

	t.ids[t.cnt] = t.ids[0];
	t.ids[0] = one.ids[0];
	t.cnt++;
	if (!multi_add(&t, "migrate_disable"))
		goto out;
	multi_refused(skel->progs.entry, &t, -EINVAL, t.cnt - 1, "last is denied");
	ASSERT_EQ(enabled_functions(), enabled, "enabled_functions, denied");
	ASSERT_EQ(test1_hits(skel), 0, "not attached");

	/* the program sits on the last one of t */
	t.cnt--;
	one.ids[0] = t.ids[t.cnt - 1];
	fd = multi_attach(skel->progs.entry, &one);
	if (!ASSERT_OK_FD(fd, "attach to one"))
		goto out;
	multi_refused(skel->progs.entry, &t, -EBUSY, t.cnt - 1, "last is busy");
	ASSERT_EQ(enabled_functions(), enabled + 1, "enabled_functions, busy");
	ASSERT_EQ(test1_hits(skel), 0, "not attached, busy");
	close(fd);
	ASSERT_EQ(enabled_functions(), enabled, "enabled_functions, detached");
	wait_for(images_cnt, images, "trampoline images");

	attach_to_all(skel, &t, false);
	wait_for(images_cnt, images, "trampoline images, own ones");
	attach_to_all(skel, &t, true);
	ASSERT_EQ(enabled_functions(), enabled, "enabled_functions, at the end");
	ASSERT_EQ(test1_hits(skel), 0, "detached");
	wait_for(images_cnt, images, "trampoline images, at the end");
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
	enabled = enabled_functions();
	entry_fd = multi_attach(skel->progs.entry, &t);
	leave_fd = multi_attach(skel->progs.leave, &t);
	if (!ASSERT_OK_FD(entry_fd, "fentry") || !ASSERT_OK_FD(leave_fd, "fexit"))
		goto out;
	ASSERT_EQ(enabled_functions(), enabled + 2, "both");
	close(entry_fd);
	ASSERT_EQ(enabled_functions(), enabled + 2, "one");
	close(leave_fd);
	ASSERT_EQ(enabled_functions(), enabled, "none");
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
	ASSERT_OK(unload_module(MODULE_X, verbose()), "unload_module");
	/* the BTF's fd outlives the module */
	if (fd >= 0)
		multi_refused(skel->progs.entry, &t, -ENOENT, 1, "module is gone");
destroy:
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
	ASSERT_OK(unload_module(MODULE_X, verbose()), "unload x");
	ASSERT_EQ(try_unload(MODULE_Y), -EWOULDBLOCK, "y is still traced");
	close(other_fd);
	ASSERT_OK(unload_module(MODULE_Y, verbose()), "unload y");
	goto destroy;
unload:
	unload_module(MODULE_Y, verbose());
unload_x:
	unload_module(MODULE_X, verbose());
destroy:
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
	int prog_fd, fd;

	prog_fd = load_for_module(func, BPF_TRACE_FENTRY_MULTI, insns, ARRAY_SIZE(insns));
	if (!ASSERT_OK_FD(prog_fd, func))
		return;
	if (!multi_set(&t, good, bad, NULL))
		goto out;
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = prog_fd;
	attr.link_create.attach_type = BPF_TRACE_FENTRY_MULTI;
	attr.link_create.flags = BPF_F_TRACING_MULTI_TGT_FDS;
	attr.link_create.tracing_multi.ids = ptr_to_u64(t.ids);
	attr.link_create.tracing_multi.tgt_fds = ptr_to_u64(t.fds);
	attr.link_create.tracing_multi.cnt = 1;
	fd = multi_create(&attr);
	if (ASSERT_OK_FD(fd, good))
		close(fd);
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
	unload_module(MODULE_Y, verbose());
unload_x:
	unload_module(MODULE_X, verbose());
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
	unload_module(MODULE_X, verbose());
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
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct multi_targets t = {};
	int fd = -1;

	skel = tracing_multi_link__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	target = tracing_multi_target__open_and_load();
	if (!ASSERT_OK_PTR(target, "open_and_load target"))
		goto out;
	if (ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(target->progs.target_tc),
					      &info, &len), "info") &&
	    multi_add(&t, "bpf_fentry_test1") &&
	    multi_add_prog(&t, bpf_program__fd(target->progs.target_tc), "target_sum"))
		fd = multi_attach(skel->progs.entry, &t);
	target_id = info.id;
	tracing_multi_target__destroy(target);
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	kern_sync_rcu();
	ASSERT_EQ(target_alive(), 1, "held by the link");
	close(fd);
	wait_for(target_alive, 0, "dropped");
out:
	tracing_multi_link__destroy(skel);
}

/* The traced program goes on working with its tail calls. */
static void test_tail_calling_target(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct tracing_multi_target *target = NULL;
	struct tracing_multi_link *skel;
	struct multi_targets t = {};
	int fd = -1, callee, zero = 0;
	char pkt[64] = {};

	opts.data_in = pkt;
	opts.data_size_in = sizeof(pkt);
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
	fd = multi_attach(skel->progs.leave, &t);
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(target->progs.target_tail_call),
					 &opts), "run");
	ASSERT_EQ(opts.retval, 8, "retval of what is tail-called");
out:
	if (fd >= 0)
		close(fd);
	tracing_multi_target__destroy(target);
	tracing_multi_link__destroy(skel);
}

static const struct {
	const char *name;
	void (*run)(void);
} subtests[] = {
	{ "rollback", test_rollback },
	{ "rollback_full", test_rollback_full },
	{ "enabled_functions", test_enabled_functions },
	{ "module_ref", test_module_ref },
	{ "two_modules_ref", test_two_modules_ref },
	{ "types_of_two_modules", test_types_of_two_modules },
	{ "type_tag_user", test_type_tag_user },
	{ "type_tag_percpu", test_type_tag_percpu },
	{ "type_tag_rcu", test_type_tag_rcu },
	{ "program_ref", test_program_ref },
	{ "tail_calling_target", test_tail_calling_target },
};

void serial_test_tracing_multi_link_state(void)
{
	int i;

	if (!env.has_testmod) {
		test__skip();
		return;
	}
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (!test__start_subtest(subtests[i].name))
			continue;
		/* modules come and go: don't keep their BTF */
		if (multi_init())
			subtests[i].run();
		multi_fini();
	}
}
