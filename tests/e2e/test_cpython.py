# SPDX-License-Identifier: LGPL-3.0-or-later
"""CPython's own tests pass inside where they pass natively (tests/cpython/run.py).

In every run the modules that say most about the operating system; with ADYTON_FULL all of them, and then
docs/compatibility.md must tell the outcome.
"""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNNER = ROOT / 'tests' / 'cpython' / 'run.py'
FULL = bool(os.environ.get('ADYTON_FULL'))

# Those that take long, mostly asleep, come first.
SUBSET = '''
test_signal test_subprocess test_socket test_selectors test_threading test_poll test_eintr
test_asyncore test_cmd_line test_ctypes test_dbm_dumb test_epoll test_exceptions test_faulthandler
test_fcntl test_file test_fileio test_fork1 test_glob test_httplib test_httpservers test_import test_mmap
test_openpty test_os test_pathlib test_popen test_posix test_posixpath test_pty test_queue test_resource
test_select test_shutil test_socketserver test_sys test_tempfile test_thread test_threadsignals test_time
test_wait3 test_wait4 test_zipimport
'''.split()
MODULES = [] if FULL else SUBSET


@pytest.fixture(scope='module')
def runner():
    spec = importlib.util.spec_from_file_location('cpython_run', RUNNER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.suite_is_there():
        pytest.skip("the tests of CPython are not installed (Debian: libpython3.N-testsuite)")
    return module


@pytest.fixture(scope='module')
def results(runner, libos, build_dir, tmp_path_factory):
    """The records of both sides, and what the runner printed."""
    folder = tmp_path_factory.mktemp('cpython')
    how = ['--retry'] if FULL else ['--quick']
    modules = [module for module in MODULES if runner.has_module(module)]
    done = subprocess.run([sys.executable, RUNNER, '--build', build_dir, '--results', folder, '--jobs', '3',
                           '--timeout', '300' if not FULL else '1200', *how, *modules],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    sides = [json.loads(path.read_text()) if path.is_file() else {}
             for path in (folder / 'native.json', folder / 'inside.json')]
    return *sides, folder, done.stdout


@pytest.mark.parametrize('module', MODULES)
def test_module(module, results, runner):
    native, inside, folder, _ = results
    if not runner.has_module(module):
        pytest.skip(f'{module}: not among the tests of this release of Python')
    if inside[module]['result'] == 'pass':
        return
    if native[module]['result'] != 'pass':
        pytest.skip(f"{module}: {native[module]['result']} natively too")
    log = (folder / 'inside' / f'{module}.log').read_text(errors='replace')
    pytest.fail(f'{inside[module]}\n{log[-6000:]}', pytrace=False)


@pytest.mark.skipif(not FULL, reason='the whole suite of CPython runs with ADYTON_FULL only')
def test_whole_suite(results, runner):
    native, inside, folder, out = results
    good = [m for m in native if native[m]['result'] == 'pass']
    same = [m for m in good if inside[m]['result'] == 'pass']
    assert len(good) > 300, out
    assert len(same) >= 0.95 * len(good), out
    # A module passes, too, when cases are skipped inside that are not natively.
    less = {m for m in same if set(inside[m].get('skipped', ())) - set(native[m].get('skipped', ()))}
    unknown = (set(good) - set(same) | less) - set(runner.documented())
    assert not unknown, f'fail or are left out inside, and docs/compatibility.md does not say why: {unknown}'
