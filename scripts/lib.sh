# shellcheck shell=bash
# Functions shared by all scripts: paths, messages, packages, git, test results.
# Sourced, never run:  . "$(dirname "$0")/lib.sh"

set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

# The architecture that is built and booted. Its name among us is another one than
# ARCH, which every make of the kernel would take for its own.
export SERIES_ARCH=${ARCH:-${SERIES_ARCH:-x86_64}}
# Likewise the variant of the test kernel, one of configs/variants, or none.
export SERIES_KERNEL=${KERNEL:-${SERIES_KERNEL:-}}
# A make that calls us must not pass its own flags on to the kernel's make.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKEFILES
unset ARCH KERNEL CROSS_COMPILE LLVM KBUILD_OUTPUT KCFLAGS KCONFIG_CONFIG CDPATH

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$TOP/build
KTREE=$BUILD/tree			# kernel git tree: base and series
PATCHES=$TOP/patches
COVER=$PATCHES/cover-letter
CACHE=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/linux-bpf-multi-link
JOBS=${JOBS:-$(nproc)}
ME=$(basename "$0")
# shellcheck disable=SC2034	# for the scripts
readonly TOP BUILD KTREE PATCHES COVER CACHE JOBS ME

# The compiler cache is outside the checkout: a new clone builds warm.
export CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache}
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-10G}
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$BUILD}
export CCACHE_NOHASHDIR=1
# Kernel builds put no time, user or host into what they make.
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'
export KBUILD_BUILD_USER=series KBUILD_BUILD_HOST=localhost

# --- messages ------------------------------------------------------------

