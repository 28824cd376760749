# SPDX-License-Identifier: LGPL-3.0-or-later
"""The rows of bench.py about servers: requests a second of a stock server under its stock load
generator, natively and inside. Both servers are up; they are loaded in turn for short times, so that
a slow moment of the machine meets both. Server and load have a processor each, if there are two.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time

NGINX = '''
worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port} reuseport; root {folder}; }}
}}
'''


def needed(bench, *names):
    found = [shutil.which(name, path='/usr/bin:/usr/sbin') for name in names]
    if None in found:
        raise bench.Failed(f'{names[found.index(None)]} is not installed')
    return found


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as one:
        return one.getsockname()[1]


def on_processor(number):
    return ['taskset', '-c', str(sorted(os.sched_getaffinity(0))[number])] if len(os.sched_getaffinity(0)) > 1 else []


@contextlib.contextmanager
def running(bench, argv, port):
    with subprocess.Popen([*on_processor(0), *(str(a) for a in argv)], cwd=bench.folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as child:
        try:
            for _ in range(200):
                with socket.socket() as s:
                    if s.connect_ex(('127.0.0.1', port)) == 0:
                        break
                time.sleep(0.05)
            else:
                raise bench.Failed(f'{argv[0]} does not listen')
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def measured(bench, program, arguments, load):
    """arguments(port) -> the server's; load(port) -> requests a second. Medians of native and ours."""
    ports = free_port(), free_port()
    prefix = bench.manifest(f'server-{program.name}', program, extra='loader.insecure__use_host_env = true')
    inside = [bench.build / 'bin' / 'gramine-direct', prefix]
    values = [], []
    with running(bench, [program, *arguments(ports[0])], ports[0]), running(bench, [*inside, *arguments(ports[1])], ports[1]):
        for turn in range(2 * bench.runs + 1):
            for side in ((0, 1), (1, 0))[turn % 2]:
                rate = load(ports[side])
                if turn > 0:
                    values[side].append(rate)
    return statistics.median(values[0]), statistics.median(values[1])


def redis(command):
    """Thousands of requests a second with 16-deep pipelines."""
    def row(bench):
        server, client = needed(bench, 'redis-server', 'redis-benchmark')

        def load(port):
            out, _ = bench.run([*on_processor(1), client, '-p', port, '-n', 100000, '-P', 16, '-c', 16, '-r', 10000,
                                '-t', command, '--csv'])
            return float(out.splitlines()[-1].split(',')[1].strip('"')) / 1000
        return measured(bench, pathlib.Path(server), lambda port: ['--port', port, '--save', ''], load)
    return row


def nginx(bench):
    """Thousands of requests a second for a file of 10 KiB; two workers, kept connections."""
    server, client = needed(bench, 'nginx', 'wrk')

    def arguments(port):
        folder = bench.folder / f'nginx-{port}'
        folder.mkdir()
        (folder / 'file').write_bytes(b'x' * 10240)
        (folder / 'nginx.conf').write_text(NGINX.format(folder=folder, port=port))
        return ['-c', folder / 'nginx.conf', '-e', folder / 'error.log']

    def load(port):
        out, _ = bench.run([*on_processor(1), client, '-t1', '-c16', '-d1s', f'http://127.0.0.1:{port}/file'])
        return float(re.search(r'Requests/sec: *([0-9.]+)', out)[1]) / 1000
    try:
        return measured(bench, pathlib.Path(server), arguments, load)
    finally:
        for folder in bench.folder.glob('nginx-*'):
            shutil.rmtree(folder)
