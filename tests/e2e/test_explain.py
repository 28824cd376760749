# SPDX-License-Identifier: LGPL-3.0-or-later
"""adyton explain and adyton diff: what a manifest says, and in what two of them differ."""
import json
import re

import pytest

from conftest import run

MANIFEST = '''libos.entrypoint = "/usr/bin/python3"
loader.insecure__use_cmdline_argv = true
loader.log_level = "debug"
loader.env.LD_PRELOAD = { passthrough = true }
loader.env.HOME = "/root"
fs.root = { type = "tmpfs" }
fs.mounts = [
  { path = "/usr", uri = "file:/usr" },
  { path = "/tmp", type = "tmpfs" },
  { path = "/model", uri = "file:model", type = "encrypted" },
  { path = "/sealed", uri = "file:sealed", type = "encrypted", key_name = "_sgx_mrenclave" },
]
fs.insecure__keys.default = "00112233445566778899aabbccddeeff"
sgx.debug = true
sgx.enclave_size = "1G"
sgx.max_threads = 8
sgx.file_check_policy = "allow_all_but_log"
sgx.trusted_files = [
  { uri = "file:/usr/bin/python3", sha256 = "SHA" },
  "file:/usr/lib/libx.so",
  "file:/usr/lib/liby.so",
]
sgx.allowed_files = [
  "file:out\\u001b[31m.txt",
]
'''.replace('SHA', 'ab' * 32)


@pytest.fixture
def adyton(build_dir, tmp_path):
    def call(*argv):
        return run([build_dir / 'bin' / 'adyton', *argv], cwd=tmp_path)
    return call


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / 'a.manifest'
    path.write_text(MANIFEST)
    return path


def line_of(text):
    return next(number for number, line in enumerate(MANIFEST.splitlines(), 1) if text in line)


def test_explain_json(adyton, manifest):
    done = adyton('explain', '--json', manifest)
    assert (done.status, done.err) == (0, ''), str(done)
    found = json.loads(done.out)
    lines = {section: {entry['line'] for entry in entries} for section, entries in found.items()}
    assert lines['insecure'] == {line_of(key) for key in (
        'use_cmdline_argv', 'log_level', 'LD_PRELOAD', 'insecure__keys', 'sgx.debug', 'file_check_policy')}
    assert lines['allowed'] == {line_of('file:out')}
    assert lines['encrypted'] == {line_of('/model'), line_of('/sealed')}
    assert lines['trusted'] == {line_of('bin/python3",'), line_of('libx'), line_of('liby')}
    assert lines['mounts'] == {line_of('fs.root'), line_of('path = "/usr"'), line_of('path = "/tmp"')}
    assert all(entry['why'] for entries in found.values() for entry in entries)
    why = {entry['what'].split()[0]: entry['why'] for entry in found['encrypted']}
    assert 'stands in this manifest' in why['"/model"'] and "this very enclave's" in why['"/sealed"']
    assert 'sgx.enclave_size = "1G"' in [entry['what'] for entry in found['sizes']]


def test_explain_text(adyton, manifest):
    done = adyton('explain', manifest)
    assert (done.status, done.err) == (0, ''), str(done)
    assert f'line {line_of("sgx.debug")}: sgx.debug: ' in done.out
    assert f'lines {line_of("libx")} to {line_of("liby")}: 2 files in "file:/usr/lib/"' in done.out
    assert '\x1b' not in done.out and '00112233' not in done.out


def test_explain_sgx_form_and_secure(adyton, tmp_path):
    (tmp_path / 'b.manifest.sgx').write_bytes(b'libos.entrypoint = "/x"\nfs.mounts = []\n\0')
    done = adyton('explain', 'b.manifest.sgx')
    assert done.status == 0 and 'use (0)' in done.out and '"/" from "file:."' in done.out, str(done)


