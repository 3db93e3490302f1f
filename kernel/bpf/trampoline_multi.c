// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attach the program of one link to many trampolines, replace it, and detach it again.
 *
 * All of them go through the entries of the link a chunk at a time, in which functions are
 * neighbours: the trampolines of a chunk get their new images, mostly shared ones,
 * and then all its functions are patched in one update of ftrace, which costs
 * what the functions of the chunk cost. Between two chunks others get at the
 * trampolines, and the task may be rescheduled, or be killed.
 *
 * So at any moment some functions may be traced already while others are not yet.
 */
#include <linux/bpf.h>
#include <linux/bpf_tramp_multi.h>
#include <linux/bpf_verifier.h>
#include <linux/bsearch.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sort.h>

#include "trampoline.h"

/* As many as x86 and riscv patch in one go. Where ftrace can't update many, which takes
 * long then, one: others need the locks, too.
 */
#define MULTI_CHUNK	(IS_ENABLED(CONFIG_DYNAMIC_FTRACE_DIRECT_UPDATE) ? 256 : 1)

/* A function in a chunk. */
struct multi_slot {
	struct bpf_tramp_multi_link_entry *entry;
	struct bpf_tramp_image *im;	/* it shall call, NULL for none */
	int err;			/* why it is left as it was */
};

/* The chunk that is being worked on, by the one who has all trampoline locks.
 * It is static, so that detaching needs no memory for it.
 */
static struct multi_slot multi_slots[MULTI_CHUNK];

static unsigned long multi_ip(const struct bpf_tramp_multi_link_entry *entry)
{
	const struct bpf_trampoline *tr = entry->trampoline;

#ifdef CONFIG_DYNAMIC_FTRACE_DIRECT_UPDATE
	if (tr->func.ftrace_managed)
		return tr->direct.ip;
#endif
	return (unsigned long)tr->func.addr;
}

static int multi_ip_cmp(const void *a, const void *b, const void *priv)
{
	const struct bpf_tramp_multi_link_entry *entries = priv;
	u32 ia = *(const u32 *)a, ib = *(const u32 *)b;
	unsigned long ip_a = multi_ip(&entries[ia]), ip_b = multi_ip(&entries[ib]);

	/* now and then: sort_r() goes on as long as it takes */
	if (ia % 256 == 0)
		cond_resched();
	if (ip_a != ip_b)
		return ip_a < ip_b ? -1 : 1;
	return ia < ib ? -1 : 1;
}

static void multi_sort(struct bpf_tramp_multi_link *mlink)
{
	u32 i;

	for (i = 0; i < mlink->cnt; i++)
		mlink->by_ip[i] = i;
	sort_r(mlink->by_ip, mlink->cnt, sizeof(*mlink->by_ip), multi_ip_cmp, NULL,
	       mlink->entries);
}

static bool multi_attached(const struct bpf_tramp_multi_link_entry *entry)
{
	return !hlist_unhashed(&entry->conn.tramp_hlist);
}

/* The image that the function needs now, or why it can't be made. */
static void slot_make_image(struct multi_slot *slot, bool detach)
{
	struct bpf_trampoline *tr = slot->entry->trampoline;
	struct bpf_tramp_image *im;

	im = detach ? bpf_trampoline_make_image_nofail(tr) : bpf_trampoline_make_image(tr);
	slot->im = IS_ERR(im) ? NULL : im;
	slot->err = PTR_ERR_OR_ZERO(im);
}

/* Is the function patched together with others? Those that aren't, functions of
 * BPF programs, and all functions where ftrace can't update many, are left to
 * bpf_trampoline_update(), and have no image in the slot.
 */
static bool slot_batched(const struct multi_slot *slot)
{
	return IS_ENABLED(CONFIG_DYNAMIC_FTRACE_DIRECT_UPDATE) &&
		slot->entry->trampoline->func.ftrace_managed;
}

#ifdef CONFIG_DYNAMIC_FTRACE_DIRECT_UPDATE
static struct ftrace_direct_change multi_changes[MULTI_CHUNK];

