# SPDX-License-Identifier: LGPL-3.0-or-later
"""What people get wrong in manifests: each slip is one line that names file, line, cause and remedy."""
import re

import pytest

HEAD = 'libos.entrypoint = "/bin/true"\nfs.mounts = []\n'  # the slip is on line 3

# {name: (text, words of the message)}; the exit status of gramine-manifest-check is 2 for what is not
# TOML, 1 for what is TOML but no manifest.
SYNTAX = {
    'size': ('sgx.enclave_size = 1G', "'1G' needs quotation marks", 'write "1G"'),
    'True': ('sgx.debug = True', "'True' is not a TOML value", 'write true'),
    'FALSE': ('sgx.debug = FALSE # comment', "'FALSE'", 'write false'),
    'yes': ('sgx.debug = yes', "'yes'", 'write true'),
    'off': ('sgx.debug = off', "'off'", 'write false'),
    'None': ('loader.argv_src_file = None', "'None'", 'remove the key'),
    'null': ('loader.argv_src_file = null', "'null'", 'remove the key'),
    'word': ('loader.log_level = debug', "'debug' needs quotation marks", 'write "debug"'),
    'path': ('fs.start_dir = /tmp', "'/tmp' needs", 'write "/tmp"'),
    'uri': ('loader.argv_src_file = file:args', "'file:args' needs", 'write "file:args"'),
    'uri in table': ('fs.root = { uri = file:/ }', "'file:/' needs", 'write "file:/"'),
    'word in array': ('loader.argv = [ a, "b" ]', "'a' needs", 'write "a"'),
    'variable': ('fs.start_dir = $HOME', 'shell variables', '{{ env.NAME }}'),
    'typographic': ('fs.start_dir = “/tmp”', "'“' is not a quotation mark", 'write "'),
    'typographic end': ('fs.start_dir = "/tmp”', "'”' is not a quotation mark", 'write "'),
    'typographic single': ('fs.start_dir = ‘/tmp’', "'‘' is not a quotation mark", 'write "'),
    'guillemets': ('fs.start_dir = «/tmp»', "'«' is not a quotation mark", 'write "'),
    'backtick': ('fs.start_dir = `/tmp`', "'`' is not a quotation mark", 'write "'),
    'typographic key': ('loader.env.“A.B” = "x"', "'“' is not a quotation mark"),
    'unquoted letter': ('loader.env.Ä = "x"', "'Ä' must be inside quotation marks"),
    'no-break space': ('sgx.debug\u00a0= true', 'no-break space (U+00A0)', 'delete it'),
    'zero-width space': ('sgx.debug = true\u200b', 'zero-width space (U+200B)', 'delete it'),
    'byte order mark': ('\ufeffsgx.debug = true', 'byte order mark (U+FEFF)', 'delete it'),
    'control': ('fs.start_dir = "/a\x01"', 'U+0001', 'write \\u0001'),
    'NUL': ('sgx.debug = true\0', 'U+0000', 'delete it'),
    'escape': ('fs.start_dir = "C:\\qux"', 'escape sequence', "write '\\\\'"),
    'no end': ('fs.start_dir = "/tmp\nsgx.debug = true', 'string is not closed', 'add its quotation mark'),
    'no end, single': ("fs.start_dir = '/tmp\nsgx.debug = true", 'string is not closed'),
    'no end at all': ('loader.env.A = """abc\n', 'string that begins here is not closed'),
    'no beginning': ('fs.start_dir = /tmp"', 'no opening quotation mark', 'write "/tmp"'),
    'two kinds of marks': ('fs.start_dir = \'/tmp"', 'string is not closed'),
    'colon': ('sgx.debug: true', "':'", "write '='"),
    'colon with space': ('fs.start_dir : "/tmp"', "':'", "write '='"),
    'colon in table': ('fs.root = { uri: "file:/" }', "':'", "write '='"),
    'JSON': ('fs.root = { "uri": "file:/" }', "':'", "write '='"),
    'arrow': ('sgx.debug => true', "'=>'", "write '='"),
    'comparison': ('sgx.debug == true', "'=='", "write '='"),
    'append': ('sgx.allowed_files += [ "file:a" ]', "'+='", 'one array'),
    'no value': ('sgx.debug =', "no value after '='", 'add one'),
    'no sign': ('sgx.debug true', "no '=' after 'sgx.debug'", 'write KEY = VALUE'),
    'only a key': ('sgx.debug', "no '=' after 'sgx.debug'"),
    'no key': ('= true', 'no key before'),
    'half a key': ('sgx. = true', "key ends with '.'"),
    'space in key': ('sgx debug = true', "no '=' after 'sgx'"),
    'semicolon': ('sgx.debug = true;', "unexpected ';'", 'remove it'),
    'comma': ('sgx.debug = true,', "unexpected ','", 'remove it'),
    'two on a line': ('sgx.debug = true sgx.edmm_enable = true', 'its own line'),
    'comment //': ('// comment', "comments begin with '#'"),
    'comment ;': ('; comment', "comments begin with '#'"),
    'comment behind': ('sgx.debug = true // comment', "comments begin with '#'"),
    'bracket': ('sgx.allowed_files = []]', "unmatched ']'"),
    'brace': ('fs.root = { uri = "file:/" }}', "unmatched '}'"),
    'no comma in table': ('fs.root = { uri = "file:/" type = "chroot" }', "missing ','"),
    'comma at the end': ('fs.root = { uri = "file:/", }', "',' before '}'", 'remove it'),
    'table on two lines': ('fs.root = {\n uri = "file:/"\n}', 'on the line on which it begins'),
    'table not closed': ('fs.root = { uri = "file:/"', "add the '}'"),
    'array not closed': ('sgx.allowed_files = [ "file:a"\nsgx.debug = true', 'array that begins here', "add the ']'"),
    'header not closed': ('[sgx\ndebug = true', 'table header is not closed'),
    'octal': ('loader.uid = 0100', 'leading zero', 'write 100, or 0o100'),
    'large': ('loader.uid = 99999999999999999999', 'does not fit into 64 bits'),
    'number': ('sgx.max_threads = 4_', "cannot end with '_'"),
    'template': ('{% for x in y %}', 'this is a template', 'gramine-manifest'),
    'template value': ('fs.start_dir = {{ x }}', 'this is a template', 'gramine-manifest'),
    'conflict': ('<<<<<<< HEAD', 'merge conflict'),
}
LATER = {  # the slip is on line 4 or 5
    'no comma in array': (5, 'sgx.allowed_files = [\n "file:a"\n "file:b"\n]', "missing ','"),
    'twice': (4, 'sgx.debug = true\nsgx.debug = false', "'sgx.debug' is already set on line 3", 'remove one'),
    'twice below a header': (5, '[sgx]\ndebug = true\ndebug = true', "'debug' is already set on line 4"),
    'header twice': (5, '[sgx]\ndebug = true\n[sgx]', "'sgx' is already defined on line 3", 'in one place'),
    'header and key': (4, 'sgx.debug = true\n[sgx]\nedmm_enable = true', "'sgx' is already defined on line 3"),
    'added to a table': (4, 'sgx = { debug = true }\nsgx.edmm_enable = true', 'write this one inside it'),
}
TYPES = {
    'size': ('sgx.enclave_size = 1024', "'sgx.enclave_size'", 'write "1024"'),
    'unit': ('sgx.enclave_size = "512 MiB"', "'512 MiB' is not a size", 'write "512M"'),
    'no unit': ('sgx.enclave_size = "large"', 'for example "256K"'),
    'string for boolean': ('sgx.debug = "true"', '`true` or `false`', 'write true'),
    'number for boolean': ('sgx.debug = 0', '`true` or `false`', 'write false'),
    'string for number': ('loader.uid = "1000"', 'an integer', 'write 1000'),
    'float for number': ('sgx.max_threads = 4.0', 'an integer', 'write 4'),
    'number for string': ('loader.env.N = 4', "'loader.env.N'", 'write "4"'),
    'boolean for string': ('loader.env.N = true', "'loader.env.N'", 'write "true"'),
    'dot in variable': ('loader.env.A.B = "x"', 'loader.env."A.B"'),
    'dot in name of key': ('fs.insecure__keys.a.b = "00"', 'quotation marks'),
    'array for table': ('loader.env = ["A=b"]', 'not a TOML table but an array', 'loader.env.NAME'),
    'table for array': ('sgx.allowed_files = 1', 'an array'),
    'negative for string': ('sys.stack.size = -1', 'not an integer'),
    'URI for path': ('fs.start_dir = "file:/tmp"', 'is a URI', 'write "/tmp"'),
    'relative path': ('fs.start_dir = "tmp"', "'tmp' is not an absolute path", "begin with '/'"),
    'URI for host path': ('loader.log_file = "file:log"', 'is a URI', 'write "log"'),
    'no host path': ('loader.log_file = ""', 'empty'),
    'mask': ('sgx.seal_key.flags_mask = 0xffff', '"0x" and exactly 16 hex digits'),
    'case of value': ('loader.log_level = "Error"', 'did you mean "error"?'),
    'spelling of value': ('sgx.file_check_policy = "strikt"', 'did you mean "strict"?'),
    'case of key': ('sgx.Debug = true', "did you mean 'sgx.debug'?"),
    'case of section': ('SGX.debug = true', "did you mean 'sgx'?"),
    'dash': ('sgx.max-threads = 4', "did you mean 'sgx.max_threads'?"),
    'section': ('sgx.log_level = "debug"', "did you mean 'loader.log_level'?"),
    'below a header': ('[sgx]\nsgx.debug = true', 'move it above the header [sgx]'),
    'field': ('fs.root = { uri = "file:/", typ = "chroot" }', "did you mean 'type'?"),
}


