# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a program reaches is judged by the file that is reached, when it is reached.

tests/stress/paths.c makes random sequences of calls on paths, links and names in a mount that has
secrets beside it on the host, and checks what it sees; what happened to the files is checked here.
With ADYTON_FULL set the runs are longer.
"""
import os

import pytest

FULL = bool(os.environ.get('ADYTON_FULL'))
POLICIES = ['strict', 'allow_all_but_log']
SIZE = 4242  # of a secret: paths.c knows one by it


class Place:
    """/in and what lies beside it on the host."""

    def __init__(self, folder):
        self.top, self.mount = folder / 'top', folder / 'top' / 'in'
        for name in ('SECRETS', 'in/free', 'in/closed', 'in/mixed/free', 'in/mixed/closed', 'in/fixed'):
            (self.top / name).mkdir(parents=True)
        secret = b'SECRET' + b'x' * (SIZE - 6)
        self.outside = [self.top / 'SECRET', self.top / 'SECRETS' / 'SECRET']
        for path in self.outside:
            path.write_bytes(secret)
        for path in (self.top / 'OUTSIDE', self.top / 'SECRETS' / 'OUTSIDE'):
            path.touch()
        program = self.top / 'SECRETS' / 'free'
        program.write_text('#!/bin/sh\nexit 42\n')
        program.chmod(0o755)
        self.closed = [self.mount / 'closed/CLOSED', self.mount / 'mixed/closed/CLOSED']
        for path in self.closed:
            path.write_text('CLOSED')
        self.fixed = self.mount / 'fixed' / 'FIXED'
        self.fixed.write_text('FIXED')
        self.before = self.seen()

    def seen(self):
        """All of what must not change; a file in /in that may be changed is left out."""
        found = {}
        for path in [self.top, *self.top.rglob('*')]:
            name = str(path.relative_to(self.top))
            if name == '.' or name == 'in' or name.startswith('in/'):
                continue
            found[name] = self.state(path)
        return found, sorted(path.name for path in self.top.iterdir())

    @staticmethod
    def state(path):
        st = path.lstat()
        return (st.st_ino, st.st_mode, st.st_nlink, st.st_uid, st.st_mtime_ns, st.st_ctime_ns,
                path.read_bytes() if path.is_file() else None)

    def manifest(self, policy, program):
        return {
            'sgx.file_check_policy': policy,
            'fs.root': {'type': 'tmpfs'},
            'fs.start_dir': '/in/free',
            'fs.mounts': [{'path': '/in', 'uri': f'file:{self.mount}'},
                          {'path': str(program.parent), 'uri': f'file:{program.parent}'}],
            'sgx.allowed_files': [f'file:{self.mount}/free/', f'file:{self.mount}/mixed/free/'],
            'sgx.trusted_files': [f'file:{program}', f'file:{self.fixed}'],
            'loader.log_level': 'none',
        }


@pytest.fixture
def program(build_dir):
    path = build_dir / 'tests' / 'stress' / 'paths'
    assert path.is_file(), f'{path} is not built'
    return path


@pytest.mark.parametrize('policy', POLICIES)
def test_random_sequences(policy, program, tmp_path, run_inside):
    place = Place(tmp_path)
    closed = [place.state(path) for path in place.closed]
    strict = policy == 'strict'
    count = (1_000_000 if FULL else 70_000) if strict else (500_000 if FULL else 30_000)
    done = run_inside([program, os.environ.get('ADYTON_SEED', '1'), str(count), place.mount,
                       'closed' if strict else 'open'],
                      place.manifest(policy, program), timeout=1800 if FULL else 120)
    assert done.status == 0, str(done)
    calls = {name: int(n) for name, n in (line.split() for line in done.out.splitlines())}
    rare = [name for name, n in calls.items() if n < 5 and name not in ('run', 'connect')]
    assert not rare, f'these calls hardly ever succeed, so nothing is shown of them: {calls}'
    assert place.seen() == place.before
    assert place.fixed.read_text() == 'FIXED'
    if strict:
        assert [place.state(path) for path in place.closed] == closed
        assert [p.name for p in (place.mount / 'closed').rglob('*') if not p.is_dir()] == ['CLOSED']


def test_exchanges(program, tmp_path, run_inside):
    """A directory and a file change places with links that lead out, as fast as can be."""
    place = Place(tmp_path)
    done = run_inside([program, 'swap', '1', str(300_000 if FULL else 20_000)],
                      place.manifest('allow_all_but_log', program), timeout=60)
    assert done.status == 0 and done.out.startswith('survived'), str(done)
    assert place.seen() == place.before
