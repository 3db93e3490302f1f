// SPDX-License-Identifier: GPL-2.0
/* Tracing multi-links while functions are called, and while tasks sleep in them or
 * are killed.
 *
 * With TRACING_MULTI_LONG=1 in the environment links are toggled NR_TOGGLES_LONG
 * times in each subtest that counts.
 */
#include <test_progs.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include "tracing_multi_helpers.h"
#include "tracing_multi_stress.skel.h"

#define NR_TOGGLES 70
#define NR_TOGGLES_LONG 10000

#define ASK_MS 60000
#define WAIT_STEPS 1000
#define WAIT_STEP_US 20000

static struct tracing_multi_stress *skel;

static bool wait_growth(const __u64 *cnt, __u64 growth, const char *name)
{
	return multi_wait_count(cnt, __atomic_load_n(cnt, __ATOMIC_SEQ_CST) + growth, name);
}

/* A link that comes and goes, beside those that stay. */
static const struct toggled {
	const char *name;
	const char *funcs[4];
	bool leave;	/* fexit */
	bool single;	/* on bpf_fentry_test7 alone, which gets an image of its own */
	bool own;	/* images are not shared when it is attached */
} toggled[] = {
	{ "fentry", { "bpf_fentry_test7", "bpf_fentry_test8", "bpf_fentry_test4" } },
	{ "fexit", { "bpf_fentry_test7", "bpf_fentry_test8", "bpf_fentry_test4" },
	  .leave = true },
	{ "single fentry", { "bpf_fentry_test7" }, .single = true },
	{ "single fexit", { "bpf_fentry_test7" }, .single = true, .leave = true },
	{ "fentry, own images", { "bpf_fentry_test7", "bpf_fentry_test8", "bpf_fentry_test4" },
	  .own = true },
	{ "fexit, own images", { "bpf_fentry_test7", "bpf_fentry_test8", "bpf_fentry_test4" },
	  .own = true, .leave = true },
	{ "fentry elsewhere", { "bpf_fentry_test4", "bpf_fentry_test5", "bpf_fentry_test6" } },
};

static int nr_funcs(const struct toggled *tg)
{
	int cnt = 0;

	while (cnt < ARRAY_SIZE(tg->funcs) && tg->funcs[cnt])
		cnt++;
	return cnt;
}

static int nr_toggles(void)
{
	return multi_long() ? NR_TOGGLES_LONG : NR_TOGGLES;
}

static struct multi_targets toggled_targets[ARRAY_SIZE(toggled)];

static bool find_toggled(void)
{
	int i, j;

	for (i = 0; i < ARRAY_SIZE(toggled); i++) {
		memset(&toggled_targets[i], 0, sizeof(toggled_targets[i]));
		for (j = 0; j < nr_funcs(&toggled[i]); j++) {
			if (!multi_add(&toggled_targets[i], toggled[i].funcs[j]))
				return false;
		}
	}
	return true;
}

static int attach_toggled(const struct toggled *tg)
{
	const struct multi_targets *t = &toggled_targets[tg - toggled];
	const struct bpf_program *prog;
	int fd;

	if (tg->single) {
		prog = tg->leave ? skel->progs.toggle_single_exit :
				   skel->progs.toggle_single_entry;
		fd = bpf_link_create(bpf_program__fd(prog), 0,
				     bpf_program__expected_attach_type(prog), NULL);
		goto out;
	}
	prog = tg->leave ? skel->progs.toggle_exit : skel->progs.toggle_entry;
	if (tg->own && !multi_set_sharing(false))
		return -1;
	fd = multi_attach(prog, t);
	if (tg->own)
		multi_set_sharing(true);
out:
	ASSERT_OK_FD(fd, tg->name);
	return fd;
}

/* What stays attached: functions whose arguments take one slot, which share images,
 * the first of which nothing else comes to, and one with two slots.
 */
#define NR_COUNTED 4

/* by cookie: what was seen at exit up to the call before */
static __u64 exit_hits[NR_COUNTED + 1];

static int attach_counted(void)
{
	struct multi_targets t;
	int fd, i;

	if (!multi_set(&t, "bpf_fentry_test1", "bpf_fentry_test7", "bpf_fentry_test8",
		       "bpf_fentry_test2", NULL))
		return -1;
	for (i = 0; i < NR_COUNTED; i++)
		t.cookies[i] = i + 1;
	t.use_cookies = true;
	skel->bss->pid = getpid();
	memset(exit_hits, 0, sizeof(exit_hits));
	fd = multi_link(skel->progs.count_entry, &t, "counted fentry");
	return multi_link(skel->progs.count_exit, &t, "counted fexit") < 0 ? -1 : fd;
}

/* Each call was seen once at entry, and at exit at most once. */
static bool is_counted(__u64 calls)
{
	__u64 seen;
	int i;

	for (i = 1; i <= NR_COUNTED; i++) {
		seen = skel->bss->exit_hits[i] - exit_hits[i];
		exit_hits[i] = skel->bss->exit_hits[i];
		if (skel->bss->entry_hits[i] != calls || seen > 1)
			return false;
	}
	return true;
}

