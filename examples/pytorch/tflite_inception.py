# SPDX-License-Identifier: LGPL-3.0-or-later
"""Turn a uint8-quantised TensorFlow Lite Inception v3 into torchvision's Inception3.

Only what this one kind of model needs of the TensorFlow Lite schema (FlatBuffers, identifier
TFL3) is read. The convolutions of the file already contain their batch normalisation, so the
torchvision layers get an identity normalisation whose bias is the folded bias.
"""
import struct

import numpy as np
import torch
from torchvision.models import Inception3
from torchvision.models.inception import BasicConv2d

CONV_2D = 3
TENSOR_TYPES = {2: np.dtype("<i4"), 3: np.dtype("u1")}


class Table:
    """One FlatBuffers table: fields by number, through the vtable."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.vtable_size = struct.unpack_from("<H", data, self.vtable)[0]

    def _field(self, number):
        slot = 4 + 2 * number
        if slot + 2 > self.vtable_size:
            return None
        offset = struct.unpack_from("<H", self.data, self.vtable + slot)[0]
        return self.at + offset if offset else None

    def _reference(self, number):
        field = self._field(number)
        return None if field is None else field + struct.unpack_from("<I", self.data, field)[0]

    def scalar(self, number, kind):
        field = self._field(number)
        return 0 if field is None else struct.unpack_from("<" + kind, self.data, field)[0]

    def table(self, number):
        at = self._reference(number)
        return None if at is None else Table(self.data, at)

    def tables(self, number):
        at = self._reference(number)
        if at is None:
            return []
        entries = [at + 4 + 4 * i for i in range(struct.unpack_from("<I", self.data, at)[0])]
        return [Table(self.data, e + struct.unpack_from("<I", self.data, e)[0]) for e in entries]

    def vector(self, number, dtype):
        at = self._reference(number)
        if at is None:
            return np.empty(0, dtype)
        return np.frombuffer(self.data, dtype, struct.unpack_from("<I", self.data, at)[0], at + 4)

    def text(self, number):
        return self.vector(number, "u1").tobytes().decode("utf-8")


def convolutions(data):
    """{layer name: (weights OIHW as float32, bias as float32)} of every CONV_2D in the file."""
    if data[4:8] != b"TFL3":
        raise ValueError("not a TensorFlow Lite file: the identifier TFL3 is missing")
    model = Table(data, struct.unpack_from("<I", data, 0)[0])
    codes = [max(code.scalar(0, "b"), code.scalar(3, "i")) for code in model.tables(1)]
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors = graph.tables(0)

    def dequantise(tensor):
        dtype = TENSOR_TYPES[tensor.scalar(1, "b")]
        values = buffers[tensor.scalar(2, "I")].vector(0, "u1").view(dtype)
        quantisation = tensor.table(4)
        scale = quantisation.vector(2, "<f4")[0]
        zero = quantisation.vector(3, "<i8")[0]
        shape = tuple(tensor.vector(0, "<i4"))
        return ((values.astype(np.int64) - zero) * np.float64(scale)).astype(np.float32).reshape(shape)

    found = {}
    for operator in graph.tables(3):
        if codes[operator.scalar(0, "I")] != CONV_2D:
            continue
        _, weights, bias = (tensors[i] for i in operator.vector(1, "<i4"))
        name = weights.text(3).split("/weights_quant")[0].split("/", 1)[1]
        found[name] = (dequantise(weights).transpose(0, 3, 1, 2).copy(), dequantise(bias))
    return found


def _assign(parameter, values):
    if tuple(parameter.shape) != values.shape:
        raise ValueError(f"shape {values.shape} in the file, {tuple(parameter.shape)} expected")
    parameter.data = torch.from_numpy(values)


def convert(data):
    """bytes of the file -> Inception3 in evaluation mode, 1,000 ImageNet classes.

    TF-Slim's names sort in the order in which torchvision registers the same layers
    (Conv2d_1a … 4a, then Mixed_5b … 7c, in each the branches, in each the convolutions).
    """
    source = convolutions(data)
    weights, bias = source.pop("Logits/Conv2d_1c_1x1")
    net = Inception3(num_classes=1000, aux_logits=False, transform_input=True, init_weights=False)
    layers = [m for m in net.modules() if isinstance(m, BasicConv2d)]
    if len(layers) != len(source):
        raise ValueError(f"{len(source)} convolutions in the file, {len(layers)} expected")
    for layer, name in zip(layers, sorted(source)):
        kernel, shift = source[name]
        _assign(layer.conv.weight, kernel)
        _assign(layer.bn.bias, shift)
        layer.bn.running_var.fill_(1 - layer.bn.eps)
    # Class 0 of the file is "background"; ImageNet's 1,000 classes follow in the usual order.
    _assign(net.fc.weight, weights[1:, :, 0, 0].copy())
    _assign(net.fc.bias, bias[1:].copy())
    return net.eval()
