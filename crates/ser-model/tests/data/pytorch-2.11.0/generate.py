"""What every speech network computes in plain PyTorch: logits, loss, gradients and batch norm statistics.

Run once with `pip install torch==2.11.0 numpy` and commit the JSON files; names of networks as arguments make those alone.

No weights are committed: both sides fill every tensor by one formula from its name (`fill`), and of every gradient only its
largest magnitude, its norm, its sum, two dot products with made-up vectors and eight of its elements are kept (`digest`). The
figures are computed in double precision. Where a ReLU or a max pool lies within rounding of its edge, whole gradients would
change: the inputs are drawn (`seed`) until PyTorch's own single precision comes within half of the tolerance. Where the Rust
network has its sequences channels-last (`LAID_OUT`), that must hold for PyTorch's convolution of such, which rounds otherwise, too.
"""

import json
import math
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

assert torch.__version__.startswith("2.11.0"), torch.__version__

HERE = Path(__file__).parent
CLASSES = 8
BATCH = 16
VECTOR = 162
MFCCS, MFCC_FRAMES = 40, 128
TOLERANCE = 1e-5
LAID_OUT = ("DeepCnn1d",)


def name_hash(name):
    """64-bit FNV-1a."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state


def noise(name, count):
    """SplitMix64 at the places hash(name), hash(name) + 1, … as numbers of [-1, 1)."""
    z = np.uint64(name_hash(name)) + np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53 * 2 - 1


def fill(name, shape):
    """The values of a tensor, rounded to single precision."""
    values = noise(name, math.prod(shape))
    if name.endswith("running_var"):
        values = 1 + 0.5 * values
    elif len(shape) == 1 and name.endswith("weight"):
        values = 1 + 0.25 * values
    elif name == "speech.output.bias":
        # Around the threshold of the stretch that is kept, which is then neither nothing nor all.
        values = 2.3 + 0.125 * values
    elif len(shape) == 1:
        values = 0.125 * values
    else:
        # Weights between states are smaller, so that 128 steps neither die out nor run away.
        power = 1.0 if "weight_hh" in name or "weight_ih" in name else 3.0
        values = values * math.sqrt(power / (math.prod(shape) // shape[0]))
    return torch.from_numpy(values.astype(np.float32)).reshape(shape).double()


def sound(seed, shape):
    """Numbers of deviation 1. Sequences end at different frames: the last row is 1 before and 0 behind, the others 0 there."""
    values = torch.from_numpy(noise(f"input {seed}", math.prod(shape)).astype(np.float32)).reshape(shape).double()
    values = values * 1.75
    if len(shape) == 3:
        for index, clip in enumerate(values):
            frames = shape[2] - 7 * index
            clip[-1] = 1
            clip[:, frames:] = 0
    return values


def digest(name, tensor):
    """[largest magnitude, norm, sum, two dot products, eight elements]"""
    values = tensor.detach().flatten().numpy()
    dots = [float(values @ noise(f"{probe} {name}", values.size)) for probe in ("first", "second")]
    places = ((noise(f"places {name}", 8) + 1) / 2 * values.size).astype(np.int64)
    digits = [np.abs(values).max(), math.sqrt(values @ values), values.sum(), *dots, *values[places]]
    return [float(f"{value:.12g}") for value in digits]


class Conv1dNorm(nn.Conv1d):
    """A convolution that holds the batch norm behind it, as the names in the weights files have it."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 5, padding=2)
        self.norm = nn.BatchNorm1d(outputs)


class LinearNorm(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)


