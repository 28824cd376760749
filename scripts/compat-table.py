# SPDX-License-Identifier: LGPL-3.0-or-later
"""Compares docs/compatibility.md with the sources: every system call and every manifest key is named
there once, and what is said of a system call agrees with whether the library OS has a handler.

usage: compat-table.py [--image build/lib/adyton/adyton-direct]     check; status 1 with findings
       compat-table.py [--image ...] --summary                      the counts for the document
       compat-table.py --values                                     the rows of "Plain values" in docs/manifest.md
"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / 'docs' / 'compatibility.md'
LIBOS = ROOT / 'src' / 'libos'

CALL_STATES = ('full', 'partial', 'EPERM', 'ENOSYS')
KEY_STATES = ('full', 'partial', 'kept', 'not')


def section(text, title):
    """The lines between the heading `## title` and the next heading of that level."""
    found = re.search(rf'^## {re.escape(title)}$(.*?)(?=^## |\Z)', text, re.M | re.S)
    if not found:
        sys.exit(f'{DOCUMENT}: there is no section "## {title}"')
    return found[1]


def rows(text):
    """(names, state) of each table row `| `a`, `b` | state | ... |`."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split('|')]
        if len(cells) >= 4 and cells[1].startswith('`'):
            yield re.findall(r'`([^`]+)`', cells[1]), cells[2]


def documented(text, title, states, findings):
    """name -> state, from the tables of one section."""
    out = {}
    for names, state in rows(section(text, title)):
        if state not in states:
            findings.append(f'{names[0]}: state "{state}" is none of {", ".join(states)}')
        for name in names:
            if name in out:
                findings.append(f'{name}: named twice')
            out[name] = state
    return out


def linux_calls():
    return set(re.findall(r'X\(\d+, (\w+)\)', (LIBOS / 'entry' / 'syscall_list.h').read_text()))


def handlers(image):
    """Names with a handler of their own: the others are weak aliases of one function."""
    listing = subprocess.run(['nm', image], capture_output=True, text=True, check=True).stdout
    found = {name: kind for kind, name in re.findall(r' (\w) sys_(\w+)$', listing, re.M)}
    if not found:
        sys.exit(f'{image} has no symbols: build without stripping')
    return {name for name, kind in found.items() if kind in 'Tt'}


def answers_only(error):
    """Handlers whose whole body is `return -error`."""
    names = set()
    for path in sorted(LIBOS.rglob('*.c')):
        source = path.read_text()
        names.update(re.findall(rf'^SYSCALL0\((\w+)\)\n{{\n    return -{error};\n}}', source, re.M))
        if error == 'EPERM':
            names.update(re.findall(r'^REFUSED\((\w+)\)$', source, re.M))
    return names


def expected_states(image):
    have, refused, pretended = handlers(image), answers_only('EPERM'), answers_only('ENOSYS')
    return {name: ('EPERM',) if name in refused else
            ('full', 'partial') if name in have - pretended else ('ENOSYS',)
            for name in linux_calls()}


def plain_values():
    """(key, kind, least, most, otherwise, names) of each row of MF_VALUES in src/manifest/keys.h."""
    source = (ROOT / 'src' / 'manifest' / 'keys.h').read_text().replace('\\\n', ' ')
    lists = {name: re.findall(r'X\((\w+), "(\w+)"\)', body)
             for name, body in re.findall(r'#define (MF_\w+)\(X\)(.*)', source)}
    rows_of_table = re.findall(r'X\("([a-z0-9_.]+)", \w+, K_(\w+), (\S+), (\S+), ([^,]+), (?:NULL|MF_NAMES\((\w+)\))\)',
                               source)
    if len(rows_of_table) != source.count('X("'):
        sys.exit('src/manifest/keys.h: a row of MF_VALUES is not understood')
    return [(*row[:5], lists.get(row[5], [])) for row in rows_of_table]


def manifest_keys():
    source = (ROOT / 'src' / 'manifest' / 'schema_keys.c').read_text()
    table = source[source.index('manifest_rules[] = {'):]
    table = table[:table.index('\n};')]
    return set(re.findall(r'[A-Z_]+\("([a-z0-9_.*]+)"', table)) | {row[0] for row in plain_values()}


