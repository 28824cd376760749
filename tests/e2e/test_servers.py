# SPDX-License-Identifier: LGPL-3.0-or-later
"""Servers, unmodified: each runs natively and inside, is driven by the same stock clients, and must
answer, log and end in the same way.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import ENVIRONMENT, NOTICES, command, run

PYTHON = '/usr/bin/python3'


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as one:
        return one.getsockname()[1]


def wait_until(true, what, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f'no {what} after {seconds} s'
        time.sleep(0.02)


def listens(port, host='127.0.0.1'):
    def ask():
        with socket.socket() as s:
            return s.connect_ex((host, port)) == 0
    return ask


def children_of(pid):
    """The living children, zombies left out."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(')')[2].split()[:2]
            if int(parent) == pid and state != 'Z':
                found.append(int(path.parent.name))
    return sorted(found)


class Server:
    """A running server: its address, its folder, and after stop() its status and output."""

    def __init__(self, child, port, folder):
        self.child, self.port, self.folder = child, port, folder
        self.status = self.out = None

    def client(self, argv, **how):
        result = run(argv, cwd=self.folder, **how)
        return result.out + result.err + f'status {result.status}\n'

    def talk(self, data, udp=False):
        """Sends bytes and returns all that is answered until the server closes (or is silent)."""
        with socket.socket(type=socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as s:
            s.settimeout(20)
            s.connect(('127.0.0.1', self.port))
            s.sendall(data)
            if udp:
                return s.recv(65536)
            answer = b''
            while part := s.recv(65536):
                answer += part
            return answer

    def stop(self, how=signal.SIGTERM):
        if how:
            self.child.send_signal(how)
        out, _ = self.child.communicate(timeout=30)
        self.out = out.replace(NOTICES['closed'].encode(), b'')
        self.status = self.child.returncode


@pytest.fixture
def serve(libos, prepare_inside, tmp_path):
    """serve(argv, port, inside=, extras=, env=, ready=) -> context manager of a Server

    argv[0] is the program. `ready` is asked until it is true; by default whether the port accepts.
    """
    @contextlib.contextmanager
    def start(argv, port, inside, extras=None, env=None, ready=None):
        folder = tmp_path / 'scratch'
        if inside:
            prepare = prepare_inside(argv[0], extras, allowed=[f'{folder}/', '/dev/'], cwd=str(folder))
            argv = [*prepare.command, *argv[1:]]
        with subprocess.Popen([str(a) for a in argv], cwd=folder, env={**ENVIRONMENT, **(env or {})},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              start_new_session=True) as child:
            server = Server(child, port, folder)
            try:
                wait_until(lambda: child.poll() is not None or (ready or listens(port))(), 'answer')
                assert child.poll() is None, child.communicate()[0].decode('utf-8', 'replace')
                yield server
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    return start


@pytest.fixture
def both(tmp_path):
    """both(drive) calls drive(inside, folder) twice with an empty folder, and compares the results."""
    def run_both(drive):
        results = []
        for inside in (False, True):
            shutil.rmtree(tmp_path / 'scratch', ignore_errors=True)
            (tmp_path / 'scratch').mkdir()
            results.append(drive(inside, tmp_path / 'scratch'))
        assert results[1] == results[0]
        return results[0]
    return run_both


# --- redis -------------------------------------------------------------------------------------

REDIS_COMMANDS = r'''
set greeting hello
get greeting
incrby counter 41
incr counter
append greeting " world"
get greeting
strlen greeting
rpush list a b c d e
lrange list 1 3
hset hash one 1 two 2
hgetall hash
zadd scores 3 c 1 a 2 b
zrange scores 0 -1 withscores
sadd set x y z
scard set
setrange big 1000000 end
strlen big
expire greeting 1000
ttl greeting
getdel counter
eval "local s = 0 for i = 1, 100000 do s = s + i end return s" 0
eval "return redis.call('lrange', KEYS[1], 0, -1)" 1 list
multi
set in multi
lpop list
exec
type hash
xadd stream 1-1 field value
xrange stream - +
pfadd loglog a b c
pfcount loglog
geoadd places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
geodist places Palermo Catania
blpop nothing 0.05
wrong command
debug sleep 0.01
object encoding list
config set maxclients 100
save
debug reload
dbsize
bgsave
lastsave_is_not_a_command
'''


def redis_cli(server, *arguments, **how):
    return server.client([command('redis-cli'), '-p', server.port, *arguments], **how)


def test_redis(serve, both):
    def drive(inside, folder):
        port = free_port()
        argv = [command('redis-server'), '--port', port, '--unixsocket', 'redis.sock', '--save', '3600 1',
                '--io-threads', '2', '--loglevel', 'warning', '--enable-debug-command', 'yes']
        with serve(argv, port, inside) as server:
            got = [redis_cli(server, stdin=REDIS_COMMANDS),
                   server.client([command('redis-cli'), '-s', 'redis.sock', 'ping']),
                   re.findall('Sampled.*', redis_cli(server, '--bigkeys'))]
            wait_until(lambda: 'rdb_bgsave_in_progress:0' in redis_cli(server, 'info', 'persistence'), 'end of BGSAVE')
            got.append(re.findall('rdb_last_bgsave_status:.*', redis_cli(server, 'info', 'persistence')))
            got.append(server.client([command('redis-check-rdb'), 'dump.rdb']).count('RDB looks OK'))
            redis_cli(server, 'config', 'set', 'appendonly', 'yes')
            redis_cli(server, 'bgrewriteaof')
            wait_until(lambda: 'aof_rewrite_in_progress:0' in redis_cli(server, 'info', 'persistence'), 'rewritten log')
            bench = server.client([command('redis-benchmark'), '-p', port, '-n', '4000', '-P', '16', '-c', '20', '--csv',
                                   '-r', '500', '--threads', '2'], timeout=90)
            got.append([line.split(',')[0] for line in bench.splitlines()])
            server.stop()
            return got, server.status, sorted(p.name for p in server.folder.iterdir())
    got, status, _ = both(drive)
    assert 'hello world' in got[0] and '5000050000' in got[0] and got[3:5] == [['rdb_last_bgsave_status:ok\r'], 1], got
    assert len(got[5]) > 15 and status == 0


# --- nginx -------------------------------------------------------------------------------------

NGINX_CONFIG = '''
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
user root;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    sendfile on; tcp_nopush on; gzip on; gzip_min_length 100; keepalive_requests 100000;
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    upstream local {{ server unix:{folder}/upstream.sock; }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        root {folder}/www;
        location /hello {{ return 200 "hello from nginx\\n"; }}
        location /limited {{ limit_req zone=one; try_files /small.txt =404; }}
        location /through/ {{ proxy_pass http://local/; }}
        location /old {{ return 301 /hello; }}
        location /nosend/ {{ alias {folder}/www/; sendfile off; aio off; }}
    }}
    server {{ listen unix:{folder}/upstream.sock; location / {{ root {folder}/www; }} }}
}}
'''


def test_nginx_two_workers(serve, both):
    nginx, curl, wrk = command('nginx'), command('curl'), command('wrk')

    def drive(inside, folder):
        port = free_port()
        (folder / 'www').mkdir()
        (folder / 'www' / 'small.txt').write_text('small\n' * 30)
        (folder / 'www' / 'ten').write_bytes(bytes(n % 253 for n in range(10240)))
        (folder / 'www' / 'large').write_bytes(bytes(n * n % 251 for n in range(3 << 20)))
        (folder / 'nginx.conf').write_text(NGINX_CONFIG.format(folder=folder, port=port))
        with serve([nginx, '-c', folder / 'nginx.conf', '-e', folder / 'error.log'], port, inside) as server:
            base = f'http://127.0.0.1:{port}'

            def get(*arguments):
                return server.client([curl, '-sS', '-w', '\n%{http_code} %{size_download} %{content_type}\n', *arguments])
            got = [get(f'{base}/{path}') for path in ('hello', 'small.txt', 'none', 'old', 'through/small.txt')]
            got += [get('-r', '5000-5009', f'{base}/large'), get('-I', f'{base}/ten').count('10240'),
                    get('--compressed', f'{base}/small.txt'), get('-X', 'DELETE', f'{base}/ten'),
                    get(f'{base}/limited'), get(f'{base}/limited')]
            for path in ('ten', 'large', 'through/large', 'nosend/large'):
                get('-o', 'copy', f'{base}/{path}')
                got.append((folder / 'copy').read_bytes() == (folder / 'www' / path.split('/')[-1]).read_bytes())
            load = server.client([wrk, '-t2', '-c24', '-d1s', f'{base}/ten'])
            got.append(('Socket errors' in load, 'Non-2xx' in load, 'Requests/sec' in load))
            pid = int((folder / 'nginx.pid').read_text())
            workers = children_of(pid)
            got.append((pid == server.child.pid, len(workers)))
            os.kill(workers[0], signal.SIGKILL)  # the master starts another one
            wait_until(lambda: len(children_of(pid)) == 2 and children_of(pid) != workers, 'new worker')
            got.append(get(f'{base}/hello'))
            now = children_of(pid)
            os.kill(pid, signal.SIGHUP)
            wait_until(lambda: len(children_of(pid)) == 2 and not set(now) & set(children_of(pid)), 'reloaded workers')
            got.append(get(f'{base}/hello'))
            os.rename(folder / 'access.log', folder / 'old.log')
            os.kill(pid, signal.SIGUSR1)
            wait_until((folder / 'access.log').exists, 'reopened log')
            server.stop(signal.SIGQUIT)
            errors = re.sub(r'^.*?\] |\d+#\d+: |\*\d+ |\b\d{3,}\b', '', (folder / 'error.log').read_text(), flags=re.M)
            return got, server.status, server.out, sorted(set(errors.splitlines()))
    got, status, *_ = both(drive)
    assert got[0].startswith('hello from nginx\n\n200') and '503' in got[10] and got[11:15] == [True] * 4, got
    assert got[15] == (False, False, True) and got[16] == (True, 2) and status == 0


# --- memcached ---------------------------------------------------------------------------------

MEMCACHED = (b'version\r\nset k 5 0 5\r\nhello\r\nget k\r\nadd k 0 0 1\r\nx\r\nappend k 0 0 3\r\n...\r\ngets k\r\n'
             b'set n 0 0 2\r\n41\r\nincr n 1\r\ndecr n 50\r\ndelete k\r\nget k\r\ntouch n 100\r\nbogus\r\n'
             b'set big 0 0 500000\r\n' + b'v' * 500000 + b'\r\nget big\r\nset much 0 0 2000000\r\n' + b'w' * 2000000 +
             b'\r\nmg n v\r\nflush_all\r\nget n\r\nquit\r\n')


def test_memcached(serve, both):
    def drive(inside, folder):
        port = free_port()
        argv = [command('memcached'), '-l', '127.0.0.1', '-p', port, '-U', port, '-u', 'root', '-t', '4', '-m', '64', '-c', '300']
        with serve(argv, port, inside) as server:
            got = [server.talk(MEMCACHED), server.talk(b'\0\1\0\0\0\1\0\0get none\r\n', udp=True)]
            many = [socket.create_connection(('127.0.0.1', port)) for _ in range(100)]
            for n, one in enumerate(many):
                one.sendall(b'set key%d 0 0 4\r\ndata\r\nget key%d\r\n' % (n, n))
            for one in many:
                one.shutdown(socket.SHUT_WR)
                with one, one.makefile('rb') as stream:
                    got.append(stream.read())
            stats = server.talk(b'stats\r\nquit\r\n').decode()
            got.append(re.findall(r'STAT (?:curr_items|cmd_set|get_hits|threads|max_connections) \d+', stats))
            server.stop()
            return got, server.status, server.out
    got, status, _ = both(drive)
    assert b'VALUE k 5 8' in got[0] and 'STAT threads 4' in got[-1] and status == 0


# --- http servers of languages ------------------------------------------------------------------

NODE_SERVER = """
const http = require("http"), zlib = require("zlib"), net = require("net"), fs = require("fs"), cluster = require("cluster");
if (cluster.isPrimary) {
  cluster.fork(); cluster.fork();
  process.on("SIGTERM", () => { for (const w of Object.values(cluster.workers)) w.process.kill(); });
  let gone = 0; cluster.on("exit", (w, code, signal) => { console.log("worker", code, signal); if (++gone == 2) process.exit(7); });
} else {
  http.createServer((q, r) => {
    if (q.url == "/file") { r.setHeader("Content-Type", "application/octet-stream"); fs.createReadStream("large").pipe(r); }
    else if (q.url == "/gzip") { r.setHeader("Content-Encoding", "gzip"); r.end(zlib.gzipSync("text ".repeat(1000))); }
    else { let n = 0; q.on("data", d => n += d.length); q.on("end", () => r.end(`${q.method} ${q.url} ${n}\\n`)); }
  }).listen(+process.argv[1], "127.0.0.1");
}
"""

PYTHON_SERVER = """
import asyncio, http.server, os, signal, ssl, sys, threading
os.chdir(os.environ["SCRATCH"]); port = int(sys.argv[1])
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        n = len(self.rfile.read(int(self.headers["Content-Length"]))); text = b"%d bytes\\n" % n
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.end_headers(); self.wfile.write(text)
    def date_time_string(self, timestamp=None): return "then"
    def log_date_time_string(self): return "now"
plain = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
secure = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); ctx.load_cert_chain("cert", "key")
secure.socket = ctx.wrap_socket(secure.socket, server_side=True)
def end(*_): sys.stdout.flush(); os._exit(4)
signal.signal(signal.SIGTERM, end)
threading.Thread(target=secure.serve_forever, daemon=True).start()
plain.serve_forever()
"""


def http_client(server, base, *paths):
    """What curl says of each path, of an upload and of twelve requests at once."""
    curl = [command('curl'), '-sS', '-k', '-w', '\n%{http_code} %{size_download} %{content_type}\n']
    got = [server.client([*curl, f'{base}/{path}']) for path in paths]
    got.append(server.client([*curl, '--compressed', '--data-binary', '@large', f'{base}/upload']))
    server.client([*curl, '-o', 'copy', f'{base}/{"file" if "file" in paths else "large"}'])
    got.append((server.folder / 'copy').read_bytes() == (server.folder / 'large').read_bytes())
    load = server.client([*curl, '-Z', '--parallel-max', '12', *[f'{base}/one'] * 40])
    got.append((load.count('200 '), load.count('404 ')))
    return got


def write_large(folder):
    (folder / 'large').write_bytes(bytes(n * n % 251 for n in range(2 << 20)))
    (folder / 'one').write_text('one\n')


def test_node_cluster(serve, both):
    def drive(inside, folder):
        port = free_port()
        write_large(folder)
        with serve([command('node'), '-e', NODE_SERVER, port], port, inside) as server:
            got = http_client(server, f'http://127.0.0.1:{port}', 'one', 'two', 'gzip', 'file')
            server.stop()
            return got, server.status, server.out
    got, status, out = both(drive)
    assert got[0].startswith('GET /one 0') and got[5:] == [True, (40, 0)], got
    assert status == 7 and out.count(b'worker') == 2


def test_python_http_and_https(serve, both):
    def drive(inside, folder):
        port, secure = free_port(), free_port()
        write_large(folder)
        made = run([command('openssl'), 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', folder / 'key', '-out',
                    folder / 'cert', '-subj', '/CN=localhost', '-days', '2'])
        assert made.status == 0, str(made)
        with serve([PYTHON, '-c', PYTHON_SERVER, port, secure], secure, inside, env={'SCRATCH': str(folder)}) as server:
            got = [http_client(server, base, 'one', 'none', 'large') for base in
                   (f'http://127.0.0.1:{port}', f'https://localhost:{secure}')]
            server.stop()
            log = sorted(re.sub(r'localhost|127\.0\.0\.1', 'host', server.out.decode()).splitlines())
            return got, server.status, [line for line in log if 'GET /one' in line]
    got, status, log = both(drive)
    assert got[0][0].startswith('one\n\n200') and got[0] == got[1] and status == 4 and len(log) == 82, (got, status, log)