static bool slot_changes(const struct multi_slot *slot)
{
	return !slot->err && slot_batched(slot);
}

static u32 slots_to_changes(const struct multi_slot *slots, u32 cnt)
{
	u32 i, nr = 0;

	for (i = 0; i < cnt; i++) {
		if (!slot_changes(&slots[i]))
			continue;
		multi_changes[nr++] = (struct ftrace_direct_change) {
			.entry = &slots[i].entry->trampoline->direct,
			.addr = slots[i].im ? (unsigned long)slots[i].im->image : 0,
			.share_ipmodify = slots[i].im &&
				bpf_tramp_flags_share_ipmodify(slots[i].im->flags),
		};
	}
	return nr;
}

/* The function has an IPMODIFY user: try again with an image of its own. */
static void slot_share_ipmodify(struct multi_slot *slot, bool detach)
{
	bpf_tramp_image_discard(slot->im);
	slot->entry->trampoline->flags |= BPF_TRAMP_F_SHARE_IPMODIFY;
	slot_make_image(slot, detach);
}

/* Note in the slots what ftrace has against their changes. Return: true if there is any. */
static bool changes_refused(struct multi_slot *slots, u32 cnt, bool detach)
{
	bool refused = false;
	u32 i, nr = 0;

	for (i = 0; i < cnt; i++) {
		int err;

		if (!slot_changes(&slots[i]))
			continue;
		err = multi_changes[nr++].err;
		refused |= err != 0;
		if (err == -EAGAIN)
			slot_share_ipmodify(&slots[i], detach);
		else if (err)
			/* the function was there when its trampoline was made */
			slots[i].err = err == -ENODEV ? -ENOENT : err;
	}
	return refused;
}

/*
 * Let the functions that are patched together call their images. Those that ftrace
 * refuses are left out, with their errors in the slots.
 *
 * Return: 0, or why none is changed, but with -EIO any may be.
 */
static int slots_set_calls(struct multi_slot *slots, u32 cnt, bool detach)
{
	u32 nr;
	int err;

	for (;;) {
		nr = slots_to_changes(slots, cnt);
		if (!nr)
			return 0;
		err = ftrace_direct_update(multi_changes, nr);
		if (err != -EBUSY && err != -ENODEV && err != -EAGAIN)
			return err;
		/* nothing to leave out: trying again would fail again */
		if (!changes_refused(slots, cnt, detach))
			return err;
	}
}

/* Has another user of direct calls, or another trampoline, the function? */
static bool multi_ip_busy(const struct bpf_trampoline *tr)
{
	return tr->func.ftrace_managed && !tr->cur_image &&
		ftrace_find_rec_direct(tr->direct.ip);
}
#else
static int slots_set_calls(struct multi_slot *slots, u32 cnt, bool detach)
{
	return 0;
}

static bool multi_ip_busy(const struct bpf_trampoline *tr)
{
	return false;
}
#endif

static void slot_prepare_link(struct multi_slot *slot)
{
	struct bpf_tramp_multi_link_entry *entry = slot->entry;

	slot->err = bpf_trampoline_check_conn(entry->trampoline, &entry->conn);
	if (slot->err)
		return;

	bpf_trampoline_add_conn(entry->trampoline, &entry->conn);
	if (slot_batched(slot))
		slot_make_image(slot, false);
}

/* Leave the function as it was. */
static void slot_cancel_link(struct multi_slot *slot)
{
	struct bpf_trampoline *tr = slot->entry->trampoline;

	bpf_tramp_image_discard(slot->im);
	slot->im = NULL;
	if (!multi_attached(slot->entry))
		return;

	bpf_trampoline_del_conn(tr, &slot->entry->conn);
	/* may be for the image that was dropped: the next one finds out itself */
	if (!tr->cur_image)
		tr->flags &= ~BPF_TRAMP_F_SHARE_IPMODIFY;
}

/* How far a link has come. */
struct multi_attach {
	struct bpf_tramp_multi_link *mlink;
	bool skip_refused;
	int refused;		/* error of the first entry that refused */
	u32 bad_entry;		/* its index */
	bool dropped;		/* some entries are to be left out */
	u32 nr_chunks;		/* that it has been tried to attach to */
};

