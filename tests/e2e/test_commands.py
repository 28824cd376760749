# SPDX-License-Identifier: LGPL-3.0-or-later
"""The tools of a developer's machine, unmodified: shell scripts, make and gcc, git, perl, openssl,
curl, SQLite and CPython's multiprocessing do and leave the same inside as natively.
"""
import signal
import socket
import threading

import pytest

from conftest import command

PYTHON = '/usr/bin/python3'


# --- bash --------------------------------------------------------------------------------------

BASH = {
    'subshells-in-pipeline': '(echo a & echo b; wait) | sort; { echo x & } | cat; (sleep 0.05; echo late) | (read l; echo "$l")',
    'pipestatus': 'false | (exit 3) | true | (exit 7); echo "${PIPESTATUS[@]}"; ! true; echo $?',
    'big-pipeline': 'seq 1 200000 | sed s/7/x/ | grep -v x | awk "{s+=\\$1} END {print s}"; seq 1 1000000 | head -n 2',
    'jobs': 'exec 2>/dev/null; sleep 30 & sleep 30 & jobs | sed "s/ *$//"; kill %1; wait %1; echo $?; kill -9 %2; wait %2; echo $?; jobs',
    'job-control': 'set -m; (sleep 30) & kill -STOP %1; sleep 0.1; jobs; kill -CONT %1; kill %1; wait %1; echo $?',
    'wait-n': '(sleep 0.01; exit 4) & sleep 30 & wait -n; echo $?; kill $!; wait; echo $?',
    'traps': 'trap "echo usr1" USR1; trap "echo chld" CHLD; trap "echo exit \\$?" EXIT; kill -USR1 $$; (exit 3); (kill -USR1 $$); sleep 0; exit 6',
    'trap-interrupts-wait': 'trap "echo got" USR1; (sleep 0.5; kill -USR1 $$) & sleep 30 & p=$!; wait $p; echo $?; kill $p; wait $p; echo $?',
    'trap-err-debug': 'set -E; trap "echo err \\$LINENO" ERR; f() { false; }; f; trap "echo ret" RETURN; g() { return 0; }; g',
    'sigpipe': 'trap "" PIPE; (seq 1 100000; echo $? >&2) | head -n 1; trap - PIPE; yes | head -n 3; echo "${PIPESTATUS[@]}"',
    'nested-here-documents': 'cat <<A; cat <<"B" | tr a-z A-Z; cat <<-C\nx $((1+1)) $(echo sub)\nA\nno $expansion\nB\n\ttabs\n\tC',
    'long-here-document': 'wc -c <<END\n' + 'line of a long here-document\n' * 3000 + 'END',
    'here-string': 'read -r a b <<< "one two three"; echo "$b|$a"; cat <<< "$(seq 3)"',
    'coproc': 'coproc tr a-z A-Z; echo hello >&${COPROC[1]}; eval "exec ${COPROC[1]}>&-"; cat <&${COPROC[0]}; wait; echo $?',
    'fifo': 'mkfifo p; (seq 1 5 >p) & paste -s -d+ <p; wait; test -p p; echo $?; rm p',
    'read-timeout': 'read -t 0.05 x < <(sleep 30); echo $((${?} > 128)); kill $! 2>/dev/null; true',
    'exec-redirect': 'exec 5<>words; read -u 5 a; echo "[$a]"; echo appended >&5; exec 5>&-; exec bash -c "echo replaced \\$0 \\$SHLVL" zero',
    'umask-and-perms': 'umask 027; touch new; mkdir dir; stat -c "%n %a" new dir; chmod u=r,g=w new; stat -c %a new; test -w new; echo $?',
    'glob-and-arrays': 'declare -A m=([a]=1 [b]=2); echo ${!m[@]} | tr " " "\\n" | sort; echo */* [!w]*; shopt -s globstar; echo **; a=(x y z); echo "${a[@]:1}" ${#a[@]}',
    'mapfile-and-printf': 'mapfile -t l < numbers; printf "%05d %s\\n" "${l[3]}" "${#l[@]}"; printf "%q\\n" "a b\'c"; printf -v v "%x" 255; echo $v',
    'ulimit': 'exec 2>/dev/null; ulimit -n 100; ulimit -Sn; ulimit -c 0; (ulimit -f 1; head -c 100000 /dev/zero >big; echo $?); wc -c <big; rm big',
    'kill-group': 'set -m; (sleep 30 & sleep 30 & wait) & sleep 0.1; kill -TERM -- -$!; wait $!; echo $?',
    'background-reads-nothing': 'cat & wait $!; echo $?; (cat; echo done) < words &\nwait',
    'functions-recursion': 'f() { local n=$1; ((n < 2)) && { echo 1; return; }; echo $((n * $(f $((n - 1))))); }; f 12',
    'signals-default': 'for s in HUP INT QUIT TERM KILL USR1 PIPE ALRM SEGV ABRT; do (kill -$s $BASHPID); echo $s $?; done 2>/dev/null',
    'timeout': 'exec 2>/dev/null; timeout 0.1 sleep 30; echo $?; timeout -s KILL 0.1 sleep 30; echo $?; timeout 20 false; echo $?',
    'nohup-setsid': 'nohup sh -c "kill -HUP \\$\\$; echo alive" 2>/dev/null; setsid -w sh -c "test \\$\\$ = \\$(ps -o sid= -p \\$\\$ 2>/dev/null || echo \\$\\$)"; echo $?',
    'find-exec-xargs': 'find . -type f -exec sha1sum {} + | sort; find . -name "w*" -print0 | xargs -0 -n1 wc -c; seq 20 | xargs -P 4 -I{} sh -c "exit 0"; echo $?',
    'tar-pipe': 'mkdir out; tar cf - folder words | (cd out && tar xf -); diff -r folder out/folder && cmp words out/words; echo $?; gzip -9n <words | gunzip',
}


