// SPDX-License-Identifier: GPL-2.0
#include "tracing_multi_helpers.h"

#define MULTI_MODULES 4

static struct btf *vmlinux_btf;

static struct {
	struct btf *btf;
	char name[32];
	int fd;
} modules[MULTI_MODULES];

bool multi_init(void)
{
	vmlinux_btf = btf__load_vmlinux_btf();
	return ASSERT_OK_PTR(vmlinux_btf, "load_vmlinux_btf");
}

void multi_fini(void)
{
	int i;

	for (i = 0; i < MULTI_MODULES && modules[i].btf; i++) {
		btf__free(modules[i].btf);
		close(modules[i].fd);
		memset(&modules[i], 0, sizeof(modules[i]));
	}
	btf__free(vmlinux_btf);
	vmlinux_btf = NULL;
}

struct btf *multi_vmlinux_btf(void)
{
	return vmlinux_btf;
}

static int btf_fd_info(int fd, struct bpf_btf_info *info, char *name, __u32 len)
{
	__u32 size = sizeof(*info);

	memset(info, 0, size);
	info->name = ptr_to_u64(name);
	info->name_len = len;
	return bpf_btf_get_info_by_fd(fd, info, &size);
}

__u32 multi_btf_obj_id(int btf_fd)
{
	struct bpf_btf_info info;

	return btf_fd_info(btf_fd, &info, NULL, 0) ? 0 : info.id;
}

static int open_module_btf(const char *module)
{
	struct bpf_btf_info info;
	char name[64] = {};
	__u32 id = 0;
	int fd;

	while (!bpf_btf_get_next_id(id, &id)) {
		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		if (!btf_fd_info(fd, &info, name, sizeof(name)) &&
		    info.kernel_btf && !strcmp(name, module))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static int module_idx(const char *module)
{
	int i;

	for (i = 0; i < MULTI_MODULES && modules[i].btf; i++) {
		if (!strcmp(modules[i].name, module))
			return i;
	}
	if (!ASSERT_LT(i, MULTI_MODULES, "free module slot"))
		return -ENOSPC;

	modules[i].fd = open_module_btf(module);
	if (!ASSERT_OK_FD(modules[i].fd, module))
		return -ENOENT;
	modules[i].btf = btf__load_from_kernel_by_id_split(multi_btf_obj_id(modules[i].fd),
							   vmlinux_btf);
	if (!ASSERT_OK_PTR(modules[i].btf, module)) {
		close(modules[i].fd);
		modules[i].btf = NULL;
		return -ENOENT;
	}
	snprintf(modules[i].name, sizeof(modules[i].name), "%s", module);
	return i;
}

int multi_module_fd(const char *module)
{
	int i = module_idx(module);

	return i < 0 ? i : modules[i].fd;
}

/* Split "module:func"; what is returned points into spec. */
static const char *split_spec(const char *spec, char *module, size_t size)
{
	const char *colon = strchr(spec, ':');

	if (!colon) {
		module[0] = 0;
		return spec;
	}
	snprintf(module, size, "%.*s", (int)(colon - spec), spec);
	return colon + 1;
}

static int find_func(const char *spec, int *fd)
{
	struct btf *btf = vmlinux_btf;
	const char *func;
	char module[32];
	int i;

	*fd = 0;
	func = split_spec(spec, module, sizeof(module));
	if (module[0]) {
		i = module_idx(module);
		if (i < 0)
			return i;
		btf = modules[i].btf;
		*fd = modules[i].fd;
	}
	return btf__find_by_name_kind(btf, func, BTF_KIND_FUNC);
}

int multi_func_id(const char *spec)
{
	int fd;

	return find_func(spec, &fd);
}

int multi_prog_func_id(int prog_fd, const char *func)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct btf *btf;
	int id;

	if (bpf_prog_get_info_by_fd(prog_fd, &info, &len))
		return -errno;
	btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, func, BTF_KIND_FUNC);
	btf__free(btf);
	return id;
}

static bool add(struct multi_targets *t, int fd, int id, const char *name)
{
	if (!ASSERT_GT(id, 0, name) || !ASSERT_LT(t->cnt, MULTI_MAX, name))
		return false;
	t->fds[t->cnt] = fd;
	t->ids[t->cnt++] = id;
	return true;
}

