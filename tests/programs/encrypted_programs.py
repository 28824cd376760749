# SPDX-License-Identifier: LGPL-3.0-or-later
"""Programs that ask much of a file system: SQLite, git, checkpoints of a training loop. Run in an
empty directory, natively and on an encrypted mount, it must print the same.
"""
import mmap
import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
import zipfile

os.chdir(sys.argv[1])

print('-- sqlite')
for mode in ('delete', 'truncate', 'persist', 'memory', 'wal'):
    name = f'{mode}.db'
    base = sqlite3.connect(name)
    print(base.execute(f'pragma journal_mode={mode}').fetchone())
    base.execute('create table t(k integer primary key, v text)')
    for n in range(300):
        base.execute('insert into t values(?, ?)', (n, 'x' * (n % 50)))
        if n % 20 == 0:
            base.commit()
    base.commit()
    base.execute('delete from t where k % 3 = 0')
    base.rollback()
    base.execute('update t set v = upper(v)')
    base.commit()
    print(base.execute('pragma integrity_check').fetchone(), base.execute('select count(*), max(v) from t').fetchone()[0])
    base.close()
    again = sqlite3.connect(name)
    print(again.execute('select sum(length(v)) from t').fetchone())
    again.execute('vacuum')
    again.close()
writer = '''
import sqlite3, sys
base = sqlite3.connect('many.db', timeout=30, isolation_level=None)
for n in range(20):
    base.execute('begin immediate')
    base.execute('insert into t values(?)', (int(sys.argv[1]) * 100 + n,))
    base.execute('commit')
'''
base = sqlite3.connect('many.db')
base.execute('create table t(k)')
base.commit()
base.close()
jobs = [subprocess.Popen([sys.executable, '-c', writer, str(n)]) for n in range(3)]
print([job.wait() for job in jobs])
base = sqlite3.connect('many.db')
print(base.execute('select count(distinct k) from t').fetchone(), base.execute('pragma integrity_check').fetchone())
base.close()

print('-- git')
env = dict(os.environ, GIT_CONFIG_NOSYSTEM='1', HOME=os.getcwd(), GIT_AUTHOR_DATE='1000000000 +0000',
           GIT_COMMITTER_DATE='1000000000 +0000', GIT_CONFIG_COUNT='3', GIT_CONFIG_KEY_0='user.name',
           GIT_CONFIG_VALUE_0='n', GIT_CONFIG_KEY_1='user.email', GIT_CONFIG_VALUE_1='e',
           GIT_CONFIG_KEY_2='init.defaultBranch', GIT_CONFIG_VALUE_2='main')


def git(*args):
    done = subprocess.run(['git', '-C', 'repo', *args], env=env, capture_output=True, text=True)
    print(args[0], done.returncode, done.stdout.strip()[-200:], done.stderr.strip()[-200:] if done.returncode else '')


os.mkdir('repo')
git('init', '-q')
for n in range(30):
    os.makedirs(f'repo/d{n % 5}', exist_ok=True)
    with open(f'repo/d{n % 5}/f{n}', 'w') as file:
        file.write(f'{n}\n' * n * 50)
git('add', '.')
git('commit', '-qm', 'one')
git('mv', 'd1', 'moved')
with open('repo/d2/f2', 'a') as file:
    file.write('more')
git('commit', '-qam', 'two')
git('checkout', '-q', '-b', 'side', 'HEAD~1')
git('status', '--porcelain')
git('checkout', '-q', 'main')
git('log', '--format=%H %s')
git('gc', '-q')
git('fsck', '--full')
git('diff', '--stat', 'side', 'main')
git('status', '--porcelain')

print('-- checkpoints')


def save(state, name):
    with tempfile.NamedTemporaryFile(dir='.', delete=False) as file:
        pickle.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, name)


for step in range(20):
    save({'step': step, 'weights': os.urandom(10) * 3000}, 'latest.pkl')
    os.makedirs(f'tmp-{step}')
    save(step, f'tmp-{step}/state')
    os.rename(f'tmp-{step}', f'checkpoint-{step}')
    with open('latest.pkl', 'rb') as file:
        assert pickle.load(file)['step'] == step
print(sorted(n for n in os.listdir() if n.startswith(('tmp', 'check', 'latest'))))
with zipfile.ZipFile('archive.zip', 'w') as archive:
    for n in range(50):
        archive.writestr(f'{n}', 'content' * n * 100)
with zipfile.ZipFile('archive.zip') as archive:
    print(archive.testzip(), len(archive.namelist()), len(archive.read('49')))
with open('archive.zip', 'r+b') as file, mmap.mmap(file.fileno(), 0) as area:
    print(area[:2], area.find(b'contentcontent') > 0, area.rfind(b'PK') > 0)
