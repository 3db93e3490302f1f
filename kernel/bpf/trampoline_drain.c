// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trampoline images that no function calls any more, but that run programs still:
 * those of calls in flight, at the end of the traced function.
 *
 * As a rule there are none: when a function gets another image, the old one is patched
 * to skip its fexit programs, so that these can be freed at once, however long a task
 * sleeps in the function. But when the program of a multi link is replaced by another
 * one, no call of a function shall be missed by both. So the old image drains: it goes
 * on, and holds all its programs, until the last task has left it, or until one of the
 * links is detached from the function (if the image is shared, from all functions).
 */
#include "trampoline.h"

/* shared images that drain; the others are in the lists of their trampolines */
static HLIST_HEAD(draining_images);

/* protects draining_images, bpf_trampoline::draining, and the images there */
static DEFINE_MUTEX(draining_mutex);

/**
 * struct bpf_tramp_image_progs - programs of an image, and the links that it has them of
 * @nr: number of @elems
 * @elems: the programs are held by the links, or by an update of a link that is under
 *	way, while a function calls the image, and by the image while it drains. The
 *	links are not held: they are there as long as a function calls the image
 */
struct bpf_tramp_image_progs {
	int nr;
	struct {
		const struct bpf_link *link;
		struct bpf_prog *prog;
	} elems[] __counted_by(nr);
};

static bool has_multi_link(const struct bpf_tramp_links *tlinks)
{
	int i;

	for (i = 0; i < tlinks->nr_links; i++) {
		if (tlinks->links[i]->link->type == BPF_LINK_TYPE_TRACING_MULTI)
			return true;
	}
	return false;
}

/**
 * bpf_tramp_image_note_progs - note the programs of an image that may have to drain
 * @im: image, which is being made
 * @tlinks: for each kind of programs, what the image is made from
 *
 * Only programs of multi links are replaced, so the images of others need no note.
 *
 * Return: 0 or -ENOMEM
 */
int bpf_tramp_image_note_progs(struct bpf_tramp_image *im, const struct bpf_tramp_links *tlinks)
{
	struct bpf_tramp_image_progs *progs;
	int kind, i, nr = 0;
	bool multi = false;

	for (kind = 0; kind < BPF_TRAMP_MAX; kind++) {
		nr += tlinks[kind].nr_links;
		multi |= has_multi_link(&tlinks[kind]);
	}
	if (!multi)
		return 0;

	progs = kmalloc(struct_size(progs, elems, nr), GFP_KERNEL);
	if (!progs)
		return -ENOMEM;
	progs->nr = nr;
	for (kind = 0; kind < BPF_TRAMP_MAX; kind++) {
		for (i = 0; i < tlinks[kind].nr_links; i++) {
			progs->elems[--nr].link = tlinks[kind].links[i]->link;
			progs->elems[nr].prog = tlinks[kind].links[i]->link->prog;
		}
	}
	im->progs = progs;
	return 0;
}

/**
 * bpf_tramp_image_prog_of - which program does an image run for a link?
 * @im: image that was made while a multi link was attached to its function
 * @link: link, or the address of one that is gone
 *
 * Return: the program, NULL if the link was not attached
 */
const struct bpf_prog *bpf_tramp_image_prog_of(const struct bpf_tramp_image *im,
					       const struct bpf_link *link)
{
	int i;

	for (i = 0; i < im->progs->nr; i++) {
		if (im->progs->elems[i].link == link)
			return im->progs->elems[i].prog;
	}
	return NULL;
}

/**
 * bpf_tramp_image_drain - let calls in flight run the programs of an image
 * @im: image that calls the traced function, and that no function calls any more, with
 *	notes of its programs
 * @tr: trampoline that the image is of, if it isn't shared; the caller holds its lock
 *
 * To be called before waiting for the image to become unused starts, and while the
 * links, or an update of them, still hold the programs.
 */
void bpf_tramp_image_drain(struct bpf_tramp_image *im, struct bpf_trampoline *tr)
{
	int i;

	for (i = 0; i < im->progs->nr; i++)
		bpf_prog_inc(im->progs->elems[i].prog);

	guard(mutex)(&draining_mutex);
	hlist_add_head(&im->list, im->recipe ? &draining_images : &tr->draining);
}

static void drain_end(struct bpf_tramp_image *im)
{
	int i;

	hlist_del_init(&im->list);
	for (i = 0; i < im->progs->nr; i++)
		bpf_prog_put(im->progs->elems[i].prog);
}

/**
 * bpf_tramp_image_drained - let go the programs of an image that drains
 * @im: image that no task is in any more, draining or not
 */
void bpf_tramp_image_drained(struct bpf_tramp_image *im)
{
	guard(mutex)(&draining_mutex);
	if (!hlist_unhashed(&im->list))
		drain_end(im);
}

/* bpf_prog_put() waits for programs that run right now. */
static void drain_abort(struct bpf_tramp_image *im)
{
	bpf_tramp_image_skip_fexit(im);
	drain_end(im);
}

/* So many at a time: whoever lets an image drain waits for draining_mutex, and may have all
 * trampoline locks then.
 */
#define DRAIN_ABORT_MAX	16

/* Return: are there more? */
static bool drain_abort_some(struct hlist_head *head, const struct bpf_link *link)
{
	struct bpf_tramp_image *im;
	struct hlist_node *next;
	int nr = 0;

	guard(mutex)(&draining_mutex);
	hlist_for_each_entry_safe(im, next, head, list) {
		if (!bpf_tramp_image_prog_of(im, link))
			continue;
		if (nr++ == DRAIN_ABORT_MAX)
			return true;
		drain_abort(im);
	}
	return false;
}

static void drain_abort_all(struct hlist_head *head, const struct bpf_link *link)
{
	while (drain_abort_some(head, link))
		cond_resched();
}

/**
 * bpf_trampoline_stop_draining - run no program of a link for calls that are in flight
 * @tr: trampoline that the link has been detached from: it gets no more images with the
 *	link, and those that it had have begun to drain
 * @link: the link
 *
 * Calls in shared images excepted, see bpf_link_stop_draining().
 *
 * Context: process context, may sleep. The trampoline's lock isn't needed.
 */
void bpf_trampoline_stop_draining(struct bpf_trampoline *tr, const struct bpf_link *link)
{
	/* an image of other links that begins to drain now doesn't matter */
	if (!hlist_empty(&tr->draining))
		drain_abort_all(&tr->draining, link);
}

/**
 * bpf_link_stop_draining - bpf_trampoline_stop_draining() for shared images
 * @link: multi link that is detached from all its functions
 */
void bpf_link_stop_draining(const struct bpf_link *link)
{
	drain_abort_all(&draining_images, link);
}
