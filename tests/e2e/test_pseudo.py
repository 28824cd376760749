# SPDX-License-Identifier: LGPL-3.0-or-later
"""/proc, /sys, /dev and tmpfs: what Linux shows is what the programs see, and nothing of the library
OS or of the host beyond it.
"""
import os
import pathlib
import re
import shutil
import tempfile

import pytest

from conftest import OUTCOMES

PYTHON = '/usr/bin/python3'
PROGRAMS = pathlib.Path(__file__).resolve().parents[1] / 'programs'
TMPFS = {'fs.mounts': [{'type': 'tmpfs', 'path': '/mnt/t'}]}
MAPS_LINE = re.compile(r'[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][ps] [0-9a-f]{8,16} '
                       r'[0-9a-f]{2,}:[0-9a-f]{2,} \d+ ( *(/.*|\[[a-z]+\]))?$')


@pytest.fixture
def memory_dir():
    """A directory of the host on a tmpfs."""
    if not os.access('/dev/shm', os.W_OK):
        pytest.skip('no writable /dev/shm on the host')
    path = tempfile.mkdtemp(dir='/dev/shm')
    yield path
    shutil.rmtree(path)


def script(run_inside, tmp_path, text, **how):
    path = tmp_path / 'script.py'
    path.write_text(text)
    result = run_inside([PYTHON, path], **how)
    assert result.status == 0, result
    return result.out


def test_tmpfs(run_native, run_inside, memory_dir):
    native = run_native([PYTHON, PROGRAMS / 'tmpfs_ops.py', memory_dir])
    inside = run_inside([PYTHON, PROGRAMS / 'tmpfs_ops.py', '/mnt/t'], extras=TMPFS)
    assert native.status == 0 and len(native.out.splitlines()) > 60, native
    assert inside.status == 0, inside
    assert inside.out.splitlines() == native.out.splitlines()
    # As one process of several, whose tmpfs has its names elsewhere.
    shell = f'(echo kept >/mnt/t/kept); {PYTHON} {PROGRAMS}/tmpfs_ops.py /mnt/t; cat /mnt/t/kept'
    inside = run_inside(['/bin/bash', '-c', shell], extras=TMPFS)
    assert inside.status == 0, inside
    assert inside.out.splitlines() == [*native.out.splitlines(), 'kept']


MANY_AT_ONCE = """
cd "$1"
for i in 1 2 3 4 5 6; do
    ( for k in $(seq 8); do
          echo $i $k >f.$i.$k; mv f.$i.$k g.$i.$k; ln g.$i.$k h.$i.$k; rm h.$i.$k; mkdir d.$i.$k
      done ) &
done
wait
ls | wc -l
cat g.* | sort -n -k1 -k2 | md5sum
exec 7>stays; rm stays; (echo text >&7); stat -L -c '%h %s' /proc/self/fd/7
(cd d.1.1; echo deep >x; chmod 600 x); stat -c '%a %s' d.1.1/x; (rm -r d.1.1); ls d.1.1 2>&1
mkfifo p; (echo through >p) & cat p; wait
(exec 8>locked; flock 8; echo held >p; sleep 60) & victim=$!
read -r word <p; flock -n locked true || echo "$word"
kill -9 $victim; wait $victim 2>/dev/null; flock locked echo free; kill $(jobs -p) 2>/dev/null
rm -r -- *; ls | wc -l
"""


def test_tmpfs_of_many_processes(run_native, run_inside, memory_dir):
    """What one creates, renames or removes the others see; sudden deaths hold nothing up."""
    native = run_native(['/bin/bash', '-c', MANY_AT_ONCE, 'many', memory_dir])
    inside = run_inside(['/bin/bash', '-c', MANY_AT_ONCE, 'many', '/mnt/t'], extras=TMPFS)
    assert native.out and 'free' in native.out, native
    assert inside.out.replace('/mnt/t', '') == native.out.replace(str(memory_dir), ''), inside


