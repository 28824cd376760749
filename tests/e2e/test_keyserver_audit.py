# SPDX-License-Identifier: LGPL-3.0-or-later
"""The key server's audit log: what is in it, and that nothing can be changed, cut or put in without being seen."""
import concurrent.futures
import hashlib
import json
import re
import resource
import signal
import subprocess

import pytest

from keyserver import BUILD, MRENCLAVE, Device, Refused, adyton, secret, serving

pytestmark = pytest.mark.skipif(not (BUILD / 'lib/adyton/adyton-sgxemu').exists(),
                                reason='the software SGX device is not built')
KEY = bytes(range(16, 32))


@pytest.fixture(scope='module')
def device(tmp_path_factory):
    return Device(tmp_path_factory.mktemp('device'))


@pytest.fixture(scope='module')
def policy(tmp_path_factory):
    path = tmp_path_factory.mktemp('keys') / 'key'
    path.write_bytes(KEY)
    path.chmod(0o600)
    return secret('model', f'file:{path}')


@pytest.fixture(scope='module')
def written(device, policy, tmp_path_factory):
    """The folder of a server that released and refused, with its log, head and key."""
    enclaves = device.enclave(), device.enclave(mrenclave='33' * 32)
    with serving(tmp_path_factory.mktemp('written') / 's', policy, device, audit=True) as s:
        for _ in range(3):
            assert s.secret(enclaves[0]) == KEY
            with pytest.raises(Refused):
                s.secret(enclaves[1])
        assert s.stop(signal.SIGTERM) == 0
        subprocess.run(['openssl', 'pkey', '-in', s.folder / 'audit.key', '-pubout', '-out', s.folder / 'public'], check=True)
        yield s.folder


def verify(log, head=None, *options):
    done = adyton('keyserver', 'audit', 'verify', log, *(['--head', head] if head else []), *options)
    assert done.stderr == ''
    return done.returncode, done.stdout


def test_intact(written):
    log, head = written / 'audit.log', written / 'audit.log.head'
    status, said = verify(log, head, '--public-key', written / 'public')
    assert status == 0 and re.search(r'audit\.log: intact: 9 records; the head of 20\S+ signs the first 9\n', said), said
    status, said = verify(log)
    assert status == 0 and 'without --head nobody can tell' in said


def test_records(written):
    lines = (written / 'audit.log').read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r['event'] for r in records] == ['begin', 'start', *['release', 'refuse'] * 3, 'stop']
    before = '0' * 64
    for number, (line, record) in enumerate(zip(lines, records), 1):
        assert record['seq'] == number and record['prev'] == before
        before = hashlib.sha256(line[:line.rindex(',"hash":"')].encode()).hexdigest()
        assert record['hash'] == before
    refused = records[3]
    assert refused['code'] == 'POLICY_MEASUREMENT' and refused['mrenclave'] == '33' * 32 and refused['secret'] == 'model'
    assert records[2]['mrenclave'] == MRENCLAVE and len(records[2]['quote_sha256']) == 64 and records[2]['fmspc']
    assert KEY.hex() not in ''.join(lines)


def rehash(lines, start):
    """A forger who makes the chain good again from a record on."""
    out, before = lines[:start], None
    if start:
        before = json.loads(out[-1])['hash']
    for line in lines[start:]:
        body = line[:line.rindex(',"hash":"')]
        body = re.sub(r'"prev":"[0-9a-f]{64}"', f'"prev":"{before or "0" * 64}"', body, count=1)
        before = hashlib.sha256(body.encode()).hexdigest()
        out.append(f'{body},"hash":"{before}"}}')
    return out


CHANGES = {
    'content': (lambda r: [*r[:4], r[4].replace('release', 'refuse '), *r[5:]], 5, 'it was changed'),
    'hash': (lambda r: [*r[:4], r[4][:-10] + ('0' if r[4][-10] != '0' else '1') + r[4][-9:], *r[5:]], 5, 'it was changed'),
    'forged': (lambda r: [*r[:4], rehash([*r[:4], r[4].replace('release', 'refuse ')], 4)[4], *r[5:]], 6, 'does not follow'),
    'removed': (lambda r: [*r[:4], *r[5:]], 5, 'another number'),
    'removed-first': (lambda r: r[1:], 1, 'another number'),
    'swapped': (lambda r: [*r[:3], r[4], r[3], *r[5:]], 4, 'another number'),
    'twice': (lambda r: [*r[:5], r[4], *r[5:]], 6, 'another number'),
    'cut': (lambda r: r[:-2], 8, 'the log was cut'),
    'empty': (lambda r: [], 1, 'the log is empty'),
    'rewritten': (lambda r: rehash([*r[:4], r[4].replace('release', 'refuse '), *r[5:]], 4), 9, 'was written anew'),
    'garbage': (lambda r: [*r[:4], 'x' * 500, *r[5:]], 5, 'has not the form'),
    'long': (lambda r: [*r[:4], '{"seq":5' + 'x' * 70000, *r[5:]], 5, 'longer than a record'),
    'blank': (lambda r: [*r[:4], '', *r[4:]], 5, 'shorter'),
}


@pytest.mark.parametrize('name', CHANGES)
def test_changes_are_found(written, tmp_path, name):
    change, record, why = CHANGES[name]
    lines = (written / 'audit.log').read_text().splitlines()
    (tmp_path / 'log').write_text(''.join(f'{line}\n' for line in change(lines)))
    status, said = verify(tmp_path / 'log', written / 'audit.log.head')
    assert status == 1 and f'broken at record {record}: ' in said and why in said, said


