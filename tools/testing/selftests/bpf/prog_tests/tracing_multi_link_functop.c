// SPDX-License-Identifier: GPL-2.0
/* functop (tools/bpf/functop), whose numbers must be those of calls that are
 * made here. functop tells in a line on stderr that it counts from now on; then
 * the calls are made, and SIGINT makes it show the table.
 */
#include <test_progs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "cap_helpers.h"
#include "tracing_multi_helpers.h"

#define ARGS_MAX	16
#define OUTPUT_MAX	(256 * 1024)
#define DROPS_MAX	16

/* How often bpf_testmod's functions are called; every third time with an error */
#define CALLS		30
#define ERRORS		10
#define NESTED		5

#define TESTMOD		"bpf_testmod:bpf_testmod_functop_"

struct functop {
	pid_t pid;
	int out_fd;
	int err_fd;
	size_t out_len;
	size_t err_len;
	int status;
	char out[OUTPUT_MAX];
	char err[4096];
};

static struct functop top;

/* What is started as functop */
static const char *functop_path = "./functop";

/* Run in functop's process before functop */
static void (*functop_setup)(void);

/* Makes room by dropping the first half, but for the end of its last line */
static void drop_half(char *buf, size_t *len)
{
	char *rest = strchr(buf + *len / 2, '\n');

	rest = rest ? rest + 1 : buf + *len;
	*len -= rest - buf;
	memmove(buf, rest, *len + 1);
}

/* Reads on until what was read has that text, or to the end without one. How many
 * tables there are in an output depends on how fast we are; the last are kept.
 */
static bool read_until(int fd, char *buf, size_t size, size_t *len, const char *text)
{
	int drops = 0;
	ssize_t n;

	while (!text || !strstr(buf, text)) {
		if (*len == size - 1) {
			/* it may go on for ever, without this text */
			if (text && ++drops > DROPS_MAX)
				return false;
			drop_half(buf, len);
		}
		n = read(fd, buf + *len, size - 1 - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !text;
		*len += n;
		buf[*len] = 0;
	}
	return true;
}

static bool functop_start(const char *arg, va_list args)
{
	char *argv[ARGS_MAX] = { (char *)functop_path };
	int out[2], err[2], i = 1;

	for (; arg && i < ARGS_MAX - 1; arg = va_arg(args, const char *))
		argv[i++] = (char *)arg;

	memset(&top, 0, sizeof(top));
	if (!ASSERT_OK(pipe(out), "pipe"))
		return false;
	if (!ASSERT_OK(pipe(err), "pipe")) {
		close(out[0]);
		close(out[1]);
		return false;
	}

	fflush(stdout);
	top.pid = fork();
	if (!top.pid) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		close(err[0]);
		close(err[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (functop_setup)
			functop_setup();
		execv(argv[0], argv);
		_exit(126);
	}

	close(out[1]);
	close(err[1]);
	top.out_fd = out[0];
	top.err_fd = err[0];
	if (ASSERT_GE(top.pid, 0, "fork"))
		return true;
	close(out[0]);
	close(err[0]);
	return false;
}

static bool functop_start_args(const char *arg, ...)
{
	va_list args;
	bool ok;

	va_start(args, arg);
	ok = functop_start(arg, args);
	va_end(args);
	return ok;
}

/* Waits for functop's end, and has its output in top */
static void functop_wait(void)
{
	read_until(top.out_fd, top.out, sizeof(top.out), &top.out_len, NULL);
	read_until(top.err_fd, top.err, sizeof(top.err), &top.err_len, NULL);
	close(top.out_fd);
	close(top.err_fd);
	if (!ASSERT_EQ(waitpid(top.pid, &top.status, 0), top.pid, "waitpid"))
		return;
	if (env_verbosity > VERBOSE_NONE)
		printf("%s%s", top.err, top.out);
}

static bool functop_end(void)
{
	kill(top.pid, SIGINT);
	functop_wait();
	return ASSERT_OK(top.status, "status");
}

/* Waits until functop counts */
static bool functop_started(void)
{
	if (ASSERT_TRUE(read_until(top.err_fd, top.err, sizeof(top.err), &top.err_len,
				   "attached to"), "counts"))
		return true;
	functop_wait();
	printf("%s", top.err);
	return false;
}

/* Starts functop, which counts when this returns */
static bool functop_counts(const char *arg, ...)
{
	va_list args;
	bool ok;

	va_start(args, arg);
	ok = functop_start(arg, args);
	va_end(args);
	if (!ok)
		return false;
	return functop_started();
}

/* Runs functop to its end; it must fail with that status, and say why */
static void functop_fails(int status, const char *why, const char *arg, ...)
{
	va_list args;
	bool ok;

	va_start(args, arg);
	ok = functop_start(arg, args);
	va_end(args);
	if (!ok)
		return;

	functop_wait();
	ASSERT_TRUE(WIFEXITED(top.status), why);
	ASSERT_EQ(WEXITSTATUS(top.status), status, why);
	ASSERT_HAS_SUBSTR(top.err, why, why);
	ASSERT_STREQ(top.out, "", why);
}

static const char *own_pid(void)
{
	static char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	return pid;
}

/* One call of each function of bpf_testmod, NESTED of the one that calls itself */
static bool call_testmod(int times)
{
	char buf[256];
	int i, fd;

	fd = open("/sys/kernel/bpf_testmod", O_RDONLY);
	if (!ASSERT_OK_FD(fd, "bpf_testmod"))
		return false;
	/* fails, after it called the functions */
	for (i = 0; i < times; i++)
		ASSERT_EQ(pread(fd, buf, sizeof(buf), i), -1, "read");
	close(fd);
	return true;
}

/* JSON is searched, not parsed: functop prints members in a fixed order */
static long long json_num(const char *json, const char *key)
{
	char text[64];
	const char *p;

	snprintf(text, sizeof(text), "\"%s\":", key);
	p = json ? strstr(json, text) : NULL;
	return p && p[strlen(text)] != 'n' ? atoll(p + strlen(text)) : -1;
}

static const char *json_func(const char *json, const char *module, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), module ? "{\"name\":\"%s\",\"module\":\"%s\"," :
		 "{\"name\":\"%s\",\"module\":null,", name, module);
	return strstr(json, text);
}