def test_processes_and_devices(run_native, run_inside, tmp_path):
    for name in 'native', 'inside':
        (tmp_path / name).mkdir()
    program = PROGRAMS / 'pseudo_ops.py'
    native = run_native([PYTHON, program, tmp_path / 'native'])
    inside = run_inside([PYTHON, program, tmp_path / 'inside'], allowed=[tmp_path / 'inside'])
    assert native.status == 0 and inside.status == 0, f'{native}\n{inside}'
    assert (inside.out.replace(f'{tmp_path}/inside', '').splitlines() ==
            native.out.replace(f'{tmp_path}/native', '').splitlines())


def test_maps_show_the_application_alone(run_inside):
    result = run_inside(['/bin/cat', '/proc/self/maps'])
    lines = result.out.splitlines()
    assert [line for line in lines if not MAPS_LINE.fullmatch(line)] == []
    assert 'adyton' not in result.out and 'memfd' not in result.out
    for name in '/usr/bin/cat', '[stack]', '[vdso]', '[heap]':
        assert any(line.endswith(' ' + name) for line in lines), name


def test_descriptors_show_the_application_alone(run_inside):
    result = run_inside(['/bin/ls', '/proc/self/fd', '/proc/self/fdinfo'])
    assert result.out.split() == ['/proc/self/fd:', '0', '1', '2', '3', '/proc/self/fdinfo:', '0', '1',
                                  '2', '3']


def test_only_own_processes(run_inside, tmp_path):
    out = script(run_inside, tmp_path, 'import os\n'
                 'print(sorted(os.getpid() == int(n) for n in os.listdir("/proc") if n.isdigit()))\n'
                 'print(os.path.exists("/proc/1/status") or os.getpid() == 1)\n')
    assert out.splitlines() == ['[True]', 'False']


@pytest.mark.parametrize('path', ['devices/system/cpu', 'devices/system/node'])
def test_sys_has_what_the_host_has(run_native, run_inside, path):
    if not os.path.isdir(f'/sys/{path}'):
        pytest.skip(f'no /sys/{path} on the host')
    find = ['/usr/bin/find', f'/sys/{path}', '-type', 'f', '-name', '[a-z]*', '-not', '-name', 'meminfo',
            '-not', '-name', 'numastat', '-not', '-name', 'scaling_cur_freq']
    inside = run_inside(find)
    assert inside.status == 0 and len(inside.out.split()) > 3, inside
    show = ['/usr/bin/head', '-v', '-c', '4096', *inside.out.split()]
    assert run_inside(show).out == run_native(show).out


def test_lscpu(run_native, run_inside):
    if not os.path.exists('/usr/bin/lscpu'):
        pytest.skip('no lscpu')
    keep = re.compile(r'^(CPU|Thread|Core|Socket|NUMA|L[123]|Model|On-line).*$', re.M)
    native, inside = run_native(['/usr/bin/lscpu']), run_inside(['/usr/bin/lscpu'])
    assert inside.status == 0, inside
    assert ([m.group().split() for m in keep.finditer(inside.out)] ==
            [m.group().split() for m in keep.finditer(native.out)])


KEYS = '''
import errno, os, sys
d = '/dev/attestation/keys'
def attempt(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]
def write(name, value):
    fd = os.open(f'{d}/{name}', os.O_WRONLY)
    try:
        return os.write(fd, value)
    finally:
        os.close(fd)
def read(name):
    with open(f'{d}/{name}', 'rb') as file:
        return file.read().hex()
print(sorted(os.listdir(d)))
print(read('given'), read('later') == '')
print(write('later', bytes(range(16))), read('later'))
print(attempt(lambda: write('later', b'short')), attempt(lambda: write('later', bytes(17))))
print(read('later'))
print(attempt(lambda: read('nobody')), attempt(lambda: os.open(d + '/x', os.O_CREAT | os.O_WRONLY)))
print(oct(os.stat(d + '/given').st_mode), os.stat(d + '/given').st_size)
print(attempt(lambda: os.unlink(d + '/given')))
sys.stdout.flush()
if os.fork() == 0:
    print(read('later'), flush=True)
    write('later', bytes(16))
    os._exit(0)
os.wait()
print(read('later'))
'''


