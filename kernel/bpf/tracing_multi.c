// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracing multi-link: one fentry, fexit or fmod_ret program attached to
 * many functions (of vmlinux, of modules, of BPF programs, in any mixture) by
 * one bpf_link.
 *
 * Creation goes through these steps, each for all targets in the caller's
 * order before the next one starts:
 *
 *	copy	 the arrays of ids, cookies and fds from the caller
 *	resolve	 each fd to a BTF object or program, and hold it;
 *		 each name to an address, all of one object together
 *	check	 whether the program may run on the target
 *		 (bpf_check_attach_target_multi()), and get its trampoline
 *	attach	 (bpf_trampoline_multi_link_prog())
 *
 * The first target that is refused in a step makes creation fail, and its
 * index is given to the caller as bad_idx; or it is left out, if the caller
 * wants that.
 *
 * An update of the link goes through the checks for its targets again, and
 * then replaces the program (bpf_trampoline_multi_update_prog()).
 */
#include <linux/bpf.h>
#include <linux/bpf_ptr_array.h>
#include <linux/bpf_tramp_multi.h>
#include <linux/bpf_verifier.h>
#include <linux/bpfptr.h>
#include <linux/btf.h>
#include <linux/ftrace.h>
#include <linux/jhash.h>
#include <linux/kallsyms.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/sort.h>

#define TRACING_MULTI_MAX_CNT	(1024 * 1024)
#define TRACING_MULTI_FLAGS	(BPF_F_TRACING_MULTI_TGT_FDS | BPF_F_TRACING_MULTI_SKIP_INVALID)

/**
 * struct bpf_tracing_multi_link - what BPF_LINK_TYPE_TRACING_MULTI is
 * @link: the targets and their trampolines
 * @attach_type: attach type the link was created with
 * @update_mutex: one update of the program at a time
 * @btfs: the BTF objects that targets are in, one reference each
 * @progs: the BPF programs that targets are in, one reference each
 * @mods: the modules that targets are in, one reference each
 *
 * @order: indices of the targets in the order in which they are shown
 *
 * The references keep the object ids in the trampolines' keys valid, the code
 * of the targets in place, and are dropped after the last trampoline update.
 * They include those of objects whose targets were all left out.
 */
struct bpf_tracing_multi_link {
	struct bpf_tramp_multi_link link;
	enum bpf_attach_type attach_type;
	struct mutex update_mutex;	/* taken before trampoline locks */
	struct ptr_array btfs;
	struct ptr_array progs;
	struct ptr_array mods;
	u32 *order;
};

/* One target, as the caller named it. Lives while the link is created. */
struct tracing_multi_target {
	struct btf *btf;
	struct bpf_prog *prog;	/* NULL for a kernel function */
	u32 btf_id;
	u32 idx;		/* in the caller's arrays */
	bool duplicate;		/* of one with a lower index */
	struct ksym_query sym;	/* of a kernel function */
};

/* What BPF_LINK_CREATE asks for. Lives while the link is created. */
struct tracing_multi_req {
	const struct bpf_prog *prog;
	u32 *ids;
	u64 *cookies;		/* NULL: all zero */
	s32 *tgt_fds;		/* NULL: all targets in what prog was loaded for */
	struct tracing_multi_target *targets;
	struct bpf_attach_multi_check *check;
	u32 cnt;
	bool skip_refused;
	int refused;		/* error of the first refused target */
	u32 bad_idx;		/* its index, valid if @refused is set */
};

static void put_btf(void *btf)
{
	btf_put(btf);
}

static void put_prog(void *prog)
{
	bpf_prog_put(prog);
}

static void put_module(void *mod)
{
	module_put(mod);
}

/* Move the caller's reference to @obj into @arr, which keeps one of each. */
static int keep_ref(struct ptr_array *arr, void *obj, void (*put)(void *obj))
{
	int err = 0;

	if (!ptr_array_has(arr, obj)) {
		err = ptr_array_add(arr, obj);
		if (!err)
			return 0;
	}
	put(obj);
	return err;
}

static void put_refs(struct ptr_array *arr, void (*put)(void *obj))
{
	u32 i;

	for (i = 0; i < arr->cnt; i++)
		put(arr->ptrs[i]);
	ptr_array_free(arr);
}

static struct bpf_tracing_multi_link *to_tracing_multi(const struct bpf_link *link)
{
	return container_of(link, struct bpf_tracing_multi_link, link.link);
}

static void tracing_multi_link_release(struct bpf_link *link)
{
	bpf_trampoline_multi_unlink_prog(&to_tracing_multi(link)->link);
}

/* Called with nothing attached: after release(), or when creation failed.
 * Trampolines go first, the addresses in them are in the modules and programs.
 */
