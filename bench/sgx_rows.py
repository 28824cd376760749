# SPDX-License-Identifier: LGPL-3.0-or-later
"""Rows of bench.py about the software SGX device, measured with examples/sgx-hello/bench.c.

Where nothing is native, the left column is the same with every ENCLU trapping (--no-rewrite).
"""
import pathlib
import shutil
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
PYTHON = '/usr/bin/python3'


def device(bench, *options):
    return [bench.build / 'bin' / 'adyton', 'sgxemu', '--quiet', *options, '--fuses', bench.folder / 'sgx-fuses']


def example(bench):
    folder = bench.folder / 'sgx-hello'
    if not hasattr(bench, 'sgx_example'):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ROOT / 'examples/sgx-hello', folder, ignore=shutil.ignore_patterns(
            '*.bin', '*.elf', '*.sig', 'key.pem', 'hello', 'hello-vdso', 'bench'))
        subprocess.run(['make', '-s', f'BUILD={bench.build}', f'ROOT={ROOT}'], cwd=folder, check=True)
        bench.sgx_example = True
    return folder


def measured(bench, left, right, runs=None):
    """Interleaved runs of two commands that print their number last."""
    folder = example(bench)
    values = ([], [])
    for _ in range(runs or min(bench.runs, 5)):
        for side, command in enumerate((left, right)):
            if command:
                values[side].append(float(bench.run(command, cwd=folder)[0].split()[-1]))
    return tuple(statistics.median(v) if v else None for v in values)


def leaf(what):
    def row(bench):
        return measured(bench, [*device(bench, '--no-rewrite'), './bench', what], [*device(bench), './bench', what])
    return row


def alone(what, runs=3):
    def row(bench):
        return measured(bench, None, [*device(bench), './bench', what], runs)
    return row


def compute(bench):
    return measured(bench, ['./bench', 'outside'], [*device(bench), './bench', 'compute'])


def all_measured(bench):
    return measured(bench, ['./bench', 'hash'], [*device(bench), './bench', 'measured'], 3)


def host_call(bench):
    return measured(bench, ['./bench', 'syscall'], [*device(bench), './bench', 'syscall'])


def host_program(*argv):
    def row(bench):
        values = ([], [])
        bench.run([*device(bench), '/bin/true'])  # makes the fuse file
        for turn in range(bench.runs + 1):
            for side, command in enumerate((argv, [*device(bench), *argv])):
                wall = bench.run(command)[1] * 1000
                if turn > 0:
                    values[side].append(wall)
        return statistics.median(values[0]), statistics.median(values[1])
    return row


SHELL = 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; seq 20000 | sort -rn | tail -1'
SCRIPT = "import json, hashlib; d = {str(i): i for i in range(200000)}; print(len(json.dumps(json.loads(json.dumps(d)))))"

ROWS = {
    'sgx-enter': ('device: EENTER + EEXIT (left: trapping)', 'ns', 'most', 250, leaf('enter')),
    'sgx-aex': ('device: AEX, handler entered, ERESUME (left: trapping)', 'ns', 'none', 0, leaf('aex')),
    'sgx-ereport': ('device: EREPORT (left: trapping)', 'ns', 'most', 2000, leaf('report')),
    'sgx-egetkey': ('device: EGETKEY (left: trapping)', 'ns', 'most', 2000, leaf('key')),
    'sgx-build': ('device: 1 GiB enclave, 32 MiB measured', 'ms', 'most', 600, alone('build')),
    'sgx-measured': ('device: 1 GiB, all measured (left: its hash alone)', 'ms', 'none', 0, all_measured),
    'sgx-elrange': ('device: 1 TiB ELRANGE with EDMM', 'ms', 'most', 20, alone('elrange', 5)),
    'sgx-elrange-mib': ('device: memory of a 1 TiB ELRANGE', 'MiB', 'most', 20, alone('elrange-mib')),
    'sgx-compute': ('device: pure computation inside', 'ns', 'ratio', 1.01, compute),
    'sgx-syscall': ('device: system call of the host program', 'ns', 'ratio', 1.8, host_call),
    'sgx-shell': ('device: shell script without enclave', 'ms', 'ratio', 1.2, host_program('/bin/sh', '-c', SHELL)),
    'sgx-python': ('device: python3 without enclave', 'ms', 'ratio', 1.2, host_program(PYTHON, '-c', SCRIPT)),
}
