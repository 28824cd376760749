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

echo
echo "Wall time of each step:"
printf '%s\n' "${summary[@]}"
echo
echo "This was gramine-direct: an ordinary process, with the key in its manifest (fs.insecure__keys)."
echo "It isolates nothing. It shows that the job works; protection needs an enclave."
