# SPDX-License-Identifier: LGPL-3.0-or-later
"""gramine-manifest, gramine-manifest-check, gramine-argv-serializer and the launcher's own rules."""
import hashlib
import os
import pathlib
import struct
import subprocess
import time
import tomllib

import pytest

HEAD = 'libos.entrypoint = "/bin/true"\nfs.mounts = []\n'


@pytest.fixture
def tools(build_dir):
    return build_dir / 'bin'


@pytest.fixture
def call(tools, run_native, tmp_path):
    """call(command, args..., stdin=, env=) in an empty folder, with a cache of its own."""
    def run(command, *args, stdin=None, env=None):
        return run_native([tools / command, *args], cwd=tmp_path, stdin=stdin,
                          env={'XDG_CACHE_HOME': str(tmp_path / 'cache'), **(env or {})})
    return run


@pytest.fixture
def render(call, tmp_path):
    """render(template, options...) -> the parsed manifest"""
    def run(template, *options, env=None):
        (tmp_path / 't.template').write_text(template)
        done = call('gramine-manifest', *options, 't.template', 't.manifest', env=env)
        assert done.status == 0, str(done)
        return tomllib.loads((tmp_path / 't.manifest').read_text())
    return run


@pytest.fixture
def value(render):
    """value(expression, options...) -> what a template expression renders to"""
    def run(expression, *options, env=None):
        return render(HEAD + 'loader.env.X = "{{ ' + expression + ' }}"\n', *options,
                      env=env)['loader']['env']['X']
    return run


def refused(done, *words, status=1):
    """One clear line on stderr, nothing on stdout."""
    assert done.status == status, str(done)
    assert done.out == '', str(done)
    lines = done.err.splitlines()
    assert len(lines) == 1, str(done)
    for word in words:
        assert word in lines[0], str(done)
    assert 'Traceback' not in done.err


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


# Templates


def test_gramine_paths(value, build_dir):
    private = build_dir / 'lib' / 'adyton'
    assert value('gramine.pkglibdir') == str(private)
    assert value('gramine.libos') == str(private / 'adyton-direct')
    assert value('gramine.runtimedir()') == str(private / 'runtime' / 'glibc')
    assert value('gramine.runtimedir') == str(private / 'runtime' / 'glibc')
    assert value('gramine.runtimedir / "libc.so.6"') == str(private / 'runtime/glibc/libc.so.6')
    assert value('gramine.runtimedir("glibc") / "libc.so.6"') == str(
        private / 'runtime/glibc/libc.so.6')


def test_runtimedir_is_the_distribution(build_dir):
    runtime = build_dir / 'lib' / 'adyton' / 'runtime' / 'glibc'
    for name in ('ld-linux-x86-64.so.2', 'libc.so.6', 'libm.so.6', 'libpthread.so.0', 'libdl.so.2',
                 'librt.so.1', 'libresolv.so.2', 'libutil.so.1', 'libnss_files.so.2',
                 'libnss_dns.so.2', 'libanl.so.1', 'libmvec.so.1', 'libBrokenLocale.so.1'):
        assert (runtime / name).samefile(pathlib.Path('/lib/x86_64-linux-gnu') / name)


