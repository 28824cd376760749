#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Runs CPython's own tests (Debian: libpython3.N-testsuite) natively and inside the library OS.

usage: run.py [--build build] [--results FOLDER] [--jobs 2] [--timeout SECONDS]
              [--native | --inside | --quick] [--again] [--document] [MODULE...]

First each module runs natively, then those that pass there run inside; --native and --inside do one of
these steps. --quick runs the modules inside, then natively what did not pass, and what passes there
a second time inside. A module is one process `python3 -m test -v MODULE` in an empty folder of its
own, in a session of its own without a terminal; what it leaves running is ended. Results are kept as
JSON, one file for each side, with the output of each module beside them (NAME.first.log: of the time
before), so that an interrupted run goes on where it was; --again runs the named modules (or all)
anew. The last lines name the modules that pass natively and not inside; exit status 1 if there are
any. --document writes the outcome into docs/compatibility.md, where reasons that are there for a
module stay.
"""
import argparse
import concurrent.futures
import ctypes
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / 'docs' / 'compatibility.md'
PYTHON = os.path.realpath('/usr/bin/python3')
PR_SET_CHILD_SUBREAPER = 36

# Further arguments of a module, the same on both sides.
ARGUMENTS = {
    'test_time': ['-i', 'test_monotonic_settime'],  # sets the host's clock
    'test_socket': ['-i', '*VSOCK*'],  # waits for ever for a peer on a host with half of vsock
    'test_socketserver': ['-u', 'network'],  # of the loopback only
}

MANIFEST = '''
libos.entrypoint = "{python}"
loader.log_level = "error"
loader.insecure__use_cmdline_argv = true
loader.insecure__use_host_env = true
loader.uid = {uid}
loader.gid = {gid}
fs.root = {{ type = "chroot", uri = "file:/" }}
fs.start_dir = "{cwd}"
fs.mounts = []
sgx.file_check_policy = "allow_all_but_log"
sgx.allowed_files = ["file:/"]
sgx.enclave_size = "1G"
sgx.max_threads = 64
sys.stack.size = "8M"
sys.brk.max_size = "256M"
'''


def suite_is_there():
    """Whether Python finds its tests (and not only test.support)."""
    return pathlib.Path(sys_library(), 'test', 'test_os.py').is_file()


def has_module(module):
    """Whether this release of Python has tests of that name."""
    name = pathlib.Path(sys_library(), 'test', module.removeprefix('test.').replace('.', '/'))
    return name.is_dir() or name.with_suffix('.py').is_file()


@functools.cache
def sys_library():
    return subprocess.run([PYTHON, '-c', 'import os; print(os.path.dirname(os.__file__))'],
                          capture_output=True, text=True, check=True).stdout.strip()


def all_modules():
    out = subprocess.run([PYTHON, '-m', 'test', '--list-tests'], capture_output=True, text=True,
                         check=True, cwd='/')
    return out.stdout.split()


def environment(folder):
    return {'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': str(folder / 'home'), 'LC_ALL': 'C.UTF-8',
            'TMPDIR': str(folder), 'LANG': 'C.UTF-8'}


def end_descendants(seconds=10):
    """Ends every process below this one; being a subreaper, it gets those that lost their parent."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for children in pathlib.Path('/proc/self/task').glob('*/children'):
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.05)


