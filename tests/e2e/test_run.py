# SPDX-License-Identifier: LGPL-3.0-or-later
"""A run as its user and the scripts around it see it: exit statuses, the log's lines, what the first
program is given, and what is said when something is not as it should be.
"""
import pathlib
import re
import resource
import signal
import subprocess

import pytest

from conftest import ENVIRONMENT, command

PYTHON = '/usr/bin/python3'


def status_of(argv, **how):
    """The exit status as the host's kernel tells it: negative for a death by a signal."""
    return subprocess.run([str(a) for a in argv], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False, **how)


DEATHS = {
    'abort': ('import os; os.abort()', signal.SIGABRT),
    'raise': ('import os; os.kill(os.getpid(), 15)', signal.SIGTERM),
    'fault': ('import ctypes; ctypes.string_at(0)', signal.SIGSEGV),
    'pipe': ('import os, signal; signal.signal(13, signal.SIG_DFL); r, w = os.pipe(); os.close(r); os.write(w, b"x")',
             signal.SIGPIPE),
    'alarm': ('import signal, time; signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(50)', signal.SIGALRM),
    'thread': ('import ctypes, threading; t = threading.Thread(target=ctypes.string_at, args=(0,)); t.start(); t.join()',
               signal.SIGSEGV),
    'by a child': ('import os, time\nif not os.fork(): os.kill(os.getppid(), 10); os._exit(0)\ntime.sleep(50)',
                   signal.SIGUSR1),
}


@pytest.mark.parametrize('how', DEATHS)
def test_death_by_signal_is_128_and_its_number(how, prepare_inside):
    """Natively the kernel says which signal it was; the launcher's own status is 128 + N."""
    code, number = DEATHS[how]
    assert status_of([PYTHON, '-c', code]).returncode == -number
    done = status_of([*prepare_inside(PYTHON).command, '-c', code])
    assert done.returncode == 128 + number, done


def test_death_of_a_child_is_its_parents_to_see(same):
    same([PYTHON, '-c', 'import os, subprocess, sys\n'
          'for code in "import os; os.abort()", "import ctypes; ctypes.string_at(0)", "raise SystemExit(7)":\n'
          '    print(subprocess.run([sys.executable, "-c", code]).returncode)\n'
          'pid = os.fork()\n'
          'if not pid: os.abort()\n'
          'print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'])


@pytest.mark.parametrize('sent', [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2])
def test_signal_from_outside_ends_the_run_as_such(sent, prepare_inside):
    with subprocess.Popen([*map(str, prepare_inside(PYTHON).command), '-c',
                           'print("up", flush=True); import time; time.sleep(60)'],
                          stdout=subprocess.PIPE, env=ENVIRONMENT) as run:
        assert run.stdout.readline() == b'up\n'
        run.send_signal(sent)
        assert run.wait(20) == -sent


def test_exit_status_of_a_run(prepare_inside):
    start = prepare_inside(PYTHON)
    for code in (0, 1, 77, 255, 256 + 3):
        assert status_of([*start.command, '-c', f'import os; os._exit({code} & 0xff)']).returncode == code & 0xff


@pytest.fixture
def relative(libos, tmp_path):
    """relative(entry, text) -> argv[0]: runs a copy of cat that the manifest names as `entry`."""
    (tmp_path / 'bin').mkdir()
    for name in ('bootstrap', 'bin/prog'):
        (tmp_path / name).write_bytes(pathlib.Path(command('cat')).read_bytes())
        (tmp_path / name).chmod(0o755)

    def run(entry, more, *args):
        (tmp_path / 'r.manifest').write_text(
            f'libos.entrypoint = "{entry}"\n{more}\n'
            'loader.env.LD_LIBRARY_PATH = "/lib64:/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu"\n'
            'fs.mounts = [{ path = "/lib", uri = "file:/lib" }, { path = "/lib64", uri = "file:/lib64" }, '
            '{ path = "/usr", uri = "file:/usr" }]\n'
            'sgx.file_check_policy = "allow_all_but_log"\n')
        done = status_of([libos, 'r', *args], cwd=tmp_path)
        assert done.returncode == 0, done
        return done.stdout.split(b'\0')

    return run


