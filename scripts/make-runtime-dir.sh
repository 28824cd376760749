#!/bin/sh
# SPDX-License-Identifier: LGPL-3.0-or-later
# Makes the directories that manifests mount as /lib: links to the distribution's own dynamic loader
# and C library, nothing copied and nothing patched; and to the
# libraries that attest.
#   make-runtime-dir.sh DIR [STAMP]     writes DIR/glibc, and DIR/musl where musl is installed
# Without DIR (as an install script of meson): below MESON_INSTALL_DESTDIR_PREFIX.
set -e
dir=${1:-$MESON_INSTALL_DESTDIR_PREFIX/lib/adyton/runtime}
arch=x86_64-linux-gnu

fresh() { # a new, empty directory of links, keeping what is no link to a C library
    mkdir -p "$1"
    find "$1" -maxdepth 1 -type l -delete
}

fresh "$dir/glibc"
for from in /lib/$arch /usr/lib/$arch /lib64; do
    [ -d "$from" ] || continue
    for file in ld-linux-x86-64.so.2 libBrokenLocale.so.1 libanl.so.1 libc.so.6 \
        libc_malloc_debug.so.0 libcrypt.so.1 libdl.so.2 libm.so.6 libmemusage.so libmvec.so.1 \
        libnsl.so.1 libnss_compat.so.2 libnss_dns.so.2 libnss_files.so.2 libnss_hesiod.so.2 \
        libpcprofile.so libpthread.so.0 libresolv.so.2 librt.so.1 libthread_db.so.1 libutil.so.1; do
        if [ -e "$from/$file" ] && [ ! -e "$dir/glibc/$file" ]; then
            ln -s "$from/$file" "$dir/glibc/$file"
        fi
    done
done
for file in ld-linux-x86-64.so.2 libc.so.6; do
    [ -e "$dir/glibc/$file" ] || { echo "make-runtime-dir.sh: no $file in /lib/$arch" >&2; exit 1; }
done

# The attesting side of RA-TLS, for LD_PRELOAD. In the build tree the files themselves are here.
if [ -z "${1:-}" ]; then
    find "$MESON_INSTALL_DESTDIR_PREFIX" \( -name libra_tls_attest.so -o -name libsecret_prov_attest.so \) \
        ! -path '*/runtime/*' -exec ln -sr {} "$dir/glibc/" \;
fi

for loader in /lib/ld-musl-x86_64.so.1 /usr/lib/ld-musl-x86_64.so.1; do
    [ -e "$loader" ] || continue
    fresh "$dir/musl"
    for name in ld-musl-x86_64.so.1 libc.so libc.musl-x86_64.so.1; do
        ln -s "$(readlink -f "$loader")" "$dir/musl/$name"
    done
    break
done
[ -z "${2:-}" ] || : >"$2"
