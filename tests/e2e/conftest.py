# SPDX-License-Identifier: LGPL-3.0-or-later
"""Shared helpers of the end-to-end tests: where things are, and running one program twice, on the
host and inside the library OS.

The build folder is $ADYTON_BUILD, else ./build beside the sources.
"""
import contextlib
import fnmatch
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Programs would inherit that these are ignored, as in the background of a shell or after nohup.
for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(ignored) == signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored == signal.SIGINT else lambda *_: None)

# Begins a Python program of a test that prints what calls did: attempt(call, ...).
OUTCOMES = f'''
import os, sys
sys.path.insert(0, {str(ROOT / 'tests' / 'programs')!r})
from outcomes import attempt
'''

# What an enclave says first of the manifests that tests have.
INSECURE = re.compile(r'-{119}\nGramine detected the following insecure configurations:\n.*?\n-{119}\n', re.S)

# What every program sees, natively and inside, whatever shell the tests were started from.
ENVIRONMENT = {
    'PATH': '/usr/local/bin:/usr/bin:/bin',
    'HOME': '/root',
    'LC_ALL': 'C.UTF-8',
    'TZ': 'UTC',
}

# ADYTON_PLATFORM=closed pytest ..., or sgx: the suites on the platform of that name (docs/architecture.md),
# `sgx` on the software device.
PLATFORM = os.environ.get('ADYTON_PLATFORM', 'direct')
NOTICES = {
    'direct': '',
    'closed': 'ADYTON_PLATFORM=closed is for tests of the library OS: it protects nothing\n',
    'sgx': 'adyton sgxemu: software SGX device: NO confidentiality, NO integrity; for development and tests only\n',
}
FAILURES = pathlib.Path(__file__).with_name(f'{PLATFORM}-failures.txt')
if PLATFORM == 'closed':
    ENVIRONMENT['ADYTON_PLATFORM'] = PLATFORM
elif PLATFORM == 'sgx':
    ENVIRONMENT['ADYTON_SGX'] = 'emulate'

# Room that the programs of the tests need; the limits are the manifest's defaults otherwise.
DEFAULTS = {
    'loader.log_level': 'error',
    'loader.insecure__use_cmdline_argv': True,
    'loader.insecure__use_host_env': True,
    'sgx.file_check_policy': 'allow_all_but_log',
    'sgx.enclave_size': '1G',
    'sgx.max_threads': 64,
    'sys.stack.size': '8M',
    'sys.brk.max_size': '256M',
}


def toml_value(value):
    """One TOML value: a boolean, an integer, a string, a list or an inline table."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (str, pathlib.PurePath)):
        out = ''
        for char in str(value):
            if char in '"\\':
                out += '\\' + char
            elif ord(char) < 32 or ord(char) == 127:
                out += f'\\u{ord(char):04x}'
            else:
                out += char
        return f'"{out}"'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(toml_value(v) for v in value) + ']'
    if isinstance(value, dict):
        return '{ ' + ', '.join(f'{toml_value(k)} = {toml_value(v)}'
                                for k, v in value.items()) + ' }'
    raise TypeError(f'no TOML form for {value!r}')


class Result:
    """What a run left behind: exit status as a shell sees it, stdout and stderr as text."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __str__(self):
        where = shlex.join(str(a) for a in self.argv)
        return f'{where}\nstatus {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}'


def belongs(pid, child, pipes):
    """Is the process of the run: in its session, or with an end of its pipes?"""
    try:
        if os.getsid(pid) == child:
            return True
        folder = f'/proc/{pid}/fd'
        return any(os.readlink(f'{folder}/{fd}') in pipes for fd in os.listdir(folder))
    except OSError:  # it has ended, or is another user's
        return False


def kill_run(child):
    """Kills what a run has started, in whatever groups and sessions it is by now: what would keep the
    pipes open, and what has the session."""
    pipes = {os.readlink(f'/proc/self/fd/{pipe.fileno()}') for pipe in (child.stdout, child.stderr)}
    for _ in range(20):
        members = [int(name) for name in os.listdir('/proc') if name.isdigit() and int(name) != os.getpid()
                   and belongs(int(name), child.pid, pipes)]
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not set(members) - {child.pid}:
            break
        time.sleep(0.05)


