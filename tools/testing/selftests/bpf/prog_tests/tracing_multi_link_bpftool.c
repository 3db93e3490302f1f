// SPDX-License-Identifier: GPL-2.0
/* What bpftool shows of tracing multi-links, and does with them. */
#include <sys/stat.h>
#include <sys/wait.h>
#include <test_progs.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_auto.skel.h"
#include "tracing_multi_glob.skel.h" /* the object is loaded by name */
#include "tracing_multi_target.skel.h"

#define KPTR_RESTRICT "/proc/sys/kernel/kptr_restrict"
#define PIN_DIR "/sys/fs/bpf/tracing_multi_link_bpftool"

static struct tracing_multi_auto *skel;
static struct tracing_multi_target *target;

static const char *bpftool_path(void)
{
	/* test_progs of a flavor runs in a directory below */
	static const char *const paths[] = { "./tools/sbin/bpftool", "../tools/sbin/bpftool" };

	return paths[!!access(paths[0], X_OK)];
}

#define FAILS (-1)

/* Output of bpftool, stderr included, to be freed; NULL if it doesn't exit with this status. */
static char *bpftool(int status, const char *fmt, ...)
{
	char args[512], cmd[640], *out = NULL;
	size_t len = 0, n;
	va_list ap;
	int ret;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	snprintf(cmd, sizeof(cmd), "exec %s %s 2>&1", bpftool_path(), args);

	fflush(NULL);
	f = popen(cmd, "r");
	if (!ASSERT_OK_PTR(f, "popen"))
		return NULL;
	do {
		out = realloc(out, len + 4096);
		if (!ASSERT_OK_PTR(out, "realloc"))
			break;
		n = fread(out + len, 1, 4095, f);
		len += n;
		out[len] = '\0';
	} while (n);
	ret = pclose(f);
	if (!ASSERT_TRUE(WIFEXITED(ret), args) ||
	    !ASSERT_EQ(WEXITSTATUS(ret) && status == FAILS ? FAILS : WEXITSTATUS(ret),
		       status, args)) {
		printf("%s\n%s\n", cmd, out);
		free(out);
		return NULL;
	}
	return out;
}

/* Output of bpftool has the text, or hasn't. */
static void check_has(const char *out, const char *text)
{
	ASSERT_HAS_SUBSTR(out, text, "output");
}

static void check_hasnt(const char *out, const char *text)
{
	ASSERT_NULL(strstr(out, text), text);
}

static __u32 link_id(int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link info"))
		return 0;
	return info.id;
}

static __u32 prog_id(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), "prog info"))
		return 0;
	return info.id;
}

/* One function of each kind of object, with a cookie each */
static struct multi_targets targets;

static int attach_targets(void)
{
	if (!multi_set(&targets, "bpf_fentry_test1", "bpf_fentry_test2",
		       "bpf_testmod:bpf_testmod_multi_1", NULL) ||
	    !multi_add_prog(&targets, bpf_program__fd(target->progs.target_tc), "target_tc"))
		return -1;
	targets.cookies[0] = 0x101;
	targets.cookies[1] = 0;
	targets.cookies[2] = ~0ULL;
	targets.cookies[3] = 0x404;
	targets.use_cookies = true;
	return multi_attach(skel->progs.by_hand, &targets);
}

/* Cookies and ids of targets, object ids as the kernel has them */
static void func_json(char *buf, size_t size, int i, const char *addr, const char *kind,
		      __u32 obj_id, const char *func, const char *module)
{
	int len = snprintf(buf, size, "{\"addr\":%s,\"obj_kind\":\"%s\",\"obj_id\":%u,",
			   addr, kind, obj_id);

	snprintf(buf + len, size - len,
		 "\"btf_id\":%u,\"func\":\"%s\",\"module\":%s,\"cookie\":%llu}",
		 targets.ids[i], func, module, targets.cookies[i]);
}