static const char *json_testmod(const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "bpf_testmod_functop_%s", name);
	return json_func(top.out, "bpf_testmod", full);
}

/* The sum of all numbers of that name in a function's array */
static long long json_sum(const char *func, const char *array, const char *key)
{
	char text[64];
	const char *p, *end;
	long long sum = 0;

	snprintf(text, sizeof(text), "\"%s\":[", array);
	p = func ? strstr(func, text) : NULL;
	end = p ? strchr(p, ']') : NULL;
	if (!ASSERT_OK_PTR(end, array))
		return -1;

	snprintf(text, sizeof(text), "\"%s\":", key);
	while ((p = strstr(p, text)) && p < end) {
		p += strlen(text);
		sum += atoll(p);
	}
	return sum;
}

/* What the slots tell of the calls: each spans a power of two, the longest call is in
 * the last one, the first one isn't above the average, and all together they can make
 * up the total time.
 */
static void check_hist(const char *func, const char *name)
{
	long long total = json_num(func, "total_ns"), low = 0, high = 0;
	unsigned long long min = 0, max = 0, calls, last = 0;
	const char *p = func ? strstr(func, "\"hist\":[") : NULL;
	int len, slots = 0;

	if (!ASSERT_OK_PTR(p, name))
		return;
	p += strlen("\"hist\":[");
	while (sscanf(p, "{\"min_ns\":%llu,\"max_ns\":%llu,\"calls\":%llu}%n",
		      &min, &max, &calls, &len) == 3) {
		ASSERT_EQ(max, min ? 2 * min - 1 : 1, "bounds");
		ASSERT_GT(max, last, "ascending");
		ASSERT_GT(calls, 0, "no empty slot");
		if (!slots++)
			ASSERT_LE(min, json_num(func, "avg_ns"), "first slot");
		low += min * calls;
		high += max * calls;
		last = max;
		p += len;
		p += *p == ',';
	}
	ASSERT_GT(slots, 0, name);
	ASSERT_EQ(*p, ']', name);
	ASSERT_LE(min, json_num(func, "max_ns"), "last slot");
	ASSERT_GE(max, json_num(func, "max_ns"), "last slot");
	ASSERT_LE(low, total, "total time");
	ASSERT_GE(high, total, "total time");
}

/* Functions come in the order of their total time, longest first. */
static void check_order(int exp_functions)
{
	const char *p = strstr(top.out, "\"functions\":[");
	long long total, before = LLONG_MAX;
	int functions = 0;

	while (p && (p = strstr(p, "{\"name\":"))) {
		total = json_num(p, "total_ns");
		ASSERT_LE(total, before, "order");
		before = total;
		functions++;
		p++;
	}
	ASSERT_EQ(functions, exp_functions, "functions");
}

static void check_json(const char *args)
{
	char cmd[128];
	int status;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "python3 -m json.tool %s >/dev/null", args);
	f = popen(cmd, "w");
	if (!ASSERT_OK_PTR(f, cmd))
		return;
	fputs(top.out, f);
	status = pclose(f);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		printf("there is no python3 to check JSON with\n");
	else
		ASSERT_OK(status, "JSON");
}

static void check_times(const char *func, const char *name)
{
	long long total = json_num(func, "total_ns"), max = json_num(func, "max_ns");
	long long avg = json_num(func, "avg_ns"), returns = json_num(func, "returns");

	ASSERT_GT(max, 0, name);
	ASSERT_GE(max, avg, name);
	ASSERT_LE(max, total, name);
	ASSERT_EQ(avg, returns ? total / returns : -1, name);
	ASSERT_EQ(json_sum(func, "hist", "calls"), returns, name);
	check_hist(func, name);
}

