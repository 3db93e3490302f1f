# shellcheck shell=bash
# What the scripts that handle the series share: where the base comes from,
# how it becomes a commit, and how patches and new files become commits on it.
# Sourced after lib.sh, never run.
#
# References in build/tree:
#   base                the base in use (a tag)
#   refs/bases/VERSION  every base that was imported
#   series              the branch that holds the series
#   refs/series/built   what the repository's files last said (make tree, make export)

PKG=$(base_field package)
FEATURE=BPF_TRACE_FENTRY_MULTI
UAPI=include/uapi/linux/bpf.h
# Author and committer of every commit made here, so that ids are the same
# everywhere. Whoever mails the series puts the own name on it (scripts/series).
SERIES_NAME='BPF tracing multi-link series'
SERIES_MAIL='series@localhost'
EPOCH=1767225600	# 2026-01-01, the base commit's date; a minute a patch
# The repository's own files; a kernel file can't be stored under these.
OWN_DIRS=(base build configs docs patches scripts tests)

# Scratch files of this run, removed at its end.
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT

# commit_tree GITDIR TREE N MESSAGEFILE [PARENT]: make commit number N, print its id.
commit_tree()
{
	local gitdir=$1 tree=$2 date="$((EPOCH + $3 * 60)) +0000" message=$4

	shift 4
	GIT_AUTHOR_NAME=$SERIES_NAME GIT_AUTHOR_EMAIL=$SERIES_MAIL \
	GIT_COMMITTER_NAME=$SERIES_NAME GIT_COMMITTER_EMAIL=$SERIES_MAIL \
	GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date \
		git_in "$gitdir" --git-dir="$gitdir" commit-tree \
			${1:+-p "$1"} -F "$message" "$tree"
}

# has_rev REV: does build/tree know REV?
has_rev()
{
	[[ -e $KTREE/.git ]] && kgit rev-parse -q --verify "$1^{commit}" >/dev/null
}

# --- which base ------------------------------------------------------------

base_ref() { printf 'refs/bases/%s' "${1//[~:]/_}"; }

# Version of the package that is installed, if its tarball is there.
base_installed()
{
	have_package "$PKG" && [[ -r /usr/src/$PKG.tar.xz ]] || return 0
	dpkg-query -W -f '${Version}\n' "$PKG"
}

# base_offered: every 6.12 version that apt offers, newest first.
base_offered()
{
	local series

	command -v apt-cache >/dev/null || return 0
	series=$(base_field upstream)
	apt-cache madison "$PKG" 2>/dev/null |
		awk -v s="${series%.*}." 'index($3, s) == 1 { print $3 }' | sort -Vru
}

# base_choose: the version to use: the stated one, else the newest.
base_choose()
{
	local want offered newest

	want=$(base_field version)
	if has_rev "$(base_ref "$want")" || [[ $(base_installed) == "$want" ]]; then
		say "$want"
		return
	fi
	offered=$(base_offered)
	if [[ -z $offered ]]; then
		apt_update
		offered=$(base_offered)
	fi
	newest=$(head -n 1 <<<"$offered")
	[[ -n $newest ]] ||
		die "apt offers no $PKG" \
			"add bookworm-security (Debian 12) or main (Debian 13) to apt's sources and run apt-get update," \
			"or unpack a Linux $(base_field upstream) source and say BASE=/path/to/it"
	if grep -qxF -- "$want" <<<"$offered"; then
		say "$want"
	else
		warn "apt no longer offers $PKG $want, the base of this series; using $newest"
		say "$newest"
	fi
}

