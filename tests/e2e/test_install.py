# SPDX-License-Identifier: LGPL-3.0-or-later
"""What make install puts in place works from there, wherever that is."""
import shutil
import subprocess

import pytest


@pytest.fixture(scope='module')
def installed(build_dir, tmp_path_factory):
    if not shutil.which('meson'):
        pytest.skip('meson is not installed')
    place = tmp_path_factory.mktemp('place')
    done = subprocess.run(['meson', 'install', '-C', build_dir, '--no-rebuild', '--destdir', place],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folders = [path.parent for path in place.rglob('gramine-direct')]
    assert len(folders) == 1, done.stdout
    moved = place / 'moved elsewhere'
    folders[0].parent.rename(moved)
    return moved


def test_key_tool(installed, run_native, tmp_path):
    done = run_native([installed / 'bin' / 'gramine-sgx-pf-crypt', 'gen-key', '-w', tmp_path / 'key'])
    assert done.status == 0 and len((tmp_path / 'key').read_bytes()) == 16, str(done)


def test_hello(installed, run_native, tmp_path):
    (tmp_path / 'app.manifest.template').write_text('''
libos.entrypoint = "/bin/echo"
loader.argv = ["echo", "from", "{{ gramine.runtimedir() }}"]
fs.root = { type = "chroot", uri = "file:/" }
fs.mounts = [{ path = "/lib", uri = "file:{{ gramine.runtimedir() }}" }]
sgx.file_check_policy = "allow_all_but_log"
''')
    done = run_native([installed / 'bin' / 'gramine-manifest', 'app.manifest.template', 'app.manifest'], cwd=tmp_path)
    assert done.status == 0, str(done)
    done = run_native([installed / 'bin' / 'gramine-direct', './app'], cwd=tmp_path)
    assert done.status == 0 and done.out == f'from {installed}/lib/adyton/runtime/glibc\n', str(done)


def test_trace(installed, run_native, tmp_path):
    done = run_native([installed / 'bin' / 'adyton', 'trace', '-o', 'app.manifest.template', 'echo', 'traced'], cwd=tmp_path)
    assert done.status == 0 and done.out == 'traced\n', str(done)
    assert not list(installed.rglob('__pycache__')), 'nothing is written where the tools are'