static __u32 vmlinux_obj_id(void)
{
	struct bpf_btf_info info;
	__u32 id = 0, len;
	char name[16];
	int fd, err;

	while (!bpf_btf_get_next_id(id, &id)) {
		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		info.name = ptr_to_u64(name);
		info.name_len = sizeof(name);
		err = bpf_btf_get_info_by_fd(fd, &info, &len);
		close(fd);
		if (!err && info.kernel_btf && !strcmp(name, "vmlinux"))
			return id;
	}
	return 0;
}

static void addr_str(char *buf, size_t size, const char *fmt, const char *sym)
{
	unsigned long long addr = 0;

	ASSERT_OK(kallsyms_find(sym, &addr), sym);
	snprintf(buf, size, fmt, addr);
}

/* The program's first function is the one that has its name */
static void prog_addr_str(char *buf, size_t size, const char *fmt, const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	__u64 addr = 0;

	/* as many as there is room for are written */
	info.jited_ksyms = ptr_to_u64(&addr);
	info.nr_jited_ksyms = 1;
	ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), "jited_ksyms");
	ASSERT_NEQ(addr, 0, "address of program");
	snprintf(buf, size, fmt, (unsigned long long)addr);
}

static void test_show_json(void)
{
	__u32 testmod_id = multi_btf_obj_id(multi_module_fd("bpf_testmod"));
	char func[256], addr[32], *out;
	int fd = attach_targets();

	if (!ASSERT_OK_FD(fd, "attach"))
		return;
	out = bpftool(0, "-j link show id %u", link_id(fd));
	if (!out)
		goto out;
	snprintf(func, sizeof(func), "\"id\":%u,\"type\":\"tracing_multi\",\"prog_id\":%u,",
		 link_id(fd), prog_id(skel->progs.by_hand));
	check_has(out, func);
	check_has(out, ",\"attach_type\":\"trace_fentry_multi\",\"func_cnt\":4,\"funcs\":[{");
	addr_str(addr, sizeof(addr), "%llu", "bpf_fentry_test1");
	func_json(func, sizeof(func), 0, addr, "btf", vmlinux_obj_id(), "bpf_fentry_test1",
		  "null");
	check_has(out, func);
	addr_str(addr, sizeof(addr), "%llu", "bpf_fentry_test2");
	func_json(func, sizeof(func), 1, addr, "btf", vmlinux_obj_id(), "bpf_fentry_test2",
		  "null");
	check_has(out, func);
	addr_str(addr, sizeof(addr), "%llu", "bpf_testmod_multi_1");
	func_json(func, sizeof(func), 2, addr, "btf", testmod_id, "bpf_testmod_multi_1",
		  "\"bpf_testmod\"");
	check_has(out, func);
	/* kallsyms has it by another name */
	prog_addr_str(addr, sizeof(addr), "%llu", target->progs.target_tc);
	func_json(func, sizeof(func), 3, addr, "prog", prog_id(target->progs.target_tc),
		  "target_tc", "null");
	check_has(out, func);
	free(out);

	/* among all links, too */
	out = bpftool(0, "-j link show");
	if (out) {
		snprintf(func, sizeof(func), "{\"id\":%u,\"type\":\"tracing_multi\"", link_id(fd));
		check_has(out, func);
	}
	free(out);
out:
	close(fd);
}

/* The columns of a function's line, after "\n\t" */
static void check_line(const char *out, int i, const char *addr, const char *kind, __u32 obj_id,
		       const char *func)
{
	char line[256];

	snprintf(line, sizeof(line), "%s %-16llx %-4s %-7u %-8u %s  ", addr, targets.cookies[i],
		 kind, obj_id, targets.ids[i], func);
	check_has(out, line);
}

