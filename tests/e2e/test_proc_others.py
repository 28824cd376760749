# SPDX-License-Identifier: LGPL-3.0-or-later
"""Commands that look at all processes (ps, pgrep, pkill, killall, top, pstree, pidof): inside they
see the processes of the run as natively, and no other process of the machine.
"""
import os
import re

import pytest

from conftest import command

PYTHON = '/usr/bin/python3'

# A few relatives, then one command that looks at them; the first line is the shell's own number.
FAMILY = '''
cd /tmp; echo $$
trap 'kill $a $b $c $d 2>/dev/null' EXIT
/bin/sleep 1000 >/dev/null 2>&1 & a=$!
/bin/bash -c 'exec -a renamed /bin/sleep 1001' >/dev/null 2>&1 & b=$!
/usr/bin/python3 -c '
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, b"worker one", 0, 0, 0)
time.sleep(1000)' an-argument >/dev/null 2>&1 & c=$!
/bin/bash -c 'trap "kill %1" TERM; /bin/sleep 1002 & wait' >/dev/null 2>&1 & d=$!
settle() {
    for i in $(seq 400); do
        [ "$(pgrep -P $$ -x -c "sleep|worker one")" = 3 ] && pgrep -P $d -x sleep >/dev/null && return
        sleep 0.05
    done
    echo the family does not settle
}
'''
TABLE = FAMILY + '''
settle
ps -e -w -w -o pid=,ppid=,stat=,nlwp=,comm:20=,args=
'''


@pytest.fixture
def both(run_native, run_inside, tmp_path):
    def run(script, *args):
        argv = ['/bin/bash', '-c', script, 'family', *args]
        scratch = tmp_path / 'scratch'
        env = {'SCRATCH': str(scratch)}
        return run_native(argv, timeout=90, env=env), run_inside(argv, timeout=90, env=env, allowed=[scratch])
    return run


def family(result):
    """{(names from the shell down to the process), state, arguments} of the shell's relatives, and
    the numbers of all processes that were listed"""
    assert result.status == 0, str(result)
    first, *lines = result.out.splitlines()
    rows = {}
    for line in lines:
        pid, ppid, state, threads, comm, args = re.fullmatch(
            r' *(\d+) +(\d+) +(\S+) +(\d+) (.{20}) (.*)', line).groups()
        rows[int(pid)] = int(ppid), state, threads, comm.strip(), args
    found = []
    for pid, (_, state, threads, comm, args) in rows.items():
        names = [comm]
        up = pid
        while up != int(first) and up in rows:
            up = rows[up][0]
            names.insert(0, rows[up][3] if up in rows else '?')
        if up == int(first):
            # S+ in the foreground of a terminal, N with a nice value: not ours to compare
            found.append((tuple(names), state[0].replace('R', 'S'), threads, args))
    return sorted(found), sorted(rows)


def test_ps(both):
    command('ps')
    native, inside = both(TABLE)
    (expected, _), (seen, pids) = family(native), family(inside)
    assert len(expected) == 7, native
    assert seen == expected, f'{native}\n{inside}'
    assert len(pids) == len(seen), f'others than the relatives are listed: {inside}'


# No pgrep in a pipeline: the shells that are to become its other members would be found, too.
LOOKS = {
    'pgrep': 'pgrep -P $$ -x -l "sleep|bash|python3|worker one" >$SCRATCH; sed "s/[0-9]* //" $SCRATCH | sort',
    'pgrep-f': 'pgrep -P $$ -f an-argument >$SCRATCH; wc -l <$SCRATCH',
    'pkill': 'pkill -P $$ -f "^renamed 1001"; wait $b; echo $?',
    'kill-comm': 'pkill -KILL -P $$ -x "worker one"; wait $c; echo $?; pgrep -P $$ -f an-argument; echo $?',
    'exe': 'for p in $a $b $c $d; do readlink /proc/$p/exe; done',
    'cwd': 'for p in $a $b $c $d; do readlink /proc/$p/cwd /proc/$p/root; done | sort -u',
    'environ': 'tr "\\0" "\\n" </proc/$a/environ | grep -E "^(HOME|TZ)=" | sort',
    # the session's number may have more digits inside than natively
    'fields': 'ps -o user=,tty=,sid=,nlwp=,nice= -p $a,$b,$c,$d,$$ | sed "s/ *$(ps -o sid= -p $$ | tr -d " ") / SID /"',
    'vanished': 'p=$a; kill -KILL $p; wait $p; ls -d /proc/$p; ps -p $p -o pid=; echo $?',
    'listing': '/usr/bin/python3 -c "import os; l = [int(n) for n in os.listdir(\'/proc\') if n.isdigit()]; '
               'print(l == sorted(l), os.getpid() in l, os.getppid() in l)"',
}


