# shellcheck shell=bash
# What the tests of the scripts share: a small project with a small base, made
# of the real scripts. Sourced, never run; scripts/lib.sh has ok, not_ok, check.

. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
# The tests' own git calls: nobody's settings, a fixed person.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=tester GIT_AUTHOR_EMAIL=tester@localhost
export GIT_COMMITTER_NAME=tester GIT_COMMITTER_EMAIL=tester@localhost
unset BASE TREE BASEREV FORCE SIGNOFF
P=$DIR/project		# the small project
K=$P/build/tree		# its kernel tree
L=$DIR/linux		# its base

# make_base DIR: a tree that passes for a Linux source.
make_base()
{
	mkdir -p "$1"/{include/uapi/linux,tools/include/uapi/linux,kernel/bpf,scripts}
	printf 'VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 99\n' >"$1/Makefile"
	# Debian's ignores everything at the top.
	printf '*.o\n/*\n' >"$1/.gitignore"
	printf 'enum bpf_attach_type {\n\tBPF_CGROUP_INET_INGRESS,\n\t__MAX_BPF_ATTACH_TYPE\n};\n' \
		>"$1/include/uapi/linux/bpf.h"
	cp "$1/include/uapi/linux/bpf.h" "$1/tools/include/uapi/linux/bpf.h"
	# the kernel's attributes keep labels out of the heads of hunks
	printf '*.[ch] diff=cpp\n' >"$1/.gitattributes"
	seq 1 40 | sed 's/.*/int line_&;/; s/.*_16;/label:/' >"$1/kernel/bpf/core.c"
	printf 'int other;\n' >"$1/kernel/bpf/other.c"
	printf '#!/bin/sh\n' >"$1/scripts/run.sh"
	chmod +x "$1/scripts/run.sh"
	printf 'obj-y += core.o\n' >"$1/kernel/bpf/Makefile"
}

# make_project: $P with the scripts, no series, and $L as its base.
make_project()
{
	rm -rf "$P" "$L"
	mkdir -p "$P/patches"
	cp -r "$TOP/scripts" "$TOP/base" "$TOP/Makefile" "$P/"
	make_base "$L"
	know_base "$L"
}

# know_base DIR: let $K have DIR as what the file "base" states.
know_base()
{
	git init -q -b series "$K"
	bash -c '. "$1/scripts/lib.sh"; . "$1/scripts/lib-series.sh"
		version=$(base_field version)
		commit=$(import_dir "$KTREE/.git" "$2" "base: $PKG $version")
		kgit update-ref "$(base_ref "$version")" "$commit"' - "$P" "$1"
}

# make_series: three commits in $K, of edits and new files of all kinds.
make_series()
{
	sed -i 's/line_20;/line_20 = 1;/' "$K/kernel/bpf/core.c"
	printf 'int multi;\n' >"$K/kernel/bpf/multi.c"
	git_k add -f kernel/bpf/multi.c
	git_k commit -qam 'bpf: Add a: new/file, and [an] edit' \
		-m 'A body with ümlauts,
  indented text,
# a line that looks like a comment,

and a second paragraph.'
	mkdir -p "$K/tools/testing/selftests/bpf"
	printf '#!/bin/sh\nexit 0\n' >"$K/tools/testing/selftests/bpf/multi.sh"
	chmod +x "$K/tools/testing/selftests/bpf/multi.sh"
	ln -s multi.sh "$K/tools/testing/selftests/bpf/link.sh"
	printf '\000\001\377binary' >"$K/tools/testing/selftests/bpf/blob.bin"
	: >"$K/tools/testing/selftests/bpf/empty"
	git_k add -f tools/testing
	git_k commit -qm 'selftests/bpf: Add files only'
	printf 'no newline at the end' >>"$K/kernel/bpf/core.c"
	chmod +x "$K/kernel/bpf/Makefile"
	git_k rm -q kernel/bpf/other.c
	git_k commit -qam 'bpf: Edit only, remove a file, change a mode'
}

git_k() { git -C "$K" -c commit.cleanup=verbatim "$@"; }

# p SCRIPT [VAR=VALUE...]: run a script of the small project.
p()
{
	local script=$1

	shift
	env "$@" "$P/scripts/$script"
}

# snapshot DIR: names, kinds, modes and content of the stored series below DIR.
snapshot()
{
	(
		cd "$1"
		find . -path ./build -prune -o -path ./scripts -prune -o -path './.?*' -prune -o \
			\( -type f -printf '%p %m ' -exec sha256sum {} \; \) -o \
			-type l -printf '%p -> %l\n' | sort
	)
}

# refused NAME PATTERN COMMAND...: COMMAND must fail and say PATTERN.
refused()
{
	local name=$1 pattern=$2 out

	shift 2
	if out=$("$@" 2>&1); then
		not_ok "$name" "it was not refused"
	elif ! grep -qE "$pattern" <<<"$out"; then
		printf '#   %s\n' "${out//$'\n'/$'\n'#   }"
		not_ok "$name" "refused, but the message does not say '$pattern'"
	elif ! grep -q '^    ' <<<"$out"; then
		printf '#   %s\n' "${out//$'\n'/$'\n'#   }"
		not_ok "$name" "the message does not say what to do"
	else
		ok "$name"
	fi
}

# same NAME A B: are the strings equal?
same()
{
	if [[ $2 == "$3" ]]; then
		ok "$1"
	else
		diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | sed 's/^/#   /' | head -n 40
		not_ok "$1" "they differ"
	fi
}