@pytest.mark.parametrize('name', BASH)
def test_bash(name, same):
    same(['/bin/bash', '-c', BASH[name]])


def test_bash_interactive(same):
    """A shell without a terminal that is told to be interactive: prompts, history, its own groups."""
    same(['/bin/bash', '--norc', '--noprofile', '-i'],
         stdin='echo one\n{ sleep 0.01 & } 2>/dev/null\nwait\nfalse\necho $?\nhistory 2\nexit 5\n',
         env={'PS1': '$ ', 'HISTFILE': '/dev/null'})


# --- make, gcc ---------------------------------------------------------------------------------

MAKEFILE = r'''
CFLAGS = -O1 -g -Wall -MMD
OBJECTS = $(patsubst %.c,%.o,$(wildcard part*.c)) main.o generated.o
all: program sub/done
program: $(OBJECTS) libhelp.a
	$(CC) -o $@ $(OBJECTS) -L. -lhelp -lm
libhelp.a: help1.o help2.o
	$(AR) rcs $@ $^
generated.c: words
	echo "const char *words[] = {" >$@; sed 's/.*/"&",/' $< >>$@; echo "0};" >>$@
sub/done:
	$(MAKE) -C sub done
check: all
	./program | tail -n 3
-include *.d
.PHONY: all check
'''

MAKE_SCRIPT = r'''
set -e
for i in $(seq 1 12); do
    printf '#include "all.h"\nint part%s(int x) { return x * %s + (int)sqrt(x); }\n' $i $i >part$i.c
done
{ echo '#include <math.h>'; echo '#include <stdio.h>'; for i in $(seq 1 12); do echo "int part$i(int);"; done
  echo 'int help1(void); int help2(void); extern const char *words[];'; } >all.h
{ echo '#include "all.h"'; echo 'int main(void) { int s = help1() + help2();'
  for i in $(seq 1 12); do echo "s += part$i(s);"; done
  echo 'for (int i = 0; words[i]; i++) puts(words[i]);'; echo 'return printf("%d\n", s) < 0; }'; } >main.c
echo 'int help1(void) { return 1; }' >help1.c; echo 'int help2(void) { return 2; }' >help2.c
mkdir sub; printf 'done: a b c d\n\tcat $^ >$@\na b c d:\n\techo $@ >$@\n' >sub/Makefile
make -j4 check >log 2>&1 || { cat log; exit 1; }
sort log; rm log
make -j4 check | sort
touch all.h; make -j4 -n | grep -c 'cc '
make -j4 nonsense 2>&1 || echo $?
printf 'bad:\n\texit 3\ngood:\n\techo good\n' >bad.mk; make -f bad.mk -k bad good 2>&1 || echo $?
'''


def test_make_builds_c_project(tmp_path, same):
    command('gcc')
    script = tmp_path / 'build.sh'
    script.write_text(f"cat >Makefile <<'END'\n{MAKEFILE}\nEND\n{MAKE_SCRIPT}")
    result = same(['/bin/bash', script], timeout=110)
    assert 'lazy dog' in result.out and result.status == 0, str(result)


