# SPDX-License-Identifier: LGPL-3.0-or-later
"""adyton keyserver report: the page, against logs that want to be more than text, and in a browser without a screen."""
import hashlib
import html.parser
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from keyserver import BUILD, MRENCLAVE, Device, Refused, adyton, secret, serving

pytestmark = pytest.mark.skipif(not (BUILD / 'lib/adyton/adyton-sgxemu').exists(),
                                reason='the software SGX device is not built')
HOSTILE = ['<script>document.title="owned"</script>', '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", '</td></table></body>',
           '&lt;b&gt;', '<!--', ']]>', '\u202e\x01\x1b[31m', '\ud83d\ude00'.encode('utf-16', 'surrogatepass').decode('utf-16'), '{{7*7}}']


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Folders of two instances with releases and refusals."""
    device = Device(tmp_path_factory.mktemp('device'))
    folder = tmp_path_factory.mktemp('keys')
    (folder / 'key').write_bytes(b'0123456789abcdef')
    enclaves = device.enclave(), device.enclave(mrenclave='33' * 32, svn=1)
    with serving(folder / 'a', secret('model', f'file:{folder}/key'), device, audit=True, server='name = "first"') as a, \
            serving(folder / 'b', secret('other', f'file:{folder}/key'), device, audit=True, server='name = "second"') as b:
        for s in (a, b):
            s.secret(enclaves[0])
            with pytest.raises(Refused):
                s.secret(enclaves[1])
            assert s.stop(signal.SIGTERM) == 0
    return a.folder / 'audit.log', b.folder / 'audit.log'


def report(page, *args, status=0):
    done = adyton('keyserver', 'report', *args, '--output', page)
    assert done.returncode == status, done.stderr
    return page.read_text(), done.stderr


class Page(html.parser.HTMLParser):
    """Texts of cells by table, and every tag and attribute that occurs."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.tables, self.table, self.chain = set(), set(), {}, None, ''
        self.inside, self.in_chain = None, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        attrs = dict(attrs)
        if tag == 'table':
            self.table = self.tables.setdefault(attrs['id'], [])
        elif tag == 'tr' and self.table is not None:
            self.table.append([])
        elif tag == 'td':
            self.table[-1].append('')
            self.inside = self.table[-1]
        elif tag == 'br' and self.inside:
            self.inside[-1] += '\n'
        self.in_chain = attrs.get('id') == 'chain'

    def handle_endtag(self, tag):
        if tag == 'td':
            self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.inside[-1] += data
        elif self.in_chain:
            self.chain += data

    def rows(self, table):
        return [row for row in self.tables[table] if row]


