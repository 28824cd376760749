# SPDX-License-Identifier: LGPL-3.0-or-later
"""A key server under test, and enclaves that ask it: their quotes come from the software device's test platform."""
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import time
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('ADYTON_BUILD', ROOT / 'build')).resolve()
ADYTON = BUILD / 'bin/adyton'
REQUEST = b'SECRET_PROVISION_RA_TLS_REQUEST_V1\0'
RESPONSE = b'SECRET_PROVISION_RA_TLS_RESPONSE_V1:\0'
ENVIRONMENT = {'PATH': f'{BUILD}/bin:/usr/bin:/bin', 'HOME': '/nonexistent', 'NO_PROXY': '*', 'LC_ALL': 'C.UTF-8'}

# The enclave of tests that do not care.
MRENCLAVE, MRSIGNER = '11' * 32, '22' * 32


def adyton(*args, timeout=60, **env):
    return subprocess.run([ADYTON, *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=timeout, env={**ENVIRONMENT, **env})


def write_pem(folder, cert, key):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / 'cert.pem').write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / 'key.pem').write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    return folder / 'cert.pem', folder / 'key.pem'


def builder(name, key):
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    return x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(1).public_key(
        key.public_key()).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(9))


def server_certificate(folder):
    """A self-signed one, which clients take as their CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    cert = builder('localhost', key).add_extension(x509.SubjectAlternativeName([x509.DNSName('localhost')]), False)
    return write_pem(folder, cert.sign(key, hashes.SHA256()), key)


class Device:
    """The software device's test platform, and enclaves on it."""

    def __init__(self, folder, *options):
        self.folder, self.fuses = folder, folder / 'fuses'
        self.root = folder / 'test-platform/root.pem'
        self.collateral = folder / 'test-platform/collateral'
        self.setup(*options)
        self.count = 0

    def setup(self, *options):
        done = adyton('sgxemu', 'setup', '--fuses', self.fuses, *options)
        assert done.returncode == 0, done.stderr

    def enclave(self, mrenclave=MRENCLAVE, mrsigner=MRSIGNER, prod=7, svn=3, debug=False, change=None):
        """Certificate and key of a fresh session of such an enclave: TCG DICE tagged evidence."""
        self.count += 1
        folder = self.folder / f'enclave{self.count}'
        key = ec.generate_private_key(ec.SECP384R1())
        spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        claims = b'\xa1\x6bpubkey-hash\x58\x24\x82\x01\x58\x20' + hashlib.sha256(spki).digest()
        folder.mkdir()
        done = adyton('sgxemu', 'quote', '--fuses', self.fuses, '--report-data', hashlib.sha256(claims).hexdigest(),
                      '--mrenclave', mrenclave, '--mrsigner', mrsigner, '--isv-prod-id', prod, '--isv-svn', svn,
                      *(['--debug'] if debug else []), folder / 'quote')
        assert done.returncode == 0, done.stderr
        quote = (folder / 'quote').read_bytes()
        if change:
            quote = change(quote)
        value = b'\xd9\xea\x60\x82\x59' + struct.pack('>H', len(quote)) + quote + b'\x58' + bytes([len(claims)]) + claims
        cert = builder('RATLS', key).add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier('2.23.133.5.4.9'), value), False)
        return write_pem(folder, cert.sign(key, hashes.SHA256()), key)


def read_exactly(s, size):
    data = b''
    while len(data) < size:
        part = s.recv(size - len(data))
        if not part:
            break
        data += part
    return data


class Refused(Exception):
    """The server ended the session instead of answering."""