static void check_counts(const char *name, int calls, int errors)
{
	const char *func = json_testmod(name);

	if (!ASSERT_OK_PTR(func, name))
		return;
	ASSERT_EQ(json_num(func, "calls"), calls, name);
	ASSERT_EQ(json_num(func, "returns"), calls, name);
	ASSERT_EQ(json_num(func, "errors"), errors, name);
	ASSERT_EQ(json_sum(func, "returned", "calls"), errors < 0 ? 0 : errors, name);
	check_times(func, name);
}

/* Calls and errors of each kind of function, times, histograms */
static void test_counts(void)
{
	if (!functop_counts("--json", "--ret", "--hist", "-p", own_pid(), TESTMOD "*", NULL))
		return;
	call_testmod(CALLS);
	if (!functop_end())
		return;

	check_counts("nest", CALLS * NESTED, 0);
	check_counts("int", CALLS, ERRORS);
	check_counts("long", CALLS, ERRORS);
	check_counts("char", CALLS, ERRORS);
	check_counts("s64", CALLS, ERRORS);
	check_counts("ptr", CALLS, ERRORS);
	check_counts("uint", CALLS, -1);
	check_counts("bool", CALLS, -1);
	check_counts("void", CALLS, -1);
	ASSERT_EQ(json_num(top.out, "called"), 9, "called");
	ASSERT_EQ(json_num(top.out, "calls"), (8 + NESTED) * CALLS, "calls");
	ASSERT_EQ(json_num(top.out, "missed"), 0, "missed");
	ASSERT_EQ(json_num(top.out, "untimed"), 0, "untimed");
	ASSERT_EQ(json_num(top.out, "no_room"), 0, "no_room");
	ASSERT_EQ(json_num(top.out, "errors_not_told_apart"), 0, "errors_not_told_apart");
	check_order(9);
	check_json("");

	ASSERT_HAS_SUBSTR(json_testmod("int") ?: "", "\"returned\":[{\"error\":-11,\"calls\":10}]",
			  "int");
	/* sorted by number of calls, then by error */
	ASSERT_HAS_SUBSTR(json_testmod("long") ?: "",
			  "\"returned\":[{\"error\":-2,\"calls\":5},{\"error\":-12,\"calls\":5}]",
			  "long");
	ASSERT_HAS_SUBSTR(json_testmod("s64") ?: "", "\"returned\":[{\"error\":null,\"calls\":10}]",
			  "s64");
}

/* Only what is asked for is in the output, only that process is counted */
static void test_plain_json(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getppid());
	if (!functop_counts("--json", "-m", "bpf_testmod", "-p", pid,
			    "bpf_testmod_functop_*", NULL))
		return;
	call_testmod(CALLS);
	if (!functop_end())
		return;
	ASSERT_EQ(json_num(top.out, "matched"), 9, "matched");
	ASSERT_EQ(json_num(top.out, "calls"), 0, "another process");
	check_json("");

	if (!functop_counts("-m", "bpf_testmod", "-p", own_pid(), "--json",
			    "bpf_testmod_functop_*", NULL))
		return;
	call_testmod(1);
	if (!functop_end())
		return;
	ASSERT_EQ(json_num(top.out, "calls"), 8 + NESTED, "calls");
	ASSERT_NULL(strstr(top.out, "hist"), "no histogram");
	ASSERT_NULL(strstr(top.out, "returned"), "no errors");
	check_json("");
}

/* Globs that leave something out, or stand for all modules */
static void test_patterns(void)
{
	if (!functop_counts("--json", "-p", own_pid(), "-m", "bpf_testmod",
			    "bpf_testmod_functop_*", "!bpf_testmod_functop_nest", NULL))
		return;
	call_testmod(1);
	if (!functop_end())
		return;
	ASSERT_EQ(json_num(top.out, "calls"), 8, "all but one");
	ASSERT_NULL(json_testmod("nest"), "left out");

	if (!functop_counts("--json", "-p", own_pid(), "*:bpf_testmod_functop_*",
			    "!bpf_testmod_functop_nest", "!bpf_testmod:*_functop_int", NULL))
		return;
	call_testmod(1);
	if (!functop_end())
		return;
	ASSERT_EQ(json_num(top.out, "calls"), 7, "all modules, but two");
	ASSERT_OK_PTR(json_testmod("void"), "function");

	/* each of them is the module's */
	if (!functop_counts("--json", "-p", own_pid(), "-m", "bpf_testmod",
			    "bpf_testmod_functop_void,bpf_testmod_functop_lon?", NULL))
		return;
	call_testmod(1);
	if (!functop_end())
		return;
	ASSERT_EQ(json_num(top.out, "calls"), 2, "commas");
	ASSERT_OK_PTR(json_testmod("void"), "first");
	ASSERT_OK_PTR(json_testmod("long"), "second");

	functop_fails(1, "only tells which functions not to take", "!vfs_*", NULL);
	functop_fails(1, "found no function", "vfs_read*", "!vfs_*", NULL);
}

/* A line of the table that starts with the name */
static const char *table_line(const char *name)
{
	const char *line = top.out;

	while (line && strncmp(line, name, strlen(name))) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return line ? line + strlen(name) : NULL;
}

