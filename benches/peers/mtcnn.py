"""facenet-pytorch's MTCNN and this workspace's, timed in interleaved rounds of one run, on the CPU.

    cargo xtask bench-mtcnn PICTURE… [--rounds N] [--threads N]

Both run the same published weights with the same thresholds, scale factor and least face (20 pixels), on the same pixels: each
picture at its own size with the longer side at most 900 pixels, and filling 640×480.
"""

import argparse
import os
import statistics
import subprocess
import tempfile

import torch
from facenet_pytorch import MTCNN
from PIL import Image, ImageOps
from rounds import Rust, machine, measure, timed

LIMIT = 900
FRAME = (640, 480)
SIZES = {"own": f"own size, at most {LIMIT}", "frame": f"{FRAME[0]}×{FRAME[1]}"}


def prepare(paths, folder):
    """Writes every picture in both sizes, under names without spaces."""
    for number, path in enumerate(paths):
        picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        own = picture.copy()
        own.thumbnail((LIMIT, LIMIT))
        own.save(os.path.join(folder, f"own-{number}.png"))
        ImageOps.fit(picture, FRAME).save(os.path.join(folder, f"frame-{number}.png"))


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench-mtcnn", description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", metavar="PICTURE")
    parser.add_argument("--rounds", type=int, default=3, help="rounds per picture (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads that either side may use (default: 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    theirs = MTCNN(keep_all=True, min_face_size=20, thresholds=[0.6, 0.7, 0.7], factor=0.709, device="cpu")
    program = os.environ["EMOTION_BENCH"]
    with tempfile.TemporaryDirectory() as folder:
        prepare(options.pictures, folder)
        counted = subprocess.run([program, folder, "--faces"], check=True, capture_output=True, text=True).stdout
        ours_found = {name: int(count) for name, count in (line.split() for line in counted.splitlines())}
        rust = Rust(program, folder, "--threads", options.threads)
        rows, theirs_found = {}, {}
        for name in sorted(os.listdir(folder)):
            picture = Image.open(os.path.join(folder, name)).convert("RGB")
            boxes, _ = theirs.detect(picture)
            theirs_found[name] = 0 if boxes is None else len(boxes)
            rows[name] = {
                "facenet-pytorch": timed(lambda picture=picture: theirs.detect(picture)),
                "face-prep": rust.contestant(name),
            }
        times = measure(rows, options.rounds)
        rust.close()
    print(f"\n{options.threads} thread(s), {options.rounds} rounds; of each picture the least time of either side\n")
    print("| size | pictures | facenet-pytorch, median ms | face-prep, median ms | median of the ratios | least | greatest | faces |")
    print("|---|---|---|---|---|---|---|---|")
    for size, said in SIZES.items():
        names = [name for name in times if name.startswith(size)]
        theirs_best = {name: min(times[name]["facenet-pytorch"]) for name in names}
        ours_best = {name: min(times[name]["face-prep"]) for name in names}
        ratios = [theirs_best[name] / ours_best[name] for name in names]
        cells = [said, len(names)]
        cells += [f"{1e3 * statistics.median(best.values()):.1f}" for best in (theirs_best, ours_best)]
        cells += [f"{value:.2f}" for value in (statistics.median(ratios), min(ratios), max(ratios))]
        cells.append(" and ".join(str(sum(found[name] for name in names)) for found in (theirs_found, ours_found)))
        print("| " + " | ".join(map(str, cells)) + " |")
    print(f"\n{machine(['facenet-pytorch', 'torch', 'numpy'])}.")


if __name__ == "__main__":
    main()
