# SPDX-License-Identifier: LGPL-3.0-or-later
"""Programs in an enclave: gramine-sgx-sign and gramine-sgx, on the software device."""
import pathlib
import re
import subprocess

import pytest

from conftest import ENVIRONMENT, command, run

PYTHON = '/usr/bin/python3'

def compiled(tmp_path, *options):
    program = tmp_path / 'hello'
    source = tmp_path / 'hello.c'
    source.write_text('#include <stdio.h>\nint main(int n, char **v) '
                      '{ printf("%d %s\\n", n, v[n - 1]); return 7; }\n')
    done = subprocess.run(['gcc', '-O1', *options, '-o', program, source], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f'gcc {" ".join(options)}: {done.stderr}')
    return program


@pytest.mark.parametrize('options', [('-static',), ('-static-pie',), ('-no-pie',), ('-pie',)], ids=' '.join)
def test_hello(options, signed, enclave, tmp_path):
    program = compiled(tmp_path, *options)
    done = enclave(signed(str(program)), ['x', 'last'])
    assert (done.status, done.out, done.err) == (7, '3 last\n', ''), str(done)


PROGRAMS = {
    'bash': ('bash', ['-c', 'x=$((6 * 7)); echo $x; for i in a b; do printf "%s " $i; done; exit 3']),
    'sort': ('sort', ['-r', '/etc/passwd']),
    'awk': ('awk', ['BEGIN { for (i = 0; i < 1000; i++) s += i * i; print s }']),
    'python': (PYTHON, ['-c', 'import sys, json, math, zlib, hashlib\n'
                        'print(json.dumps({"s": math.sin(1), "h": hashlib.sha256(b"x" * 100000).hexdigest()}))\n'
                        'print(len(zlib.compress(bytes(100000))), sys.argv)', 'a', 'b']),
    'threads': (PYTHON, ['-c', 'import threading, queue\nq = queue.Queue()\n'
                         't = [threading.Thread(target=lambda i=i: q.put(i * i)) for i in range(6)]\n'
                         '[x.start() for x in t]; [x.join() for x in t]\n'
                         'print(sorted(q.get() for _ in t))']),
    'exception': (PYTHON, ['-c', 'import ctypes, signal, sys\n'
                           'try: 1 / 0\nexcept ZeroDivisionError as e: print(e)\n'
                           'raise SystemExit(9)']),
    'asyncio': (PYTHON, ['-c', 'import asyncio\nasync def one(n):\n await asyncio.sleep(n / 100)\n return n\n'
                         'async def main(): print(await asyncio.gather(*map(one, range(5))))\n'
                         'asyncio.run(main())']),
    'alarm': (PYTHON, ['-c', 'import signal, time, os\nsignal.signal(signal.SIGALRM, lambda *_: print("alarm"))\n'
                       'signal.setitimer(signal.ITIMER_REAL, 0.05)\nsignal.pause()\n'
                       'print("now", flush=True)\nos.abort()']),
    'sqlite': (PYTHON, ['-c', 'import sqlite3\nc = sqlite3.connect(":memory:")\nc.execute("create table t (a)")\n'
                        'c.executemany("insert into t values (?)", [(i,) for i in range(1000)])\n'
                        'print(c.execute("select sum(a) from t").fetchone())']),
}

# Second processes: each is an enclave of its own.
PROGRAMS |= {
    'pipeline': ('bash', ['-c', 'ls / | sort -r | head -3']),
    'subshell': ('bash', ['-c', 'x=1; (x=2; echo $x; exit 3); echo $? $x; y=$(echo in; exit 4); echo $? $y']),
    'builtins': ('bash', ['-c', 'for i in 3 1 2; do echo $i; done | while read a; do echo "<$a>"; done; echo $PIPESTATUS']),
    'status': ('bash', ['-c', 'false; echo $?; { bash -c "kill -9 \\$\\$"; echo $?; } 2>/dev/null; bash -c "exit 5" & wait $!; echo $?']),
    'subprocess': (PYTHON, ['-c', 'import subprocess, sys\n'
                            'r = subprocess.run(["cat", "-", "/etc/hostname"], input=b"x" * 200000, capture_output=True)\n'
                            'print(r.returncode, len(r.stdout), r.stderr)\n'
                            'print(subprocess.run([sys.executable, "-c", "import os; print(os.getppid() > 0); exit(7)"]'
                            ').returncode)']),
    'posix_spawn': (PYTHON, ['-c', 'import os\np = os.posix_spawn("/bin/echo", ["echo", "spawned"], os.environ)\n'
                             'print(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))']),
    'fork': (PYTHON, ['-c', 'import os, sys\nheap = [bytes([i % 256]) * 1000 for i in range(20000)]\nr, w = os.pipe()\n'
                      'p = os.fork()\n'
                      'if p == 0:\n'
                      '    ok = all(heap[i] == bytes([i % 256]) * 1000 for i in range(20000))\n'
                      '    heap[5] = None; os.write(w, b"%d %d" % (ok, os.getpid() > 0)); os._exit(11)\n'
                      'os.close(w); print(os.read(r, 100)); got, status = os.waitpid(p, 0)\n'
                      'print(got == p, os.waitstatus_to_exitcode(status), heap[5][:2])']),
}


