# SPDX-License-Identifier: LGPL-3.0-or-later
"""Whatever registers, flags, stacks, handlers and masks a program has at a call, a fault or a signal,
it ends as natively: 100,000 states made by tests/stress/states.c, a million with ADYTON_FULL.
"""
import difflib
import os
import platform
import re

import pytest

FULL = bool(os.environ.get('ADYTON_FULL'))
STATES = 1000000 if FULL else 100000
SHARDS = 4
BLOCK = 100


def kernel():
    return tuple(int(n) for n in re.findall(r'\d+', platform.release())[:2])


@pytest.mark.skipif(kernel() < (6, 12), reason='sigreturn restored things in another order before Linux 6.12, '
                    'and the library OS does as newer kernels do')
@pytest.mark.parametrize('shard', range(SHARDS))
def test_states_end_as_natively(shard, build_dir, run_native, prepare_inside):
    program = build_dir / 'tests' / 'stress' / 'states'
    assert program.is_file(), f'{program} is not built'
    count = STATES // SHARDS
    first = shard * count
    inside = prepare_inside(program)
    limit = 3600 if FULL else 300
    expected = run_native([program, first, count], timeout=limit)
    assert expected.status == 0 and len(expected.out.splitlines()) == count // BLOCK, str(expected)
    got = inside([str(first), str(count)], timeout=limit)
    assert got.status == 0, str(got)[-4000:]
    if got.out == expected.out:
        return
    blocks = [n for n, i in zip(expected.out.splitlines(), got.out.splitlines()) if n != i]
    at = blocks[0].split()[0]
    native = run_native([program, at, BLOCK, '-v']).out.splitlines()
    again = inside([at, str(BLOCK), '-v']).out.splitlines()
    diff = [line[:600] for line in difflib.unified_diff(native, again, 'native', 'inside', lineterm='', n=1)]
    pytest.fail(f'{len(blocks)} of {count // BLOCK} blocks of {BLOCK} states differ; the one from {at} on:\n'
                + '\n'.join(diff[:30]), pytrace=False)


def test_a_32bit_call_is_refused(build_dir, tmp_path, run_inside):
    """`int $0x80` would be served by the host, with the host's files and processes: SIGSEGV, as from a
    kernel without 32-bit calls."""
    done = run_inside([build_dir / 'tests' / 'syscalls' / 'entries', tmp_path, '32bit'])
    line = 'refused: signal 11 code 128 trap 13 error 402\nint $0x80: 20\n'
    assert done.status == 0 and done.out == 3 * line, str(done)