def test_explain_unused(adyton, manifest, tmp_path):
    (tmp_path / 'record').write_text(json.dumps({'files': {'/usr/lib/libx.so': 'trusted', '/usr/bin/python3': 'trusted'}}))
    done = adyton('explain', '--json', '--trace', 'record', manifest)
    assert done.status == 0, str(done)
    assert [entry['line'] for entry in json.loads(done.out)['unused']] == [line_of('liby')]
    for text in ('{}', 'no json', '[]'):
        (tmp_path / 'record').write_text(text)
        done = adyton('explain', '--trace', 'record', manifest)
        assert done.status == 2 and 'no record of adyton trace' in done.err, str(done)


@pytest.mark.parametrize('command', ['explain', 'diff'])
@pytest.mark.parametrize('text', [b'x = ', b'\xff\xfe', b'loader = 3\nfs = 4\nsgx = []\n', b'', b'sgx.trusted_files = 7\nfs.mounts = "x"\n',
                                  b'fs.mounts = [1, [2], {path = 3}]\nsgx.trusted_files = [[], {}, 3]\nsgx.allowed_files = {a = 1}\n'
                                  b'loader.env = [1]\nfs.insecure__keys = true\nfs.root = 3\n'])
def test_bad_manifests(adyton, tmp_path, command, text):
    (tmp_path / 'bad').write_bytes(text)
    done = adyton(command, 'bad', *(['bad'] if command == 'diff' else []))
    assert done.status in (0, 2) and (done.status == 0 or done.err.startswith(f'error: adyton {command}: ')), str(done)


def test_explain_usage(adyton):
    assert adyton('explain').status == 2 and adyton('explain', 'a', 'b').status == 2 and adyton('diff', 'a').status == 2
    done = adyton('explain', 'not-there')
    assert done.status == 2 and done.err == "error: adyton explain: cannot read 'not-there': No such file or directory\n"
    assert adyton('explain', '--help').status == 0 and adyton('diff', '--help').status == 0


DIFFERENCES = [
    ('"1G"', '"2G"', r'sgx.enclave_size: "1G" \(line \d+\) and "2G" \(line \d+\)'),
    ('ab' * 32, 'cd' * 32, r"sgx.trusted_files \"file:/usr/bin/python3\": the file's content differs: SHA-256 \"(ab)+\" .* and \"(cd)+\" "),
    ('  "file:/usr/lib/libx.so",\n', '', r'sgx.trusted_files "file:/usr/lib/libx.so": only in a.manifest \(line \d+\)$'),
    ('"file:model"', '"file:model2"', r'fs.mounts "/model".uri: "file:model" .* and "file:model2" '),
    ('00112233445566778899aabbccddeeff', 'ff112233445566778899aabbccddeeff', r'fs.insecure__keys.default: a key .* and a key '),
    ('sgx.debug = true\n', '', r'sgx.debug: only in a.manifest \(line \d+\): true$'),
    ('HOME = "/root"', 'HOME = "/root"\nloader.env."\\u001b[1m" = "\\u009b"',
     r'loader.env."\\u001B\[1m": only in b.manifest \(line 6\): "\\u009B"$'),
    ('loader.log_level', '# only a comment\nloader.log_level', r'The values are the same, .* MRENCLAVE differs all the same\.$'),
]


@pytest.mark.parametrize('old, new, line', DIFFERENCES, ids=range(len(DIFFERENCES)))
def test_diff(adyton, manifest, tmp_path, old, new, line):
    assert old in MANIFEST
    (tmp_path / 'b.manifest').write_text(MANIFEST.replace(old, new))
    done = adyton('diff', 'a.manifest', 'b.manifest')
    assert (done.status, done.err) == (1, ''), str(done)
    assert len(done.out.splitlines()) == 1 and re.match(line, done.out.rstrip('\n')), done.out
    assert '\x1b' not in done.out and '112233' not in done.out and '\x9b' not in done.out


def test_diff_of_equal(adyton, manifest):
    done = adyton('diff', manifest, manifest)
    assert (done.status, done.out, done.err) == (0, '', ''), str(done)