@pytest.mark.parametrize('name', PROGRAMS)
def test_same_as_native(name, signed, enclave):
    program, args = PROGRAMS[name]
    program = command(program)
    native = run([program, *args])
    inside = enclave(signed(program), args)
    assert (inside.status, inside.out, inside.err) == (native.status, native.out, native.err), \
        f'native: {native}\ninside: {inside}'


FAULTS = r"""
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
static sigjmp_buf back;
static char stack[65536];
static void handler(int sig, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d code %d\n", sig, info->si_code);
    siglongjmp(back, 1);
}
static int deep(int n)
{
    volatile char page[4096];
    page[0] = (char)n;
    return deep(n + 1) + page[0];
}
#define TRY(name, what) (printf("%s: ", name), sigsetjmp(back, 1) ? (void)0 : (what))
int main(void)
{
    stack_t s = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    volatile double zero = 0;
    volatile int none = 0;
    unsigned mxcsr;
    char *p = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    setvbuf(stdout, 0, _IONBF, 0);
    sigaltstack(&s, 0);
    for (int sig = 1; sig < 32; sig++)
        sigaction(sig, &a, 0);
    TRY("null", (void)*(volatile char *)(long)none);
    TRY("read-only", (void)(*(volatile char *)p = 1));
    munmap(p + 4096, 4096);
    TRY("unmapped", (void)*(volatile char *)(p + 4096));
    TRY("divided", (void)(none = 1 / none));
    TRY("undefined", __builtin_trap());
    TRY("int3", ({ __asm__ volatile("int3"); }));
    TRY("no stack left", (void)deep(0));
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    mxcsr &= ~0x0200u;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    TRY("divided by 0.0", (void)(zero = 1 / zero));
    puts("end");
}
"""


def test_faults_are_those_of_the_host(signed, enclave, tmp_path):
    source, program = tmp_path / 'faults.c', tmp_path / 'faults'
    source.write_text(FAULTS)
    done = run(['gcc', '-O0', '-w', '-o', program, source])
    if done.status:
        pytest.skip(str(done))
    native, inside = run([program]), enclave(signed(str(program)))
    assert native.out.endswith('end\n') and inside.out == native.out, f'native: {native}\ninside: {inside}'


