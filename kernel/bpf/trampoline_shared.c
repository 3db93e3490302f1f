// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trampoline images that many functions share.
 *
 * Two functions whose trampolines run the same programs for the same links, in
 * the same order, and whose arguments take the same slots, can call the same
 * image: what else it needs of the function it takes from the return address of
 * the function's call (BPF_TRAMP_F_SHARED). All that is the recipe of an image.
 * So a multi-link to tens of thousands of functions needs about a dozen images.
 *
 * The links in a recipe are told apart by address. That is safe, because no
 * image is left in the table that has a link in its recipe which is gone: when
 * a link goes, all functions that it was attached to get other images, or none,
 * and an image that nobody uses leaves the table. When a link gets another program,
 * its images leave the table at once.
 */
#include <linux/error-injection.h>
#include <linux/jhash.h>
#include <linux/moduleparam.h>

#include "trampoline.h"

#define SHARED_IMAGES_BITS	8

static struct hlist_head shared_images[1 << SHARED_IMAGES_BITS];

/* protects shared_images, and users of the images in it */
static DEFINE_MUTEX(shared_images_mutex);

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX	"bpf_trampoline."

static bool share_images = true;
module_param(share_images, bool, 0644);
MODULE_PARM_DESC(share_images, "Share trampoline images among functions (for debugging: off)");

/**
 * struct bpf_tramp_recipe - what trampolines have in common that share an image
 * @flags: BPF_TRAMP_F_* of the image
 * @ip_off: where the call of the trampoline is in the function, if the programs
 *	want to know the function's address; else 0
 * @nr_links: number of links of each kind
 * @model: arguments, in the form that functions of the same slots share
 * @links: the links of the first kind, of the second, and so on
 */
struct bpf_tramp_recipe {
	u32 flags;
	u32 ip_off;
	u8 nr_links[BPF_TRAMP_MAX];
	struct btf_func_model model;
	struct bpf_link *links[BPF_MAX_TRAMP_LINKS];
};

/**
 * arch_bpf_trampoline_shape - what an image depends on of a function's type
 * @m: model of the function
 * @shape: set to a model that is the same for all functions that can share an
 *	image made from it; what it has of the return value counts if there are
 *	fmod_ret programs, and is not looked at otherwise
 *
 * Return: true, or false if images of such functions can't be shared, which is
 * what an architecture has that does not implement BPF_TRAMP_F_SHARED.
 */
bool __weak arch_bpf_trampoline_shape(const struct btf_func_model *m, struct btf_func_model *shape)
{
	return false;
}

static int recipe_nr_links(const struct bpf_tramp_recipe *recipe)
{
	int kind, nr_links = 0;

	for (kind = 0; kind < BPF_TRAMP_MAX; kind++)
		nr_links += recipe->nr_links[kind];
	return nr_links;
}

static bool recipe_has_link(const struct bpf_tramp_recipe *recipe, const struct bpf_link *link)
{
	int i, nr_links = recipe_nr_links(recipe);

	for (i = 0; i < nr_links; i++) {
		if (recipe->links[i] == link)
			return true;
	}
	return false;
}

static size_t recipe_size(const struct bpf_tramp_recipe *recipe)
{
	return offsetof(struct bpf_tramp_recipe, links[recipe_nr_links(recipe)]);
}

/* The order is that in which the programs run. */
static bool recipe_add_links(struct bpf_tramp_recipe *recipe, const struct bpf_trampoline *tr)
{
	struct bpf_link **links = recipe->links;
	struct bpf_tramp_link_conn *conn;
	int kind;

	for (kind = 0; kind < BPF_TRAMP_MAX; kind++) {
		recipe->nr_links[kind] = tr->progs_cnt[kind];
		hlist_for_each_entry(conn, &tr->progs_hlist[kind], tramp_hlist) {
			if (conn->link->type != BPF_LINK_TYPE_TRACING_MULTI)
				return false;
			*links++ = conn->link;
		}
	}
	return true;
}

/* The image may go by the return address only if nobody modifies it. A live patch says
 * so, and so does the first kprobe with a post handler; a kprobe that overrides the
 * function with a return value doesn't, but is only possible on functions where errors may
 * be injected.
 */
static bool return_addr_is_sure(const struct bpf_trampoline *tr, u32 flags)
{
	if (flags & BPF_TRAMP_F_SHARE_IPMODIFY)
		return false;
	return !(flags & (BPF_TRAMP_F_CALL_ORIG | BPF_TRAMP_F_IP_ARG)) ||
		!within_error_injection_list((unsigned long)tr->func.addr);
}