/* Return: 0 if the entry is to be left out, else what to fail with */
static int multi_refused(struct multi_attach *at, struct bpf_tramp_multi_link_entry *entry, int err)
{
	u32 idx = entry - at->mlink->entries;

	if (!bpf_tramp_target_refused(err))
		return err;
	if (!at->refused || idx < at->bad_entry) {
		at->refused = err;
		at->bad_entry = idx;
	}
	if (!at->skip_refused)
		return at->refused;
	entry->conn.link = NULL;
	at->dropped = true;
	return 0;
}

/* Take the slots with errors out of the chunk. Return: 0, or what to fail with. */
static int slots_drop_failed(struct multi_attach *at, struct multi_slot *slots, u32 *cnt)
{
	u32 i, kept = 0;
	int err, ret = 0;

	for (i = 0; i < *cnt; i++) {
		if (!slots[i].err) {
			slots[kept++] = slots[i];
			continue;
		}
		slot_cancel_link(&slots[i]);
		err = multi_refused(at, slots[i].entry, slots[i].err);
		if (err)
			ret = err;
	}
	*cnt = kept;
	return ret;
}

static void slots_cancel_link(struct multi_slot *slots, u32 cnt)
{
	u32 i;

	for (i = 0; i < cnt; i++)
		slot_cancel_link(&slots[i]);
}

static void slots_commit(struct multi_slot *slots, u32 cnt, bool detach)
{
	u32 i;

	for (i = 0; i < cnt; i++) {
		struct bpf_trampoline *tr = slots[i].entry->trampoline;

		if (slots[i].err)
			continue;
		if (slot_batched(&slots[i]))
			bpf_trampoline_commit_image(tr, slots[i].im);
		else
			slots[i].err = bpf_trampoline_update(tr, detach, true);
	}
}

/* What the function is part of: the link has a reference to it, but not for long. */
static void slot_keep_owner(const struct multi_slot *slot)
{
	const struct bpf_trampoline *tr = slot->entry->trampoline;
	struct module *mod;
	u32 obj_id;

	if (bpf_trampoline_key_is_prog(tr->key)) {
		bpf_trampoline_unpack_key(tr->key, &obj_id, NULL);
		/* takes a reference */
		WARN_ON_ONCE(IS_ERR(bpf_prog_by_id(obj_id)));
		return;
	}
	guard(preempt)();
	mod = __module_address((unsigned long)tr->func.addr);
	if (mod)
		__module_get(mod);
}

/* Whatever a function may go on calling, for ever, has to stay, and so has the function. */
static void slot_keep(struct multi_slot *slot, struct bpf_tramp_multi_link *mlink)
{
	WARN_ONCE(1, "BPF program %u stays attached: error %d\n",
		  mlink->link.prog->aux->id, slot->err);
	/* only if ftrace died half way is the new image called */
	if (slot->err != -EIO) {
		bpf_tramp_image_discard(slot->im);
		slot->im = NULL;
	}
	bpf_tramp_shared_images_retire(&mlink->link);
	mlink->cookies = NULL;
	bpf_prog_inc(mlink->link.prog);
	slot_keep_owner(slot);
	refcount_inc(&slot->entry->trampoline->refcnt);
}

/* If ftrace dies in the update, nobody knows which functions call what. */
static void slots_keep(struct multi_slot *slots, u32 cnt, struct bpf_tramp_multi_link *mlink,
		       int err)
{
	u32 i;

	for (i = 0; i < cnt; i++) {
		slots[i].err = err;
		slot_keep(&slots[i], mlink);
		if (multi_attached(slots[i].entry))
			bpf_trampoline_del_conn(slots[i].entry->trampoline, &slots[i].entry->conn);
	}
}