say()  { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*" >&2; }
warn() { printf '%s: notice: %s\n' "$ME" "$*" >&2; }

# die MESSAGE [ADVICE...]: each further argument is a line that says what to do.
die()
{
	printf '%s: error: %s\n' "$ME" "$1" >&2
	shift
	if (($#)); then
		printf '    %s\n' "$@" >&2
	fi
	exit 1
}

# elapsed START: seconds since START (a value of $SECONDS) as 1m05s.
elapsed()
{
	local s=$((SECONDS - $1))

	printf '%dm%02ds' $((s / 60)) $((s % 60))
}

# lock_fd FD WHOM: lock an open file, which may take until somebody else lets go.
lock_fd()
{
	flock -n "$1" || { warn "waiting for $2"; flock "$1"; }
}

# lock NAME: one of us at a time; held until the script ends.
lock()
{
	mkdir -p "$BUILD"
	exec {LOCK_FD}>"$BUILD/.lock-$1"
	lock_fd "$LOCK_FD" "another run that uses build/$1"
}

# sources_stay, sources_change: what a build reads in build/tree stays as it is until the
# build ends. An object that was compiled from a header as it was before is younger than the
# header as it is now, so it would never be made again.
sources_stay()
{
	exec {SOURCES_FD}>"$BUILD/.lock-sources"
	flock -s "$SOURCES_FD"
}

sources_change()
{
	exec {SOURCES_FD}>"$BUILD/.lock-sources"
	lock_fd "$SOURCES_FD" "a build that reads build/tree"
}

# --- architectures -------------------------------------------------------

# use_arch NAME: take the facts of an architecture from scripts/arch, and those that
# follow from its name.
# shellcheck disable=SC2034	# for the scripts
use_arch()
{
	local name=$1

	[[ $name =~ ^[a-z0-9_]+$ && -f $TOP/scripts/arch/$name ]] ||
		die "ARCH=$name is no architecture that is known here" \
			"known are: $(cd "$TOP/scripts/arch" && echo *)"
	# shellcheck disable=SC1090	# one of scripts/arch
	. "$TOP/scripts/arch/$name"
	# What is in build/ for another architecture has its name in its own
	ARCH_SUFFIX=
	[[ $name == x86_64 ]] || ARCH_SUFFIX=-$name
	KOUT=$BUILD/kernel$ARCH_SUFFIX
	BASE_RESULTS=$TOP/tests/base-results$ARCH_SUFFIX
	SYSROOT=$BUILD/sysroot/$name
}

# use_kernel NAME: take another variant of the test kernel; empty: none. It is either a
# fragment of options, and built in a directory of its own, or "# boot args: ARGS" for the
# kernel that there is.
use_kernel()
{
	local name=$1 args

	[[ -n $name ]] || return 0
	[[ $name =~ ^[a-z0-9_]+$ && -f $TOP/configs/variants/$name.config ]] ||
		die "KERNEL=$name is no variant that is known here" \
			"known are: $(cd "$TOP/configs/variants" && echo *.config | sed 's/\.config//g')"
	args=$(variant_says 'boot args')
	if [[ -n $args ]]; then
		BOOT_ARGS+=" $args"
	else
		CONFIG_NAMES+=" variants/$name"
		KOUT+=-$name
	fi
}

# variant_says KEY: what the comment "# KEY: …" of the kernel's variant says, if any.
variant_says()
{
	local file=$TOP/configs/variants/$SERIES_KERNEL.config

	[[ -z $SERIES_KERNEL ]] || sed -n "s/^# $1: //p" "$file"
}

# fragments: the config fragments of the test kernel.
fragments()
{
	local name

	for name in $CONFIG_NAMES; do
		say "$TOP/configs/$name.config"
	done
}

# other_arches: all architectures but x86_64.
other_arches() { (cd "$TOP/scripts/arch" && printf '%s\n' * | grep -vx x86_64); }

# denied: the selftests that are not run, and subtests left out: on all architectures,
# and on this one.
denied()
{
	cat "$TOP/tests/denied"
	[[ -z $ARCH_SUFFIX || ! -f $TOP/tests/denied$ARCH_SUFFIX ]] ||
		cat "$TOP/tests/denied$ARCH_SUFFIX"
}

# only_x86_64 WHAT: for scripts that know this machine's architecture only.
only_x86_64()
{
	[[ $SERIES_ARCH == x86_64 ]] ||
		die "ARCH=$SERIES_ARCH: $1 is for x86_64 only" "leave ARCH out"
}

# --- packages ------------------------------------------------------------

# packages GROUP...: the packages of these groups in scripts/packages.
packages()
{
	local group

	for group; do
		awk -v g="$group" '$1 == g { print $2; n++ } END { exit !n }' \
			"$TOP/scripts/packages" ||
			die "scripts/packages has no group '$group'"
	done
}

have_package()
{
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# need_packages GROUP...: install what is missing of these groups.
need_packages()
{
	local p all missing=()

	all=$(packages "$@")
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		warn "no apt here, so nothing is installed; needed are:" "${all//$'\n'/ }"
		return 0
	fi
	for p in $all; do
		have_package "$p" || missing+=("$p")
	done
	((${#missing[@]})) || return 0
	if ((EUID)); then
		die "packages are missing, and only root can install them: ${missing[*]}" \
			"as root, run: apt-get install --no-install-recommends ${missing[*]}"
	fi
	step "installing ${missing[*]}"
	apt_update
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends "${missing[@]}" </dev/null >&2 ||
		die "apt-get could not install: ${missing[*]}" \
			"its messages above say why; install them by hand and start again"
}

# apt_update: refresh the package lists, once in a run of make.
apt_update()
{
	((EUID == 0)) || return 0
	[[ -z ${APT_UPDATED:-} ]] || return 0
	apt-get update -q >&2 || warn "apt-get update failed; going on with the lists at hand"
	export APT_UPDATED=1
}

# --- base ----------------------------------------------------------------

# base_field package|version|upstream|sha256: what the file "base" says.
base_field()
{
	awk -v k="$1" '$1 == k { print $2; n++ } END { exit n != 1 }' "$TOP/base" ||
		die "the file 'base' has not one line '$1'"
}

# unpack_base DIR: have the files of the tag "base" of build/tree in DIR. What is
# checked out in build/tree does not matter, and is left alone.
unpack_base()
{
	local dir=$1 commit

	if [[ -n ${BASE:-} || ! -d $KTREE/.git ]]; then
		"$TOP/scripts/tree"
	fi
	commit=$(kgit rev-parse base)
	if [[ $(cat "$dir/.base-commit" 2>/dev/null || :) != "$commit" ]]; then
		step "unpacking the base into ${dir#"$TOP"/}"
		rm -rf "$dir"
		mkdir -p "$dir"
		kgit archive "$commit" | tar -x -C "$dir"
		echo "$commit" >"$dir/.base-commit"
	fi
}

# --- git -----------------------------------------------------------------

# Nobody's own settings may change what git makes: hooks, signing, line ends,
# attributes, diff options.
kgit_env=(
	-u GIT_DIR -u GIT_WORK_TREE -u GIT_INDEX_FILE -u GIT_OBJECT_DIRECTORY
	-u GIT_EXTERNAL_DIFF -u GIT_DIFF_OPTS
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1
	GIT_TERMINAL_PROMPT=0 GIT_PAGER=cat GIT_EDITOR=false LC_ALL=C
)
kgit_conf=(
	-c safe.directory='*' -c core.autocrlf=false -c core.safecrlf=false
	-c core.attributesFile=/dev/null -c core.excludesFile=/dev/null
	-c core.hooksPath=/dev/null -c core.quotePath=true -c core.fileMode=true
	-c commit.gpgSign=false -c gc.auto=0 -c advice.detachedHead=false
	-c diff.suppressBlankEmpty=false -c apply.whitespace=nowarn
	-c apply.ignoreWhitespace=no -c i18n.commitEncoding=UTF-8
	-c i18n.logOutputEncoding=UTF-8 -c core.checkStat=default
)

# git_in DIR ARG...: git in DIR, free of anybody's settings. KGIT_INDEX=file is
# another index; KGIT_OBJECTS=dir takes new objects instead of the repository
# whose objects KGIT_ALTERNATE names.
git_in()
{
	local dir=$1

	shift
	env "${kgit_env[@]}" ${KGIT_INDEX:+GIT_INDEX_FILE="$KGIT_INDEX"} \
		${KGIT_OBJECTS:+GIT_OBJECT_DIRECTORY="$KGIT_OBJECTS"} \
		${KGIT_OBJECTS:+GIT_ALTERNATE_OBJECT_DIRECTORIES="$KGIT_ALTERNATE"} \
		git -C "$dir" "${kgit_conf[@]}" "$@"
}

kgit() { git_in "$KTREE" "$@"; }

# --- kernel configuration ------------------------------------------------

# kernel_config DIR FRAGMENT... -- MAKE...: give the output directory DIR the .config
# that allnoconfig and the fragments make, a later one overriding an earlier
# one, and see that each symbol came out as asked for. MAKE... is the make
# command. A .config that comes out the same keeps its time stamp, so that
# nothing is built again.
kernel_config()
{
	local dir=$1 fragments=()

	shift
	while [[ $1 != -- ]]; do
		fragments+=("$1")
		shift
	done
	shift
	mkdir -p "$dir"
	sed -nE 's/^# (CONFIG_\w+) is not set$/\1=n/; /^CONFIG_/p' "${fragments[@]}" |
		awk -F = '{ line[$1] = $0 } END { for (s in line) print line[s] }' |
		sort >"$dir/.fragments"
	rm -f "$dir/.config.before"
	[[ ! -f $dir/.config ]] || mv "$dir/.config" "$dir/.config.before"
	KCONFIG_ALLCONFIG=$dir/.fragments "$@" -s allnoconfig
	if cmp -s "$dir/.config" "$dir/.config.before"; then
		mv "$dir/.config.before" "$dir/.config"
	fi
	rm -f "$dir/.config.before"
	"$TOP/scripts/check-config" "${fragments[@]}" "$dir/.config"
}

# --- results of tests ----------------------------------------------------

# A test prints one line for each thing it tests; scripts/tests/run and
# scripts/test count these lines.
TEST_FAILED=0
ok()     { printf 'ok %s\n' "$1"; }
not_ok() { printf 'not ok %s: %s\n' "$1" "$2"; TEST_FAILED=1; }
skip()   { printf 'skip %s: %s\n' "$1" "$2"; }

# check NAME COMMAND...: ok if COMMAND succeeds; its output is shown if not.
check()
{
	local name=$1 out

	shift
	if out=$("$@" 2>&1); then
		ok "$name"
	else
		[[ -z $out ]] || printf '#   %s\n' "${out//$'\n'/$'\n'#   }"
		not_ok "$name" "failed: $*"
	fi
}

# test_exit: the exit status that the test's lines ask for.
test_exit() { exit "$TEST_FAILED"; }

use_arch "$SERIES_ARCH"
use_kernel "$SERIES_KERNEL"