/* Of how many calls the fexit program may have missed: by cookie. */
static void check_counts(int toggles, __u64 calls, const __u64 *may_miss)
{
	__u64 seen, missed = 0;
	int i;

	for (i = 1; i <= NR_COUNTED; i++) {
		ASSERT_EQ(skel->bss->entry_hits[i], calls, "calls seen at entry");
		seen = skel->bss->exit_hits[i];
		missed += calls - seen;
		ASSERT_LE(seen, calls, "calls seen at exit");
		ASSERT_GE(seen + may_miss[i], calls, "calls seen at exit, at least");
	}
	ASSERT_EQ(skel->bss->entry_hits[0], 0, "cookie at entry");
	ASSERT_EQ(skel->bss->exit_hits[0], 0, "cookie at exit");
	multi_figure("stress: %d toggles, %llu rounds of calls, fexit missed %llu calls in flight",
		     toggles, calls, missed);
}

/* Does the function have an image of its own? By the names of images: */
static char own_image[MULTI_IMAGE_KEY];

static int own_images(void)
{
	return multi_images(own_image);
}

static bool find_own_image(int link_fd)
{
	int id = multi_func_id("bpf_fentry_test7");
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_GT(id, 0, "bpf_fentry_test7") ||
	    !ASSERT_OK(bpf_link_get_info_by_fd(link_fd, &info, &len), "link info"))
		return false;
	multi_own_image_key(info.tracing_multi.btf_obj_id, id, own_image, sizeof(own_image));
	return true;
}

static void check_own_image(const struct toggled *tg)
{
	multi_wait_for(own_images, tg && (tg->own || tg->single), tg ? tg->name : "toggled off");
}

static void call_twice(void)
{
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	multi_test_run(skel->progs.run_fentry_tests, NULL);
}

static bool toggle_between_calls(const struct toggled *tg, bool check_image)
{
	__u64 hits = skel->bss->toggle_hits;
	int fd = attach_toggled(tg);

	if (fd < 0)
		return false;
	call_twice();
	if (check_image)
		check_own_image(tg);
	close(fd);
	if (!ASSERT_EQ(skel->bss->toggle_hits, hits + 2 * nr_funcs(tg), tg->name))
		return false;

	hits = skel->bss->toggle_hits;
	call_twice();
	if (check_image)
		check_own_image(NULL);
	return ASSERT_EQ(skel->bss->toggle_hits, hits, "toggled off");
}

/* Between the changes, each program must see each call once. */
static void test_counts_between_toggles(void)
{
	const __u64 none[NR_COUNTED + 1] = {};
	int fd, i;

	if (!find_toggled())
		return;
	fd = attach_counted();
	if (fd < 0 || !find_own_image(fd))
		return;
	for (i = 0; i < nr_toggles(); i++) {
		if (!toggle_between_calls(&toggled[i % ARRAY_SIZE(toggled)],
					  i < ARRAY_SIZE(toggled)))
			break;
	}
	ASSERT_EQ(i, nr_toggles(), "toggles");
	check_counts(i, 4 * i, none);
}

/* Of two calls that end, one has begun after the first was over. */
static bool wait_call(struct multi_caller *c)
{
	return wait_growth(&c->calls, 2, "calls");
}

static bool toggle(struct multi_caller *c, const struct toggled *tg)
{
	__u64 hits = skel->bss->toggle_hits;
	int fd = attach_toggled(tg);

	if (fd < 0)
		return false;
	if (!wait_call(c) || !ASSERT_GT(skel->bss->toggle_hits, hits, tg->name)) {
		close(fd);
		return false;
	}
	close(fd);

	/* a call that was under way may still have seen it */
	if (!wait_call(c))
		return false;
	hits = skel->bss->toggle_hits;
	return wait_call(c) && ASSERT_EQ(skel->bss->toggle_hits, hits, "toggled off");
}

/* What stays attached must see every call once. But when a function's image changes
 * and no other function uses the old one, a call that is under way leaves without
 * calling the fexit programs: at most one call at each change, as there is one caller.
 */
static void count_while_toggling(void)
{
	__u64 may_miss[NR_COUNTED + 1] = {};
	struct multi_caller c;
	int i;

	if (!find_toggled() || attach_counted() < 0 ||
	    !multi_start_caller(&c, skel->progs.run_fentry_tests, is_counted))
		return;
	for (i = 0; i < nr_toggles(); i++) {
		if (!toggle(&c, &toggled[i % ARRAY_SIZE(toggled)]))
			break;
	}
	multi_stop_caller(&c);
	ASSERT_EQ(i, nr_toggles(), "toggles");
	/* nothing changes for the first and the last function */
	may_miss[2] = 2 * i;
	may_miss[3] = 2 * i;
	check_counts(i, c.calls, may_miss);
}

static void test_counts_while_toggling(void)
{
	count_while_toggling();
}

