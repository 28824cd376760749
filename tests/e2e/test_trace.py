# SPDX-License-Identifier: LGPL-3.0-or-later
"""loader.log_level = "trace": one line for each system call, its arguments as strace prints them, and
nothing of what a program reads and writes. The forms are strace's own (strace(1)), the results and the
places of `...` those that the log's readers know.
"""
import re

import pytest

from conftest import command

PYTHON = '/usr/bin/python3'
PREFIX = re.compile(r'^\(trace\.c:\d+:\w+\) \[P\d+:T\d+:[^\]]*\] trace: ---- (.*)$')

BEGIN = r"""
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
room = ctypes.create_string_buffer(4096)
def call(nr, *args):
    return libc.syscall(nr, *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
def data(layout, *values):
    return struct.pack(layout, *values)
call(158, 0x7777, 0x1)  # marks the begin
"""

# name: (Python, patterns of the lines that this alone leaves)
CALLS = {
    'openat': ('call(257, -100, b"/no/such", 0o2000000, 0o777)',
               [r'openat(AT_FDCWD, "/no/such", O_RDONLY|O_CLOEXEC) = -2 (ENOENT)']),
    'open with a mode': ('call(2, b"/no/such", 0o1101, 0o640)',
                         [r'open("/no/such", O_WRONLY|O_CREAT|O_TRUNC, 0640) = -2 (ENOENT)']),
    'openat2': ('call(437, 77, b"x", data("QQQ", 0o200000, 0, 0), 24)',
                [r'openat2(77, "x", {flags=O_RDONLY|O_DIRECTORY, mode=00, resolve=0}, 24) = -9 (EBADF)']),
    'O_TMPFILE, O_SYNC': ('call(2, b"/proc", 0o24210002, 0o600)',
                          [r'open("/proc", O_RDWR|O_SYNC|O_TMPFILE, 0600) = -@ (@)']),
    'unknown flags': ('call(257, 5, b"", 0x40000003)', [r'openat(5, "", O_WRONLY|O_RDWR|0x40000000) = -@ (@)']),
    'access': ('call(21, b"/dev/null", 6); call(21, b"/dev/null", 0)',
               [r'access("/dev/null", R_OK|W_OK) = 0x0', r'access("/dev/null", F_OK) = 0x0']),
    'escapes': ('call(21, b"/a\\n\\t\\"\\\\\\x01\\x7f\\xc3\\xa4\\x001", 0); call(21, b"\\x021\\x1b[0m", 0)',
                [r'access("/a\n\t\"\\\1\177\303\244", F_OK) = -2 (ENOENT)', r'access("\0021\33[0m", F_OK) = -2 (ENOENT)']),
    'bad pointers': ('call(21, 0, 0); call(21, 8, 0); call(89, -1, 0, 10)',
                     [r'access(NULL, F_OK) = -14 (EFAULT)', r'access(0x8, F_OK) = -14 (EFAULT)',
                      r'readlink(0xffffffffffffffff, NULL, 10) = -14 (EFAULT)']),
    'long': ('call(21, b"/" + b"a" * 5000, 0); call(82, b"b" * 5000, b"c" * 5000)',
             [r'access("/' + 'a' * 1023 + r'"..., F_OK) = -36 (ENAMETOOLONG)',
              r'rename("' + 'b' * 1024 + r'"..., "@...']),
    'stat': ('call(4, b"/dev/null", room); call(262, -100, b"/proc", room, 0x100)',
             [r'stat("/dev/null", {st_mode=S_IFCHR|0666, st_size=0, ...}) = 0x0',
              r'newfstatat(AT_FDCWD, "/proc", {st_mode=S_IFDIR|0555, st_size=0, ...}, AT_SYMLINK_NOFOLLOW) = 0x0']),
    'statx': ('call(332, -100, b"/dev/null", 0x800, 0x201, room)',
              [r'statx(AT_FDCWD, "/dev/null", AT_NO_AUTOMOUNT, STATX_TYPE|STATX_SIZE, '
               r'{stx_mask=@, stx_mode=S_IFCHR|0666, stx_size=0, ...}) = 0x0']),
    'readlink, getcwd': ('call(89, b"/proc/self", room, 100); call(79, room, 4096); call(89, b"/dev", room, 3)',
                         [r'readlink("/proc/self", "@", 100) = 0x@', r'getcwd("/", 4096) = 0x2',
                          r'readlink("/dev", 0x@, 3) = -22 (EINVAL)']),
    'mmap': ('p = call(9, 0, 8192, 3, 0x22, -1, 0); call(10, 0x1000, 4096, 5); call(28, 0x1000, 4096, 4)',
             [r'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = 0x@',
              r'mprotect(0x1000, 4096, PROT_READ|PROT_EXEC) = -@ (@)',
              r'madvise(0x1000, 4096, MADV_DONTNEED) = -12 (ENOMEM)']),
    'fcntl': ('call(72, 0, 1); call(72, 0, 2, 1); call(72, 99, 4, 0o4002); call(72, 99, 6, data("hhqqi", 1, 0, 5, 7, 0)); '
              'call(72, 0, 1030, 50)',
              [r'fcntl(0, F_GETFD) = 0x0', r'fcntl(0, F_SETFD, FD_CLOEXEC) = 0x0',
               r'fcntl(99, F_SETFL, O_RDWR|O_NONBLOCK) = -9 (EBADF)',
               r'fcntl(99, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=5, l_len=7}) = -9 (EBADF)',
               r'fcntl(0, F_DUPFD_CLOEXEC, 50) = 0x32']),
    'ioctl': ('call(16, 0, 0x5401, room); call(16, 0, 0xabcd1234, 0)',
              [r'ioctl(0, TCGETS, 0x@) ...', r'return from ioctl(...) = -25 (ENOTTY)',
               r'ioctl(0, 0xabcd1234, 0x0) ...', r'return from ioctl(...) = -25 (ENOTTY)']),
    'sockets': ('call(41, 2, 0o2004001, 0); call(49, 88, data(">HH4B8x", 0x200, 8080, 127, 0, 0, 1), 16); '
                'call(42, 88, data("H6s", 1, b"/a\\0xyz"), 8); call(42, 88, data("H4s", 1, b"\\0abc"), 6); '
                'call(49, 88, data(">HHI8HI", 0xa00, 443, 0, 0xfe80, 0, 0, 0, 0, 0, 0, 1, 0), 28); '
                'call(54, 88, 6, 1, data("i", 1), 4); call(54, 88, 1, 2, 0, 0); call(50, 88, 5); call(48, 88, 2)',
                [r'socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0) = 0x@',
                 r'bind(88, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = -9 (EBADF)',
                 r'connect(88, {sa_family=AF_UNIX, sun_path="/a"}, 8) ...', r'return from connect(...) = -9 (EBADF)',
                 r'connect(88, {sa_family=AF_UNIX, sun_path=@"abc"}, 6) ...', r'return from connect(...) = -9 (EBADF)',
                 r'bind(88, {sa_family=AF_INET6, sin6_port=htons(443), inet_pton(AF_INET6, "fe80:0:0:0:0:0:0:1")}, 28) = -9 (EBADF)',
                 r'setsockopt(88, SOL_TCP, TCP_NODELAY, [1], 4) = -9 (EBADF)',
                 r'setsockopt(88, SOL_SOCKET, SO_REUSEADDR, NULL, 0) = -9 (EBADF)',
                 r'listen(88, 5) = -9 (EBADF)', r'shutdown(88, SHUT_RDWR) = -9 (EBADF)']),
    'pipes': ('call(293, room, 0o2004000); r, w = struct.unpack("ii", room.raw[:8]); call(1, w, b"secret", 6); call(0, r, room, 64)',
              [r'pipe2([@, @], O_CLOEXEC|O_NONBLOCK) = 0x0', r'write(@, 0x@, 6) ...', r'return from write(...) = 0x6',
               r'read(@, 0x@, 64) ...', r'return from read(...) = 0x6']),
    'vectors': ('call(20, 99, data("QQQQ", 0x1000, 5, 0x2000, 7), 2)',
                [r'writev(99, [{iov_base=0x1000, iov_len=5}, {iov_base=0x2000, iov_len=7}], 2) ...',
                 r'return from writev(...) = -9 (EBADF)']),
    'time': ('call(35, data("qq", 0, 1000), 0); call(35, data("qq", -1, 0), 0); call(228, 1, room); call(36, 0, room)',
             [r'nanosleep({tv_sec=0, tv_nsec=1000}, NULL) ...', r'return from nanosleep(...) = 0x0',
              r'nanosleep({tv_sec=-1, tv_nsec=0}, NULL) ...', r'return from nanosleep(...) = -22 (EINVAL)',
              r'clock_gettime(CLOCK_MONOTONIC, {tv_sec=@, tv_nsec=@}) = 0x0',
              r'getitimer(ITIMER_REAL, {it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=0, tv_usec=0}}) = 0x0']),
    'signals': ('call(14, 0, data("Q", 1 << 9 | 1 << 14), room, 8); call(14, 2, data("Q", ~(1 << 1) & (1 << 64) - 1), 0, 8); '
                'call(13, 12, data("QQQQ", 1, 0x14000000, 0, 1), 0, 8); call(234, 1, 1, 99); call(62, 0x7fffffff, 34)',
                [r'rt_sigprocmask(SIG_BLOCK, [USR1 TERM], [@], 8) = 0x0', r'rt_sigprocmask(SIG_SETMASK, ~[INT], NULL, 8) = 0x0',
                 r'rt_sigaction(SIGUSR2, {sa_handler=SIG_IGN, sa_mask=[HUP], sa_flags=SA_RESTORER|SA_RESTART}, NULL, 8) = 0x0',
                 r'tgkill(1, 1, 99) = -3 (ESRCH)', r'kill(2147483647, SIGRT_2) = -3 (ESRCH)']),
    'poll': ('r, w = os.pipe(); os.write(w, b"x"); call(158, 0x7777, 2); call(7, data("ihh", r, 1, 0) + data("ihh", w, 5, 0), 2, 0)',
             [r'poll([{fd=@, events=POLLIN}, {fd=@, events=POLLIN|POLLOUT}], 2, 0) ...',
              r'return from poll(...) = 0x2 {[{fd=@, revents=POLLIN}, {fd=@, revents=POLLOUT}]}']),
    'select': ('call(23, 3, data("QQ", 7, 0), 0, 0, data("qq", 0, 0))',
               [r'select(3, [0 1 2], NULL, NULL, {tv_sec=0, tv_usec=0}) ...', r'return from select(...) = 0x@ {[@]}']),
    'epoll': ('e = call(291, 0o2000000); r, w = os.pipe(); os.write(w, b"x"); call(158, 0x7777, 2); '
              'call(233, e, 1, r, data("=IQ", 0x80000001, 0x42)); call(232, e, room, 8, 0)',
              [r'epoll_ctl(@, EPOLL_CTL_ADD, @, {events=EPOLLIN|EPOLLET, data=0x42}) = 0x0',
               r'epoll_wait(@, 0x@, 8, 0) ...', r'return from epoll_wait(...) = 0x1 {[{events=EPOLLIN, data=0x42}]}']),
    'children': ('pid = os.fork()\nif not pid: call(231, 3)\nos.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n'
                 'call(158, 0x7777, 2)\ncall(61, pid, room, 0, 0)\ncall(61, -1, room, 0x40000001, 0)',
                 [r'wait4(@, 0x@, 0, NULL) ...', r'return from wait4(...) = 0x@ {[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]}',
                  r'wait4(-1, 0x@, WNOHANG|__WALL, NULL) ...', r'return from wait4(...) = -10 (ECHILD)']),
    'futex': ('call(202, room, 129, 1, 0x99, 0x99, 0x99); call(202, room, 128, 5, data("qq", 1, 2)); '
              'call(202, room, 0, 7, 0); call(202, room, 393, 7, 0, 0, -1)',
              [r'futex(0x@, FUTEX_WAKE|FUTEX_PRIVATE_FLAG, 1) ...', r'return from futex(...) = 0x0',
               r'futex(0x@, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 5, {tv_sec=1, tv_nsec=2}) ...', r'return from futex(...) = -11 (EAGAIN)',
               r'futex(0x@, FUTEX_WAIT, 7, NULL) ...', r'return from futex(...) = -11 (EAGAIN)',
               r'futex(0x@, FUTEX_WAIT_BITSET|FUTEX_PRIVATE_FLAG|FUTEX_CLOCK_REALTIME, 7, NULL, NULL, 0xffffffffffffffff) ...',
               r'return from futex(...) = -11 (EAGAIN)']),
    'limits': ('call(302, 0, 7, data("QQ", 100, 2**64 - 1), room); call(97, 3, 0)',
               [r'prlimit64(0, RLIMIT_NOFILE, {rlim_cur=100, rlim_max=RLIM64_INFINITY}, 0x@) = -1 (EPERM)',
                r'getrlimit(RLIMIT_STACK, NULL) = -14 (EFAULT)']),
    'prctl': ('call(157, 15, b"a name"); call(157, 1, 9); call(157, 1, 0)',
              [r'prctl(PR_SET_NAME, "a name") = 0x0', r'prctl(PR_SET_PDEATHSIG, SIGKILL) = 0x0',
               r'prctl(PR_SET_PDEATHSIG, 0) = 0x0']),
    'execve': ('v = (ctypes.c_char_p * 4)(b"prog", b"-x", b"a b", None); call(59, b"/no/prog", v, v)',
               [r'execve("/no/prog", ["prog", "-x", "a b"], 0x@ /* 3 vars */) ...', r'return from execve(...) = -2 (ENOENT)']),
    'clone': ('call(56, 0x10000 | 17, 0, 0, 0, 0); call(435, data("8Q", 0x900, 0, 0, 0, 17, 0x7000, 0x1000, 0), 64)',
              [r'clone(CLONE_THREAD|SIGCHLD, NULL, NULL, NULL, 0x0) ...', r'return from clone(...) = -22 (EINVAL)',
               r'clone3({flags=CLONE_VM|CLONE_SIGHAND, exit_signal=SIGCHLD, stack=0x7000, stack_size=0x1000}, 64) ...',
               r'return from clone3(...) = -22 (EINVAL)']),
    'flags of one call': (
        'call(263, -100, b"/no/such", 0x200); call(288, 88, 0, 0, 0o2004000); call(291, 0o2000000); call(283, 1, 0o2004000); '
        'call(290, 7, 0o2004001); call(294, 0o2000000); call(254, 88, b"/", 0x80000302); call(151, 8); '
        'call(188, b"/no/such", b"user.a", b"value", 5, 1); call(437, 88, b"x", data("QQQ", 0, 0, 12), 24); call(140, 0, 0); '
        'call(41, 2, 1, 6); call(436, 900, 1000, 4); call(72, 88, 1033, 10); call(157, 3, 1, 2, 3, 4); '
        'call(280, -100, b"/no/such", data("qqqq", 0, 0x3fffffff, 5, 0x3ffffffe), 0); '
        'call(55, 88, 1, 4, room, data("i", 4)); call(54, 88, 1, 2, data("q", 1), 8)',
        [r'unlinkat(AT_FDCWD, "/no/such", AT_REMOVEDIR) = -2 (ENOENT)',
         r'accept4(88, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) ...', r'return from accept4(...) = -9 (EBADF)',
         r'epoll_create1(EPOLL_CLOEXEC) = 0x@', r'timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC|TFD_NONBLOCK) = 0x@',
         r'eventfd2(7, EFD_CLOEXEC|EFD_NONBLOCK|EFD_SEMAPHORE) = 0x@', r'inotify_init1(IN_CLOEXEC) = 0x@',
         r'inotify_add_watch(88, "/", IN_MODIFY|IN_CREATE|IN_DELETE|IN_ONESHOT) = -9 (EBADF)',
         r'mlockall(0x8) = -22 (EINVAL)', r'setxattr("/no/such", "user.a", 0x@, 5, XATTR_CREATE) = -@ (@)',
         r'openat2(88, "x", {flags=O_RDONLY, mode=00, resolve=RESOLVE_NO_SYMLINKS|RESOLVE_BENEATH}, 24) = -@ (@)',
         r'getpriority(PRIO_PROCESS, 0) = 0x14', r'socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 0x@',
         r'close_range(900, 1000, CLOSE_RANGE_CLOEXEC) = 0x0', r'fcntl(88, F_ADD_SEALS, F_SEAL_SHRINK|F_SEAL_WRITE) = -9 (EBADF)',
         r'prctl(PR_GET_DUMPABLE) = 0x1', r'utimensat(AT_FDCWD, "/no/such", [UTIME_NOW, UTIME_OMIT], 0) = -2 (ENOENT)',
         r'getsockopt(88, SOL_SOCKET, SO_ERROR, 0x@, 0x@) = -9 (EBADF)',
         r'setsockopt(88, SOL_SOCKET, SO_REUSEADDR, 0x@, 8) = -9 (EBADF)']),
    'unlisted': ('call(134, 1, 2, 3, 4, 5, 6); call(9999, 1, 0, 0, 0, 0, 0)',
                 [r'uselib(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -38 (ENOSYS)',
                  r'syscall_0x270f(0x1, 0x0, 0x0, 0x0, 0x0, 0x0) = -38 (ENOSYS)']),
    'end': ('call(231, 7)', [r'exit_group(7) ...']),
}