# base_tarball VERSION: fetch the source if need be, print the tarball's path.
base_tarball()
{
	local version=$1 dir=$BUILD/source sum
	local tar=$dir/${PKG}_$version.tar.xz

	if [[ $(base_installed) == "$version" ]]; then
		tar=/usr/src/$PKG.tar.xz
	elif [[ ! -s $tar ]]; then
		step "fetching $PKG $version"
		rm -rf "$dir/fetch"
		mkdir -p "$dir/fetch"
		(cd "$dir/fetch" && apt-get -q -o APT::Sandbox::User=root download "$PKG=$version" >&2) ||
			die "apt-get could not download $PKG $version" \
				"its messages above say why; or say BASE=/path/to/a/source/tree"
		dpkg-deb --fsys-tarfile "$dir"/fetch/*.deb |
			tar -xO "./usr/src/$PKG.tar.xz" >"$tar.part"
		mv "$tar.part" "$tar"
		rm -rf "$dir/fetch"
	fi
	if [[ $version == "$(base_field version)" ]]; then
		sum=$(sha256sum "$tar")
		[[ ${sum%% *} == "$(base_field sha256)" ]] ||
			die "$tar is not the source that the file 'base' states (sha256 differs)" \
				"remove it and start again"
	fi
	say "$tar"
}

# --- the base as a commit ----------------------------------------------------

# import_dir GITDIR DIR MESSAGE [LIST]: print the commit of DIR's files: all of
# them, or those whose names LIST holds, each ended by a NUL.
import_dir()
{
	local gitdir=$1 dir=$2 message=$3 list=${4:-} tree
	local KGIT_INDEX=$SCRATCH/import
	# Objects this "big" go straight into one pack, which beats 87,000 files.
	local git=(git_in "$dir" --git-dir="$gitdir" --work-tree="$dir"
		-c core.bigFileThreshold=1 -c core.compression=1)

	rm -f "$KGIT_INDEX"
	if [[ -n $list ]]; then
		"${git[@]}" update-index --add --remove -z --stdin <"$list"
	else
		"${git[@]}" add -A -f .
	fi
	tree=$("${git[@]}" write-tree)
	printf '%s\n' "$message" >"$SCRATCH/message"
	commit_tree "$gitdir" "$tree" 0 "$SCRATCH/message"
}

# base_check GITDIR COMMIT WHAT: refuse what the series can't be put on.
base_check()
{
	local gitdir=$1 commit=$2 what=$3 uapi

	uapi=$(git_in "$gitdir" --git-dir="$gitdir" show "$commit:$UAPI" 2>/dev/null) ||
		die "$what is not a Linux source tree: it has no $UAPI" \
			"BASE must be the top directory of an unpacked Linux $(base_field upstream) source"
	if grep -qw "$FEATURE" <<<"$uapi"; then
		die "$what already has $FEATURE" \
			"it is a kernel with this feature (Linux 7.1 or later), or this series was already applied to it;" \
			"use that kernel as it is, or give an unpatched $(base_field upstream) source: unset BASE, or BASE=dir"
	fi
}

# init_tree: create build/tree, empty, if it is not there.
init_tree()
{
	[[ ! -e $KTREE/.git ]] || return 0
	if [[ -e $KTREE ]]; then
		die "build/tree exists, but is not a git tree" "remove it and start again"
	fi
	mkdir -p "$BUILD"
	git_in "$BUILD" init -q -b series "$KTREE"
}

# base_import VERSION: have build/tree know this version of the package.
base_import()
{
	local version=$1 ref tar tree
	local import=refs/series/import

	ref=$(base_ref "$version")
	! has_rev "$ref" || return 0
	tar=$(base_tarball "$version")
	init_tree
	step "making $PKG $version a commit"
	xz -dc "$tar" | "$TOP/scripts/tar-to-fast-import" "$import" |
		kgit -c core.compression=1 -c fastimport.unpackLimit=0 \
			fast-import --quiet --done --force --depth=0 ||
		die "$tar could not be read" "remove it and start again"
	tree=$(kgit rev-parse "$import^{tree}")
	kgit update-ref -d "$import"
	printf 'base: %s\n' "$PKG $version" >"$SCRATCH/message"
	kgit update-ref "$ref" "$(commit_tree "$KTREE/.git" "$tree" 0 "$SCRATCH/message")"
}

# base_import_dir DIR: have build/tree know the source tree DIR, print its commit.
base_import_dir()
{
	local dir list='' version commit

	dir=$(cd "$1" 2>/dev/null && pwd -P) ||
		die "BASE=$1 is not a directory" \
			"BASE must be the top directory of an unpacked Linux $(base_field upstream) source"
	[[ $dir != "$(readlink -f "$KTREE")" ]] ||
		die "BASE is build/tree, the tree that the series is applied to" \
			"give another, unpatched source tree"
	[[ -e $dir/$UAPI && -e $dir/Makefile ]] ||
		die "BASE=$1 is not a Linux source tree: it has no $UAPI" \
			"BASE must be the top directory of an unpacked Linux $(base_field upstream) source"
	if [[ -e $dir/.git ]]; then
		# Tracked files only: what was built there is not source.
		list=$SCRATCH/list
		git_in "$dir" ls-files -z >"$list"
	elif [[ -e $dir/.config || -e $dir/include/config/auto.conf ]]; then
		die "a kernel was configured or built in BASE=$1" \
			"run 'make mrproper' there, or give a clean source tree"
	fi
	version=$(awk -F '[ =]+' '
		/^(VERSION|PATCHLEVEL|SUBLEVEL)[ =]/ { v = v "." $2 }
		END { print substr(v, 2) }' "$dir/Makefile")
	step "making BASE=$1 (Linux $version) a commit"
	init_tree
	commit=$(import_dir "$KTREE/.git" "$dir" "base: Linux $version" "$list")
	base_check "$KTREE/.git" "$commit" "BASE=$1"
	say "$commit"
}

# base_commit: print the commit of the base to use: BASE=dir or the package.
base_commit()
{
	local version commit

	if [[ -n ${BASE:-} ]]; then
		base_import_dir "$BASE"
		return
	fi
	version=$(base_choose)
	base_import "$version"
	commit=$(kgit rev-parse "$(base_ref "$version")")
	base_check "$KTREE/.git" "$commit" "$PKG $version"
	say "$commit"
}

# --- patches -----------------------------------------------------------------

# patch_files DIR: the patches of DIR in order.
patch_files()
{
	local p

	for p in "$1"/[0-9][0-9][0-9][0-9]-*.patch; do
		[[ ! -e $p ]] || say "$p"
	done
}

# patch_new_files PATCH: "MODE PATH" of each new file that PATCH lists.
patch_new_files()
{
	sed -n '/^---$/,/^diff --git /s/^ create mode \([0-7]\{6\}\) /\1 /p' "$1"
}

# patch_message PATCH: its commit message.
patch_message()
{
	awk '
		NR == 1 { if (sub(/^Subject: /, "")) { print; next } else exit 1 }
		/^---$/ { found = 1; exit }
		{ print }
		END { exit !found }' "$1" ||
		die "$(basename "$1") is not a patch of this series" \
			"it must begin with 'Subject: ', and '---' must end its message"
}

# new_files_here DIR: the kernel files stored whole below DIR, by name.
new_files_here()
{
	local own=() d

	for d in "${OWN_DIRS[@]}"; do
		own+=(-o -path "./$d")
	done
	(cd "$1" && find . \( -path './.?*' "${own[@]}" \) -prune -o \
		-path './*/*' \( -type f -o -type l \) \
		! -name '*~' ! -name '*.orig' ! -name '*.rej' ! -name '.*.swp' -print) |
		sed 's,^\./,,' | sort
}

