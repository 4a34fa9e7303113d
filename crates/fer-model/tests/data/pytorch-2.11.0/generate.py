"""What every face network computes in plain PyTorch: logits, loss, gradients and batch norm statistics.

Run once with `pip install torch==2.11.0 torchvision==0.26.0` (for Inception-v3, ResNet and VGG) and commit the JSON files; names of networks
as arguments make those alone.

No weights are committed: both sides fill every tensor by one formula from its name (`fill`), and of every gradient only
its largest magnitude, its norm, two dot products with made-up vectors and eight of its elements are kept (`digest`).
The figures are computed in double precision. Single precision is measured on the largest gradient of all parameters: batch
norms over channels-last pictures add up naively and lose a few 1e-5 of their own. A ReLU or a max pool within rounding of
its edge would change whole gradients: the pictures are drawn until PyTorch's own single precision, in the network's own
memory layout, comes within half the tolerance (`seed`). Inception-v3 and the deeper ResNets in training mode have too many
such edges: there their gradients can be compared in double precision alone.
"""

import functools
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

assert torch.__version__.startswith("2.11.0"), torch.__version__
assert torchvision.__version__.startswith("0.26.0"), torchvision.__version__

HERE = Path(__file__).parent
CLASSES = 7


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
    elif len(shape) == 1:
        values = 0.125 * values
    else:
        # Recurrent weights are smaller, so that 48 steps neither die out nor run away.
        power = 1.0 if name.startswith("rows.") else 3.0
        values = values * math.sqrt(power / (math.prod(shape) // shape[0]))
    if name == "localise.dense2.weight":
        values = 0.125 * values
    elif name == "localise.dense2.bias":
        # Near the identity, so that the warped picture still fills the frame.
        values = values + np.array([1, 0, 0, 0, 1, 0])
    return torch.from_numpy(values.astype(np.float32)).reshape(shape).double()


def pictures(seed, batch):
    """Smooth noise, [batch, 1, 48, 48], as deep in light and shadow as standardised faces."""
    values = noise(f"input {seed}", batch * 144).reshape(batch, 1, 12, 12) * 2.5
    large = F.interpolate(torch.from_numpy(values), (48, 48), mode="bilinear", align_corners=False)
    return large.float().double()


def digest(name, tensor):
    """[largest magnitude, norm, two dot products, eight elements]"""
    values = tensor.detach().flatten().numpy()
    dots = [float(values @ noise(f"{probe} {name}", values.size)) for probe in ("first", "second")]
    places = ((noise(f"places {name}", 8) + 1) / 2 * values.size).astype(np.int64)
    digits = [np.abs(values).max(), math.sqrt(values @ values), *dots, *values[places]]
    return [float(f"{value:.12g}") for value in digits]


class Named(nn.Module):
    """A module of modules by name: `Named(conv=…, norm=…)`."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)


class ConvBn(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(x))


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = ConvBn(inputs, outputs, 3, stride)
        self.second = ConvBn(outputs, outputs, 3)
        hidden = max(outputs // 8, 4)
        self.excite = Named(reduce=nn.Linear(outputs, hidden), expand=nn.Linear(hidden, outputs))
        if inputs != outputs or stride != 1:
            self.shortcut = ConvBn(inputs, outputs, 1, stride)

    def forward(self, x):
        y = self.second(F.relu(self.first(x)))
        factors = torch.sigmoid(self.excite.expand(F.relu(self.excite.reduce(y.mean((2, 3))))))
        y = y * factors[:, :, None, None]
        return F.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class Compact(nn.Module):
    def __init__(self, widths=(24, 48, 128, 256), blocks=(1, 1, 1)):
        super().__init__()
        self.stem = ConvBn(1, widths[0], 3)
        self.order = []
        inputs = widths[0]
        for stage, (outputs, count) in enumerate(zip(widths[1:], blocks), 1):
            modules = {}
            for block in range(1, count + 1):
                modules[f"block{block}"] = Residual(inputs, outputs, 2 if block == 1 else 1)
                self.order.append((f"stage{stage}", f"block{block}"))
                inputs = outputs
            setattr(self, f"stage{stage}", Named(**modules))
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = F.relu(self.stem(x))
        for stage, block in self.order:
            x = getattr(getattr(self, stage), block)(x)
        return self.head(x.mean((2, 3)))


class AttentionCnn(nn.Module):
    def __init__(self, widths=(10, 10, 10, 10)):
        super().__init__()
        self.localise = Named(
            conv1=nn.Conv2d(1, 8, 7),
            conv2=nn.Conv2d(8, 10, 5),
            dense1=nn.Linear(640, 32),
            dense2=nn.Linear(32, 6),
        )
        inputs = 1
        for index, outputs in enumerate(widths, 1):
            setattr(self, f"conv{index}", nn.Conv2d(inputs, outputs, 3))
            inputs = outputs
        self.norm = nn.BatchNorm2d(inputs)
        self.dense = nn.Linear(inputs * 81, 50)
        self.head = nn.Linear(50, CLASSES)

    def forward(self, x):
        place = F.relu(F.max_pool2d(self.localise.conv1(x), 2))
        place = F.relu(F.max_pool2d(self.localise.conv2(place), 2)).flatten(1)
        affine = self.localise.dense2(F.relu(self.localise.dense1(place))).view(-1, 2, 3)
        x = F.grid_sample(x, F.affine_grid(affine, x.shape, align_corners=False), align_corners=False)
        x = F.relu(self.conv1(x))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.relu(self.conv3(x))
        x = F.relu(F.max_pool2d(self.norm(self.conv4(x)), 2))
        return self.head(F.relu(self.dense(x.flatten(1))))


class MiniGenieCnn(nn.Module):
    def __init__(self):
        super().__init__()
        inputs = 1
        for block, outputs in enumerate((64, 128, 256, 512), 1):
            layers = {}
            for layer in ("layer1", "layer2"):
                layers[layer] = Named(
                    conv=nn.Conv2d(inputs, outputs, 3, padding=1), norm=nn.BatchNorm2d(outputs, 1e-3, 0.01)
                )
                inputs = outputs
            setattr(self, f"block{block}", Named(**layers))
        inputs = 512 * 9
        for layer, outputs in enumerate((256, 128, 64), 1):
            dense = Named(linear=nn.Linear(inputs, outputs), norm=nn.BatchNorm1d(outputs, 1e-3, 0.01))
            setattr(self, f"dense{layer}", dense)
            inputs = outputs
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        for block in (self.block1, self.block2, self.block3, self.block4):
            for layer in (block.layer1, block.layer2):
                x = layer.norm(F.elu(layer.conv(x)))
            x = F.max_pool2d(x, 2)
        x = x.flatten(1)
        for layer in (self.dense1, self.dense2, self.dense3):
            x = layer.norm(F.elu(layer.linear(x)))
        return self.head(x)


class RealtimeCnn(nn.Module):
    def __init__(self):
        super().__init__()
        inputs = 1
        for block, outputs in enumerate((32, 64, 128, 256), 1):
            setattr(self, f"conv{block}", nn.Conv2d(inputs, outputs, 3, padding=1))
            inputs = outputs
        self.dense1 = nn.Linear(256 * 9, 512)
        self.dense2 = nn.Linear(512, 256)
        self.head = nn.Linear(256, CLASSES)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.head(F.relu(self.dense2(F.relu(self.dense1(x.flatten(1))))))


class FiveConvCnn(nn.Module):
    def __init__(self):
        super().__init__()
        inputs = 1
        for block, outputs in enumerate((64, 128, 256, 512, 512), 1):
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            setattr(self, f"block{block}", Named(conv=conv, norm=nn.BatchNorm2d(outputs, 1e-3, 0.01)))
            inputs = outputs
        for layer, outputs in enumerate((512, 256, 128), 1):
            dense = Named(linear=nn.Linear(inputs, outputs), norm=nn.BatchNorm1d(outputs, 1e-3, 0.01))
            setattr(self, f"dense{layer}", dense)
            inputs = outputs
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        for block in (self.block1, self.block2, self.block3, self.block4, self.block5):
            x = F.max_pool2d(F.relu(block.norm(block.conv(x))), 2)
        x = x.flatten(1)
        for layer in (self.dense1, self.dense2, self.dense3):
            x = F.relu(layer.norm(layer.linear(x)))
        return self.head(x)


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense1 = nn.Linear(48 * 48, 1024)
        self.dense2 = nn.Linear(1024, 512)
        self.dense3 = nn.Linear(512, 256)
        self.head = nn.Linear(256, CLASSES)

    def forward(self, x):
        x = x.flatten(1)
        for dense in (self.dense1, self.dense2, self.dense3):
            x = F.relu(dense(x))
        return self.head(x)


class RowSequence(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.rows = cell(48, 128, 2, batch_first=True)
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x):
        return self.head(self.rows(x.squeeze(1))[0][:, -1])


class InceptionV3(nn.Module):
    """torchvision's own network behind a picture made larger and threefold, its last layer called `head` here."""

    def __init__(self, side):
        super().__init__()
        self.side = side
        net = torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=False)
        net.aux_logits, net.AuxLogits, net.dropout.p = False, None, 0.0
        net.fc = nn.Identity()
        self.net = net
        self.head = nn.Linear(2048, CLASSES)

    def forward(self, x):
        x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        return self.head(self.net(x.expand(-1, 3, -1, -1)))


class Backbone(nn.Module):
    """torchvision's own network behind a picture given three times, up to the mean over places; its last layer called `head`."""

    def __init__(self, name):
        super().__init__()
        net = getattr(torchvision.models, name)(weights=None)
        if name.startswith("vgg"):
            features, net.avgpool, net.classifier = 512, nn.AdaptiveAvgPool2d(1), nn.Identity()
        else:
            features, net.fc = net.fc.in_features, nn.Identity()
        self.net = net
        self.head = nn.Linear(features, CLASSES)
        # Small, for few edges; the last batch norms of ResNet want more than one place.
        self.side = 32 if name.startswith("vgg") else 64

    def forward(self, x):
        x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        return self.head(self.net(x.expand(-1, 3, -1, -1)))


DOUBLE_ALONE = ["inception_v3", "resnet34", "resnet50"]
BACKBONES = ["resnet18", "resnet34", "resnet50"]
BACKBONES += [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]

NETWORKS = {
    "compact": Compact,
    "compact_tiny": lambda: Compact((16, 24, 40, 64)),
    "compact_wide": lambda: Compact((32, 64, 128, 256), (2, 2, 2)),
    "compact_large": lambda: Compact((64, 128, 256, 512), (2, 2, 2)),
    "attention_cnn": AttentionCnn,
    "attention_cnn_wide": lambda: AttentionCnn((32, 64, 128, 256)),
    "mini_genie_cnn": MiniGenieCnn,
    "realtime_cnn": RealtimeCnn,
    "five_conv_cnn": FiveConvCnn,
    "mlp": Mlp,
    "rnn": lambda: RowSequence(nn.RNN),
    "lstm": lambda: RowSequence(nn.LSTM),
    "inception_v3": lambda: InceptionV3(96),
} | {name: functools.partial(Backbone, name) for name in BACKBONES}


def our_name(name):
    return name.removeprefix("net.")


def run(network, dtype, training, seed, batch, layout=torch.contiguous_format):
    network = network.to(dtype, memory_format=layout).train(training)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(fill(our_name(name), tensor.shape))
    network.zero_grad()
    faces = pictures(seed, batch).to(dtype, memory_format=layout).requires_grad_()
    logits = network(faces)
    loss = F.cross_entropy(logits, torch.arange(batch) * 3 % CLASSES)
    loss.backward()
    gradients = {our_name(name): tensor.grad for name, tensor in network.named_parameters()}
    buffers = {our_name(name): tensor for name, tensor in network.named_buffers() if "running" in name}
    return logits, loss, {"input": faces.grad, **gradients}, buffers


def single_precision_error(double, single):
    """The worst error: of the input's gradient on its own largest magnitude, of the others on the largest of them all."""
    largest = {name: tensor.abs().max().item() for name, tensor in double.items()}
    most = max(value for name, value in largest.items() if name != "input")
    return max(
        (single[name].double() - tensor).abs().max().item() / (largest[name] if name == "input" else most)
        for name, tensor in double.items()
    )


def attempt(network, seed, batch):
    golden = {"parameters": sum(tensor.numel() for tensor in network.parameters()), "seed": seed, "batch": batch}
    for mode in ("train", "eval"):
        layout = torch.channels_last if isinstance(network, Compact) else torch.contiguous_format
        single = run(network, torch.float32, mode == "train", seed, batch, layout)[2]
        logits, loss, gradients, buffers = run(network, torch.float64, mode == "train", seed, batch)
        golden[mode] = {
            "single_precision_error": single_precision_error(gradients, single),
            "loss": loss.item(),
            "logits": logits.flatten().tolist(),
            "gradients": {name: digest(name, tensor) for name, tensor in gradients.items()},
        }
        if mode == "train":
            golden[mode]["statistics"] = {name: digest(name, tensor) for name, tensor in buffers.items()}
    return golden


def main():
    for name in sys.argv[1:] or NETWORKS:
        batch = 4 if name in BACKBONES else {"compact_large": 2, "inception_v3": 4}.get(name, 8)
        for seed in range(20):
            golden = attempt(NETWORKS[name](), seed, batch)
            errors = [golden[mode]["single_precision_error"] for mode in ("train", "eval")]
            print(name, seed, *(f"{error:.1e}" for error in errors), flush=True)
            if max(errors[1:] if name in DOUBLE_ALONE else errors) < 5e-6:
                break
        text = json.dumps(golden, separators=(",", ":")).replace("],", "],\n").replace("},", "},\n")
        (HERE / f"{name}.json").write_text(text + "\n")
    # Every name and shape of torchvision's Inception-v3, for who loads its weights.
    state = torchvision.models.inception_v3(weights=None, init_weights=False).state_dict()
    lines = [f"{name} {' '.join(map(str, tensor.shape))}".strip() for name, tensor in state.items()]
    (HERE / "inception_v3.names.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
