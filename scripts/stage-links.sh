#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# The compatible names beside bin/adyton: stage-links.sh BIN_DIR [STAMP]
# Without BIN_DIR (as an install script of meson) they go below MESON_INSTALL_DESTDIR_PREFIX.
set -e
bin=${1:-$MESON_INSTALL_DESTDIR_PREFIX/bin}
mkdir -p "$bin"
for name in gramine-direct gramine-sgx gramine-manifest gramine-manifest-check gramine-argv-serializer \
    gramine-sgx-pf-crypt gramine-sgx-gen-private-key gramine-sgx-sigstruct-view gramine-sgx-sign \
    gramine-sgx-quote-view gramine-sgx-quote-dump is-sgx-available; do
    ln -sfn adyton "$bin/$name"
done
[ -z "${2:-}" ] || : >"$2"