def pool_5_by_2_same(x):
    """Keras' "same" padding: the odd place is behind."""
    total = (math.ceil(x.shape[-1] / 2) - 1) * 2 + 5 - x.shape[-1]
    return F.max_pool1d(F.pad(x, (total // 2, total - total // 2), value=-math.inf), 5, 2)


class Mlp(nn.Module):
    shape = (VECTOR,)

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(VECTOR, 300)
        self.output = nn.Linear(300, CLASSES)

    def forward(self, x):
        return self.output(F.relu(self.hidden(x)))


class DeepCnn1d(nn.Module):
    shape = (VECTOR,)

    def __init__(self):
        super().__init__()
        widths = (1, 256, 256, 128, 64)
        for index in range(4):
            setattr(self, f"conv{index}", nn.Conv1d(widths[index], widths[index + 1], 5, padding=2))
        self.dense = nn.Linear(11 * 64, 32)
        self.output = nn.Linear(32, CLASSES)

    def forward(self, x):
        x = x[:, None]
        for conv in (self.conv0, self.conv1, self.conv2, self.conv3):
            x = pool_5_by_2_same(F.relu(conv(x)))
        return self.output(F.relu(self.dense(x.flatten(1))))


class FourConvCnn(nn.Module):
    shape = (VECTOR,)

    def __init__(self):
        super().__init__()
        widths = (1, 64, 128, 256, 512)
        for index in range(4):
            setattr(self, f"conv{index}", Conv1dNorm(widths[index], widths[index + 1]))
        widths = (11 * 512, 512, 256, 128)
        for index in range(3):
            setattr(self, f"dense{index}", LinearNorm(widths[index], widths[index + 1]))
        self.output = nn.Linear(128, CLASSES)

    def forward(self, x):
        x = x[:, None]
        for conv in (self.conv0, self.conv1, self.conv2, self.conv3):
            x = pool_5_by_2_same(F.relu(conv.norm(conv(x))))
        x = x.flatten(1)
        for dense in (self.dense0, self.dense1, self.dense2):
            x = F.relu(dense.norm(dense(x)))
        return self.output(x)


class CnnLstm(nn.Module):
    shape = (VECTOR,)

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv1d(1, 64, 5, padding=2)
        self.conv1 = nn.Conv1d(64, 128, 5, padding=2)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.dense = nn.Linear(128, 64)
        self.output = nn.Linear(64, CLASSES)

    def forward(self, x):
        x = x[:, None]
        for conv in (self.conv0, self.conv1):
            x = F.max_pool1d(F.relu(conv(x)), 2)
        _, (last, _) = self.lstm(x.transpose(1, 2))
        return self.output(F.relu(self.dense(last[0])))


class Recurrent(nn.Module):
    """Two layers on sequences of any length, which PyTorch is given packed: it never sees the padding."""

    shape = (MFCCS + 1, MFCC_FRAMES)

    def __init__(self, name, layer):
        super().__init__()
        self.layer = name
        setattr(self, name, layer(MFCCS, 128, num_layers=2, batch_first=True))
        self.output = nn.Linear(128, CLASSES)

    def forward(self, x):
        lengths = x[:, -1].sum(1).long()
        packed = nn.utils.rnn.pack_padded_sequence(x[:, :-1].transpose(1, 2), lengths, batch_first=True)
        _, last = getattr(self, self.layer)(packed)
        return self.output((last[0] if isinstance(last, tuple) else last)[-1])


class MfccCnn(nn.Module):
    shape = (MFCCS + 1, MFCC_FRAMES)

    def __init__(self):
        super().__init__()
        widths = (1, 32, 64, 128)
        for index in range(3):
            setattr(self, f"conv{index}", nn.Conv2d(widths[index], widths[index + 1], 3, padding=1))
        self.dense = nn.Linear(128 * 5 * 16, 128)
        self.output = nn.Linear(128, CLASSES)

    def forward(self, x):
        x = x[:, None, :-1]
        for conv in (self.conv0, self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.output(F.relu(self.dense(x.flatten(1))))


class ConvNorm(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))


def lengths(mask):
    """The frames of each clip, of a mask `[batch, 1, 1, frames]`."""
    return mask.flatten(1).sum(1).long()


def remembered(clip, forwards, backwards):
    """What both LSTMs say of one clip, `[frames, inputs]`."""
    after = backwards(clip[None].flip(1))[0].flip(1)
    return torch.cat([forwards(clip[None])[0], after], 2)[0]


class LogMelCnn(nn.Module):
    """The LSTMs and the pooling are given each clip alone, as far as its sound goes: they never see the padding."""

    shape = (64 + 1, 128)

    def __init__(self, images=1):
        super().__init__()
        self.stem = ConvNorm(images, 32, 5, 2)
        for index, (inputs, outputs) in enumerate(((32, 64), (64, 128), (128, 160))):
            setattr(self, f"stage{index + 1}", ConvNorm(inputs, outputs, 3, 1))
        self.forwards = nn.LSTM(4 * 160, 64, batch_first=True)
        self.backwards = nn.LSTM(4 * 160, 64, batch_first=True)
        self.attention = nn.ModuleDict({"hidden": nn.Linear(768, 64), "score": nn.Linear(64, 1)})
        self.norm = nn.BatchNorm1d(2 * 768)
        self.embedding = nn.Linear(2 * 768, 128)
        self.output = nn.Linear(128, CLASSES)

    def pool(self, frames, speaking):
        """Attentive statistics over the frames of one clip, `[frames, features]`."""
        scores = self.attention["score"](torch.tanh(self.attention["hidden"](frames)))
        shares = (scores + speaking).softmax(0)
        mean = (shares * frames).sum(0)
        return torch.cat([mean, ((shares * frames**2).sum(0) - mean**2).clamp(min=1e-5).sqrt()])

    def forward(self, x):
        return self.read(x[:, None, :-1], x[:, None, -1:].detach(), x.new_zeros(len(x), x.shape[2] // 2))

    def read(self, x, mask, speaking):
        x, mask = x * mask, mask[..., ::2]
        x = self.stem(x) * mask
        for stage, pool in ((self.stage1, (2, 2)), (self.stage2, (2, 1)), (self.stage3, (2, 1))):
            mask = mask[..., :: pool[1]]
            x = stage(F.max_pool2d(x, pool, ceil_mode=True)) * mask
        clips = []
        for clip, frames, weight in zip(x.permute(0, 3, 1, 2).flatten(2), lengths(mask), speaking[:, ::2, None]):
            clip, weight = clip[:frames], weight[:frames]
            memory = remembered(clip * weight.exp(), self.forwards, self.backwards)
            clips.append(self.pool(torch.cat([clip, memory], 1), weight))
        return self.output(F.relu(self.embedding(self.norm(torch.stack(clips)))))


class SpeechMask(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvNorm(1, 24, 5, 2)
        self.stage1 = ConvNorm(24, 48, 3, 1)
        self.stage2 = ConvNorm(48, 64, 3, 1)
        self.forwards = nn.LSTM(8 * 64, 64, batch_first=True)
        self.backwards = nn.LSTM(8 * 64, 64, batch_first=True)
        self.output = nn.Linear(8 * 64 + 2 * 64, 64 + 1)

    def forward(self, x, mask):
        x, mask = x * mask, mask[..., ::2]
        x = self.stem(x) * mask
        for stage in (self.stage1, self.stage2):
            x = stage(F.max_pool2d(x, (2, 1))) * mask
        x = x.permute(0, 3, 1, 2).flatten(2)
        memory = x.new_zeros(*x.shape[:2], 128)
        for index, (clip, frames) in enumerate(zip(x, lengths(mask))):
            memory[index, :frames] = remembered(clip[:frames], self.forwards, self.backwards)
        return self.output(torch.cat([x, memory], 2)).transpose(1, 2)


def loud(image):
    """The level that a twentieth of the frames reach, in steps of 18 dB as the image itself."""
    levels = 10 / 18 * torch.log10((10 ** (image * 18 / 10)).sum(0))
    return levels.sort().values[int(0.95 * len(levels))]


def cut(x, mask, speaking):
    """Each clip between the two moments with the largest sum of log odds between them, and 8 frames around."""
    cut_x, cut_mask = torch.zeros_like(x), torch.zeros_like(mask)
    for index, (frames, moments) in enumerate(zip(lengths(mask), lengths(mask[..., ::2]))):
        frames, moments = int(frames), int(moments)
        odds = speaking[index, :moments].detach()
        stretches = [(float(odds[first:end].sum()), first, end) for end in range(1, moments + 1) for first in range(end)]
        _, first, end = max(stretches)
        first, end = (0, frames) if end - first < 15 else (max(2 * first - 8, 0), min(2 * end + 8, frames))
        louder = loud(x[index, 0, :, :frames]) - loud(x[index, 0, :, first:end])
        cut_x[index, ..., : end - first] = x[index, ..., first:end] + louder
        cut_mask[index, ..., : end - first] = 1
    return cut_x, cut_mask


class MaskedCnn(nn.Module):
    shape = (64 + 1, 128)

    def __init__(self):
        super().__init__()
        self.speech = SpeechMask()
        self.network = LogMelCnn(2)

    def forward(self, x):
        mask, x = x[:, None, -1:].detach(), x[:, None, :-1]
        if not self.training:
            x, mask = cut(x, mask, self.speech(x, mask)[:, -1])
        logits = self.speech(x, mask)
        share = logits[:, None, :-1].sigmoid().repeat_interleave(2, 3)
        speaker = x + 10 * torch.log10(share + 0.01) / 18
        classes = self.network.read(torch.cat([x, speaker], 1), mask, F.logsigmoid(logits[:, -1]))
        return torch.cat([classes, logits.flatten(1)], 1) if self.training else classes


NETWORKS = {
    "MaskedCnn": MaskedCnn,
    "LogMelCnn": LogMelCnn,
    "DeepCnn1d": DeepCnn1d,
    "FourConvCnn": FourConvCnn,
    "CnnLstm": CnnLstm,
    "Mlp": Mlp,
    "Rnn": lambda: Recurrent("rnn", nn.RNN),
    "Lstm": lambda: Recurrent("lstm", nn.LSTM),
    "MfccCnn": MfccCnn,
}


def step(network, kind, training, x):
    """Logits, loss and every gradient, from the same start each time."""
    network.to(kind).train(training)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(fill(name, tensor.shape))
    network.zero_grad()
    x = x.detach().to(kind).clone().requires_grad_(True)
    logits = network(x)
    loss = F.cross_entropy(logits, torch.arange(BATCH) * 3 % CLASSES)
    loss.backward()
    gradients = {"input": x.grad}
    for name, tensor in network.named_parameters():
        gradients[name] = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    statistics = {name: tensor.clone() for name, tensor in network.named_buffers() if tensor.is_floating_point()}
    return logits.detach(), loss.item(), {name: tensor.double() for name, tensor in gradients.items()}, statistics


def error(single, double):
    """How far single precision is off, of the largest magnitude of the logits and of each gradient."""
    most = max(tensor.abs().max() for name, tensor in double[2].items() if name != "input")
    errors = [(single[0].double() - double[0]).abs().max() / double[0].abs().max()]
    for name, tensor in double[2].items():
        largest = tensor.abs().max()
        # A bias before a batch norm has no gradient but rounding, which has no scale of its own.
        scale = largest if largest > 1e-9 * most else most
        errors.append((single[2][name] - tensor).abs().max() / scale)
    return float(max(errors))


def conv1d_channels_last(x, weight, bias, stride, padding, dilation, groups):
    rows = x[:, :, None].contiguous(memory_format=torch.channels_last)
    return F.conv2d(rows, weight[:, :, None], bias, (1, *stride), (0, *padding), (1, *dilation), groups)[:, :, 0]


def golden(name):
    network = NETWORKS[name]()
    shape = (BATCH, *type(network).shape)
    for seed in range(200):
        x, modes = sound(seed, shape), {}
        for mode in ("train", "eval"):
            double = step(network, torch.float64, mode == "train", x)
            off = 0
            for conv1d in (F.conv1d, conv1d_channels_last)[: 1 + (name in LAID_OUT)]:
                with mock.patch.object(F, "conv1d", conv1d):
                    off = max(off, error(step(network, torch.float32, mode == "train", x), double))
            if off > TOLERANCE / 2:
                break
            logits, loss, gradients, statistics = double
            modes[mode] = {
                "loss": loss,
                # What stands behind the classes tells in the loss and the gradients.
                "logits": [float(f"{value:.12g}") for value in logits[:, :CLASSES].flatten().tolist()],
                "gradients": {name: digest(name, tensor) for name, tensor in gradients.items()},
                "statistics": {name: digest(name, tensor) for name, tensor in statistics.items()} if mode == "train" else {},
                "single_precision_error": float(f"{off:.3g}"),
            }
        if len(modes) == 2:
            print(f"{name}: seed {seed}, single precision off by {[mode['single_precision_error'] for mode in modes.values()]}")
            parameters = sum(tensor.numel() for tensor in network.parameters())
            return {"parameters": parameters, "seed": seed, "shape": list(shape), **modes}
    raise SystemExit(f"{name}: no input found on which single precision is good enough")


for name in sys.argv[1:] or NETWORKS:
    lines = json.dumps(golden(name), indent=1)
    (HERE / f"{name}.json").write_text(lines + "\n")
