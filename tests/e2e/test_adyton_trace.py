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
    'coreutils': ({}, ['bash', '-c', 'cp words copy; mkdir -p d/e; mv copy d/e; ln -s d link; cat link/e/copy; rm -r d/e; '
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
    'ffmpeg': ({}, ['ffmpeg', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc=duration=1:size=64x64:rate=5', '-f', 'framemd5', 'out.md5'],
               None, ()),
    'ruby': ({}, ['ruby', '-e', 'puts File.read("words").upcase; require "digest"; puts Digest::MD5.file("numbers")'], None, ()),
    'php': ({}, ['php', '-r', 'echo strtoupper(file_get_contents("words")), json_encode([1, ["a" => 2]]);'], None, ()),
    'R': ({}, ['Rscript', '-e', 'x <- scan("numbers", quiet=TRUE); print(summary(x)); print(lm(x ~ seq_along(x)))'], None, ()),
    'java': ({'A.java': 'class A { public static void main(String[] a) { System.out.println("from java"); } }'},
             ['java', 'A.java'], None, ()),
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
    if name in ('go', 'musl-static'):
        compiler = ['go', 'build', '-o', 'hello', 'hello.go'] if name == 'go' else ['musl-gcc', '-static', 'a.c', '-o', 'hello']
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


@pytest.mark.parametrize('workers', [0, *([2] if FULL else [])])
def test_training(workers, bench):
    (bench.work / 'train.py').write_text(TRAINING.replace('WORKERS', str(workers)))
    bench.same([PYTHON, 'train.py'], env={'OMP_NUM_THREADS': '1'}, unlike=('checkpoint.pt',))