static void check_line(const char *name, int exp_calls, int exp_errors)
{
	double avg = 0, max = 0, total = 0;
	int n, calls = 0, errors = 0;
	const char *line;

	line = table_line(name);
	if (!ASSERT_OK_PTR(line, name))
		return;
	n = sscanf(line, " %d %d %lf %lf %lf\n", &calls, &errors, &avg, &max, &total);
	ASSERT_EQ(n, 5, name);
	ASSERT_EQ(calls, exp_calls, name);
	ASSERT_EQ(errors, exp_errors, name);
	ASSERT_TRUE(avg > 0 && avg <= max, name);
	ASSERT_TRUE(max / 1000 <= total + 0.001, name);
}

static void test_table(void)
{
	char summary[128], dash = 0, star = 0;
	const char *hist, *err;
	int calls = 0;

	if (!functop_counts("-rH", "-p", own_pid(), TESTMOD "*", NULL))
		return;
	call_testmod(CALLS);
	if (!functop_end())
		return;

	check_line("bpf_testmod_functop_int [bpf_testmod]", CALLS, ERRORS);
	check_line("bpf_testmod_functop_nest [bpf_testmod]", NESTED * CALLS, 0);

	err = table_line("    -11 Resource temporarily unavailable");
	if (ASSERT_OK_PTR(err, "error"))
		ASSERT_EQ(atoi(err), ERRORS, "error's calls");

	/* no errors, but times and a histogram */
	hist = table_line("bpf_testmod_functop_void [bpf_testmod]");
	if (ASSERT_OK_PTR(hist, "void"))
		ASSERT_EQ(sscanf(hist, " %d %c", &calls, &dash), 2, "void");
	ASSERT_EQ(calls, CALLS, "void");
	ASSERT_EQ(dash, '-', "void");
	hist = hist ? strchr(hist, '|') : NULL;
	if (ASSERT_OK_PTR(hist, "histogram"))
		star = strchr(hist, '*') ? '*' : 0;
	ASSERT_EQ(star, '*', "histogram");

	snprintf(summary, sizeof(summary), "\n9 of 9 functions called, %d calls\n",
		 (8 + NESTED) * CALLS);
	ASSERT_HAS_SUBSTR(top.out, summary, "summary");
}

/* A table each interval, counted from the start on, and the last on SIGINT */
static void test_interval(void)
{
	const char *line, *p = top.out;
	char last[64];
	int tables = 0;

	if (!functop_counts("-i", "0.02", "-p", own_pid(), TESTMOD "*", NULL))
		return;
	call_testmod(CALLS);
	/* the first table after these calls, and one more after others */
	snprintf(last, sizeof(last), ", %d calls\n", (8 + NESTED) * CALLS);
	ASSERT_TRUE(read_until(top.out_fd, top.out, sizeof(top.out), &top.out_len, last), last);
	call_testmod(1);
	snprintf(last, sizeof(last), ", %d calls\n", (8 + NESTED) * (CALLS + 1));
	ASSERT_TRUE(read_until(top.out_fd, top.out, sizeof(top.out), &top.out_len, last), last);
	if (!functop_end())
		return;

	while ((p = strstr(p, "FUNCTION "))) {
		tables++;
		p++;
	}
	ASSERT_GE(tables, 3, "tables");
	line = strstr(top.out, "all of ");
	if (!ASSERT_OK_PTR(line, "final table"))
		return;
	ASSERT_HAS_SUBSTR(line, last, "final table");
	ASSERT_HAS_SUBSTR(line, "bpf_testmod_functop_ptr [bpf_testmod]", "final table");
}

static void test_interval_json(void)
{
	char first[64], last[64];
	const char *p;
	int lines = 0;

	if (!functop_counts("--interval=0.02", "--json", "--pid", own_pid(), TESTMOD "*", NULL))
		return;
	snprintf(first, sizeof(first), "\"calls\":%d,\"missed\"", 8 + NESTED);
	call_testmod(1);
	ASSERT_TRUE(read_until(top.out_fd, top.out, sizeof(top.out), &top.out_len, first), first);
	call_testmod(1);
	if (!functop_end())
		return;

	snprintf(last, sizeof(last), "\"calls\":%d,\"missed\"", 2 * (8 + NESTED));
	for (p = top.out; (p = strchr(p, '\n')); p++)
		lines++;
	ASSERT_GE(lines, 2, "lines");
	ASSERT_HAS_SUBSTR(top.out, last, "final line");
	check_json("--json-lines");
}

#define CLEAR		"\033[H\033[2J"
#define TTY_ROWS	12

/* The two ends of the terminal that functop has */
static int tty_master = -1;
static int tty_slave = -1;