static void test_show_plain(void)
{
	__u32 testmod_id = multi_btf_obj_id(multi_module_fd("bpf_testmod"));
	char line[256], addr[32], *out;
	int fd = attach_targets();

	if (!ASSERT_OK_FD(fd, "attach"))
		return;
	out = bpftool(0, "link show id %u", link_id(fd));
	if (!out)
		goto out;
	snprintf(line, sizeof(line), "%u: tracing_multi  prog %u  ", link_id(fd),
		 prog_id(skel->progs.by_hand));
	check_has(out, line);
	check_has(out, "\n\tattach_type trace_fentry_multi  func_cnt 4  ");
	addr_str(addr, sizeof(addr), "\n\t%016llx", "bpf_fentry_test1");
	check_line(out, 0, addr, "btf", vmlinux_obj_id(), "bpf_fentry_test1");
	addr_str(addr, sizeof(addr), "\n\t%016llx", "bpf_fentry_test2");
	check_line(out, 1, addr, "btf", vmlinux_obj_id(), "bpf_fentry_test2");
	addr_str(addr, sizeof(addr), "\n\t%016llx", "bpf_testmod_multi_1");
	check_line(out, 2, addr, "btf", testmod_id, "bpf_testmod_multi_1 [bpf_testmod]");
	prog_addr_str(addr, sizeof(addr), "\n\t%016llx", target->progs.target_tc);
	check_line(out, 3, addr, "prog", prog_id(target->progs.target_tc), "target_tc");
	free(out);
out:
	close(fd);
}

static void test_attach_types(void)
{
	static const char *const types[] = { "trace_fentry_multi", "trace_fexit_multi",
					     "modify_return_multi" };
	struct bpf_program *progs[] = { skel->progs.by_hand, skel->progs.glob_exit,
					skel->progs.list_modify };
	char type[64], *out;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (!multi_set(&targets, "bpf_fentry_test1", NULL))
			return;
		fd = multi_attach(progs[i], &targets);
		if (!ASSERT_OK_FD(fd, types[i]))
			return;
		snprintf(type, sizeof(type), "\"attach_type\":\"%s\",\"func_cnt\":1,", types[i]);
		out = bpftool(0, "-j link show id %u", link_id(fd));
		if (out)
			check_has(out, type);
		free(out);
		close(fd);
	}
}

/* Addresses are shown to those only that may see them. */
static void test_hidden_addrs(void)
{
	int fd = attach_targets();
	char addr[32], *out;
	char old[16] = {};
	ssize_t len;
	int file;

	if (!ASSERT_OK_FD(fd, "attach"))
		return;
	addr_str(addr, sizeof(addr), "%016llx", "bpf_fentry_test1");
	file = open(KPTR_RESTRICT, O_RDWR);
	if (!ASSERT_OK_FD(file, KPTR_RESTRICT))
		goto out;
	len = read(file, old, sizeof(old) - 1);
	if (!ASSERT_GT(len, 0, "read") || !ASSERT_EQ(pwrite(file, "2", 1, 0), 1, "restrict"))
		goto close;
	out = bpftool(0, "link show id %u", link_id(fd));
	if (out) {
		check_line(out, 0, "\n\t0000000000000000", "btf", vmlinux_obj_id(),
			   "bpf_fentry_test1");
		check_hasnt(out, addr);
	}
	free(out);
	ASSERT_EQ(pwrite(file, old, len, 0), len, "restore");
close:
	close(file);
out:
	close(fd);
}

static bool link_exists(__u32 id)
{
	int fd = bpf_link_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void trigger(__u64 hits, const char *name)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->pid = getpid();
	skel->bss->entry_hits = 0;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.run_fentry_tests), &opts),
		  "run");
	ASSERT_EQ(skel->bss->entry_hits, hits, name);
}

