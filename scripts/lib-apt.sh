# shellcheck shell=bash
# An apt of our own: fetches Debian's packages in a root of its own, so that this machine's
# packages, lists and architectures stay as they are. Sourced after lib.sh, never run.
#
# The packages come from the mirrors that this machine's own sources name; those of another
# release from the same mirrors. They are not installed, only fetched, for unpacking.

APT=				# the root, set by apt_root()
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_release: this machine's, as "bookworm".
debian_release() { (. /etc/os-release && say "$VERSION_CODENAME"); }

# apt_sources RELEASE…: this machine's sources of Debian, for these releases in place of its
# own. Where NAME is this machine's, NAME-backports is another one.
apt_sources()
{
	local here uri suite component release found=

	here=$(debian_release)
	while read -r uri suite component; do
		[[ $suite == "$here" || $suite == "$here"-[us]* ]] || continue
		found=1
		for release; do
			# these have neither updates nor security
			[[ $release != *-* || $suite == "$here" ]] || continue
			printf 'deb [signed-by=%s] %s %s %s\n' "$KEYS" "$uri" \
				"$release${suite#"$here"}" "$component"
		done
	done < <(apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' | sed -n 's/^Debian //p' | sort -u)
	[[ -n $found ]] || die "this machine's apt sources name no Debian mirror for $here" \
		"apt-get indextargets shows what apt has; apt-get update first"
}

# apt_root DIR ARCH RELEASE…: make DIR the root, for packages of ARCH of these releases. stdin
# is a status file of dpkg and says what is there already: what the fetched packages depend on,
# but for that, is fetched, too.
apt_root()
{
	local arch=$2 sources

	APT=$1
	shift 2
	sources=$(apt_sources "$@" </dev/null)
	mkdir -p "$APT"/{etc/preferences.d,etc/apt.conf.d,lists/partial,archives/partial}
	cat >"$APT/status"
	echo "$sources" >"$APT/etc/sources.list"
	{
		cat <<-CONF
		Dir::Etc "$APT/etc";
		Dir::State "$APT";
		Dir::State::lists "$APT/lists";
		Dir::State::status "$APT/status";
		Dir::Cache "$APT";
		Dir::Cache::archives "$APT/archives";
		Dir::Log "$APT";
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Debug::NoLocking "true";
		CONF
		# how this machine gets out, and whether its mirrors may stand still
		apt-config dump | grep -iE '^Acquire::([a-z]+::Proxy|Check-Valid-Until)' || :
	} >"$APT/apt.conf"
}

# private_apt ARG…: apt-get in the root.
private_apt() { APT_CONFIG=$APT/apt.conf apt-get -q "$@"; }

# apt_fetch_lists: a mirror that is being renewed has lists that don't fit together, for some
# minutes.
apt_fetch_lists()
{
	local try

	for try in {1..6}; do
		((try == 1)) || sleep 30
		private_apt -o APT::Update::Error-Mode=any update >&2 </dev/null && return
		warn "apt-get update failed"
	done
	warn "going on with the lists at hand"
}

# apt_fetch [-t RELEASE] PACKAGE…: fetch these packages, of RELEASE where it has them, and all
# that they depend on. Prints the names of the package files, one a line.
apt_fetch()
{
	local name version

	apt_fetch_lists
	private_apt install -y -d "$@" >&2 </dev/null ||
		die "apt-get could not fetch these packages: $*" "its messages above say why"
	# Inst name [version that is there] (version release [architecture])
	private_apt install -s "$@" |
		sed -nE 's/^Inst ([^ ]+) (\[[^ ]*\] )?\(([^ ]+) .*/\1 \3/p' |
	while read -r name version; do
		find "$APT/archives" -name "${name}_${version//:/%3a}_*.deb"
	done
}