static bool tty_open(unsigned short cols)
{
	const struct winsize size = { .ws_row = TTY_ROWS, .ws_col = cols };
	int unlock = 0;

	tty_master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (!ASSERT_OK_FD(tty_master, "/dev/ptmx"))
		return false;
	if (ASSERT_OK(ioctl(tty_master, TIOCSPTLCK, &unlock), "unlock")) {
		tty_slave = ioctl(tty_master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (ASSERT_OK_FD(tty_slave, "slave") &&
		    ASSERT_OK(ioctl(tty_slave, TIOCSWINSZ, &size), "window"))
			return true;
	}
	if (tty_slave >= 0)
		close(tty_slave);
	close(tty_master);
	return false;
}

/* In functop's process: it's the one that the terminal's Ctrl-C is for */
static void tty_setup(void)
{
	setsid();
	ioctl(tty_slave, TIOCSCTTY, 0);
	dup2(tty_slave, STDIN_FILENO);
	dup2(tty_slave, STDOUT_FILENO);
}

/* Starts functop on a terminal, and has its output read from there */
static bool functop_tty_counts(unsigned short cols, const char *opts)
{
	bool ok;

	if (!tty_open(cols))
		return false;
	functop_setup = tty_setup;
	ok = functop_start_args(opts, "-p", own_pid(), TESTMOD "*", NULL);
	functop_setup = NULL;
	close(tty_slave);
	tty_slave = -1;
	if (!ok) {
		close(tty_master);
		return false;
	}
	close(top.out_fd);
	top.out_fd = tty_master;
	return functop_started();
}

static bool functop_tty_end(void)
{
	/* Ctrl-C */
	ASSERT_EQ(write(tty_master, "\003", 1), 1, "write");
	functop_wait();
	return ASSERT_OK(top.status, "status");
}

/* The terminal sends the signal before it shows "^C": that may come late. */
static void drop_echo(char *text)
{
	char *echo = strstr(text, "^C");

	if (echo)
		memmove(echo, echo + 2, strlen(echo + 2) + 1);
}

/* The "^C" that the terminal shows isn't in the first line of what follows. */
static void test_terminal(void)
{
	char summary[64];

	snprintf(summary, sizeof(summary), "\n9 of 9 functions called, %d calls\r\n",
		 (8 + NESTED) * CALLS);
	if (!functop_tty_counts(100, "-rH"))
		return;
	call_testmod(CALLS);
	if (functop_tty_end()) {
		drop_echo(top.out);
		ASSERT_HAS_SUBSTR(top.out, "\nFUNCTION ", "header");
		ASSERT_HAS_SUBSTR(top.out, summary, "summary");
	}

	if (!functop_tty_counts(100, "--json"))
		return;
	call_testmod(1);
	if (functop_tty_end()) {
		drop_echo(top.out);
		ASSERT_HAS_SUBSTR(top.out, "\n{\"secs\":", "object");
	}
}

/* How many rows of the terminal a text takes */
static int tty_rows_of(const char *text, int cols)
{
	int rows = 0, len;
	const char *end;

	while (*text) {
		end = strstr(text, "\r\n");
		len = end ? end - text : strlen(text);
		rows += len ? (len + cols - 1) / cols : 1;
		text += end ? len + 2 : len;
	}
	return rows;
}

static char *last_screen(void)
{
	char *p = top.out, *screen = NULL;

	while ((p = strstr(p, CLEAR))) {
		p += strlen(CLEAR);
		screen = p;
	}
	return screen;
}

/* min_rows: as long lines have no room in what is left */
static void check_screen(int cols, int min_rows, const char *last)
{
	char *screen, *end;
	int rows;

	if (!ASSERT_TRUE(read_until(top.out_fd, top.out, sizeof(top.out), &top.out_len, last),
			 last))
		return;
	/* only to the end of this one */
	end = strstr(top.out, last) + strlen(last);
	*end = 0;
	top.out_len = end - top.out;
	screen = last_screen();
	if (!ASSERT_OK_PTR(screen, "cleared"))
		return;
	ASSERT_STRNEQ(screen, "FUNCTION ", strlen("FUNCTION "), "header");
	rows = tty_rows_of(screen, cols);
	/* the cursor is in the last one */
	ASSERT_LE(rows, TTY_ROWS - 1, "rows");
	ASSERT_GE(rows, min_rows, "rows");
}

/* A table that is shown again and again has no more lines than there is room for,
 * with histograms and errors; the last one has all.
 */
static void small_window(int cols, int min_rows)
{
	char last[64], *screen;

	if (!functop_tty_counts(cols, "-rHi0.02"))
		return;
	call_testmod(CALLS);
	snprintf(last, sizeof(last), ", %d calls\r\n", (8 + NESTED) * CALLS);
	check_screen(cols, min_rows, last);
	if (!functop_tty_end())
		return;

	drop_echo(top.out);
	screen = last_screen();
	if (!ASSERT_OK_PTR(screen, "final table"))
		return;
	ASSERT_STRNEQ(screen, "FUNCTION ", strlen("FUNCTION "), "header");
	ASSERT_GT(tty_rows_of(screen, cols), TTY_ROWS, "rows");
	ASSERT_HAS_SUBSTR(screen, "\nbpf_testmod_functop_void [bpf_testmod]", "final table");
	ASSERT_HAS_SUBSTR(screen, "|\r\n", "histogram");
	ASSERT_HAS_SUBSTR(screen, last, "summary");
}

static void test_small_window(void)
{
	small_window(100, TTY_ROWS - 1);
	/* most lines of the table take two rows each */
	small_window(60, TTY_ROWS - 2);
}

/* Both programs use a hash map, whose functions are traced here, too: they are
 * missed once in each run of functop_entry and of functop_exit.
 */
static void test_missed(void)
{
	const char *func;
	char summary[128];

	if (!functop_counts("--json", "-p", own_pid(), TESTMOD "void",
			    "htab_map_update_elem", "htab_map_delete_elem", NULL))
		return;
	call_testmod(CALLS);
	if (!functop_end())
		return;

	ASSERT_EQ(json_num(top.out, "matched"), 3, "matched");
	ASSERT_EQ(json_num(top.out, "called"), 1, "called");
	ASSERT_EQ(json_num(top.out, "calls"), CALLS, "calls");
	ASSERT_EQ(json_num(top.out, "missed"), 2 * CALLS, "missed");
	ASSERT_EQ(json_num(top.out, "untimed"), 0, "untimed");
	func = json_testmod("void");
	ASSERT_EQ(json_num(func, "returns"), CALLS, "returns");

	if (!functop_counts("-p", own_pid(), TESTMOD "void", "htab_map_update_elem",
			    "htab_map_delete_elem", NULL))
		return;
	call_testmod(CALLS);
	if (!functop_end())
		return;
	snprintf(summary, sizeof(summary),
		 "\n1 of 3 functions called, %d calls, %d missed (recursion, of all processes)\n",
		 CALLS, 2 * CALLS);
	ASSERT_HAS_SUBSTR(top.out, summary, "summary");
}

/* Reads from the pipe byte after byte, until it is killed */
static pid_t start_reader(int fds[2])
{
	pid_t pid;
	char c;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;

	close(fds[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(fds[0], &c, 1) == 1)
		;
	_exit(0);
}

/* Waits until the reader has read all and sleeps in the next call */
static bool wait_reader(pid_t pid, int fd)
{
	char path[64], state = 0;
	int left;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		usleep(1000);
		if (ioctl(fd, FIONREAD, &left))
			return false;
		f = fopen(path, "r");
		if (!f)
			return false;
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		fclose(f);
	} while (state && (left || state != 'S'));
	return state == 'S';
}

/* A call that began before functop did isn't counted, and its return neither. One
 * that hasn't returned at the end is counted, and has no time.
 */
static void test_inside(void)
{
	const char *func;
	char pid_arg[16];
	int fds[2], i;
	pid_t pid;

	if (!ASSERT_OK(pipe(fds), "pipe"))
		return;
	pid = start_reader(fds);
	if (!ASSERT_GT(pid, 0, "fork"))
		goto close_fds;
	snprintf(pid_arg, sizeof(pid_arg), "%d", pid);
	if (!ASSERT_TRUE(wait_reader(pid, fds[1]), "reader sleeps"))
		goto kill_reader;

	if (!functop_counts("--json", "--hist", "-p", pid_arg, "pipe_read", NULL))
		goto kill_reader;
	/* the call that it's in, and then those that are counted */
	for (i = 0; i < 1 + CALLS; i++)
		ASSERT_EQ(write(fds[1], "x", 1), 1, "write");
	ASSERT_TRUE(wait_reader(pid, fds[1]), "reader sleeps again");
	if (!functop_end())
		goto kill_reader;

	func = json_func(top.out, NULL, "pipe_read");
	ASSERT_EQ(json_num(func, "calls"), CALLS + 1, "calls");
	ASSERT_EQ(json_num(func, "returns"), CALLS, "returns");
	ASSERT_EQ(json_num(top.out, "untimed"), 1, "untimed");
	check_times(func, "pipe_read");

kill_reader:
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
close_fds:
	close(fds[0]);
	close(fds[1]);
}

/* With a command: its calls, its end, that it goes with functop, its failure */
static void test_command(void)
{
	if (!functop_counts("--json", "ksys_read", "--", "/bin/sh", "-c",
			    "trap '' TERM; echo running; while :; do sleep 1; done", NULL))
		return;
	ASSERT_TRUE(read_until(top.out_fd, top.out, sizeof(top.out), &top.out_len, "running\n"),
		    "running");
	/* ends a command that doesn't want to */
	functop_end();

	if (!functop_counts("--json", "ksys_read", "--", "/bin/cat", "/proc/self/status", NULL))
		return;
	functop_wait();
	ASSERT_OK(top.status, "status");
	ASSERT_HAS_SUBSTR(top.out, "Name:\tcat\n", "command's output");
	/* the file, and then its end */
	ASSERT_GE(json_num(json_func(top.out, NULL, "ksys_read"), "calls"), 2, "calls");

	if (!functop_counts("ksys_read", "--", "/bin/sh", "-c",
			    "trap 'kill $!; exit 0' TERM; sleep 60 & echo running; wait; echo outlived",
			    NULL))
		return;
	ASSERT_TRUE(read_until(top.out_fd, top.out, sizeof(top.out), &top.out_len, "running\n"),
		    "running");
	kill(top.pid, SIGKILL);
	/* until nobody can write to its output any more */
	functop_wait();
	ASSERT_EQ(WTERMSIG(top.status), SIGKILL, "killed");
	ASSERT_STREQ(top.out, "running\n", "command ends, too");

	/* what it returns is its own affair */
	if (!functop_counts("--json", "ksys_read", "--", "/bin/sh", "-c", "exit 127", NULL))
		return;
	functop_wait();
	ASSERT_OK(top.status, "status");
	ASSERT_EQ(json_num(top.out, "matched"), 1, "matched");

	if (!functop_counts("ksys_read", "--", "/no/such/command", NULL))
		return;
	functop_wait();
	ASSERT_EQ(WEXITSTATUS(top.status), 1, "no such command");
	ASSERT_HAS_SUBSTR(top.err, "can't run '/no/such/command': No such file", "no such command");
}

/* It counts for as long as asked for at least, by its own clock, and by ours (which
 * also has the time that it takes to start).
 */
static void test_duration(void)
{
	__u64 start = get_time_ns(), ms;
	double secs = 0;
	int n;

	if (!functop_counts("-d", "0.3", "--json", TESTMOD "*", NULL))
		return;
	functop_wait();
	ASSERT_OK(top.status, "status");
	ASSERT_EQ(json_num(top.out, "matched"), 9, "matched");
	n = sscanf(top.out, "{\"secs\":%lf,", &secs);
	ASSERT_EQ(n, 1, "secs");
	ms = secs * 1000 + 0.5;
	ASSERT_GE(ms, 300, "its time in ms");
	/* its time is rounded */
	ASSERT_GE((get_time_ns() - start) / 1000000 + 1, ms, "our time in ms");
}

static void test_bad_input(void)
{
	functop_fails(2, "no GLOB is given", NULL);
	functop_fails(2, "no COMMAND is given after --", "vfs_read", "--", NULL);
	functop_fails(2, "unrecognized option '--bogus'", "--bogus", "vfs_read", NULL);
	functop_fails(2, "requires an argument -- 'd'", "vfs_read", "-d", NULL);
	functop_fails(2, "'' isn't a number of seconds", "-d", "", "vfs_read", NULL);
	functop_fails(2, "'-1' isn't a number of seconds", "-d", "-1", "vfs_read", NULL);
	functop_fails(2, "'1x' isn't a number of seconds", "-d", "1x", "vfs_read", NULL);
	functop_fails(2, "'nan' isn't a number of seconds", "-i", "nan", "vfs_read", NULL);
	functop_fails(2, "'0' isn't a number of seconds", "-i", "0", "vfs_read", NULL);
	functop_fails(2, "'1e99' isn't a number of seconds", "-i", "1e99", "vfs_read", NULL);
	functop_fails(2, "'me' isn't the id of a process", "-p", "me", "vfs_read", NULL);
	functop_fails(2, "'0' isn't the id of a process", "-p", "0", "vfs_read", NULL);
	functop_fails(2, "'4294967297' isn't the id", "-p", "4294967297", "vfs_read", NULL);
	functop_fails(2, "there is no process 2147483647", "-p", "2147483647", "vfs_read", NULL);
	functop_fails(2, "module 'no_such_mod' isn't loaded", "-m", "no_such_mod", "*", NULL);
	functop_fails(2, "'../btf' isn't the name of a module", "-m", "../btf", "*", NULL);
	functop_fails(2, "names a module, and so does -m bpf_testmod",
		      "-m", "bpf_testmod", "bpf_testmod:*", NULL);
	functop_fails(2, "'bpf_testmod:*' names a module, and so does -m bpf_testmod",
		      "-m", "bpf_testmod", "bpf_testmod_*,!bpf_testmod:*", NULL);
	functop_fails(1, "no function that can be traced matches no_such_*", "no_such_*", NULL);
	functop_fails(1, "'no_such_function' isn't found in BTF", "no_such_function", NULL);
	functop_fails(1, "module 'no_such_mod' isn't loaded", "no_such_mod:*", NULL);
	functop_fails(1, "'vfs_(' in pattern 'vfs_(' is neither", "vfs_(", NULL);
	/* one of them is bad */
	functop_fails(1, "'no_such_function' isn't found in BTF",
		      "vfs_read", "no_such_function", NULL);
}

static pthread_mutex_t thread_ends = PTHREAD_MUTEX_INITIALIZER;
static int thread_id;

static void *wait_end(void *arg)
{
	__atomic_store_n(&thread_id, gettid(), __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&thread_ends);
	pthread_mutex_unlock(&thread_ends);
	return NULL;
}

/* What isn't the id of a process where BPF programs look at it */
static void test_bad_pid(void)
{
	char pid[16], why[64];
	pthread_t thread;

	pthread_mutex_lock(&thread_ends);
	thread_id = 0;
	if (ASSERT_OK(pthread_create(&thread, NULL, wait_end, NULL), "pthread_create")) {
		while (!__atomic_load_n(&thread_id, __ATOMIC_SEQ_CST))
			sched_yield();
		snprintf(pid, sizeof(pid), "%d", thread_id);
		snprintf(why, sizeof(why), "%d is a thread of process %d", thread_id, getpid());
		functop_fails(2, why, "-p", pid, "vfs_read", NULL);
		pthread_mutex_unlock(&thread_ends);
		pthread_join(thread, NULL);
	} else {
		pthread_mutex_unlock(&thread_ends);
	}
}

static void full_stdout(void)
{
	dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
}

static void test_full_disk(void)
{
	functop_setup = full_stdout;
	functop_fails(1, "can't write all of the output", "-d", "0.01", "vfs_read", NULL);
	functop_fails(1, "can't write all of the output", "-j", "-d", "0.01", "vfs_read", NULL);
	functop_setup = NULL;
}

static void drop_caps(void)
{
	prctl(PR_CAPBSET_DROP, CAP_BPF);
	prctl(PR_CAPBSET_DROP, CAP_PERFMON);
	prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN);
}