@pytest.mark.parametrize('injected', (True, False), ids=('injected', 'not injected'))
def test_sigterm(injected, signed, build_dir):
    prefix = signed(command('bash'), {'sys.enable_sigterm_injection': injected})
    with subprocess.Popen([build_dir / 'bin' / 'gramine-sgx', prefix, '-c',
                           'trap "echo heard; exit 5" TERM; echo ready; while :; do :; done'],
                          env={**ENVIRONMENT, 'ADYTON_SGX': 'emulate'}, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout.readline() == 'ready\n'
        child.terminate()
        out, _ = child.communicate(timeout=60)
    assert (child.returncode, out) == ((5, 'heard\n') if injected else (-15, ''))


def test_statistics(signed, enclave):
    clocks = 'import time\nfor _ in range(10000): time.monotonic()'
    done = enclave(signed(PYTHON, {'sgx.enable_stats': True, 'sgx.debug': True}), ['-c', clocks])
    calls = int(re.search(r'host calls \(EEXIT, EENTER\): (\d+)', done.err)[1])
    asked = int(re.search(r'(\d+) clock_gettime', done.err)[1])
    assert done.status == 0 and asked < 1000 and asked < calls < 5000, str(done)
    done = enclave(signed(PYTHON, {'sgx.enable_stats': True}), ['-c', ''])
    assert done.status == 1 and 'sgx.debug = true' in done.err, str(done)


def test_without_a_device(signed, build_dir):
    if pathlib.Path('/dev/sgx_enclave').exists():
        pytest.skip('this machine has SGX')
    done = run([build_dir / 'bin' / 'gramine-sgx', signed('/bin/true')])
    assert done.status == 1 and done.err.count('\n') == 1, str(done)
    assert 'ADYTON_SGX=emulate' in done.err and 'adyton doctor' in done.err


def measured(build_dir, prefix):
    done = run([build_dir / 'bin' / 'adyton', 'measure', f'{prefix}.manifest.sgx'])
    assert done.status == 0 and re.fullmatch('[0-9a-f]{64}\n', done.out), str(done)
    return done.out.strip()


def test_measurement_is_the_signature_s(signed, build_dir):
    prefix = signed('/bin/true')
    view = run([build_dir / 'bin' / 'gramine-sgx-sigstruct-view', f'{prefix}.sig'])
    assert f'mr_enclave: {measured(build_dir, prefix)}\n' in view.out


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_changed_signature_is_refused(signed, enclave):
    prefix = signed('/bin/true')
    signature = pathlib.Path(f'{prefix}.sig')
    original = signature.read_bytes()
    for at, word in ((0, 'SGX_INVALID_SIG_STRUCT'), (600, 'SGX_INVALID_SIGNATURE'), (970, 'SGX_INVALID_SIGNATURE')):
        signature.write_bytes(original)
        flip(signature, at)
        done = enclave(prefix)
        assert done.status == 1 and word in done.err and 'gramine-sgx-sign' in done.err, str(done)
    signature.write_bytes(original[:-1])
    done = enclave(prefix)
    assert done.status == 1 and '1808' in done.err, str(done)
    signature.unlink()
    done = enclave(prefix)
    assert done.status == 1 and 'gramine-sgx-sign' in done.err, str(done)


def test_changed_manifest_is_refused(signed, enclave):
    prefix = signed('/bin/true')
    text = pathlib.Path(f'{prefix}.manifest.sgx')
    text.write_text(text.read_text() + '\n# changed\n')
    done = enclave(prefix)
    assert done.status == 1 and 'SGX_INVALID_MEASUREMENT' in done.err and 'manifest' in done.err, str(done)


def test_changed_trusted_file_is_refused(signed, enclave, tmp_path):
    program = compiled(tmp_path, '-static')
    prefix = signed(str(program), {'sgx.file_check_policy': 'strict', 'sgx.trusted_files': [f'file:{program}']})
    assert enclave(prefix, ['a']).status == 7
    flip(program, program.stat().st_size // 2)
    done = enclave(prefix, ['a'])
    assert done.status not in (0, 7) and str(program) in done.err, str(done)


SIZES = {
    'dynamic': ({'sgx.edmm_enable': True}, 'sgx.edmm_enable'),
    'too small': ({'sgx.enclave_size': '1M'}, 'sgx.enclave_size'),
    'too many threads': ({'sgx.enclave_size': '16M', 'sgx.max_threads': 500}, 'sgx.max_threads'),
}


@pytest.mark.parametrize('name', SIZES)
def test_sizes_that_cannot_be(name, prepare_inside, build_dir, signing_key):
    extras, word = SIZES[name]
    prefix = prepare_inside('/bin/true', extras).command[1]
    done = run([build_dir / 'bin' / 'gramine-sgx-sign', '-m', f'{prefix}.manifest', '-o', f'{prefix}.manifest.sgx',
                '-k', signing_key])
    assert done.status == 1 and word in done.err and done.err.count('\n') == 1, str(done)


def raw(build_dir, *argv):
    return subprocess.run([build_dir / 'bin' / 'adyton', 'run', '--sgx', *map(str, argv)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120, check=False)


def test_insecure_options_are_told(signed, build_dir):
    """In the order of the specification; none of them: nothing is told."""
    done = raw(build_dir, '--emulate', signed('/bin/true', {'sgx.debug': True, 'loader.log_level': 'warning'}))
    assert done.returncode == 0
    box = done.stderr.split('-' * 119 + '\n')[1]
    assert box.startswith('Gramine detected the following insecure configurations:\n')
    assert re.findall(r'^  - (\S+)', box, re.M) == [
        'sgx.debug', 'loader.log_level', 'loader.insecure__use_cmdline_argv', 'loader.insecure__use_host_env',
        'sgx.file_check_policy']
    assert 'must not be used in production' in box


SAFE = {'loader.insecure__use_cmdline_argv': None, 'loader.insecure__use_host_env': None, 'loader.log_level': 'error',
        'loader.env.LD_LIBRARY_PATH': '/lib/x86_64-linux-gnu', 'sgx.file_check_policy': 'strict',
        'sgx.allowed_files': None}


def test_nothing_insecure(signed, build_dir, tmp_path):
    program = compiled(tmp_path, '-static')
    prefix = signed(str(program), {**SAFE, 'loader.argv': ['hello'], 'sgx.trusted_files': [f'file:{program}']})
    done = raw(build_dir, '--emulate', prefix)
    assert (done.returncode, done.stdout) == (7, '1 hello\n') and 'insecure' not in done.stderr, done


def test_production_refuses(signed, build_dir):
    done = raw(build_dir, '--production', signed('/bin/true', {'sgx.debug': True}))
    assert done.returncode == 1 and done.stdout == ''
    for key, remedy in (('sgx.debug', 'false'), ('loader.insecure__use_cmdline_argv', 'loader.argv'),
                        ('sgx.file_check_policy', 'strict')):
        assert any(key in line and remedy in line for line in done.stderr.splitlines()), done.stderr
