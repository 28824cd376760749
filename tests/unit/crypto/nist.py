# SPDX-License-Identifier: LGPL-3.0-or-later
"""NIST's vectors for AES-128-GCM (CAVP), AES-128-CMAC (SP 800-38B) and SHA-256 (CAVP), as Debian's
python3-cryptography-vectors has them, run through the line-driven test program.

Usage: nist.py PROGRAM
"""
import importlib.util
import pathlib
import subprocess
import sys

SKIP = 77
LONGEST = 8000  # bytes of text that the program takes


def records(path):
    """Yields the fields of each group of NAME = VALUE lines; [NAME = VALUE] holds for what follows."""
    shared, fields = {}, {}
    for line in path.read_text().splitlines() + ['']:
        line = line.strip()
        if line == 'FAIL':
            fields['FAIL'] = ''
        elif not line and fields:
            yield {**shared, **fields}
            fields = {}
        elif '=' in line and not line.startswith('#'):
            name, value = (part.strip() for part in line.strip('[]').split('=', 1))
            (shared if line.startswith('[') else fields)[name] = value


def gcm(path):
    for r in records(path):
        if 'Key' not in r or (r['IVlen'], r['Taglen']) != ('96', '128'):
            continue
        failing = 'FAIL' in r
        # A refused case has no plaintext: any will do.
        text = r['CT'] if failing else r['PT']
        yield [' '.join(['gcm', *(v or '-' for v in (r['Key'], r['IV'], r['AAD'], text, r['CT'], r['Tag']))]),
               'refused' if failing else 'ok']


def cmac(path):
    for r in records(path):
        if 'KEY' in r:
            yield [f'cmac {r["KEY"]} {r["MESSAGE"] or "-"} {r["OUTPUT"]}', 'ok']


def sha256(path):
    for r in records(path):
        if 'Msg' in r and int(r['Len']) <= 8 * LONGEST:
            yield [f'sha256 {r["Msg"] if int(r["Len"]) else "-"} {r["MD"]}', 'ok']


def main():
    program = sys.argv[1]
    found = importlib.util.find_spec('cryptography_vectors')
    if not found:
        print('SKIP: python3-cryptography-vectors is not installed')
        return SKIP
    top = pathlib.Path(found.origin).parent
    groups = {
        'GCM encrypt': list(gcm(top / 'ciphers/AES/GCM/gcmEncryptExtIV128.rsp')),
        'GCM decrypt': list(gcm(top / 'ciphers/AES/GCM/gcmDecrypt128.rsp')),
        'CMAC': list(cmac(top / 'CMAC/nist-800-38b-aes128.txt')),
        'SHA-256 short': list(sha256(top / 'hashes/SHA2/SHA256ShortMsg.rsp')),
        'SHA-256 long': list(sha256(top / 'hashes/SHA2/SHA256LongMsg.rsp')),
    }
    wrong = 0
    for name, cases in groups.items():
        run = subprocess.run([program], input=''.join(line + '\n' for line, _ in cases), text=True,
                             capture_output=True)
        answers = run.stdout.split()
        bad = [line for (line, want), answer in zip(cases, answers) if answer != want]
        print(f'{name}: {len(cases)} cases, {len(bad)} wrong')
        if run.returncode or not cases or len(answers) != len(cases) or bad:
            print(f'status {run.returncode}, {len(answers)} answers', *bad[:3], run.stderr, sep='\n')
            wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
