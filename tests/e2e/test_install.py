# SPDX-License-Identifier: LGPL-3.0-or-later
"""What make install puts in place works from there, wherever that is."""
import re
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


def test_attest_library(installed, tmp_path):
    """Another program compiles against the header and runs with the shared library; nothing else is exported."""
    library = next(installed.rglob('libadyton_attest.so'))
    source = tmp_path / 'program.c'
    source.write_text('''
#include <adyton/attest.h>
#include <stdio.h>
int main(void)
{
    struct adyton_attest_error error;
    adyton_quote *quote = NULL;
    adyton_attest *verifier = adyton_attest_new();
    int code = adyton_quote_parse("\\3\\0", 2, &quote, &error);
    printf("%u %s %d\\n", adyton_attest_abi(), adyton_attest_code_name(code), verifier != NULL);
    adyton_attest_free(verifier);
    return 0;
}
''')
    for compiler in (['gcc', '-std=c99', '-pedantic-errors'], ['g++', '-x', 'c++', '-pedantic-errors']):
        subprocess.run([*compiler, '-Wall', '-Wextra', '-Werror', '-I', installed / 'include', source, '-o', tmp_path / 'program',
                        '-x', 'none', library], check=True)
        done = subprocess.run([tmp_path / 'program'], env={'LD_LIBRARY_PATH': str(library.parent)}, capture_output=True,
                              text=True, check=True)
        assert done.stdout == '1 QUOTE_SIZE 1\n'
    names = subprocess.run(['nm', '-D', '--defined-only', library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[2] for line in names.splitlines()}
    assert 'adyton_attest_verify@@ADYTON_ATTEST_1' in exported
    assert all(name.startswith('adyton_') and '@@ADYTON_ATTEST_1' in name for name in exported - {'ADYTON_ATTEST_1'})
    declared = set(re.findall(r'^ADYTON_API [^;]*?(adyton_\w+)\(', (installed / 'include/adyton/attest.h').read_text(), re.M))
    assert declared == {name.split('@')[0] for name in exported - {'ADYTON_ATTEST_1'}}