/* A link that only a file holds */
static void test_pin(void)
{
	int fd = attach_targets();
	char text[128], *out;
	__u32 id;

	if (!ASSERT_OK_FD(fd, "attach"))
		return;
	id = link_id(fd);
	out = bpftool(0, "link pin id %u " PIN_DIR, id);
	close(fd);
	if (!out)
		return;
	free(out);
	trigger(2, "pinned");

	snprintf(text, sizeof(text), "{\"id\":%u,\"type\":\"tracing_multi\"", id);
	out = bpftool(0, "-j link show pinned " PIN_DIR);
	if (out) {
		check_has(out, text);
		check_has(out, "\"func_cnt\":4,");
	}
	free(out);
	out = bpftool(0, "-j -f link show id %u", id);
	if (out)
		check_has(out, "\"pinned\":[\"" PIN_DIR "\"]");
	free(out);

	/* as other links of tracing programs, this one is detached by its last user */
	out = bpftool(FAILS, "link detach pinned " PIN_DIR);
	if (out)
		check_has(out, "Error: failed link detach: Operation not supported");
	free(out);
	trigger(2, "still attached");

	/* neither a bpffs, nor free */
	out = bpftool(FAILS, "-n link pin id %u /tmp/tracing_multi_link_bpftool", id);
	if (out)
		check_has(out, "Error: no BPF file system found");
	free(out);
	out = bpftool(FAILS, "link pin id %u " PIN_DIR, id);
	if (out)
		check_has(out, "already exists");
	free(out);

	/* the last user detaches it: at once if that's an fd, some time later if a file */
	fd = bpf_obj_get(PIN_DIR);
	ASSERT_OK_FD(fd, "open");
	ASSERT_OK(unlink(PIN_DIR), "unlink");
	trigger(2, "still open");
	close(fd);
	ASSERT_FALSE(link_exists(id), "gone");
	trigger(0, "detached");
	out = bpftool(FAILS, "link show id %u", id);
	if (out)
		check_has(out, "Error: failed to get link with ID");
	free(out);
}

static __u32 pinned_cnt(const char *name)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	char path[128];
	int fd, err;

	snprintf(path, sizeof(path), PIN_DIR "/%s", name);
	fd = bpf_obj_get(path);
	if (!ASSERT_OK_FD(fd, name))
		return 0;
	err = bpf_link_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (!ASSERT_OK(err, name) ||
	    !ASSERT_EQ(info.type, BPF_LINK_TYPE_TRACING_MULTI, name))
		return 0;
	return info.tracing_multi.count;
}

static void remove_pins(void)
{
	const char *const names[] = { "but_one", "sleepable", "everywhere", "typed", "modify",
				      "entry", "leave", "run_fentry_tests", "run_modify_tests" };
	char path[128];
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), PIN_DIR "/%s", names[i]);
		ASSERT_OK(unlink(path), names[i]);
	}
	ASSERT_OK(rmdir(PIN_DIR), "rmdir");
}

/* All programs of an object are attached to what their sections say. */
static void test_prog_autoattach(void)
{
	char *out;

	out = bpftool(0, "prog loadall tracing_multi_glob.bpf.o " PIN_DIR " autoattach");
	if (!out)
		return;
	check_has(out, "Program entry does not support autoattach");
	free(out);
	ASSERT_EQ(pinned_cnt("but_one"), 8, "fentry, all but one");
	ASSERT_EQ(pinned_cnt("sleepable"), 2, "sleepable");
	ASSERT_EQ(pinned_cnt("everywhere"), 1 + 3, "fexit, everywhere");
	ASSERT_EQ(pinned_cnt("typed"), 4, "typed");
	ASSERT_EQ(pinned_cnt("modify"), 4, "fmod_ret");
	out = bpftool(0, "-j link show pinned " PIN_DIR "/everywhere");
	if (out) {
		check_has(out, "\"func\":\"bpf_fentry_test1\",\"module\":null,");
		check_has(out,
			  "\"func\":\"bpf_testmod_multi_10\",\"module\":\"bpf_testmod\",");
	}
	free(out);
	remove_pins();
}

/* bpftool's name of a type of program is that of a section */
static void test_prog_type(void)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	char *out;
	int fd;

	out = bpftool(0, "prog load tracing_multi_glob.bpf.o " PIN_DIR " type fexit.multi");
	if (!out)
		return;
	free(out);
	fd = bpf_obj_get(PIN_DIR);
	ASSERT_OK(unlink(PIN_DIR), "unlink");
	if (!ASSERT_OK_FD(fd, "program"))
		return;
	ASSERT_OK(bpf_prog_get_info_by_fd(fd, &info, &len), "prog info");
	ASSERT_EQ(info.type, BPF_PROG_TYPE_TRACING, "type");
	close(fd);

	out = bpftool(FAILS, "prog load tracing_multi_glob.bpf.o " PIN_DIR " type fexit.multiple");
	if (out)
		check_has(out, "failed to guess program type");
	free(out);
	ASSERT_EQ(access(PIN_DIR, F_OK), -1, "nothing pinned");
}

