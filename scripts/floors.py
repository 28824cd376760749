#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""The floors of the library OS: no file uses what stands on a higher floor.

    floors.py BUILD [--list]

Reads scripts/floors.txt (which file stands where, and the arrows upward that there still are) and
the object files of adyton-direct in BUILD. Fails when a file has no floor, when an arrow upward is
not in the list, or when the list has one that is gone: so the list only gets shorter.
--list prints the arrows upward, one a line, as the list has them.
"""
import collections
import fnmatch
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DEFINED = 'TDBRVCWuS'
PLATFORM = 'platform/'
PREFIX = '.._'  # of objects whose sources stand beside libos


def symbols(path):
    """(defined, used) names of an object file."""
    defined, used = set(), set()
    out = subprocess.run(['nm', '-P', path], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        name, kind = line.split()[:2]
        (used if kind in 'Uw' else defined if kind in DEFINED else set()).add(name)
    return defined, used


def file_name(path):
    """fs_file.c.o -> fs/file: the source of an object below src/libos, or beside it."""
    name = path.name.removesuffix('.o').rsplit('.', 1)[0].removeprefix(PREFIX)
    for folder in ('platform_direct', 'platform_common', 'host'):
        if path.name.startswith(PREFIX + folder + '_'):
            return folder.replace('_', '/') + '/' + name.removeprefix(folder + '_')
    room, _, rest = name.partition('_')
    return f'{room}/{rest}' if rest else room


def read_list(path):
    """[(floor, pattern)], {arrow}"""
    floors, arrows = [], set()
    for line in path.read_text().splitlines():
        words = line.split('#')[0].split()
        if len(words) == 3 and words[1] == '->':
            arrows.add((words[0], words[2]))
        elif words:
            floors += [(int(words[0]), pattern) for pattern in words[1:]]
    return floors, arrows


def floor_of(name, floors):
    """The floor of the first pattern that fits; None: of none."""
    return next((floor for floor, pattern in floors if fnmatch.fnmatchcase(name, pattern)), None)


def upward(objects, floors):
    """{(user, used): names} for each arrow to a higher floor."""
    home, uses = {}, {}
    for path in objects:
        name = file_name(path)
        defined, uses[name] = symbols(path)
        home.update(dict.fromkeys(defined, name))
    arrows = collections.defaultdict(set)
    for name, used in uses.items():
        for symbol in used:
            other = home.get(symbol)
            if other and not other.startswith(PLATFORM) and floor_of(other, floors) > floor_of(name, floors):
                arrows[name, other].add(symbol)
    return arrows


def main():
    build, options = pathlib.Path(sys.argv[1]), sys.argv[2:]
    objects = sorted((build / 'src' / 'libos' / 'adyton-direct.p').glob('*.o'))
    if not objects:
        sys.exit(f'floors.py: no objects of adyton-direct in {build}: build it first')
    floors, known = read_list(HERE / 'floors.txt')
    homeless = [file_name(path) for path in objects if floor_of(file_name(path), floors) is None]
    if homeless:
        sys.exit(f'floors.py: no floor in scripts/floors.txt for: {" ".join(homeless)}')
    arrows = upward(objects, floors)
    if '--list' in options:
        for (user, used), names in sorted(arrows.items()):
            print(f'{user} -> {used}  # {" ".join(sorted(names))}')
        return
    new, gone = sorted(arrows.keys() - known), sorted(known - arrows.keys())
    for user, used in new:
        print(f'{user} uses {" ".join(sorted(arrows[user, used]))} of {used}, which stands higher: '
              f'move it, or let {used} hand it down (a hook, a row in proc/lifecycle.c)')
    for user, used in gone:
        print(f'{user} -> {used} is gone: take it out of scripts/floors.txt')
    print(f'{len(objects)} files, {len(arrows)} arrows upward')
    sys.exit(1 if new or gone else 0)


if __name__ == '__main__':
    main()
