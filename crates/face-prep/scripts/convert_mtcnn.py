#!/usr/bin/env python3
"""Converts MTCNN's published weights to safetensors, in the layout of PyTorch's layers.

    convert_mtcnn.py WHEEL_OR_NPY OUT.safetensors

The source is the Python package mtcnn 0.1.1 (MIT licence): its wheel, or `mtcnn_weights.npy` out of it. Nothing but
Python's standard library is needed.

The published networks see every picture with its axes swapped (width first). The converted ones see it upright: kernels
are transposed, and the dense layers that follow a flattening take channels, rows, columns in that order.

Tensors (f32), for `pnet`, `rnet` and `onet`: `conv1…`, `dense1` with `weight` and `bias`, a `prelu…` with `weight` (one
slope per channel) after each; `score` (not face, face), `box` (x1, y1, x2, y2 offsets) and, in `onet`, `landmarks` (five
x, then five y). In `pnet`, `score` and `box` are 1 x 1 convolutions.
"""

import array
import io
import json
import os
import pickle
import struct
import sys
import zipfile

MEMBER = "mtcnn/data/mtcnn_weights.npy"
# Rows and columns of the last feature map, which is flattened.
FLATTENED = 3
HEADS = {2: "score", 4: "box", 10: "landmarks"}


class Array:
    """What NumPy pickles of an array: shape, element type and bytes."""

    def __setstate__(self, state):
        _, self.shape, self.kind, self.fortran_order, self.data = state

    def floats(self):
        if (self.kind.code, self.kind.order, self.fortran_order) != ("f4", "<", False):
            sys.exit(f"expected little-endian f32 in C order, got {self.kind.order}{self.kind.code}")
        values = array.array("f", self.data)
        if sys.byteorder == "big":
            values.byteswap()
        return values


class Kind:
    """What NumPy pickles of an element type."""

    def __init__(self, code, *_):
        self.code = code

    def __setstate__(self, state):
        self.order = state[1]


class Unpickler(pickle.Unpickler):
    """Builds the classes above and nothing else: a pickle may name any function."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: Array(),
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): Kind,
        ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"unexpected {module}.{name}")
        return self.ALLOWED[module, name]


def read(path):
    """The networks' weights: name → list of arrays, in Keras' order."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read(MEMBER)
    else:
        with open(path, "rb") as file:
            data = file.read()
    if data[:8] != b"\x93NUMPY\x01\x00":
        sys.exit(f"{path}: not a NumPy file of version 1.0")
    (header,) = struct.unpack("<H", data[8:10])
    return Unpickler(io.BytesIO(data[10 + header :]), encoding="latin1").load().data[0]


def convolution(kernel):
    """[width, height, in, out] → [out, in, height, width]."""
    width, height, inputs, outputs = kernel.shape
    old = kernel.floats()
    new = array.array("f")
    for o in range(outputs):
        for i in range(inputs):
            for y in range(height):
                for x in range(width):
                    new.append(old[((x * height + y) * inputs + i) * outputs + o])
    return (outputs, inputs, height, width), new


def dense(kernel, after_flattening):
    """[in, out] → [out, in], inputs reordered from (column, row, channel) to (channel, row, column)."""
    inputs, outputs = kernel.shape
    old = kernel.floats()
    order = list(range(inputs))
    if after_flattening:
        side, channels = FLATTENED, inputs // FLATTENED**2
        order = [(x * side + y) * channels + c for c in range(channels) for y in range(side) for x in range(side)]
    return (outputs, inputs), array.array("f", (old[i * outputs + o] for o in range(outputs) for i in order))


def network(name, arrays):
    """The network's tensors: name → (shape, floats)."""
    tensors = {}
    convolutions = dense_layers = slopes = 0
    rest = iter(arrays)
    for weights in rest:
        shape = weights.shape
        if len(shape) in (1, 3):
            slopes += 1
            tensors[f"{name}.prelu{slopes}.weight"] = ((shape[-1],), weights.floats())
            continue
        # A head is dense, or a 1 x 1 convolution; the first convolution of pnet has ten channels too.
        if shape[-1] in HEADS and shape[:-2] in ((), (1, 1)):
            layer = HEADS[shape[-1]]
        elif len(shape) == 4:
            convolutions += 1
            layer = f"conv{convolutions}"
        else:
            dense_layers += 1
            layer = f"dense{dense_layers}"
        converted = convolution(weights) if len(shape) == 4 else dense(weights, layer == "dense1")
        bias = next(rest)
        tensors[f"{name}.{layer}.weight"] = converted
        tensors[f"{name}.{layer}.bias"] = (bias.shape, bias.floats())
    return tensors


def write(path, tensors, metadata):
    header, position = {"__metadata__": metadata}, 0
    for name, (shape, values) in tensors.items():
        end = position + 4 * len(values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = path + ".part"
    with open(part, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            if sys.byteorder == "big":
                values.byteswap()
            values.tofile(file)
    os.replace(part, path)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tensors = {}
    for name, arrays in read(sys.argv[1]).items():
        tensors.update(network(name, arrays))
    tensors = dict(sorted(tensors.items()))
    write(sys.argv[2], tensors, {"format": "pt", "model": "MTCNN", "source": "Python package mtcnn 0.1.1", "license": "MIT"})


if __name__ == "__main__":
    main()
