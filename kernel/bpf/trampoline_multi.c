// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attach the program of one link to many trampolines, and detach it again.
 *
 * The trampolines are updated one after the other, each by the same code that
 * serves links to a single function. So at any moment some functions may be
 * traced already while others are not yet.
 */
#include <linux/bpf.h>
#include <linux/bpf_tramp_multi.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

/**
 * bpf_tramp_target_refused - tell refusal of one target from a general failure
 * @err: negative error of checking or attaching one target
 *
 * Return: true if @err says that this target can't be attached, whatever
 * happens to the others. False for lack of resources, or a signal: going on
 * with the other targets makes no sense then.
 */
bool bpf_tramp_target_refused(int err)
{
	switch (err) {
	case -EINVAL:
	case -ENOENT:
	case -EOPNOTSUPP:
	case -ENOTSUPP:
	case -EBUSY:
	case -E2BIG:
		return true;
	default:
		return false;
	}
}

static int multi_link_entry(struct bpf_tramp_multi_link_entry *entry)
{
	/* A long attach must not keep a killed task alive. */
	if (fatal_signal_pending(current))
		return -EINTR;

	cond_resched();
	return bpf_trampoline_link_prog(&entry->conn, entry->trampoline, NULL);
}

static void multi_unlink_entries(struct bpf_tramp_multi_link *mlink, u32 cnt)
{
	while (cnt--) {
		struct bpf_tramp_multi_link_entry *entry = &mlink->entries[cnt];

		/* If it fails, for lack of memory for an image without the
		 * program, the function goes on calling the program: keep that
		 * for ever.
		 */
		if (WARN_ON_ONCE(bpf_trampoline_unlink_prog(&entry->conn, entry->trampoline, NULL)))
			bpf_prog_inc(entry->conn.link->prog);
		cond_resched();
	}
}

/* Entries that are not attached yet may move: no list has their conn. */
static void multi_move_entry(struct bpf_tramp_multi_link *mlink, u32 to, u32 from)
{
	if (to == from)
		return;
	mlink->entries[to] = mlink->entries[from];
	mlink->entries[from].trampoline = NULL;
}

static void multi_drop_entry(struct bpf_tramp_multi_link *mlink, u32 i)
{
	bpf_trampoline_put(mlink->entries[i].trampoline);
	mlink->entries[i].trampoline = NULL;
}

/**
 * bpf_trampoline_multi_link_prog - attach a link's program to all its entries
 * @mlink: link with @cnt entries, each with conn.link and trampoline set
 * @skip_refused: leave out the entries that refuse the program, see
 *	bpf_tramp_target_refused(), and shrink @mlink->cnt accordingly
 * @bad_entry: set to the index of the first entry that refused the program, if
 *	one did; indices are those at the time of the call
 *
 * All or nothing: if it fails, no entry is attached, and all trampolines of
 * entries that were not left out are still the caller's to put. An entry that
 * is left out has its trampoline put here.
 *
 * Context: process context, may sleep, takes the mutex of one trampoline at a
 * time. Can be interrupted by a fatal signal.
 *
 * Return: 0, or a negative error: what bpf_trampoline_link_prog() returned for
 * the entry that failed (with @skip_refused: for the first one, if none was
 * left), or -EINTR.
 */
int bpf_trampoline_multi_link_prog(struct bpf_tramp_multi_link *mlink, bool skip_refused,
				   u32 *bad_entry)
{
	u32 i, linked = 0, total = mlink->cnt;
	int err, refused = 0;

	for (i = 0; i < total; i++) {
		multi_move_entry(mlink, linked, i);
		err = multi_link_entry(&mlink->entries[linked]);
		if (!err) {
			linked++;
			continue;
		}
		if (!bpf_tramp_target_refused(err))
			goto err_unlink;
		if (!refused) {
			refused = err;
			*bad_entry = i;
		}
		if (!skip_refused)
			goto err_unlink;
		multi_drop_entry(mlink, linked);
	}

	mlink->cnt = linked;
	return linked ? 0 : refused;

err_unlink:
	multi_unlink_entries(mlink, linked);
	return err;
}

/**
 * bpf_trampoline_multi_unlink_prog - detach a link's program from all entries
 * @mlink: link that bpf_trampoline_multi_link_prog() has attached
 *
 * The trampolines are still the caller's to put. Images that call the program
 * may still run when this returns; the program must live on for the RCU grace
 * periods that bpf_prog_put() gives it.
 *
 * Context: process context, may sleep, takes the mutex of one trampoline at a
 * time.
 */
void bpf_trampoline_multi_unlink_prog(struct bpf_tramp_multi_link *mlink)
{
	multi_unlink_entries(mlink, mlink->cnt);
}
