# SPDX-License-Identifier: LGPL-3.0-or-later
"""The programs of random steps (tests/syscalls/events.c, pairsteps.c) over ten million steps each, in
a hundred sequences: the same natively and inside. In every run test_syscalls.py takes the first one."""
import os

import pytest

FULL = bool(os.environ.get('ADYTON_FULL'))
SEQUENCES = 100
STEPS = 100000


@pytest.mark.skipif(not FULL, reason='ten million steps run with ADYTON_FULL only')
@pytest.mark.parametrize('name, prefix', [('events', 'EVENTS'), ('pairsteps', 'PAIRS')])
def test_steps(name, prefix, build_dir, tmp_path, run_native, prepare_inside):
    path = str(build_dir / 'tests' / 'syscalls' / name)
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    inside = prepare_inside(path, {'sys.insecure__allow_eventfd': True}, allowed=[scratch])
    for seed in range(1, SEQUENCES + 1):
        env = {f'{prefix}_SEED': str(seed), f'{prefix}_STEPS': str(STEPS)}
        native = run_native([path, scratch], env=env, timeout=600)
        ours = inside([scratch], env=env, timeout=600)
        assert native.status == 0 and native.out
        assert (ours.status, ours.out) == (native.status, native.out), f'seed {seed}'