static void tracing_multi_link_dealloc(struct bpf_link *link)
{
	struct bpf_tracing_multi_link *tm = to_tracing_multi(link);
	u32 i;

	for (i = 0; i < tm->link.cnt; i++) {
		bpf_trampoline_put(tm->link.entries[i].trampoline);
		cond_resched();
	}
	bpf_trampoline_multi_free(&tm->link);
	kvfree(tm->order);
	put_refs(&tm->mods, put_module);
	put_refs(&tm->progs, put_prog);
	put_refs(&tm->btfs, put_btf);
	kfree(tm);
}

static u32 key_obj_kind(u64 key)
{
	return bpf_trampoline_key_is_prog(key) ? BPF_TRACING_MULTI_OBJ_PROG :
						 BPF_TRACING_MULTI_OBJ_BTF;
}

/* By kind of object, id of the object, BTF id in the object. */
static int key_cmp(u64 a, u64 b)
{
	u32 kind_a = key_obj_kind(a), kind_b = key_obj_kind(b);

	if (kind_a != kind_b)
		return kind_a < kind_b ? -1 : 1;
	if (a != b)
		return a < b ? -1 : 1;
	return 0;
}

static int entry_order_cmp(const void *a, const void *b, const void *priv)
{
	const struct bpf_tramp_multi_link_entry *entries = priv;
	u32 ia = *(const u32 *)a, ib = *(const u32 *)b;

	/* now and then: sort_r() goes on as long as it takes */
	if (ia % 256 == 0)
		cond_resched();
	return key_cmp(entries[ia].trampoline->key, entries[ib].trampoline->key);
}

/* In the order in which they are shown, as most callers have them? */
static bool entries_ascend(const struct bpf_tracing_multi_link *tm)
{
	const struct bpf_tramp_multi_link_entry *entries = tm->link.entries;
	u32 i;

	for (i = 1; i < tm->link.cnt; i++) {
		if (key_cmp(entries[i - 1].trampoline->key, entries[i].trampoline->key) > 0)
			return false;
	}
	return true;
}

/* Put the entries in the order in which they are shown: their indices, since the
 * entries themselves must stay where they are once lists have their conns. Room
 * for the indices is there before anything is attached, and this can't fail.
 */
static void tracing_multi_sort(struct bpf_tracing_multi_link *tm)
{
	u32 i;

	for (i = 0; i < tm->link.cnt; i++)
		tm->order[i] = i;
	if (entries_ascend(tm))
		return;
	sort_r(tm->order, tm->link.cnt, sizeof(*tm->order), entry_order_cmp, NULL,
	       tm->link.entries);
}

/* Id of the BTF object that all targets are in, 0 if there is no such. In the
 * order in which targets are shown, those of one object are in a row.
 */
static u32 tracing_multi_btf_obj_id(const struct bpf_tracing_multi_link *tm)
{
	u64 first = tm->link.entries[tm->order[0]].trampoline->key;
	u64 last = tm->link.entries[tm->order[tm->link.cnt - 1]].trampoline->key;
	u32 first_id, last_id;

	bpf_trampoline_unpack_key(first, &first_id, NULL);
	bpf_trampoline_unpack_key(last, &last_id, NULL);
	if (bpf_trampoline_key_is_prog(last) || first_id != last_id)
		return 0;
	return first_id;
}

static void tracing_multi_link_show_fdinfo(const struct bpf_link *link, struct seq_file *seq)
{
	struct bpf_tracing_multi_link *tm = to_tracing_multi(link);
	bool show_addr = kallsyms_show_value(current_cred());
	u32 i, obj_id, btf_id;

	seq_printf(seq,
		   "attach_type:\t%d\n"
		   "target_cnt:\t%u\n",
		   tm->attach_type, tm->link.cnt);

	seq_puts(seq, "obj_kind\t obj_id\t btf_id\t cookie\t func\n");
	/* once the buffer is full, all is shown again with a larger one */
	for (i = 0; i < tm->link.cnt && !seq_has_overflowed(seq); i++) {
		const struct bpf_tramp_multi_link_entry *entry = &tm->link.entries[tm->order[i]];
		u64 key = entry->trampoline->key;

		bpf_trampoline_unpack_key(key, &obj_id, &btf_id);
		seq_printf(seq, "%s\t %u\t %u\t %llu\t %pS\n",
			   bpf_trampoline_key_is_prog(key) ? "prog" : "btf", obj_id, btf_id,
			   bpf_tramp_multi_link_cookie(&tm->link, entry),
			   show_addr ? entry->trampoline->func.addr : NULL);
		cond_resched();
	}
}

struct tracing_multi_ubufs {
	u32 __user *ids;
	u64 __user *addrs;
	u64 __user *cookies;
	u32 __user *obj_ids;
	u32 __user *obj_kinds;
	bool show_addr;
};