/* If it fails, some functions of the chunk may be attached nonetheless. */
static int slots_link(struct multi_attach *at, struct multi_slot *slots, u32 cnt)
{
	int err;
	u32 i;

	for (i = 0; i < cnt; i++)
		slot_prepare_link(&slots[i]);
	err = slots_drop_failed(at, slots, &cnt);
	if (!err)
		err = slots_set_calls(slots, cnt, false);
	if (err == -EIO) {
		slots_keep(slots, cnt, at->mlink, err);
		return err;
	}
	if (err) {
		slots_cancel_link(slots, cnt);
		return err;
	}
	slots_commit(slots, cnt, false);
	return slots_drop_failed(at, slots, &cnt);
}

/* Fill the slots with those of a chunk's entries that @want is true of, in the order
 * of addresses. Return: number of slots filled.
 */
static u32 multi_fill_slots(const struct bpf_tramp_multi_link *mlink, u32 chunk,
			    bool (*want)(const struct bpf_tramp_multi_link_entry *entry))
{
	u32 i, cnt = 0, end = min((chunk + 1) * MULTI_CHUNK, mlink->cnt);

	for (i = chunk * MULTI_CHUNK; i < end; i++) {
		struct bpf_tramp_multi_link_entry *entry = &mlink->entries[mlink->by_ip[i]];

		if (want(entry))
			multi_slots[cnt++] = (struct multi_slot) { .entry = entry };
	}
	return cnt;
}

static u32 multi_nr_chunks(const struct bpf_tramp_multi_link *mlink)
{
	return DIV_ROUND_UP(mlink->cnt, MULTI_CHUNK);
}

/*
 * The i-th chunk in the order of attaching; detaching goes through it backwards. This
 * is a matter of speed: what patches functions should not run a program itself in each
 * of its steps while most functions are still to be patched. It is linked in the first
 * third of the kernel (kernel/, mm/), most of all at both ends (arch/, lib/). So
 * what is behind that third comes first, and both ends come last.
 */
static u32 multi_nth_chunk(u32 i, u32 nr_chunks)
{
	u32 third = nr_chunks / 3, end = nr_chunks / 32;
	u32 behind = nr_chunks - end - third;

	if (i < behind)
		return third + i;
	i -= behind;
	if (i < third - end)
		return end + i;
	i -= third - end;
	return i < end ? i : nr_chunks - 2 * end + i;
}

static bool multi_wanted(const struct bpf_tramp_multi_link_entry *entry)
{
	return entry->conn.link;
}

static int multi_link_chunks(struct multi_attach *at)
{
	u32 cnt, chunk, nr_chunks = multi_nr_chunks(at->mlink);
	int err = 0;

	while (at->nr_chunks < nr_chunks && !err) {
		/* A long attach must not keep a killed task alive. */
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();

		chunk = multi_nth_chunk(at->nr_chunks++, nr_chunks);
		bpf_trampoline_lock_all();
		cnt = multi_fill_slots(at->mlink, chunk, multi_wanted);
		err = slots_link(at, multi_slots, cnt);
		bpf_trampoline_unlock_all();
	}
	return err;
}

/* It will not be possible to attach the second of two entries of one function. */
static int multi_check_twins(struct multi_attach *at)
{
	struct bpf_tramp_multi_link *mlink = at->mlink;
	int err, ret = 0;
	u32 i;

	for (i = 1; i < mlink->cnt; i++) {
		struct bpf_tramp_multi_link_entry *entry = &mlink->entries[mlink->by_ip[i]];

		if (multi_ip(entry) != multi_ip(&mlink->entries[mlink->by_ip[i - 1]]))
			continue;
		err = multi_refused(at, entry, -EBUSY);
		if (err)
			ret = err;
	}
	return ret;
}

static int multi_check_entry(const struct bpf_tramp_multi_link_entry *entry)
{
	struct bpf_trampoline *tr = entry->trampoline;
	int err;

	bpf_trampoline_lock(tr);
	err = bpf_trampoline_check_conn(tr, &entry->conn);
	if (!err && multi_ip_busy(tr))
		err = -EBUSY;
	bpf_trampoline_unlock(tr);
	return err;
}

/* Find the entries that would be refused before anything is attached, and the
 * first of them in the order of entries. Attaching checks again.
 */
