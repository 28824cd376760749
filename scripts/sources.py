#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Prints the C and C++ files below src that a build compiles, one a line, for tools that read
compile_commands.json; with --commands, how gcc compiles each C file, to nowhere; with --database, the
compile_commands.json itself without what clang's tools do not know.

usage: sources.py [--commands | --database] BUILDDIR [FILE...]
"""
import json
import os
import pathlib
import shlex
import sys

# What names an output or a list of dependencies; a warning is for the tool to give, not to stop at.
DROPPED = {'-Werror', '-MD', '-MMD', 'ccache'}
GCC_ONLY = {'-fno-tree-loop-distribute-patterns'}
DROPPED_WITH_VALUE = {'-o', '-MQ', '-MF', '-MT'}


def compiled(build):
    """{path: command} of each source below src, as it was compiled first."""
    root = pathlib.Path.cwd()
    found = {}
    for entry in json.loads((build / 'compile_commands.json').read_text()):
        path = os.path.relpath(pathlib.Path(entry['directory'], entry['file']).resolve(), root)
        if path.startswith('src/') and path.endswith(('.c', '.cc')):
            found.setdefault(path, entry['command'])
    return found


def to_nowhere(command):
    words = iter(shlex.split(command))
    kept = []
    for word in words:
        if word in DROPPED_WITH_VALUE:
            next(words)
        elif word not in DROPPED:
            kept.append(word)
    return shlex.join([*kept, '-o', '/dev/null'])


def main():
    how = sys.argv.pop(1) if sys.argv[1:2] in (['--commands'], ['--database']) else None
    build, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    if how == '--database':
        entries = json.loads((build / 'compile_commands.json').read_text())
        for entry in entries:
            words = shlex.split(entry['command'])
            entry['command'] = shlex.join(word for word in words if word not in GCC_ONLY)
        json.dump(entries, sys.stdout)
        return
    for path, command in sorted(compiled(build).items()):
        if wanted and path not in wanted:
            continue
        if how is None:
            print(path)
        elif path.endswith('.c'):
            print(to_nowhere(command))


if __name__ == '__main__':
    main()
