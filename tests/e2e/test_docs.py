# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the documents claim of the tree holds."""
import re
import subprocess
import sys


def test_compatibility_table(libos, build_dir, project_root):
    """Every system call and manifest key is in docs/compatibility.md, in its true state."""
    image = build_dir / 'lib' / 'adyton' / 'adyton-direct'
    done = subprocess.run([sys.executable, project_root / 'scripts' / 'compat-table.py', '--image', image],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_exist(build_dir, project_root):
    """Every command in README.md's table is in bin/."""
    text = (project_root / 'README.md').read_text()
    commands = set(re.findall(r'^\| `([a-z-]+)` \|', text, re.M))
    built = {path.name for path in (build_dir / 'bin').iterdir()}
    assert commands and commands <= built, commands - built


def test_paths_exist(project_root):
    """Files that the documents name are there."""
    missing = []
    for path in [*project_root.glob('*.md'), *(project_root / 'docs').glob('*.md')]:
        for name in re.findall(r'`((?:src|docs|scripts|tests|examples|bench)/[\w./-]+)`', path.read_text()):
            # A test program is named without its suffix.
            if not (project_root / name).exists() and not (project_root / f'{name}.c').exists():
                missing.append(f'{path.name}: {name}')
        for name in re.findall(r'\]\(([\w./-]+\.md)\)', path.read_text()):
            if not (path.parent / name).exists():
                missing.append(f'{path.name}: {name}')
    assert not missing, missing