static int multi_check_entries(struct multi_attach *at)
{
	struct bpf_tramp_multi_link *mlink = at->mlink;
	int err, ret;
	u32 i;

	ret = multi_check_twins(at);
	for (i = 0; i < mlink->cnt; i++) {
		struct bpf_tramp_multi_link_entry *entry = &mlink->entries[i];

		cond_resched();
		if (!multi_wanted(entry))
			continue;
		/* no other can be the first one now */
		if (ret && i >= at->bad_entry)
			break;
		err = multi_check_entry(entry);
		if (!err)
			continue;
		err = multi_refused(at, entry, err);
		if (err)
			return err;
	}
	return ret;
}

static bool multi_same_cookies(const struct bpf_tramp_multi_link *mlink)
{
	u32 i;

	for (i = 1; i < mlink->cnt; i++) {
		if (mlink->entries[i].conn.cookie != mlink->entries[0].conn.cookie)
			return false;
	}
	return true;
}

static void cookies_fill(struct bpf_tramp_multi_cookies *cookies,
			 const struct bpf_tramp_multi_link *mlink)
{
	u32 i;

	for (i = 0; i < mlink->cnt; i++) {
		const struct bpf_tramp_multi_link_entry *entry = &mlink->entries[mlink->by_ip[i]];

		/* not of one that has the same address as another */
		if (!multi_wanted(entry))
			continue;
		cookies->by_ip[cookies->cnt].ip = (unsigned long)entry->trampoline->func.addr;
		cookies->by_ip[cookies->cnt++].cookie = entry->conn.cookie;
	}
}

/* Give the conns what images pass to the programs in place of a cookie. */
static int multi_set_cookies(struct bpf_tramp_multi_link *mlink)
{
	struct bpf_tramp_multi_cookies *cookies = NULL;
	bool same = multi_same_cookies(mlink);
	u32 i;

	if (!same || mlink->entries[0].conn.cookie) {
		cookies = kvzalloc(struct_size(cookies, by_ip, same ? 0 : mlink->cnt),
				   GFP_KERNEL_ACCOUNT);
		if (!cookies)
			return -ENOMEM;
		if (same)
			cookies->cookie = mlink->entries[0].conn.cookie;
		else
			cookies_fill(cookies, mlink);
	}

	mlink->cookies = cookies;
	for (i = 0; i < mlink->cnt; i++)
		mlink->entries[i].conn.cookie = (unsigned long)cookies;
	return 0;
}

static __always_inline int cookie_cmp(const void *key, const void *elem)
{
	unsigned long ip = *(const unsigned long *)key;
	const struct bpf_tramp_ip_cookie *cookie = elem;

	if (ip != cookie->ip)
		return ip < cookie->ip ? -1 : 1;
	return 0;
}

/**
 * bpf_tramp_multi_cookie - find the cookie of a target
 * @cookies: cookies of a link, NULL if all are 0
 * @ip: address of the function, as bpf_get_func_ip() gives it
 *
 * Context: any; @cookies is there as long as a program of the link may run. Not
 * traced, since it is a program that calls it.
 *
 * Return: the cookie, 0 if @ip is not that of a target.
 */
u64 notrace bpf_tramp_multi_cookie(const struct bpf_tramp_multi_cookies *cookies, unsigned long ip)
{
	const struct bpf_tramp_ip_cookie *found;

	if (!cookies)
		return 0;
	if (!cookies->cnt)
		return cookies->cookie;
	found = __inline_bsearch(&ip, cookies->by_ip, cookies->cnt, sizeof(*found), cookie_cmp);
	return found ? found->cookie : 0;
}

static void cookies_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct bpf_tramp_multi_cookies, rcu.rcu));
}

/**
 * bpf_trampoline_multi_free - free what belongs to a multi link that is detached
 * @mlink: link, whose trampolines have been put
 *
 * The cookies go when the programs may.
 */
void bpf_trampoline_multi_free(struct bpf_tramp_multi_link *mlink)
{
	if (mlink->cookies)
		bpf_tramp_call_rcu(&mlink->cookies->rcu, cookies_free_rcu);
	kvfree(mlink->by_ip);
	kvfree(mlink->entries);
}

