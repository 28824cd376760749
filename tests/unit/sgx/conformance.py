#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Writes docs/sgxemu-conformance.md from the list that the conformance suite prints.

conformance.py SUITE [--check DOC]
"""
import subprocess
import sys

HEAD = """# Conformance of the processor model

Each row is one condition of Intel's manual (volume 3D), reached by `tests/unit/sgx/test_sgx_core`:
leaf, condition, outcome. *success* means RAX = 0 and ZF = 0; a name is the error code in RAX with
ZF = 1. This page is generated from the suite (`tests/unit/sgx/conformance.py`) and compared with it
by the tests.

Not modelled: CET, 32-bit entry, virtualisation leaves, TDX (EVERIFYREPORT2), and conflicts between
leaves that run at the same moment (the device runs one at a time for an enclave; rewritten EENTER
and EEXIT alone run beside others).
"""


def render(suite):
    lines = subprocess.run([suite, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split("\t") for line in lines if "\t" in line]
    out = [HEAD, f"{len(rows)} cases.\n", "| leaf | condition | outcome |", "|---|---|---|"]
    out += [f"| {leaf} | {condition} | {outcome} |" for leaf, condition, outcome in rows]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    text = render(sys.argv[1])
    if len(sys.argv) == 4:
        sys.exit(0 if open(sys.argv[3]).read() == text else f"{sys.argv[3]} is not what the suite says; regenerate it")
    sys.stdout.write(text)