def test_keys(run_inside, tmp_path):
    host = tmp_path / 'encrypted'
    host.mkdir()
    value = '00112233445566778899aabbccddeeff'
    out = script(run_inside, tmp_path, KEYS, extras={
        'fs.insecure__keys.given': value,
        'fs.mounts': [{'type': 'encrypted', 'path': '/enc', 'uri': f'file:{host}',
                       'key_name': 'later'}]})
    later = bytes(range(16)).hex()
    assert out.splitlines() == ["['given', 'later']", f'{value} True', f'16 {later}',
                                'EACCES EACCES', later, 'ENOENT ENOENT', '0o100666 0', 'EPERM', later,
                                later]


def test_shm_is_private(run_inside, tmp_path):
    name = f'adyton-test-{os.getpid()}'
    script(run_inside, tmp_path, f'open("/dev/shm/{name}", "w").write("secret")')
    assert not os.path.exists(f'/dev/shm/{name}')


def test_generated_resolv_conf(run_inside, tmp_path):
    """Name servers of the host's file and little else; shadows what a mount shows there."""
    show = ['/bin/sh', '-c', 'cat /etc/resolv.conf; uname -n; [ -z "$1" ] || echo x >/etc/resolv.conf', 'sh']
    (tmp_path / 'etc').mkdir()
    (tmp_path / 'etc' / 'resolv.conf').write_text('mounted')
    mounts = [{'type': 'chroot', 'path': '/etc', 'uri': f'file:{tmp_path}/etc'}]
    off = run_inside(show, extras={'fs.mounts': mounts})
    assert off.out == 'mountedlocalhost\n', str(off)
    host = pathlib.Path('/etc/resolv.conf')
    if not host.is_file():
        pytest.skip('this machine has no /etc/resolv.conf')
    on = run_inside([*show, 'write'], extras={'fs.mounts': mounts, 'sys.enable_extra_runtime_domain_names_conf': True})
    servers = re.findall(r'^[ \t]*nameserver[ \t]+(\S+)', host.read_text(), re.M)
    assert re.findall('^nameserver (.*)$', on.out, re.M) == servers[:3], str(on)
    assert on.out.splitlines()[-1] == os.uname().nodename, str(on)
    assert all(line.split()[0] in ('nameserver', 'search', 'options') for line in on.out.splitlines()[:-1]), str(on)
    assert on.status != 0 and (tmp_path / 'etc' / 'resolv.conf').read_text() == 'mounted'


def test_mount_points(run_inside, tmp_path):
    """Directories that exist only as the way to a mount have no attributes, which is no error for
    ls; what is mounted on is busy, a file too."""
    (tmp_path / 'dir').mkdir()
    for name in ('dir/file', 'other'):
        (tmp_path / name).write_text(name)
    mounts = [{'type': 'tmpfs', 'path': '/way/to/it'},
              {'type': 'chroot', 'path': '/x', 'uri': f'file:{tmp_path}/dir'},
              {'type': 'chroot', 'path': '/x/file', 'uri': f'file:{tmp_path}/other'}]
    listed = run_inside(['/bin/ls', '-la', '/way', '/way/to'], extras={'fs.mounts': mounts})
    assert listed.status == 0 and not listed.err and ' it\n' in listed.out, str(listed)
    text = OUTCOMES + '''
print(attempt(os.unlink, '/x/file'), attempt(os.unlink, '/x'), attempt(os.rmdir, '/x'),
      attempt(os.rename, '/x/file', '/x/new'), attempt(os.rename, '/way', '/x/new'),
      attempt(os.listxattr, '/way/to'), open('/x/file').read())
'''
    busy = run_inside([PYTHON, '-c', text], extras={'fs.mounts': mounts})
    assert busy.out == 'EBUSY EISDIR EBUSY EBUSY EBUSY ENOTSUP other\n', str(busy)