# --- git ---------------------------------------------------------------------------------------

GIT_SCRIPT = r'''
set -e
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1 HOME=$PWD GIT_PAGER=cat
git init -q -b trunk source; cd source; cp -r ../words ../numbers ../folder .
git add -A; git commit -q -m first; git status --short
for i in 1 2 3 4 5; do echo line $i >>words; git commit -q -a -m "change $i"; done
git checkout -q -b side HEAD~3; echo other >new; git add new; git commit -q -m side
git checkout -q trunk; git merge -q -m merged side; git tag -a v1 -m one
git log --oneline --graph --decorate; git gc -q; git fsck --full 2>&1
cd ..; git clone -q source copy; git -C copy log -1 --stat; git clone -q --no-local --bare source bare.git
git -C copy config user.name N; cd copy; echo more >>words; git diff | tail -n 3; git commit -q -a -m pushed
git push -q ../bare.git trunk; git -C ../bare.git rev-parse trunk; git fetch -q ../bare.git trunk; git rev-parse FETCH_HEAD
git rebase -q HEAD~2 2>&1; git blame -s words | tail -n 2; git stash list; git archive HEAD | tar t | head -n 3
git bisect start HEAD HEAD~4 >/dev/null 2>&1; git bisect run sh -c '! grep -q "line 4" words' 2>&1 | grep -c first
cd ..; git clone -q file://$PWD/source third 2>&1; diff -r --exclude=.git source third; echo $?
git clone nothing-there 2>&1 || echo $?
'''


def test_git(same):
    command('git')
    result = same(['/bin/bash', '-c', GIT_SCRIPT], timeout=110,
                  unlike=['*index', '*/logs/*', '*.pack', '*.idx', '*.rev', '*.bitmap', '*/ORIG_HEAD', '*BISECT*'])
    assert 'merged' in result.out and result.status == 0, str(result)


# --- perl --------------------------------------------------------------------------------------

PERL = {
    'text': 'while (<STDIN>) { $n{$_}++ for split } print map { "$_ $n{$_}\\n" } sort keys %n; printf "%.3f %s\\n", atan2(1,1)*4, scalar reverse "abc"',
    'fork-and-pipes': 'use IO::Handle; pipe(R, W); if (!($p = fork)) { close R; W->autoflush; print W "from $_\\n" for 1..3; exit 9 } close W; print while <R>; waitpid $p, 0; print $? >> 8, "\\n"; open(P, "-|", "sort", "-r", "words"); print <P>; close P; print $?, "\\n"; print `echo sub; exit 3`, $? >> 8, "\\n"; system("false"); print $?, "\\n"',
    'signals': '$SIG{ALRM} = sub { die "alarm\\n" }; eval { alarm 1; select(undef, undef, undef, 20); }; print $@; $SIG{CHLD} = sub { $c++ while waitpid(-1, 1) > 0 }; for (1..5) { exit 0 unless fork } select(undef, undef, undef, 0.05) while ($c // 0) < 5; print "$c\\n"; kill TERM => $$; sleep 5',
    'sockets': 'use Socket; use IO::Socket::INET; $l = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die; if (!fork) { $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $l->sockport); print $s "ping\\n"; print scalar <$s>; exit } $c = $l->accept; $x = <$c>; print $c uc $x; close $c; wait; socketpair(A, B, AF_UNIX, SOCK_STREAM, PF_UNSPEC); syswrite A, "x"; sysread B, $y, 5; print "$y\\n"',
    'files': 'use File::Find; use File::Copy; use Cwd; use POSIX; copy("words", "c") or die; rename "c", "d"; open F, "+<", "d"; flock(F, 2) or die; truncate F, 5; seek F, 0, 2; print F "end"; close F; find(sub { print "$File::Find::name\\n" if -f }, "."); @s = stat "d"; print "$s[7]\\n"; print join(",", sort glob("*")), "\\n"; print strftime("%Y", gmtime(0)), " ", (POSIX::uname())[0], "\\n"; unlink "nothing" or print "$!\\n"',
}


@pytest.mark.parametrize('name', PERL)
def test_perl(name, same):
    result = same([command('perl'), '-e', '$| = 1; ' + PERL[name]], stdin='b a c a\nb a\n')
    assert result.status == (128 + signal.SIGTERM if name == 'signals' else 0) and not result.err, str(result)


# --- openssl -----------------------------------------------------------------------------------