static void test_no_permission(void)
{
	functop_setup = drop_caps;
	functop_fails(1, "no permission to trace the kernel", "vfs_read", NULL);
	functop_setup = NULL;
}

/* Make an attach type one that no kernel knows, if older kernels don't. */
static void spoil_attach_type(const struct multi_bpf_call *call, const void *arg)
{
	if (call->cmd == BPF_PROG_LOAD &&
	    MULTI_PEEK(call, expected_attach_type) > BPF_TRACE_KPROBE_SESSION)
		MULTI_SPOIL(call, expected_attach_type);
}

/* functop, as on a kernel without multi-links */
static void test_no_feature(void)
{
	functop_setup = multi_trace_me;
	if (functop_start_args("vfs_read", NULL)) {
		multi_trace_bpf(top.pid, spoil_attach_type, NULL);
		functop_wait();
		ASSERT_TRUE(WIFEXITED(top.status), "exited");
		ASSERT_EQ(WEXITSTATUS(top.status), 1, "status");
		ASSERT_HAS_SUBSTR(top.err, "this kernel doesn't support tracing multi-links",
				  "no feature");
		ASSERT_STREQ(top.out, "", "no table");
	}
	functop_setup = NULL;
}

/* bpftool, run as on such a kernel, too. It writes to the end before it's read. */
static void test_no_feature_bpftool(void)
{
	/* test_progs of a flavor runs in a directory below */
	static const char *const paths[] = { "./tools/sbin/bpftool", "../tools/sbin/bpftool" };

	functop_path = paths[!!access(paths[0], X_OK)];
	functop_setup = multi_trace_me;
	if (functop_start_args("-j", "feature", "probe", "kernel", NULL)) {
		ASSERT_GE(fcntl(top.out_fd, F_SETPIPE_SZ, OUTPUT_MAX), OUTPUT_MAX, "pipe's size");
		multi_trace_bpf(top.pid, spoil_attach_type, NULL);
		functop_wait();
		ASSERT_OK(top.status, "status");
		ASSERT_HAS_SUBSTR(top.out, "\"have_bounded_loops\":true", "another feature");
		ASSERT_HAS_SUBSTR(top.out, "\"have_tracing_multi_link\":false", "no feature");
		ASSERT_HAS_SUBSTR(top.out, "\"have_tracing_multi_link_fmod_ret\":false",
				  "no feature for fmod_ret");
	}
	functop_setup = NULL;
	functop_path = "./functop";
}