/* Return: false if the trampoline must have an image of its own. */
static bool recipe_init(struct bpf_tramp_recipe *recipe, const struct bpf_trampoline *tr)
{
	u32 flags;

	memset(recipe, 0, offsetof(struct bpf_tramp_recipe, links));
	if (!tr->func.ftrace_managed || !recipe_add_links(recipe, tr))
		return false;
	flags = bpf_trampoline_image_flags(tr);
	if ((flags & BPF_TRAMP_F_TAIL_CALL_CTX) || !return_addr_is_sure(tr, flags))
		return false;

	recipe->flags = flags | BPF_TRAMP_F_SHARED;
#ifdef CONFIG_DYNAMIC_FTRACE_DIRECT_UPDATE
	if (flags & BPF_TRAMP_F_IP_ARG)
		recipe->ip_off = tr->direct.ip - (unsigned long)tr->func.addr;
#endif
	if (!arch_bpf_trampoline_shape(&tr->func.model, &recipe->model))
		return false;
	/* the code depends on what the function returns only if programs return that, too */
	if (!tr->progs_cnt[BPF_TRAMP_MODIFY_RETURN]) {
		recipe->model.ret_size = 0;
		recipe->model.ret_flags = 0;
	}
	return true;
}

static struct hlist_head *recipe_bucket(const struct bpf_tramp_recipe *recipe, size_t size)
{
	u32 hash = jhash(recipe, size, 0);

	return &shared_images[hash & (ARRAY_SIZE(shared_images) - 1)];
}

static struct bpf_tramp_image *find_image(struct hlist_head *head,
					  const struct bpf_tramp_recipe *recipe, size_t size)
{
	struct bpf_tramp_image *im;

	hlist_for_each_entry(im, head, list) {
		if (recipe_size(im->recipe) == size && !memcmp(im->recipe, recipe, size))
			return im;
	}
	return NULL;
}

/* What perf, kallsyms and stack traces call the image: the programs in it, and
 * how many slots its functions' arguments take.
 */
static void image_name(char *name, const struct bpf_tramp_recipe *recipe)
{
	int i, nr_slots = 0, len, nr_links = recipe_nr_links(recipe);

	for (i = 0; i < recipe->model.nr_args; i++)
		nr_slots += DIV_ROUND_UP(recipe->model.arg_size[i], 8);

	len = scnprintf(name, KSYM_NAME_LEN, "bpf_trampoline_multi_args%d_prog", nr_slots);
	for (i = 0; i < nr_links; i++)
		len += scnprintf(name + len, KSYM_NAME_LEN - len, "_%u",
				 recipe->links[i]->prog->aux->id);
}

static struct bpf_tramp_image *create_image(const struct bpf_trampoline *tr,
					    const struct bpf_tramp_recipe *recipe, size_t size)
{
	struct bpf_tramp_recipe *copy;
	struct bpf_tramp_image *im;
	char *name;

	copy = kmemdup(recipe, size, GFP_KERNEL);
	name = kmalloc(KSYM_NAME_LEN, GFP_KERNEL);
	if (!copy || !name) {
		im = ERR_PTR(-ENOMEM);
		goto out;
	}

	image_name(name, recipe);
	im = bpf_tramp_image_create(tr, &recipe->model, recipe->flags, name);
	if (!IS_ERR(im))
		im->recipe = copy;
out:
	if (IS_ERR(im))
		kfree(copy);
	kfree(name);
	return im;
}

/**
 * bpf_tramp_shared_image_get - get the image for a trampoline that can share
 * @tr: trampoline, whose lock the caller holds
 *
 * The image is made if there is none yet. To be given back with
 * bpf_tramp_image_put(), or bpf_tramp_image_discard().
 *
 * Return: the image; NULL if the trampoline must have one of its own; or an
 * ERR_PTR().
 */
struct bpf_tramp_image *bpf_tramp_shared_image_get(const struct bpf_trampoline *tr)
{
	struct bpf_tramp_recipe recipe;
	struct bpf_tramp_image *im;
	struct hlist_head *head;
	size_t size;

	if (!READ_ONCE(share_images) || !recipe_init(&recipe, tr))
		return NULL;
	size = recipe_size(&recipe);
	head = recipe_bucket(&recipe, size);

	guard(mutex)(&shared_images_mutex);
	im = find_image(head, &recipe, size);
	if (!im) {
		im = create_image(tr, &recipe, size);
		if (IS_ERR(im))
			return im;
		hlist_add_head(&im->list, head);
	}
	im->users++;
	return im;
}

/**
 * bpf_tramp_shared_image_put - give back a shared image
 * @im: the image
 *
 * Return: true if that was its last user. It is out of the table then, and the
 * caller's to free after it is sure that no task is in it.
 */
bool bpf_tramp_shared_image_put(struct bpf_tramp_image *im)
{
	guard(mutex)(&shared_images_mutex);

	if (--im->users)
		return false;
	hlist_del_init(&im->list);
	return true;
}

/**
 * bpf_tramp_shared_images_retire - let no other trampoline get images of a link
 * @link: link, which will have another program, or is about to go
 *
 * Those that trampolines have are theirs as long as they use them.
 */
void bpf_tramp_shared_images_retire(const struct bpf_link *link)
{
	struct bpf_tramp_image *im;
	struct hlist_node *next;
	int i;

	guard(mutex)(&shared_images_mutex);
	for (i = 0; i < ARRAY_SIZE(shared_images); i++) {
		hlist_for_each_entry_safe(im, next, &shared_images[i], list) {
			if (recipe_has_link(im->recipe, link))
				hlist_del_init(&im->list);
		}
	}
}