def test_page(written, tmp_path):
    text, said = report(tmp_path / 'page.html', *written)
    page = Page(text)
    assert said == '' and page.chain.strip() == 'The chain of every log is intact.'
    assert page.tags <= {'html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'h2', 'p', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'br', 'span'}
    assert page.attributes <= {'lang', 'charset', 'http-equiv', 'content', 'name', 'id', 'class'}
    assert not re.search(r'https?://|url\(|@import|src=|href=', text)
    assert [(row[1], row[2]) for row in page.rows('logs')] == [('5', 'intact')] * 2
    assert sorted(map(tuple, page.rows('tally'))) == [('model', 'OK', '1'), ('model', 'POLICY_MEASUREMENT', '1'),
                                                     ('other', 'OK', '1'), ('other', 'POLICY_MEASUREMENT', '1')]
    rows = page.rows('decisions')
    assert len(rows) == 4 and [r[0] for r in rows] == sorted((r[0] for r in rows), reverse=True)
    refused = [r for r in rows if r[1] == 'refused']
    assert len(refused) == 2 and all('POLICY_MEASUREMENT\nmrenclave is not one that the policy names' in r[3] for r in refused)
    assert all('33' * 32 in r[4] and 'product 7, svn 1' in r[4] for r in refused)
    released = [r for r in rows if r[1] == 'released']
    assert all(MRENCLAVE in r[4] and 'UpToDate' in r[5] and "not Intel's" in r[5] and '127.0.0.1 port' in r[6] for r in released)
    assert {r[6].split('\n')[1] for r in rows} == {'first', 'second'}


def test_last(written, tmp_path):
    page = Page(report(tmp_path / 'page.html', *written, '--last', 1)[0])
    assert len(page.rows('decisions')) == 1 and sum(int(r[2]) for r in page.rows('tally')) == 4


def test_broken_chain(written, tmp_path):
    lines = written[0].read_text().splitlines(True)
    (tmp_path / 'log').write_text(''.join([*lines[:3], lines[3].replace('refuse', 'release'), *lines[4:]]))
    text, said = report(tmp_path / 'page.html', tmp_path / 'log', status=1)
    page = Page(text)
    assert 'is broken' in page.chain and 'broken at record 4: it was changed' in page.rows('logs')[0][2] and 'broken at record 4' in said
    assert len(page.rows('decisions')) == 1
    (tmp_path / 'log').write_text(''.join(lines[:-1]))
    text, _ = report(tmp_path / 'page.html', tmp_path / 'log', '--head', f'{written[0]}.head', status=1)
    assert 'the log was cut' in Page(text).rows('logs')[0][2]
    text, _ = report(tmp_path / 'page.html', tmp_path / 'log')
    assert 'none: what was cut off' in Page(text).rows('logs')[0][3]


def hostile_log(path, begin):
    """A log whose every text is an attack; whoever can write the log could make it."""
    lines, before = [], '0' * 64
    records = [{k: v for k, v in begin.items() if k not in ('seq', 'prev', 'hash')}]
    for text in HOSTILE:
        records.append({'event': 'start', 'instance': text})
        records.append({'event': 'refuse', **dict.fromkeys(
            ('time', 'peer', 'secret', 'code', 'reason', 'mrenclave', 'mrsigner', 'verdict', 'tcb_date', 'fmspc', 'ppid', 'root'), text),
            'advisories': [text, 5, None], 'isv_svn': text, 'verified': text})
    records += [{'event': 'release'}, {'event': 'refuse', 'secret': 5, 'advisories': {}, 'reason': ['x']}, {'event': 5}]
    for number, record in enumerate(records, 1):
        body = '{' + f'"seq":{number},"prev":"{before}",' + json.dumps(record, separators=(',', ':'))[1:-1]
        before = hashlib.sha256(body.encode()).hexdigest()
        lines.append(f'{body},"hash":"{before}"}}\n')
    path.write_text(''.join(lines))


@pytest.fixture
def hostile(written, tmp_path):
    hostile_log(tmp_path / '<img src=x onerror=alert(1)>', json.loads(written[0].read_text().splitlines()[0]))
    return tmp_path / '<img src=x onerror=alert(1)>'


def test_hostile_texts(hostile, tmp_path):
    text, _ = report(tmp_path / 'page.html', hostile)
    page = Page(text)
    assert page.tags <= {'html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'h2', 'p', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'br', 'span'}
    assert page.attributes <= {'lang', 'charset', 'http-equiv', 'content', 'name', 'id', 'class'}
    assert text.count('<script') == 0 and '\x1b' not in text and '\x01' not in text
    shown = ''.join(''.join(row) for row in page.rows('decisions'))
    for attack in HOSTILE[:7]:
        assert attack in shown
    assert len(page.rows('decisions')) == len(HOSTILE) + 2


def browser():
    for name in ('chromium', 'chromium-browser', 'google-chrome'):
        path = shutil.which(name, path='/usr/bin:/usr/local/bin:/snap/bin')
        if path:
            return path
    pytest.skip('there is no Chromium here: the page was not looked at in a browser')
    return None


def chromium(tmp_path, page, *options):
    command = [browser(), '--headless', '--disable-gpu', '--no-sandbox', '--disable-dev-shm-usage', '--no-first-run',
               '--disable-background-networking', f'--user-data-dir={tmp_path}/profile', *options, f'file://{page}']
    done = subprocess.run(command, capture_output=True, timeout=120, env={'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path)})
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-2000:]
    return done.stdout.decode()


def test_in_a_browser(written, hostile, tmp_path):
    """What a browser makes of it: nothing ran, the tables are whole, and it can be seen."""
    if os.getuid():
        pytest.skip('Chromium without its sandbox is for a container: needs root')
    report(tmp_path / 'page.html', *written)
    dom = Page(chromium(tmp_path, tmp_path / 'page.html', '--dump-dom'))
    assert len(dom.rows('decisions')) == 4 and dom.chain.strip() == 'The chain of every log is intact.'
    report(tmp_path / 'hostile.html', hostile)
    text = chromium(tmp_path, tmp_path / 'hostile.html', '--dump-dom')
    dom = Page(text)
    assert '<title>Key server: who got what</title>' in text
    assert not dom.tags & {'script', 'img', 'iframe', 'svg', 'a'} and len(dom.rows('decisions')) == len(HOSTILE) + 2
    chromium(tmp_path, tmp_path / 'page.html', f'--screenshot={tmp_path}/page.png', '--window-size=1400,900')
    picture = (tmp_path / 'page.png').read_bytes()
    assert picture[:8] == b'\x89PNG\r\n\x1a\n' and len(picture) > 10000


def test_usage(written, tmp_path):
    for args in ([], [written[0]], ['--output', tmp_path / 'x'], [written[0], '--output', tmp_path / 'x', '--last', '0'],
                 [written[0], written[1], '--output', tmp_path / 'x', '--head', f'{written[0]}.head'],
                 [tmp_path / 'nowhere', '--output', tmp_path / 'x'], [written[0], '--output', '/nowhere/x']):
        done = adyton('keyserver', 'report', *args)
        assert done.returncode == 2 and done.stderr.startswith('error: adyton keyserver: ') and not (tmp_path / 'x').exists(), args
    assert adyton('keyserver', 'report', '--help').stdout.startswith('Usage: adyton keyserver')