OPENSSL_SCRIPT = r'''
set -e
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key 2>/dev/null || openssl ecparam -name prime256v1 -genkey -noout -out key
openssl req -new -x509 -key key -subj /CN=localhost -days 2 -out cert
openssl verify -CAfile cert cert
openssl dgst -sha256 -sign key -out sig words; openssl pkey -in key -pubout -out pub; openssl dgst -sha256 -verify pub -signature sig words
openssl enc -aes-256-ctr -pbkdf2 -pass pass:x -in folder/blob -out enc; openssl enc -d -aes-256-ctr -pbkdf2 -pass pass:x -in enc | cmp - folder/blob
openssl speed -seconds 1 -bytes 1024 -multi 2 sha256 2>&1 | grep -c "^sha256" || true
openssl speed -seconds 1 -bytes 1024 aes-128-gcm 2>&1 | sed 's/[0-9.]\{3,\}[k ]*/N/g' | tail -n 2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl s_server -quiet -accept 127.0.0.1:$port -key key -cert cert -www -naccept 1 >server 2>&1 &
for i in $(seq 100); do
    printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -quiet -connect 127.0.0.1:$port -CAfile cert -verify_return_error -servername localhost >page 2>err && break
    sleep 0.05
done
wait; grep -o 'HTTP/1.0 200 ok' page; grep -o 'Cipher *: *TLS[A-Z0-9_]*' page | tail -n 1; grep -c return:1 err
rm -f key cert sig pub enc page server err
'''


def test_openssl(same):
    result = same([command('bash'), '-c', OPENSSL_SCRIPT], timeout=110)
    assert 'HTTP/1.0 200 ok' in result.out and result.status == 0, str(result)


# --- curl --------------------------------------------------------------------------------------

def answer(connection):
    with connection, connection.makefile('rwb') as stream:
        request = stream.readline().decode().split()
        length = 0
        while (line := stream.readline().strip().lower()):
            if line.startswith(b'content-length:'):
                length = int(line.split(b':')[1])
        body = stream.read(length)
        if request[1] == '/moved':
            stream.write(b'HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n')
        else:
            text = f'{request[0]} {request[1]} {len(body)}\n'.encode() * 5000
            stream.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' % (len(text), text))


@pytest.fixture
def web_server():
    """The port of a small HTTP server on 127.0.0.1 in this process."""
    with socket.create_server(('127.0.0.1', 0), backlog=64) as listening:
        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_curl(same, web_server):
    base = f'http://127.0.0.1:{web_server}'
    for status, *arguments in (
            [0, '-sS', f'{base}/one'],
            [0, '-sSL', '-o', 'out', '-w', '%{http_code} %{size_download}\n', f'{base}/moved'],
            [0, '-sS', '--data-binary', '@folder/blob', f'{base}/posted'],
            [0, '-sSZ', '--no-progress-meter', '--parallel-max', '3', '-o', 'f#1', f'{base}/[1-6]', '-w', '%{http_code}\n'],
            [0, '-sS', 'file:///etc/debian_version'],
            [7, '-s', '--max-time', '5', 'http://127.0.0.1:1/'],
            [0, '-sS', '-T', 'words', f'http://localhost:{web_server}/upload']):
        result = same([command('curl'), *arguments])
        assert result.status == status, str(result)


# --- SQLite: two writing processes ---------------------------------------------------------------

SQLITE_WRITERS = r'''
mode=$1
sqlite3 shared.db "pragma journal_mode=$mode; create table t (who, n); create table c (v); insert into c values (0);"
for who in a b; do
    { echo ".timeout 30000"; for n in $(seq 60); do
        echo "begin immediate; insert into t values ('$who', $n); update c set v = v + 1; commit;"; done; } | sqlite3 shared.db &
done
wait
sqlite3 shared.db 'select who, count(*), sum(n) from t group by who; select v from c; pragma integrity_check;'
rm -f shared.db*
'''


@pytest.mark.parametrize('mode', ['delete', 'truncate', 'wal'])
def test_sqlite_two_writers(mode, same):
    command('sqlite3')
    result = same(['/bin/bash', '-c', SQLITE_WRITERS, 'writers', mode])
    assert 'a|60|1830' in result.out and '\n120\nok\n' in result.out, str(result)


# --- python3: processes and servers of one program ----------------------------------------------

