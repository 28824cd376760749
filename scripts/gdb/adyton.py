# SPDX-License-Identifier: LGPL-3.0-or-later
"""For gdb on a program that runs inside: `source scripts/gdb/adyton.py`, or GDB_SCRIPT=scripts/gdb/adyton.py.

The first system calls from each place raise SIGSYS, which is no event of the program. `adyton-symbols` reads the
symbols of every file that the program has mapped by now.
"""
import os

import gdb

gdb.execute('handle SIGSYS nostop noprint pass', to_string=True)
gdb.execute('set pagination off')


class Symbols(gdb.Command):
    """adyton-symbols: read the symbols of the program and its libraries, as they are mapped now."""

    def __init__(self):
        super().__init__('adyton-symbols', gdb.COMMAND_FILES)
        self.known = set()

    def invoke(self, argument, from_tty):
        pid = gdb.selected_inferior().pid
        if not pid:
            raise gdb.GdbError('adyton-symbols: nothing runs yet')
        image = os.path.realpath(f'/proc/{pid}/exe')
        with open(f'/proc/{pid}/maps', encoding='utf-8') as maps:
            rows = [line.split(None, 5) for line in maps]
        for row in rows:
            path = row[5].strip() if len(row) > 5 else ''
            start, offset = int(row[0].split('-')[0], 16), int(row[2], 16)
            if offset or path == image or (path, start) in self.known or not is_elf(path):
                continue
            self.known.add((path, start))
            base = start if is_relocatable(path) else 0
            gdb.execute(f'add-symbol-file {path} -o {base:#x}', to_string=True)
            print(f'{start:#x} {path}')


def header(path):
    try:
        with open(path, 'rb') as file:
            return file.read(18)
    except OSError:
        return b''


def is_elf(path):
    return path.startswith('/') and header(path)[:4] == b'\x7fELF'


def is_relocatable(path):
    """ET_DYN: mapped anywhere."""
    return header(path)[16:18] == b'\3\0'


Symbols()


class ProgramBacktrace(gdb.Command):
    """adyton-bt: the program's own stack, from inside a system call (its saved registers are put in for the moment)."""

    NAMES = ('rip', 'rsp', 'rbp', 'rbx', 'r12', 'r13', 'r14', 'r15')

    def __init__(self):
        super().__init__('adyton-bt', gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        frame = gdb.newest_frame()
        while frame and frame.name() != 'syscall_dispatch':
            frame = frame.older()
        if not frame:
            raise gdb.GdbError('adyton-bt: this thread is not in a system call')
        saved = frame.read_var('r').dereference()
        theirs = {name: int(saved[name]) for name in self.NAMES}
        gdb.newest_frame().select()
        ours = {name: int(gdb.parse_and_eval(f'${name}')) & (1 << 64) - 1 for name in self.NAMES}
        try:
            put(theirs)
            gdb.execute(f'backtrace {argument}')
        finally:
            put(ours)


def put(registers):
    for name, value in registers.items():
        gdb.execute(f'set ${name} = {value:#x}', to_string=True)


ProgramBacktrace()