def pattern_of(text):
    """@ stands for something: a number, an address, a name."""
    return re.compile(re.escape(text).replace('@', '.*?') + r'\Z')


@pytest.mark.parametrize('name', CALLS)
def test_line(name, run_inside):
    code, expected = CALLS[name]
    done = run_inside([PYTHON, '-c', f'{BEGIN}\n{code}\ncall(158, 0x7777, 3)'], extras={'loader.log_level': 'trace'})
    assert done.status == (7 if name == 'end' else 0), str(done)
    lines = [found[1] for found in map(PREFIX.match, done.err.splitlines()) if found]
    marks = [i for i, line in enumerate(lines) if line.startswith('arch_prctl(0x7777, ')]
    begin, end = (marks[-2], marks[-1]) if name != 'end' else (marks[-1], len(lines))
    left = lines[begin + 1:end]
    for pattern in map(pattern_of, expected):
        # ctypes itself makes a call now and then
        while left and not pattern.match(left[0]) and left[0].split('(')[0] in ('mmap', 'munmap', 'mprotect', 'brk'):
            left.pop(0)
        assert left and pattern.match(left[0]), f'{pattern.pattern}\n' + '\n'.join(left[:4])
        left.pop(0)


def test_secrets_stay_out(run_inside, tmp_path):
    """What is read, written, sent and received is not in the log, on whatever way."""
    (tmp_path / 'file').write_text('CONFIDENTIAL' * 50)
    code = """
import mmap, os, socket, sys
fd = os.open(sys.argv[1], os.O_RDWR)
text = os.read(fd, 600); os.pread(fd, 100, 3); os.preadv(fd, [bytearray(100)], 0)
os.write(fd, text); os.pwrite(fd, text, 0); os.writev(fd, [text, text])
a, b = socket.socketpair()
a.send(text); b.recv(99); a.sendmsg([text]); b.recvmsg(99)
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
a.send(text); b.recvfrom(999)
"""
    done = run_inside([PYTHON, '-c', code, tmp_path / 'file'], extras={'loader.log_level': 'all'},
                      allowed=[tmp_path / 'file'])
    assert done.status == 0 and 'CONF' not in done.err and 'sendmsg(' in done.err, done.err[-2000:]


