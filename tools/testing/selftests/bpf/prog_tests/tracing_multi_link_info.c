// SPDX-License-Identifier: GPL-2.0
/* What a tracing multi-link tells of itself, and the binary layout. */
#include <test_progs.h>
#include <sys/mman.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_match.skel.h"
#include "tracing_multi_target.skel.h"

#define KPTR_RESTRICT "/proc/sys/kernel/kptr_restrict"

struct info_bufs {
	__u32 ids[MULTI_MAX];
	__u64 addrs[MULTI_MAX];
	__u64 cookies[MULTI_MAX];
	__u32 obj_ids[MULTI_MAX];
	__u32 obj_kinds[MULTI_MAX];
};

static struct tracing_multi_match *skel;
static struct tracing_multi_target *target;

static void init_info(struct bpf_link_info *info, struct info_bufs *bufs, __u32 count)
{
	memset(info, 0, sizeof(*info));
	memset(bufs, 0xff, sizeof(*bufs));
	info->tracing_multi.count = count;
	info->tracing_multi.ids = ptr_to_u64(bufs->ids);
	info->tracing_multi.addrs = ptr_to_u64(bufs->addrs);
	info->tracing_multi.cookies = ptr_to_u64(bufs->cookies);
	info->tracing_multi.obj_ids = ptr_to_u64(bufs->obj_ids);
	info->tracing_multi.obj_kinds = ptr_to_u64(bufs->obj_kinds);
}

static int get_info(int fd, struct bpf_link_info *info)
{
	__u32 len = sizeof(*info);

	return bpf_link_get_info_by_fd(fd, info, &len);
}

static __u32 vmlinux_obj_id(void)
{
	struct bpf_btf_info info;
	char name[16];
	__u32 id = 0;
	int fd;

	while (!bpf_btf_get_next_id(id, &id)) {
		__u32 len = sizeof(info);

		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		memset(name, 0, sizeof(name));
		info.name = ptr_to_u64(name);
		info.name_len = sizeof(name);
		if (!bpf_btf_get_info_by_fd(fd, &info, &len) && info.kernel_btf &&
		    !strcmp(name, "vmlinux")) {
			close(fd);
			return id;
		}
		close(fd);
	}
	return 0;
}

