# SPDX-License-Identifier: LGPL-3.0-or-later
"""Several processes on one file, in ways that a plain directory allows: run in an empty directory,
natively and on an encrypted mount, it must print the same.
"""
import mmap
import os
import signal
import subprocess
import sys
import time

d=sys.argv[1]; os.chdir(d)
def child(fn):
    pid=os.fork()
    if pid==0:
        try: fn()
        except BaseException as e: print('child:', type(e).__name__, e, flush=True); os._exit(1)
        sys.stdout.flush(); os._exit(0)
    return pid
def wait(pid): return os.waitstatus_to_exitcode(os.waitpid(pid,0)[1])
# inherited descriptor, both write
f=os.open('shared',os.O_RDWR|os.O_CREAT,0o644)
os.write(f,b'parent before\n')
p=child(lambda: os.write(f,b'child\n'))
print(wait(p)); os.write(f,b'parent after\n'); os.close(f)
print(open('shared').read())
# many appenders at once
f=os.open('log',os.O_WRONLY|os.O_CREAT|os.O_APPEND,0o644)
def many(k):
    for i in range(200): os.write(f,b'%d %03d\n'%(k,i))
ps=[child(lambda k=k: many(k)) for k in range(4)]
many(9)
print([wait(p) for p in ps])
lines=open('log').read().split('\n'); print(len(lines), len(set(lines)), os.path.getsize('log'))
# same, each with a handle of its own
def own(k):
    g=os.open('log2',os.O_WRONLY|os.O_CREAT|os.O_APPEND,0o644)
    for i in range(200): os.write(g,b'%d %03d\n'%(k,i))
    os.close(g)
ps=[child(lambda k=k: own(k)) for k in range(4)]
print([wait(p) for p in ps])
lines=open('log2').read().split('\n'); print(len(lines), len(set(lines)), os.path.getsize('log2'))
# shared offset, no O_APPEND, concurrently
f=os.open('off',os.O_WRONLY|os.O_CREAT,0o644)
ps=[child(lambda k=k: many(k)) for k in range(4)]
print([wait(p) for p in ps])
lines=open('off').read().split('\n'); print(len(lines), len(set(lines)))
# a process that opened the file later sees what the idle first one wrote
a=open('idle','w'); a.write('x'*5000); a.flush()
r,w=os.pipe(); r2,w2=os.pipe()
def reader():
    os.close(w)
    b=open('idle'); print(len(b.read()), flush=True); os.write(w2,b'.')
    os.read(r,1); print(len(b.read()), os.path.getsize('idle'), flush=True)
p=child(reader)
os.read(r2,1); a.write('y'*3000); a.flush(); os.write(w,b'.')
print(wait(p))
# the same while the first one computes and makes no call
a=open('busy','w'); a.write('x'*5000); a.flush()
def look():
    print(len(open('busy').read()), flush=True); os.kill(os.getppid(),signal.SIGUSR1)
done=[]
signal.signal(signal.SIGUSR1,lambda *x: done.append(1))
p=child(look)
while not done: sum(range(1000))
print(wait(p)); a.close()
# writers in turn, random offsets, two processes
import random
g=os.open('rand',os.O_RDWR|os.O_CREAT,0o644); os.pwrite(g,bytes(200000),0)
def scribble(k):
    h=os.open('rand',os.O_RDWR); rng=random.Random(k)
    for i in range(300):
        at=rng.randrange(0,49)*4000+k*1000
        os.pwrite(h,bytes([k+1])*1000,at)
        got=os.pread(h,1000,at)
        assert got==bytes([k+1])*1000,(k,i,at,got[:4])
    os.close(h)
ps=[child(lambda k=k: scribble(k)) for k in range(4)]
print([wait(p) for p in ps])
data=os.pread(g,200000,0)
print(all(set(data[at+k*1000:at+k*1000+1000])<= {0,k+1} and len(set(data[at+k*1000:at+k*1000+1000]))==1 for at in range(0,196000,4000) for k in range(4)))
# subprocess output
with open('out','w') as o:
    o.write('first\n'); o.flush()
    subprocess.run(['/bin/sh','-c','echo second; /bin/echo third; echo fourth >&2'],stdout=o,stderr=o)
    o.write('fifth\n')
print(open('out').read())
subprocess.run(['/bin/sh','-c','{ echo one; /bin/echo two; /bin/cat out; } > sh.out; read a < sh.out; echo $a; while read x; do /bin/echo "<$x>"; done < sh.out'])
# shared mapping over fork
m=mmap.mmap(-1,1)
f=os.open('map',os.O_RDWR|os.O_CREAT); os.ftruncate(f,10000)
m=mmap.mmap(f,10000); m[0:4]=b'abcd'
def c():
    assert m[0:4]==b'abcd'; m[4:8]=b'efgh'; assert os.pread(f,8,0)==b'abcdefgh'
print(wait(child(c))); print(m[0:8], os.pread(f,8,0), open('map','rb').read(8))
# a process that has a file to itself is killed: what it synced is there
r,w=os.pipe()
def victim():
    v=open('victim','w'); v.write('synced'*1000); v.flush(); os.fsync(v.fileno()); v.write('lost perhaps'); os.write(w,b'.'); time.sleep(60)
p=child(victim); os.read(r,1)
print(open('victim').read()[:6000]=='synced'*1000)
os.kill(p,signal.SIGKILL)
v=open('victim','r+'); v.seek(0); v.write('SYNCED'); v.close(); print(open('victim').read()[:12], wait(p))
# record locks: another process's are in the way, and stat and open do not drop ours
import fcntl
f=os.open('locked',os.O_RDWR|os.O_CREAT); fcntl.lockf(f,fcntl.LOCK_EX)
os.stat('locked'); os.write(f,b'x'); os.fsync(f)
def tries():
    g=os.open('locked',os.O_RDWR)
    for how in (fcntl.lockf, fcntl.flock):
        try: how(g,fcntl.LOCK_EX|fcntl.LOCK_NB); print('got it')
        except OSError as e: print(type(e).__name__)
    os.write(g,b'y')
print(wait(child(tries)), os.pread(f,5,0))
fcntl.lockf(f,fcntl.LOCK_UN); fcntl.flock(f,fcntl.LOCK_EX); print(wait(child(tries)))
