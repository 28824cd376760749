# SPDX-License-Identifier: LGPL-3.0-or-later
"""PyTorch, unmodified: inference and training inside give the native bytes.

The model is the real SqueezeNet of ../shared/data/imagenet, with a real photo.
"""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / 'examples'
DATA = ROOT.parent / 'shared' / 'data' / 'imagenet'
PYTHON = '/usr/bin/python3'
BIG = {'sgx.enclave_size': '4G', 'sys.stack.size': '8M', 'sgx.max_threads': 64}

TRAINING = '''
import torch
torch.manual_seed(7)
x = torch.randn(512, 20)
y = (x @ torch.randn(20, 3)).argmax(1)
def network():
    return torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
def epochs(net, optimiser, count):
    for _ in range(count):
        for part in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=64):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(part[0]), part[1])
            loss.backward()
            optimiser.step()
    return loss.item()
net = network()
optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
print("first half", epochs(net, optimiser, 5))
torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict()}, "checkpoint.pt")
again = network()
optimiser = torch.optim.Adam(again.parameters())
state = torch.load("checkpoint.pt")
again.load_state_dict(state["net"])
optimiser.load_state_dict(state["optimiser"])
print("second half", epochs(again, optimiser, 5))
with torch.no_grad():
    print("right", (again(x).argmax(1) == y).sum().item(), "of 512")
print(torch.get_num_threads())
'''


@pytest.fixture(scope='session')
def job(tmp_path_factory):
    """A folder with the script, the SqueezeNet model, the photo and the class names."""
    if not (DATA / 'make_squeezenet.py').is_file():
        pytest.skip('../shared/data/imagenet is not there: no real model to run')
    folder = tmp_path_factory.mktemp('job')
    subprocess.run([PYTHON, DATA / 'make_squeezenet.py', DATA / 'compressed_SqueezeNet.net',
                    folder / 'alexnet-pretrained.pt'], check=True)
    for name in ('input.jpg', 'classes.txt'):
        shutil.copyfile(DATA / name, folder / name)
    shutil.copyfile(EXAMPLES / 'pytorch' / 'pytorchexample.py', folder / 'pytorchexample.py')
    return folder


@pytest.fixture
def here(job, tmp_path):
    folder = tmp_path / 'pytorch'
    shutil.copytree(job, folder)
    return folder


@pytest.fixture
def native_result(here, run_native):
    """native_result(threads) -> bytes of result.txt, which is removed again"""
    def run(threads=1):
        done = run_native([PYTHON, 'pytorchexample.py'], cwd=here, env={'OMP_NUM_THREADS': str(threads)})
        assert done.status == 0, str(done)
        result = (here / 'result.txt').read_bytes()
        assert result.startswith(b'Labrador retriever: 75.6'), result
        (here / 'result.txt').unlink()
        return result
    return run


def test_native_answer_is_right(native_result):
    native_result()


@pytest.mark.parametrize('threads', [1, 2])
def test_inference(threads, here, native_result, run_inside):
    expected = native_result(threads)
    done = run_inside([PYTHON, 'pytorchexample.py'], extras=BIG, cwd=str(here), allowed=[f'{here}/'],
                      env={'OMP_NUM_THREADS': str(threads)})
    assert done.status == 0, str(done)
    assert (here / 'result.txt').read_bytes() == expected


def test_inference_in_virtual_environment(here, tmp_path, native_result, run_native, run_inside):
    expected = native_result()
    venv = tmp_path / 'venv'
    made = run_native([PYTHON, '-m', 'venv', '--system-site-packages', '--without-pip', venv])
    assert made.status == 0, str(made)
    done = run_inside([venv / 'bin' / 'python3', 'pytorchexample.py'], extras=BIG, cwd=str(here),
                      allowed=[f'{here}/'], env={'OMP_NUM_THREADS': '1'})
    assert done.status == 0, str(done)
    assert (here / 'result.txt').read_bytes() == expected