static bool write_tracefs(const char *file, const char *text)
{
	return multi_write_file(multi_tracefs(), file, text);
}

/* The function tracer makes the functions go through a list of callbacks. */
static void test_counts_with_tracer(void)
{
	if (!ASSERT_TRUE(write_tracefs("set_ftrace_filter", "bpf_fentry_test*\n"),
			 "set_ftrace_filter"))
		return;
	if (write_tracefs("current_tracer", "function")) {
		count_while_toggling();
		ASSERT_TRUE(write_tracefs("current_tracer", "nop"), "no tracer");
	} else {
		test__skip();
	}
	ASSERT_TRUE(write_tracefs("set_ftrace_filter", "\n"), "no filter");
}

/* Here it is the tracer that comes and goes. */
static void test_counts_while_tracer_toggles(void)
{
	const __u64 none[NR_COUNTED + 1] = {};
	int i, cnt = nr_toggles() / 10;
	struct multi_caller c;

	if (!ASSERT_TRUE(write_tracefs("set_ftrace_filter", "bpf_fentry_test*\n"),
			 "set_ftrace_filter"))
		return;
	if (!write_tracefs("current_tracer", "function")) {
		test__skip();
		goto out;
	}
	if (attach_counted() < 0 ||
	    !multi_start_caller(&c, skel->progs.run_fentry_tests, is_counted))
		goto out;
	for (i = 0; i < cnt; i++) {
		if (!ASSERT_TRUE(write_tracefs("current_tracer", i % 2 ? "function" : "nop"),
				 "tracer") || !wait_call(&c))
			break;
	}
	multi_stop_caller(&c);
	ASSERT_EQ(i, cnt, "toggles");
	check_counts(i, c.calls, none);
out:
	ASSERT_TRUE(write_tracefs("current_tracer", "nop"), "no tracer");
	ASSERT_TRUE(write_tracefs("set_ftrace_filter", "\n"), "no filter");
}

static void attach_glob(void *arg)
{
	if (!bpf_program__attach_tracing_multi(skel->progs.any_entry, "*", NULL))
		_exit(errno);
	/* the link goes with the task at the latest */
	pause();
}

/* Leaves the task to be waited for. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = {};

	return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

/* However long the task takes to find all functions, it ends if it can't attach: with the
 * error, as far as that fits in an exit code.
 */
static void test_kill(void)
{
	struct multi_state before;
	pid_t pid;

	if (!multi_settle())
		return;
	multi_get_state(&before);
	pid = multi_fork(attach_glob, NULL);
	if (pid < 0)
		return;
	/* not by looking at what is enabled: that takes ftrace's lock all the time */
	while (!__atomic_load_n(&skel->bss->any_entry_hits, __ATOMIC_SEQ_CST) && !has_ended(pid))
		usleep(WAIT_STEP_US);
	ASSERT_FALSE(has_ended(pid), "attaches");
	kill(pid, SIGKILL);
	multi_expect_killed(pid);
	multi_same_state(&before, "left behind");
}

static void attach_everything(void *arg)
{
	skel->bss->pid = getpid();
	bpf_program__attach_tracing_multi(skel->progs.any_entry, "*", NULL);
}

static bool load_with(const char *name)
{
	struct bpf_program *prog;

	tracing_multi_stress__destroy(skel);
	skel = tracing_multi_stress__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return false;
	prog = bpf_object__find_program_by_name(skel->obj, name);
	return ASSERT_OK_PTR(prog, name) &&
	       ASSERT_OK(bpf_program__set_autoload(prog, true), "set_autoload") &&
	       ASSERT_OK(tracing_multi_stress__load(skel), name);
}

/* By a program in a function that link creation calls again and again: the kill_at-th
 * time. It must not go on for long then.
 */
static void kill_in_creation(struct bpf_program *prog, __u64 kill_at, __u64 max_calls)
{
	struct multi_state before;
	struct bpf_link *link;
	pid_t pid;

	link = bpf_program__attach(prog);
	if (!ASSERT_OK_PTR(link, "attach") || !multi_settle())
		goto out;
	skel->bss->kill_at = kill_at;
	multi_get_state(&before);
	pid = multi_fork(attach_everything, NULL);
	if (pid < 0)
		goto out;
	multi_expect_killed(pid);
	ASSERT_GE(skel->bss->kill_calls, kill_at, "killed by the program");
	ASSERT_LE(skel->bss->kill_calls, max_calls, "given up");
	multi_same_state(&before, "left behind");
out:
	bpf_link__destroy(link);
}

static void test_kill_checking(void)
{
	if (load_with("kill_checking"))
		kill_in_creation(skel->progs.kill_checking, 1000, 1000);
}

/* What is attached by then is detached: as many calls, and one more that finds nothing
 * more to detach.
 */
static void test_kill_attaching(void)
{
	if (load_with("kill_attaching"))
		kill_in_creation(skel->progs.kill_attaching, 5, 2 * 5 + 1);
}

/* A task sleeps in eventfd_read() while the programs that trace it go away. */
#define EVENT 7