static int cmp_u32(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

/* Targets in one object, given in descending order of their ids; the cookie
 * of each is made from its id.
 */
static bool set_descending(struct multi_targets *t)
{
	__u32 i, tmp;

	if (!multi_set(t, "bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test3",
		       "bpf_fentry_test4", "bpf_fentry_test5", NULL))
		return false;
	qsort(t->ids, t->cnt, sizeof(t->ids[0]), cmp_u32);
	for (i = 0; i < t->cnt / 2; i++) {
		tmp = t->ids[i];
		t->ids[i] = t->ids[t->cnt - 1 - i];
		t->ids[t->cnt - 1 - i] = tmp;
	}
	for (i = 0; i < t->cnt; i++)
		t->cookies[i] = t->ids[i] * 3ULL << 32;
	t->use_cookies = true;
	return true;
}

static int link_descending(struct multi_targets *t)
{
	return set_descending(t) ? multi_link(skel->progs.untyped, t, "attach") : -1;
}

static __u64 id_addr(__u32 id)
{
	const struct btf_type *type = btf__type_by_id(multi_vmlinux_btf(), id);
	unsigned long long addr = 0;

	kallsyms_find(btf__name_by_offset(multi_vmlinux_btf(), type->name_off), &addr);
	return addr;
}

static void test_sorted(void)
{
	struct bpf_link_info info;
	struct multi_targets t;
	struct info_bufs bufs;
	__u32 i, obj_id;
	int fd;

	fd = link_descending(&t);
	if (fd < 0)
		return;
	init_info(&info, &bufs, MULTI_MAX);
	if (!ASSERT_OK(get_info(fd, &info), "info"))
		return;
	obj_id = vmlinux_obj_id();
	ASSERT_EQ(info.type, BPF_LINK_TYPE_TRACING_MULTI, "type");
	ASSERT_EQ(info.prog_id, multi_prog_id(skel->progs.untyped), "prog_id");
	ASSERT_EQ(info.tracing_multi.attach_type, BPF_TRACE_FENTRY_MULTI, "attach_type");
	ASSERT_EQ(info.tracing_multi.count, t.cnt, "count");
	ASSERT_NEQ(obj_id, 0, "id of vmlinux' BTF");
	ASSERT_EQ(info.tracing_multi.btf_obj_id, obj_id, "btf_obj_id");
	for (i = 0; i < t.cnt; i++) {
		ASSERT_EQ(bufs.ids[i], t.ids[t.cnt - 1 - i], "ascending ids");
		ASSERT_EQ(bufs.cookies[i], bufs.ids[i] * 3ULL << 32, "its cookie");
		ASSERT_EQ(bufs.addrs[i], id_addr(bufs.ids[i]), "its address");
		ASSERT_EQ(bufs.obj_ids[i], obj_id, "obj_id");
		ASSERT_EQ(bufs.obj_kinds[i], BPF_TRACING_MULTI_OBJ_BTF, "obj_kind");
	}
	ASSERT_EQ(bufs.ids[t.cnt], ~0U, "nothing behind");
}

static void test_mixed(void)
{
	struct multi_targets t = {};
	struct bpf_link_info info;
	struct info_bufs bufs;
	__u32 i, module_id;
	int fd, prog_fd;

	prog_fd = bpf_program__fd(target->progs.target_tc);
	if (!multi_add_prog(&t, prog_fd, "target_sum") ||
	    !multi_add(&t, "bpf_testmod:bpf_testmod_multi_2") ||
	    !multi_add_prog(&t, prog_fd, "target_tc") ||
	    !multi_add(&t, "bpf_fentry_test2") ||
	    !multi_add(&t, "bpf_testmod:bpf_testmod_multi_1"))
		return;
	fd = multi_link(skel->progs.untyped_exit, &t, "attach");
	if (fd < 0)
		return;
	init_info(&info, &bufs, t.cnt);
	if (!ASSERT_OK(get_info(fd, &info), "info"))
		return;
	module_id = multi_btf_obj_id(multi_module_fd("bpf_testmod"));
	ASSERT_EQ(info.tracing_multi.attach_type, BPF_TRACE_FEXIT_MULTI, "attach_type");
	ASSERT_EQ(info.tracing_multi.count, 5, "count");
	ASSERT_EQ(info.tracing_multi.btf_obj_id, 0, "not one BTF object");
	for (i = 0; i < 3; i++)
		ASSERT_EQ(bufs.obj_kinds[i], BPF_TRACING_MULTI_OBJ_BTF, "BTF objects first");
	for (; i < 5; i++) {
		ASSERT_EQ(bufs.obj_kinds[i], BPF_TRACING_MULTI_OBJ_PROG, "then programs");
		ASSERT_EQ(bufs.obj_ids[i], multi_prog_id(target->progs.target_tc), "program id");
	}
	ASSERT_EQ(bufs.obj_ids[0], vmlinux_obj_id(), "vmlinux");
	ASSERT_EQ(bufs.ids[0], t.ids[3], "id in vmlinux");
	ASSERT_EQ(bufs.obj_ids[1], module_id, "module");
	ASSERT_EQ(bufs.obj_ids[2], module_id, "module again");
	ASSERT_LT(bufs.ids[1], bufs.ids[2], "ids in module");
	ASSERT_LT(bufs.ids[3], bufs.ids[4], "ids in program");
	for (i = 0; i < 5; i++)
		ASSERT_EQ(bufs.cookies[i], 0, "no cookies");
}

static void test_module_only(void)
{
	struct bpf_link_info info = {};
	struct multi_targets t;
	int fd;

	if (!multi_set(&t, "bpf_testmod:bpf_testmod_multi_2",
		       "bpf_testmod:bpf_testmod_multi_1", NULL))
		return;
	fd = multi_link(skel->progs.untyped, &t, "attach");
	if (fd < 0 || !ASSERT_OK(get_info(fd, &info), "info"))
		return;
	ASSERT_EQ(info.tracing_multi.btf_obj_id,
		  multi_btf_obj_id(multi_module_fd("bpf_testmod")), "btf_obj_id");
	ASSERT_EQ(info.tracing_multi.count, 2, "count");
}

static void test_buffers(void)
{
	struct bpf_link_info info;
	struct multi_targets t;
	struct info_bufs bufs;
	__u32 i;
	int fd;

	fd = link_descending(&t);
	if (fd < 0)
		return;

	/* without any buffer: the count */
	memset(&info, 0, sizeof(info));
	ASSERT_OK(get_info(fd, &info), "count only");
	ASSERT_EQ(info.tracing_multi.count, t.cnt, "count");

	/* some of the buffers */
	init_info(&info, &bufs, t.cnt);
	info.tracing_multi.ids = 0;
	info.tracing_multi.obj_ids = 0;
	ASSERT_OK(get_info(fd, &info), "some buffers");
	ASSERT_EQ(bufs.ids[0], ~0U, "no ids");
	ASSERT_EQ(bufs.cookies[0], t.cookies[t.cnt - 1], "cookies");
	ASSERT_EQ(bufs.obj_kinds[0], 0, "obj_kinds");

	/* short: the first ones */
	init_info(&info, &bufs, 2);
	ASSERT_EQ(get_info(fd, &info), -ENOSPC, "short");
	ASSERT_EQ(info.tracing_multi.count, 2, "info is not written");
	ASSERT_EQ(info.type, 0, "info is not written at all");
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(bufs.ids[i], t.ids[t.cnt - 1 - i], "first ids");
		ASSERT_EQ(bufs.cookies[i], t.cookies[t.cnt - 1 - i], "first cookies");
	}
	ASSERT_EQ(bufs.ids[2], ~0U, "not beyond ids");
	ASSERT_EQ(bufs.addrs[2], ~0ULL, "not beyond addrs");
	ASSERT_EQ(bufs.cookies[2], ~0ULL, "not beyond cookies");
	ASSERT_EQ(bufs.obj_ids[2], ~0U, "not beyond obj_ids");
	ASSERT_EQ(bufs.obj_kinds[2], ~0U, "not beyond obj_kinds");

	/* nonsense */
	init_info(&info, &bufs, 0);
	ASSERT_EQ(get_info(fd, &info), -EINVAL, "buffers without count");
	init_info(&info, &bufs, t.cnt);
	info.tracing_multi.cookies = 8;
	ASSERT_EQ(get_info(fd, &info), -EFAULT, "bad pointer");
}

/* bpf_link_info by numbers; BPF_LINK_CREATE's are in tracing_multi_helpers.h */
enum {
	RAW_INFO_TYPE = 0,
	RAW_INFO_PROG_ID = 8,
	RAW_INFO_ATTACH_TYPE = 16,
	RAW_INFO_COUNT = 20,
	RAW_INFO_OBJ_ID = 24,
	RAW_INFO_IDS = 32,
	RAW_INFO_ADDRS = 40,
	RAW_INFO_COOKIES = 48,
	RAW_INFO_OBJ_IDS = 56,
	RAW_INFO_OBJ_KINDS = 64,
	/* what the first ones that had this interface know, and all */
	RAW_INFO_SIZE_FIRST = 56,
	RAW_INFO_SIZE = 72,
	/* and more than any kernel so far */
	RAW_INFO_SIZE_LATER = 256,
};