def supervise(seconds, argv):
    """Runs argv, ends all that is left of it, exits with its status (124: too slow)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        status = child.wait(seconds)
    except subprocess.TimeoutExpired:
        status = 124
    finally:
        end_descendants()
    sys.exit(status if status >= 0 else 128 - status)


def cases_of(report):
    """Counts, and the names of failed and skipped cases, of a JUnit report; None if there is none."""
    try:
        tree = xml.etree.ElementTree.parse(report)
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    failed, skipped, count = [], [], 0
    for case in tree.iter('testcase'):
        count += 1
        if case.find('error') is not None or case.find('failure') is not None:
            failed.append(case.get('name'))
        elif case.find('skipped') is not None or case.get('result') == 'skipped':
            skipped.append(case.get('name'))
    return {'cases': count, 'failed': failed, 'skipped': skipped}


def run_module(module, side, build, log, timeout):
    """One module on one side -> what is recorded of it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='cpy'))
    (folder / 'home').mkdir()
    work = folder / 'w'
    work.mkdir()
    report = folder / 'report.xml'
    test = ['-m', 'test', '-v', '--timeout', str(timeout), '-u', 'subprocess', '--tempdir', work,
            '--junit-xml', report, *ARGUMENTS.get(module, ()), module]
    if side == 'native':
        argv = [PYTHON, *test]
    else:
        manifest = folder / 'python.manifest'
        manifest.write_text(MANIFEST.format(python=PYTHON, uid=os.getuid(), gid=os.getgid(), cwd=work))
        argv = [build / 'bin' / 'gramine-direct', folder / 'python', *test]
    begin = time.monotonic()
    with open(log, 'wb') as out:
        done = subprocess.run(
            [sys.executable, __file__, '--supervise', str(timeout + 30), *map(str, argv)],
            cwd=work, env=environment(folder), stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, check=False)
    seconds = round(time.monotonic() - begin, 1)
    text = log.read_text(errors='replace')
    cases = cases_of(report) or {}
    shutil.rmtree(folder, ignore_errors=True)
    if done.returncode == 124 or 'Timeout (' in text and done.returncode != 0:
        result = 'timeout'
    elif done.returncode != 0:
        result = 'fail'
    elif re.search(r'^1 test (skipped|run no tests)|run no tests', text, re.M):
        result = 'skip'
    else:
        result = 'pass'
    return {'result': result, 'status': done.returncode, 'seconds': seconds, **cases}


class Results:
    """What is known of one side: module -> record, kept in FOLDER/SIDE.json."""

    def __init__(self, folder, side):
        self.path = folder / f'{side}.json'
        self.logs = folder / side
        self.logs.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()
        self.known = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def add(self, module, record):
        with self.lock:
            self.known[module] = record
            new = self.path.with_suffix('.new')
            new.write_text(json.dumps(self.known, indent=1, sort_keys=True) + '\n')
            new.replace(self.path)


def run_side(side, modules, results, options):
    def one(module):
        log = results.logs / f'{module}.log'
        if log.is_file():
            log.replace(log.with_suffix('.first.log'))
        record = run_module(module, side, options.build, log, options.timeout)
        if record['result'] in ('fail', 'timeout') and options.retry:
            log.replace(log.with_suffix('.first.log'))
            record = run_module(module, side, options.build, log, options.timeout)
            record['attempts'] = 2
        results.add(module, record)
        print(f"{side} {module}: {record['result']} {record['seconds']} s"
              + (f" {' '.join(record['failed'])}" if record.get('failed') else ''), flush=True)

    todo = [m for m in modules if options.again or m not in results.known]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for _ in pool.map(one, todo):
            pass


SECTION = re.compile(r"(?<=^## CPython's own tests$\n)(.*?)(?=^## )", re.M | re.S)


def documented():
    """module -> why it differs inside, as docs/compatibility.md has it."""
    section = SECTION.search(DOCUMENT.read_text())[1]
    rows = re.findall(r'^\| `([\w.]+)` \|.*\| (.*?) \|$', section, re.M)
    return {module: reason for module, reason in rows if reason != '?'}


def outcome(record):
    """One cell: what passed of how many cases, or what became of the module as a whole."""
    if 'cases' not in record:
        return record['result']
    bad, left_out = len(record['failed']), len(record['skipped'])
    parts = [f"{record['cases'] - bad - left_out} passed"]
    parts += [f'{bad} failed'] if bad else []
    parts += [f'{left_out} skipped'] if left_out else []
    return ', '.join(parts)