@pytest.mark.parametrize('entry', ['bootstrap', '/bootstrap', 'bin/prog', './bin//prog', '/bin/../bootstrap'])
def test_argv0_is_the_entry_point_as_written(entry, relative):
    arguments = relative(entry, 'loader.insecure__use_cmdline_argv = true', '/proc/self/cmdline', '-')
    assert arguments == [entry.encode(), b'/proc/self/cmdline', b'-', b'']


def test_argv_of_the_manifest(relative):
    assert relative('bootstrap', 'loader.argv = ["another", "/proc/self/cmdline"]') \
        == [b'another', b'/proc/self/cmdline', b'']


LIMITS = 'import resource, os; print(*resource.getrlimit(resource.RLIMIT_NOFILE)); ' \
    'fds = []\ntry:\n  while True: fds.append(os.dup(0))\nexcept OSError as e: print(fds[-1], e.errno)\n' \
    'soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n' \
    'resource.setrlimit(resource.RLIMIT_NOFILE, (soft + 1, hard)); print(os.dup(0))'


@pytest.mark.parametrize('given,soft', [(None, 900), (4096, 4096), (20, 20)])
def test_limit_of_descriptors(given, soft, run_inside):
    done = run_inside([PYTHON, '-c', LIMITS], extras={'sys.fds.limit': given})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    assert done.out == f'{soft} {most}\n{soft - 1} 24\n{soft}\n', str(done)


def test_inherited_descriptors_beyond_the_limit(prepare_inside, tmp_path):
    """As natively, a limit says nothing of what is open already."""
    (tmp_path / 'file').write_text('content\n')
    bash = command('bash')
    done = status_of([bash, '-c', 'exec 950<file; exec "$0" "$@"',
                      *prepare_inside(bash).command, '-c', 'ulimit -n; cat <&950'], cwd=tmp_path)
    assert done.stdout == b'900\ncontent\n', done


EVENTFD = """
import os, select
e = os.eventfd(3, os.EFD_NONBLOCK)
pid = os.fork()
def attempt(call, *args):
    try: return call(*args)
    except OSError as error: return error.errno
print('child' if not pid else 'parent', attempt(os.eventfd_write, e, 2), attempt(os.eventfd_read, e), flush=True)
if not pid:
    own = os.eventfd(1)
    print('own', os.eventfd_read(own), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print('parent', attempt(os.eventfd_write, e, 2), attempt(os.eventfd_read, e))
"""


def test_eventfd_over_fork(run_inside, run_native):
    """Without the switch a child cannot use its parent's counters; with it all is as natively."""
    done = run_inside([PYTHON, '-c', EVENTFD], extras={'loader.log_level': 'warning'})
    assert sorted(done.out.split('\n')) == sorted(['child 5 5', 'own 1', 'parent None 5', 'parent None 2', '']), str(done)
    assert done.err.count('sys.insecure__allow_eventfd') == 1, str(done)
    script = EVENTFD.replace("print('child' if", "pid and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\nprint('child' if")
    native = run_native([PYTHON, '-c', script])
    shared = run_inside([PYTHON, '-c', script], extras={'sys.insecure__allow_eventfd': True})
    assert shared.out == native.out and 'child None 5' in shared.out, f'{native}{shared}'


LOADER = '/lib64/ld-linux-x86-64.so.2'


