#!/bin/bash
# SPDX-License-Identifier: LGPL-3.0-or-later
# The main job, end to end: an unchanged PyTorch script over encrypted files gives the native result.
# usage: scripts/demo.sh [BUILDDIR]      (make demo)
set -eu
cd "$(dirname "$0")/.."

build=$(realpath "${1:-build}")
work=$build/demo
python=/usr/bin/python3
export PATH="$build/bin:$PATH"
# The result is compared byte by byte, so both runs use the same number of threads.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
summary=()

die() {
    echo "demo: $*" >&2
    exit 1
}

now() {
    local t=$EPOCHREALTIME
    echo "${t/[.,]/}"
}

step() { # step TITLE COMMAND...
    local title=$1 begin took
    shift
    echo
    echo "-- $title"
    begin=$(now)
    "$@" || die "this step failed: $title"
    took=$(($(now) - begin))
    summary+=("$(printf '%7d.%03d s  %s' $((took / 1000000)) $((took / 1000 % 1000)) "$title")")
}

for command in gramine-direct gramine-manifest gramine-sgx-pf-crypt; do
    command -v "$command" >/dev/null || die "$command is missing in $build/bin: run make first"
done

# Real files, no links: the demo changes and removes what it finds there.
rm -rf "$work/pytorch" "$work/pytorch-confidential" "$work/wrong"
mkdir -p "$work/pytorch" "$work/pytorch-confidential/plaintext" "$work/pytorch-confidential/files"
cp examples/pytorch/{pytorchexample.py,classes.txt,input.jpg,download-pretrained-model.py,tflite_inception.py} \
    "$work/pytorch"
cp examples/pytorch-confidential/{Makefile,pytorch.manifest.template} examples/pytorch/pytorchexample.py \
    "$work/pytorch-confidential"

download() {
    if [ -f "$work/alexnet-pretrained.pt" ]; then
        echo "already there: $work/alexnet-pretrained.pt"
    elif [ -f examples/pytorch/alexnet-pretrained.pt ]; then
        cp examples/pytorch/alexnet-pretrained.pt "$work/"
        echo "already there: examples/pytorch/alexnet-pretrained.pt"
    else
        (cd "$work/pytorch" && $python download-pretrained-model.py && mv alexnet-pretrained.pt ..)
    fi
    cp "$work/alexnet-pretrained.pt" "$work/pytorch/"
}

native() {
    (cd "$work/pytorch" && $python pytorchexample.py && cat result.txt)
}

keygen() {
    gramine-sgx-pf-crypt gen-key -w files/wrap_key
}

encrypt() {
    local f
    for f in input.jpg classes.txt alexnet-pretrained.pt; do
        cp "$work/pytorch/$f" plaintext/ &&
            gramine-sgx-pf-crypt encrypt -w files/wrap_key -i plaintext/$f -o $f || return
    done
    rm -rf plaintext
    mkdir plaintext
}

# Nothing of the plain files may be left in what lies on the disk.
unreadable() {
    local f
    for f in input.jpg classes.txt alexnet-pretrained.pt; do
        if cmp -s -n 64 "$f" "$work/pytorch/$f"; then echo "$f is not encrypted"; return 1; fi
    done
    if grep -qaF -e "Egyptian cat" classes.txt; then echo "classes.txt is readable"; return 1; fi
    if grep -qaF -e "torchvision.models" alexnet-pretrained.pt; then echo "the model is readable"; return 1; fi
    if grep -qaF -e JFIF input.jpg; then echo "input.jpg is readable"; return 1; fi
    if $python -c 'from PIL import Image; Image.open("input.jpg")' 2>/dev/null; then
        echo "input.jpg opens as a picture"
        return 1
    fi
    if $python pytorchexample.py >native-attempt.txt 2>&1; then
        echo "the native script could use the encrypted files"
        return 1
    fi
    echo "classes.txt, as anyone who reads the disk sees it:"
    od -A d -t x1z -N 64 -j 4096 classes.txt
    echo "The native script over these files ends with: $(tail -n 1 native-attempt.txt)"
}

render() {
    make --no-print-directory -s pytorch.manifest &&
        echo "pytorch.manifest: $(wc -l <pytorch.manifest) lines"
}

inside() {
    gramine-direct ./pytorch pytorchexample.py
}

decrypt() {
    gramine-sgx-pf-crypt decrypt -w files/wrap_key -i result.txt -o plaintext/result.txt &&
        cat plaintext/result.txt
}

compare() {
    cmp "$work/pytorch/result.txt" plaintext/result.txt && echo "byte-identical"
}

