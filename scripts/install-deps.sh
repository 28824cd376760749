#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Installs from Debian what building, testing and the example need, if it is not there.
# usage: scripts/install-deps.sh [--list]
set -eu

packages='meson ninja-build gcc g++ make git libc6-dev linux-libc-dev pkg-config
clang clang-14 libclang-rt-14-dev clang-format libcmocka-dev libssl-dev libtomlplusplus-dev
python3 python3-venv libpython3.11-testsuite python3-pytest python3-jinja2 python3-cryptography python3-cryptography-vectors
python3-numpy
python3-pil python3-torch python3-torchvision
openssl strace musl-tools golang-go busybox-static sqlite3 file perl curl
redis-server redis-tools nginx-light wrk memcached procps psmisc'

[ "${1:-}" != --list ] || { echo $packages nodejs npm; exit 0; }

if ! command -v dpkg-query >/dev/null; then
    echo "install-deps: this is not Debian; install the equivalents of: $packages nodejs npm" >&2
    exit 1
fi

# Node.js and npm come from more than one packager: what counts is the command.
command -v node >/dev/null || packages="$packages nodejs"
command -v npm >/dev/null || packages="$packages npm"

present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null |
    sed -n 's/^installed //p')
missing=$(for p in $packages; do echo "$p"; done | sort -u | grep -vxF "$present" || true)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=env
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "install-deps: these Debian packages are missing, and installing them needs root or sudo:" >&2
    echo $missing >&2
    exit 1
fi
# Servers are wanted as programs only: nothing is to be started because it was installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    trap '$as_root rm -f $policy' EXIT
fi
echo "install-deps: installing from Debian:" $missing
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
    </dev/null >/dev/null
echo "install-deps: done"