@pytest.fixture
def check(build_dir, run_native, tmp_path):
    """check(text, line, words..., status=): the message of gramine-manifest-check"""
    def run(text, line, *words, status):
        (tmp_path / 'm').write_bytes(text if isinstance(text, bytes) else text.encode())
        done = run_native([build_dir / 'bin' / 'gramine-manifest-check', 'm'], cwd=tmp_path)
        assert done.status == status and not done.err and len(done.out.splitlines()) == 1, str(done)
        assert done.out.startswith(f'error in manifest: m:{line}: '), str(done)
        for word in words:
            assert word in done.out, f'"{word}" is not named: {done}'
    return run


@pytest.mark.parametrize('kind', SYNTAX)
def test_syntax(kind, check):
    text, *words = SYNTAX[kind]
    check(HEAD + text + '\n', 3, *words, status=2)
    check((HEAD + text).replace('\n', '\r\n'), 3, *words, status=2)


@pytest.mark.parametrize('kind', LATER)
def test_syntax_later(kind, check):
    line, text, *words = LATER[kind]
    check(HEAD + text + '\n', line, *words, status=2)


@pytest.mark.parametrize('kind', TYPES)
def test_types(kind, check):
    text, *words = TYPES[kind]
    check(HEAD + text + '\n', 3 + text.count('\n'), *words, status=1)


