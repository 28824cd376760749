# SPDX-License-Identifier: LGPL-3.0-or-later
"""Encrypted mounts mean what a plain directory means: the same programs run natively in a directory
and inside with an encrypted mount at the same path, and must print the same and end in the same way.
"""
import difflib
import os
import pathlib
import shutil

import pytest

PYTHON = '/usr/bin/python3'
PROGRAMS = pathlib.Path(__file__).resolve().parents[1] / 'programs'
KEY = '00112233445566778899aabbccddeeff'


class Place:
    """A directory for the native run, and an encrypted mount of the same name."""

    def __init__(self, tmp_path):
        self.path = tmp_path / 'place'
        self.host = tmp_path / 'host'
        self.host.mkdir()
        self.clear()
        self.extras = {
            'fs.mounts': [{'type': 'encrypted', 'path': self.path, 'uri': f'file:{self.host}',
                           'key_name': 'key'}],
            'fs.insecure__keys.key': KEY,
            'sys.experimental__enable_flock': True,
        }

    def clear(self):
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def inside(place, run_inside):
    """inside(argv, extras={}, ...) -> Result, with the encrypted mount in its place."""
    def run(argv, extras=None, **how):
        return run_inside(argv, extras={**place.extras, **(extras or {})}, **how)
    return run


@pytest.fixture
def same(place, run_native, inside):
    """same(argv): the program, given the directory, prints the same natively and inside."""
    def check(argv, **how):
        native = run_native([*argv, place.path], **how)
        assert native.status == 0 and native.out, str(native)
        place.clear()
        result = inside([*argv, place.path], **how)
        if (result.out, result.status) != (native.out, native.status):
            diff = '\n'.join(difflib.unified_diff(native.out.splitlines(), result.out.splitlines(),
                                                  'native', 'inside', lineterm='', n=1))
            pytest.fail(f'native status {native.status}, inside {result.status}\n{diff}\n'
                        f'--- stderr inside\n{result.err[-4000:]}', pytrace=False)
        return result
    return check


@pytest.mark.parametrize('name', ['rw', 'mapfile', 'fds', 'copy', 'forks', 'memory'])
def test_system_calls(name, build_dir, same):
    program = build_dir / 'tests' / 'syscalls' / name
    assert program.is_file(), f'{program} is not built'
    same([program])


def test_processes(same):
    same([PYTHON, PROGRAMS / 'encrypted_processes.py'])
