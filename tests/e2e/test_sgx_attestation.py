# SPDX-License-Identifier: LGPL-3.0-or-later
"""/dev/attestation in an enclave: reports, quotes and sealing keys, as a program sees them."""
import pathlib

import pytest

from conftest import run

PYTHON = '/usr/bin/python3'

LOOK = r'''
import os, sys
at = '/dev/attestation/'
def read(name): return open(at + name, 'rb').read()
def write(name, data): return os.write(os.open(at + name, os.O_WRONLY), data)
def fails(what, *args):
    try: what(*args)
    except OSError as e: return e.errno
    return 0
names = sorted(os.listdir(at))
print('names', names)
print('type', read('attestation_type').decode())
print('written', write('user_report_data', b'A' * 100), len(read('user_report_data')))
own = read('my_target_info')
report = read('report')
print('sizes', len(own), len(report))
print('report', report[320:384] == b'A' * 64, report[64:96] == own[:32])
write('user_report_data', b'short')
report = read('report')
print('padded', report[320:384] == b'short'.ljust(64, b'\0'))
write('target_info', own)
print('keys', sorted(os.listdir(at + 'keys')), len(read('keys/default')))
print('refused', fails(write, 'keys/_sgx_mrsigner', b'x' * 16), fails(write, 'keys/default', b'x' * 15),
      fails(read, 'keys/other'), fails(read, 'protected_files_key'))
write('keys/default', b'0123456789abcdef')
print('set', read('keys/default'))
for _ in range(2000):
    for name in ('user_report_data', 'target_info', 'my_target_info', 'report'):
        os.close(os.open(at + name, os.O_RDONLY))
'''
MOUNT = {'fs.mounts': [{'type': 'encrypted', 'path': '/enc', 'uri': 'file:/tmp/none', 'key_name': 'default'}]}


def test_files(signed, enclave):
    done = enclave(signed(PYTHON, MOUNT), ['-c', LOOK])
    assert done.out == ('''names ['attestation_type', 'keys', 'my_target_info', 'report', 'target_info', 'user_report_data']
type none
written 100 0
sizes 512 432
report True True
padded True
keys ['_sgx_mrenclave', '_sgx_mrsigner', 'default'] 0
refused 13 13 2 2
set b'0123456789abcdef'
'''), str(done)


QUOTE = r'''
import sys
open('/dev/attestation/user_report_data', 'wb').write(b'for this')
quote = open('/dev/attestation/quote', 'rb').read()
print(len(quote), quote[368:376])
open(sys.argv[1], 'wb').write(quote)
'''


def test_quote_verifies_where_the_test_root_is_named(signed, enclave, build_dir, tmp_path):
    out = tmp_path / 'quote'
    prefix = signed(PYTHON, {'sgx.remote_attestation': 'dcap'}, allowed=[tmp_path])
    state = {'XDG_STATE_HOME': str(tmp_path / 'state')}
    done = enclave(prefix, ['-c', QUOTE, out], env=state)
    assert done.status == 0 and done.out.endswith("b'for this'\n"), str(done)
    adyton, platform = build_dir / 'bin' / 'adyton', tmp_path / 'state' / 'adyton' / 'test-platform'
    good = run([adyton, 'verify', '--collateral', platform / 'collateral', '--trust-root', platform / 'root.pem', out])
    assert good.status == 0, str(good)
    measured = run([adyton, 'measure', f'{prefix}.manifest.sgx']).out.strip()
    assert measured in good.out, str(good)
    bad = run([adyton, 'verify', '--collateral', platform / 'collateral', out])
    assert bad.status != 0 and 'software SGX device' in bad.out + bad.err, str(bad)


SEAL = "print(*(open(f'/dev/attestation/keys/_sgx_{n}', 'rb').read().hex() for n in ('mrenclave', 'mrsigner')))"


def test_sealing_keys_follow_enclave_and_signer(signed, enclave):
    first, other = signed(PYTHON), signed(PYTHON, {'loader.env.OTHER': 'x'})
    again, changed = enclave(first, ['-c', SEAL]), enclave(other, ['-c', SEAL])
    one, two = again.out.split(), changed.out.split()
    assert enclave(first, ['-c', SEAL]).out.split() == one, 'the same enclave, the same keys'
    assert one[0] != two[0] and one[1] == two[1], f'{again}\n{changed}'
    masked = enclave(signed(PYTHON, {'sgx.seal_key.misc_mask': '0x00000000'}), ['-c', SEAL]).out.split()
    assert masked[1] != one[1]


@pytest.mark.parametrize('name', ['_sgx_mrenclave', '_sgx_mrsigner'])
def test_sealed_files(name, signed, enclave, tmp_path):
    folder = tmp_path / 'sealed'
    folder.mkdir()
    keys = {'fs.mounts': [{'type': 'encrypted', 'path': '/sealed', 'uri': f'file:{folder}', 'key_name': name}]}
    prefix = signed(PYTHON, keys)
    write = enclave(prefix, ['-c', "open('/sealed/f', 'w').write('secret words')"])
    assert write.status == 0 and b'secret' not in (folder / 'f').read_bytes(), str(write)
    assert enclave(prefix, ['-c', "print(open('/sealed/f').read())"]).out == 'secret words\n'
    other = enclave(signed(PYTHON, {**keys, 'loader.env.OTHER': 'x'}), ['-c', "print(open('/sealed/f').read())"])
    assert (other.status == 0) == (name == '_sgx_mrsigner'), str(other)


def test_without_a_service(signed, build_dir, tmp_path):
    """The program is told EACCES, and whoever started it what is missing."""
    if pathlib.Path('/var/run/aesmd/aesm.socket').exists():
        pytest.skip('this machine has a quoting service')
    prefix = signed(PYTHON, {'sgx.remote_attestation': 'dcap'})
    manifest = run([build_dir / 'lib' / 'adyton' / 'adyton-tools', 'sgxemu', '--quiet', '--fuses', tmp_path / 'fuses',
                    build_dir / 'bin' / 'gramine-sgx', prefix, '-c', QUOTE, '/dev/null'])
    assert manifest.status == 1 and 'Permission denied' in manifest.err and 'aesmd' in manifest.err, str(manifest)
