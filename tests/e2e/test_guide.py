# SPDX-License-Identifier: LGPL-3.0-or-later
"""docs/guide.md, typed line by line: every command succeeds or prints what the guide says it prints."""
import fnmatch
import re
import shutil

import pytest

from conftest import run


def sessions(text):
    """[(command, expected lines)] of all console blocks."""
    found = []
    for block in re.findall(r'^```console\n(.*?)^```$', text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith('$ '):
                found.append((line[2:], []))
            elif line.startswith('> '):
                found[-1] = (found[-1][0] + '\n' + line[2:], [])
            else:
                found[-1][1].append(line)
    return found


def pattern(line):
    return line.replace('[', '[[]')


def test_guide(libos, build_dir, project_root, tmp_path):
    if not shutil.which('python3', path='/usr/bin'):
        pytest.skip('/usr/bin/python3 is not there')
    folder = tmp_path / 'empty folder'
    folder.mkdir()
    typed = sessions((project_root / 'docs' / 'guide.md').read_text())
    assert len(typed) > 25
    for command, expected in typed:
        done = run(['bash', '-c', command], cwd=folder, timeout=120,
                   env={'PATH': f'{build_dir}/bin:/usr/bin:/bin'})
        lines = (done.out + done.err).splitlines()
        assert len(lines) == len(expected), str(done)
        for line, wanted in zip(lines, expected):
            assert fnmatch.fnmatchcase(line, pattern(wanted)), f'{command}: {line!r} is not {wanted!r}'
        # As of diff and grep, 1 is an answer.
        assert done.status == (1 if command.startswith('adyton diff') or expected == ['0'] else 0), str(done)
