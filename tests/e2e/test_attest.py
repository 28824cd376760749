# SPDX-License-Identifier: LGPL-3.0-or-later
"""Quotes: what is shown of them, and the verdict of every recorded case."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('ADYTON_BUILD', ROOT / 'build'))
CASES = ROOT.parent / 'shared' / 'quotes'
NAMES = sorted(p.parent.name for p in CASES.glob('*/case.json'))
recorded = pytest.mark.parametrize('name', NAMES or [pytest.param(
    '', marks=pytest.mark.skip(reason=f'the recorded quotes are not at {CASES}'))])


def adyton(*args, command='adyton', **kw):
    return subprocess.run([BUILD / 'bin' / command, *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


def case(name):
    return json.loads((CASES / name / 'case.json').read_text())


@recorded
def test_quote_show(name):
    facts = case(name).get('quote_facts', {})
    quote = CASES / name / 'quote.bin'
    r = adyton('quote', 'show', '--json', quote)
    if not facts.get('version'):
        assert r.returncode == 1 and r.stderr.startswith('error: adyton quote show: '), r.stderr
        return
    shown = json.loads(r.stdout)
    assert r.returncode == 0 and (shown['version'], shown['tee']) == (facts['version'], facts['tee'])
    assert shown['certification_type'] == facts['cert_type']
    assert shown['trailing_bytes'] == facts['trailing']
    for key in ('mrenclave', 'mrsigner', 'isv_prod_id', 'isv_svn', 'debug', 'mrtd', 'tee_tcb_svn'):
        if key in facts:
            assert shown[key] == facts[key], key
    if 'td_attributes' in facts:
        assert shown['td_attributes'] == facts['td_attributes']


@recorded
def test_quote_view(name):
    if not case(name).get('quote_facts', {}).get('version'):
        assert adyton(CASES / name / 'quote.bin', command='gramine-sgx-quote-view').returncode == 1
        return
    r = adyton(CASES / name / 'quote.bin', command='gramine-sgx-quote-view')
    fields = dict(line.split(': ', 1) for line in r.stderr.replace(' :', ':').splitlines())
    fields = {key.strip(): value for key, value in fields.items()}
    assert r.returncode == 0 and r.stdout == ''
    turned = adyton('-m', CASES / name / 'quote.bin', command='gramine-sgx-quote-view').stderr
    assert bytes.fromhex(fields['report_data'])[::-1].hex() in turned
    if case(name)['quote_facts']['version'] == 3:
        assert list(fields)[:7] == ['version', 'sign_type', 'epid_group_id', 'qe_svn', 'pce_svn', 'xeid', 'basename']
        assert list(fields)[-3:] == ['report_data', 'signature_size', 'signature']


def test_quote_show_refuses(tmp_path):
    (tmp_path / 'empty').write_bytes(b'')
    (tmp_path / 'text').write_text('hello, this is no quote at all. ' * 8)
    (tmp_path / 'pem').write_text('-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n')
    (tmp_path / 'large').write_bytes(b'\3\0' + bytes(2 << 20))
    for name, reason in (('empty', 'ends before'), ('text', 'version'), ('pem', 'PEM'), ('large', 'File too large'),
                         ('absent', 'No such file'), ('', 'Is a directory')):
        r = adyton('quote', 'show', tmp_path / name)
        assert (r.returncode, r.stdout) == (1, '') and reason in r.stderr, (name, r.stderr)
        assert len(r.stderr.splitlines()) == 1
    assert adyton('quote', 'show').returncode == 2
    assert adyton('quote', 'dump', 'x').returncode == 2


def verify(name, *options):
    folder, facts = CASES / name, case(name)
    args = ['--json', '--collateral', folder]
    if facts['verify_at']:
        args += ['--at', facts['verify_at']]
    if facts.get('trust_root'):
        args += ['--trust-root', folder / facts['trust_root']]
    quote = folder / ('cert.pem' if (folder / 'cert.pem').exists() else 'quote.bin')
    r = adyton('verify', *args, *options, quote)
    return r, json.loads(r.stdout)


@recorded
def test_verdict(name):
    expected = case(name)['expected']
    r, found = verify(name)
    assert found['status'] == expected['status'], found
    assert found['collateral_expired'] == expected['collateral_expired']
    assert found['advisories'] == sorted(expected.get('advisories', []))
    assert found['expired_items'] == expected.get('expired_items', [])
    if 'qe_status' in expected:
        assert found['qe_status'] == expected['qe_status']
    if 'tcb_date' in expected:
        assert found['tcb_date'] == expected['tcb_date']
    assert (r.returncode == 0) == found['accepted'] == (found['error'] is None)
    if expected['status'] != 'UpToDate' or expected['collateral_expired']:
        assert r.returncode == 1 and 'refused' in r.stderr
    facts = case(name).get('quote_facts', {})
    if 'tcb_evaluation_data_number' in facts and found['tcb_date']:
        assert found['tcb_evaluation_data_number'] <= facts['tcb_evaluation_data_number']
    if 'fmspc' in facts and found['fmspc']:
        assert found['fmspc'].upper() == facts['fmspc'].upper()


@recorded
def test_other_tee_is_refused(name):
    tee = case(name).get('quote_facts', {}).get('tee')
    if tee:
        r, found = verify(name, '--tee', {'SGX': 'tdx', 'TDX': 'sgx'}[tee])
        assert (r.returncode, found['code'], found['status']) == (1, 'WRONG_TEE', 'Error')
