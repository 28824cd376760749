# SPDX-License-Identifier: LGPL-3.0-or-later
"""The first process of a pid namespace: starts bystanders (same group, own group, own session), runs
a command among them with their numbers as its last arguments, and tells whether anything has
happened to them."""
import os
import resource
import subprocess
import sys

assert os.getpid() == 1, 'only for a pid namespace of its own'


def state(pid):
    with open(f'/proc/{pid}/stat') as f:
        stat = f.read().rsplit(')', 1)[1].split()
    with open(f'/proc/{pid}/oom_score_adj') as f:
        oom = f.read()
    return {'state': 'S' if stat[0] in 'RD' else stat[0], 'group': stat[2], 'session': stat[3], 'nice': stat[16], 'oom': oom,
            'policy': os.sched_getscheduler(pid), 'affinity': sorted(os.sched_getaffinity(pid)),
            'limits': [resource.prlimit(pid, n) for n in range(16)]}


# As a fresh session the command's first group is this one's, which has a bystander, too.
os.setsid()
bystanders = [subprocess.Popen(['/bin/sleep', '1000'], **how)
              for how in ({}, {'process_group': 0} if sys.version_info >= (3, 11) else {'preexec_fn': os.setpgrp},
                          {'start_new_session': True})]
for one in bystanders:
    while open(f'/proc/{one.pid}/comm').read() != 'sleep\n':
        pass
before = {one.pid: state(one.pid) for one in bystanders}
status = subprocess.run([*sys.argv[1:], '1', *map(str, before)]).returncode
for one in bystanders:
    after = 'dead' if one.poll() is not None else state(one.pid)
    print('unchanged' if after == before[one.pid] else f'CHANGED: {before[one.pid]} -> {after}')
print('status', status)