static void test_gen_skeleton(void)
{
	char *out;

	out = bpftool(0, "gen skeleton tracing_multi_auto.bpf.o");
	if (out) {
		check_has(out, "struct bpf_link *glob_entry;");
		check_has(out, "s->progs[0].link = &obj->links.glob_entry;");
	}
	free(out);
	/* there's no BTF to look up functions in; others are attached as ever */
	out = bpftool(0, "-L gen skeleton fentry_test.bpf.o");
	if (out)
		check_hasnt(out, "auto-attach not supported");
	free(out);
	out = bpftool(0, "-L gen skeleton tracing_multi_auto.bpf.o");
	if (out) {
		check_has(out, "__glob_exit__attach");
		check_has(out, "auto-attach not supported");
		check_hasnt(out, "int fd = skel_raw_tracepoint_open(NULL, prog_fd);\n\n"
			    "\tif (fd > 0)\n\t\tskel->links.glob_exit_fd");
	}
	free(out);
}

static void test_feature(void)
{
	char *out;

	out = bpftool(0, "feature list_builtins link_types");
	if (out)
		check_has(out, "\ntracing_multi\n");
	free(out);
	out = bpftool(0, "feature list_builtins attach_types");
	if (out) {
		check_has(out, "\ntrace_fentry_multi\n");
		check_has(out, "\ntrace_fexit_multi\n");
		check_has(out, "\nmodify_return_multi\n");
	}
	free(out);
	out = bpftool(0, "-j feature probe kernel");
	if (out) {
		check_has(out, "\"have_tracing_multi_link\":true");
		check_has(out, "\"have_tracing_multi_link_fmod_ret\":true");
	}
	free(out);
	/* nothing that a network device could have */
	out = bpftool(0, "feature probe dev lo macros");
	if (out) {
		check_has(out, "LARGE_INSN_LIMIT");
		check_hasnt(out, "TRACING_MULTI_LINK");
	}
	free(out);
}

/* Kernels with less than this one, for a bpftool that is traced */
struct lesser_kernel {
	bool no_multi;		/* no multi-links at all */
	bool no_fmod_ret;
	bool no_typed;
	bool no_flags;		/* of BPF_LINK_CREATE */
};

/* Let a system call fail if the lesser kernel refuses it. */
static void be_lesser_kernel(const struct multi_bpf_call *call, const void *arg)
{
	const struct lesser_kernel *kernel = arg;
	__u32 type;

	if (call->cmd == BPF_PROG_LOAD) {
		type = MULTI_PEEK(call, expected_attach_type);
		if ((kernel->no_multi && type >= BPF_TRACE_FENTRY_MULTI) ||
		    (kernel->no_fmod_ret && type == BPF_MODIFY_RETURN_MULTI) ||
		    (kernel->no_typed && type >= BPF_TRACE_FENTRY_MULTI &&
		     MULTI_PEEK(call, attach_btf_id)))
			MULTI_SPOIL(call, expected_attach_type);
	} else if (call->cmd == BPF_LINK_CREATE) {
		type = MULTI_PEEK(call, link_create.attach_type);
		if (kernel->no_flags && type >= BPF_TRACE_FENTRY_MULTI &&
		    MULTI_PEEK(call, link_create.flags))
			MULTI_SPOIL(call, link_create.flags);
	}
}

/* Load the object's programs, all as ones of a type if that is given, and attach them.
 * The output must have these texts.
 */