/* Which of info_bufs are given to the kernel */
enum {
	GIVE_IDS = 1,
	GIVE_ADDRS = 2,
	GIVE_COOKIES = 4,
	GIVE_OBJ_IDS = 8,
	GIVE_OBJ_KINDS = 16,
	GIVE_FIRST = GIVE_IDS | GIVE_ADDRS | GIVE_COOKIES,
	GIVE_ALL = GIVE_FIRST | GIVE_OBJ_IDS | GIVE_OBJ_KINDS,
};

/* BPF_OBJ_GET_INFO_BY_FD: bpf_fd, info_len, info; 0 or a negative errno */
static int raw_get_info(int fd, const char *info, __u32 *len)
{
	char attr[16] __aligned(8) = {};
	int err;

	multi_put32(attr, 0, fd);
	multi_put32(attr, 4, *len);
	multi_put64(attr, 8, ptr_to_u64(info));
	err = syscall(__NR_bpf, 15, attr, sizeof(attr)) ? -errno : 0;
	*len = multi_get32(attr, 4);
	return err;
}

/* The caller knows len of info, in which there is room for the buffers that it gives. */
static int raw_info(int fd, char *info, __u32 len, struct info_bufs *bufs, __u32 count,
		    int give)
{
	memset(info, 0, len);
	memset(bufs, 0xff, sizeof(*bufs));
	multi_put32(info, RAW_INFO_COUNT, count);
	if (give & GIVE_IDS)
		multi_put64(info, RAW_INFO_IDS, ptr_to_u64(bufs->ids));
	if (give & GIVE_ADDRS)
		multi_put64(info, RAW_INFO_ADDRS, ptr_to_u64(bufs->addrs));
	if (give & GIVE_COOKIES)
		multi_put64(info, RAW_INFO_COOKIES, ptr_to_u64(bufs->cookies));
	if (give & GIVE_OBJ_IDS)
		multi_put64(info, RAW_INFO_OBJ_IDS, ptr_to_u64(bufs->obj_ids));
	if (give & GIVE_OBJ_KINDS)
		multi_put64(info, RAW_INFO_OBJ_KINDS, ptr_to_u64(bufs->obj_kinds));
	return raw_get_info(fd, info, &len);
}

#define FDINFO_MAX 8192

static char *read_fdinfo(int fd)
{
	static char buf[FDINFO_MAX];
	char path[64];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!ASSERT_OK_PTR(f, path))
		return NULL;
	len = fread(buf, 1, sizeof(buf) - 1, f);
	buf[len] = 0;
	fclose(f);
	return buf;
}

static char kptr_was[16];

static bool restrict_kptr(const char *value)
{
	int sysctl = open(KPTR_RESTRICT, O_RDONLY);
	bool ok;

	if (!ASSERT_OK_FD(sysctl, "open"))
		return false;
	memset(kptr_was, 0, sizeof(kptr_was));
	ok = ASSERT_GT(read(sysctl, kptr_was, sizeof(kptr_was) - 1), 0, "read");
	close(sysctl);
	return ok && ASSERT_OK(write_sysctl(KPTR_RESTRICT, value), "restrict");
}

static void restore_kptr(void)
{
	ASSERT_OK(write_sysctl(KPTR_RESTRICT, kptr_was), "restore");
}

/* What would tell where a function is isn't in the lines of cnt targets. */
static void check_hidden_fdinfo(const char *text, __u32 cnt)
{
	const char *p = text;
	char line[64];
	__u32 hidden = 0;

	snprintf(line, sizeof(line), "target_cnt:\t%u\n", cnt);
	ASSERT_HAS_SUBSTR(text, line, "fdinfo");
	ASSERT_NULL(strstr(text, "bpf_fentry_test"), "hidden symbol");
	while ((p = strstr(p, "\t 0x0\n"))) {
		hidden++;
		p++;
	}
	ASSERT_EQ(hidden, cnt, "hidden addresses");
}

static void test_hidden_addrs(void)
{
	struct bpf_link_info info;
	struct multi_targets t;
	struct info_bufs bufs;
	__u32 i;
	int fd;

	fd = link_descending(&t);
	if (fd < 0 || !restrict_kptr("2"))
		return;
	init_info(&info, &bufs, t.cnt);
	ASSERT_OK(get_info(fd, &info), "info");
	for (i = 0; i < t.cnt; i++) {
		ASSERT_EQ(bufs.addrs[i], 0, "hidden address");
		ASSERT_EQ(bufs.ids[i], t.ids[t.cnt - 1 - i], "ids");
	}
	check_hidden_fdinfo(read_fdinfo(fd) ?: "", t.cnt);
	restore_kptr();
}

/* What a process without capabilities gets that has the fds of a program and of a
 * link; and the same of kprobe_multi, to compare with.
 */
struct unprivileged {
	int multi_fd, kprobe_fd;
	int multi_err, kprobe_err, inherited_err;
	__u64 multi_addr, kprobe_addr, inherited_addr;
	__u32 multi_id, inherited_id;
	/* by numbers, and as text */
	int raw_err;
	struct info_bufs raw_bufs;
	char fdinfo[FDINFO_MAX];
	/* of loading a program, by attach type */
	int load_errs[3];
	uid_t uid;
};