static int tracing_multi_put_entry(const struct tracing_multi_ubufs *to, u32 i,
				   const struct bpf_tramp_multi_link_entry *entry, u64 cookie)
{
	u64 addr = to->show_addr ? (unsigned long)entry->trampoline->func.addr : 0;
	u64 key = entry->trampoline->key;
	u32 obj_id, btf_id;

	bpf_trampoline_unpack_key(key, &obj_id, &btf_id);
	if ((to->ids && put_user(btf_id, to->ids + i)) ||
	    (to->addrs && put_user(addr, to->addrs + i)) ||
	    (to->cookies && put_user(cookie, to->cookies + i)) ||
	    (to->obj_ids && put_user(obj_id, to->obj_ids + i)) ||
	    (to->obj_kinds && put_user(key_obj_kind(key), to->obj_kinds + i)))
		return -EFAULT;
	return 0;
}

static int tracing_multi_put_entries(const struct bpf_tracing_multi_link *tm,
				     const struct tracing_multi_ubufs *to, u32 cnt)
{
	int err = 0;
	u32 i;

	for (i = 0; i < cnt && !err; i++) {
		const struct bpf_tramp_multi_link_entry *entry = &tm->link.entries[tm->order[i]];

		err = tracing_multi_put_entry(to, i, entry,
					      bpf_tramp_multi_link_cookie(&tm->link, entry));
		cond_resched();
	}
	return err;
}

static int tracing_multi_link_fill_link_info(const struct bpf_link *link,
					     struct bpf_link_info *info)
{
	struct bpf_tracing_multi_link *tm = to_tracing_multi(link);
	struct tracing_multi_ubufs to = {
		.ids = u64_to_user_ptr(info->tracing_multi.ids),
		.addrs = u64_to_user_ptr(info->tracing_multi.addrs),
		.cookies = u64_to_user_ptr(info->tracing_multi.cookies),
		.obj_ids = u64_to_user_ptr(info->tracing_multi.obj_ids),
		.obj_kinds = u64_to_user_ptr(info->tracing_multi.obj_kinds),
		.show_addr = kallsyms_show_value(current_cred()),
	};
	bool has_buf = to.ids || to.addrs || to.cookies || to.obj_ids || to.obj_kinds;
	u32 ucnt = info->tracing_multi.count, cnt = tm->link.cnt;
	int err;

	if (has_buf != !!ucnt)
		return -EINVAL;

	info->tracing_multi.attach_type = tm->attach_type;
	info->tracing_multi.count = cnt;
	info->tracing_multi.btf_obj_id = tracing_multi_btf_obj_id(tm);
	if (!has_buf)
		return 0;

	err = tracing_multi_put_entries(tm, &to, min(ucnt, cnt));
	if (err)
		return err;
	return ucnt < cnt ? -ENOSPC : 0;
}

/* The object that an entry's function is in, which the link holds. */
static void entry_object(const struct bpf_tracing_multi_link *tm, u64 key,
			 struct bpf_prog **prog, struct btf **btf)
{
	u32 i, obj_id;

	*prog = NULL;
	*btf = NULL;
	bpf_trampoline_unpack_key(key, &obj_id, NULL);
	if (bpf_trampoline_key_is_prog(key)) {
		for (i = 0; i < tm->progs.cnt; i++) {
			*prog = tm->progs.ptrs[i];
			if ((*prog)->aux->id == obj_id)
				break;
		}
		*btf = (*prog)->aux->btf;
		return;
	}
	for (i = 0; i < tm->btfs.cnt; i++) {
		*btf = tm->btfs.ptrs[i];
		if (btf_obj_id(*btf) == obj_id)
			break;
	}
}

static int check_entry(const struct bpf_tracing_multi_link *tm,
		       struct bpf_attach_multi_check *check,
		       const struct bpf_tramp_multi_link_entry *entry)
{
	const struct bpf_trampoline *tr = entry->trampoline;
	struct ksym_query sym = { .addr = (unsigned long)tr->func.addr };
	struct bpf_attach_target_info info;
	struct bpf_prog *tgt_prog;
	struct btf *btf;
	u32 btf_id;
	int err;

	entry_object(tm, tr->key, &tgt_prog, &btf);
	bpf_trampoline_unpack_key(tr->key, NULL, &btf_id);
	err = bpf_check_attach_target_multi(check, tgt_prog, btf, btf_id, &sym, &info);
	if (!err)
		module_put(info.tgt_mod);
	return err;
}