static void test_help(void)
{
	if (!functop_start_args("--help", NULL))
		return;
	functop_wait();
	ASSERT_OK(top.status, "status");
	ASSERT_HAS_SUBSTR(top.out, "Usage: functop [OPTION]... GLOB...", "usage");
	ASSERT_HAS_SUBSTR(top.out, "--hist", "usage");
	ASSERT_STREQ(top.err, "", "no error");
}

void serial_test_tracing_multi_link_functop(void)
{
	if (!env.has_testmod) {
		test__skip();
		return;
	}
	if (test__start_subtest("counts"))
		test_counts();
	if (test__start_subtest("plain_json"))
		test_plain_json();
	if (test__start_subtest("patterns"))
		test_patterns();
	if (test__start_subtest("table"))
		test_table();
	if (test__start_subtest("interval"))
		test_interval();
	if (test__start_subtest("interval_json"))
		test_interval_json();
	if (test__start_subtest("terminal"))
		test_terminal();
	if (test__start_subtest("small_window"))
		test_small_window();
	if (test__start_subtest("missed"))
		test_missed();
	if (test__start_subtest("inside"))
		test_inside();
	if (test__start_subtest("command"))
		test_command();
	if (test__start_subtest("duration"))
		test_duration();
	if (test__start_subtest("bad_input"))
		test_bad_input();
	if (test__start_subtest("bad_pid"))
		test_bad_pid();
	if (test__start_subtest("full_disk"))
		test_full_disk();
	if (test__start_subtest("no_permission"))
		test_no_permission();
	if (test__start_subtest("no_feature"))
		test_no_feature();
	if (test__start_subtest("no_feature_bpftool"))
		test_no_feature_bpftool();
	if (test__start_subtest("help"))
		test_help();
}