def test_long_value(build_dir, run_native):
    """Cut in the middle: key and remedy are still seen."""
    done = run_native([build_dir / 'bin' / 'gramine-manifest-check'], stdin=HEAD + f'sys.stack.size = "{"x" * 100000}"\n')
    assert done.status == 1 and len(done.out) < 1200 and len(done.out.splitlines()) == 1, str(done)
    assert "'sys.stack.size': 'xxx" in done.out and 'for example "256K"' in done.out, str(done)


@pytest.mark.parametrize('text, line, word', [
    (HEAD.replace('\n', '\r'), 1, 'Unix line ends'), (HEAD.encode('utf-16'), 1, 'UTF-16; save it as UTF-8'),
    ((HEAD + 'fs.start_dir = "/ä"\n').encode('latin-1'), 3, 'not UTF-8')])
def test_encoding(text, line, word, check):
    check(text, line, word, status=2)


@pytest.mark.parametrize('text', ['\ufeff' + HEAD, HEAD.replace('\n', '\r\n'), HEAD.replace(' ', '\t'), HEAD[:-1]])
def test_no_slip(text, build_dir, run_native):
    done = run_native([build_dir / 'bin' / 'gramine-manifest-check'], stdin=text.encode())
    assert (done.status, done.out, done.err) == (0, '', ''), str(done)


def test_the_other_commands_say_the_same(libos, build_dir, run_native, tmp_path):
    (tmp_path / 'app.manifest').write_text(HEAD + 'sgx.debug = True\n')
    done = run_native([libos, './app'], cwd=tmp_path)
    assert done.status == 1 and done.err.startswith('error: PAL failed at parsing the manifest: '), str(done)
    assert done.err.endswith(": ./app.manifest:3: 'True' is not a TOML value; write true\n"), str(done)
    done = run_native([build_dir / 'bin' / 'gramine-manifest', '-c', '{% if 1 %}\n' + HEAD + 'sgx.debug = True\n{% endif %}'])
    assert done.status == 1 and done.err.endswith(":4: 'True' is not a TOML value; write true\n"), str(done)


# --- keys of earlier years -----------------------------------------------------------------------