static char sleep_image[MULTI_IMAGE_KEY];
static __u32 sleep_prog_id;

static int sleep_images(void)
{
	return multi_images(sleep_image);
}

static int sleep_prog_alive(void)
{
	int fd = bpf_prog_get_fd_by_id(sleep_prog_id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Without the links and programs of the parent, which must be able to free them. */
static void read_event(void *arg)
{
	int event_fd = *(int *)arg;
	__u64 event = 0;

	if (event_fd > 3)
		syscall(__NR_close_range, 3, event_fd - 1, 0);
	syscall(__NR_close_range, event_fd + 1, ~0U, 0);
	skel->bss->pid = getpid();
	if (read(event_fd, &event, sizeof(event)) != sizeof(event) || event != EVENT)
		_exit(1);
}

static void leave_sleeping(int entry_fd, int leave_fd)
{
	multi_wait_count(&skel->bss->entry_hits[1], 1, "in the function");
	ASSERT_EQ(skel->bss->exit_hits[1], 0, "still in the function");
	sleep_prog_id = multi_prog_id(skel->progs.count_exit);
	multi_unlink(&entry_fd);
	multi_unlink(&leave_fd);
	bpf_program__unload(skel->progs.count_entry);
	bpf_program__unload(skel->progs.count_exit);
	multi_wait_for(sleep_prog_alive, 0, "program is freed");
	/* images that can be freed are after this */
	multi_settle();
	ASSERT_EQ(sleep_images(), 1, "image with a task in it");
}

static void sleep_in_function(int event_fd)
{
	struct multi_targets t = { .use_cookies = true, .cookies = { 1 } };
	int entry_fd, leave_fd, status = 0;
	__u64 event = EVENT;
	pid_t pid;

	if (!multi_add(&t, "eventfd_read"))
		return;
	entry_fd = multi_link(skel->progs.count_entry, &t, "fentry");
	leave_fd = multi_link(skel->progs.count_exit, &t, "fexit");
	if (entry_fd < 0 || leave_fd < 0 ||
	    !multi_image_key(leave_fd, t.ids[0], sleep_image, sizeof(sleep_image)))
		return;
	pid = multi_fork(read_event, &event_fd);
	if (pid < 0)
		return;
	leave_sleeping(entry_fd, leave_fd);

	ASSERT_EQ(write(event_fd, &event, sizeof(event)), sizeof(event), "wake");
	ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid");
	ASSERT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status), "event was read");
	multi_wait_for(sleep_images, 0, "image is freed");
	ASSERT_EQ(skel->bss->exit_hits[1], 0, "program did not run");
}

static void test_sleep(void)
{
	int event_fd = eventfd(0, 0);

	if (!ASSERT_OK_FD(event_fd, "eventfd"))
		return;
	sleep_in_function(event_fd);
	close(event_fd);
}

static void test_sleep_own_image(void)
{
	if (multi_set_sharing(false))
		test_sleep();
	multi_set_sharing(true);
}

static void sleep_long(void *arg)
{
	struct timespec hour = { .tv_sec = 3600 };

	/* as in read_event() */
	syscall(__NR_close_range, 3, ~0U, 0);
	skel->bss->pid = getpid();
	syscall(__NR_nanosleep, &hour, NULL);
}

/* Whoever puts a program waits for the sleepable ones of the image that a task sleeps below,
 * until that task can't be on the way to one any more.
 */
static void wait_beside_sleeping(int entry_fd, int leave_fd)
{
	__u64 rounds;

	multi_wait_count(&skel->bss->entry_hits[1], 1, "in the function");
	multi_unlink(&entry_fd);
	multi_unlink(&leave_fd);
	bpf_program__unload(skel->progs.sleepable_exit);
	multi_settle();
	rounds = skel->bss->rounds;
	ASSERT_GT(rounds, 0, "grace periods of RCU tasks trace");
	multi_settle();
	ASSERT_EQ(skel->bss->rounds, rounds, "none since");
	ASSERT_EQ(sleep_images(), 1, "image with a task in it");
}

static void test_sleep_skipping(void)
{
	struct multi_targets t = { .use_cookies = true, .cookies = { 1 } };
	int entry_fd, leave_fd;
	pid_t pid;

	if (!load_with("count_rounds") || !multi_add(&t, SYS_NANOSLEEP_KPROBE_NAME))
		return;
	skel->links.count_rounds = bpf_program__attach(skel->progs.count_rounds);
	if (!ASSERT_OK_PTR(skel->links.count_rounds, "count grace periods"))
		return;
	entry_fd = multi_link(skel->progs.count_entry, &t, "fentry");
	leave_fd = multi_link(skel->progs.sleepable_exit, &t, "sleepable fexit");
	if (entry_fd < 0 || leave_fd < 0 ||
	    !multi_image_key(leave_fd, t.ids[0], sleep_image, sizeof(sleep_image)))
		return;
	pid = multi_fork(sleep_long, NULL);
	if (pid < 0)
		return;
	wait_beside_sleeping(entry_fd, leave_fd);
	kill(pid, SIGKILL);
	multi_expect_killed(pid);
	multi_wait_for(sleep_images, 0, "image is freed");
}

