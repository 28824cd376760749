# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the memory of a whole run knows after encrypted files were closed: of their content, their
nodes' keys and old keys nothing, and the key of the mount once, where it waits for the next file.
"""
import os
import pathlib
import re
import select
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests'))
PAGE = 4096
PRESENT = 1 << 63 | 1 << 62 | 1 << 61  # in memory, swapped, or of a file


def present_runs(pagemap, start, end):
    """(first, end) addresses of what of a mapping was ever touched."""
    first = None
    for at in range(start, end, PAGE << 15):
        stop = min(end, at + (PAGE << 15))
        entries = os.pread(pagemap, (stop - at) // PAGE * 8, at // PAGE * 8)
        if not any(entries):
            if first is not None:
                yield first, at
                first = None
            continue
        for i in range(len(entries) // 8):
            there = int.from_bytes(entries[8 * i:8 * i + 8], 'little') & PRESENT
            if there and first is None:
                first = at + i * PAGE
            elif not there and first is not None:
                yield first, at + i * PAGE
                first = None
    if first is not None:
        yield first, end


def memory(pid):
    """(address, name, bytes) of everything that the process has, readable or not."""
    pagemap = os.open(f'/proc/{pid}/pagemap', os.O_RDONLY)
    mem = os.open(f'/proc/{pid}/mem', os.O_RDONLY)
    try:
        for line in pathlib.Path(f'/proc/{pid}/maps').read_text().splitlines():
            fields = line.split(maxsplit=5)
            name = fields[5] if len(fields) > 5 else ''
            if name in ('[vvar]', '[vsyscall]', '[vvar_vclock]'):
                continue
            start, end = (int(x, 16) for x in fields[0].split('-'))
            for first, last in present_runs(pagemap, start, end):
                done = b''
                while len(done) < last - first:
                    part = os.pread(mem, last - first - len(done), first + len(done))
                    assert part, f'{line}: cannot be read'
                    done += part
                yield first, f'{name} {fields[1]}', done
    finally:
        os.close(pagemap)
        os.close(mem)


def found(content, needle):
    return [f'{address + hit.start():#x} {name}' for address, name, part in content
            for hit in re.finditer(re.escape(needle), part)]


@pytest.fixture
def program(tmp_path):
    target = tmp_path / 'program'
    subprocess.run(['gcc', '-O1', ROOT / 'tests/programs/encrypted_secrets.c', '-o', target], check=True)
    return target


def node_keys(key, host):
    """Keys of the root and of the first nodes below it, of the last version."""
    reader = pytest.importorskip('pfs_reader')
    raw = host.read_bytes()
    meta_key = reader.metadata_key(key, raw[10:42])
    meta = reader.unseal(meta_key, raw[59:59 + 3884], raw[42:58], 'node 0')
    root = reader.unseal(meta[780:796], raw[PAGE:2 * PAGE], meta[796:812], 'node 1')
    return [meta_key, meta[780:796], *(root[32 * i:32 * i + 16] for i in (0, 1, 24, 95, 96))]


@pytest.mark.parametrize('left_open', (False, True))
def test_memory(tmp_path, prepare_inside, program, left_open):
    host = tmp_path / 'host'
    host.mkdir()
    key, secret = os.urandom(16), os.urandom(8)
    start = prepare_inside(program, extras={
        'fs.mounts': [{'type': 'encrypted', 'path': '/sealed', 'uri': f'file:{host}', 'key_name': 'key'}]})
    command = start(['/sealed/file', *(['open'] if left_open else [])], command_only=True)
    with subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=tmp_path) as child:
        try:
            child.stdin.write(key + secret)
            child.stdin.flush()
            assert select.select([child.stdout], [], [], 60)[0], 'it never was ready'
            line = child.stdout.readline()
            assert line == b'ready\n', child.stderr.read()
            content = list(memory(child.pid))
            child.stdin.write(b'.')
            child.stdin.flush()
            assert child.wait(60) == 0
        finally:
            child.kill()
    of_secret, of_key = found(content, secret), found(content, key)
    of_nodes = [hit for one in node_keys(key, host / 'file') for hit in found(content, one)]
    if left_open:
        assert len(of_secret) > 10 and len(of_key) > 1 and of_nodes, 'what is looked for would not be found'
    else:
        assert not of_secret and not of_nodes, (of_secret, of_nodes)
        assert len(of_key) == 1, of_key