URI = '"file:/x"'
# {key: (value, words of the warning)}: accepted, the replacement is printed
REPLACED = {
    'sgx.thread_num': ('8', "write 'sgx.max_threads'"),
    'sgx.rpc_thread_num': ('8', "write 'sgx.insecure__rpc_thread_num'"),
    'sgx.insecure__protected_files_key': (f'"{"00" * 16}"', "write 'fs.insecure__keys.default'"),
    'sgx.protected_files_key': (f'"{"00" * 16}"', "write 'fs.insecure__keys.default'"),
    'sgx.enable_sigterm_injection': ('true', "write 'sys.enable_sigterm_injection'"),
    'libos.enable_sigterm_injection': ('true', "write 'sys.enable_sigterm_injection'"),
    'sgx.insecure__allow_eventfd': ('true', "write 'sys.insecure__allow_eventfd'"),
    'sgx.require_exinfo': ('true', "write 'sgx.use_exinfo'"),
    'sgx.support_exinfo': ('true', "write 'sgx.use_exinfo'"),
    'sgx.require_avx': ('true', 'write sgx.cpu_features.avx = "required"'),
    'sgx.remote_attestation': ('true', 'write "dcap"'),
    'sys.brk.size': ('"1M"', "write 'sys.brk.max_size'"),
    'loader.debug_file': ('"log"', "write 'loader.log_file'"),
    'loader.debug_type': ('"inline"', 'write loader.log_level = "debug"'),
    'loader.argv0_override': ('"x"', 'write loader.argv = ["x"]'),
    'loader.entrypoint': (URI, 'write loader.entrypoint.uri'),
    'sgx.nonpie_binary': ('true', 'remove it'),
    'sgx.static_address': ('1', 'remove it'),
    'sgx.zero_heap_on_demand': ('true', 'remove it'),
    'sgx.allow_file_creation': ('1', 'sgx.allowed_files'),
    'sgx.trusted_children': (f'{{ a = {URI} }}', 'remove it'),
    'loader.preload': (URI, 'remove it'),
    'loader.syscall_symbol': ('"x"', 'remove it'),
    'loader.pal_internal_mem_size': ('"64M"', 'remove it'),
    'libos.syscall_symbol': ('"x"', 'remove it'),
    'fs.experimental__enable_sysfs_topology': ('true', 'remove it'),
    'fs.mount.lib': (f'{{ type = "chroot", path = "/lib", uri = {URI} }}', 'write fs.mounts = ['),
    'fs.mount.root': (f'{{ type = "chroot", path = "/", uri = {URI} }}', 'write fs.root'),
    'net': ('{ allow_bind = { a = "127.0.0.1:80" } }', 'remove it'),
    'sgx.allowed_files': (f'{{ a = {URI} }}', 'write sgx.allowed_files = ['),
    'sgx.ra_client_linkable': ('false', 'EPID'),
}
REFUSED = {
    'sgx.sigfile': ('"x"', 'NAME.sig'),
    'loader.exec': (URI, 'write libos.entrypoint'),
    'loader.execname': ('"x"', 'write libos.entrypoint'),
    'sgx.protected_files': (f'[{URI}]', 'type = "encrypted"'),
    'sgx.protected_mrenclave_files': (f'[{URI}]', '_sgx_mrenclave'),
    'sgx.protected_mrsigner_files': (f'[{URI}]', '_sgx_mrsigner'),
    'sgx.trusted_checksum': ('{ a = "00" }', 'sha256'),
    'sgx.ra_client_spid': ('"0011"', 'write sgx.remote_attestation = "dcap"'),
}


@pytest.mark.parametrize('key', [*REPLACED, *REFUSED])
def test_old_key(key, build_dir, run_native, libos, tmp_path):
    value, word = (REPLACED | REFUSED)[key]
    text = HEAD + f'{key} = {value}\n'
    done = run_native([build_dir / 'bin' / 'gramine-manifest-check'], stdin=text)
    said, other = (done.err, done.out) if key in REPLACED else (done.out, done.err)
    assert done.status == (0 if key in REPLACED else 1) and not other, str(done)
    assert len(said.splitlines()) == 1 and '<stdin>:3: ' in said and word in said, str(done)
    assert key in said, str(done)
    # The launcher says so, too, and does not start what is refused.
    (tmp_path / 'app.manifest').write_text(
        'loader.uid = 0\n' + ('' if key == 'fs.mount.root' else 'fs.root = { uri = "file:/" }\n') + text.replace('file:/x', 'file:/usr') + 'sgx.file_check_policy = "allow_all_but_log"\n')
    done = run_native([libos, './app'], cwd=tmp_path, env={'XDG_CACHE_HOME': str(tmp_path / 'cache')})
    assert word in done.err and ('PAL failed' in done.err) is (key in REFUSED), str(done)
    assert (done.status == 0) is (key in REPLACED), str(done)


def test_old_keys_are_all_tried(project_root):
    """The table in the source has no key that is missing above."""
    text = (project_root / 'src' / 'manifest' / 'schema_old.c').read_text()
    keys = re.findall(r'\{"([a-z_.]+)", (?:RENAMED|USELESS|DEAD)', text)
    assert len(keys) > 25 and set(keys) <= set(REPLACED) | set(REFUSED)


def test_first_argument_of_old(build_dir, run_native):
    """Where arguments come from elsewhere the old key has no equivalent."""
    text = HEAD + 'loader.insecure__use_cmdline_argv = true\nloader.argv0_override = "x"\n'
    done = run_native([build_dir / 'bin' / 'gramine-manifest-check'], stdin=text)
    assert done.status == 1 and len(done.out.splitlines()) == 1, str(done)
    assert 'argv[0] is libos.entrypoint' in done.out and 'loader.argv = ["x", ...]' in done.out
