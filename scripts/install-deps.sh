#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Installs from Debian or Ubuntu what building, testing and the example need, if it is not there.
# usage: scripts/install-deps.sh [--list]
set -eu

# Debian 12 and 13 are tested. Other releases are tried: what they do not offer is named and left out.
common='meson ninja-build gcc g++ make git libc6-dev linux-libc-dev pkg-config
clang libcmocka-dev libssl-dev libcurl4-openssl-dev libjansson-dev libcbor-dev libmbedtls-dev libtomlplusplus-dev libprotobuf-c-dev protobuf-c-compiler libp11-kit-dev softhsm2 valgrind gdb
python3 python3-venv python3-pytest python3-jinja2 python3-cryptography python3-cryptography-vectors
python3-numpy python3-pil python3-torch python3-torchvision
openssl strace musl-tools golang-go busybox-static sqlite3 file perl curl ca-certificates
redis-server redis-tools nginx-light wrk memcached procps psmisc shellcheck'

# ID and VERSION_ID are all that is wanted of these variables.
release() {
    [ ! -r /etc/os-release ] || . /etc/os-release
    echo "${ID:-unknown}-${VERSION_ID:-unknown}"
}

known=tested
case $(release) in
debian-12) by_release='clang-14 libclang-rt-14-dev libpython3.11-testsuite' ;;
debian-13) by_release='clang-19 libclang-rt-19-dev libpython3.13-testsuite' ;;
ubuntu-24.04) by_release='clang-18 libclang-rt-18-dev libpython3.12-testsuite' known='not tested' ;;
*) by_release='libclang-rt-dev libpython3-testsuite' known=unknown ;;
esac
packages="$common $by_release"

[ "${1:-}" != --list ] || { echo $packages nodejs npm; exit 0; }

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install-deps: this is neither Debian nor Ubuntu; install the equivalents of: $packages nodejs npm" >&2
    exit 1
fi

# Node.js and npm come from more than one packager: what counts is the command.
command -v node >/dev/null || packages="$packages nodejs"
command -v npm >/dev/null || packages="$packages npm"

not_installed() { # not_installed PACKAGE...: those that are not
    present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p')
    printf '%s\n' "$@" | sort -u | grep -vxF "$present" || true
}

# An interpreter's tests and a compiler's run time carry its version in their package's name.
for_this_release() { # for_this_release PACKAGE: the name under which apt offers it, if any
    case $1 in
    libpython3-testsuite)
        name=$(apt-cache depends python3 2>/dev/null | sed -n 's/^ *Depends: \(python3\.[0-9]*\)$/lib\1-testsuite/p') ;;
    *) name=$1 ;;
    esac
    [ -n "$name" ] && apt-cache show "$name" >/dev/null 2>&1 && echo "$name"
}

missing=$(not_installed $packages)
[ -n "$missing" ] || exit 0

[ "$known" = tested ] || echo "install-deps: $(release) is $known (tested: Debian 12 and 13); trying its packages"
if [ "$(id -u)" = 0 ]; then
    as_root='env'
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "install-deps: these packages are missing, and installing them needs root or sudo:" >&2
    echo $missing >&2
    exit 1
fi
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null

if [ "$known" != tested ]; then
    offered=
    for package in $missing; do
        if name=$(for_this_release "$package"); then
            offered="$offered $name"
        else
            echo "install-deps: there is no $package here; what needs it is skipped or fails"
        fi
    done
    missing=
    [ -z "$offered" ] || missing=$(not_installed $offered)
    [ -n "$missing" ] || exit 0
fi

# Servers are wanted as programs only: nothing is to be started because it was installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    trap '$as_root rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
fi
echo "install-deps: installing:" $missing
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
    </dev/null >/dev/null
echo "install-deps: done"
