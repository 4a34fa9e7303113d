"""PyTorch's `DataLoader` with torchvision's transforms and this workspace's loader, timed in interleaved rounds of one run.

    cargo xtask bench-loader [--rounds N]

Both sides take 48×48 grey pictures that lie decoded in memory, change each at random (mirrored, turned by up to 10°, moved by up to
8 %, zoomed by up to 10 %, brightness and contrast by up to 15 %, a rectangle erased in one of four), standardise them and make
batches of 128 float tensors. torchvision's transforms are tried on PIL pictures, as its guides show them, and on tensors (v2).
"""

import argparse
import gc
import os
import statistics
import time

import numpy as np
import torch
from PIL import Image
from rounds import Rust, machine, measure
from torchvision.transforms import InterpolationMode, v2

PICTURES, SIDE, BATCH, BATCHES = 28_709, 48, 128, 20


def transforms(first):
    bilinear = InterpolationMode.BILINEAR
    return v2.Compose(
        [
            *first,
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(10, translate=(0.08, 0.08), scale=(0.9, 1.1), interpolation=bilinear),
            v2.ColorJitter(brightness=0.15, contrast=0.15),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.25]),
            v2.RandomErasing(0.25, scale=(0.02, 0.15)),
        ]
    )


class Faces(torch.utils.data.Dataset):
    def __init__(self, pictures, labels, change, read):
        self.pictures, self.labels, self.change, self.read = pictures, labels, change, read

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        return self.change(self.read(self.pictures[index])), self.labels[index]


def endless(loader):
    while True:
        yield from loader


def contestant(loader):
    batches = endless(loader)

    def seconds(repeats):
        start = time.perf_counter()
        for _ in range(repeats * BATCHES):
            next(batches)
        return (time.perf_counter() - start) / repeats

    return seconds


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench-loader", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default: 7)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, SIDE, SIDE), dtype=np.uint8)
    labels = torch.arange(PICTURES) % 7
    on_pil = Faces(pictures, labels, transforms([]), Image.fromarray)
    on_tensors = Faces(pictures, labels, transforms([]), lambda picture: torch.from_numpy(picture)[None])
    program = os.environ["EMOTION_BENCH"]
    ours = Rust(program)
    rows = {}
    for workers in (0, 1):
        def loader(faces, workers=workers):
            return torch.utils.data.DataLoader(faces, BATCH, shuffle=True, drop_last=True, num_workers=workers)

        rows[f"{workers} workers"] = {
            "DataLoader, PIL": contestant(loader(on_pil)),
            "DataLoader, tensors": contestant(loader(on_tensors)),
            "model-kit": ours.contestant(f"workers/{workers}"),
            "resident": ours.contestant(f"resident/{workers}"),
        }
    times = measure(rows, options.rounds)
    # The loaders' processes hold a copy of the pipe to the bench program: they end first, or that would wait for ever.
    rows.clear()
    gc.collect()
    ours.close()
    print(f"\nPictures a second, median of {options.rounds} rounds; {BATCHES} batches of {BATCH} a round.\n")
    print("| workers | DataLoader on PIL pictures | DataLoader on tensors | model-kit | resident, on the processor | model-kit over the faster DataLoader: medians (minima of time) | resident over model-kit |")
    print("|---|---|---|---|---|---|---|")
    for row, found in times.items():
        seconds = {column: (statistics.median(values), min(values)) for column, values in found.items()}
        speed = [f"{BATCH * BATCHES / seconds[column][0]:,.0f}" for column in seconds]
        ratios = [min(seconds["DataLoader, PIL"][way], seconds["DataLoader, tensors"][way]) / seconds["model-kit"][way] for way in (0, 1)]
        resident = [seconds["model-kit"][way] / seconds["resident"][way] for way in (0, 1)]
        print(f"| {row.split()[0]} | {' | '.join(speed)} | {ratios[0]:.1f} ({ratios[1]:.1f}) | {resident[0]:.2f} ({resident[1]:.2f}) |")
    print(f"\n{machine(['torch', 'torchvision', 'numpy', 'pillow'])}.")


if __name__ == "__main__":
    main()
