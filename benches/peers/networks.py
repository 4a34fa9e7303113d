"""Networks of this workspace in PyTorch: the same layers, in the same order, with the same tensor names."""

import torch
import torch.nn.functional as F
from torch import nn


class ConvBn(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(x))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.reduce = nn.Linear(channels, max(4, channels // 8))
        self.expand = nn.Linear(max(4, channels // 8), channels)

    def forward(self, x):
        factors = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * factors[:, :, None, None]


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = ConvBn(inputs, outputs, 3, stride)
        self.second = ConvBn(outputs, outputs, 3)
        self.excite = SqueezeExcite(outputs)
        self.shortcut = ConvBn(inputs, outputs, 1, stride) if inputs != outputs or stride != 1 else nn.Identity()

    def forward(self, x):
        output = self.excite(self.second(F.relu(self.first(x))))
        return F.relu(output + self.shortcut(x))


class Compact(nn.Module):
    """The network of the shipped face weights. The pictures turn channels-last behind the stem."""

    def __init__(self, classes=7, widths=(24, 48, 128, 256), dropout=0.2):
        super().__init__()
        self.stem = ConvBn(1, widths[0], 3)
        for stage in range(3):
            block = nn.ModuleDict({"block1": Residual(widths[stage], widths[stage + 1], 2)})
            setattr(self, f"stage{stage + 1}", block)
        self.head = nn.Linear(widths[3], classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = F.relu(self.stem(x)).contiguous(memory_format=torch.channels_last)
        for stage in (self.stage1, self.stage2, self.stage3):
            x = stage["block1"](x)
        return self.head(self.dropout(x.mean((2, 3))))


class MiniGenieCnn(nn.Module):
    """A Keras network, with Keras' batch norm."""

    def __init__(self, classes=7):
        super().__init__()
        inputs, keras = 1, {"eps": 1e-3, "momentum": 0.01}
        for block, outputs in enumerate((64, 128, 256, 512), 1):
            layers = nn.ModuleDict()
            for layer in (1, 2):
                conv = nn.Conv2d(inputs, outputs, 3, padding=1)
                layers[f"layer{layer}"] = nn.ModuleDict({"conv": conv, "norm": nn.BatchNorm2d(outputs, **keras)})
                inputs = outputs
            setattr(self, f"block{block}", layers)
        inputs = 512 * 3 * 3
        for layer, outputs in enumerate((256, 128, 64), 1):
            parts = {"linear": nn.Linear(inputs, outputs), "norm": nn.BatchNorm1d(outputs, **keras)}
            setattr(self, f"dense{layer}", nn.ModuleDict(parts))
            inputs = outputs
        self.head = nn.Linear(inputs, classes)

    def forward(self, x):
        for block in (self.block1, self.block2, self.block3, self.block4):
            for layer in block.values():
                x = layer["norm"](F.elu(layer["conv"](x)))
            x = F.dropout(F.max_pool2d(x, 2), 0.2, self.training)
        x = x.flatten(1)
        for layer in (self.dense1, self.dense2, self.dense3):
            x = F.dropout(layer["norm"](F.elu(layer["linear"](x))), 0.5, self.training)
        return self.head(x)


class RealtimeCnn(nn.Module):
    def __init__(self, classes=7):
        super().__init__()
        inputs = 1
        for layer, outputs in enumerate((32, 64, 128, 256), 1):
            setattr(self, f"conv{layer}", nn.Conv2d(inputs, outputs, 3, padding=1))
            inputs = outputs
        self.dense1 = nn.Linear(256 * 3 * 3, 512)
        self.dense2 = nn.Linear(512, 256)
        self.head = nn.Linear(256, classes)

    def forward(self, x):
        for conv, dropout in ((self.conv1, 0.25), (self.conv2, 0.3), (self.conv3, 0.35), (self.conv4, 0.4)):
            x = F.dropout(F.max_pool2d(F.relu(conv(x)), 2), dropout, self.training)
        x = x.flatten(1)
        for dense in (self.dense1, self.dense2):
            x = F.dropout(F.relu(dense(x)), 0.5, self.training)
        return self.head(x)


def channels_last(x):
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def remembered(x, mask, forwards, backwards):
    """What two LSTMs make of a sequence; the backward one begins where the sound ends."""
    places = torch.arange(mask.shape[1], device=mask.device)[None, :, None]
    turned = mask.sum(1, keepdim=True).long() - 1 - places
    turned = torch.where(turned < 0, places, turned)
    turn = lambda sequence: sequence.gather(1, turned.expand_as(sequence))
    return torch.cat([forwards(x)[0] * mask, turn(backwards(turn(x))[0]) * mask], 2)


class LogMelCnn(nn.Module):
    """`[batch, 65, frames]`, the last row a mask. The image is channels-last."""

    def __init__(self, classes=8, images=1, n_mels=64, filters=(32, 64, 128, 160), memory=64, embedding=128):
        super().__init__()
        self.n_mels = n_mels
        self.stem = ConvBn(images, filters[0], 5, 2)
        for stage in range(3):
            setattr(self, f"stage{stage + 1}", ConvBn(filters[stage], filters[stage + 1], 3))
        image = filters[3] * (n_mels // 16)
        self.forwards = nn.LSTM(image, memory, batch_first=True)
        self.backwards = nn.LSTM(image, memory, batch_first=True)
        features = image + 2 * memory
        self.attention = nn.ModuleDict({"hidden": nn.Linear(features, 64), "score": nn.Linear(64, 1)})
        self.norm = nn.BatchNorm1d(2 * features)
        self.embedding = nn.Linear(2 * features, embedding)
        self.output = nn.Linear(embedding, classes)

    def forward(self, x):
        return self.read(x[:, None, : self.n_mels], (x[:, None, self.n_mels :] > 0).float())

    def read(self, images, mask, speaking=None):
        x, mask = channels_last(images) * mask, mask[..., ::2]
        x = F.relu(self.stem(x)) * mask
        pools = ((2, 2), (2, 1), (2, 1))
        for index, (stage, pool) in enumerate(zip((self.stage1, self.stage2, self.stage3), pools)):
            x = F.max_pool2d(x, pool, ceil_mode=True)
            mask = mask[..., :: pool[1]]
            x = F.relu(stage(x)) * mask
            if index > 0:
                x = F.dropout2d(x, 0.05, self.training)
        mask = mask.squeeze(1).transpose(1, 2)
        x = x.permute(0, 3, 1, 2).flatten(2)
        spoken = x if speaking is None else x * speaking[:, ::2].exp()
        spoken = F.dropout(spoken, 0.3, self.training)
        features = torch.cat([x, remembered(spoken, mask, self.forwards, self.backwards)], 2)
        scores = self.attention["score"](torch.tanh(self.attention["hidden"](features)))
        if speaking is not None:
            scores = scores + speaking[:, ::2]
        shares = torch.softmax(scores + (mask - 1) * 1e9, 1)
        mean = (features * shares).sum(1)
        deviation = ((features.square() * shares).sum(1) - mean.square()).clamp_min(1e-5).sqrt()
        x = F.dropout(self.norm(torch.cat([mean, deviation], 1)), 0.3, self.training)
        return self.output(F.dropout(F.relu(self.embedding(x)), 0.3, self.training))


class SpeechMask(nn.Module):
    def __init__(self, n_mels=64, filters=(24, 48, 64), memory=64):
        super().__init__()
        self.stem = ConvBn(1, filters[0], 5, 2)
        self.stage1 = ConvBn(filters[0], filters[1], 3)
        self.stage2 = ConvBn(filters[1], filters[2], 3)
        sequence = filters[2] * (n_mels // 8)
        self.forwards = nn.LSTM(sequence, memory, batch_first=True)
        self.backwards = nn.LSTM(sequence, memory, batch_first=True)
        self.output = nn.Linear(sequence + 2 * memory, n_mels + 1)

    def forward(self, image, mask):
        x, mask = channels_last(image) * mask, mask[..., ::2]
        x = F.relu(self.stem(x)) * mask
        for stage in (self.stage1, self.stage2):
            x = F.relu(stage(F.max_pool2d(x, (2, 1)))) * mask
        x = x.permute(0, 3, 1, 2).flatten(2)
        return self.output(torch.cat([x, remembered(x, mask.squeeze(1).transpose(1, 2), self.forwards, self.backwards)], 2))


class MaskedCnn(nn.Module):
    """The network of the shipped speech weights. In training the logits of the mask and of speaking stand behind the classes."""

    def __init__(self, classes=8, n_mels=64):
        super().__init__()
        self.n_mels = n_mels
        self.speech = SpeechMask(n_mels)
        self.network = LogMelCnn(classes, 2, n_mels)

    def forward(self, x):
        image, mask = x[:, None, : self.n_mels], (x[:, None, self.n_mels :] > 0).float()
        logits = self.speech(image, mask)
        share = logits[..., : self.n_mels].sigmoid().repeat_interleave(2, 1)[:, : x.shape[2]]
        speaker = image + torch.log10(share + 0.01).transpose(1, 2)[:, None] * (10 / 18)
        classes = self.network.read(torch.cat([image, speaker], 1), mask, F.logsigmoid(logits[..., self.n_mels :]))
        return torch.cat([classes, logits.transpose(1, 2).flatten(1)], 1) if self.training else classes


class DeepCnn1d(nn.Module):
    def __init__(self, classes=8):
        super().__init__()
        inputs = 1
        for layer, outputs in enumerate((256, 256, 128, 64)):
            setattr(self, f"conv{layer}", nn.Conv1d(inputs, outputs, 5, padding=2))
            inputs = outputs
        self.dense = nn.Linear(11 * 64, 32)
        self.output = nn.Linear(32, classes)

    def forward(self, x):
        x = x[:, None]
        for conv in (self.conv0, self.conv1, self.conv2, self.conv3):
            x = F.relu(conv(x))
            # Keras' "same" padding, which has one place more behind than before where the length is even.
            if x.shape[-1] % 2 == 0:
                x = F.pad(x, (1, 2), value=float("-inf"))
                x = F.max_pool1d(x, 5, 2)
            else:
                x = F.max_pool1d(x, 5, 2, 2)
            x = F.dropout(x, 0.2, self.training)
        return self.output(F.dropout(F.relu(self.dense(x.flatten(1))), 0.3, self.training))