/* The function's list goes on with the conn in its new place. */
static void multi_move_entry(struct bpf_tramp_multi_link_entry *to,
			     struct bpf_tramp_multi_link_entry *from)
{
	struct bpf_trampoline *tr = from->trampoline;

	bpf_trampoline_lock(tr);
	*to = *from;
	hlist_add_before(&to->conn.tramp_hlist, &from->conn.tramp_hlist);
	hlist_del_init(&from->conn.tramp_hlist);
	bpf_trampoline_unlock(tr);
	from->trampoline = NULL;
}

static void multi_leave_out_dropped(struct bpf_tramp_multi_link *mlink)
{
	u32 i, cnt = 0;

	for (i = 0; i < mlink->cnt; i++) {
		struct bpf_tramp_multi_link_entry *entry = &mlink->entries[i];

		if (!multi_attached(entry)) {
			bpf_trampoline_put(entry->trampoline);
			entry->trampoline = NULL;
			continue;
		}
		if (i != cnt)
			multi_move_entry(&mlink->entries[cnt], entry);
		cnt++;
		cond_resched();
	}
	mlink->cnt = cnt;
	multi_sort(mlink);
}

static void slot_prepare_unlink(struct multi_slot *slot)
{
	struct bpf_tramp_multi_link_entry *entry = slot->entry;

	bpf_trampoline_del_conn(entry->trampoline, &entry->conn);
	if (slot_batched(slot))
		slot_make_image(slot, true);
}

/* If ftrace is dead, or there is no room for an image that lacks the program, the
 * function goes on calling one that has it.
 */
static void slots_unlink(struct multi_slot *slots, u32 cnt, struct bpf_tramp_multi_link *mlink)
{
	int err;
	u32 i;

	for (i = 0; i < cnt; i++)
		slot_prepare_unlink(&slots[i]);

	err = slots_set_calls(slots, cnt, true);
	for (i = 0; i < cnt; i++) {
		if (slot_batched(&slots[i]))
			slots[i].err = slots[i].err ?: err;
	}
	slots_commit(slots, cnt, true);
	for (i = 0; i < cnt; i++) {
		if (slots[i].err)
			slot_keep(&slots[i], mlink);
	}
}

/* Updates may have left many images, each of which is patched on its own: not while others
 * wait for the trampolines.
 */
static void multi_stop_draining(struct bpf_tramp_multi_link *mlink)
{
	u32 i;

	for (i = 0; i < mlink->cnt; i++) {
		cond_resched();
		bpf_trampoline_stop_draining(mlink->entries[i].trampoline, &mlink->link);
	}
	bpf_link_stop_draining(&mlink->link);
}

/* Detach from the first @nr of the chunks that were attached to. */
static void multi_unlink_chunks(struct bpf_tramp_multi_link *mlink, u32 nr)
{
	u32 cnt, chunk, nr_chunks = multi_nr_chunks(mlink);

	while (nr--) {
		cond_resched();
		chunk = multi_nth_chunk(nr, nr_chunks);
		bpf_trampoline_lock_all();
		cnt = multi_fill_slots(mlink, chunk, multi_attached);
		slots_unlink(multi_slots, cnt, mlink);
		bpf_trampoline_unlock_all();
	}
	multi_stop_draining(mlink);
}

/**
 * bpf_trampoline_multi_link_prog - attach a link's program to all its entries
 * @mlink: link with @cnt entries, each with conn.link and trampoline set, and
 *	with room in by_ip
 * @skip_refused: leave out the entries that refuse the program, see
 *	bpf_tramp_target_refused(), and shrink @mlink->cnt accordingly
 * @bad_entry: set to the index of the first entry that refused the program, if
 *	one did; indices are those at the time of the call
 *
 * All or nothing: if it fails, no entry is attached (unless there is no memory for
 * detaching those that were, for which there is a warning, or ftrace dies), and all
 * trampolines of entries are still the caller's to put. If it succeeds, an entry
 * that was left out has its trampoline put here.
 *
 * Context: process context, may sleep, takes all trampoline locks for the time
 * that a chunk of entries takes. Can be interrupted by a fatal signal.
 *
 * Return: 0, or a negative error: why the first entry that refused the program
 * did so (with @skip_refused: if none was left), or what made all of it fail:
 * -ENOMEM, -EPERM (bpf_jit_limit), -EINTR, -ENXIO or -EIO (ftrace is dead).
 */