def test_hostile_arguments_leave_one_line_each(run_inside):
    code = BEGIN + r"""
import random
random.seed(5)
page = call(9, 0, 3 * 4096, 0, 0x22, -1, 0) + 4096
call(10, page, 4096, 3)
ctypes.memset(page, 0xff, 4096)
values = [0, 1, -1, page, page + 4095, page + 4090, 2**47 - 1, 2**47, 2**63, -4096, 7, 0x100000000]
leave = {15, 16, 22, 23, 32, 33, 34, 35, 37, 38, 56, 57, 58, 59, 60, 61, 62, 1, 0, 3, 7, 11, 9, 10, 12, 13, 14, 25, 28, 129,
         130, 128, 131, 154, 155, 157, 158, 160, 161, 200, 202, 218, 219, 230, 231, 232, 234, 247, 270, 271, 273, 281, 288, 43,
         292, 297, 302, 436, 435, 441, 449, 424, 95, 105, 106, 113, 114, 116, 117, 119, 122, 123, 126, 72, 73, 149, 151,
         163, 45, 47, 299, 80, 81, 216, 334, 109, 112, 135, 222, 223, 227, 285, 77, 76, 101, 203, 141, 142, 144, 251, 314, 329,
         87, 84, 82, 90, 91, 92, 93, 94, 141, 147, 144, 237, 238, 256, 279, 450, 440, 325, 277, 162, 306, 74, 75, 426, 425}
for nr in range(335):
    for i in range(3):
        if nr not in leave:
            call(nr, *random.choices(values, k=6))
print('done')
"""
    done = run_inside([PYTHON, '-c', code], extras={'loader.log_level': 'trace', 'loader.log_file': '/dev/stderr'})
    assert 'done' in done.out, str(done)[-3000:]
    for line in done.err.splitlines():
        assert len(line) < 2304 and (PREFIX.match(line) or ': ' in line), line
        assert line.isascii() and line.isprintable(), repr(line)


