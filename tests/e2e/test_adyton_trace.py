# SPDX-License-Identifier: LGPL-3.0-or-later
"""adyton trace: what it writes goes through gramine-manifest and gramine-direct as it is, under `strict`, and
the program does the same as natively.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tomllib

import pytest

from conftest import ENVIRONMENT, command, run, tree

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = '/usr/bin/python3'
FULL = bool(os.environ.get('ADYTON_FULL'))


class Bench:
    """A folder for a program, and one beside it for its template and manifest."""

    def __init__(self, folder, build_dir):
        self.bin = build_dir / 'bin'
        self.work, self.kept, self.made = folder / 'work', folder / 'kept', folder / 'made'
        self.made.mkdir()
        self.work.mkdir()
        self.template = self.made / 'app.manifest.template'

    def keep(self):
        """What is in the folder now is there at the start of each run."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.work, self.kept, symlinks=True)

    def restore(self):
        for path in self.work.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(self.kept, self.work, symlinks=True, dirs_exist_ok=True)

    def trace(self, argv, *options, **how):
        done = run([self.bin / 'adyton', 'trace', '-o', self.template, *options, '--', *argv], cwd=self.work, **how)
        assert done.status == 0, str(done)
        note = done.err.splitlines(keepends=True)[-1]
        assert note.startswith('adyton trace: wrote '), str(done)
        done.err = done.err[:-len(note)]
        return done

    def render(self, *options):
        manifest = self.made / 'app.manifest'
        done = run([self.bin / 'gramine-manifest', *options, self.template, manifest], timeout=120)
        assert (done.status, done.err) == (0, ''), str(done)
        parsed = tomllib.loads(manifest.read_text())
        assert parsed['sgx'].get('file_check_policy', 'strict') == 'strict'
        return parsed

    def inside(self, *argv, **how):
        return run([self.bin / 'gramine-direct', self.made / 'app', *argv], cwd=self.work, **{'timeout': 120, **how})

    def same(self, argv, *options, unlike=(), stdin=None, env=None):
        """Traced and inside: equal output and equal files; the manifest as a table."""
        self.keep()
        native = self.trace(argv, *options, stdin=stdin, env=env)
        native_tree = tree(self.work, unlike)
        self.restore()
        parsed = self.render()
        inside = self.inside(stdin=stdin, env=env)
        assert (inside.out, inside.err) == (native.out, native.err), \
            f'native: {native}\ninside: {inside}\n{self.template.read_text()}'
        assert tree(self.work, unlike) == native_tree
        return native, parsed


@pytest.fixture
def bench(libos, build_dir, tmp_path):
    return Bench(tmp_path, build_dir)


# --- programs ---------------------------------------------------------------------------------

SCRIPT = '''#!/bin/bash
sort -n numbers | uniq -c > counted; part=$(mktemp); head -3 counted > "$part"; cat "$part"; rm "$part"
for word in $(<words); do echo "${word^^}"; done | tr A-Z a-z | md5sum
while read -r a b; do echo "$b $a"; done < words > turned && mv turned words && wc words
'''

PYTHON_SCRIPT = '''
import json, sqlite3, subprocess, tempfile, hashlib, os, sys
print(hashlib.sha256(open("numbers", "rb").read()).hexdigest(), sys.argv)
with tempfile.NamedTemporaryFile("w+") as f:
    json.dump({"a": [1, 2]}, f); f.seek(0); print(json.load(f))
base = sqlite3.connect("data.db"); base.execute("create table t(a)")
with base: base.executemany("insert into t values (?)", ((n,) for n in range(500)))
print(base.execute("select sum(a) from t").fetchone())
print(subprocess.run(["/usr/bin/sort", "words"], capture_output=True, text=True).stdout)
print(os.path.exists("/etc/passwd"), os.getcwd() == os.path.dirname(os.path.abspath(__file__)))
'''

GIT = '''set -e
export GIT_AUTHOR_DATE="1700000000 +0000" GIT_COMMITTER_DATE="1700000000 +0000"
git init -q -b main .; git config user.name n; git config user.email e@x
git add words numbers; git commit -qm one; echo more >> words; git commit -qam two; git log --oneline; git diff HEAD~1
'''

