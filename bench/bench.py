# SPDX-License-Identifier: LGPL-3.0-or-later
"""Native and ours side by side: one table, medians of interleaved runs.

usage: bench.py [--build DIR] [--runs N] [--list] [ROW ...]      (make bench ROWS="getppid hello")

Every row runs native and ours in turn, so that a slow moment of the machine meets both.
"""
import argparse
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import keyserver_rows
import sgx_rows
import servers

ROOT = pathlib.Path(__file__).resolve().parents[1]
HERE = ROOT / 'bench'
PYTHON = os.path.realpath('/usr/bin/python3')
LIBDIR = '/usr/lib/x86_64-linux-gnu'
LOCAL_PYTHON = f'/usr/local/lib/python{sys.version_info.major}.{sys.version_info.minor}/'
ENVIRONMENT = {'PATH': '/usr/bin:/bin', 'HOME': '/root', 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'}
TRUSTED_FILES = 26000
KEY = '00112233445566778899aabbccddeeff'

BASE = '''
loader.insecure__use_cmdline_argv = true
loader.log_level = "error"
loader.env.LC_ALL = "C.UTF-8"
loader.env.PATH = "/usr/bin:/bin"
loader.env.OMP_NUM_THREADS = { passthrough = true }
sys.stack.size = "8M"
sys.brk.max_size = "256M"
sgx.enclave_size = "4G"
sgx.max_threads = 64
fs.root = { type = "chroot", uri = "file:/" }
'''


class Failed(Exception):
    """A row that could not be measured, with the reason."""


def quoted(text):
    return '"' + str(text).replace('\\', '\\\\').replace('"', '\\"') + '"'


class Bench:
    Failed = Failed

    def __init__(self, build, runs):
        self.build, self.runs = build, runs
        self.folder = build / 'bench-work'
        self.folder.mkdir(parents=True, exist_ok=True)
        self.manifests = {}

    def program(self, name, *flags, variant=''):
        source, target = HERE / f'{name}.c', self.folder / f'{name}{variant}'
        newest = max(file.stat().st_mtime for file in (source, HERE / 'slices.h'))
        if not target.exists() or target.stat().st_mtime < newest:
            subprocess.run(['gcc', '-O2', *flags, source, '-o', target], check=True)
        return target

    def manifest(self, name, entrypoint, trusted=(), allowed=(), mounts='', extra='', cwd=None):
        """Renders a manifest and returns the prefix for gramine-direct."""
        prefix = (cwd or self.folder) / name
        if name in self.manifests:
            return prefix
        template = prefix.with_suffix('.manifest.template')
        policy = 'strict' if trusted else 'allow_all_but_log'
        template.write_text(
            BASE + f'libos.entrypoint = {quoted(entrypoint)}\nfs.start_dir = {quoted(cwd or self.folder)}\n'
            f'sgx.file_check_policy = "{policy}"\n{extra}\n'
            f'fs.mounts = [\n{mounts}\n]\n'
            'sgx.allowed_files = [\n' + ''.join(f'{quoted(f"file:{p}")},\n' for p in allowed) + ']\n'
            'sgx.trusted_files = [\n' + ''.join(f'{quoted(f"file:{p}")},\n' for p in trusted) + ']\n')
        done = subprocess.run([self.build / 'bin' / 'gramine-manifest', template, prefix.with_suffix('.manifest')],
                              capture_output=True, text=True, check=False, cwd=cwd or self.folder)
        if done.returncode != 0:
            raise Failed('gramine-manifest: ' + done.stderr.strip()[-300:])
        self.manifests[name] = True
        return prefix

    def run(self, argv, env=None, cwd=None):
        """Runs a command; returns (stdout, wall seconds)."""
        begin = time.perf_counter()
        done = subprocess.run([str(a) for a in argv], env={**ENVIRONMENT, **(env or {})}, text=True,
                              cwd=cwd or self.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        wall = time.perf_counter() - begin
        if done.returncode != 0:
            raise Failed(f'{pathlib.Path(argv[0]).name}: status {done.returncode}: {done.stderr.strip()[-300:]}')
        return done.stdout, wall

    def pair(self, argv, prefix, measure, env=None, runs=None):
        """Interleaved runs of argv natively and inside; medians of what measure(run) returns."""
        direct = [self.build / 'bin' / 'gramine-direct', prefix, *argv[1:]]
        values = ([], [])
        if measure is resident_mib:
            peak = [self.program('peak'), self.folder / 'peak.txt']
            argv, direct = [*peak, *argv], [*peak, *direct]
        both = list(enumerate((argv, direct)))
        for turn in range((runs or self.runs) + 1):
            for side, command in both if turn % 2 else reversed(both):
                value = measure(self, self.run(command, env))
                if turn > 0:  # the first round fills caches
                    values[side].append(value)
        return statistics.median(values[0]), statistics.median(values[1])

    def trusted_list(self):
        """The first 26,000 files of the system's libraries, Python's packages and more."""
        files = []
        for folder in (os.path.dirname(os.__file__), '/usr/lib/python3', LIBDIR, '/usr/include', '/usr/share', '/usr/lib'):
            for path, folders, names in os.walk(folder):
                folders.sort()
                files += [f'{path}/{n}' for n in sorted(names) if os.path.isfile(f'{path}/{n}')]
                if len(files) >= 3 * TRUSTED_FILES:
                    break
        needed = [PYTHON, '/lib64/ld-linux-x86-64.so.2', '/usr/lib64/ld-linux-x86-64.so.2',
                  *self.libraries(PYTHON)]
        return list(dict.fromkeys(needed + files))[:TRUSTED_FILES]

    @staticmethod
    def libraries(program):
        out = subprocess.run(['ldd', program], capture_output=True, text=True, check=False).stdout
        found = re.findall(r'(/\S+)', out)
        return list(dict.fromkeys([*found, *(os.path.realpath(f) for f in found)]))

    def ready_model(self):
        target = self.folder / 'alexnet-pretrained.pt'
        if target.exists():
            return target
        data = ROOT.parent / 'shared' / 'data' / 'imagenet'
        if (data / 'make_squeezenet.py').exists():
            subprocess.run([PYTHON, data / 'make_squeezenet.py', data / 'compressed_SqueezeNet.net', target], check=True)
        else:
            subprocess.run([PYTHON, ROOT / 'examples/pytorch/download-pretrained-model.py'], cwd=self.folder, check=True)
        return target


def number(bench, result):
    return float(result[0].split()[-1])


def wall_ms(bench, result):
    return result[1] * 1000


def resident_mib(bench, result):
    return int((bench.folder / 'peak.txt').read_text()) / 1024


def big_file(bench, name, mib):
    path = bench.folder / name
    if not path.exists() or path.stat().st_size != mib << 20:
        with open(path, 'wb') as out:
            for _ in range(mib):
                out.write(os.urandom(1 << 20))
    return path


def call_row(kind, flags=(), variant='', trusted=False):
    def row(bench):
        program = bench.program('calls', *flags, variant=variant)
        data = big_file(bench, 'block-file', 4)
        argv = [program, kind, *([data] if kind in ('open', 'pread', 'pwrite') else [])]
        name = f'calls-{kind}{"-trusted" if trusted else ""}'
        if trusted:
            prefix = bench.manifest(name, program, trusted=[program, data, *bench.libraries(program)])
        else:
            prefix = bench.manifest(name, program, allowed=[data])
        return bench.pair(argv, prefix, number)
    return row


def name_row(kind, link=False):
    """A call on a name in an allowed folder, or on a link there"""
    def row(bench):
        program = bench.program('calls')
        folder = bench.folder / f'names-{kind}{"-link" if link else ""}'
        folder.mkdir(exist_ok=True)
        (folder / 'file').touch()
        name = folder / ('link' if link else 'file')
        if link and not name.is_symlink():
            name.symlink_to('file')
        return bench.pair([program, kind, name], bench.manifest(folder.name, program, allowed=[folder]), number)
    return row


def task_row(kind):
    def row(bench):
        program = bench.program('tasks', '-pthread')
        prefix = bench.manifest('tasks', program)
        return bench.pair([program, kind], prefix, lambda _, result: number(_, result) / 1000)
    return row


def socket_row(kind):
    def row(bench):
        program = bench.program('sockets')
        return bench.pair([program, kind], bench.manifest('sockets', program), number)
    return row


def hello(bench):
    program = bench.program('hello')
    prefix = bench.manifest('hello', program, trusted=[program, *bench.libraries(program)])
    return bench.pair([program], prefix, bench.measure, runs=bench.runs * 3)


def python_many(bench):
    prefix = bench.manifest('python-many', PYTHON, trusted=bench.trusted_list(),
                            allowed=['/etc/', LOCAL_PYTHON])
    return bench.pair([PYTHON, '-c', 'print(1)'], prefix, bench.measure)


def example(bench):
    """examples/pytorch-confidential as it stands, against the native script over plain files."""
    plain, secret = bench.folder / 'pytorch', bench.folder / 'pytorch-confidential'
    model = bench.ready_model()
    for folder in (plain, secret):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    for name in ('pytorchexample.py', 'classes.txt', 'input.jpg', 'Makefile'):
        shutil.copyfile(ROOT / 'examples/pytorch' / name, plain / name)
    shutil.copyfile(model, plain / model.name)
    for name in ('Makefile', 'pytorch.manifest.template'):
        shutil.copyfile(ROOT / 'examples/pytorch-confidential' / name, secret / name)
    env = {'PATH': f'{bench.build}/bin:/usr/bin:/bin', 'OMP_NUM_THREADS': '1'}
    bench.run(['make', '-s'], env, secret)
    values = ([], [])
    for turn in range(min(bench.runs, 7) + 1):
        for side, (folder, argv) in enumerate((
                (plain, [PYTHON, 'pytorchexample.py']),
                (secret, [bench.build / 'bin/gramine-direct', './pytorch', 'pytorchexample.py']))):
            (folder / 'result.txt').unlink(missing_ok=True)
            result = bench.run(argv, env, folder)
            if turn > 0:
                values[side].append(result[1])
    return statistics.median(values[0]), statistics.median(values[1])


def inference(threads):
    def row(bench):
        model = bench.ready_model()
        script = HERE / 'inference.py'
        prefix = bench.manifest('inference', PYTHON)
        return bench.pair([PYTHON, script, model], prefix, number, {'OMP_NUM_THREADS': str(threads)},
                          runs=min(bench.runs, 5))
    return row


def trusted_stream(later):
    def row(bench):
        program = bench.program('stream')
        data = big_file(bench, 'one-gib', 1024)
        prefix = bench.manifest('trusted-stream', program, trusted=[program, data, *bench.libraries(program)])
        return bench.pair([program, 'read', data, 3], prefix,
                          lambda _, result: float(result[0].split()[2 if later else 0]),
                          runs=min(bench.runs, 3))
    return row


def encrypted_stream(mode):
    """On tmpfs: what counts is the processor, not the disk, which closing a rewritten file waits for."""
    mib = 512

    def row(bench):
        with tempfile.TemporaryDirectory(dir='/dev/shm', prefix='adyton-bench-') as memory:
            return measure(bench, pathlib.Path(memory))

    def measure(bench, memory):
        program = bench.program('stream')
        folder = memory / 'encrypted'
        folder.mkdir()
        mounts = f'{{ path = "/sealed", uri = "file:{folder}", type = "encrypted" }},'
        prefix = bench.manifest(f'encrypted-{mode}', program, mounts=mounts,
                                extra=f'fs.insecure__keys.default = "{KEY}"')
        direct = bench.build / 'bin' / 'gramine-direct'
        plain = memory / 'plain-stream'
        values = ([], [])
        for turn in range(min(bench.runs, 5) + 1):
            both = []
            for command, path in (([program], plain), ([direct, prefix], '/sealed/file')):
                written = number(bench, bench.run([*command, 'write', path, mib]))
                both.append(written if mode == 'write' else number(bench, bench.run([*command, 'read', path, 1])))
            if turn > 0:
                values[0].append(both[0])
                values[1].append(both[1])
        return statistics.median(values[0]), statistics.median(values[1])
    return row


def library_row(name):
    """The library for encrypted files alone, on /dev/shm: pfs-bench prints native and ours."""
    def row(bench):
        values = ([], [])
        for _ in range(min(bench.runs, 5)):
            out, _ = bench.run([bench.build / 'bench' / 'pfs-bench', '--row', name, 256])
            for side, value in zip(values, out.split()):
                side.append(float(value))
        return statistics.median(values[0]), statistics.median(values[1])
    return row


def attest_row(kind):
    """Quotes verified in a second of processor time; the native side is OpenSSL's signatures alone."""
    def row(bench):
        values = ([], [])
        for _ in range(bench.runs):
            out, _ = bench.run([bench.build / 'bench' / 'attest-bench', kind])
            for side, value in zip(values, out.split()):
                side.append(float(value))
        return statistics.median(values[0]), statistics.median(values[1])
    return row


def disk_row(name):
    """The same on the file system of the build folder; the native side is said in pfs_bench.c."""
    def row(bench):
        kind = subprocess.run(['stat', '-f', '-c', '%T', bench.folder], capture_output=True, text=True, check=True)
        if kind.stdout.strip() in ('tmpfs', 'ramfs'):
            raise Failed(f'{bench.folder} is in memory: needs a build folder on a disk')
        return library_row(name)(bench)
    return row


def processor_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def encrypt_row(measure):
    """`adyton encrypt` of 1 GiB on /dev/shm, against cp: GB/s of processor time on one core, of real time on
    all, and the memory."""
    def row(bench):
        with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
            folder = pathlib.Path(folder)
            with open(folder / 'in', 'wb') as out:
                for _ in range(1024):
                    out.write(os.urandom(1 << 20))
            (folder / 'key').write_bytes(bytes.fromhex(KEY))
            tool = [bench.build / 'bin' / 'adyton', 'encrypt', '-w', 'key', '-i', 'in', '-o', 'out']
            cp = shutil.which('cp', path='/usr/bin:/bin')
            one = ['taskset', '-c', str(min(os.sched_getaffinity(0)))]
            sides = {'rate': ([*one, cp, 'in', 'out'], [*one, *tool]), 'scale': ([*one, *tool], tool)}
            peak = [bench.program('peak'), bench.folder / 'peak.txt']
            values = ([], [])
            for _ in range(min(bench.runs, 5)):
                for side, command in enumerate(sides.get(measure, ([*peak, cp, 'in', 'out'], [*peak, *tool]))):
                    (folder / 'out').unlink(missing_ok=True)
                    before = processor_time()
                    result = bench.run(command, cwd=folder)
                    took = processor_time() - before if measure == 'rate' else result[1]
                    rate = (1 << 30) / took / 1e9
                    values[side].append(rate if measure in sides else resident_mib(bench, result))
            return statistics.median(values[0]), statistics.median(values[1])
    return row


def memory(row):
    def measured(bench):
        bench.measure = resident_mib
        try:
            return row(bench)
        finally:
            bench.measure = wall_ms
    return measured


# name: (what, unit, how native and ours are compared, goal, function)
ROWS = {
    'getppid': ('raw getppid, static binary', 'ns', 'ratio', 0.5, call_row('getppid', ('-static', '-no-pie'), '-static')),
    'kill': ('kill(getpid(), 0)', 'ns', 'ratio', 0.5, call_row('kill')),
    'queue': ('sigqueue to itself, handler runs', 'ns', 'ratio', 0.5, call_row('queue')),
    'eventfd': ('eventfd write + read', 'ns', 'ratio', 0.3, call_row('eventfd')),
    'pipe-self': ('pipe write + read, one byte', 'ns', 'ratio', 0.3, call_row('pipe')),
    'epoll-mixed': ('epoll_wait, eventfd and idle socket', 'ns', 'ratio', 1.1, call_row('epoll')),
    'timerfd': ('timerfd_settime for now + read', 'ns', 'ratio', 1.0, call_row('timerfd')),
    'timer': ('timer_settime for later, again and again', 'ns', 'ratio', 1.0, call_row('timer')),
    'expiry': ('timer_settime for now + sigwaitinfo', 'ns', 'ratio', 1.0, call_row('expiry')),
    'sleep': ('nanosleep, 50 us', 'ns', 'ratio', 1.15, call_row('sleep')),
    'clock': ('clock_gettime', 'ns', 'ratio', 1.3, call_row('clock')),
    'pread': ('pread 4 KiB, allowed file', 'ns', 'ratio', 1.15, call_row('pread')),
    'pread-trusted': ('pread 4 KiB, trusted file', 'ns', 'ratio', 1.15, call_row('pread', trusted=True)),
    'pwrite': ('pwrite 4 KiB, allowed file', 'ns', 'ratio', 1.15, call_row('pwrite')),
    'open': ('open + close, allowed file', 'ns', 'ratio', 1.5, call_row('open')),
    'open-link': ('open + close, link in an allowed folder', 'ns', 'ratio', 10, name_row('open', link=True)),
    'stat': ('stat, allowed file', 'ns', 'ratio', 1.5, name_row('stat')),
    'stat-link': ('stat, link in an allowed folder', 'ns', 'ratio', 10, name_row('stat', link=True)),
    'rename': ('rename in an allowed folder', 'ns', 'ratio', 2, name_row('rename')),
    'mmap': ('mmap + touch + munmap, 64 KiB', 'ns', 'ratio', 1.15, call_row('mmap')),
    'pipe': ('ping-pong by pipe, two processes', 'us', 'ratio', 1.15, task_row('pipe')),
    'eventfd-threads': ('ping-pong by eventfd, two threads', 'us', 'ratio', 1.0, task_row('eventfds')),
    'pipe-threads': ('ping-pong by pipe, two threads', 'us', 'ratio', 1.0, task_row('threadpipe')),
    'socketpair-threads': ('ping-pong by socketpair, two threads', 'us', 'ratio', 0.5, task_row('threadsockets')),
    'futex': ('ping-pong by futex, two threads', 'us', 'ratio', 1.15, task_row('futex')),
    'thread': ('thread: create, join', 'us', 'ratio', 1.5, task_row('thread')),
    'fork': ('fork, exit, wait', 'us', 'ratio', 2, task_row('fork')),
    'fork-exec': ('fork, exec /bin/true, wait', 'us', 'ratio', 2, task_row('forkexec')),
    'spawn': ('posix_spawn /bin/true, wait', 'us', 'ratio', 2, task_row('spawn')),
    'socketpair': ('byte to and fro, AF_UNIX', 'ns', 'ratio', 1.15, socket_row('unix')),
    'loopback': ('byte to and fro, TCP over loopback', 'ns', 'ratio', 1.15, socket_row('tcp')),
    'redis-set': ('redis SET, 16-deep pipelines, 1000 requests/s', 'k/s', 'rate', 0.95, servers.redis('set')),
    'redis-get': ('redis GET, 16-deep pipelines, 1000 requests/s', 'k/s', 'rate', 0.95, servers.redis('get')),
    'nginx': ('nginx, file of 10 KiB, 1000 requests/s', 'k/s', 'rate', 0.9, servers.nginx),
    'hello': ('hello world, start to exit', 'ms', 'over', 6, hello),
    'python': (f"python3 -c 'print(1)', {TRUSTED_FILES} trusted files", 'ms', 'over', 40, python_many),
    'example': ('PyTorch example, encrypted files, whole run', 's', 'ratio', 1.3, example),
    'inference1': ('PyTorch inference, 1 thread', 'ms', 'ratio', 1.02, inference(1)),
    'inference2': ('PyTorch inference, 2 threads', 'ms', 'ratio', 1.02, inference(2)),
    'trusted-first': ('trusted 1 GiB file, first read', 'GB/s', 'speed', 1.2, trusted_stream(False)),
    'trusted-later': ('trusted 1 GiB file, later read', 'GB/s', 'slower', 1.15, trusted_stream(True)),
    'encrypted-read': ('encrypted, sequential read', 'GB/s', 'speed', 1.5, encrypted_stream('read')),
    'encrypted-write': ('encrypted, sequential write', 'GB/s', 'speed', 1.0, encrypted_stream('write')),
    'pfs-aes': ('AES-128-GCM, a key per 4 KiB (native: pread)', 'GB/s', 'speed', 6, library_row('aes')),
    'pfs-read': ('pfs: read 64 KiB (native: AES + pread)', 'GB/s', 'part', 0.75, library_row('read')),
    'pfs-write': ('pfs: write 64 KiB (native: AES + pwrite)', 'GB/s', 'part', 0.5, library_row('write')),
    'pfs-overwrite': ('pfs: overwrite 64 KiB (native: AES + pwrite)', 'GB/s', 'part', 0.5, library_row('overwrite')),
    'pfs-random-read': ('pfs: random 4 KiB reads (native: pread)', 'k/s', 'speed', 150, library_row('random-read')),
    'pfs-random-write': ('pfs: random 4 KiB writes, sync per 1000', 'k/s', 'speed', 40, library_row('random-write')),
    'pfs-disk': ('pfs on disk: same (native: its host writes, syncs)', 'k/s', 'part', 0.4, disk_row('disk')),
    'pfs-disk-plain': ('pfs on disk: same (native: plain 4 KiB writes)', 'k/s', 'rate', 0, disk_row('disk-plain')),
    'pfs-open': ('pfs: open and close of 4 GiB', 'us', 'most', 1000, library_row('open')),
    'pfs-memory': ('pfs: memory per file beyond the cache', 'KiB', 'most', 1024, library_row('memory')),
    'encrypt': ('adyton encrypt, 1 GiB, one core (native: cp)', 'GB/s', 'speed', 1.5, encrypt_row('rate')),
    'encrypt2': ('adyton encrypt, two cores (native: one)', 'GB/s', 'part', 1.7, encrypt_row('scale')),
    'encrypt-memory': ('adyton encrypt, peak memory (native: cp)', 'MiB', 'most', 32, encrypt_row('memory')),
    'attest-warm': ('quotes verified, chain and collateral known', '/s', 'speed', 3500, attest_row('warm')),
    'attest-cold': ('quotes verified, nothing known', '/s', 'speed', 1000, attest_row('cold')),
    'memory-hello': ('resident memory, hello world', 'MiB', 'over', 8, memory(hello)),
    'memory-python': (f'resident memory, python3, {TRUSTED_FILES} trusted files', 'MiB', 'over', 8, memory(python_many)),
}
ROWS.update(sgx_rows.ROWS)
ROWS.update(keyserver_rows.ROWS)


def verdict(kind, native, ours, goal, unit):
    """(comparison, goal, met)"""
    if kind in ('most', 'none'):  # only our own number matters
        compared = '' if not native else f'{native / ours:.1f} x faster' if ours < native else f'{ours / native:.2f} x'
        return compared, f'<= {goal} {unit}' if goal else '', not goal or ours <= goal
    if kind == 'ratio':
        return f'{ours / native:.2f} x', f'<= {goal} x', ours / native <= goal
    if kind == 'part':
        return f'{ours / native:.2f} x', f'>= {goal} x', ours / native >= goal
    if kind == 'slower':
        return f'{native / ours:.2f} x slower', f'<= {goal} x', native / ours <= goal
    if kind == 'rate':
        return f'{ours / native:.2f} of native', f'>= {goal}' if goal else '', ours / native >= goal
    if kind == 'over':
        return f'{ours - native:+.1f} {unit}', f'<= +{goal} {unit}', ours - native <= goal
    return f'{ours / native:.2f} of native' if native else '', f'>= {goal} {unit}', ours >= goal


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('rows', nargs='*', metavar='ROW', help='rows to measure; all without')
    parser.add_argument('--build', default=ROOT / 'build', type=pathlib.Path)
    parser.add_argument('--runs', default=9, type=int, help='timed runs of each side')
    parser.add_argument('--list', action='store_true', help='print the names of the rows')
    options = parser.parse_args()
    if options.list:
        print(*ROWS, sep='\n')
        return 0
    # "attest" is all of attest-warm, attest-cold, ...
    options.rows = [row for name in options.rows
                    for row in ([name] if name in ROWS else [r for r in ROWS if r.startswith(name + '-')] or [name])]
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f'no such row: {", ".join(unknown)}; there are {", ".join(ROWS)}')
    build = options.build.resolve()
    missing = [c for c in ('gramine-direct', 'gramine-manifest') if not (build / 'bin' / c).exists()]
    if missing:
        parser.error(f'{build}/bin has no {" and no ".join(missing)}: run make first')
    bench = Bench(build, options.runs)
    bench.measure = wall_ms

    line = '{:<50} {:>14} {:>14} {:>16} {:>12}  {}'
    print(line.format('what (medians)', 'native', 'ours', 'compared', 'goal', 'met'), flush=True)
    missed = 0
    for name in options.rows or ROWS:
        what, unit, kind, goal, measure = ROWS[name]
        try:
            native, ours = measure(bench)
        except Failed as error:
            print(line.format(what, '', 'failed', '', '', 'no'), f'  ({error})', flush=True)
            missed += 1
            continue
        compared, wanted, met = verdict(kind, native, ours, goal, unit)
        missed += not met
        print(line.format(what, f'{native:.2f} {unit}' if native else '', f'{ours:.2f} {unit}', compared, wanted,
                          ('yes' if met else 'NO') if wanted else ''), flush=True)
    if missed:
        print(f'{missed} of {len(options.rows or ROWS)} goals not met')
    return 0


if __name__ == '__main__':
    sys.exit(main())
