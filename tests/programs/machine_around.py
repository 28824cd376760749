# SPDX-License-Identifier: LGPL-3.0-or-later
"""The first process of a pid namespace: runs a command in a session that has a terminal and bystanders in
its foreground, with the descriptors of machine.py, and tells what has become of them."""
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

assert os.getpid() == 1, 'only for a pid namespace of its own'

other = pty.openpty()
master, slave = pty.openpty()
settings = termios.tcgetattr(slave)
settings[3] &= ~(termios.ECHO | termios.ICANON)
termios.tcsetattr(slave, termios.TCSANOW, settings)
ours, theirs = socket.socketpair()


report, reported = os.pipe()


def session():
    """The leader: its group is in the foreground, the command in the background."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    beside = [subprocess.Popen(['/bin/sleep', '1000'], preexec_fn=how) for how in (None, os.setpgrp)]
    command = subprocess.Popen([*sys.argv[1:], str(slave), str(theirs.fileno()), os.ttyname(slave), os.ttyname(other[1])],
                               pass_fds=(slave, theirs.fileno()), preexec_fn=os.setpgrp)
    os.write(reported, struct.pack('3i', os.getpid(), *(one.pid for one in beside)))
    print('status', command.wait(), flush=True)
    os.write(reported, b'ended')
    time.sleep(1000)


if os.fork() == 0:
    session()
theirs.close()
bystanders = struct.unpack('3i', os.read(report, 12))
socket.send_fds(ours, [b'x'], [os.pidfd_open(pid) for pid in bystanders])
if ours.recv(10):
    os.write(master, b'typed')  # whoever has asked for it is signalled
    ours.send(b'x')
os.read(report, 5)
os.set_blocking(slave, False)
print('input', os.read(slave, 100))
print('foreground', struct.unpack('i', fcntl.ioctl(master, termios.TIOCGPGRP, bytes(4)))[0] == bystanders[0])
for pid in bystanders:
    with open(f'/proc/{pid}/stat') as f:
        state = f.read().rsplit(')', 1)[1].split()[0]
    print('S' if state in 'RD' else state)  # alive, and neither stopped nor dead