int bpf_trampoline_multi_link_prog(struct bpf_tramp_multi_link *mlink, bool skip_refused,
				   u32 *bad_entry)
{
	struct multi_attach at = { .mlink = mlink, .skip_refused = skip_refused };
	int err;

	multi_sort(mlink);
	err = multi_check_entries(&at);
	if (!err)
		err = multi_set_cookies(mlink);
	if (!err) {
		err = multi_link_chunks(&at);
		if (err)
			multi_unlink_chunks(mlink, at.nr_chunks);
	}
	if (at.refused)
		*bad_entry = at.bad_entry;
	if (err)
		return err;

	if (at.dropped)
		multi_leave_out_dropped(mlink);
	return mlink->cnt ? 0 : at.refused;
}

/* Does the function call an image that runs another program than the link has? An image
 * that others have made since an update began runs that.
 */
static bool multi_outdated(const struct bpf_tramp_multi_link_entry *entry)
{
	const struct bpf_link *link = entry->conn.link;

	return multi_attached(entry) &&
		bpf_tramp_image_prog_of(entry->trampoline->cur_image, link) != link->prog;
}

/* Return: 0, or why some functions are left as they were, but with -EIO any function may
 * call any image, so that all have to stay.
 */
static int slots_update(struct multi_slot *slots, u32 cnt, bool undo)
{
	int err, ret = 0;
	u32 i;

	for (i = 0; i < cnt; i++) {
		if (slot_batched(&slots[i]))
			slot_make_image(&slots[i], undo);
		ret = ret ?: slots[i].err;
	}
	err = ret && !undo ? ret : slots_set_calls(slots, cnt, undo);
	if (err == -EIO)
		return err;
	for (i = 0; i < cnt; i++) {
		if (slot_batched(&slots[i])) {
			slots[i].err = slots[i].err ?: err;
			if (slots[i].err)
				bpf_tramp_image_discard(slots[i].im);
		}
	}
	if (err && !undo)
		return err;
	slots_commit(slots, cnt, undo);
	for (i = 0; i < cnt; i++)
		ret = ret ?: slots[i].err;
	return ret;
}

static int multi_update_chunk(struct bpf_tramp_multi_link *mlink, u32 chunk, bool undo)
{
	u32 cnt;
	int err;

	cond_resched();
	bpf_trampoline_lock_all();
	cnt = multi_fill_slots(mlink, chunk, multi_outdated);
	err = slots_update(multi_slots, cnt, undo);
	bpf_trampoline_unlock_all();
	return err;
}

/* With all trampoline locks: is the program attached to one of the functions? */
static bool multi_has_prog(const struct bpf_tramp_multi_link *mlink, const struct bpf_prog *prog)
{
	u32 i;

	for (i = 0; i < mlink->cnt; i++) {
		cond_resched();
		if (bpf_trampoline_nr_conns(mlink->entries[i].trampoline, prog))
			return true;
	}
	return false;
}

/* With all trampoline locks: from here on, whoever makes an image for one of the
 * functions uses this program; and images that the functions call now drain when they
 * are replaced, whoever does it.
 */
static void multi_set_prog(struct bpf_tramp_multi_link *mlink, struct bpf_prog *prog)
{
	u32 i;

	bpf_tramp_shared_images_retire(&mlink->link);
	for (i = 0; i < mlink->cnt; i++) {
		cond_resched();
		mlink->entries[i].trampoline->cur_image->drains = true;
	}
	WRITE_ONCE(mlink->link.prog, prog);
}