class KeyServer:
    """A running server; `policy` is TOML without what is filled in here."""

    def __init__(self, folder, policy, device=None, server='', audit=False, pccs=None, wait=True, env=None, **paths):
        folder.mkdir(exist_ok=True, parents=True)
        self.folder = folder
        self.cert, key = server_certificate(folder / 'tls')
        lines = ['listen = "127.0.0.1:0"', 'metrics = "127.0.0.1:0"', f'certificate = "{self.cert}"', f'key = "{key}"']
        if device:
            lines += [f'trust_root = "{device.root}"',
                      f'pccs = "{pccs}"' if pccs else f'collateral = "{device.collateral}"']
        head = '[server]\n' + '\n'.join(lines) + f'\n{server}\n'
        if audit:
            subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', folder / 'audit.key'], check=True,
                           capture_output=True)
            head += '[audit]\nlog = "audit.log"\nkey = "audit.key"\n'
        self.head = head
        self.policy = folder / 'policy.toml'
        self.write(policy)
        self.log = folder / 'stderr'
        self.env = env or {}
        self.process = None
        if wait:
            self.start()

    def write(self, policy):
        self.policy.write_text(self.head + policy)

    def start(self):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([ADYTON, 'keyserver', '--policy', self.policy], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=log, text=True, cwd='/',
                                            env={**ENVIRONMENT, **self.env})
        line = self.process.stdout.readline()
        assert line.startswith('key server on port '), line + self.log.read_text()
        words = line.replace(',', '').split()
        self.port = int(words[4])
        self.metrics_port = int(words[8]) if len(words) > 8 else None
        return self

    def events(self, event=None):
        all_lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith('{')]
        return [e for e in all_lines if event in (None, e['event'])]

    def wait_for(self, event, count=1, **members):
        for _ in range(400):
            found = [e for e in self.events(event) if all(e.get(k) == v for k, v in members.items())]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        raise AssertionError(f'no {event} {members} in {self.log.read_text()}')

    def audit(self):
        return [json.loads(line) for line in (self.folder / 'audit.log').read_text().splitlines()]

    def get(self, path='/metrics'):
        with urllib.request.urlopen(f'http://127.0.0.1:{self.metrics_port}{path}', timeout=20) as answer:
            return answer.read().decode()

    def metric(self, name):
        for line in self.get().splitlines():
            if line.startswith(f'adyton_keyserver_{name} '):
                return float(line.split()[-1])
        return None

    def connect(self, enclave=None, version=None):
        context = ssl.create_default_context(cafile=str(self.cert))
        if enclave:
            context.load_cert_chain(*map(str, enclave))
        if version:
            context.minimum_version = context.maximum_version = version
        raw = socket.create_connection(('127.0.0.1', self.port), 30)
        try:
            return context.wrap_socket(raw, server_hostname='localhost')
        except BaseException:
            raw.close()
            raise

    def secret(self, enclave, *words, version=None):
        """The secret, and with words those that they ask for; Refused when the session ends before."""
        got = []
        try:
            with self.connect(enclave, version) as s:
                s.sendall(REQUEST)
                got.append(self.framed(s))
                for word, size in words:
                    s.sendall(word + b'\0')
                    got.append(read_exactly(s, size) if size else self.framed(s))
        except (ssl.SSLError, ConnectionError) as e:
            raise Refused(str(e)) from e
        return got if words else got[0]

    @staticmethod
    def framed(s):
        head = read_exactly(s, 41)
        if not head:
            raise Refused('closed')
        assert head[:37] == RESPONSE, head
        size = struct.unpack('>I', head[37:])[0]
        data = read_exactly(s, size)
        assert len(data) == size
        return data

    def stop(self, signal=None):
        if self.process and self.process.poll() is None:
            if signal:
                self.process.send_signal(signal)
            else:
                self.process.kill()
            self.process.wait(60)
        if self.process:
            self.process.stdout.close()
            return self.process.returncode
        return None


@contextlib.contextmanager
def serving(folder, policy, device, **how):
    server = KeyServer(folder, policy, device, **how)
    try:
        yield server
    finally:
        server.stop()


def secret(name, source='file', extra='', mrenclave=MRENCLAVE, root=True):
    """One [[secret]]."""
    return (f'[[secret]]\nname = "{name}"\nsource = "{source}"\n' + (f'mrenclave = "{mrenclave}"\n' if mrenclave else '') +
            ('allow_custom_root = true\n' if root else '') + extra + '\n')
