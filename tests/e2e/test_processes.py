# SPDX-License-Identifier: LGPL-3.0-or-later
"""Processes as a user meets them: an interactive shell on a terminal, descriptors that the launcher
was started with.
"""
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from conftest import ENVIRONMENT

BASH = ['--norc', '--noprofile', '--noediting', '-i']


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            for number in range(1, 32):
                if number not in (signal.SIGKILL, signal.SIGSTOP):
                    signal.signal(number, signal.SIG_DFL)
            os.chdir(cwd)
            os.execve(argv[0], [str(a) for a in argv],
                      {**ENVIRONMENT, 'TERM': 'dumb', 'PS1': 'READY> ', 'HISTFILE': ''})
        self.seen = ''

    def expect(self, pattern, seconds=20):
        """The text up to the pattern's end, taken out of what came so far."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen, re.M)):
            left = end - time.monotonic()
            assert left > 0, f'waited for {pattern!r}; so far: {self.seen!r}'
            if select.select([self.fd], [], [], left)[0]:
                try:
                    data = os.read(self.fd, 4096)
                except OSError:  # the last process on the terminal has gone
                    data = b''
                assert data, f'end of output before {pattern!r}: {self.seen!r}'
                self.seen += data.decode('utf-8', 'replace').replace('\r', '')
        text, self.seen = self.seen[:found.end()], self.seen[found.end():]
        return text

    def send(self, text):
        os.write(self.fd, text.encode())

    def run(self, text, echo):
        """Starts a job and waits until it has the terminal, and a moment for its programs to start."""
        self.send(text + '\n')
        self.expect(echo)
        end = time.monotonic() + 20
        while os.tcgetpgrp(self.fd) == self.pid:
            assert time.monotonic() < end, f'{text!r} does not get the terminal'
            time.sleep(0.01)
        time.sleep(0.3)

    def line(self, text, pattern='^READY> '):
        self.send(text + '\n')
        return self.expect(pattern)

    def end(self, wait=False):
        """The exit status; kills the program unless it is waited for."""
        for _ in range(200 if wait else 0):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None
        return None


@pytest.fixture
def terminal(prepare_inside, libos, tmp_path):
    """terminal(program, *args): the program inside, on a terminal."""
    opened = []

    def start(program, *args):
        prepare_inside(program)
        opened.append(Terminal([libos, tmp_path / 'inside1', *args], tmp_path))
        return opened[-1]

    yield start
    for one in opened:
        one.end()


def job_control(shell):
    """A dialogue with `bash -i`; everything in it is bash's and the terminal's own."""
    shell.expect('READY> ')
    assert 'job control' not in shell.line('echo $((6*7))')
    # ^C ends the foreground job and not the shell.
    shell.run('sleep 100', 'sleep 100\n')
    shell.send('\x03')
    shell.expect('^READY> ')
    assert '\n130\n' in shell.line('echo $?')
    # ^Z stops it, bg lets it go on, fg brings it back.
    shell.run('sleep 100', 'sleep 100\n')
    shell.send('\x1a')
    assert re.search(r'\[1\]\+  Stopped +sleep 100', shell.expect('^READY> '))
    assert re.search(r'\[1\]\+  Stopped +sleep 100', shell.line('jobs'))
    assert '[1]+ sleep 100 &' in shell.line('bg')
    assert re.search(r'\[1\]\+  Running +sleep 100 &', shell.line('jobs'))
    shell.run('fg', '^sleep 100\n')
    shell.send('\x03')
    shell.expect('^READY> ')
    assert '\n130\n' in shell.line('echo $?')
    # A background job that reads the terminal is stopped by it.
    shell.line('cat &')
    for _ in range(100):
        state = shell.line('jobs')
        if 'Stopped' in state:
            break
        time.sleep(0.05)
    assert re.search(r'\[1\]\+  Stopped +cat', state)
    shell.send('fg\n')
    shell.expect('^cat\n')
    shell.send('hello\n')
    shell.expect('^hello\nhello\n')
    shell.send('\x04')
    shell.expect('^READY> ')
    # A pipeline is one job.
    shell.run('sleep 50 | cat | cat', 'cat \\| cat\n')
    shell.send('\x1a')
    assert re.search(r'\[1\]\+  Stopped +sleep 50 \| cat \| cat', shell.expect('^READY> '))
    shell.line('kill %1')
    shell.line('wait')
    # The size of the window, and news of its change.
    shell.line("trap 'echo resized' WINCH")
    fcntl.ioctl(shell.fd, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 77, 0, 0))
    assert 'resized' in shell.line('echo') + shell.line('echo')
    assert '\n33 77\n' in shell.line('stty size')
    shell.send('exit 7\n')
    shell.expect('exit\n')
    assert shell.end(wait=True) == 7


def test_interactive_shell_natively(tmp_path):
    """The dialogue itself is right."""
    shell = Terminal(['/bin/bash', *BASH], tmp_path)
    try:
        job_control(shell)
    finally:
        shell.end()


def test_interactive_shell(terminal):
    job_control(terminal('/bin/bash', *BASH))


def test_inherited_descriptors(prepare_inside, libos, tmp_path):
    """What the launcher is started with, the program has: a file, a pipe, a socket."""
    prepare_inside(os.path.realpath('/usr/bin/python3'))
    program = """if True:
        import os, socket, sys
        file, pipe, sock, closed = map(int, sys.argv[1:])
        print(os.read(file, 100), os.lseek(file, 0, 1))
        os.write(pipe, b'from inside')
        s = socket.socket(fileno=sock)
        print(s.family.name, s.recv(10))
        s.sendall(b'answer')
        try:
            os.fstat(closed)
        except OSError as e:
            print(e.strerror)
        """
    (tmp_path / 'text').write_text('0123456789')
    file = os.open(tmp_path / 'text', os.O_RDONLY)
    os.lseek(file, 4, 0)
    out, into = os.pipe()
    ours, theirs = socket.socketpair()
    ours.sendall(b'question')
    done = subprocess.run([libos, tmp_path / 'inside1', '-c', program, str(file), str(into),
                           str(theirs.fileno()), str(out)],
                          pass_fds=[file, into, theirs.fileno()], cwd=tmp_path, env=ENVIRONMENT,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "b'456789' 10\nAF_UNIX b'question'\nBad file descriptor\n", done.stderr
    assert os.read(out, 100) == b'from inside'
    assert os.lseek(file, 0, 1) == 10
    theirs.close()
    assert ours.recv(10) == b'answer'
    for fd in (file, out, into):
        os.close(fd)
    ours.close()
