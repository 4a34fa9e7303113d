"""OpenCV's frontal cascade and this workspace's, timed in interleaved rounds of one run.

    cargo xtask bench-faces [PICTURE… | FOLDER] [--rounds N] [--threads N…]

Both search the same grey pixels with the same cascade (frontal default), scale factor 1.1 and 3 neighbours, for faces of every size and
for those of at least a tenth of the picture's height; every picture fills 640×480 and 1280×720. Without pictures, those that the
tests draw and their public-domain portrait are taken.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile

import cv2
from rounds import Rust, machine, measure, timed

FRAMES = [(640, 480), (1280, 720)]
SIZES = {"all": "every size", "tenth": "from a tenth of the height"}
TESTS = pathlib.Path(__file__).parents[2] / "crates/face-prep/tests/data/opencv-4.14.0"


def prepare(paths, folder):
    """Writes every picture, grey, filling both frames, under names without spaces; returns how many there are."""
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    pictures = [picture for picture in (cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files) if picture is not None]
    for (width, height), (number, picture) in ((frame, numbered) for frame in FRAMES for numbered in enumerate(pictures)):
        factor = max(width / picture.shape[1], height / picture.shape[0])
        large = (max(width, round(picture.shape[1] * factor)), max(height, round(picture.shape[0] * factor)))
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        cv2.imwrite(f"{folder}/{width}x{height}-{number}.png", cv2.resize(picture, large, interpolation=how)[:height, :width])
    return len(pictures)


def least(picture, sizes):
    return min(picture.shape) // 10 if sizes == "tenth" else 0


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench-faces", description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", type=pathlib.Path, metavar="PICTURE", help="pictures, or folders of them")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per picture (default: 5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads that either side may use (default: 1 2)")
    options = parser.parse_args()
    paths = options.pictures or [TESTS / f"{name}.png" for name in ("astronaut", "faces_1", "faces_2", "faces_3", "faces_4")]
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    program = os.environ["EMOTION_BENCH"]

    def search(picture, size):
        return cascade.detectMultiScale(picture, 1.1, 3, minSize=(size, size))

    with tempfile.TemporaryDirectory() as folder:
        if prepare(paths, folder) == 0:
            parser.error("none of these is a picture")
        names = [f"{file}/{sizes}" for file in sorted(os.listdir(folder)) for sizes in SIZES]
        pictures = {name: cv2.imread(f"{folder}/{name.split('/')[0]}", cv2.IMREAD_GRAYSCALE) for name in names}
        printed = subprocess.run([program, folder, "--faces"], check=True, capture_output=True, text=True).stdout
        ours = {line.split()[0]: [int(number) for number in line.split()[1:]] for line in printed.splitlines()}
        same = 0
        for name, picture in pictures.items():
            found = sorted(map(tuple, search(picture, least(picture, name.split("/")[1]))))
            same += ours[name] == [number for rect in found for number in rect]
        times = {}
        for threads in options.threads:
            cv2.setNumThreads(threads)
            rust = Rust(program, folder, "--threads", threads)
            rows = {
                name: {
                    "OpenCV": timed(lambda picture=picture, size=least(picture, name.split("/")[1]): search(picture, size)),
                    "face-prep": rust.contestant(name),
                }
                for name, picture in pictures.items()
            }
            times[threads] = measure(rows, options.rounds)
            rust.close()
    print(f"\nThe same rectangles in {same} of {len(names)} searches. {options.rounds} rounds; of each the least time of either side.\n")
    print("| picture | sizes searched | threads | pictures | OpenCV, median ms | face-prep, median ms | median of the ratios | least | greatest |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (width, height), sizes, threads in ((frame, sizes, threads) for frame in FRAMES for sizes in SIZES for threads in options.threads):
        chosen = [name for name in names if name.startswith(f"{width}x{height}-") and name.endswith(f"/{sizes}")]
        theirs, ours = ([min(times[threads][name][side]) for name in chosen] for side in ("OpenCV", "face-prep"))
        ratios = [their / our for their, our in zip(theirs, ours)]
        cells = [f"{width}×{height}", SIZES[sizes], threads, len(chosen)]
        cells += [f"{1e3 * statistics.median(seconds):.1f}" for seconds in (theirs, ours)]
        cells += [f"{value:.2f}" for value in (statistics.median(ratios), min(ratios), max(ratios))]
        print("| " + " | ".join(map(str, cells)) + " |")
    print(f"\n{machine(['opencv-python-headless', 'numpy'])}.")


if __name__ == "__main__":
    main()