static const enum bpf_attach_type multi_types[] = {
	BPF_TRACE_FENTRY_MULTI, BPF_TRACE_FEXIT_MULTI, BPF_MODIFY_RETURN_MULTI,
};

static int load_type(enum bpf_attach_type type)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	int fd = multi_load_empty(BPF_PROG_TYPE_TRACING, &opts);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int unpriv_info(int fd, __u64 *addr, __u32 *id)
{
	struct bpf_link_info info;
	struct info_bufs bufs;
	int err;

	init_info(&info, &bufs, MULTI_MAX);
	err = get_info(fd, &info);
	*addr = bufs.addrs[0];
	*id = bufs.ids[0];
	return err;
}

static int unpriv_kprobe_info(int fd, __u64 *addr)
{
	struct bpf_link_info info = {};

	*addr = ~0ULL;
	info.kprobe_multi.addrs = ptr_to_u64(addr);
	info.kprobe_multi.count = 1;
	return get_info(fd, &info);
}

static int link_kprobe(int prog_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	const char *sym = "bpf_fentry_test6";

	opts.kprobe_multi.syms = &sym;
	opts.kprobe_multi.cnt = 1;
	return bpf_link_create(prog_fd, 0, BPF_TRACE_KPROBE_MULTI, &opts);
}

static void run_unprivileged(struct unprivileged *u, const struct multi_targets *t,
			     int kprobe_prog_fd, int link_fd)
{
	char info[RAW_INFO_SIZE] __aligned(8);
	const uid_t nobody = 65534;
	int i;

	if (setresgid(nobody, nobody, nobody) || setresuid(nobody, nobody, nobody))
		return;
	u->uid = getuid();
	for (i = 0; i < ARRAY_SIZE(multi_types); i++)
		u->load_errs[i] = load_type(multi_types[i]);
	u->multi_fd = multi_attach(skel->progs.untyped, t);
	u->kprobe_fd = link_kprobe(kprobe_prog_fd);
	u->multi_err = unpriv_info(u->multi_fd, &u->multi_addr, &u->multi_id);
	u->kprobe_err = unpriv_kprobe_info(u->kprobe_fd, &u->kprobe_addr);
	u->inherited_err = unpriv_info(link_fd, &u->inherited_addr, &u->inherited_id);
	u->raw_err = raw_info(link_fd, info, sizeof(info), &u->raw_bufs, MULTI_MAX, GIVE_ALL);
	snprintf(u->fdinfo, sizeof(u->fdinfo), "%s", read_fdinfo(link_fd) ?: "");
}

/* link: of the privileged process, with targets in descending order */
static void check_unprivileged(const struct unprivileged *u, __u32 multi_id,
			       const struct multi_targets *link)
{
	/* not all architectures have that to compare with */
	bool has_kprobe = u->kprobe_fd != -EOPNOTSUPP;
	__u32 i;

	if (!ASSERT_NEQ(u->uid, 0, "unprivileged"))
		return;
	for (i = 0; i < ARRAY_SIZE(multi_types); i++) {
		ASSERT_EQ(u->load_errs[i], -EPERM, "load without capabilities");
		ASSERT_OK(load_type(multi_types[i]), "load with capabilities");
	}
	if (has_kprobe)
		ASSERT_EQ(u->multi_fd < 0 ? u->multi_fd : 0,
			  u->kprobe_fd < 0 ? u->kprobe_fd : 0,
			  "link creation as kprobe_multi's");
	if (u->multi_fd >= 0) {
		if (has_kprobe) {
			ASSERT_EQ(u->multi_err, u->kprobe_err, "info as kprobe_multi's");
			ASSERT_EQ(u->multi_addr, u->kprobe_addr, "address as kprobe_multi's");
		}
		ASSERT_EQ(u->multi_addr, 0, "address");
		ASSERT_EQ(u->multi_id, multi_id, "id");
	}
	ASSERT_OK(u->inherited_err, "info of privileged link");
	ASSERT_EQ(u->inherited_addr, 0, "address of privileged link");
	ASSERT_EQ(u->inherited_id, link->ids[link->cnt - 1], "id of privileged link");
	ASSERT_OK(u->raw_err, "info by numbers");
	for (i = 0; i < link->cnt; i++) {
		ASSERT_EQ(u->raw_bufs.addrs[i], 0, "address by number");
		ASSERT_EQ(u->raw_bufs.ids[i], link->ids[link->cnt - 1 - i], "id by number");
	}
	check_hidden_fdinfo(u->fdinfo, link->cnt);
}

static void fork_unprivileged(struct unprivileged *u, int kprobe_prog_fd)
{
	struct multi_targets t, child;
	struct info_bufs bufs;
	struct bpf_link_info info;
	int fd, status = 0;
	pid_t pid;

	fd = link_descending(&t);
	if (fd < 0 || !multi_set(&child, "bpf_fentry_test6", NULL))
		return;
	init_info(&info, &bufs, MULTI_MAX);
	ASSERT_OK(get_info(fd, &info), "own info");
	ASSERT_NEQ(bufs.addrs[0], 0, "own address");
	pid = fork();
	if (!pid) {
		run_unprivileged(u, &child, kprobe_prog_fd, fd);
		_exit(0);
	}
	if (!ASSERT_GT(pid, 0, "fork"))
		return;
	ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid");
	ASSERT_EQ(status, 0, "status");
	check_unprivileged(u, child.ids[0], &t);
}