@pytest.fixture
def without_lib64(libos, tmp_path):
    """A run whose tree holds the dynamic loader in another place than programs say."""
    folder = tmp_path / 'runtime'
    folder.mkdir()
    (folder / 'ld-linux-x86-64.so.2').write_bytes(pathlib.Path(LOADER).read_bytes())
    (folder / 'ld-linux-x86-64.so.2').chmod(0o755)

    def run(program, *args, library_path='/runtime:/usr/lib/x86_64-linux-gnu'):
        (tmp_path / 'w.manifest').write_text(
            f'libos.entrypoint = "{program}"\nloader.insecure__use_cmdline_argv = true\n'
            + (f'loader.env.LD_LIBRARY_PATH = "{library_path}"\n' if library_path else '') +
            'fs.root = { type = "tmpfs" }\n'
            f'fs.mounts = [{{ path = "/runtime", uri = "file:{folder}" }}, {{ path = "/usr", uri = "file:/usr" }}]\n'
            'sgx.file_check_policy = "allow_all_but_log"\n')
        done = status_of([libos, 'w', *args], cwd=tmp_path)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


def test_loader_found_by_the_library_path_of_the_start(without_lib64):
    code = 'import subprocess, sys\n' \
        'print(subprocess.run(["/usr/bin/env"], env={}).returncode, flush=True)\n' \
        'print(subprocess.run(["/usr/bin/env", "-i", "/usr/bin/echo", "deep"], env={"LD_LIBRARY_PATH": "/nowhere"}).returncode)'
    status, out, err = without_lib64(PYTHON, '-c', code)
    assert (status, out) == (0, '0\ndeep\n0\n'), err


def test_missing_loader_is_explained(without_lib64):
    for library_path in (None, '/nowhere'):
        status, out, err = without_lib64('/usr/bin/echo', 'x', library_path=library_path)
        assert status == 1 and not out and err.count('\n') == 1, err
        assert LOADER in err and 'LD_LIBRARY_PATH' in err and '/lib64' in err, err


def test_start_inside_another_run(libos, run_inside, build_dir):
    for argv in ([libos, 'x'], [build_dir / 'bin' / 'adyton', 'run', 'x'],
                 [build_dir / 'lib' / 'adyton' / 'adyton-direct', 'run', '3', '-1', 'x']):
        done = run_inside(argv)
        assert done.status == 1 and not done.out, str(done)
        assert done.err.count('\n') == 1 and 'already inside Adyton' in done.err, str(done)