@pytest.mark.parametrize('name', LOOKS)
def test_looking(name, both):
    command('pgrep')
    native, inside = both(FAMILY + 'settle\n' + LOOKS[name])
    strip = [r.out.split('\n', 1)[1].replace(r.out.split('\n', 1)[0], 'PID') for r in (native, inside)]
    numbers = [re.sub(r'/proc/\d+', '/proc/N', text) for text in strip]
    assert numbers[0].strip() and numbers[1] == numbers[0], f'{native}\n{inside}'


def test_top_killall_pstree(run_inside):
    for name in 'top', 'killall', 'pstree', 'pidof':
        command(name)
    result = run_inside(['/bin/bash', '-c', FAMILY + '''settle
        TERM=dumb top -b -n1 -w 100 | sed -n '/ PID/,$p'
        echo ==; pstree -a $$
        echo ==; pidof renamed sleep | wc -w
        killall -KILL sleep; wait $a; echo $?; pidof sleep
        '''])
    first, text = result.out.split('\n', 1)
    top, tree, rest = text.split('==\n')
    listed = [line.split(maxsplit=11) for line in top.splitlines()[1:]]
    names = sorted(row[11] for row in listed)
    assert names == sorted(['bash', 'bash', 'sed', 'sleep', 'sleep', 'sleep', 'top', 'worker one']), str(result)
    assert tree.splitlines()[0].startswith('bash -c') and 'sleep 1000' in tree and 'sleep 1002' in tree, str(result)
    assert rest.splitlines()[0] == '3' and rest.splitlines()[1] == '137', str(result)


ONLY_OURS = '''
import os, subprocess
pids = lambda: {int(n) for n in os.listdir('/proc') if n.isdigit()}
assert pids() == {os.getpid()}
open('/mnt/t/file', 'w').write('x')
child = subprocess.Popen(['/bin/sleep', '1000'])
open('/mnt/t/file', 'a').write('y')   # by now the mount has a process of its own
while open(f'/proc/{child.pid}/comm').read() != 'sleep\\n':
    pass
print(pids() == {os.getpid(), child.pid})
known = pids()
outside = [n for n in range(1, 4000) if n not in known and os.path.exists(f'/proc/{n}')]
print(outside)
if os.getuid() == 0:
    r, w = os.pipe()
    if os.fork() == 0:
        os.setgid(1000)
        os.setuid(1000)
        said = []
        for name in 'environ', 'auxv', 'maps', 'personality':
            try:
                open(f'/proc/{child.pid}/{name}').read()
                said.append('read')
            except PermissionError:
                said.append('EACCES')
        for name in 'exe', 'cwd', 'root', 'fd/0', 'fd':
            try:
                os.readlink(f'/proc/{child.pid}/{name}') if name != 'fd' else os.listdir(f'/proc/{child.pid}/fd')
                said.append('read')
            except PermissionError:
                said.append('EACCES')
        said.append(open(f'/proc/{child.pid}/cmdline').read().split('\\0')[0])
        os.write(w, ' '.join(said).encode())
        os._exit(0)
    os.wait()
    print(os.read(r, 1000).decode())
child.kill()
'''


def test_only_the_run_and_rights(run_inside, tmp_path):
    path = tmp_path / 'script.py'
    path.write_text(ONLY_OURS)
    result = run_inside([PYTHON, path], extras={'fs.mounts': [{'type': 'tmpfs', 'path': '/mnt/t'}]})
    assert result.status == 0, str(result)
    lines = result.out.splitlines()
    assert lines[:2] == ['True', '[]'], str(result)
    if os.getuid() == 0:
        assert lines[2] == 'EACCES ' * 9 + '/bin/sleep', str(result)