static int multi_begin_update(struct bpf_tramp_multi_link *mlink, struct bpf_prog *prog)
{
	int err = 0;

	bpf_trampoline_lock_all();
	if (multi_has_prog(mlink, prog))
		err = -EBUSY;
	else
		multi_set_prog(mlink, prog);
	bpf_trampoline_unlock_all();
	return err;
}

/* Go back to the old program, also where the update has not come to, but others have
 * made images with the new one. The old one may have got attached by another link in
 * the meantime; that is no harm.
 */
static void multi_undo_update(struct bpf_tramp_multi_link *mlink, struct bpf_prog *old_prog)
{
	struct bpf_prog *new_prog = mlink->link.prog;
	u32 i, nr_chunks = multi_nr_chunks(mlink);
	int err;

	bpf_trampoline_lock_all();
	multi_set_prog(mlink, old_prog);
	bpf_trampoline_unlock_all();

	for (i = nr_chunks; i--; ) {
		err = multi_update_chunk(mlink, multi_nth_chunk(i, nr_chunks), true);
		if (WARN_ONCE(err, "BPF program %u stays attached: error %d\n",
			      new_prog->aux->id, err))
			bpf_prog_inc(new_prog);
	}
}

/**
 * bpf_trampoline_multi_update_prog - replace the program of a link in all its entries
 * @mlink: link that bpf_trampoline_multi_link_prog() has attached
 * @prog: the new program, of the same attach type, as sleepable as the old one, and
 *	that may be attached to all the functions
 *
 * Each call of a function, also one that is in flight, runs either the old program or
 * the new one. (Except for a call in flight while programs are attached to or detached
 * from its function: as ever, it may run none at its end.) When this returns 0, calls
 * that start run the new one, and the caller has the old program's reference, as it has
 * that of @prog if this fails. While calls in flight need a program, it stays loaded.
 *
 * All or nothing, unless ftrace dies, or there is no memory for going back, or no room
 * in an image that has got another program meanwhile; for the last two there is a
 * warning. But while this runs, some calls run the one and others the other.
 *
 * Context: process context, may sleep, takes all trampoline locks for the time that
 * a chunk of entries takes, and once, at the start and before going back, for a walk over
 * all entries. One at a time for a link. Can be interrupted by a fatal signal.
 *
 * Return: 0; -EBUSY if @prog is attached to one of the functions by another link;
 * -ENOMEM, -EPERM (bpf_jit_limit), -E2BIG (there is no room for what @prog needs);
 * -EINTR; or what ftrace or patching a BPF program says, -ENXIO or -EIO if ftrace is
 * dead.
 */
int bpf_trampoline_multi_update_prog(struct bpf_tramp_multi_link *mlink, struct bpf_prog *prog)
{
	struct bpf_prog *old_prog = mlink->link.prog;
	u32 i, nr_chunks = multi_nr_chunks(mlink);
	int err;

	err = multi_begin_update(mlink, prog);
	if (err)
		return err;
	for (i = 0; i < nr_chunks && !err; i++) {
		err = fatal_signal_pending(current) ? -EINTR :
			multi_update_chunk(mlink, multi_nth_chunk(i, nr_chunks), false);
	}
	if (!err)
		return 0;
	/* ftrace is dead: functions may call images with any of the two for ever */
	if (err == -EIO || err == -ENXIO) {
		bpf_prog_inc(old_prog);
		bpf_prog_inc(prog);
	}
	multi_undo_update(mlink, old_prog);
	return err;
}

/**
 * bpf_trampoline_multi_unlink_prog - detach a link's program from its entries
 * @mlink: link that bpf_trampoline_multi_link_prog() has attached
 *
 * The trampolines are still the caller's to put. Images that call the program
 * may still run when this returns; the program must live on for the RCU grace
 * periods that bpf_prog_put() gives it.
 *
 * Context: process context, may sleep, takes all trampoline locks for the time
 * that a chunk of entries takes.
 */
void bpf_trampoline_multi_unlink_prog(struct bpf_tramp_multi_link *mlink)
{
	multi_unlink_chunks(mlink, multi_nr_chunks(mlink));
}