/* May the program be attached to all that the link is attached to? */
static int check_new_prog(const struct bpf_tracing_multi_link *tm, const struct bpf_prog *prog)
{
	struct bpf_attach_multi_check *check;
	int err = 0;
	u32 i;

	if (prog->type != BPF_PROG_TYPE_TRACING || prog->expected_attach_type != tm->attach_type ||
	    prog->sleepable != tm->link.link.prog->sleepable)
		return -EINVAL;

	check = kzalloc(sizeof(*check), GFP_KERNEL);
	if (!check)
		return -ENOMEM;
	check->prog = prog;
	for (i = 0; i < tm->link.cnt && !err; i++) {
		cond_resched();
		err = fatal_signal_pending(current) ? -EINTR :
						      check_entry(tm, check, &tm->link.entries[i]);
	}
	kfree(check);
	return err;
}

static int replace_prog(struct bpf_tracing_multi_link *tm, struct bpf_prog *prog)
{
	int err;

	err = check_new_prog(tm, prog);
	return err ?: bpf_trampoline_multi_update_prog(&tm->link, prog);
}

/**
 * tracing_multi_link_update_prog - BPF_LINK_UPDATE for the tracing multi-link
 * @link: the link
 * @new_prog: program to attach in place of the link's; the reference to it passes to
 *	the link on success
 * @old_prog: the program that the caller takes the link to have, or NULL
 *
 * Context: process context, may sleep. Updates of a link wait for each other.
 *
 * Return: 0; -EPERM if the link has another program than @old_prog; -EINVAL, -ENOENT,
 * -EOPNOTSUPP, -ENOTSUPP if @new_prog is of another kind, or can't be attached to one of
 * the targets; -ENOMEM; -EINTR if the task was killed; or what
 * bpf_trampoline_multi_update_prog() says. If it fails, all targets have the program
 * that they had, unless ftrace dies.
 */
static int tracing_multi_link_update_prog(struct bpf_link *link, struct bpf_prog *new_prog,
					  struct bpf_prog *old_prog)
{
	struct bpf_tracing_multi_link *tm = to_tracing_multi(link);
	struct bpf_prog *prog;
	int err;

	if (mutex_lock_killable(&tm->update_mutex))
		return -EINTR;
	prog = link->prog;
	if (old_prog && old_prog != prog)
		err = -EPERM;
	else if (new_prog == prog)
		err = 0;
	else
		err = replace_prog(tm, new_prog);
	mutex_unlock(&tm->update_mutex);
	/* of the two, the one that the link has not */
	if (!err)
		bpf_prog_put(prog);
	return err;
}

static const struct bpf_link_ops tracing_multi_link_lops = {
	.release = tracing_multi_link_release,
	.dealloc = tracing_multi_link_dealloc,
	.update_prog = tracing_multi_link_update_prog,
	.show_fdinfo = tracing_multi_link_show_fdinfo,
	.fill_link_info = tracing_multi_link_fill_link_info,
};

/* Note that a target is refused.
 *
 * Return: 0 if it is to be left out, @err if that makes link creation fail.
 */
static int refuse_target(struct tracing_multi_req *req, u32 idx, int err)
{
	if (!bpf_tramp_target_refused(err))
		return err;
	if (!req->refused || idx < req->bad_idx) {
		req->refused = err;
		req->bad_idx = idx;
	}
	return req->skip_refused ? 0 : err;
}

static int resolve_btf_fd(struct bpf_tracing_multi_link *tm, s32 fd, struct btf **btf)
{
	*btf = btf_get_by_fd(fd);
	if (IS_ERR(*btf))
		return PTR_ERR(*btf);
	if (!btf_is_kernel(*btf)) {
		/* BTF of a program does not tell which program is meant */
		btf_put(*btf);
		return -EINVAL;
	}
	return keep_ref(&tm->btfs, *btf, put_btf);
}

static int resolve_vmlinux(struct bpf_tracing_multi_link *tm, struct btf **btf)
{
	*btf = bpf_get_btf_vmlinux();
	if (IS_ERR(*btf))
		return PTR_ERR(*btf);
	if (!*btf)
		return -EINVAL;
	btf_get(*btf);
	return keep_ref(&tm->btfs, *btf, put_btf);
}

/* fd: 0 for vmlinux, or of a BPF program, or of a module's BTF */
static int resolve_fd(struct bpf_tracing_multi_link *tm, struct tracing_multi_target *tgt, s32 fd)
{
	if (!fd)
		return resolve_vmlinux(tm, &tgt->btf);

	tgt->prog = bpf_prog_get(fd);
	if (IS_ERR(tgt->prog)) {
		tgt->prog = NULL;
		return resolve_btf_fd(tm, fd, &tgt->btf);
	}
	tgt->btf = tgt->prog->aux->btf;
	return keep_ref(&tm->progs, tgt->prog, put_prog);
}