# apply_series GITDIR BASE DIR: put DIR's patches (DIR/patches) and new files on
# the commit BASE, without touching a work tree; print the last commit.
apply_series()
{
	local gitdir=$1 base=$2 dir=$3 n=0 head=$2 patch name tree mode path blob
	local KGIT_INDEX=$SCRATCH/apply
	local git=(git_in "$gitdir" --git-dir="$gitdir")

	rm -f "$KGIT_INDEX" "$SCRATCH/listed"
	: >"$SCRATCH/listed"
	"${git[@]}" read-tree "$base"
	while read -r patch; do
		name=$(basename "$patch")
		n=$((n + 1))
		patch_message "$patch" >"$SCRATCH/message"
		sed -n '/^---$/,$p' "$patch" | sed -n '/^diff --git /,$p' >"$SCRATCH/diff"
		if [[ -s $SCRATCH/diff ]] &&
		   ! "${git[@]}" apply --cached "$SCRATCH/diff" 2>"$SCRATCH/err"; then
			cat "$SCRATCH/err" >&2
			die "$name does not apply to $("${git[@]}" log -1 --format=%s "$base" | sed 's/^base: //')" \
				"the series is for $PKG $(base_field version) (Linux $(base_field upstream)): use that source (unset BASE)," \
				"or carry the series to this one: rebase the branch in build/tree onto it, then make export"
		fi
		while read -r mode path; do
			add_new_file "$name" "$mode" "$path"
		done < <(patch_new_files "$patch")
		tree=$("${git[@]}" write-tree)
		head=$(commit_tree "$gitdir" "$tree" "$n" "$SCRATCH/message" "$head")
	done < <(patch_files "$dir/patches")
	new_files_here "$dir" >"$SCRATCH/here"
	path=$(sort "$SCRATCH/listed" | comm -13 - "$SCRATCH/here")
	[[ -z $path ]] ||
		die "these kernel files are in no patch's list of new files: $(head -n 10 <<<"$path" | paste -sd ' ')" \
			"add a line ' create mode 100644 PATH' after the '---' of the patch that adds it, or remove the file"
	say "$head"
}

# add_new_file PATCHNAME MODE PATH: the part of apply_series that adds one file.
add_new_file()
{
	local name=$1 mode=$2 path=$3 file=$dir/$3 is blob

	if [[ -L $file ]]; then
		is=120000
	elif [[ ! -f $file ]]; then
		die "$name adds $path, which is not in this repository" \
			"restore it, or remove its line from the patch"
	elif [[ -x $file ]]; then
		is=100755
	else
		is=100644
	fi
	[[ $is == "$mode" ]] ||
		die "$name adds $path with mode $mode, but the file has mode $is" \
			"chmod the file, or correct its line in the patch"
	if [[ -n $("${git[@]}" --literal-pathspecs ls-files -- "$path") ]]; then
		die "$name adds $path, which the base or an earlier patch already has" \
			"is this series already applied to the base? A new file is added by exactly one patch"
	fi
	if [[ $is == 120000 ]]; then
		blob=$(printf '%s' "$(readlink "$file")" | "${git[@]}" hash-object -w --stdin)
	else
		blob=$("${git[@]}" hash-object -w --no-filters -- "$file")
	fi
	"${git[@]}" update-index --add --cacheinfo "$mode,$blob,$path"
	say "$path" >>"$SCRATCH/listed"
}
