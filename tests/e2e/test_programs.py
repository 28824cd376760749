# SPDX-License-Identifier: LGPL-3.0-or-later
"""Programs that nobody changed: output, error output, exit status and the files they leave are the
same inside as natively.
"""
import os
import pathlib
import shlex
import shutil
import subprocess

import pytest

from conftest import command

SOURCES = pathlib.Path(__file__).resolve().parents[1] / 'programs'
PYTHON = '/usr/bin/python3'


# --- hello in every way of linking -------------------------------------------------------------

COMPILERS = {
    'glibc-pie': ['gcc', '-O1', '-fPIE', '-pie'],
    'glibc-no-pie': ['gcc', '-O1', '-fno-pie', '-no-pie'],
    'glibc-static': ['gcc', '-O1', '-static', '-no-pie'],
    'glibc-static-pie': ['gcc', '-O1', '-fPIE', '-static-pie'],
    'musl-dynamic': ['musl-gcc', '-O1', '-fPIE', '-pie'],
    'musl-static': ['musl-gcc', '-O1', '-static', '-no-pie'],
}


@pytest.fixture(scope='session')
def compiled(build_dir):
    """compiled(kind) -> the program, built when its source is newer"""
    folder = build_dir / 'tests' / 'programs'
    folder.mkdir(parents=True, exist_ok=True)

    def build(kind):
        source = SOURCES / ('hello.go' if kind.startswith('go') else 'hello.c')
        program = folder / f'hello-{kind}'
        if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
            return program
        if kind.startswith('go'):
            mode = ['-buildmode=pie'] if kind == 'go-pie' else []
            compiler = ['go', 'build', *mode, '-o', program, source]
        else:
            compiler = [*COMPILERS[kind], source, '-o', program]
        if not shutil.which(compiler[0]):
            pytest.skip(f'{compiler[0]} is not installed')
        env = {**os.environ, 'CGO_ENABLED': '0', 'GOFLAGS': '-mod=mod', 'GO111MODULE': 'off',
               'GOCACHE': str(folder / 'go-cache')}
        subprocess.run(compiler, check=True, env=env)
        return program
    return build


@pytest.mark.parametrize('kind', [*COMPILERS, 'go', 'go-pie'])
def test_hello(kind, compiled, same):
    result = same([compiled(kind), 'one', 'two words', '', 'ä'], env={'GREETING': 'hi'})
    assert 'Hello, world' in result.out and result.status == 23


def test_script_with_interpreter(tmp_path, same):
    script = tmp_path / 'script'
    script.write_text('#!/bin/sh -e\necho "$0" | sed "s,.*/,,"; echo "$@"; exit 9\n')
    script.chmod(0o755)
    assert same([script, 'a', 'b c']).status == 9


# --- coreutils, busybox, bash ------------------------------------------------------------------

COREUTILS = {
    'cat': 'cat words numbers',
    'head': 'head -n 3 numbers',
    'tail': 'tail -c 40 words',
    'wc': 'wc numbers words folder/blob',
    'sort': 'sort -n -r numbers',
    'uniq': 'uniq -c words',
    'cut': 'cut -d " " -f 2 words',
    'nl': 'nl words',
    'od': 'od -A x -t x1z -N 200 folder/blob',
    'base64': 'base64 folder/blob',
    'md5sum': 'md5sum folder/blob numbers',
    'sha256sum': 'sha256sum folder/blob words',
    'ls': 'ls -lnR --full-time .',
    'stat': 'stat -c "%n %s %a %F %u %g %Y" . words folder folder/blob',
    'cp': 'cp -Rv folder copy',
    'mv': 'mv -v words folder/words',
    'rm': 'rm -rv folder numbers',
    'mkdir': 'mkdir -pv a/b/c',
    'rmdir': 'rmdir folder',
    'ln': 'ln -sv words link',
    'truncate': 'truncate -s 12345 words',
    'touch': 'touch -d @1600000000 new',
    'dd': 'dd if=folder/blob of=out bs=777 skip=3 count=20 status=none',
    'split': 'split -n 3 folder/blob part-',
    'du': 'du --apparent-size -b folder/blob',
    'readlink': 'readlink -f folder/../words',
    'date': 'date -u -d @86400',
    'expr': 'expr 6 "*" 7',
    'factor': 'factor 1000000007 600851475143',
    'seq': 'seq -w 8 11',
    'env': 'env',
    'id': 'id -u',
    'pwd': 'pwd -P',
    'false': 'false',
    'missing-file': 'cat nothing-of-this-name',
    'wrong-option': 'ls --no-such-option',
}