/* Two pages that have to be waited for */
#define NR_PAGES 2

static int make_missing_pages(void *pages)
{
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)pages, .len = NR_PAGES * getpagesize() },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_api api = { .api = UFFD_API };
	int fd;

	fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (!ASSERT_OK_FD(fd, "userfaultfd"))
		return -1;
	if (!ASSERT_OK(ioctl(fd, UFFDIO_API, &api), "UFFDIO_API") ||
	    !ASSERT_OK(ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER")) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *call_once(void *arg)
{
	multi_test_run(skel->progs.run_fentry_tests, NULL);
	return NULL;
}

#define SLEEP_COOKIE 0x51ee9

/* What it needs to go on is there as long as it runs: it is found by its address when it
 * reads where nothing is mapped.
 */
static void check_went_on(int times)
{
	ASSERT_EQ(skel->bss->after_sleep, times, "the program went on");
	ASSERT_OK(skel->bss->sleep_err, "bpf_copy_from_user");
	ASSERT_EQ(skel->bss->sleep_value, EVENT, "what it read");
	ASSERT_EQ(skel->data->sleep_fault, 0, "what is not mapped");
	ASSERT_EQ(skel->bss->sleep_cookie, SLEEP_COOKIE, "its cookie");
}

/* Until a program asks for the nth page */
static bool wait_asleep(int uffd, int nth)
{
	struct pollfd asked = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	return ASSERT_EQ(poll(&asked, 1, ASK_MS), 1, "the program ran") &&
	       ASSERT_EQ(read(uffd, &msg, sizeof(msg)), sizeof(msg), "fault") &&
	       ASSERT_EQ(skel->bss->before_sleep, nth + 1, "asleep");
}

static void wake(int uffd, int nth)
{
	static __u64 content[4096 / sizeof(__u64)] = { EVENT };
	struct uffdio_copy copy = {
		.dst = (unsigned long)skel->bss->sleep_addr + nth * getpagesize(),
		.src = (unsigned long)content,
		.len = sizeof(content),
	};

	ASSERT_OK(ioctl(uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
}

/* Close the last link and the program, by "detach", while a task sleeps in the program. */
static void detach_asleep(int uffd, void (*detach)(void))
{
	pthread_t thread;
	int i;

	if (!ASSERT_OK(pthread_create(&thread, NULL, call_once, NULL), "pthread_create"))
		return;
	if (!wait_asleep(uffd, 0))
		goto join;
	detach();
	for (i = 0; i < 10; i++)
		kern_sync_rcu();
	multi_wait_for(sleep_images, 1, "image with a task in it");
	ASSERT_EQ(skel->bss->after_sleep, 0, "still asleep");
	wake(uffd, 0);
join:
	pthread_join(thread, NULL);
	check_went_on(1);
	multi_wait_for(sleep_images, 0, "image is freed");
}

/* the program that sleeps, and its link */
static struct bpf_program *sleeper;
static int sleep_link_fd;

static bool attach_sleeping_to(struct multi_targets *t)
{
	t->cookies[0] = SLEEP_COOKIE;
	t->use_cookies = true;
	sleep_link_fd = multi_link(sleeper, t, "attach");
	return sleep_link_fd >= 0 &&
	       multi_image_key(sleep_link_fd, t->ids[0], sleep_image, sizeof(sleep_image));
}

static bool attach_sleeping(void)
{
	struct multi_targets t;

	/* another cookie for the second, so that they are in a table */
	return multi_set(&t, "bpf_fentry_test1", "bpf_testmod:bpf_testmod_multi_inject", NULL) &&
	       attach_sleeping_to(&t);
}

static bool attach_sleeping_alone(void)
{
	struct multi_targets t;

	return multi_set(&t, "bpf_fentry_test1", NULL) && attach_sleeping_to(&t);
}

/* What is allocated then takes memory that the link has freed. */
static void detach_sleeping(void)
{
	struct multi_targets t;

	if (!multi_set(&t, "bpf_fentry_test7", "bpf_fentry_test8", NULL))
		return;
	t.cookies[0] = 1;
	t.use_cookies = true;
	multi_unlink(&sleep_link_fd);
	bpf_program__unload(sleeper);
	multi_link(skel->progs.count_entry, &t, "attach elsewhere");
	multi_link(skel->progs.count_exit, &t, "attach elsewhere");
	multi_link(skel->progs.toggle_entry, &t, "attach elsewhere");
	multi_link(skel->progs.toggle_exit, &t, "attach elsewhere");
}

static bool attach_single_sleeping(void)
{
	LIBBPF_OPTS(bpf_trace_opts, opts);
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	struct bpf_link *link;

	opts.cookie = SLEEP_COOKIE;
	link = bpf_program__attach_trace_opts(skel->progs.sleep_single_entry, &opts);
	if (!ASSERT_OK_PTR(link, "attach"))
		return false;
	skel->links.sleep_single_entry = link;
	if (!ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "info"))
		return false;
	multi_own_image_key(info.tracing.target_obj_id, info.tracing.target_btf_id, sleep_image,
			    sizeof(sleep_image));
	return true;
}

static void detach_single_sleeping(void)
{
	bpf_link__destroy(skel->links.sleep_single_entry);
	skel->links.sleep_single_entry = NULL;
	bpf_program__unload(skel->progs.sleep_single_entry);
}

/* What programs wait for: a userfaultfd */
static int sleep_begin(void)
{
	void *pages;
	int uffd;

	pages = mmap(NULL, NR_PAGES * getpagesize(), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!ASSERT_NEQ(pages, MAP_FAILED, "mmap"))
		return -1;
	uffd = make_missing_pages(pages);
	if (uffd < 0) {
		munmap(pages, NR_PAGES * getpagesize());
		return -1;
	}
	skel->bss->pid = getpid();
	skel->bss->page_size = getpagesize();
	skel->bss->sleep_addr = pages;
	return uffd;
}

static void sleep_end(int uffd)
{
	close(uffd);
	munmap(skel->bss->sleep_addr, NR_PAGES * getpagesize());
}

static void sleep_in_program(bool (*attach)(void), void (*detach)(void))
{
	int uffd = sleep_begin();

	if (uffd < 0)
		return;
	if (attach())
		detach_asleep(uffd, detach);
	sleep_end(uffd);
}

/* It is the program that sleeps, and it must be there until it is over. */
static void test_sleepable_program(void)
{
	sleeper = skel->progs.sleep_entry;
	sleep_in_program(attach_sleeping, detach_sleeping);
}

static void test_sleepable_single(void)
{
	sleep_in_program(attach_single_sleeping, detach_single_sleeping);
}

#define PATCH_MODULE "bpf_test_ipmodify"
#define PATCH "/sys/kernel/livepatch/" PATCH_MODULE

static void disable_patch_asleep(void)
{
	char task[64], state[16] = {};

	ASSERT_TRUE(multi_write_file(PATCH, "enabled", "0"), "disable");
	/* that has looked at the stacks of all tasks that sleep */
	snprintf(task, sizeof(task), "/proc/self/task/%d", skel->bss->sleep_tid);
	multi_read_file(task, "patch_state", state, sizeof(state));
	ASSERT_STREQ(state, "1\n", "the task goes the new way");
	multi_unlink(&sleep_link_fd);
}

static void check_patched_hits(void)
{
	char hits[16] = {};

	multi_read_file("/sys/module/" PATCH_MODULE "/parameters", "patched_hits", hits,
			sizeof(hits));
	ASSERT_STREQ(hits, "1\n", "calls of the new function");
}

/* A task that sleeps in a program goes on in the live patch's function then, so that the patch
 * may not be gone, though no fault tells the unwinder to give up. (A fault does.)
 */
static void test_sleepable_patched(void)
{
	int err;

	if (!load_with("sleep_without_fault"))
		return;
	err = multi_load_module(PATCH_MODULE ".ko", "user=livepatch_sleepable");
	if (err == -EOPNOTSUPP) {
		test__skip();
		return;
	}
	if (!ASSERT_OK(err, "load module"))
		return;
	if (multi_wait_transition(PATCH, "0")) {
		sleeper = skel->progs.sleep_without_fault;
		sleep_in_program(attach_sleeping_alone, disable_patch_asleep);
	}
	/* if it didn't come to that */
	multi_write_file(PATCH, "enabled", "0");
	if (multi_wait_transition(PATCH, "")) {
		check_patched_hits();
		ASSERT_OK(multi_unload_module(PATCH_MODULE), "unload module");
	}
}

#ifdef __x86_64__
/* A thread that takes the CPU away from another one where that is about to be a reader of RCU
 * tasks trace, the nth time: a breakpoint of perf wakes it, and it has priority.
 */
#define HOG_CPU 1

static struct hog {
	pthread_t thread;
	int perf_fd;
	struct perf_event_mmap_page *page;
	__u64 nth;
	bool ready, running, stop;
} hog;

/* the other one */
static struct {
	pthread_t thread;
	int tid;
	bool go;
} preempted;

/* The scheduler leaves tasks with a lower one of these priorities no time. */
static void run_on(int cpu, int priority)
{
	struct sched_param prio = { .sched_priority = priority };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	ASSERT_OK(pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus), "affinity");
	ASSERT_OK(pthread_setschedparam(pthread_self(), SCHED_FIFO, &prio), "SCHED_FIFO");
}

static bool is_set(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_SEQ_CST);
}

static void set(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_SEQ_CST);
}