/* What the program was loaded for: bpf_prog_load() took the references. */
static int resolve_own(struct bpf_tracing_multi_link *tm, struct tracing_multi_target *tgt,
		       const struct bpf_prog *prog)
{
	struct bpf_prog_aux *aux = prog->aux;

	if (aux->dst_prog) {
		tgt->prog = aux->dst_prog;
		tgt->btf = aux->dst_prog->aux->btf;
		bpf_prog_inc(tgt->prog);
		return keep_ref(&tm->progs, tgt->prog, put_prog);
	}
	tgt->btf = aux->attach_btf;
	btf_get(tgt->btf);
	return keep_ref(&tm->btfs, tgt->btf, put_btf);
}

static int resolve_object(struct bpf_tracing_multi_link *tm, const struct tracing_multi_req *req,
			  u32 i)
{
	struct tracing_multi_target *tgt = &req->targets[i];

	/* As a rule it's in the same object as the one before, which is held. */
	if (i && (!req->tgt_fds || req->tgt_fds[i] == req->tgt_fds[i - 1])) {
		tgt->btf = tgt[-1].btf;
		tgt->prog = tgt[-1].prog;
		return 0;
	}
	if (req->tgt_fds)
		return resolve_fd(tm, tgt, req->tgt_fds[i]);
	return resolve_own(tm, tgt, req->prog);
}

/* A bad fd is a mistake in the call, not a target that can't be attached: it
 * is refused even if refused targets are to be left out.
 */
static int resolve_targets(struct bpf_tracing_multi_link *tm, struct tracing_multi_req *req)
{
	int err;
	u32 i;

	for (i = 0; i < req->cnt; i++) {
		struct tracing_multi_target *tgt = &req->targets[i];

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		tgt->idx = i;
		tgt->btf_id = req->ids[i];
		err = resolve_object(tm, req, i);
		if (err) {
			if (err != -ENOMEM) {
				req->refused = err;
				req->bad_idx = i;
			}
			return err;
		}
	}
	return 0;
}

static bool same_object(const struct tracing_multi_target *a, const struct tracing_multi_target *b)
{
	return a->prog == b->prog && a->btf == b->btf;
}

static bool same_target(const struct tracing_multi_target *a, const struct tracing_multi_target *b)
{
	return same_object(a, b) && a->btf_id == b->btf_id;
}

/* Ascending ids in one object, as most callers have them: no two are the same. */
static bool targets_ascend(const struct tracing_multi_req *req)
{
	u32 i;

	for (i = 1; i < req->cnt; i++) {
		const struct tracing_multi_target *tgt = &req->targets[i];

		if (!same_object(tgt, tgt - 1) || tgt->btf_id <= tgt[-1].btf_id)
			return false;
	}
	return true;
}

/* Open addressing: index + 1 of a target is in the slot of its hash, or in the
 * next free one behind that.
 */
struct tracing_multi_set {
	u32 *slots;
	u32 mask;
	u32 seed;	/* so that the caller can't choose targets of the same hash */
};

/* Return: false if the same target is in @set already. */
static bool add_target(const struct tracing_multi_set *set, const struct tracing_multi_req *req,
		       u32 idx)
{
	const struct tracing_multi_target *tgt = &req->targets[idx];
	unsigned long obj = tgt->prog ? (unsigned long)tgt->prog : (unsigned long)tgt->btf;
	u32 i;

	i = jhash_3words(tgt->btf_id, lower_32_bits(obj), upper_32_bits(obj), set->seed);
	for (i &= set->mask; set->slots[i]; i = (i + 1) & set->mask) {
		if (same_target(tgt, &req->targets[set->slots[i] - 1]))
			return false;
	}
	set->slots[i] = idx + 1;
	return true;
}

static int mark_duplicates(struct tracing_multi_req *req)
{
	u32 i, size = roundup_pow_of_two(2 * req->cnt);
	struct tracing_multi_set set = { .mask = size - 1 };

	if (targets_ascend(req))
		return 0;

	set.slots = kvcalloc(size, sizeof(*set.slots), GFP_KERNEL_ACCOUNT);
	if (!set.slots)
		return -ENOMEM;
	set.seed = get_random_u32();
	for (i = 0; i < req->cnt; i++) {
		req->targets[i].duplicate = !add_target(&set, req, i);
		cond_resched();
	}
	kvfree(set.slots);
	return 0;
}

/* Kernel functions of one BTF object, whose addresses are looked up together */
struct tracing_multi_syms {
	struct btf *btf;
	struct ksym_query *queries;
	u32 cnt;
};

static struct tracing_multi_syms *find_syms(struct tracing_multi_syms *syms, const struct btf *btf)
{
	while (syms->btf != btf)
		syms++;
	return syms;
}