def size_text(number):
    """As a manifest gives it: "32M"."""
    for unit, shift in (('G', 30), ('M', 20), ('K', 10)):
        if number and number % (1 << shift) == 0:
            return f'"{number >> shift}{unit}"'
    return f'"{number}"'


def value_row(key, kind, least, most, otherwise, names):
    """The row of docs/manifest.md for a key with a plain value."""
    number = {name: str(value) for value, (name, _) in enumerate(names)}
    limits = {'UINT32_MAX': (1 << 32) - 1, 'UINT64_MAX': (1 << 64) - 1, 'INT64_MAX': (1 << 63) - 1}

    def plain(text):
        shifted = re.fullmatch(r'(\d+) << (\d+)', text)
        if shifted:
            return int(shifted[1]) << int(shifted[2])
        return limits[text] if text in limits else int(number.get(text, text), 0)
    if otherwise == 'MF_UNSET':
        default = '–'
    elif kind == 'BOOLEAN':
        default = ('`false`', '`true`')[plain(otherwise)]
    elif kind == 'ENUM':
        default = f'`"{names[plain(otherwise)][1]}"`'
    elif kind == 'SIZE':
        default = f'`{size_text(plain(otherwise))}`'
    elif kind == 'MASK':
        default = f'`"0x{plain(otherwise):0{8 if most == "UINT32_MAX" else 16}x}"`'
    else:
        default = f'`{plain(otherwise)}`'
    value = {'BOOLEAN': '`true`, `false`', 'SIZE': 'size', 'MASK': 'mask'}.get(kind)
    if kind == 'ENUM':
        value = ', '.join(f'`"{name}"`' for _, name in names[plain(least):plain(most) + 1])
    elif kind == 'INTEGER':
        value = f'{plain(least)} to {plain(most)}'
    return f'| `{key}` | {value} | {default} |'


def check_values(findings):
    """docs/manifest.md has the table of src/manifest/keys.h, row by row."""
    table = section((ROOT / 'docs' / 'manifest.md').read_text(), 'Plain values')
    have = [line for line in table.splitlines() if line.startswith('| `')]
    want = [value_row(*row) for row in plain_values()]
    findings.extend(f'docs/manifest.md, "Plain values": this row is missing: {row}' for row in want if row not in have)
    findings.extend(f'docs/manifest.md, "Plain values": no such row: {row}' for row in have if row not in want)


def compare(kind, documented_names, real_names, findings):
    findings.extend(f'{name}: this {kind} is not in the document'
                    for name in sorted(real_names - documented_names))
    findings.extend(f'{name}: there is no such {kind}'
                    for name in sorted(documented_names - real_names))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--image', type=pathlib.Path,
                        default=ROOT / 'build' / 'lib' / 'adyton' / 'adyton-direct')
    parser.add_argument('--summary', action='store_true')
    parser.add_argument('--values', action='store_true')
    args = parser.parse_args()
    if args.values:
        print('\n'.join(value_row(*row) for row in plain_values()))
        return 0
    if not args.image.is_file():
        sys.exit(f'{args.image} is not there: run make, or give --image')
    text, findings = DOCUMENT.read_text(), []

    calls = documented(text, 'System calls', CALL_STATES, findings)
    expected = expected_states(args.image)
    compare('system call', set(calls), set(expected), findings)
    for name in sorted(set(calls) & set(expected)):
        if calls[name] in CALL_STATES and calls[name] not in expected[name]:
            findings.append(f'{name}: the document says {calls[name]}, the library OS has '
                            f'{" or ".join(expected[name])}')

    keys = documented(text, 'Manifest keys', KEY_STATES, findings)
    compare('manifest key', set(keys), manifest_keys(), findings)
    check_values(findings)

    counts = {state: list(calls.values()).count(state) for state in CALL_STATES}
    summary = (f'{len(calls)} system calls: ' +
               ', '.join(f'{counts[state]} {state}' for state in CALL_STATES) + '.')
    if args.summary:
        print(summary)
        return 0
    if summary not in text:
        findings.append(f'the document does not have this line: {summary}')
    for finding in findings:
        print(finding if finding.startswith('docs/') else f'docs/compatibility.md: {finding}')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