static void load_on(const struct lesser_kernel *kernel, const char *type, int status,
		    const char *text, const char *more)
{
	const char *const args[] = { bpftool_path(), "prog", "loadall", "tracing_multi_glob.bpf.o",
				     PIN_DIR, "autoattach", type ? "type" : NULL, type, NULL };
	char out[8192] = {};
	FILE *f = tmpfile();
	int wstatus = 0;
	pid_t pid;

	if (!ASSERT_OK_PTR(f, "tmpfile"))
		return;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(fileno(f), STDOUT_FILENO);
		dup2(fileno(f), STDERR_FILENO);
		multi_trace_me();
		execv(args[0], (char *const *)args);
		_exit(127);
	}
	if (ASSERT_GT(pid, 0, "fork") && multi_trace_bpf(pid, be_lesser_kernel, kernel) &&
	    ASSERT_EQ(waitpid(pid, &wstatus, 0), pid, "waitpid")) {
		ASSERT_TRUE(WIFEXITED(wstatus), "exited");
		ASSERT_EQ(WEXITSTATUS(wstatus), status, "status");
	}
	rewind(f);
	fread(out, 1, sizeof(out) - 1, f);
	fclose(f);
	check_has(out, text);
	check_has(out, more);
}

/* What libbpf says where the kernel has no, or only upstream's, multi-links */
static void test_lesser_kernel(void)
{
	static const struct lesser_kernel none = { .no_multi = true };
	static const struct lesser_kernel no_fmod_ret = { .no_fmod_ret = true };
	static const struct lesser_kernel no_typed = { .no_fmod_ret = true, .no_typed = true };
	static const struct lesser_kernel no_flags = { .no_fmod_ret = true, .no_flags = true };
	static const char *const failed = "Error: failed to load object file";

	load_on(&none, NULL, 255, "'but_one': kernel doesn't support tracing multi-links", failed);
	load_on(&no_fmod_ret, NULL, 255,
		"'modify': kernel doesn't support fmod_ret in tracing multi-links", failed);
	load_on(&no_typed, NULL, 255,
		"'typed': kernel doesn't support typed programs in tracing multi-links", failed);
	ASSERT_EQ(access(PIN_DIR, F_OK), -1, "nothing pinned");
	/* What can't be attached is pinned without that, which makes no directory. */
	ASSERT_OK(mkdir(PIN_DIR, 0700), "mkdir");
	load_on(&no_flags, "fentry.multi", 0,
		"'but_one': kernel doesn't support globs in tracing multi-links",
		"'everywhere': kernel doesn't support tracing multi-links to modules");
	remove_pins();
}

static const struct {
	const char *name;
	void (*run)(void);
} subtests[] = {
	{ "show_json", test_show_json },
	{ "show_plain", test_show_plain },
	{ "attach_types", test_attach_types },
	{ "hidden_addrs", test_hidden_addrs },
	{ "pin", test_pin },
	{ "prog_autoattach", test_prog_autoattach },
	{ "prog_type", test_prog_type },
	{ "gen_skeleton", test_gen_skeleton },
	{ "feature", test_feature },
	{ "lesser_kernel", test_lesser_kernel },
};

static bool open_and_load(void)
{
	target = tracing_multi_target__open_and_load();
	skel = tracing_multi_auto__open();
	if (!ASSERT_OK_PTR(target, "load targets") || !ASSERT_OK_PTR(skel, "open"))
		return false;
	bpf_program__set_autoload(skel->progs.run_fentry_tests, true);
	return ASSERT_OK(tracing_multi_auto__load(skel), "load");
}

void serial_test_tracing_multi_link_bpftool(void)
{
	int i;

	if (!env.has_testmod) {
		test__skip();
		return;
	}
	if (!ASSERT_OK(access(bpftool_path(), X_OK), bpftool_path()))
		return;
	if (multi_init() && open_and_load()) {
		for (i = 0; i < ARRAY_SIZE(subtests); i++) {
			if (test__start_subtest(subtests[i].name))
				subtests[i].run();
		}
	}
	tracing_multi_auto__destroy(skel);
	tracing_multi_target__destroy(target);
	skel = NULL;
	target = NULL;
	multi_fini();
}