static void test_unprivileged(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_KPROBE_MULTI);
	struct unprivileged *u;
	int kprobe_prog_fd;

	u = mmap(NULL, sizeof(*u), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!ASSERT_NEQ(u, MAP_FAILED, "mmap"))
		return;
	kprobe_prog_fd = multi_load_empty(BPF_PROG_TYPE_KPROBE, &opts);
	if (ASSERT_OK_FD(kprobe_prog_fd, "kprobe_multi") && restrict_kptr("1")) {
		fork_unprivileged(u, kprobe_prog_fd);
		restore_kptr();
	}
	if (kprobe_prog_fd >= 0)
		close(kprobe_prog_fd);
	munmap(u, sizeof(*u));
}

static void test_fdinfo(void)
{
	struct multi_targets t;
	char line[64], *text;
	unsigned int kind_len;
	__u32 i, obj_id;
	int fd;

	if (!set_descending(&t) ||
	    !multi_add_prog(&t, bpf_program__fd(target->progs.target_xdp), "target_xdp"))
		return;
	fd = multi_link(skel->progs.untyped, &t, "attach");
	text = fd < 0 ? NULL : read_fdinfo(fd);
	if (!text)
		return;
	ASSERT_HAS_SUBSTR(text, "link_type:\ttracing_multi\n", "link_type");
	snprintf(line, sizeof(line), "attach_type:\t%d\n", BPF_TRACE_FENTRY_MULTI);
	ASSERT_HAS_SUBSTR(text, line, "attach_type");
	snprintf(line, sizeof(line), "target_cnt:\t%u\n", t.cnt);
	ASSERT_HAS_SUBSTR(text, line, "target_cnt");
	/* one line for each target, sorted as in the info */
	obj_id = vmlinux_obj_id();
	for (i = 0; i < t.cnt - 1; i++) {
		__u32 idx = t.cnt - 2 - i;

		snprintf(line, sizeof(line), "btf\t %u\t %u\t %llu\t bpf_fentry_test",
			 obj_id, t.ids[idx], t.cookies[idx]);
		if (!ASSERT_HAS_SUBSTR(text, line, "target"))
			return;
		text = strstr(text, line) + 1;
	}
	snprintf(line, sizeof(line), "prog\t %u\t %u\t 0\t",
		 multi_prog_id(target->progs.target_xdp), t.ids[t.cnt - 1]);
	kind_len = strlen(line);
	if (ASSERT_HAS_SUBSTR(text, line, "program last"))
		ASSERT_NULL(strstr(strstr(text, line) + kind_len, "btf\t"), "btf behind prog");
}

static struct multi_raw raw_of(const struct bpf_program *prog, __u32 attach_type,
			       const struct multi_targets *t)
{
	return (struct multi_raw) {
		.prog_fd = bpf_program__fd(prog),
		.attach_type = attach_type,
		.ids = t->ids,
		.cookies = t->cookies,
		.cnt = t->cnt,
		.size = RAW_CREATE_SIZE_FIRST,
	};
}

static void test_layout(void)
{
	char info[RAW_INFO_SIZE] __aligned(8);
	struct multi_targets t;
	struct info_bufs bufs;
	struct multi_raw raw;
	__u32 i;
	int fd;

	if (!set_descending(&t))
		return;
	raw = raw_of(skel->progs.untyped, RAW_FENTRY_MULTI, &t);
	fd = multi_raw_create(&raw);
	if (!ASSERT_OK_FD(fd, "fentry"))
		return;
	if (!ASSERT_OK(raw_info(fd, info, RAW_INFO_SIZE_FIRST, &bufs, t.cnt, GIVE_FIRST), "info"))
		goto out;
	ASSERT_EQ(multi_get32(info, RAW_INFO_TYPE), RAW_LINK_TYPE, "link type");
	ASSERT_EQ(multi_get32(info, RAW_INFO_PROG_ID), multi_prog_id(skel->progs.untyped),
		  "prog_id");
	ASSERT_EQ(multi_get32(info, RAW_INFO_ATTACH_TYPE), RAW_FENTRY_MULTI, "attach type");
	ASSERT_EQ(multi_get32(info, RAW_INFO_COUNT), t.cnt, "count");
	ASSERT_EQ(multi_get32(info, RAW_INFO_OBJ_ID), vmlinux_obj_id(), "btf_obj_id");
	for (i = 0; i < t.cnt; i++) {
		ASSERT_EQ(bufs.ids[i], t.ids[t.cnt - 1 - i], "ids");
		ASSERT_EQ(bufs.cookies[i], t.cookies[t.cnt - 1 - i], "cookies");
		ASSERT_NEQ(bufs.addrs[i], ~0ULL, "addrs");
		ASSERT_EQ(bufs.obj_ids[i], ~0U, "obj_ids, not asked for");
	}
out:
	close(fd);
	raw = raw_of(skel->progs.untyped_exit, RAW_FEXIT_MULTI, &t);
	fd = multi_raw_create(&raw);
	if (ASSERT_OK_FD(fd, "fexit"))
		close(fd);
	if (!multi_set(&t, "bpf_modify_return_test", NULL))
		return;
	raw = raw_of(skel->progs.modify_untyped, RAW_FMOD_RET_MULTI, &t);
	fd = multi_raw_create(&raw);
	if (!ASSERT_OK_FD(fd, "fmod_ret"))
		return;
	if (ASSERT_OK(raw_info(fd, info, RAW_INFO_SIZE, &bufs, 1, GIVE_IDS), "info")) {
		ASSERT_EQ(multi_get32(info, RAW_INFO_ATTACH_TYPE), 62, "attach type");
		ASSERT_EQ(bufs.ids[0], t.ids[0], "id");
	}
	close(fd);
}

