# SPDX-License-Identifier: LGPL-3.0-or-later
"""Rows of bench.py about the key server: attested provisionings with cached collateral, an audit log that is synced,
and the client (tests/keyserver/load.c) on the same processors."""
import contextlib
import pathlib
import re
import shutil
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
COUNT = 2000


@contextlib.contextmanager
def server(bench):
    sys.path.insert(0, str(ROOT / 'tests/e2e'))
    import keyserver
    keyserver.BUILD, keyserver.ADYTON = bench.build, bench.build / 'bin/adyton'
    folder = bench.folder / 'keyserver'
    shutil.rmtree(folder, ignore_errors=True)
    (folder / 'device').mkdir(parents=True)
    device = keyserver.Device(folder / 'device')
    (folder / 'key').write_bytes(b'0123456789abcdef')
    with keyserver.serving(folder / 's', keyserver.secret('key', f'file:{folder}/key'), device, audit=True) as s:
        yield s, device.enclave()


def load(bench, s, enclave, count=COUNT):
    client = bench.build / 'tests/keyserver/keyserver-load'
    out, _ = bench.run([client, s.port, *enclave, s.cert, 16, count])
    return float(re.search(r': ([\d.]+) /s', out)[1])


def resident(s):
    return int(re.search(r'VmRSS:\s+(\d+) kB', pathlib.Path(f'/proc/{s.process.pid}/status').read_text())[1])


def rate(bench):
    with server(bench) as (s, enclave):
        load(bench, s, enclave, 200)
        return None, statistics.median(load(bench, s, enclave) for _ in range(min(bench.runs, 5)))


def alone(bench):
    """Provisionings in a second of the server's own processor time."""
    def used():
        fields = pathlib.Path(f'/proc/{s.process.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100
    with server(bench) as (s, enclave):
        load(bench, s, enclave, 200)
        before = used()
        load(bench, s, enclave)
        return None, COUNT / (used() - before)


def memory(bench):
    """What it has grown by after 10,000 connections."""
    with server(bench) as (s, enclave):
        load(bench, s, enclave)
        before = resident(s)
        load(bench, s, enclave, 5 * COUNT)
        return None, resident(s) - before


ROWS = {
    'keyserver': ('key server: attested provisionings, client included', '/s', 'speed', 400, rate),
    'keyserver-core': ('key server: the same for a second of its own time', '/s', 'speed', 400, alone),
    'keyserver-memory': ('key server: growth over 10,000 connections', 'KiB', 'most', 1024, memory),
}