@pytest.mark.parametrize('name', COREUTILS)
def test_coreutils(name, same):
    argv = shlex.split(COREUTILS[name])
    same([shutil.which(argv[0], path='/usr/bin:/bin'), *argv[1:]])


@pytest.mark.parametrize('name', ['tr', 'tee'])
def test_coreutils_with_stdin(name, same):
    argv = {'tr': ['/usr/bin/tr', 'a-z', 'A-Z'], 'tee': ['/usr/bin/tee', 'copy']}[name]
    same(argv, stdin='some lines\nfrom a pipe\n' * 5000)


@pytest.mark.parametrize('arguments', [
    ['echo', 'from busybox'],
    ['sha1sum', 'folder/blob'],
    ['grep', '-n', 'o', 'words'],
    ['awk', '{ s += $1 } END { print s, NR }', 'numbers'],
    ['sed', '-n', 's/quick/slow/p', 'words'],
    ['find', '.', '-type', 'f'],
    ['sh', '-c', 'for i in 1 2 3; do echo $((i * i)); done | sort -r; exit 4'],
    ['gzip', 'folder/blob'],
    ['tar', '-cf', 'all.tar', 'folder'],
], ids=lambda a: a[0])
def test_busybox(arguments, same):
    same([command('busybox'), *arguments])


BASH = {
    'pipeline': 'sort -n numbers | uniq | grep 7 | wc -l',
    'long-pipeline': 'cat folder/blob | od -v -t x1 | tr -d " \\n" | md5sum',
    'status': 'true | false; echo $?; set -o pipefail; false | true; echo $?; exit 77',
    'substitution': 'x=$(seq 1 10 | tail -n 1); y=$(<words); echo "$x ${#y} ${y:4:5}"',
    'here-document': 'tr a-z A-Z <<END\nhere $((2 ** 40))\nEND',
    'redirections': 'exec 3>out; echo three >&3; exec 3>&-; cat <out >>words; { echo e >&2; } 2>err; cat words err',
    'background': 'sleep 0.05 & (exit 3) & wait $!; echo $?; wait; echo done',
    'trap': 'trap "echo bye" EXIT; trap "echo term; exit 5" TERM; kill -TERM $$; echo not reached',
    'killed': '{ bash -c "kill -KILL \\$\\$"; } 2>err; echo $?; rm err',
    'xargs': 'ls | xargs -n 1 -P 1 basename',
    'process-substitution': 'diff <(sort words) <(sort -r words); echo $?',
    'not-found': 'no-such-command-at-all',
}


@pytest.mark.parametrize('name', BASH)
def test_bash(name, same):
    same(['/bin/bash', '-c', BASH[name]])


# --- python3 -----------------------------------------------------------------------------------

