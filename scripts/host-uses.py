#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Calls of the host that no typed function of host.h stands for.

    host-uses.py [--list]

Counts, file by file, the uses of host_pass*() and host_syscall*() outside src/host and
src/platform. Fails when a file has more than scripts/host-uses.txt says, and when it has fewer
than that: so the numbers only go down. --list prints the list as it would have to be.
"""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parent / 'src'
LIST = HERE / 'host-uses.txt'
NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
USE = re.compile(r'\bhost_(?:pass|syscall)(?:_blocking)?\b')


def counted():
    """{file below src: uses}, of files that have any."""
    found = {}
    for path in sorted(SOURCES.rglob('*.[ch]')):
        name = path.relative_to(SOURCES).as_posix()
        if not name.startswith(('host/', 'platform/')):
            n = len(USE.findall(NO_CODE.sub(' ', path.read_text())))
            if n:
                found[name] = n
    return found


def listed():
    """{file below src: uses} as checked in."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and line[0] != '#']
    return {name: int(n) for n, name in lines}


def main():
    found = counted()
    if '--list' in sys.argv[1:]:
        for name, n in found.items():
            print(n, name)
        return 0
    known = listed()
    bad = 0
    for name in sorted(found.keys() | known.keys()):
        n, most = found.get(name, 0), known.get(name, 0)
        if n > most:
            print(f'src/{name}: {n} raw calls of the host, {most} are known: '
                  'use or add a typed function of src/host/host.h')
        elif n < most:
            print(f'src/{name}: {n} raw calls of the host, no longer {most}: '
                  'correct scripts/host-uses.txt')
        bad += n != most
    print(f'raw calls of the host: {sum(found.values())} in {len(found)} files')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