static bool wait_set(const bool *flag, const char *name)
{
	int i;

	for (i = 0; i < WAIT_STEPS && !is_set(flag); i++)
		usleep(WAIT_STEP_US);
	return ASSERT_LT(i, WAIT_STEPS, name);
}

/* Each sample is a header and nothing else. */
static void *hog_cpu(void *arg)
{
	struct pollfd hit = { .fd = hog.perf_fd, .events = POLLIN };

	run_on(HOG_CPU, 2);
	set(&hog.ready);
	while (__atomic_load_n(&hog.page->data_head, __ATOMIC_SEQ_CST) <
	       hog.nth * sizeof(struct perf_event_header)) {
		/* or the other one has ended */
		if (poll(&hit, 1, ASK_MS) != 1 || !(hit.revents & POLLIN))
			return NULL;
	}
	set(&hog.running);
	while (!is_set(&hog.stop))
		;
	return NULL;
}

static void *call_preempted(void *arg)
{
	run_on(HOG_CPU, 1);
	preempted.tid = sys_gettid();
	while (!is_set(&preempted.go))
		usleep(WAIT_STEP_US);
	return is_set(&hog.stop) ? NULL : call_once(NULL);
}

static bool set_breakpoint(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_BREAKPOINT,
		.bp_type = HW_BREAKPOINT_X,
		.bp_len = sizeof(long),
		.sample_period = 1,
		.wakeup_events = 1,
		.exclude_user = 1,
	};
	unsigned long long addr;
	void *page;

	if (!ASSERT_OK(kallsyms_find("__bpf_prog_enter_sleepable_recur", &addr), "symbol"))
		return false;
	attr.bp_addr = addr;
	hog.perf_fd = syscall(__NR_perf_event_open, &attr, preempted.tid, -1, -1,
			      PERF_FLAG_FD_CLOEXEC);
	if (!ASSERT_OK_FD(hog.perf_fd, "breakpoint"))
		return false;
	page = mmap(NULL, 2 * getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, hog.perf_fd, 0);
	if (!ASSERT_NEQ(page, MAP_FAILED, "mmap"))
		return false;
	hog.page = page;
	return true;
}