PYTHON_PROGRAMS = {
    'print': 'print(1)',
    'exit': 'import sys; print("out"); print("err", file=sys.stderr); sys.exit(3)',
    'exception': 'open("nothing-of-this-name")',
    'threading': '''
import threading, queue
q, total, lock = queue.Queue(), 0, threading.Lock()
def work():
    global total
    while (n := q.get()) is not None:
        with lock:
            total += n
threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads: t.start()
for n in range(10000): q.put(n)
for t in threads: q.put(None)
for t in threads: t.join()
e = threading.Event(); print(total, e.wait(0.01))
''',
    'pool': '''
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool: print(sum(pool.map(lambda n: n * n, range(1000))))
''',
    'subprocess': '''
import subprocess, sys
r = subprocess.run(["/usr/bin/tr", "a-z", "A-Z"], input="hello", text=True, capture_output=True)
print(r.returncode, r.stdout)
print(subprocess.run([sys.executable, "-c", "import sys; sys.exit(17)"]).returncode)
print(subprocess.run("kill -9 $$", shell=True).returncode)
print(subprocess.check_output("echo a; echo b >&2", shell=True, stderr=subprocess.STDOUT))
p = subprocess.Popen(["/bin/sleep", "100"]); p.terminate(); print(p.wait())
try: subprocess.run(["/no/such/program"])
except FileNotFoundError as e: print(e)
''',
    'fork': '''
import os
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(w, b"child"); os._exit(6)
os.close(w); print(os.read(r, 10), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
''',
    'sqlite3': '''
import os, sqlite3
db = sqlite3.connect(os.environ["SCRATCH"] + "/test.db")
db.execute("create table t (a integer primary key, b text)")
with db: db.executemany("insert into t (b) values (?)", ((str(n) * 10,) for n in range(2000)))
print(db.execute("select count(*), sum(length(b)) from t").fetchone()); db.execute("delete from t where a % 3"); db.commit()
print(db.execute("pragma integrity_check").fetchone(), db.execute("select max(b) from t").fetchone()); db.close()
os.remove(os.environ["SCRATCH"] + "/test.db")
''',
    'asyncio': '''
import asyncio
async def ticks(n, delay):
    for i in range(n): await asyncio.sleep(delay)
    return n
async def main():
    print(await asyncio.gather(*(ticks(n, 0.002) for n in range(1, 20))))
    try: await asyncio.wait_for(asyncio.sleep(10), 0.02)
    except asyncio.TimeoutError: print("time-out")
    p = await asyncio.create_subprocess_exec("/bin/echo", "sub", stdout=asyncio.subprocess.PIPE)
    print((await p.communicate())[0], p.returncode)
asyncio.run(main())
''',
    'json': 'import json; print(json.dumps(json.loads(\'{"a": [1, 2.5, null, true, "\\\\u00e4"]}\'), sort_keys=True, indent=1))',
    'zlib': 'import zlib; d = open("folder/blob", "rb").read(); c = zlib.compress(d, 9); print(len(c), zlib.crc32(c), zlib.decompress(c) == d)',
    'ctypes': '''
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.strlen(b"twelve bytes"), libc.abs(-5))
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
values = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
libc.qsort(values, 5, 4, compare(lambda a, b: a[0] - b[0])); print(list(values))
print(libc.close(-1), ctypes.get_errno())
''',
    'mmap': '''
import mmap
with open("folder/blob", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0); m[5000:5005] = b"hello"; m.flush(); print(m.find(b"hello"), len(m)); m.close()
a = mmap.mmap(-1, 1 << 20); a[123] = 7; print(a[123], a[124])
''',
    'signals': '''
import os, signal, time
signal.signal(signal.SIGUSR1, lambda s, f: print("got", s)); os.kill(os.getpid(), signal.SIGUSR1)
signal.signal(signal.SIGALRM, lambda s, f: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
print(signal.sigtimedwait([signal.SIGUSR2], 0.01)); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)
''',
    'files': '''
import os, pathlib, shutil, tempfile
p = pathlib.Path("folder"); shutil.copytree(p, "copy"); os.rename("copy", "renamed"); os.symlink("words", "link")
print(sorted(os.listdir(".")), os.path.realpath("link").rsplit("/", 1)[1], os.stat("words").st_size)
with open("words", "r+") as f: f.seek(4); f.write("QUICK"); f.truncate(30)
print(open("link").read()); os.chmod("words", 0o600); print(oct(os.stat("words").st_mode))
fd = os.open("words", os.O_RDONLY); os.unlink("words"); print(os.read(fd, 9)); shutil.rmtree("renamed")
''',
    'sockets': '''
import socket, selectors, threading
a, b = socket.socketpair(); a.sendall(b"x" * 100000); a.shutdown(socket.SHUT_WR)
n = 0
while d := b.recv(65536): n += len(d)
print(n)
''',
    'hashlib': 'import hashlib; print(hashlib.sha256(open("folder/blob","rb").read()).hexdigest(), hashlib.blake2b(b"x").hexdigest())',
    'large-memory': 'b = bytearray(300 << 20); b[::4096] = b"x" * len(b[::4096]); print(len(b), b.count(b"x")); del b',
}


@pytest.mark.parametrize('name', PYTHON_PROGRAMS)
def test_python(name, same):
    same([PYTHON, '-c', PYTHON_PROGRAMS[name]])


def test_python_venv(tmp_path, run_native, same):
    venv = tmp_path / 'venv'
    made = run_native([PYTHON, '-m', 'venv', '--system-site-packages', '--without-pip', venv])
    assert made.status == 0, str(made)
    result = same([venv / 'bin' / 'python3', '-c',
                   'import sys, jinja2; print(sys.prefix, sys.base_prefix, sys.prefix != sys.base_prefix)'])
    assert result.out.endswith('True\n')


# --- others ------------------------------------------------------------------------------------