def test_no_descriptors_at_all(libos, tmp_path):
    (tmp_path / 'n.manifest').write_text('libos.entrypoint = "/bin/true"\nsys.fds.limit = 0\n'
                                        'fs.mounts = []\nloader.uid = 0\n')
    done = status_of([libos, 'n'], cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count(b'\n') == 1, done
    assert b"Cannot parse 'sys.fds.limit'" in done.stderr and b'900' in done.stderr, done


MOCKED = 'import ctypes; libc = ctypes.CDLL(None, use_errno=True); r = libc.syscall({}, 0, 0); ' \
    'print(r, ctypes.get_errno() if r < 0 else "")'


@pytest.mark.parametrize('name,number,value,printed', [
    ('vhangup', 153, 123, '123 \n'), ('eventfd2', 290, -38, '-1 38\n'), ('sched_yield', 24, None, '0 \n')])
def test_mock_lines(name, number, value, printed, run_inside):
    mock = {'name': name, **({} if value is None else {'return': value})}
    for level in ('warning', 'error'):
        done = run_inside([PYTHON, '-c', MOCKED.format(number)],
                          extras={'sys.debug__mock_syscalls': [mock], 'loader.log_level': level})
        assert done.out == printed, str(done)
        line = f'warning: ---- {name}(...) = {value or 0} (mock)\n'
        assert (line in done.err) == (level == 'warning'), str(done)


def test_debug_log(run_inside, tmp_path):
    """Lines that suites look for, on stderr or in a file, with the position and the process."""
    true = command('true')
    for file in (None, tmp_path / 'log'):
        done = run_inside([true], extras={'loader.log_level': 'debug', 'loader.log_file': file})
        log = done.err if file is None else file.read_text()
        assert done.status == 0 and (file is None or not done.err), str(done)
        assert re.search(r'^\(start\.c:\d+:libos_start\) \[::true\] debug: Host: Linux$', log, re.M), log
        assert re.search(r'debug: LibOS initialized$', log, re.M), log
        assert re.search(r'^\(exit\.c:\d+:process_exit\) \[P\d+:T\d+:true\] debug: ---- exit_group \(returning 0\)$',
                         log, re.M), log
    done = run_inside([true], extras={'loader.log_level': 'warning'})
    assert 'debug' not in done.err, str(done)


def test_arguments_nobody_asked_for(libos, tmp_path):
    manifest = tmp_path / 'a.manifest'
    manifest.write_text('libos.entrypoint = "/bin/true"\nfs.mounts = []\nsgx.file_check_policy = "allow_all_but_log"\n'
                        'fs.root.uri = "file:/"\nloader.uid = 0\n')
    assert status_of([libos, 'a'], cwd=tmp_path).returncode == 0
    done = status_of([libos, 'a', 'unexpected'], cwd=tmp_path)
    assert done.returncode == 1 and b"argv handling wasn't configured in the manifest" in done.stderr, done
    manifest.write_text(manifest.read_text() + 'loader.argv = ["true"]\n')
    done = status_of([libos, 'a', 'unexpected'], cwd=tmp_path)
    assert done.returncode == 0 and done.stderr.startswith(b'error: ') and b'loader.argv' in done.stderr, done


KEY = '00112233445566778899aabbccddeeff'


@pytest.fixture
def encrypted(build_dir, run_inside, tmp_path):
    """encrypted(file, key_name) -> Result: cat of an encrypted file inside, below /enc."""
    folder = tmp_path / 'enc'
    folder.mkdir()
    (tmp_path / 'key').write_bytes(bytes.fromhex(KEY))
    (tmp_path / 'plain').write_text('plain text\n')
    done = status_of([build_dir / 'bin' / 'gramine-sgx-pf-crypt', 'encrypt', '-w', tmp_path / 'key',
                      '-i', tmp_path / 'plain', '-o', folder / 'file'])
    assert done.returncode == 0, done

    def run(name, key_name='default', key=KEY):
        return run_inside([command('cat'), f'/enc/{name}'], extras={
            'fs.mounts': [{'type': 'encrypted', 'path': '/enc', 'uri': f'file:{folder}', 'key_name': key_name}],
            'fs.insecure__keys.default': key})

    assert run('file').out == 'plain text\n'
    run.folder = folder
    return run


def one_line(done, *words):
    """cat's own complaint, and one line of ours that says all of this."""
    lines = [line for line in done.err.splitlines() if not line.startswith('/') and 'cat: ' not in line[:20]]
    assert done.status == 1 and not done.out and len(lines) == 1, str(done)
    for word in words:
        assert word in lines[0], lines[0]


def test_refused_encrypted_files_name_the_remedy(encrypted):
    folder = encrypted.folder
    (folder / 'moved').write_bytes((folder / 'file').read_bytes())
    one_line(encrypted('moved'), 'moved', 'encrypted for another path', '`adyton inspect`')
    one_line(encrypted('file', key=KEY[::-1]), "key 'default'", 'wrong key', '`adyton inspect`')
    content = bytearray((folder / 'file').read_bytes())
    content[60] ^= 1
    (folder / 'file').write_bytes(content)
    one_line(encrypted('file'), 'altered', '`adyton inspect`', 'restore')
    (folder / 'file').write_text('never encrypted\n')
    one_line(encrypted('file'), 'not an encrypted file', '`adyton encrypt`')


@pytest.mark.parametrize('name', ['_sgx_mrenclave', '_sgx_mrsigner'])
def test_sealing_keys_are_the_enclaves(name, encrypted, run_inside):
    one_line(encrypted('file', key_name=name), name, 'SGX', 'key_name')
    done = run_inside([command('ls'), '/dev/attestation/keys'], extras={
        'fs.mounts': [{'type': 'encrypted', 'path': '/enc', 'uri': f'file:{encrypted.folder}', 'key_name': name}]})
    assert name not in done.out, str(done)