wrong_key() {
    local status=0
    mkdir "$work/wrong"
    gramine-sgx-pf-crypt gen-key -w "$work/wrong/key"
    cp input.jpg classes.txt alexnet-pretrained.pt pytorchexample.py pytorch.manifest.* "$work/wrong/"
    sed "s/$(hex files/wrap_key)/$(hex "$work/wrong/key")/" pytorch.manifest >"$work/wrong/pytorch.manifest"
    (cd "$work/wrong" && gramine-direct ./pytorch pytorchexample.py) >"$work/wrong/output" 2>&1 || status=$?
    echo "inside, with another key: exit status $status, and this line of ours:"
    grep -m1 'error: encrypted file' "$work/wrong/output" || return 1
    [ $status -ne 0 ] && [ ! -s "$work/wrong/result.txt" ] || return 1
    status=0
    gramine-sgx-pf-crypt decrypt -w "$work/wrong/key" -i result.txt -o "$work/wrong/result.txt" || status=$?
    echo "gramine-sgx-pf-crypt, with another key: exit status $status"
    [ $status -ne 0 ] && [ ! -s "$work/wrong/result.txt" ]
}

hex() {
    od -An -v -tx1 "$1" | tr -d ' \n'
}

# ---- the same in an enclave ----

device() { # what stands for SGX on this machine
    if [ -e /dev/sgx_enclave ]; then
        echo "this machine has SGX"
    else
        export ADYTON_SGX=emulate
        adyton sgxemu setup >/dev/null
        export RA_TLS_TRUST_ROOT="$XDG_STATE_HOME/adyton/test-platform/root.pem"
        export RA_TLS_COLLATERAL="$XDG_STATE_HOME/adyton/test-platform/collateral"
        echo "no SGX here: the software device stands for it, and its test root for Intel's. It protects nothing."
    fi
}

key_server() {
    make --no-print-directory -s -C "$work/provisioning" dcap >/dev/null && cp -R "$work/provisioning/ssl" . &&
        cp "$work/provisioning/secret_prov_pf/server_dcap" server_dcap_dir/
}

# The server takes the policy from these variables, and gives the key to this enclave only.
policy() {
    export RA_TLS_MRSIGNER=any RA_TLS_ISV_PROD_ID=any RA_TLS_ISV_SVN=any RA_TLS_MRENCLAVE
    RA_TLS_MRENCLAVE=$(adyton measure pytorch.manifest.sgx)
    export RA_TLS_ALLOW_OUTDATED_TCB_INSECURE=1
    (cd server_dcap_dir && exec ./server_dcap ../files/wrap_key) >server.log 2>&1 &
    server=$!
    trap 'kill $server 2>/dev/null || true' EXIT
    for _ in $(seq 100); do
        grep -q 'on port' server.log && break
        kill -0 $server 2>/dev/null || { cat server.log; return 1; }
        sleep 0.1
    done
    echo "the key goes to MRENCLAVE $RA_TLS_MRENCLAVE only"
}

sign() {
    gramine-sgx-gen-private-key -q -f && make --no-print-directory -s clean-manifest &&
        make --no-print-directory -s SGX=1 pytorch.manifest.sgx >/dev/null &&
        if grep -q insecure__keys pytorch.manifest.sgx; then echo "the key is in the manifest"; return 1; fi
}

in_enclave() {
    rm -f result.txt
    gramine-sgx ./pytorch pytorchexample.py
}

# Another manifest is another enclave.
other_enclave() {
    local status=0
    sed -i 's/^max_threads = .*/max_threads = 33/' pytorch.manifest
    gramine-sgx-sign -q -m pytorch.manifest -o pytorch.manifest.sgx || return
    gramine-sgx ./pytorch pytorchexample.py >"$work/wrong/output" 2>&1 || status=$?
    echo "a changed manifest, signed by the same key: exit status $status; the server says:"
    grep -m1 'is refused' server.log || return 1
    [ $status -ne 0 ]
}

step "get the pretrained model" download
step "native run" native
cd "$work/pytorch-confidential"
step "make a key" keygen
step "encrypt model, photo and class names" encrypt
step "check that the encrypted files cannot be read" unreadable
step "render the manifest and hash the trusted files" render
step "run inside, over the encrypted files" inside
step "decrypt the result" decrypt
step "compare with the native result" compare
step "try a wrong key" wrong_key


export XDG_CONFIG_HOME="$work/config" XDG_STATE_HOME="$work/state"
rm -rf "$work/provisioning" "$work/config" "$work/state" plaintext/result.txt
mkdir -p "$work/provisioning" server_dcap_dir
cp -R "$OLDPWD"/examples/ra-tls-secret-prov/. "$work/provisioning"
step "look for SGX" device
step "build the key server, make its certificates" key_server
step "sign the enclave" sign
step "start the key server" policy
step "run in the enclave; the key comes by attestation" in_enclave
step "decrypt the enclave's result" decrypt
step "compare with the native result" compare
step "try another enclave" other_enclave

echo
echo "Wall time of each step:"
printf '%s\n' "${summary[@]}"
echo
echo "gramine-direct is an ordinary process, with the key in its manifest: it isolates nothing."
if [ "${ADYTON_SGX:-}" = emulate ]; then
    echo "The enclave ran on the software SGX device, which protects nothing either: it shows that the workflow is"
    echo "right, with real measurement, quote, verification and key release."
fi
