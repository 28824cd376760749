# SPDX-License-Identifier: LGPL-3.0-or-later
"""Prints the median milliseconds of one inference, after warming up. usage: inference.py MODEL"""
import statistics
import sys
import time

import torch

model = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
model.eval()
image = torch.linspace(-2, 2, 3 * 224 * 224).reshape(1, 3, 224, 224)
with torch.no_grad():
    for _ in range(5):
        model(image)
    times = []
    for _ in range(25):
        begin = time.perf_counter()
        model(image)
        times.append(time.perf_counter() - begin)
print(statistics.median(times) * 1000)