static void collect_syms(const struct tracing_multi_req *req, struct tracing_multi_syms *objs)
{
	struct tracing_multi_syms *obj = objs;
	u32 i;

	for (i = 0; i < req->cnt; i++) {
		struct tracing_multi_target *tgt = &req->targets[i];
		const struct btf_type *t;

		cond_resched();
		if (tgt->prog || tgt->duplicate)
			continue;
		t = btf_type_by_id(tgt->btf, tgt->btf_id);
		if (!t || !btf_type_is_func(t))
			continue; /* refused when it's checked */

		if (obj->btf != tgt->btf)
			obj = find_syms(objs, tgt->btf);
		tgt->sym.name = btf_name_by_offset(tgt->btf, t->name_off);
		tgt->sym.next = obj->queries;
		obj->queries = &tgt->sym;
		obj->cnt++;
	}
}

static int lookup_syms(const struct tracing_multi_syms *obj)
{
	struct module *mod;
	int err;

	if (btf_is_vmlinux(obj->btf))
		return kallsyms_lookup_batch(obj->queries, obj->cnt, NULL);

	/* if it's gone, the addresses stay 0, and the check finds that, too */
	mod = btf_try_get_module(obj->btf);
	if (!mod)
		return 0;
	err = kallsyms_lookup_batch(obj->queries, obj->cnt, mod);
	module_put(mod);
	return err;
}

static int resolve_syms(const struct bpf_tracing_multi_link *tm,
			const struct tracing_multi_req *req)
{
	u32 i, cnt = tm->btfs.cnt;
	struct tracing_multi_syms *objs;
	int err = 0;

	if (!cnt)
		return 0;
	objs = kvcalloc(cnt, sizeof(*objs), GFP_KERNEL_ACCOUNT);
	if (!objs)
		return -ENOMEM;
	for (i = 0; i < cnt; i++)
		objs[i].btf = tm->btfs.ptrs[i];

	collect_syms(req, objs);
	for (i = 0; i < cnt && !err; i++)
		err = lookup_syms(&objs[i]);
	kvfree(objs);
	return err;
}

/* What ftrace_location() says, with one search where that needs two and the size
 * of the function: an architecture's place for it starts in the first instruction
 * or right behind it. If the search came upon something else, of which there can
 * be more where code of weak functions was left, see which one is meant.
 */
static unsigned long sym_ftrace_ip(const struct ksym_query *sym)
{
#ifdef CONFIG_DYNAMIC_FTRACE
	unsigned long ip;

	if (sym->size) {
		ip = ftrace_location_range(sym->addr, sym->addr + sym->size - 1);
		if (!ip || ip - sym->addr < MCOUNT_INSN_SIZE)
			return ip;
	}
#endif
	return ftrace_location(sym->addr);
}

static int check_target(const struct tracing_multi_req *req,
			const struct tracing_multi_target *tgt,
			struct bpf_attach_target_info *info)
{
	int err;

	if (tgt->duplicate)
		return -EINVAL;
	err = bpf_check_attach_target_multi(req->check, tgt->prog, tgt->btf, tgt->btf_id,
					    &tgt->sym, info);
	if (err || tgt->prog)
		return err;
	/* Unlike a single link, which finds out when it patches the function. */
	info->ftrace_ip = sym_ftrace_ip(&tgt->sym);
	if (!info->ftrace_ip) {
		module_put(info->tgt_mod);
		return -ENOENT;
	}
	return 0;
}

static int add_entry(struct bpf_tracing_multi_link *tm, const struct tracing_multi_req *req,
		     const struct tracing_multi_target *tgt,
		     struct bpf_attach_target_info *info)
{
	struct bpf_tramp_multi_link_entry *entry = &tm->link.entries[tm->link.cnt];
	struct bpf_trampoline *tr;
	int err;

	if (info->tgt_mod) {
		err = keep_ref(&tm->mods, info->tgt_mod, put_module);
		if (err)
			return err;
	}

	tr = bpf_trampoline_get(bpf_trampoline_compute_key(tgt->prog, tgt->btf, tgt->btf_id), info);
	if (!tr)
		return -ENOMEM;
	if (tgt->prog && tgt->prog->aux->tail_call_reachable)
		bpf_trampoline_set_flags(tr, BPF_TRAMP_F_TAIL_CALL_CTX);

	entry->conn.link = &tm->link.link;
	entry->conn.cookie = req->cookies ? req->cookies[tgt->idx] : 0;
	entry->trampoline = tr;
	tm->link.cnt++;
	return 0;
}

/* Check the targets, and make an entry of each that passes. What is left of
 * req->targets goes with the entries, index by index.
 */