PYTHON_PROGRAMS = {
    'multiprocessing': '''
import multiprocessing as mp, os, sys, signal
def square(pipe):
    for n in iter(pipe.recv, None): pipe.send(n * n)
    pipe.send(b"x" * 300000); pipe.close(); sys.exit(5)
def feed(queue, start):
    for n in range(start, start + 200): queue.put((n, "v" * n))
def listen(address_pipe):
    from multiprocessing.connection import Listener
    with Listener(None, "AF_UNIX", authkey=b"k") as l:
        address_pipe.send(l.address)
        with l.accept() as c: c.send(c.recv().upper())
def sleeper():
    import time; time.sleep(60)
if __name__ == "__main__":
    from multiprocessing.connection import Client, wait
    for method in ("fork", "spawn", "forkserver"):
        ctx = mp.get_context(method)
        here, there = ctx.Pipe(); p = ctx.Process(target=square, args=(there,)); p.start(); there.close()
        for n in range(20): here.send(n)
        print(method, [here.recv() for n in range(20)]); here.send(None); print(len(here.recv())); p.join(30); print(p.exitcode)
        here, there = ctx.Pipe(); p = ctx.Process(target=listen, args=(there,)); p.start()
        with Client(here.recv(), authkey=b"k") as c: c.send("hello"); print(c.recv())
        p.join(30); print(p.exitcode)
        p = ctx.Process(target=sleeper); p.start(); print(p.is_alive(), wait([p.sentinel], 0)); p.terminate(); p.join(30); print(p.exitcode)
        q = ctx.SimpleQueue(); p = ctx.Process(target=q.put, args=(["item"] * 3,)); p.start(); print(q.get()); p.join(30); print(p.exitcode)
''',
    'queues-and-pools': '''
import multiprocessing as mp, concurrent.futures as cf, math
def feed(queue, start):
    for n in range(start, start + 200): queue.put((n, "v" * n))
def work(n): return n, math.factorial(n) % 1000003
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        ctx = mp.get_context(method)
        q = ctx.Queue(); ps = [ctx.Process(target=feed, args=(q, s)) for s in (0, 1000)]
        for p in ps: p.start()
        got = sorted(q.get(timeout=30) for n in range(400)); print(method, len(got), got[0], got[-1][0], sum(len(v) for n, v in got))
        for p in ps: p.join(30); print(p.exitcode)
        with ctx.Pool(3) as pool: print(pool.map(work, range(30), 4) == [work(n) for n in range(30)], pool.apply_async(work, (9,)).get(30))
        with cf.ProcessPoolExecutor(2, mp_context=ctx) as ex: print(list(ex.map(work, range(5))))
        with ctx.Manager() as m:
            d = m.dict(); p = ctx.Process(target=d.update, args=({"k": 1},)); p.start(); p.join(30); print(dict(d))
''',
    'asyncio-server': '''
import asyncio, os, sys
async def handle(r, w):
    while (line := await r.readline()): w.write(line.upper()); await w.drain()
    w.close()
async def client(open_connection, n):
    r, w = await open_connection()
    for i in range(30):
        w.write(f"client {n} {i} {'x' * i * 50}\\n".encode()); await w.drain()
        assert (await r.readline()).startswith(f"CLIENT {n} {i}".encode())
    w.close(); await w.wait_closed(); return n
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(sum(await asyncio.gather(*(client(lambda: asyncio.open_connection("127.0.0.1", port), n) for n in range(40)))))
    path = os.environ["SCRATCH"] + "/sock"
    local = await asyncio.start_unix_server(handle, path)
    print(sum(await asyncio.gather(*(client(lambda: asyncio.open_unix_connection(path), n) for n in range(10)))))
    for s in (server, local): s.close(); await s.wait_closed()
    loop = asyncio.get_running_loop()
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, t): self.t = t
        def datagram_received(self, d, a): self.t.sendto(d[::-1], a)
    class Ask(asyncio.DatagramProtocol):
        def __init__(self): self.got = loop.create_future()
        def connection_made(self, t): t.sendto(b"datagram")
        def datagram_received(self, d, a): self.got.set_result(d)
    t, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    u, ask = await loop.create_datagram_endpoint(Ask, remote_addr=t.get_extra_info("sockname"))
    print(await asyncio.wait_for(ask.got, 20)); t.close(); u.close()
    try: await asyncio.open_connection("127.0.0.1", 1)
    except ConnectionRefusedError as e: print(e.errno)
    print(len(await loop.getaddrinfo("localhost", 80, family=2, type=1)))
    p = await asyncio.create_subprocess_shell("cat; exit 3", stdin=-1, stdout=-1); print(await p.communicate(b"in" * 50000) == (b"in" * 50000, None), p.returncode)
    if sys.version_info < (3, 13):  # later ones remove it themselves
        os.remove(path)
    print(os.path.exists(path))
asyncio.run(main())
''',
    'ssl': '''
import ssl, socket, subprocess, threading, os
os.chdir(os.environ["SCRATCH"])
subprocess.run("openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2 2>/dev/null", shell=True, check=True)
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); ctx.load_cert_chain("cert", "key")
l = socket.create_server(("127.0.0.1", 0))
def serve():
    for _ in range(3):
        c, a = l.accept()
        try:
            with ctx.wrap_socket(c, server_side=True) as s:
                while (d := s.recv(65536)): s.sendall(d)
        except (ssl.SSLError, OSError): pass
t = threading.Thread(target=serve); t.start()
good = ssl.create_default_context(cafile="cert")
for c in (good, good):
    with c.wrap_socket(socket.create_connection(l.getsockname()), server_hostname="localhost") as s:
        s.sendall(b"x" * 1000); n = 0
        while n < 1000: n += len(s.recv(4096))
        print(n, s.version(), s.cipher()[0], s.getpeercert()["subject"])
try: ssl.create_default_context().wrap_socket(socket.create_connection(l.getsockname()), server_hostname="localhost")
except ssl.SSLCertVerificationError as e: print(e.verify_message)
t.join(); os.remove("key"); os.remove("cert")
''',
    'http-server': '''
import http.server, threading, urllib.request, functools, os, socketserver, xmlrpc.client, xmlrpc.server
H = functools.partial(http.server.SimpleHTTPRequestHandler, directory=os.environ["SCRATCH"])
H.log_message = None
class Quiet(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *a): super().__init__(*a, directory=os.environ["SCRATCH"])
    def log_message(self, *a): pass
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as s:
    threading.Thread(target=s.serve_forever, daemon=True).start()
    base = "http://127.0.0.1:%d" % s.server_port
    get = lambda p: urllib.request.urlopen(base + p, timeout=20).read()
    ts = [threading.Thread(target=get, args=("/folder/blob",)) for _ in range(16)]
    for t in ts: t.start()
    for t in ts: t.join()
    print(get("/words"), len(get("/folder/blob")), b"numbers" in get("/"))
    try: get("/none")
    except urllib.error.HTTPError as e: print(e.code, e.reason)
    s.shutdown()
class Forking(socketserver.ForkingMixIn, socketserver.TCPServer): pass
class Handler(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(self.rfile.readline()[::-1])
with Forking(("127.0.0.1", 0), Handler) as s:
    threading.Thread(target=s.serve_forever, daemon=True).start()
    import socket
    for n in range(10):
        with socket.create_connection(s.server_address) as c: c.sendall(b"abc%d\\n" % n); print(c.makefile().read())
    s.shutdown()
''',
    'descriptor-passing': '''
import socket, os, struct, array, tempfile
a, b = socket.socketpair()
if os.fork() == 0:
    msg, fds, flags, addr = socket.recv_fds(b, 10, 5)
    print(msg, len(fds), flags, os.read(fds[0], 100), [os.get_inheritable(f) for f in fds], flush=True)
    os.write(fds[1], b"written by the child"); s = socket.socket(fileno=fds[2]); s.sendall(b"through a passed socket"); os._exit(0)
f = open("words"); r, w = os.pipe(); c, d = socket.socketpair()
socket.send_fds(a, [b"three"], [f.fileno(), w, c.fileno()]); os.wait()
print(os.read(r, 99), d.recv(99), f.read(5))
b.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1); a.send(b"x")
m, anc, fl, ad = b.recvmsg(10, 100); pid, uid, gid = struct.unpack("3i", anc[0][2])
print(m, pid == os.getpid(), uid == os.getuid(), gid == os.getgid(), anc[0][1] == socket.SCM_CREDENTIALS)
pid, uid, gid = struct.unpack("3i", a.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)); print(pid == os.getpid(), uid == os.getuid())
''',
}


@pytest.mark.parametrize('name', PYTHON_PROGRAMS)
def test_python(name, tmp_path, same):
    program = tmp_path / 'program.py'  # spawned children read it again
    program.write_text(PYTHON_PROGRAMS[name])
    result = same([PYTHON, program], timeout=110)
    assert result.status == 0 and not result.err, str(result)
