# SPDX-License-Identifier: LGPL-3.0-or-later
"""System calls mean inside what they mean on the host: each program of tests/syscalls runs natively
and inside the library OS, with an empty scratch directory of the same name, and must print the same
lines and end in the same way.
"""
import difflib
import os
import pathlib
import re
import shutil

import pytest

SOURCES = pathlib.Path(__file__).resolve().parents[1] / 'syscalls'
# The list of programs and how each is linked is in the build file, and only there.
PROGRAMS = re.findall(r"^  '([a-z0-9_]+)': '[a-z-]+',$", (SOURCES / 'meson.build').read_text(), re.M)
# The rewriting race shows itself only in some of many runs.
RACE_RUNS = int(os.environ.get('ADYTON_RACE_RUNS', '200'))
FULL = bool(os.environ.get('ADYTON_FULL'))

checks = {}


@pytest.fixture(scope='module', autouse=True)
def count_of_checks(notes):
    yield
    if checks:
        notes.append(f'{sum(checks.values())} checks in {len(checks)} programs equal to the host')


@pytest.fixture
def program(build_dir):
    def find(name):
        path = build_dir / 'tests' / 'syscalls' / name
        assert path.is_file(), f'{path} is not built'
        return path
    return find


@pytest.fixture
def scratch(tmp_path):
    """An empty directory, empty again at each call."""
    def fresh():
        path = tmp_path / 'scratch'
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path
    return fresh


def test_there_are_programs():
    assert len(PROGRAMS) >= 25
    missing = [name for name in PROGRAMS if not (SOURCES / f'{name}.c').is_file()]
    assert not missing
    unlisted = {path.stem for path in SOURCES.glob('*.c')} - set(PROGRAMS)
    assert not unlisted


@pytest.mark.parametrize('name', PROGRAMS)
def test_same_as_native(name, program, scratch, run_native, run_inside):
    path = program(name)
    native = run_native([path, scratch()])
    assert 'set-up failed' not in native.out, str(native)
    assert native.out and native.status == 0, str(native)
    again = run_native([path, scratch()])
    assert again.out == native.out, 'the program itself does not always print the same'
    directory = scratch()
    inside = run_inside([path, directory], allowed=[f'{directory}/'],
                        extras={'sys.experimental__enable_flock': True, 'sys.insecure__allow_eventfd': True,
                                'sys.fds.limit': 4096, 'sgx.trusted_files': [f'file:{path}']})
    if inside.out != native.out or inside.status != native.status:
        diff = '\n'.join(difflib.unified_diff(native.out.splitlines(), inside.out.splitlines(),
                                              'native', 'inside', lineterm='', n=1))
        pytest.fail(f'{name}: native status {native.status}, inside {inside.status}\n{diff}\n'
                    f'--- stderr inside\n{inside.err[-4000:]}', pytrace=False)
    checks[name] = len(native.out.splitlines())


@pytest.mark.skipif(not FULL, reason='ten million random steps are taken with ADYTON_FULL only')
def test_expiries_at_length(program, scratch, run_native, run_inside):
    path = program('expiries')
    env = {**os.environ, 'EXPIRIES_STEPS': '10000000'}
    native = run_native([path, scratch()], env=env, timeout=3000)
    assert native.out and native.status == 0, str(native)
    inside = run_inside([path, scratch()], env=env, timeout=3000)
    assert inside.status == 0 and inside.out == native.out, \
        next((a, b) for a, b in zip(native.out.splitlines(), inside.out.splitlines() + ['the end']) if a != b)


def test_race_of_the_rewriting(program, scratch, run_native, prepare_inside):
    """Eight threads meet thousands of call sites that nobody has used before, at the same time."""
    path = program('race')
    directory = scratch()
    native = run_native([path, directory])
    assert native.status == 0, str(native)
    start = prepare_inside(path, allowed=[f'{directory}/'])
    failures = []
    for attempt in range(RACE_RUNS):
        inside = start([directory])
        if inside.out != native.out or inside.status != 0:
            failures.append(f'run {attempt}: {inside}')
    assert not failures, f'{len(failures)} of {RACE_RUNS} runs differ; first: {failures[0]}'