/* Nothing is in the buffers from an index on, 0 for those that weren't given. */
static void check_unwritten(const struct info_bufs *bufs, __u32 cookies_from)
{
	ASSERT_EQ(bufs->ids[0], ~0U, "no ids");
	ASSERT_EQ(bufs->addrs[0], ~0ULL, "no addrs");
	ASSERT_EQ(bufs->cookies[cookies_from], ~0ULL, "no more cookies");
	ASSERT_EQ(bufs->obj_ids[0], ~0U, "no obj_ids");
	ASSERT_EQ(bufs->obj_kinds[0], ~0U, "no obj_kinds");
}

static void check_raw_buffers(int fd, const struct multi_targets *t)
{
	char info[RAW_INFO_SIZE] __aligned(8);
	struct info_bufs bufs;
	__u32 i;

	/* one buffer, too short, and just long enough */
	ASSERT_EQ(raw_info(fd, info, sizeof(info), &bufs, 2, GIVE_COOKIES), -ENOSPC, "short");
	ASSERT_EQ(multi_get32(info, RAW_INFO_TYPE), 0, "info is not written");
	ASSERT_EQ(multi_get32(info, RAW_INFO_COUNT), 2, "nor is its count");
	for (i = 0; i < 2; i++)
		ASSERT_EQ(bufs.cookies[i], t->cookies[t->cnt - 1 - i], "first cookies");
	check_unwritten(&bufs, 2);
	ASSERT_OK(raw_info(fd, info, sizeof(info), &bufs, t->cnt, GIVE_COOKIES), "all cookies");
	ASSERT_EQ(multi_get32(info, RAW_INFO_COUNT), t->cnt, "count");
	for (i = 0; i < t->cnt; i++)
		ASSERT_EQ(bufs.cookies[i], t->cookies[t->cnt - 1 - i], "all cookies");
	check_unwritten(&bufs, t->cnt);

	/* longer than needed: count is how many there are */
	ASSERT_OK(raw_info(fd, info, sizeof(info), &bufs, MULTI_MAX, GIVE_COOKIES), "long");
	ASSERT_EQ(multi_get32(info, RAW_INFO_COUNT), t->cnt, "count");
	check_unwritten(&bufs, t->cnt);

	/* a count and buffers come together */
	ASSERT_EQ(raw_info(fd, info, sizeof(info), &bufs, t->cnt, 0), -EINVAL, "count only");
	ASSERT_EQ(raw_info(fd, info, sizeof(info), &bufs, 0, GIVE_ALL), -EINVAL, "buffers only");
	check_unwritten(&bufs, 0);
}

static void check_raw_sizes(int fd, const struct multi_targets *t)
{
	char info[RAW_INFO_SIZE_LATER] __aligned(8);
	struct info_bufs bufs;
	__u32 len;

	/* to the end of the count */
	memset(info, 0xee, sizeof(info));
	ASSERT_OK(raw_info(fd, info, 24, &bufs, 0, 0), "to the count");
	ASSERT_EQ(multi_get32(info, RAW_INFO_TYPE), RAW_LINK_TYPE, "link type");
	ASSERT_EQ(multi_get32(info, RAW_INFO_COUNT), t->cnt, "count");
	ASSERT_EQ(multi_get32(info, RAW_INFO_OBJ_ID), 0xeeeeeeee, "nothing behind");
	ASSERT_EQ(raw_info(fd, info, 24, &bufs, t->cnt, 0), -EINVAL, "count without buffers");

	/* of one that knows more than this kernel */
	ASSERT_OK(raw_info(fd, info, sizeof(info), &bufs, t->cnt, GIVE_ALL), "later");
	ASSERT_EQ(multi_get32(info, RAW_INFO_COUNT), t->cnt, "count");
	ASSERT_EQ(bufs.ids[0], t->ids[t->cnt - 1], "ids");
	memset(info, 0, sizeof(info));
	len = sizeof(info);
	ASSERT_OK(raw_get_info(fd, info, &len), "info_len");
	ASSERT_GE(len, RAW_INFO_SIZE, "info_len");
	ASSERT_LT(len, RAW_INFO_SIZE_LATER, "info_len");
	info[sizeof(info) - 1] = 1;
	len = sizeof(info);
	ASSERT_EQ(raw_get_info(fd, info, &len), -E2BIG, "more than this kernel knows");
}

static void test_layout_info(void)
{
	struct multi_targets t;
	struct multi_raw raw;
	int fd;

	if (!set_descending(&t))
		return;
	raw = raw_of(skel->progs.untyped, RAW_FENTRY_MULTI, &t);
	fd = multi_raw_create(&raw);
	if (!ASSERT_OK_FD(fd, "fentry"))
		return;
	check_raw_buffers(fd, &t);
	check_raw_sizes(fd, &t);
	close(fd);
}

/* BPF_LINK_CREATE of one that knows more than this kernel; what it wants of that is
 * a byte at the end. The link's fd, or a negative errno.
 */