/* The test may have failed with the other one asleep. */
static void hog_end(int uffd)
{
	struct uffdio_zeropage zero = {
		.range = {
			.start = (unsigned long)skel->bss->sleep_addr,
			.len = getpagesize(),
		},
	};
	int i;

	set(&hog.stop);
	set(&preempted.go);
	for (i = 0; i < NR_PAGES; i++) {
		ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
		zero.range.start += getpagesize();
	}
	pthread_join(preempted.thread, NULL);
	if (hog.thread)
		pthread_join(hog.thread, NULL);
	if (hog.page)
		munmap(hog.page, 2 * getpagesize());
	if (hog.perf_fd >= 0)
		close(hog.perf_fd);
}

static bool hog_begin(int uffd, int nth)
{
	hog = (struct hog) { .nth = nth, .perf_fd = -1 };
	memset(&preempted, 0, sizeof(preempted));
	if (!ASSERT_OK(pthread_create(&preempted.thread, NULL, call_preempted, NULL), "thread"))
		return false;
	while (!__atomic_load_n(&preempted.tid, __ATOMIC_SEQ_CST))
		usleep(WAIT_STEP_US);
	if (!set_breakpoint() ||
	    !ASSERT_OK(pthread_create(&hog.thread, NULL, hog_cpu, NULL), "thread") ||
	    !wait_set(&hog.ready, "ready")) {
		hog_end(uffd);
		return false;
	}
	set(&preempted.go);
	return true;
}

/* RCU tasks: what an instance of the function tracer waits for that ends */
static void sync_rcu_tasks(void)
{
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/instances/tracing_multi", multi_tracefs());
	ASSERT_OK(mkdir(dir, 0700), "mkdir");
	ASSERT_TRUE(multi_write_file(dir, "set_ftrace_filter", "bpf_fentry_test2\n"), "filter");
	ASSERT_TRUE(multi_write_file(dir, "current_tracer", "function"), "function tracer");
	ASSERT_TRUE(multi_write_file(dir, "current_tracer", "nop"), "no tracer");
	ASSERT_OK(rmdir(dir), "rmdir");
}

static int trace_synced(void)
{
	return multi_lines("/proc/kallsyms", " bpf_prog_", "_sync_trace");
}

/* RCU tasks trace: what a sleepable program is freed after */
static void sync_rcu_tasks_trace(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE);
	int fd;

	fd = multi_load_named(BPF_PROG_TYPE_SYSCALL, "sync_trace", &opts);
	if (!ASSERT_OK_FD(fd, "sleepable program"))
		return;
	ASSERT_EQ(trace_synced(), 1, "its symbol");
	close(fd);
	multi_wait_for(trace_synced, 0, "symbol goes");
}

static int sleep_progs(void)
{
	char symbol[32];

	snprintf(symbol, sizeof(symbol), "_%s", bpf_program__name(sleeper));
	return multi_lines("/proc/kallsyms", " bpf_prog_", symbol);
}

static int sleep_single_progs(void)
{
	return multi_lines("/proc/kallsyms", " bpf_prog_", "_sleep_single_entry");
}