bool multi_add(struct multi_targets *t, const char *spec)
{
	int fd, id = find_func(spec, &fd);

	return add(t, fd, id, spec);
}

bool multi_add_prog(struct multi_targets *t, int prog_fd, const char *func)
{
	return add(t, prog_fd, multi_prog_func_id(prog_fd, func), func);
}

bool multi_set(struct multi_targets *t, ...)
{
	const char *spec;
	va_list args;
	bool ok = true;

	memset(t, 0, sizeof(*t));
	va_start(args, t);
	while (ok && (spec = va_arg(args, const char *)))
		ok = multi_add(t, spec);
	va_end(args);
	return ok;
}

void multi_attr(union bpf_attr *attr, const struct bpf_program *prog,
		const struct multi_targets *t)
{
	__u32 i;

	memset(attr, 0, sizeof(*attr));
	attr->link_create.prog_fd = bpf_program__fd(prog);
	attr->link_create.attach_type = bpf_program__expected_attach_type(prog);
	attr->link_create.tracing_multi.ids = ptr_to_u64(t->ids);
	attr->link_create.tracing_multi.cnt = t->cnt;
	attr->link_create.tracing_multi.bad_idx = MULTI_NO_IDX;
	if (t->use_cookies)
		attr->link_create.tracing_multi.cookies = ptr_to_u64(t->cookies);
	for (i = 0; i < t->cnt; i++) {
		if (!t->fds[i])
			continue;
		attr->link_create.flags = BPF_F_TRACING_MULTI_TGT_FDS;
		attr->link_create.tracing_multi.tgt_fds = ptr_to_u64(t->fds);
		break;
	}
}

int multi_create_size(union bpf_attr *attr, __u32 size)
{
	int fd = syscall(__NR_bpf, BPF_LINK_CREATE, attr, size);

	return fd < 0 ? -errno : fd;
}

int multi_create(union bpf_attr *attr)
{
	return multi_create_size(attr, sizeof(*attr));
}

int multi_attach(const struct bpf_program *prog, const struct multi_targets *t)
{
	union bpf_attr attr;

	multi_attr(&attr, prog, t);
	return multi_create(&attr);
}

bool multi_attached(const struct bpf_program *prog, const struct multi_targets *t,
		    const char *name)
{
	union bpf_attr attr;
	int fd;

	multi_attr(&attr, prog, t);
	fd = multi_create(&attr);
	if (!ASSERT_GE(fd, 0, name))
		return ASSERT_EQ(attr.link_create.tracing_multi.bad_idx,
				 MULTI_NO_IDX, "refused target");
	close(fd);
	return ASSERT_EQ(attr.link_create.tracing_multi.bad_idx, MULTI_NO_IDX,
			 "bad_idx untouched");
}

bool multi_create_refused(union bpf_attr *attr, int err, __u32 bad_idx,
			  const char *name)
{
	int fd = multi_create(attr);

	if (fd >= 0)
		close(fd);
	return ASSERT_EQ(fd, err, name) &
	       ASSERT_EQ(attr->link_create.tracing_multi.bad_idx, bad_idx, name);
}

bool multi_refused(const struct bpf_program *prog, const struct multi_targets *t,
		   int err, __u32 bad_idx, const char *name)
{
	union bpf_attr attr;

	multi_attr(&attr, prog, t);
	return multi_create_refused(&attr, err, bad_idx, name);
}

/* Lines with both words in them; an indented line belongs to the one before. */
static int count_lines(const char *path, const char *word, const char *other)
{
	size_t size = 0;
	char *line = NULL;
	int cnt = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!ASSERT_OK_PTR(f, path))
		return -1;
	while (getline(&line, &size, f) > 0)
		cnt += line[0] != '\t' && strstr(line, word) && strstr(line, other);
	free(line);
	fclose(f);
	return cnt;
}

int multi_tracefs_lines(const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/tracing/%s", file);
	if (access(path, F_OK))
		snprintf(path, sizeof(path), "/sys/kernel/debug/tracing/%s", file);
	return count_lines(path, "", "");
}

int multi_images(const char *key)
{
	char name[64];

	snprintf(name, sizeof(name), " bpf_trampoline_%s", key);
	return count_lines("/proc/kallsyms", name, "[bpf]");
}