static int raw_create_later(const struct multi_targets *t, char wants)
{
	char attr[256] __aligned(8) = {};
	int fd;

	multi_put32(attr, 0, bpf_program__fd(skel->progs.untyped));
	multi_put32(attr, 8, RAW_FENTRY_MULTI);
	multi_put64(attr, 16, ptr_to_u64(t->ids));
	multi_put32(attr, 32, t->cnt);
	attr[sizeof(attr) - 1] = wants;
	fd = syscall(__NR_bpf, 28, attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

static void test_layout_later(void)
{
	struct multi_targets t;
	int fd;

	if (!set_descending(&t))
		return;
	fd = raw_create_later(&t, 0);
	if (ASSERT_OK_FD(fd, "zeros behind")) {
		ASSERT_EQ(multi_link_count(fd), t.cnt, "count");
		close(fd);
	}
	ASSERT_EQ(raw_create_later(&t, 1), -E2BIG, "more than this kernel knows");
}

/* vmlinux, a program, a module in the middle */
static bool set_mixed(struct multi_targets *t)
{
	return multi_set(t, "bpf_fentry_test2", "bpf_testmod:bpf_testmod_multi_1",
			 "bpf_fentry_test1", NULL) &&
	       multi_add_prog(t, bpf_program__fd(target->progs.target_xdp), "target_xdp");
}

/* What is there beyond the first ones' interface */
static void test_layout_targets(void)
{
	__u32 testmod_id = multi_btf_obj_id(multi_module_fd("bpf_testmod"));
	char info[RAW_INFO_SIZE] __aligned(8);
	struct multi_targets t;
	struct info_bufs bufs;
	struct multi_raw raw;
	int fd;

	if (!set_mixed(&t))
		return;
	raw = raw_of(skel->progs.untyped, RAW_FENTRY_MULTI, &t);
	raw.size = RAW_CREATE_SIZE;
	raw.flags = RAW_F_TGT_FDS;
	raw.tgt_fds = t.fds;
	fd = multi_raw_create(&raw);
	if (!ASSERT_OK_FD(fd, "mixed targets") ||
	    !ASSERT_OK(raw_info(fd, info, RAW_INFO_SIZE, &bufs, t.cnt, GIVE_ALL), "info"))
		goto out;
	ASSERT_EQ(raw.bad_idx, MULTI_NO_IDX, "bad_idx");
	ASSERT_EQ(multi_get32(info, RAW_INFO_COUNT), 4, "count");
	ASSERT_EQ(multi_get32(info, RAW_INFO_OBJ_ID), 0, "no common btf_obj_id");
	/* BTF objects first, of these the oldest */
	ASSERT_EQ(bufs.obj_kinds[0] | bufs.obj_kinds[1] | bufs.obj_kinds[2], 0, "BTF");
	ASSERT_EQ(bufs.obj_kinds[3], 1, "program");
	ASSERT_EQ(bufs.obj_ids[0], vmlinux_obj_id(), "vmlinux");
	ASSERT_EQ(bufs.obj_ids[1], vmlinux_obj_id(), "vmlinux again");
	ASSERT_EQ(bufs.obj_ids[2], testmod_id, "module");
	ASSERT_EQ(bufs.obj_ids[3], multi_prog_id(target->progs.target_xdp), "program's id");
	ASSERT_LT(bufs.ids[0], bufs.ids[1], "sorted by id");
	ASSERT_EQ(bufs.ids[2], t.ids[1], "module's function");
	ASSERT_EQ(bufs.ids[3], t.ids[3], "program's function");
out:
	if (fd >= 0)
		close(fd);
}

static void test_layout_refusals(void)
{
	struct multi_targets t;
	struct multi_raw raw;
	int fd;

	if (!set_mixed(&t))
		return;
	t.ids[1] = 0;
	raw = raw_of(skel->progs.untyped, RAW_FENTRY_MULTI, &t);
	raw.tgt_fds = t.fds;
	/* all that lies behind size must be unknown to the kernel */
	ASSERT_EQ(multi_raw_create(&raw), -EINVAL, "short attr");
	ASSERT_EQ(raw.bad_idx, 1, "bad_idx of a short attr");
	raw.size = RAW_CREATE_SIZE;
	ASSERT_EQ(multi_raw_create(&raw), -EINVAL, "tgt_fds without the flag");
	ASSERT_EQ(raw.bad_idx, MULTI_NO_IDX, "no target's fault");
	raw.flags = RAW_F_TGT_FDS;
	ASSERT_EQ(multi_raw_create(&raw), -EINVAL, "no such function");
	ASSERT_EQ(raw.bad_idx, 1, "bad_idx");
	raw.flags = RAW_F_TGT_FDS | RAW_F_SKIP_INVALID;
	fd = multi_raw_create(&raw);
	if (ASSERT_OK_FD(fd, "without it")) {
		ASSERT_EQ(multi_link_count(fd), 3, "the others");
		ASSERT_EQ(raw.bad_idx, MULTI_NO_IDX, "bad_idx is for failure only");
		close(fd);
	}
	raw.flags = 4;
	ASSERT_EQ(multi_raw_create(&raw), -EINVAL, "unknown flag");
	ASSERT_EQ(raw.bad_idx, MULTI_NO_IDX, "no target's fault");
}

/* BPF_LINK_UPDATE: link_fd, new_prog_fd, flags, old_prog_fd */
static void test_layout_update(void)
{
	const struct bpf_program *old = skel->progs.untyped, *new = skel->progs.read_nothing;
	char attr[16] __aligned(8) = {}, info[RAW_INFO_SIZE] __aligned(8);
	struct multi_targets t;
	struct info_bufs bufs;
	struct multi_raw raw;
	int fd;

	if (!set_descending(&t))
		return;
	raw = raw_of(old, RAW_FENTRY_MULTI, &t);
	fd = multi_raw_create(&raw);
	if (!ASSERT_OK_FD(fd, "fentry"))
		return;
	multi_put32(attr, 0, fd);
	multi_put32(attr, 4, bpf_program__fd(new));
	multi_put32(attr, 8, 4 /* BPF_F_REPLACE */);
	multi_put32(attr, 12, bpf_program__fd(new));
	ASSERT_ERR(syscall(__NR_bpf, 29, attr, sizeof(attr)), "another old_prog_fd");
	ASSERT_EQ(errno, EPERM, "errno");
	multi_put32(attr, 12, bpf_program__fd(old));
	ASSERT_OK(syscall(__NR_bpf, 29, attr, sizeof(attr)), "update");
	if (ASSERT_OK(raw_info(fd, info, RAW_INFO_SIZE, &bufs, t.cnt, GIVE_ALL), "info"))
		ASSERT_EQ(multi_get32(info, RAW_INFO_PROG_ID), multi_prog_id(new), "prog_id");
	close(fd);
}

/* This tree's headers have the numbers. */
static void test_constants(void)
{
	ASSERT_EQ(BPF_TRACE_FENTRY_MULTI, RAW_FENTRY_MULTI, "fentry");
	ASSERT_EQ(BPF_TRACE_FEXIT_MULTI, RAW_FEXIT_MULTI, "fexit");
	ASSERT_EQ(BPF_TRACE_UPROBE_SESSION, 57, "uprobe session");
	ASSERT_EQ(BPF_TRACE_FSESSION, 58, "fsession");
	ASSERT_EQ(BPF_TRACE_FSESSION_MULTI, 61, "fsession multi");
	ASSERT_EQ(BPF_MODIFY_RETURN_MULTI, RAW_FMOD_RET_MULTI, "fmod_ret");
	ASSERT_EQ(BPF_LINK_TYPE_TRACING_MULTI, RAW_LINK_TYPE, "link type");
	ASSERT_EQ(BPF_F_TRACING_MULTI_TGT_FDS, RAW_F_TGT_FDS, "tgt_fds flag");
	ASSERT_EQ(BPF_F_TRACING_MULTI_SKIP_INVALID, RAW_F_SKIP_INVALID, "skip flag");
	ASSERT_EQ(BPF_TRACING_MULTI_OBJ_BTF, 0, "kind BTF");
	ASSERT_EQ(BPF_TRACING_MULTI_OBJ_PROG, 1, "kind program");
	ASSERT_EQ(offsetof(union bpf_attr, link_create.tracing_multi.ids), 16, "ids");
	ASSERT_EQ(offsetof(union bpf_attr, link_create.tracing_multi.cnt), 32, "cnt");
	ASSERT_EQ(offsetof(union bpf_attr, link_create.tracing_multi.bad_idx), 36, "bad_idx");
	ASSERT_EQ(offsetof(union bpf_attr, link_create.tracing_multi.tgt_fds), 40, "tgt_fds");
	ASSERT_EQ(offsetof(struct bpf_link_info, tracing_multi.obj_ids), RAW_INFO_OBJ_IDS,
		  "obj_ids");
	ASSERT_EQ(offsetof(struct bpf_link_info, tracing_multi.obj_kinds),
		  RAW_INFO_OBJ_KINDS, "obj_kinds");
}

/* Loaded as by others: no attach_btf_id, and for a module its BTF's fd, in
 * which all ids are then.
 */
static void test_untyped_load(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = BPF_TRACE_FENTRY_MULTI);
	struct multi_targets t;
	union bpf_attr attr;
	int prog_fd;

	if (!multi_set(&t, "bpf_testmod:bpf_testmod_multi_2",
		       "bpf_testmod:bpf_testmod_multi_1", NULL))
		return;
	opts.attach_btf_obj_fd = multi_module_fd("bpf_testmod");
	prog_fd = multi_load_empty(BPF_PROG_TYPE_TRACING, &opts);
	if (!ASSERT_OK_FD(prog_fd, "load for a module"))
		return;
	multi_attr_fd(&attr, prog_fd, BPF_TRACE_FENTRY_MULTI, &t);
	attr.link_create.flags = 0;
	attr.link_create.tracing_multi.tgt_fds = 0;
	multi_created(&attr, "module's ids without tgt_fds");
	/* vmlinux' ids need tgt_fds then */
	t.ids[1] = multi_func_id("bpf_fentry_test1");
	multi_create_refused(&attr, -EINVAL, 1, "vmlinux' id without tgt_fds");
	t.fds[1] = 0;
	multi_attr_fd(&attr, prog_fd, BPF_TRACE_FENTRY_MULTI, &t);
	multi_created(&attr, "vmlinux' id with tgt_fds");
	close(prog_fd);
}

static bool setup(void)
{
	if (!multi_init())
		return false;
	skel = tracing_multi_match__open_and_load();
	target = tracing_multi_target__open_and_load();
	return ASSERT_OK_PTR(skel, "load") && ASSERT_OK_PTR(target, "load targets");
}

static void teardown(void)
{
	tracing_multi_match__destroy(skel);
	tracing_multi_target__destroy(target);
	skel = NULL;
	target = NULL;
	multi_fini();
}

static const struct multi_subtest subtests[] = {
	{ "sorted", test_sorted },
	{ "mixed", test_mixed },
	{ "module_only", test_module_only },
	{ "buffers", test_buffers },
	{ "hidden_addrs", test_hidden_addrs },
	{ "unprivileged", test_unprivileged },
	{ "fdinfo", test_fdinfo },
	{ "layout", test_layout },
	{ "layout_info", test_layout_info },
	{ "layout_later", test_layout_later },
	{ "layout_targets", test_layout_targets },
	{ "layout_refusals", test_layout_refusals },
	{ "layout_update", test_layout_update },
	{ "constants", test_constants },
	{ "untyped_load", test_untyped_load },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = setup,
	.teardown = teardown,
};

void serial_test_tracing_multi_link_info(void)
{
	multi_run_suite(&suite);
}