static void check_kept(bool second)
{
	sync_rcu_tasks();
	sync_rcu_tasks();
	kern_sync_rcu();
	/* where two are detached, there was another image in between */
	ASSERT_GE(sleep_images(), 1, "image with a task in it");
	ASSERT_EQ(sleep_progs(), 1, "program");
	if (second)
		ASSERT_EQ(sleep_single_progs(), 1, "program of the single link");
}

/* A task is preempted on the way to the program, and sleeps in it after RCU tasks trace has
 * found no reader.
 */
static void preempt_first(int uffd)
{
	if (!hog_begin(uffd, 1))
		return;
	if (wait_set(&hog.running, "preempted")) {
		ASSERT_EQ(skel->bss->before_sleep, 0, "on the way");
		detach_sleeping();
		sync_rcu_tasks_trace();
	}
	set(&hog.stop);
	if (wait_asleep(uffd, 0)) {
		check_kept(false);
		wake(uffd, 0);
	}
	hog_end(uffd);
	check_went_on(1);
}

/* It sleeps in the first program, whose end RCU tasks trace waits for, and is preempted on the
 * way to the second one.
 */
static void preempt_second(int uffd)
{
	if (!hog_begin(uffd, 2))
		return;
	if (wait_asleep(uffd, 0)) {
		detach_sleeping();
		detach_single_sleeping();
		sync_rcu_tasks();
		wake(uffd, 0);
		if (wait_set(&hog.running, "preempted")) {
			ASSERT_EQ(skel->bss->after_sleep, 1, "out of the first");
			sync_rcu_tasks_trace();
		}
	}
	set(&hog.stop);
	if (wait_asleep(uffd, 1)) {
		check_kept(true);
		wake(uffd, 1);
	}
	hog_end(uffd);
	check_went_on(2);
}

static void test_preempted(struct bpf_program *prog, bool second)
{
	struct utsname name;
	int uffd;

	/* where tasks can be preempted anywhere, and what interrupts do is not left to tasks */
	uname(&name);
	if (sysconf(_SC_NPROCESSORS_ONLN) <= HOG_CPU || !strstr(name.version, " PREEMPT ")) {
		test__skip();
		return;
	}
	sleeper = prog;
	/* those of earlier subtests are gone */
	if (!multi_wait_for(sleep_progs, 1, "programs") ||
	    !multi_wait_for(sleep_single_progs, 1, "programs"))
		return;
	uffd = sleep_begin();
	if (uffd < 0)
		return;
	if (attach_sleeping() && (!second || attach_single_sleeping())) {
		if (second)
			preempt_second(uffd);
		else
			preempt_first(uffd);
	}
	multi_wait_for(sleep_images, 0, "image is freed");
	multi_wait_for(sleep_progs, 0, "program is freed");
	if (second)
		multi_wait_for(sleep_single_progs, 0, "program is freed");
	sleep_end(uffd);
}
#else
/* Breakpoints of perf in the kernel are not that exact everywhere. */
static void test_preempted(struct bpf_program *prog, bool second)
{
	test__skip();
}
#endif

static void test_sleepable_preempted(void)
{
	test_preempted(skel->progs.sleep_entry, false);
}

/* Its image is skipped at the end of functions, but the task has come from there already. */
static void test_sleepable_fexit_preempted(void)
{
	test_preempted(skel->progs.sleep_exit, false);
}

static void test_sleepable_second_preempted(void)
{
	test_preempted(skel->progs.sleep_entry, true);
}

static bool setup_each(void)
{
	skel = tracing_multi_stress__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load");
}

static void teardown_each(void)
{
	tracing_multi_stress__destroy(skel);
	skel = NULL;
}

static const struct multi_subtest subtests[] = {
	{ "counts_between_toggles", test_counts_between_toggles },
	{ "counts_while_toggling", test_counts_while_toggling },
	{ "counts_with_tracer", test_counts_with_tracer },
	{ "counts_while_tracer_toggles", test_counts_while_tracer_toggles },
	{ "kill", test_kill },
	{ "kill_checking", test_kill_checking },
	{ "kill_attaching", test_kill_attaching },
	{ "sleep", test_sleep },
	{ "sleep_own_image", test_sleep_own_image },
	{ "sleep_skipping", test_sleep_skipping },
	{ "sleepable_program", test_sleepable_program },
	{ "sleepable_single", test_sleepable_single },
	{ "sleepable_patched", test_sleepable_patched },
	{ "sleepable_preempted", test_sleepable_preempted },
	{ "sleepable_fexit_preempted", test_sleepable_fexit_preempted },
	{ "sleepable_second_preempted", test_sleepable_second_preempted },
};

static const struct multi_suite suite = {
	.subtests = subtests,
	.cnt = ARRAY_SIZE(subtests),
	.setup = multi_init,
	.teardown = multi_fini,
	.setup_each = setup_each,
	.teardown_each = teardown_each,
};

void serial_test_tracing_multi_link_stress(void)
{
	multi_run_suite(&suite);
}