C_SOURCE = '#include <stdio.h>\nint main(void) { printf("made by gcc\\n"); return 0; }\n'
GO_SOURCE = '''package main
import ("fmt"; "os"; "strings")
func main() { b, err := os.ReadFile("words"); fmt.Println(strings.ToUpper(string(b)), err); os.WriteFile("out", b[:5], 0644) }
'''
PERL = '''use strict; use POSIX; open(my $f, "<", "words"); my %n; while (<$f>) { $n{$_}++ for split }
print "$_ $n{$_}\\n" for sort keys %n; open(my $o, ">", "out"); print $o floor(3.7); close $o;'''
NODE = '''const fs = require("fs"), z = require("zlib"), c = require("crypto");
fs.writeFileSync("out", fs.readFileSync("words", "utf8").toUpperCase());
console.log(c.createHash("sha1").update(z.gunzipSync(z.gzipSync("x".repeat(9999)))).digest("hex"), fs.readdirSync(".").sort());
setTimeout(() => console.log("late"), 20);'''
SQL = '''create table t (a, b); begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) insert into t select i, i * i from n;
commit; select count(*), sum(b) from t; update t set b = 0 where a < 100; select sum(b) from t;
'''

# name: (files of the folder, command, standard input, files that need not be equal)
PROGRAMS = {
    'bash': ({'script.sh': SCRIPT}, ['./script.sh'], None, ()),
    'sh': ({}, ['sh', '-c', 'cat words; ls -l . | wc -l; test -w words && echo writable'], None, ()),
    'coreutils': ({}, ['bash', '-c', 'cp words copy; mkdir -p d/e; mv copy d/e; cat d/e/copy; rm -r d/e; '
                       'split -l 100 numbers part-; sha256sum part-*; touch d/new; ls -R'], None, ()),
    'sed-awk-grep': ({'edit/text': 'a line\n'}, ['bash', '-c', 'sed -i s/a/b/ edit/text; cat edit/text; awk "{ s += \\$1 } END { print s }" numbers; grep -n fox words'],
                     None, ()),
    'tar-gzip': ({}, ['tar', '-czf', 'all.tar.gz', '--mtime=@0', 'words', 'numbers'], None, ()),
    'make': ({'Makefile': 'all: out\nout: words\n\tsort $< > $@\n\techo done\n'}, ['make'], None, ()),
    'busybox': ({}, ['busybox', 'sh', '-c', 'sort numbers | head -n 3; sha1sum words'], None, ()),
    'find-xargs': ({}, ['bash', '-c', 'find . -type f | sort | xargs wc -c'], None, ()),
    'openssl': ({}, ['openssl', 'dgst', '-sha512', 'numbers'], None, ()),
    'python': ({'script.py': PYTHON_SCRIPT}, [PYTHON, 'script.py', 'ä', "it's"], None, ('data.db',)),
    'numpy-pil': ({'script.py': 'import numpy as n; from PIL import Image; a = n.arange(300, dtype="uint8").reshape(10, 10, 3)\n'
                   'Image.fromarray(a).save("a.png"); print(Image.open("a.png").size, n.linalg.det(n.eye(3)), n.fft.fft([1, 2]).sum())'},
                  [PYTHON, 'script.py'], None, ()),
    'multiprocessing': ({'script.py': 'import multiprocessing as m\ndef f(n): return n * n\n'
                         'if __name__ == "__main__":\n    with m.get_context("fork").Pool(3) as p: print(p.map(f, range(20)))\n'},
                        [PYTHON, 'script.py'], None, ()),
    'sqlite3': ({}, ['sqlite3', 'test.db'], SQL, ('test.db',)),
    'git': ({}, ['bash', '-c', GIT], None, ('.git/index',)),
    'gcc': ({'a.c': C_SOURCE}, ['bash', '-c', 'gcc -O1 a.c -o a && ./a && nm a | grep -c main'], None, ()),
    'perl': ({'script.pl': PERL}, ['perl', 'script.pl'], None, ()),
    'node': ({'script.js': NODE}, ['node', 'script.js'], None, ()),
    'go': ({'hello.go': GO_SOURCE}, ['./hello'], None, ()),
    'musl-static': ({'a.c': C_SOURCE}, ['./hello'], None, ()),
    'curl-file': ({}, ['bash', '-c', 'curl -s file://$PWD/words'], None, ()),
    'jq': ({'a.json': '{"a": [1, 2, {"b": "c"}]}'}, ['jq', '-c', '.a[2], (.a[:2] | add)', 'a.json'], None, ()),
    'bc': ({}, ['bc', '-l'], 'scale = 30; 4 * a(1)\n', ()),
    'xz-zip': ({}, ['bash', '-c', 'xz -k words && xzcat words.xz && unxz -t words.xz; sha1sum words.xz'], None, ()),
    'tclsh': ({'a.tcl': 'set f [open words]; puts [string toupper [read $f]]; puts [clock format 0 -gmt 1]'}, ['tclsh', 'a.tcl'], None, ()),
    'yaml-requests': ({'script.py': 'import yaml, requests; print(yaml.safe_load("a: [1, 2]"), requests.Request("GET", "http://x/y").prepare().url)'},
                      [PYTHON, 'script.py'], None, ()),
    'resolver': ({'script.py': 'import socket, pwd, os; print(sorted(a[4] for a in socket.getaddrinfo("localhost", "http", type=1)), pwd.getpwuid(0))'},
                 [PYTHON, 'script.py'], None, ()),
    'threads': ({'script.py': 'import concurrent.futures as c, asyncio\nwith c.ThreadPoolExecutor(8) as p: print(sum(p.map(lambda n: n * n, range(99))))\n'
                 'async def f():\n    p = await asyncio.create_subprocess_exec("/bin/echo", "child"); await p.wait()\nasyncio.run(f())\n'},
                [PYTHON, 'script.py'], None, ()),
    'rust': ({'a.rs': 'fn main() { print!("{}", std::fs::read_to_string("words").unwrap().to_uppercase()); }'}, ['./hello'], None, ()),
    'ffmpeg': ({}, ['ffmpeg', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc=duration=1:size=64x64:rate=5', '-f', 'framemd5', 'out.md5'],
               None, ()),
    'ruby': ({}, ['ruby', '-e', 'puts File.read("words").upcase; require "digest"; puts Digest::MD5.file("numbers")'], None, ()),
    'php': ({}, ['php', '-r', 'echo strtoupper(file_get_contents("words")), json_encode([1, ["a" => 2]]);'], None, ()),
    'R': ({}, ['Rscript', '-e', 'x <- scan("numbers", quiet=TRUE); print(summary(x)); print(lm(x ~ seq_along(x)))'], None, ()),
    'java': ({'A.java': 'class A { public static void main(String[] a) { System.out.println("from java"); } }'},
             ['java', 'A.java'], None, ()),
}


COMPILERS = {
    'go': ['go', 'build', '-o', 'hello', 'hello.go'],
    'musl-static': ['musl-gcc', '-static', 'a.c', '-o', 'hello'],
    'rust': ['rustc', '-o', 'hello', 'a.rs'],
}


@pytest.fixture
def folder(bench):
    (bench.work / 'numbers').write_text('\n'.join(str(n * 7919 % 1000) for n in range(500)) + '\n')
    (bench.work / 'words').write_text('the quick brown fox\njumps over the\nlazy dog\n')
    return bench


@pytest.mark.parametrize('name', PROGRAMS)
def test_program(name, folder, run_native):
    files, argv, stdin, unlike = PROGRAMS[name]
    if not argv[0].startswith(('.', '/')):
        command(argv[0])
    for path, text in files.items():
        (folder.work / path).parent.mkdir(exist_ok=True)
        (folder.work / path).write_text(text)
        (folder.work / path).chmod(0o755)
    compiler = COMPILERS.get(name)
    if compiler:
        command(compiler[0])
        done = run_native(compiler, cwd=folder.work, timeout=300,
                          env={'CGO_ENABLED': '0', 'GO111MODULE': 'off', 'GOCACHE': str(folder.made / 'go')})
        assert done.status == 0, str(done)
    folder.same(argv, stdin=stdin, unlike=unlike)


# --- PyTorch ----------------------------------------------------------------------------------

DATA = ROOT.parent / 'shared' / 'data' / 'imagenet'

TRAINING = '''
import torch
torch.manual_seed(7)
x = torch.randn(512, 20)
y = (x @ torch.randn(20, 3)).argmax(1)
net = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=64, num_workers=WORKERS)
for _ in range(3):
    for part in data:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(part[0]), part[1])
        loss.backward()
        optimiser.step()
torch.save(net.state_dict(), "checkpoint.pt")
print(loss.item(), (net(x).argmax(1) == y).sum().item())
'''


@pytest.fixture
def pytorch(bench):
    """The example, with a real model."""
    if not (DATA / 'make_squeezenet.py').is_file():
        pytest.skip('../shared/data/imagenet is not there: no real model to run')
    subprocess.run([PYTHON, DATA / 'make_squeezenet.py', DATA / 'compressed_SqueezeNet.net',
                    bench.work / 'alexnet-pretrained.pt'], check=True)
    for name in ('input.jpg', 'classes.txt'):
        shutil.copyfile(DATA / name, bench.work / name)
    shutil.copyfile(ROOT / 'examples' / 'pytorch' / 'pytorchexample.py', bench.work / 'pytorchexample.py')
    return bench


def test_pytorch(pytorch):
    _, parsed = pytorch.same([PYTHON, 'pytorchexample.py'], env={'OMP_NUM_THREADS': '2'})
    assert (pytorch.work / 'result.txt').read_bytes().startswith(b'Labrador retriever: 75.6')
    assert [entry['uri'] if isinstance(entry, dict) else entry for entry in parsed['sgx']['allowed_files']] == \
        [f'file:{pytorch.work}/result.txt']
    assert 500 < len(parsed['sgx']['trusted_files']) < 5000
    assert parsed['loader']['env']['OMP_NUM_THREADS'] == '2'


@pytest.mark.skipif(not FULL, reason='a minute of hashing: make check-full')
def test_pytorch_folders(pytorch):
    pytorch.same([PYTHON, 'pytorchexample.py'], '--folders', env={'OMP_NUM_THREADS': '2'})
    assert len(pytorch.template.read_text().splitlines()) < 500


@pytest.mark.parametrize('workers', [0, *([2] if FULL else [])])
def test_training(workers, bench):
    (bench.work / 'train.py').write_text(TRAINING.replace('WORKERS', str(workers)))
    bench.same([PYTHON, 'train.py'], env={'OMP_NUM_THREADS': '1'}, unlike=('checkpoint.pt',))


# --- what the run did not show ----------------------------------------------------------------

def strings(value):
    """Every key and string of a parsed manifest."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def uris(parsed, key='trusted_files'):
    return [entry['uri'] if isinstance(entry, dict) else entry for entry in parsed['sgx'].get(key, [])]


def test_second_file_is_refused_then_merged(folder):
    (folder.work / 'other').write_text('the other file\n')
    folder.trace(['cat', 'words'])
    text = folder.template.read_text()
    assert '# loader.insecure__use_cmdline_argv = true\n' in text
    folder.template.write_text(text.replace('# loader.insecure__use_cmdline_argv', 'loader.insecure__use_cmdline_argv')
                               .replace('loader.argv = ', '# '))
    folder.render('-Dlog_level=warning')
    refused = folder.inside('other')
    assert refused.status == 1 and 'cat: other: Permission denied' in refused.err
    assert f'"file:{folder.work}/other"' in refused.err and 'sgx.trusted_files' in refused.err, refused.err
    # Changed by hand: what is written there is not lost.
    argv = [folder.bin / 'adyton', 'trace', '-o', folder.template, '--merge', 'cat', 'other']
    done = run(argv, cwd=folder.work)
    assert done.status == 1 and 'changed by hand' in done.err, str(done)
    folder.template.write_text(text)
    done = run(argv, cwd=folder.work)
    assert done.status == 0, str(done)
    parsed = folder.render()
    assert {f'file:{folder.work}/words', f'file:{folder.work}/other'} <= set(uris(parsed))
    for name in ('other', 'words'):
        done = folder.inside(name)
        assert (done.status, done.out, done.err) == (0, (folder.work / name).read_text(), ''), str(done)
    done = run([*argv[:-2], 'wc', 'other'], cwd=folder.work)
    assert done.status == 1 and 'one manifest starts one program' in done.err, str(done)


def test_merge_without_a_trace(folder):
    done = run([folder.bin / 'adyton', 'trace', '-o', folder.template, '--merge', 'true'], cwd=folder.work)
    assert done.status == 1 and 'trace without --merge first' in done.err and not folder.template.exists(), str(done)


def test_secret_and_result(folder):
    key = folder.made / 'key'
    assert run([folder.bin / 'adyton', 'keygen', key]).status == 0
    folder.keep()
    native = folder.trace(['sh', '-c', 'sort numbers > sorted; wc sorted; cat words'], '--secret', 'numbers', '--result', 'sorted')
    expected = (folder.work / 'sorted').read_bytes()
    folder.restore()
    parsed = folder.render(f'-Dinsecure_key={key.read_bytes().hex()}')
    kinds = {mount['path']: mount.get('type') for mount in parsed['fs']['mounts']}
    assert kinds[f'{folder.work}/numbers'] == kinds[f'{folder.work}/sorted'] == 'encrypted'
    assert not any('numbers' in uri or 'sorted' in uri for uri in uris(parsed) + uris(parsed, 'allowed_files'))
    plain = folder.made / 'plain'
    (folder.work / 'numbers').rename(plain)
    path = folder.work / 'numbers'
    assert run([folder.bin / 'adyton', 'encrypt', '-w', key, '-i', plain, '-o', path]).status == 0
    inside = folder.inside()
    assert (inside.status, inside.out, inside.err) == (0, native.out, ''), str(inside)
    assert (folder.work / 'sorted').read_bytes()[:8] != expected[:8]
    done = run([folder.bin / 'adyton', 'decrypt', '-w', key, '-i', folder.work / 'sorted', '-o', folder.made / 'clear'])
    assert done.status == 0 and (folder.made / 'clear').read_bytes() == expected, str(done)


def test_secret_that_is_not_used(folder):
    folder.trace(['cat', 'words'], '--secret', 'word')
    assert f'No run used "{folder.work}/word"' in folder.template.read_text()


def test_environment(folder):
    env = {'GREETING': 'he"llo {{ 7 * 7 }}\n{% x', 'API_TOKEN': 'xyzzy-12345', 'NOBODY_READS_ME': 'x', 'Über': 'ü'}
    native, parsed = folder.same(['sh', '-c', 'echo "$GREETING" "$API_TOKEN"'], env=env)
    assert '{{ 7 * 7 }}' in native.out
    text = folder.template.read_text()
    assert 'xyzzy' not in text and parsed['loader']['env']['API_TOKEN'] == {'passthrough': True}
    assert 'NOBODY_READS_ME' not in parsed['loader']['env'] and 'NOBODY_READS_ME' in text
    assert parsed['loader']['env']['GREETING'] == env['GREETING']


def test_folders(folder):
    (folder.work / 'script.py').write_text('import json, decimal, email.message, asyncio; print(json.dumps([1]))\n')
    _, exact = folder.same([PYTHON, 'script.py'])
    trace = folder.template.read_text()
    _, whole = folder.same([PYTHON, 'script.py'], '--folders')
    text = folder.template.read_text()
    assert len(text.splitlines()) < len(trace.splitlines()) - 30
    assert len(uris(whole)) > len(uris(exact)), 'whole folders hold more than what was used'
    assert not any(uri.startswith('file:/usr/lib/x86_64-linux-gnu/') and uri.endswith('/') for uri in strings(text.split('"')))


def test_venv(folder, run_native):
    """In a virtual environment, and what of its sys.path is whole packages is named by python.get_sys_path()."""
    (folder.work / 'script.py').write_text('import sys, json, decimal, email.message; print(sys.prefix, sys.prefix != sys.base_prefix)\n')
    done = run_native([PYTHON, '-m', 'venv', '--without-pip', folder.work / 'venv'])
    assert done.status == 0, str(done)
    native, _ = folder.same(['venv/bin/python3', 'script.py'])
    assert native.out == f'{folder.work}/venv True\n' and 'get_sys_path' not in folder.template.read_text()
    folder.same(['venv/bin/python3', 'script.py'], '--folders')
    assert f'python.get_sys_path("{folder.work}/venv/bin/python3")' in folder.template.read_text()


# --- folders that come and go --------------------------------------------------------------------

# What the program tries in a folder that is not there fails inside as it does natively.
MISSING = {
    'mkdir': 'import os; os.mkdir("nowhere/new")',
    'create': 'open("nowhere/new", "w")',
    'symlink': 'import os; os.symlink("words", "nowhere/new")',
    'link': 'import os; os.link("words", "nowhere/new")',
    'rename': 'import os; os.rename("words", "nowhere/new")',
    'bind': 'import socket; socket.socket(socket.AF_UNIX).bind("nowhere/new")',
    'connect': 'import socket; socket.socket(socket.AF_UNIX).connect("nowhere/new")',
    'below-a-file': 'open("words/new", "w")',
}


@pytest.mark.parametrize('where', ['absolute', 'relative'])
@pytest.mark.parametrize('name', MISSING)
def test_missing_folder(name, where, folder):
    code = MISSING[name]
    if where == 'absolute':
        code = code.replace('"nowhere', f'"{folder.made}/nowhere')
    (folder.work / 'script.py').write_text(f'try:\n    {code}\nexcept OSError as e: print(e)\n')
    native, parsed = folder.same([PYTHON, 'script.py'])
    assert 'Errno' in native.out and not any('nowhere' in text for text in strings(parsed)), native


def test_folders_of_the_run(folder):
    """Made and removed by the program, or removed only: what holds them is mounted."""
    for name in ('gone', 'made/before'):
        (folder.work / name).mkdir(parents=True)
        (folder.work / name / 'file').write_text('there before\n')
    _, parsed = folder.same(['sh', '-c', 'cat gone/file made/before/file; rm -r gone made; mkdir -p new/deep; '
                             'echo text > new/deep/file; cat new/deep/file; mv new moved; rm -r moved; ls'])
    assert not any((folder.work / name).exists() for name in ('gone', 'made', 'new', 'moved'))
    done = folder.inside()  # and when they are not there
    assert done.status == 0 and 'No such file' in done.err and 'text\n' in done.out, str(done)


def test_folder_of_somebody_else(folder):
    """A folder that is gone after the run, made and removed by another process."""
    for path in (folder.work / 'there', folder.made / 'there'):
        path.mkdir()
        (path / 'words').write_text('here\n')
    script = f'cat there/words; echo x > there/new; cat {folder.made}/there/words; echo asks; read line; echo "$line"'
    with subprocess.Popen([folder.bin / 'adyton', 'trace', '-o', folder.template, '--', 'sh', '-c', script],
                          cwd=folder.work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as child:
        assert [child.stdout.readline() for _ in range(3)] == [b'here\n', b'here\n', b'asks\n']
        for path in (folder.work / 'there', folder.made / 'there'):
            shutil.rmtree(path)
        assert child.communicate(b'answer\n', timeout=60)[0] == b'answer\n' and child.returncode == 0
    folder.render()
    done = folder.inside(stdin='answer\n')
    assert done.status == 0 and done.out == 'asks\nanswer\n' and 'No such file' in done.err, str(done)


def test_runtime_folder(folder):
    """What a login's folder for sockets and locks holds is temporary; the folder may be gone at the next run."""
    runtime = folder.made / 'runtime'
    runtime.mkdir()
    _, parsed = folder.same(['sh', '-c', 'mkdir $XDG_RUNTIME_DIR/own; echo x > $XDG_RUNTIME_DIR/own/lock; '
                             'cat $XDG_RUNTIME_DIR/own/lock; rm $XDG_RUNTIME_DIR/own/lock'],
                            env={'XDG_RUNTIME_DIR': str(runtime)})
    assert {'path': str(runtime), 'type': 'tmpfs'} in parsed['fs']['mounts'] and not uris(parsed, 'allowed_files')
    shutil.rmtree(runtime)
    assert folder.inside(env={'XDG_RUNTIME_DIR': str(runtime)}).out == 'x\n'


def test_changed_file_among_temporary_ones(folder):
    """A file that is there before the run and changed stays the host's, in whatever folder it is."""
    runtime = folder.made / 'runtime'
    runtime.mkdir()
    script = f'echo more >> {runtime}/data; echo x > {runtime}/part; cat {runtime}/part; rm {runtime}/part'
    (runtime / 'data').write_text('before\n')
    native = folder.trace(['sh', '-c', script], env={'TMPDIR': str(runtime)})
    folder.render()
    done = folder.inside()
    assert (done.status, done.out, done.err) == (0, native.out, ''), str(done)
    assert (runtime / 'data').read_text() == 'before\nmore\nmore\n'


def test_result_in_a_made_folder(folder):
    folder.trace(['sh', '-c', 'mkdir -p out; cat words > out/result'], '--result', 'out/result')
    assert f'# before the first run: mkdir -p "{folder.work}/out"\n' in folder.template.read_text()


GONE = {
    'the program': ('#!/bin/sh\nrm "$0"\n', 'cannot be read after the run'),
    'its folder': ('#!/bin/sh\ncd /; rm -r "$OLDPWD"\n', 'the folder that the command was started in is gone'),
}


@pytest.mark.parametrize('name', GONE)
def test_what_must_stay(name, folder):
    script, text = GONE[name]
    program = folder.work / 'program' if name == 'the program' else folder.made / 'program'
    program.write_text(script)
    program.chmod(0o755)
    done = run([folder.bin / 'adyton', 'trace', '-o', folder.template, program], cwd=folder.work)
    assert done.status == 1 and done.err.startswith('error: adyton trace: ') and text in done.err, str(done)
    assert len(done.err.splitlines()) == 1 and not folder.template.exists()


# --- hostile programs -------------------------------------------------------------------------

HOSTILE_NAMES = [
    'plain', 'with "quotes"', "it's", 'new\nline', 'tab\tand\\backslash', '{{ 7 * 7 }}', '{% raw %}', '{# gone #}', "{{ ''.__class__ }}",
    '"]\nsgx.allowed_files = ["file:', 'ends with {', '\r', '#', ' ', 'ünïcode', '\u2028', '\x7f', '\ue0005\ue001', '\U0001f600', "'''", '"""',
    '%s%n', '$(id)', '${HOME}', '<x>', '\u202eright-to-left', '{{', '}}', '{%- for x in range(10**9) %}',
]


def test_names_of_files_cannot_inject(bench):
    """Names reach the template as data, whatever they are; each such file can be read inside."""
    for name in HOSTILE_NAMES:
        (bench.work / name).write_text(f'content of {name!r}\n')
    (bench.work / 'all.py').write_text('import os\nfor name in sorted(os.listdir(".")): print(open(name).read())\n')
    native, parsed = bench.same([PYTHON, 'all.py', *HOSTILE_NAMES])
    assert all(repr(name) in native.out for name in HOSTILE_NAMES)
    assert {f'file:{bench.work}/{name}' for name in HOSTILE_NAMES} <= set(uris(parsed))
    assert parsed['loader']['argv'][2:] == HOSTILE_NAMES
    assert parsed['sgx'].get('allowed_files', []) == []
    text = bench.template.read_text()
    assert all(line.isprintable() for line in text.split('\n')) and '{{ 7' not in text and '{#' not in text


def test_made_names_cannot_inject(bench):
    """The same for names that the program makes."""
    script = 'import sys\nfor name in sys.stdin.buffer.read().split(b"\\0"): open(name, "w").write("x")\n'
    (bench.work / 'make.py').write_text(script)
    _, parsed = bench.same([PYTHON, 'make.py'], stdin='\0'.join(HOSTILE_NAMES))
    assert set(uris(parsed, 'allowed_files')) == {f'file:{bench.work}/{name}' for name in HOSTILE_NAMES}


def test_names_that_are_not_utf8(bench):
    name = b'latin-\xe9'
    (bench.work / os.fsdecode(name)).write_text('x')
    (bench.work / 'words').write_text('y')
    done = bench.trace(['cat', os.fsdecode(name), 'words'])
    assert done.out == 'xy'
    parsed = bench.render()
    assert 'latin-\\\\xe9' in bench.template.read_text(), 'asked about'
    assert parsed['loader']['argv_src_file'].endswith('.argv')
    done = bench.inside()
    assert done.out == 'y' and 'Permission denied' in done.err, str(done)


HOSTILE = {
    'killed': ('echo before; kill -9 $$', 137),
    'fails': ('cat words; exit 77', 77),
    'deletes-itself': ('cat words; rm script.sh', 0),
    'deletes-inputs': ('cat words; rm words; cd /; rm -r "$OLDPWD/gone"', 0),
    'background': ('(sleep 0.3; cat words > late) & exit 0', 0),
    'stops': ('(sleep 0.2; kill -CONT $$) & kill -STOP $$; cat words', 0),
    'forks': ('for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do (cat words >/dev/null) & done; done; wait; cat words', 0),
}


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_program(name, folder):
    script, _ = HOSTILE[name]
    (folder.work / 'gone').mkdir()
    (folder.work / 'script.sh').write_text(script)
    folder.trace(['sh', 'script.sh'])
    if name == 'deletes-itself' or name == 'deletes-inputs':
        assert not (folder.work / 'script.sh').exists() or not (folder.work / 'words').exists()
    folder.render()
    wanted = 'words' if name != 'killed' else 'script.sh'
    assert f'{folder.work}/{wanted}' in folder.template.read_text()


TORMENTOR = r'''
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static void *opens(void *arg)
{
    for (int i = 0; i < 200; i++) {
        close(open("words", O_RDONLY));
        syscall(SYS_openat, -1, (char *)8, 0);
        syscall(SYS_openat, 0x7fffffff, "x", 0);
        syscall(SYS_openat2, AT_FDCWD, "words", (void *)16, 24L);
        syscall(SYS_connect, 0, (void *)24, 1000000L);
        syscall(SYS_rename, (char *)-1, arg);
    }
    return arg;
}
int main(int argc, char **argv)
{
    /* A path that ends at the end of memory, without a NUL. */
    char *page = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    memset(page, '/', 4096);
    if (open(page, O_RDONLY) >= 0) return 1;
    char *longest = malloc(200000);
    memset(longest, 'a', 199999);
    longest[199999] = 0;
    if (open(longest, O_RDONLY) >= 0 || !ptrace(PTRACE_TRACEME, 0, 0, 0)) return 2;
    for (int i = 0; i < 300; i++) { /* deep, through "..", and back */
        if (mkdir("deep-and-long-name-of-a-folder", 0700) || chdir("deep-and-long-name-of-a-folder")) return 3;
        if (i % 50 == 0) close(open("../../words", O_RDONLY));
    }
    for (int i = 0; i < 300; i++)
        if (chdir("..") || rmdir("deep-and-long-name-of-a-folder")) return 4;
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (!child) {
            pthread_t threads[4];
            for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, opens, "y");
            if (round % 4 == 1) kill(getpid(), SIGKILL);
            if (round % 4 == 2) execl("/bin/true", "true", (char *)0);
            if (round % 4 == 3) syscall(SYS_exit, 0);
            _exit(0);
        }
        if (round % 2) usleep(500), kill(child, SIGKILL);
    }
    while (wait(0) > 0) ;
    write(1, "done\n", 5);
    return 0;
}
'''


def test_tormentor(folder, run_native):
    (folder.work / 'a.c').write_text(TORMENTOR)
    done = run_native(['gcc', '-w', '-pthread', 'a.c', '-o', 'a'], cwd=folder.work)
    assert done.status == 0, str(done)
    assert folder.trace(['./a']).out == 'done\n'
    parsed = folder.render()
    assert f'file:{folder.work}/words' in uris(parsed)


def test_command_is_missing(folder):
    for argv in (['no-such-program'], ['./words'], [str(folder.work)]):
        done = run([folder.bin / 'adyton', 'trace', '-o', folder.template, *argv], cwd=folder.work)
        assert done.status == 1 and done.err.startswith('error: adyton trace: ') and argv[0] in done.err, str(done)
        assert len(done.err.splitlines()) == 1 and not folder.template.exists()
    assert run([folder.bin / 'adyton', 'trace']).status == 2


# --- servers ----------------------------------------------------------------------------------

def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


REDIS = [b'SET greeting hello\r\n', b'+OK\r\n'], [b'GET greeting\r\n', b'$5\r\nhello\r\n'], [b'INCR n\r\n', b':1\r\n']
MEMCACHED = [b'set a 0 0 3\r\nabc\r\n', b'STORED\r\n'], [b'get a\r\n', b'VALUE a 0 3\r\nabc\r\nEND\r\n']
HTTP = ([b'GET /words HTTP/1.0\r\n\r\n', b'lazy dog\n'],)


def served(child, port, exchanges):
    """Talks to the server as soon as it is there, then ends it."""
    try:
        for _ in range(600):
            try:
                client = socket.create_connection(('127.0.0.1', port), 30)
                break
            except OSError:
                assert child.poll() is None, child.communicate()
                try:
                    child.wait(0.05)
                except subprocess.TimeoutExpired:
                    pass
        with client:
            for request, answer in exchanges:
                client.sendall(request)
                got = b''
                while not got.endswith(answer):
                    part = client.recv(65536)
                    assert part, got
                    got += part
    finally:
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
    return child.returncode, out, err


@pytest.mark.parametrize('name', ['redis', 'nginx', 'memcached', 'http.server'])
def test_server(name, folder):
    port = free_port()
    argv = {
        'redis': ['redis-server', '--port', port, '--save', '', '--bind', '127.0.0.1'],
        'memcached': ['memcached', '-p', port, '-U', '0', '-l', '127.0.0.1', '-u', 'root'],
        'nginx': ['nginx', '-p', folder.work, '-c', 'nginx.conf', '-e', 'error.log'],
        'http.server': ['python3', '-m', 'http.server', '--bind', '127.0.0.1', port],
    }[name]
    (folder.work / 'nginx.conf').write_text(f'''daemon off; worker_processes 2; pid nginx.pid; user root;
events {{ }} http {{ access_log off; client_body_temp_path body; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u;
scgi_temp_path s; server {{ listen 127.0.0.1:{port}; location / {{ root {folder.work}; }} }} }}''')
    argv = [command(argv[0]), *(str(word) for word in argv[1:])]
    exchanges = {'redis': REDIS, 'memcached': MEMCACHED}.get(name, HTTP)
    how = {'cwd': folder.work, 'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
           'env': ENVIRONMENT, 'start_new_session': True}
    folder.keep()
    with subprocess.Popen([folder.bin / 'adyton', 'trace', '-o', folder.template, '--', *argv], **how) as child:
        status, out, err = served(child, port, exchanges)
    assert status == 0, (out, err)
    folder.restore()
    parsed = folder.render()
    assert parsed['sys']['enable_sigterm_injection'] is True
    with subprocess.Popen([folder.bin / 'gramine-direct', folder.made / 'app'], **how) as child:
        served(child, port, exchanges)