static int add_entries(struct bpf_tracing_multi_link *tm, struct tracing_multi_req *req)
{
	struct bpf_attach_target_info info;
	int err;
	u32 i;

	for (i = 0; i < req->cnt; i++) {
		struct tracing_multi_target *tgt = &req->targets[i];

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		err = check_target(req, tgt, &info);
		if (err) {
			err = refuse_target(req, i, err);
			if (err)
				return err;
			continue;
		}
		if (i != tm->link.cnt)
			req->targets[tm->link.cnt] = *tgt;
		err = add_entry(tm, req, tgt, &info);
		if (err)
			return err;
	}
	return tm->link.cnt ? 0 : req->refused;
}

static int attach_entries(struct bpf_tracing_multi_link *tm, struct tracing_multi_req *req)
{
	u32 bad_entry = U32_MAX;
	int err;

	err = bpf_trampoline_multi_link_prog(&tm->link, req->skip_refused, &bad_entry);
	if (err && bad_entry != U32_MAX) {
		refuse_target(req, req->targets[bad_entry].idx, err);
		/* none is left: tell why of the first one that was refused */
		if (bpf_tramp_target_refused(err))
			err = req->refused;
	}
	if (!err)
		tracing_multi_sort(tm);
	return err;
}

/* Give back the room of entries that were left out, and get that for the order.
 * Nothing is attached yet, so entries may move.
 */
static int fit_entries(struct bpf_tracing_multi_link *tm, u32 max_cnt)
{
	struct bpf_tramp_multi_link_entry *entries;
	u32 cnt = tm->link.cnt;

	if (cnt < max_cnt) {
		entries = kvmemdup(tm->link.entries, cnt * sizeof(*entries), GFP_KERNEL_ACCOUNT);
		if (!entries)
			return -ENOMEM;
		kvfree(tm->link.entries);
		tm->link.entries = entries;
	}
	tm->order = kvmalloc_array(cnt, sizeof(*tm->order), GFP_KERNEL_ACCOUNT);
	tm->link.by_ip = kvmalloc_array(cnt, sizeof(*tm->link.by_ip), GFP_KERNEL_ACCOUNT);
	return tm->order && tm->link.by_ip ? 0 : -ENOMEM;
}

static struct bpf_tracing_multi_link *tracing_multi_link_alloc(struct bpf_prog *prog, u32 cnt,
							       enum bpf_attach_type attach_type)
{
	struct bpf_tracing_multi_link *tm;

	tm = kzalloc(sizeof(*tm), GFP_KERNEL_ACCOUNT);
	if (!tm)
		return NULL;
	tm->link.entries = kvcalloc(cnt, sizeof(*tm->link.entries), GFP_KERNEL_ACCOUNT);
	if (!tm->link.entries) {
		kfree(tm);
		return NULL;
	}
	tm->attach_type = attach_type;
	mutex_init(&tm->update_mutex);
	bpf_link_init(&tm->link.link, BPF_LINK_TYPE_TRACING_MULTI, &tracing_multi_link_lops, prog);
	return tm;
}

static int tracing_multi_link_create(struct bpf_prog *prog, enum bpf_attach_type attach_type,
				     struct tracing_multi_req *req)
{
	struct bpf_tracing_multi_link *tm;
	struct bpf_link_primer primer;
	int err;

	tm = tracing_multi_link_alloc(prog, req->cnt, attach_type);
	if (!tm)
		return -ENOMEM;

	err = resolve_targets(tm, req);
	if (err)
		goto err_dealloc;
	err = mark_duplicates(req);
	if (err)
		goto err_dealloc;
	err = resolve_syms(tm, req);
	if (err)
		goto err_dealloc;
	err = add_entries(tm, req);
	if (err)
		goto err_dealloc;
	err = fit_entries(tm, req->cnt);
	if (err)
		goto err_dealloc;

	err = bpf_link_prime(&tm->link.link, &primer);
	if (err)
		goto err_dealloc;
	err = attach_entries(tm, req);
	if (err) {
		bpf_link_cleanup(&primer);
		return err;
	}
	return bpf_link_settle(&primer);

err_dealloc:
	tracing_multi_link_dealloc(&tm->link.link);
	return err;
}

static int tracing_multi_check_attr(const union bpf_attr *attr)
{
	const u32 end = offsetofend(union bpf_attr, link_create.tracing_multi);

	if (attr->link_create.target_fd ||
	    (attr->link_create.flags & ~TRACING_MULTI_FLAGS))
		return -EINVAL;
	/* CHECK_ATTR() knows only the last field of the largest member */
	if (memchr_inv((const void *)attr + end, 0,
		       offsetofend(union bpf_attr, link_create) - end))
		return -EINVAL;
	if (!attr->link_create.tracing_multi.ids || !attr->link_create.tracing_multi.cnt)
		return -EINVAL;
	if (!!(attr->link_create.flags & BPF_F_TRACING_MULTI_TGT_FDS) !=
	    !!attr->link_create.tracing_multi.tgt_fds)
		return -EINVAL;
	if (attr->link_create.tracing_multi.cnt > TRACING_MULTI_MAX_CNT)
		return -E2BIG;
	return 0;
}