def test_python_variables(value):
    def native(code):
        return subprocess.run(['/usr/bin/python3', '-I', '-c', code], capture_output=True, text=True,
                              check=True).stdout.strip()

    for name in ('stdlib', 'platstdlib', 'purelib'):
        expected = native(f'import sysconfig; print(sysconfig.get_path("{name}"))')
        assert value(f'python.{name}') == expected
        assert value(f'python.get_path("{name}")') == expected
        assert value(f'python.get_paths()["{name}"]') == expected
    assert value('python.ext_suffix') == native(
        'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
    assert value('python.get_config_var("EXT_SUFFIX")') == value('python.ext_suffix')
    assert value('python.implementation.name') == 'cpython'
    assert value('python.distlib') == '/usr/lib/python3/dist-packages'


def test_python_sys_path(value, render):
    expected = subprocess.run(
        ['/usr/bin/python3', '-c', 'import sys; print("\\n".join(sys.path[1:]))'],
        capture_output=True, text=True, check=True,
        env={'PATH': '/usr/bin', 'HOME': '/root'}).stdout.split()
    joined = 'python.get_sys_path("/usr/bin/python3"{}) | join(" ")'
    assert value(joined.format('')).split() == [p for p in expected if os.path.exists(p)]
    assert value(joined.format(', include_nonexisting=True')).split() == expected
    manifest = render(
        'libos.entrypoint = "/bin/true"\nfs.mounts = [\n'
        '{% for path in python.get_sys_path(entrypoint) %}\n'
        '  { path = "{{ path }}", uri = "file:{{ path }}" },\n{% endfor %}\n]\n',
        '-Dentrypoint=/usr/bin/python3')
    assert [m['path'] for m in manifest['fs']['mounts']] == [p for p in expected
                                                              if os.path.exists(p)]
    assert value('python.get_sys_path(i) | map("string") | first', '-Di=python3').startswith('/')
    assert value('(python.get_sys_path("/usr/bin/python3") | list)[0].is_dir()') == 'True'


def test_environment(value):
    env = {'WORD': 'hello world'}
    assert value('env.WORD', env=env) == 'hello world'
    assert value("env['WORD']", env=env) == 'hello world'
    assert value("env.get('WORD', 'no')", env=env) == 'hello world'
    assert value("env.get('ABSENT', 'no')", env=env) == 'no'
    assert value("env.ABSENT | default('no')", env=env) == 'no'


def test_ldd(value):
    libraries = value('ldd("/bin/ls", "/usr/bin/python3") | join(" ")').split()
    assert libraries == sorted(set(libraries))
    assert '/lib/x86_64-linux-gnu/libc.so.6' in libraries
    assert '/lib64/ld-linux-x86-64.so.2' in libraries
    assert any('libselinux' in lib for lib in libraries)
    assert all(lib.startswith('/') for lib in libraries)


def test_definitions(value):
    assert value('a', '-Da=b=c') == 'b=c'
    assert value('a', '-D', 'a=') == ''
    assert value('a', '--define', 'a=1') == '1'
    assert value('a', '--define=a=1') == '1'
    assert value("'yes' if flag is true else 'no'", '-Dflag') == 'yes'
    assert value('a ~ b', '-Da=1', '-Db=2') == '12'
    assert value("a | int + 1", '-Da=41') == '42'
    assert value("x | default('d')") == 'd'
    assert value("a | replace('x', 'y')", '-Da=axb') == 'ayb'
    assert value("'<&>'") == '<&>'


def test_control_structures(render):
    manifest = render(
        '{% set name = "/bin/" ~ "true" %}\nlibos.entrypoint = "{{ name }}"\nfs.mounts = []\n'
        '{% if env.get("EDMM", "0") == "1" %}sgx.edmm_enable = true{% endif %}\n'
        '{% for i in range(3) %}\nloader.env.V{{ i }} = "{{ i }}"\n{% endfor %}\n'
        '{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}\nloader.env.M = "{{ twice("ab") }}"\n',
        env={'EDMM': '1'})
    assert manifest['libos']['entrypoint'] == '/bin/true'
    assert manifest['loader']['env'] == {'V0': '0', 'V1': '1', 'V2': '2', 'M': 'abab'}
    assert manifest['sgx']['edmm_enable'] is True
    assert manifest['sgx']['enclave_size'] == '1024G'


@pytest.mark.parametrize('template, words', [
    ('\n{{ nope }}', ('t.template:2:', "'nope' is undefined", '-D')),
    ('\n\n{% for %}', ('t.template:3:', 'syntax')),
    ('{% if x %}', ('t.template:1:', 'syntax')),
    ('{% include "other" %}', ('t.template:1:', 'include')),
    ('a\n{{ env.NO_SUCH }}', ('t.template:2:', 'NO_SUCH', 'export it')),
    ('{{ gramine.no_such }}', ('t.template:1:', 'no_such', 'docs/manifest.md')),
    ('{{ ldd("/no/such") }}', ('t.template:1:', '/no/such')),
    ('{{ ldd("/etc/passwd") }}', ('t.template:1:', '/etc/passwd', 'not a dynamic')),
    ('{{ python.get_sys_path("/bin/false") | list }}', ('t.template:1:', '/bin/false')),
    ('{{ python.get_sys_path("/no/such") | list }}', ('t.template:1:', '/no/such')),
    ('{{ gramine.runtimedir("dietlibc") }}', ('t.template:1:', 'dietlibc')),
    ('{{ gramine.nothing }}', ('t.template:1:', 'nothing')),
    ('{{ 1 / 0 }}', ('t.template:1:', 'division')),
    ('{% for i in range(99999) %}{% for i in range(99999) %}{{ "x" * 999 }}{% endfor %}{% endfor %}',
     ('256 MiB',)),
])
def test_template_errors(call, tmp_path, template, words):
    (tmp_path / 't.template').write_text(template)
    refused(call('gramine-manifest', 't.template', 'out'), *words)
    assert not (tmp_path / 'out').exists()


def test_template_not_utf8(call, tmp_path):
    (tmp_path / 't.template').write_bytes(b'abc\xff')
    refused(call('gramine-manifest', 't.template'), 't.template', 'UTF-8')


def test_error_lines_are_the_templates(call, tmp_path):
    (tmp_path / 't.template').write_text(
        'libos.entrypoint = "/bin/true"\n'
        '{% for i in range(5) %}\n'
        'loader.env.A{{ i }} = "x"\n'
        '{% endfor %}\n'
        'fs.mounts = []\n'
        'sgx.debug = "no"\n')
    refused(call('gramine-manifest', 't.template'), 'manifest failed validation',
            't.template:6:', "Cannot parse 'sgx.debug'", '`true` or `false`')
    (tmp_path / 't.template').write_text('{% for i in range(5) %}\na{{ i }} = 1\n{% endfor %}\nb = \n')
    refused(call('gramine-manifest', 't.template'), 'ERROR: failed to parse manifest template',
            't.template:4:')


# The command line


def test_usage(call):
    for args in ([], ['-c', 'x', 'a', 'b'], ['--nonsense'], ['a', 'b', 'c'], ['-c']):
        done = call('gramine-manifest', *args)
        assert done.status == 2 and 'Usage' in done.err and not done.out, str(done)
    assert call('gramine-manifest', '--help').status == 0
    assert 'Usage: adyton manifest' in call('adyton', 'manifest', '--help').out


def test_inputs_and_outputs(call, tmp_path):
    (tmp_path / 'in').write_text(HEAD)
    (tmp_path / 'spare').mkdir()
    outputs = [call('gramine-manifest', '-c', HEAD).out,
               call('gramine-manifest', '--string', HEAD, '-').out,
               call('gramine-manifest', '-', stdin=HEAD).out,
               call('gramine-manifest', 'in').out,
               call('adyton', 'manifest', 'in').out]
    assert call('gramine-manifest', 'in', 'out').status == 0
    assert call('gramine-manifest', '-c', HEAD, 'out2').status == 0
    outputs += [(tmp_path / 'out').read_text(), (tmp_path / 'out2').read_text()]
    assert len(set(outputs)) == 1 and tomllib.loads(outputs[0])
    assert not list(tmp_path.glob('out*.*')), 'a temporary file stayed behind'
    refused(call('gramine-manifest', 'in', 'spare/none/out'), 'spare/none/out')
    refused(call('gramine-manifest', 'absent'), 'absent', 'No such file')
    refused(call('gramine-manifest', 'spare'), 'spare')


def test_output_is_replaced_as_a_whole(call, tmp_path):
    out = tmp_path / 'out'
    out.write_text('old')
    out.chmod(0o640)
    refused(call('gramine-manifest', '-c', HEAD + 'sgx.debug = 1', 'out'), 'sgx.debug')
    assert out.read_text() == 'old'
    assert call('gramine-manifest', '-c', HEAD, 'out').status == 0
    assert out.read_text() != 'old' and out.stat().st_mode & 0o777 == 0o640


def test_defaults(render, build_dir):
    manifest = render(HEAD)
    sgx = manifest['sgx']
    assert sgx.pop('cpu_features') == {
        'avx': 'unspecified', 'avx512': 'unspecified', 'amx': 'unspecified', 'mpx': 'disabled',
        'pkru': 'disabled'}
    assert sgx == {
        'trusted_files': [], 'max_threads': 4, 'isvprodid': 0, 'isvsvn': 0,
        'remote_attestation': 'none', 'debug': False, 'enable_stats': False, 'edmm_enable': False,
        'enclave_size': '256M', 'use_exinfo': True}
    libos = build_dir / 'lib' / 'adyton' / 'adyton-direct'
    assert manifest['loader']['entrypoint'] == {'uri': f'file:{libos}', 'sha256': sha256(libos)}


def test_deterministic_and_stable(call, tmp_path):
    text = HEAD + '\n'.join(f'loader.env.V{i} = "{i}"' for i in range(20)) + '\n'
    first = call('gramine-manifest', '-c', text).out
    assert call('gramine-manifest', '-c', text).out == first
    (tmp_path / 'again').write_text(first)
    assert call('gramine-manifest', 'again').out == first
    assert call('gramine-manifest-check', 'again').status == 0


def test_check_switch(call):
    text = HEAD + 'my.own.key = [1, 2.5, 1979-05-27]\n'
    refused(call('gramine-manifest', '-c', text), "unknown key 'my'")
    refused(call('gramine-manifest', '--no-check', '--check', '-c', text), "unknown key 'my'")
    done = call('gramine-manifest', '--no-check', '-c', text)
    assert done.status == 0, str(done)
    assert tomllib.loads(done.out)['my']['own']['key'][:2] == [1, 2.5]


def test_old_spellings(call):
    done = call('gramine-manifest', '-c', HEAD + 'sgx.thread_num = 7\nsgx.require_avx = true\n')
    assert done.status == 0, str(done)
    assert "write 'sgx.max_threads'" in done.err
    assert 'sgx.cpu_features.avx = "required"' in done.err
    manifest = tomllib.loads(done.out)
    assert manifest['sgx']['max_threads'] == 7
    assert manifest['sgx']['cpu_features']['avx'] == 'required'
    refused(call('gramine-manifest', '-c', HEAD + 'sgx.sigfile = "x"\n'), 'sgx.sigfile')
    refused(call('gramine-manifest', '-c', HEAD + 'sgx.protected_files = ["file:x"]\n'),
            'encrypted mount')


def test_duplicate_mounts(call):
    two = 'libos.entrypoint = "/x"\nfs.mounts = [\n{ path = "/a", uri = "file:x" },\n' \
          '{ path = "/a", uri = "file:%s" },\n]\n'
    assert call('gramine-manifest', '-c', two % 'x').status == 0
    refused(call('gramine-manifest', '-c', two % 'y'), '/a', 'already mounted on line 3', ':4:')


# Trusted files


@pytest.fixture
def forest(tmp_path):
    """A folder with all kinds of entries."""
    top = tmp_path / 'dir'
    (top / 'sub' / 'deep').mkdir(parents=True)
    (top / 'b').write_text('b')
    (top / 'a').write_text('a')
    (top / 'sub' / 'deep' / 'c').write_bytes(os.urandom(70000))
    (top / 'quote" back\\slash\ttab').write_text('q')
    (top / 'übung').write_text('u')
    (top / 'link-to-file').symlink_to('sub/deep/c')
    (top / 'link-to-dir').symlink_to('sub')
    (top / 'dangling').symlink_to('nowhere')
    os.mkfifo(top / 'fifo')
    with open(os.fsencode(top) + b'/bad\xff', 'wb'):
        pass
    return top


def listed(manifest):
    return {f['uri']: f['sha256'] for f in manifest['sgx']['trusted_files']}


def test_directory(render, forest):
    manifest = render(HEAD + 'sgx.trusted_files = [ "file:dir/" ]\n')
    names = ['a', 'b', 'link-to-file', 'quote" back\\slash\ttab', 'sub/deep/c', 'übung']
    assert [f['uri'] for f in manifest['sgx']['trusted_files']] == [f'file:dir/{n}' for n in names]
    assert listed(manifest) == {f'file:dir/{n}': sha256(forest / n) for n in names}


def test_merging_and_given_hashes(render, forest):
    given = '0' * 64
    manifest = render(HEAD + 'sgx.trusted_files = [ "file:dir/a", { uri = "file:dir/b" }, '
                      f'"file:./dir//a", {{ uri = "file:not/there", sha256 = "{given}" }}, '
                      f'{{ uri = "file:dir/a", sha256 = "{sha256(forest / "a")}" }} ]\n')
    assert listed(manifest) == {'file:dir/a': sha256(forest / 'a'),
                                'file:dir/b': sha256(forest / 'b'), 'file:not/there': given}


@pytest.mark.parametrize('entry, words', [
    ('"file:dir"', ("'dir'", 'directory', 'slash')),
    ('"file:dir/a/"', ("'dir/a/'", 'Not a directory')),
    ('"file:dir/absent"', ('Missing trusted file', 'dir/absent')),
    ('"file:absent/"', ('Missing trusted file', 'absent/')),
    ('"file:dir/fifo"', ('dir/fifo', 'not a regular file')),
    ('"dev:/dev/null"', ("'dev:/dev/null'", 'file:')),
    ('"dir/a"', ('dir/a', 'file:')),
    ('{ uri = "file:dir/", sha256 = "%s" }' % ('0' * 64), ('dir/', 'directory')),
    ('{ uri = "file:dir/a", sha265 = "0" }', ('sha265', "did you mean 'sha256'")),
    ('"file:dir/a", { uri = "file:dir/a", sha256 = "%s" }' % ('0' * 64),
     ('dir/a', 'different hashes')),
])
def test_trusted_errors(call, forest, entry, words):
    refused(call('gramine-manifest', '-c', HEAD + f'sgx.trusted_files = [ {entry} ]\n'),
            '<string>:3:', *words)


def test_chroot(render, call, tmp_path, forest):
    root = tmp_path / 'root'
    (root / 'etc').mkdir(parents=True)
    (root / 'etc' / 'real').write_text('inside')
    (root / 'etc' / 'absolute').symlink_to('/etc/real')
    (root / 'etc' / 'up').symlink_to('../../../../etc/real')
    (root / 'etc' / 'escape').symlink_to('/etc/passwd')
    manifest = render(HEAD + 'sgx.trusted_files = [ "file:/etc/", "file:/etc/absolute" ]\n',
                      '--chroot', 'root')
    inside = hashlib.sha256(b'inside').hexdigest()
    assert listed(manifest) == {'file:/etc/real': inside, 'file:/etc/absolute': inside,
                                'file:/etc/up': inside}
    refused(call('gramine-manifest', '--chroot', 'root', '-c',
                 HEAD + 'sgx.trusted_files = [ "file:etc/real" ]'), 'not absolute')
    refused(call('gramine-manifest', '--chroot', 'root', '-c',
                 HEAD + 'sgx.trusted_files = [ "file:/etc/escape" ]'), 'Missing')
    refused(call('gramine-manifest', '--chroot', 'none', '-c', HEAD), 'none')


# Trees: a second implementation, from the description in src/manifest/tree.h


def tree_levels(data):
    level = b''.join(hashlib.sha256(data[i:i + 16384]).digest()
                     for i in range(0, max(len(data), 1), 16384))
    levels = []
    while True:
        level += bytes(-len(level) % 4096)
        levels.append(level)
        if len(level) == 4096:
            return levels
        level = b''.join(hashlib.sha256(level[i:i + 4096]).digest()
                         for i in range(0, len(level), 4096))


def tree_root(data):
    top = tree_levels(data)[-1]
    return hashlib.sha256(b'ADYTREE1' + struct.pack('<IIQ', 16384, 4096, len(data)) +
                          hashlib.sha256(top).digest()).digest()


def check_sidecar(path, files):
    """Each file's interior stands in the sidecar, and nothing else does."""
    content = path.read_bytes()
    magic, version, count, total = struct.unpack_from('<8sIIQ', content)
    assert (magic, version, total) == (b'ADYTREES', 1, len(content))
    entries = [struct.unpack_from('<32sQQ', content, 32 + 48 * i) for i in range(count)]
    assert entries == sorted(entries)
    found = {root: (offset, size) for root, offset, size in entries}
    assert set(found) == {tree_root(f.read_bytes()) for f in files}
    for file in files:
        data = file.read_bytes()
        offset, size = found[tree_root(data)]
        interior = b''.join(tree_levels(data))
        assert size == len(data) and offset % 4096 == 0
        assert content[offset:offset + len(interior)] == interior


@pytest.fixture
def large(tmp_path):
    sizes = {'small': 65536, 'one': 65537, 'even': 16384 * 128, 'two': 16384 * 128 + 1,
             'big': 16384 * 128 * 3 + 5}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    (tmp_path / 'copy').write_bytes((tmp_path / 'one').read_bytes())
    return [tmp_path / n for n in (*sizes, 'copy')]


def trust(files):
    return HEAD + 'sgx.trusted_files = [ ' + ', '.join(f'"file:{f.name}"' for f in files) + ' ]\n'


def test_trees(render, large, tmp_path):
    manifest = render(trust(large))
    for entry in manifest['sgx']['trusted_files']:
        data = (tmp_path / entry['uri'][5:]).read_bytes()
        if len(data) > 65536:
            assert entry['size'] == len(data)
            assert bytes.fromhex(entry['tree']) == tree_root(data)
        else:
            assert set(entry) == {'uri', 'sha256'}
    check_sidecar(tmp_path / 't.manifest.trees', [f for f in large if f.name != 'small'])


def test_compat_has_no_trees(render, large, tmp_path):
    render(trust(large))
    assert (tmp_path / 't.manifest.trees').exists()
    manifest = render(trust(large), '--compat')
    assert all(set(f) == {'uri', 'sha256'} for f in manifest['sgx']['trusted_files'])
    assert not (tmp_path / 't.manifest.trees').exists(), 'a stale sidecar'


def test_sidecar_of_redirected_output(tools, large, tmp_path):
    (tmp_path / 't.template').write_text(trust(large))
    command = f'{tools}/gramine-manifest t.template'
    subprocess.run(f'{command} > out.manifest', shell=True, cwd=tmp_path, check=True)
    check_sidecar(tmp_path / 'out.manifest.trees', [f for f in large if f.name != 'small'])
    before = set(tmp_path.iterdir())
    piped = subprocess.run(f'{command} | cat', shell=True, cwd=tmp_path, check=True,
                           capture_output=True).stdout
    assert piped == (tmp_path / 'out.manifest').read_bytes()
    assert set(tmp_path.iterdir()) == before, 'a pipe has no sidecar'


def test_many_files(call, tmp_path):
    """26,000 files: prints how long the tools and a start of the launcher take."""
    for d in range(26):
        (tmp_path / 'many' / f'd{d}').mkdir(parents=True)
        for f in range(1000):
            (tmp_path / 'many' / f'd{d}' / f'file{f:04}.py').write_text(f'{d} {f}')
    (tmp_path / 'app.template').write_text(
        'libos.entrypoint = "/bin/none"\nfs.mounts = []\nsgx.trusted_files = [ "file:many/" ]\n')
    times = {}

    def timed(what, *command):
        start = time.monotonic()
        done = call(*command)
        times[what] = time.monotonic() - start
        return done

    assert timed('manifest', 'gramine-manifest', 'app.template', 'app.manifest').status == 0
    manifest = tomllib.loads((tmp_path / 'app.manifest').read_text())
    assert len(manifest['sgx']['trusted_files']) == 26000
    assert listed(manifest)['file:many/d7/file0042.py'] == hashlib.sha256(b'7 42').hexdigest()
    # An argument is refused by the launcher, after all of its work.
    for what in ('cached start', 'second start'):
        assert timed(what, 'gramine-direct', 'app', 'argument').status == 1
    for file in (tmp_path / 'cache' / 'adyton' / 'manifest').iterdir():
        file.unlink()
    assert timed('compiling start', 'gramine-direct', 'app', 'argument').status == 1
    print('\n' + ', '.join(f'{what} {1e3 * t:.1f} ms' for what, t in times.items()))
    assert times['second start'] < 0.5


# gramine-manifest-check and gramine-argv-serializer


def test_manifest_check(call, tmp_path):
    (tmp_path / 'good').write_text(HEAD)
    (tmp_path / 'bad').write_text(HEAD + 'sgx.enclave_sise = "1G"\n')
    (tmp_path / 'broken').write_text('a = \n')
    done = call('gramine-manifest-check', 'good')
    assert (done.status, done.out, done.err) == (0, '', '')
    assert call('gramine-manifest-check', stdin=HEAD).status == 0
    done = call('gramine-manifest-check', 'bad')
    assert done.status == 1 and done.out.startswith('error in manifest: bad:3: unknown key')
    assert "did you mean 'sgx.enclave_size'" in done.out
    assert call('gramine-manifest-check', 'broken').status == 2
    assert call('gramine-manifest-check', 'absent').status == 2
    assert call('gramine-manifest-check', 'a', 'b').status == 2
    assert call('gramine-manifest-check', '--help').status == 0


def test_argv_serializer(call, tools):
    assert call('gramine-argv-serializer', 'a', '', 'b c', '--help').out == 'a\0\0b c\0--help\0'
    done = call('gramine-argv-serializer')
    assert (done.status, done.out) == (0, '')
    with open('/dev/full', 'wb') as full:
        assert subprocess.run([tools / 'gramine-argv-serializer', 'x'], stdout=full,
                              stderr=subprocess.DEVNULL, check=False).returncode == 1


# The launcher


def test_launcher_usage(call):
    for args in ([], ['']):
        done = call('gramine-direct', *args)
        assert done.status == 2 and not done.err and len(done.out.splitlines()) == 1, str(done)
    done = call('gramine-direct', 'no/such')
    assert done.status == 2 and not done.out and len(done.err.splitlines()) == 3
    assert 'no/such.manifest' in done.err.splitlines()[0]
    done = call('gramine-direct', '--version')
    assert done.status == 0 and done.out.startswith('Gramine ') and done.out.endswith(')\n')
    assert call('adyton').status == 2
    assert call('adyton', '--help').status == 0
    assert call('adyton', 'nonsense').status == 2


@pytest.mark.parametrize('rules, words', [
    ('', ('loader.argv', 'insecure__use_cmdline_argv')),
    ('loader.argv = ["x"]\nloader.insecure__use_cmdline_argv = true\n', ('exclude',)),
    ('loader.argv = ["x"]\nloader.argv_src_file = "file:x"\n', ('exclude',)),
    ('loader.argv = []\n', ('loader.argv',)),
    ('loader.env_src_file = "file:x"\nloader.insecure__use_host_env = true\n', ('exclude',)),
    ('loader.env.A = { passthrough = false }\n', ('loader.env.A',)),
    ('loader.insecure__use_cmdline_argv = "true"\n',
     ("Cannot parse 'loader.insecure__use_cmdline_argv'", '`true` or `false`')),
])
def test_argument_rules(call, tmp_path, rules, words):
    (tmp_path / 'app.manifest').write_text(
        'libos.entrypoint = "/bin/none"\nloader.uid = 0\n' + rules)
    refused(call('gramine-direct', 'app', 'argument'), *words)


def test_runtime_ignores_unknown_keys(call, tmp_path):
    (tmp_path / 'app.manifest').write_text('libos.entrypoint = "/x"\nloader.uid = 0\nfuture = 1\n')
    assert 'future' not in call('gramine-direct', 'app', 'argument').err


def test_cache(call, tmp_path):
    cache = tmp_path / 'cache' / 'adyton' / 'manifest'
    (tmp_path / 'app.manifest').write_text('libos.entrypoint = "/x"\nloader.uid = 0\n')

    def start(env=None):
        refused(call('gramine-direct', 'app', 'argument', env=env), 'loader.argv')

    start()
    (entry,) = cache.iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600 and cache.stat().st_mode & 0o777 == 0o700
    assert entry.name.startswith(sha256(tmp_path / 'app.manifest'))
    good = entry.read_bytes()
    for bad in (b'', good[:-1], good + b'x', good[:100] + b'\xff' * 20 + good[120:],
                good.replace(b'/x\0', b'/xy'), bytes(len(good))):
        entry.write_bytes(bad)
        start()
        assert entry.read_bytes() == good, 'a damaged entry was not replaced'
    entry.chmod(0o666)
    start()
    assert entry.stat().st_mode & 0o777 == 0o600, 'an entry that others can write was used'
    # Without a place for the cache all works the same.
    start({'XDG_CACHE_HOME': '/proc/none', 'HOME': '/nonexistent'})
    start({'XDG_CACHE_HOME': '', 'HOME': ''})


def test_tool_and_launcher_compile_alike(call, tmp_path, forest):
    assert call('gramine-manifest', '-c', HEAD + 'sgx.trusted_files = [ "file:dir/" ]\n',
                'app.manifest').status == 0
    cache = tmp_path / 'cache' / 'adyton' / 'manifest'
    (entry,) = cache.iterdir()
    written = entry.read_bytes()
    entry.unlink()
    refused(call('gramine-direct', 'app', 'argument'), 'loader.argv')
    assert entry.read_bytes() == written


def test_format_names_itself(call, project_root, tmp_path):
    """A compiled manifest says by which sources it was made: all of them, so nobody has to raise a number."""
    folder = project_root / 'src' / 'manifest'
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in ('.c', '.cc', '.h')):
        digest.update(path.read_bytes())
    assert call('gramine-manifest', '-c', HEAD, 'app.manifest').status == 0
    (entry,) = (tmp_path / 'cache' / 'adyton' / 'manifest').iterdir()
    made_by = struct.unpack_from('<Q', entry.read_bytes(), 8)[0]
    assert f'{made_by:016x}' == digest.hexdigest()[:16], 'src/manifest/meson.build: is a file missing in mf_format?'
    assert entry.name.endswith(f'-v{made_by:016x}.bin')