NODE = {
    'arithmetic': 'console.log([1, 2, 3].map(n => n ** 20))',
    'exit': 'console.error("err"); process.exit(12)',
    'timers': 'setImmediate(() => { console.log("soon"); setTimeout(() => console.log("late"), 30) }); Promise.resolve().then(() => console.log("now"))',
    'files': 'const fs = require("fs"); fs.writeFileSync("out", fs.readFileSync("words", "utf8").toUpperCase()); fs.promises.readdir(".").then(l => console.log(l.sort()))',
    'crypto': 'console.log(require("crypto").createHash("sha256").update(require("fs").readFileSync("folder/blob")).digest("hex"), require("zlib").gzipSync("x".repeat(9999)).length)',
    'child': 'const c = require("child_process"); console.log(c.execFileSync("/bin/echo", ["child"]).toString(), c.spawnSync("/bin/sh", ["-c", "exit 5"]).status)',
}


@pytest.mark.parametrize('name', NODE)
def test_node(name, same):
    same([command('node'), '-e', NODE[name]], extras={'sgx.enclave_size': '4G', 'sys.stack.size': '8M'})


def test_sqlite_shell(same):
    same([command('sqlite3'), 'test.db'], stdin='''
create table t (a, b); begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into t select i, i * i from n;
commit; select count(*), sum(b) from t; pragma journal_mode = wal; update t set b = 0 where a < 100;
select sum(b) from t; .mode csv
select * from t where a between 98 and 102; select * from missing;
''')


# --- a database on mounts that are not the host's files ------------------------------------------

DATABASE = r'''
import fcntl, os, sqlite3, struct, sys
folder = sys.argv[1]
for mode in ('delete', 'truncate', 'persist', 'wal'):
    base = sqlite3.connect(f'{folder}/{mode}.db')
    print(base.execute(f'pragma journal_mode={mode}').fetchone())
    base.execute('create table t(a, b)')
    with base:
        base.executemany('insert into t values (?, ?)', ((n, 'v' * 50) for n in range(2000)))
    try:
        with base:
            base.execute('update t set a = a + 1')
            raise KeyError
    except KeyError:
        pass
    print(base.execute('select sum(a), count(*) from t').fetchone(),
          base.execute('pragma integrity_check').fetchone())
    base.close()
name = f'{folder}/locked'
with open(name, 'w+') as file, open(name) as reader:
    file.write('x' * 100)
    file.flush()
    def lock(of, command, kind, whence=0, start=0, length=0, pid=0):
        try:
            got = fcntl.fcntl(of, command, struct.pack('hhqqi4x', kind, whence, start, length, pid))
            print(struct.unpack('hhqqi4x', got)[:4])
        except OSError as error:
            print(error)
    R, W, U = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
    lock(file, fcntl.F_GETLK, W)
    lock(file, fcntl.F_SETLK, W, 0, 10, 20)
    lock(file, fcntl.F_SETLKW, U, 0, 10, 20)
    lock(file, fcntl.F_SETLK, R, 2, -10, 5)
    lock(file, fcntl.F_SETLK, R, 1, -200, 5)
    lock(file, fcntl.F_SETLK, R, 3)
    lock(file, fcntl.F_SETLK, 9)
    lock(reader, fcntl.F_SETLK, W)
    lock(reader, fcntl.F_SETLK, R)
    lock(file, fcntl.F_GETLK, U)
    lock(file, fcntl.F_OFD_SETLK, W, pid=5)
    for how in (fcntl.LOCK_EX, fcntl.LOCK_UN, fcntl.LOCK_SH | fcntl.LOCK_NB, 0):
        try:
            fcntl.flock(file, how)
            print('flock')
        except OSError as error:
            print(error)
'''


@pytest.mark.parametrize('kind', ['encrypted', 'tmpfs'])
def test_database_and_locks_on_mount(kind, tmp_path, run_native, run_inside):
    for name in ('native', 'host'):
        (tmp_path / name).mkdir()
    mount = {'type': kind, 'path': '/data'}
    extras = {'fs.mounts': [mount]}
    if kind == 'encrypted':
        mount.update(uri=f'file:{tmp_path}/host', key_name='key')
        extras['fs.insecure__keys.key'] = '00112233445566778899aabbccddeeff'
    native = run_native([PYTHON, '-c', DATABASE, tmp_path / 'native'])
    inside = run_inside([PYTHON, '-c', DATABASE, '/data'], extras=extras)
    assert native.status == 0, str(native)
    assert (inside.out, inside.status) == (native.out, native.status), \
        f'native: {native}\ninside: {inside}'
