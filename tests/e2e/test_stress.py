# SPDX-License-Identifier: LGPL-3.0-or-later
"""Much of one thing at a time, inside: processes, threads, signals, files, sockets, sudden deaths.
tests/stress/stress.c checks itself; it does natively what it does inside.

With ADYTON_FULL set the counts are those of the long version.
"""
import os
import resource

import pytest

FULL = bool(os.environ.get('ADYTON_FULL'))

# name: (count, count of the long version, what it prints)
RUNS = {
    'forks': (60, 1000, 'forks: {}\n'),
    'threads': (4, 20, 'threads: {}\n'),
    'signals': (5000, 100000, 'signals: {} queued, all handled\n'),
    'tree': (300, 3000, 'processes: {}\n'),
    'files': (3000, 20000, 'files: {}\n'),
    'sockets': (3, 50, 'sockets: 2000\n'),
    'kills': (40, 1000, 'killed: {}\n'),
}


@pytest.fixture
def program(build_dir):
    path = build_dir / 'tests' / 'stress' / 'stress'
    assert path.is_file(), f'{path} is not built'
    return path


@pytest.mark.parametrize('name', RUNS)
def test_stress(name, program, tmp_path, run_native, run_inside):
    if name == 'sockets' and resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2200:
        pytest.skip('the limit of descriptors (ulimit -Hn) is below 2,200')
    short, long, text = RUNS[name]
    count = long if FULL else short
    directory = tmp_path / 'scratch'
    directory.mkdir()
    expected = text.format(count * 500 if name == 'threads' else count)
    native = run_native([program, name, str(short), directory])
    assert native.status == 0, str(native)
    inside = run_inside([program, name, str(count), directory], allowed=[f'{directory}/'],
                        extras={'sys.fds.limit': 8192}, timeout=900 if FULL else 120)
    assert inside.status == 0 and inside.out == expected, str(inside)
    assert not list(directory.iterdir())


def test_children_outlive_the_first_process(program, run_inside):
    """The first process is killed by SIGKILL: the others notice, fork, and end by themselves."""
    count = 20
    done = run_inside([program, 'orphans', str(count)])
    assert done.status == 128 + 9 and done.out == 'alive\n' * count, str(done)