@pytest.mark.parametrize('threads', [1, 2])
def test_training_with_checkpoint(threads, tmp_path, run_native, run_inside):
    ends = []
    for run in ('native', 'inside'):
        folder = tmp_path / run
        folder.mkdir()
        argv, env = [PYTHON, '-c', TRAINING], {'OMP_NUM_THREADS': str(threads)}
        if run == 'native':
            done = run_native(argv, cwd=folder, env=env)
        else:
            done = run_inside(argv, extras=BIG, cwd=str(folder), allowed=[f'{folder}/'], env=env)
        assert done.status == 0, str(done)
        ends.append((done.out, done.err, (folder / 'checkpoint.pt').read_bytes()))
    assert ends[1] == ends[0]


def tools(build_dir, *names):
    for name in names:
        if not os.access(build_dir / 'bin' / name, os.X_OK):
            pytest.skip(f'{name} is not built')
    return {'PATH': f'{build_dir}/bin:/usr/local/bin:/usr/bin:/bin', 'OMP_NUM_THREADS': '1'}


def test_example_as_it_stands(here, build_dir, native_result, run_native):
    env = tools(build_dir, 'gramine-manifest', 'gramine-direct')
    expected = native_result()
    for name in ('Makefile', 'pytorch.manifest.template'):
        shutil.copyfile(EXAMPLES / 'pytorch' / name, here / name)
    made = run_native(['make'], cwd=here, env=env, timeout=300)
    assert made.status == 0, str(made)
    done = run_native(['gramine-direct', './pytorch', 'pytorchexample.py'], cwd=here, env=env, timeout=300)
    assert done.status == 0, str(done)
    assert (here / 'result.txt').read_bytes() == expected


def test_signing_says_what_is_missing(here, build_dir, run_native):
    env = tools(build_dir, 'gramine-manifest')
    if (build_dir / 'bin' / 'gramine-sgx-sign').exists():
        pytest.skip('gramine-sgx-sign is built')
    for name in ('Makefile', 'pytorch.manifest.template'):
        shutil.copyfile(EXAMPLES / 'pytorch' / name, here / name)
    made = run_native(['make', 'SGX=1'], cwd=here, env=env, timeout=300)
    assert made.status != 0 and 'gramine-sgx-sign is not there yet' in made.err, str(made)


def test_confidential_example(here, tmp_path, build_dir, native_result, run_native):
    env = tools(build_dir, 'gramine-manifest', 'gramine-direct', 'gramine-sgx-pf-crypt')
    expected = native_result()
    folder = tmp_path / 'pytorch-confidential'
    shutil.copytree(EXAMPLES / 'pytorch-confidential', folder,
                    ignore=lambda _, names: {n for n in names if n not in ('Makefile', 'pytorch.manifest.template')})

    def make(*targets):
        done = run_native(['make', *targets], cwd=folder, env=env, timeout=300)
        assert done.status == 0, str(done)

    make()
    shutil.rmtree(folder / 'plaintext')
    (folder / 'plaintext').mkdir()
    assert b'Labrador' not in (folder / 'classes.txt').read_bytes()
    assert b'JFIF' not in (folder / 'input.jpg').read_bytes()
    assert b'torchvision' not in (folder / 'alexnet-pretrained.pt').read_bytes()
    done = run_native(['gramine-direct', './pytorch', 'pytorchexample.py'], cwd=folder, env=env, timeout=300)
    assert done.status == 0, str(done)
    assert b'Labrador' not in (folder / 'result.txt').read_bytes()
    make('decrypt')
    assert (folder / 'plaintext' / 'result.txt').read_bytes() == expected

    # Another key: the run fails with an error, and says nothing of the content.
    key = (folder / 'files' / 'wrap_key').read_bytes()
    manifest = (folder / 'pytorch.manifest').read_text()
    assert key.hex() in manifest
    (folder / 'pytorch.manifest').write_text(manifest.replace(key.hex(), bytes(16).hex()))
    (folder / 'result.txt').unlink()
    done = run_native(['gramine-direct', './pytorch', 'pytorchexample.py'], cwd=folder, env=env, timeout=300)
    assert done.status not in (0, 'timeout') and done.err and 'Labrador' not in done.out + done.err, str(done)
    assert not (folder / 'result.txt').exists()