def write_document(native, inside):
    reasons = documented()
    good = passing(native, sorted(native.known))
    same = passing(inside, good)
    rows = []
    for module in good:
        n, i = native.known[module], inside.known[module]
        if i['result'] != 'pass' or set(i['skipped']) - set(n['skipped']):
            rows.append(f"| `{module}` | {outcome(n)} | {outcome(i)} | {reasons.get(module, '?')} |")
    others = {result: ', '.join(f'`{m}`' for m in sorted(native.known) if native.known[m]['result'] == result)
              for result in ('skip', 'fail', 'timeout')}
    cases = [sum(record.get('cases', 0) - len(record.get('failed', ())) - len(record.get('skipped', ()))
                 for record in (side.known[m] for m in good)) for side in (native, inside)]
    text = f"""
`tests/cpython/run.py` runs each module of the tests of CPython that Debian ships
(`libpython3.N-testsuite`) natively and inside, in a temporary folder, everything allowed. `make check` runs
the modules that say most about the system, `make check-full` all of them. The last full run:

{len(native.known)} modules: {len(good)} pass natively, {len(same)} of these inside ({100 * len(same) / len(good):.1f} %);
{cases[0]:,} cases pass in them natively, {cases[1]:,} inside.

"""
    if rows:
        text += ('| module | native | inside | reason |\n|---|---|---|---|\n'
                 + ''.join(row + '\n' for row in rows) + '\n')
    if others['skip']:
        text += f"Nothing to run natively on the machine that the table was made on: {others['skip']}.\n"
    if others['fail'] or others['timeout']:
        bad = ', '.join(filter(None, (others['fail'], others['timeout'])))
        text += f'Fail natively there: {bad}.\n'
    DOCUMENT.write_text(SECTION.sub(lambda _: text + '\n', DOCUMENT.read_text()))


def passing(results, modules):
    return [m for m in modules if results.known.get(m, {}).get('result') == 'pass']


def main():
    if sys.argv[1:2] == ['--supervise']:
        supervise(float(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--build', type=pathlib.Path, default=ROOT / 'build')
    parser.add_argument('--results', type=pathlib.Path)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--timeout', type=int, default=600)
    side = parser.add_mutually_exclusive_group()
    side.add_argument('--native', action='store_true')
    side.add_argument('--inside', action='store_true')
    side.add_argument('--quick', action='store_true')
    parser.add_argument('--document', action='store_true')
    parser.add_argument('--again', action='store_true')
    parser.add_argument('--retry', action='store_true', help='a second attempt for what fails')
    parser.add_argument('modules', nargs='*')
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.results = (options.results or options.build / 'cpython').resolve()
    if not suite_is_there():
        sys.exit('run.py: the tests of CPython are not installed (Debian: libpython3.N-testsuite)')
    modules = options.modules or all_modules()
    native, inside = Results(options.results, 'native'), Results(options.results, 'inside')
    if options.quick:
        run_side('inside', modules, inside, options)
        bad = [m for m in modules if m not in passing(inside, modules)]
        run_side('native', bad, native, options)
        options.again = True
        run_side('inside', passing(native, bad), inside, options)
        good = [m for m in modules if m not in bad or m in passing(native, bad)]
    else:
        if not options.inside:
            run_side('native', modules, native, options)
        good = passing(native, modules)
        if not options.native:
            run_side('inside', good, inside, options)
    same = passing(inside, good)
    differ = [m for m in good if m in inside.known and m not in same]
    how = 'are taken to pass' if options.quick else 'pass'
    print(f'{len(good)} of {len(modules)} modules {how} natively, {len(same)} of these inside')
    for module in differ:
        print(f"  {module}: {inside.known[module]['result']} {' '.join(inside.known[module].get('failed', []))}")
    if options.document:
        write_document(native, inside)
    sys.exit(1 if differ else 0)


if __name__ == '__main__':
    main()