/* Copy an array of the caller's. Return: NULL if it has none, or an ERR_PTR(). */
static void *copy_req_array(u64 from, bool is_kernel, u32 cnt, size_t size)
{
	if (!from)
		return NULL;
	return kvmemdup_bpfptr(make_bpfptr(from, is_kernel), cnt * size);
}

static void free_array(const void *arr)
{
	if (!IS_ERR(arr))
		kvfree(arr);
}

static void tracing_multi_req_free(struct tracing_multi_req *req)
{
	free_array(req->ids);
	free_array(req->cookies);
	free_array(req->tgt_fds);
	kvfree(req->targets);
	kfree(req->check);
}

static int tracing_multi_req_init(struct tracing_multi_req *req, const union bpf_attr *attr,
				  bool is_kernel)
{
	u32 cnt = attr->link_create.tracing_multi.cnt;

	req->cnt = cnt;
	req->skip_refused = attr->link_create.flags & BPF_F_TRACING_MULTI_SKIP_INVALID;
	req->ids = copy_req_array(attr->link_create.tracing_multi.ids, is_kernel,
				  cnt, sizeof(*req->ids));
	if (IS_ERR(req->ids))
		return PTR_ERR(req->ids);
	req->cookies = copy_req_array(attr->link_create.tracing_multi.cookies, is_kernel,
				      cnt, sizeof(*req->cookies));
	if (IS_ERR(req->cookies))
		return PTR_ERR(req->cookies);
	req->tgt_fds = copy_req_array(attr->link_create.tracing_multi.tgt_fds, is_kernel,
				      cnt, sizeof(*req->tgt_fds));
	if (IS_ERR(req->tgt_fds))
		return PTR_ERR(req->tgt_fds);

	req->targets = kvcalloc(cnt, sizeof(*req->targets), GFP_KERNEL_ACCOUNT);
	req->check = kzalloc(sizeof(*req->check), GFP_KERNEL);
	if (!req->targets || !req->check)
		return -ENOMEM;
	req->check->prog = req->prog;
	return 0;
}

/* Only a caller whose attr has the field may be written to. There is nothing
 * to gain from the result of put_user(): the call has failed already.
 */
static void tracing_multi_put_bad_idx(const struct tracing_multi_req *req, bpfptr_t uattr,
				      u32 uattr_size)
{
	union bpf_attr __user *uaddr = uattr.user;

	if (bpfptr_is_kernel(uattr) ||
	    uattr_size < offsetofend(union bpf_attr, link_create.tracing_multi.bad_idx))
		return;
	(void)put_user(req->bad_idx, &uaddr->link_create.tracing_multi.bad_idx);
}

/**
 * bpf_tracing_multi_attach - BPF_LINK_CREATE for the tracing multi-link
 * @prog: program of one of the multi attach types; the reference to it passes
 *	to the link on success
 * @attr: arguments of the call, see link_create.tracing_multi
 * @uattr: where @attr was copied from, bad_idx is written there on failure
 * @uattr_size: number of bytes the caller has at @uattr
 *
 * Context: process context, may sleep.
 *
 * Return: fd of the new link, or a negative error: -EINVAL, -E2BIG, -EFAULT for
 * the call as a whole; -EINVAL, -EBADF, -ENOENT, -EOPNOTSUPP, -ENOTSUPP, -EBUSY,
 * -E2BIG for a refused target, whose index then is in bad_idx; -ENOMEM, -EPERM
 * (bpf_jit_limit), -EMFILE, -ENFILE, -ENOSPC for lack of resources; -EINTR if
 * the task was killed; -ENXIO or -EIO if ftrace is dead. On failure nothing is
 * attached. An fd that isn't open is -EBADF, one of something else -EINVAL.
 *
 * Fds are looked at first, then what each target is, then whether it can be attached:
 * bad_idx is that of the first refused one in the step that failed, which a target
 * that a later step would refuse can be in front of.
 */
int bpf_tracing_multi_attach(struct bpf_prog *prog, const union bpf_attr *attr, bpfptr_t uattr,
			     u32 uattr_size)
{
	struct tracing_multi_req req = { .prog = prog };
	int err;

	err = tracing_multi_check_attr(attr);
	if (err)
		return err;

	err = tracing_multi_req_init(&req, attr, bpfptr_is_kernel(uattr));
	if (!err)
		err = tracing_multi_link_create(prog, attr->link_create.attach_type, &req);
	/* not if something else failed after some targets were left out */
	if (err < 0 && err == req.refused)
		tracing_multi_put_bad_idx(&req, uattr, uattr_size);
	tracing_multi_req_free(&req);
	return err;
}