def test_every_byte(written, tmp_path):
    """Whatever byte of it changes."""
    data = (written / 'audit.log').read_bytes()
    for at in range(0, len(data), 89):
        (tmp_path / 'log').write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        status, said = verify(tmp_path / 'log', written / 'audit.log.head')
        assert status == 1 and 'broken at record' in said, (at, said)


def test_heads(written, tmp_path):
    head = json.loads((written / 'audit.log.head').read_text())
    other = tmp_path / 'head'
    for member, value, why in (('seq', 5, 'signature is not good'), ('hash', '0' * 64, 'signature is not good'),
                               ('log', '0' * 32, 'signature is not good'), ('signature', '0' * 128, 'signature is not good'),
                               ('signature', 'x', 'the head is not one'), ('seq', -1, 'the head is not one')):
        other.write_text(json.dumps({**head, member: value}))
        status, said = verify(written / 'audit.log', other)
        assert status == 1 and why in said, said
    for text in ('', '[]', '{' * 100000, '\0'):
        other.write_text(text)
        assert verify(written / 'audit.log', other)[0] == 1
    other.write_text('')
    status, said = verify(other)  # nothing is not a log
    assert status == 1 and 'broken at record 1: the log is empty' in said
    done = adyton('keyserver', 'audit', 'verify', tmp_path / 'nowhere')
    assert done.returncode == 2 and 'cannot read' in done.stderr


def test_another_key_and_another_log(written, device, policy, tmp_path):
    with serving(tmp_path / 's', policy, device, audit=True) as s:
        s.stop(signal.SIGTERM)
        status, said = verify(written / 'audit.log', s.folder / 'audit.log.head')
        assert status == 1 and 'of another log' in said
        status, said = verify(s.folder / 'audit.log', None, '--public-key', written / 'public')
        assert status == 1 and 'begun with another key' in said


def test_goes_on_after_a_restart_and_refuses_a_broken_log(device, policy, tmp_path):
    enclave = device.enclave()
    with serving(tmp_path / 's', policy, device, audit=True) as s:
        assert s.secret(enclave) == KEY
        s.stop()  # killed
        log = s.folder / 'audit.log'
        with open(log, 'ab') as f:
            f.write(b'{"seq":4,"prev":"')  # a record torn by a crash
        status, said = verify(log, s.folder / 'audit.log.head')
        assert status == 0 and 'not finished' in said
        s.start()
        assert s.secret(enclave) == KEY
        s.stop(signal.SIGTERM)
        assert [r['event'] for r in s.audit()] == ['begin', 'start', 'release', 'start', 'release', 'stop']
        assert verify(log, s.folder / 'audit.log.head')[0] == 0
        data, head = log.read_bytes(), (s.folder / 'audit.log.head').read_bytes()
        for broken, why in ((data.replace(b'release', b'refused', 1), 'broken at record 3: it was changed'),
                            (data[:data.rindex(b'{"seq":6')], 'the log was cut')):
            log.write_bytes(broken)
            done = adyton('keyserver', '--policy', s.policy)
            assert done.returncode == 1 and why in done.stderr and 'keep it as evidence' in done.stderr, done.stderr
        log.write_bytes(data)
        (s.folder / 'audit.log.head').unlink()
        done = adyton('keyserver', '--policy', s.policy)
        assert done.returncode == 1 and 'its head is missing' in done.stderr
        (s.folder / 'audit.log.head').write_bytes(head)
        subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', s.folder / 'audit.key'], check=True)
        done = adyton('keyserver', '--policy', s.policy)
        assert done.returncode == 1 and 'begun with another key' in done.stderr
        subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed448', '-out', s.folder / 'audit.key'], check=True)
        done = adyton('keyserver', '--policy', s.policy)
        assert done.returncode == 1 and 'must be an Ed25519 key' in done.stderr


def test_several_instances(device, policy, tmp_path):
    """One log each; a second server on the same log does not start."""
    enclave = device.enclave()
    with serving(tmp_path / 'a', policy, device, audit=True, server='name = "a"') as a, \
            serving(tmp_path / 'b', policy, device, audit=True, server='name = "b"') as b:
        done = adyton('keyserver', '--policy', a.policy)
        assert done.returncode == 1 and 'in use by another server' in done.stderr
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda i: (a, b)[i % 2].secret(enclave), range(60))) == [KEY] * 60
        for s in (a, b):
            s.stop(signal.SIGTERM)
            status, said = verify(s.folder / 'audit.log', s.folder / 'audit.log.head')
            assert status == 0 and 'intact: 33 records' in said, said


def test_a_log_that_cannot_grow_releases_nothing(device, policy, tmp_path):
    enclave = device.enclave()
    with serving(tmp_path / 's', policy, device, audit=True) as s:
        assert s.secret(enclave) == KEY
        size = (s.folder / 'audit.log').stat().st_size
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
        for _ in range(2):
            with pytest.raises(Refused):
                s.secret(enclave)
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert s.secret(enclave) == KEY
        assert s.metric('audit_errors_total') == 2
        s.stop(signal.SIGTERM)
        assert verify(s.folder / 'audit.log', s.folder / 'audit.log.head')[0] == 0