def run(argv, cwd=None, env=None, stdin=None, timeout=60):
    """Runs a command in a session of its own; on a time-out all that it has started is killed."""
    with subprocess.Popen(
            [str(a) for a in argv], cwd=cwd, env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as child:
        try:
            out, err = child.communicate(
                stdin.encode() if isinstance(stdin, str) else stdin, timeout)
            status = child.returncode
        except subprocess.TimeoutExpired:
            kill_run(child)
            out, err = child.communicate()
            status = 'timeout'
    if isinstance(status, int) and status < 0:
        status = 128 - status
    err = INSECURE.sub('', err.decode('utf-8', 'backslashreplace'))
    if PLATFORM != 'direct':
        err = err.replace(NOTICES[PLATFORM], '')
    return Result(argv, status, out.decode('utf-8', 'backslashreplace'), err)


def command(name):
    """The path of a program of the system; the test is skipped where it is not installed."""
    path = shutil.which(name, path='/usr/bin:/bin:/usr/sbin')
    if not path:
        pytest.skip(f'{name} is not installed')
    return path


def own_mounts():
    """What runs a command as root of a mount name space of its own; the test is skipped where none can be made.
    Without a user name space if possible: in a chroot there is none."""
    for how in ([], ['--map-root-user']):
        argv = ['/usr/bin/unshare', '--mount', *how]
        if run([*argv, 'mount', '-t', 'tmpfs', 'none', '/mnt']).status == 0:
            return argv
    return pytest.skip('no mount name space may be made here')


NOTES = []


def expected_failures():
    """{end of a test's id: reason} of those that are known to fail on the platform."""
    text = FAILURES.read_text() if FAILURES.exists() else ''
    lines = [line.split(None, 1) for line in text.splitlines()
             if line.strip() and not line.startswith('#')]
    return {name: reason for name, reason in lines}


def pytest_collection_modifyitems(items):
    """What is in the platform's list must fail: one that passes is to leave it."""
    if PLATFORM == 'direct':
        return
    known = expected_failures()
    for item in items:
        reason = known.get(item.nodeid.rsplit('/', 1)[-1])
        if reason and reason.startswith('not run: '):
            item.add_marker(pytest.mark.skip(reason=reason))
        elif reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_terminal_summary(terminalreporter):
    for note in NOTES:
        terminalreporter.write_line(note)


@pytest.fixture(scope='session')
def notes():
    """Lines appended here are printed after the last test."""
    return NOTES


@pytest.fixture(scope='session')
def project_root():
    return ROOT


@pytest.fixture(scope='session')
def build_dir():
    path = pathlib.Path(os.environ.get('ADYTON_BUILD', ROOT / 'build')).resolve()
    if not path.is_dir():
        pytest.skip(f'no build folder {path}: run make, or set ADYTON_BUILD')
    return path


@pytest.fixture(scope='session')
def libos(build_dir):
    """The command that runs programs inside; the test is skipped where it was not built."""
    image = build_dir / 'lib' / 'adyton' / f'adyton-{PLATFORM}'
    if not os.access(image, os.X_OK):
        pytest.skip(f'{image} is not built: the library OS is missing from this build')
    return build_dir / 'bin' / ('gramine-sgx' if PLATFORM == 'sgx' else 'gramine-direct')


@pytest.fixture
def run_native():
    """run_native(argv, cwd=, env=, stdin=, timeout=) -> Result"""
    return run


@pytest.fixture(scope='session')
def signing_key(build_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp('key') / 'key.pem'
    done = run([build_dir / 'bin' / 'gramine-sgx-gen-private-key', '-q', path])
    assert done.status == 0, str(done)
    return path


def sign_manifest(build_dir, key, name):
    """Signs NAME.manifest as it is, into NAME.manifest.sgx."""
    done = run([build_dir / 'bin' / 'gramine-sgx-sign', '-m', f'{name}.manifest', '-o', f'{name}.manifest.sgx',
                '-k', key])
    assert done.status == 0, str(done)


@pytest.fixture
def prepare_inside(libos, build_dir, tmp_path, signing_key):
    """prepare_inside(program, extras={}, allowed=(), cwd=) -> start(args, env=, stdin=, timeout=)

    start(args, command_only=True) gives the command instead of running it.

    Writes a manifest for the program (its absolute path) and returns what runs it, any number of
    times. extras are further or other manifest keys, dotted as in the manifest, with Python values
    (None leaves a default out); allowed are host paths that may be written. The manifest goes
    through gramine-manifest where that is built, so that its checks and defaults take part.
    start.command is the command without arguments, for programs that a test runs by itself.
    """
    count = 0

    def prepare(program, extras=None, allowed=(), cwd=None):
        nonlocal count
        count += 1
        keys = {
            **DEFAULTS,
            'libos.entrypoint': program,
            'loader.uid': os.getuid(),
            'loader.gid': os.getgid(),
            'fs.root': {'type': 'chroot', 'uri': 'file:/'},
            'fs.start_dir': cwd or '/',
            'fs.mounts': [],
            'sgx.allowed_files': [f'file:{path}' for path in allowed],
            **(extras or {}),
        }
        name = tmp_path / f'inside{count}'
        source = name.with_suffix('.manifest.template')
        target = name.with_suffix('.manifest')
        source.write_text(''.join(f'{key} = {toml_value(value)}\n' for key, value in keys.items()
                                  if value is not None))
        renderer = build_dir / 'bin' / 'gramine-manifest'
        if os.access(renderer, os.X_OK):
            done = run([renderer, source, target])
            assert done.status == 0, f'gramine-manifest failed: {done}'
        else:
            target.write_text(source.read_text())
        if PLATFORM == 'sgx':
            sign_manifest(build_dir, signing_key, name)

        def start(args=(), env=None, stdin=None, timeout=120, command_only=False):
            if command_only:
                return [libos, name, *args]
            return run([libos, name, *args], cwd=tmp_path, env=env, stdin=stdin, timeout=timeout)

        start.command = [libos, name]
        return start

    return prepare


@pytest.fixture
def run_inside(prepare_inside):
    """run_inside(argv, extras={}, allowed=(), cwd=, env=, stdin=, timeout=) -> Result

    One run; argv[0] is the absolute path of the program, the rest as for prepare_inside.
    """
    def inside(argv, extras=None, allowed=(), cwd=None, **how):
        return prepare_inside(argv[0], extras, allowed, cwd)(argv[1:], **how)

    return inside


def tree(folder, unlike=()):
    """{relative path: content, link target or None for a directory}; the content of files whose
    path matches a pattern of `unlike` is left out"""
    found = {}
    for path in sorted(folder.rglob('*')):
        name = str(path.relative_to(folder))
        if any(fnmatch.fnmatch(name, pattern) for pattern in unlike):
            found[name] = 'unlike'
        elif path.is_symlink():
            found[name] = '-> ' + os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def same(tmp_path, run_native, run_inside):
    """same(argv, ...) runs argv twice in an equal scratch folder (also named by $SCRATCH).

    unlike: patterns of the files it leaves that need not have the same content.
    """
    def run_both(argv, stdin=None, env=None, extras=None, timeout=60, unlike=()):
        scratch = tmp_path / 'scratch'
        env = {'SCRATCH': str(scratch), **(env or {})}
        ends = []
        for run in ('native', 'inside'):
            shutil.rmtree(scratch, ignore_errors=True)
            (scratch / 'folder').mkdir(parents=True)
            (scratch / 'numbers').write_text('\n'.join(str(n * 7919 % 1000) for n in range(500)) + '\n')
            (scratch / 'words').write_text('the quick brown fox\njumps over the\nlazy dog\n')
            (scratch / 'folder' / 'blob').write_bytes(bytes(n * n % 251 for n in range(100000)))
            for path in (*scratch.rglob('*'), scratch):
                os.utime(path, (1700000000, 1700000000))
            if run == 'native':
                result = run_native(argv, cwd=scratch, env=env, stdin=stdin, timeout=timeout)
            else:
                result = run_inside(argv, cwd=str(scratch), env=env, stdin=stdin, extras=extras,
                                    allowed=[f'{scratch}/'], timeout=timeout)
            ends.append((result, tree(scratch, unlike)))
        (native, native_tree), (inside, inside_tree) = ends
        assert native.status != 'timeout', str(native)
        assert (inside.out, inside.status, inside.err) == (native.out, native.status, native.err), \
            f'native: {native}\ninside: {inside}'
        assert inside_tree == native_tree
        return native
    return run_both


# ---- enclaves, on the software device ----

@pytest.fixture
def signed(prepare_inside, build_dir, signing_key):
    """signed(program, extras) -> the prefix of a signed manifest"""
    def sign(program, extras=None, **how):
        prefix = prepare_inside(program, {'sgx.enclave_size': '1G', 'sgx.max_threads': 8, **(extras or {})},
                                **how).command[1]
        if PLATFORM != 'sgx':
            sign_manifest(build_dir, signing_key, prefix)
        return pathlib.Path(prefix)
    return sign


@pytest.fixture
def enclave(build_dir):
    """enclave(prefix, args) -> Result of a run on the device, whose own line is taken off stderr"""
    def start(prefix, args=(), **how):
        done = run([build_dir / 'bin' / 'gramine-sgx', prefix, *args],
                   env={'ADYTON_SGX': 'emulate', **how.pop('env', {})}, timeout=how.pop('timeout', 120), **how)
        if PLATFORM != 'sgx':
            assert done.err.startswith(NOTICES['sgx']), str(done)
            done.err = done.err[len(NOTICES['sgx']):]
        return done
    return start