def test_same_paths_and_flags_as_strace(run_native, run_inside, tmp_path):
    """The same program natively under strace: the calls that name files, in order."""
    strace = command('strace')
    calls = 'openat,access,readlink,readlinkat,newfstatat,getcwd,chdir,mkdir,rename,unlink,rmdir,chmod,fchmodat,unlinkat'
    folder = tmp_path / 'folder'
    folder.mkdir()
    argv = [command('sh'), '-c', f'cd {folder}; umask 027; : >a; : >>b; test -w a; '
            'test -f nothing; cd ..; cd /nowhere']
    done = run_native([strace, '-s', '2000', '-o', tmp_path / 'strace', '-e', f'trace={calls}', *argv], cwd='/')
    if not (tmp_path / 'strace').is_file() or 'exited with' not in (tmp_path / 'strace').read_text():
        pytest.skip(f'strace is not allowed here: {done.err[:200]}')
    native = [re.sub(r'\) += +', ') = ', re.sub(r' = -1 (E\w+) .*', r' = \1', line))
              for line in (tmp_path / 'strace').read_text().splitlines() if not line.startswith(('+++', '---'))]
    for name in ('a', 'b'):
        (folder / name).unlink()
    inside = run_inside(argv, extras={'loader.log_level': 'trace'}, allowed=[f'{tmp_path}/'])
    ours = [re.sub(r' = -\d+ \((E\w+)\)$', r' = \1', found[1])
            for found in map(PREFIX.match, inside.err.splitlines()) if found]
    ours = [re.sub(r' = 0x([0-9a-f]+)$', lambda m: f' = {int(m[1], 16)}', line) for line in ours
            if line.split('(')[0] in calls.split(',')]
    assert len(native) > 8, native

    def comparable(line):
        """Sizes and times of directories, and addresses, are not the same."""
        return re.sub(r'\{st_mode=(\w+\|0\d+), .*\}', r'{\1}', re.sub(r'0x[0-9a-f]+', '0x', line))

    assert [comparable(line) for line in ours] == [comparable(line) for line in native]


def test_nothing_without_trace(run_inside):
    done = run_inside([command('true')], extras={'loader.log_level': 'debug'})
    assert 'trace:' not in done.err and 'openat(' not in done.err, str(done)
