"""What OpenCV finds, resizes and converts: the golden files of `tests/parity_opencv.rs`.

    python3 -m venv venv && venv/bin/pip install opencv-python-headless==4.14.0.* pillow==13.0.0 scikit-image
    venv/bin/python generate.py                          # the committed files beside this script
    venv/bin/python generate.py --pictures DIR --out DIR # more cases, on pictures of your own

With pictures of your own, point FACE_PREP_PARITY at the output folder and run `cargo test -p face-prep --release`.
Pictures are stored as PNG, since JPEG decoders differ in the last bit.
"""

import argparse
import itertools
import json
import pathlib

import cv2
import numpy as np

HERE = pathlib.Path(__file__).parent
CASCADES = {
    "frontal_default": "haarcascades/haarcascade_frontalface_default.xml",
    "alt": "haarcascades/haarcascade_frontalface_alt.xml",
    "alt2": "haarcascades/haarcascade_frontalface_alt2.xml",
    "profile": "haarcascades/haarcascade_profileface.xml",
    "eye": "haarcascades/haarcascade_eye.xml",
    "smile": "haarcascades/haarcascade_smile.xml",
    "old_format": "haarcascades/haarcascade_licence_plate_rus_16stages.xml",
    "lbp": "lbpcascades/lbpcascade_frontalface.xml",
}
# Debian's `opencv-data`.
ROOT = pathlib.Path("/usr/share/opencv4")


def faces(height, width, seed, count):
    """Drawn faces before a textured wall: bright ovals with dark eyes, brows, mouth and a shaded nose."""
    random = np.random.default_rng(seed)
    wall = cv2.GaussianBlur(random.integers(0, 256, (height, width)).astype(np.float32), (0, 0), 3)
    wall = 90 + (wall - wall.mean()) * 4
    for _ in range(count):
        side = random.uniform(0.18, 0.45) * min(height, width)
        x, y = random.uniform(side / 2, width - side / 2), random.uniform(side / 2, height - side / 2)

        def oval(dx, dy, rx, ry, value, soft=0.02):
            mask = np.zeros((height, width), np.float32)
            center = (int(x + dx * side), int(y + dy * side))
            cv2.ellipse(mask, center, (max(1, int(rx * side)), max(1, int(ry * side))), 0, 0, 360, 1, -1)
            mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, soft * side))
            wall[:] = wall * (1 - mask) + value * mask

        oval(0, -0.12, 0.42, 0.50, 50, 0.03)
        oval(0, 0.05, 0.36, 0.48, 190, 0.03)
        for eye in (-0.16, 0.16):
            oval(eye, -0.10, 0.10, 0.035, 100)
            oval(eye, -0.06, 0.075, 0.035, 70)
            oval(eye, 0.10, 0.09, 0.08, 205, 0.04)
        oval(0, 0.02, 0.035, 0.13, 215)
        oval(0, 0.14, 0.06, 0.02, 120)
        oval(0, 0.28, 0.13, 0.03, 95)
        oval(0, 0.34, 0.10, 0.02, 160)
    noise = random.normal(0, 3, wall.shape)
    return np.clip(wall + noise, 0, 255).astype(np.uint8)


def pictures(folder, longest):
    if folder:
        for path in sorted(pathlib.Path(folder).iterdir()):
            picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if picture is None:
                continue
            factor = longest / max(picture.shape)
            if factor < 1:
                picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            yield path.stem, picture
        return
    from skimage import data  # the portrait of Eileen Collins, NASA, public domain

    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    yield "astronaut", astronaut[0:260, 90:350]
    yield "astronaut_small", cv2.resize(astronaut[0:300, 60:380], (171, 161), interpolation=cv2.INTER_AREA)
    yield "faces_1", faces(240, 320, 1, 2)
    yield "faces_2", faces(241, 319, 2, 3)
    yield "faces_3", faces(180, 401, 3, 3)
    yield "faces_4", faces(333, 222, 4, 3)
    yield "noise", np.random.default_rng(5).integers(0, 256, (97, 131)).astype(np.uint8)


def detections(name, picture, thorough):
    short = min(picture.shape)
    settings = ((1.05, 1.1, 1.3), (0, 3, 6), (0, 0.1, 0.25)) if thorough else ((1.1, 1.3), (0, 3), (0, 0.2))
    for (cascade, path), scale, neighbors, share in itertools.product(CASCADES.items(), *settings):
        size = int(short * share)
        classifier = cv2.CascadeClassifier(str(ROOT / path))
        found, counts = classifier.detectMultiScale2(picture, scale, neighbors, minSize=(size, size))
        rects = sorted([*map(int, rect), int(count)] for rect, count in zip(found, counts))
        if neighbors == 0:
            # Thousands of raw hits: their number and a sum that no two sets are likely to share.
            total = sum((x * 31 + y * 1009 + w * 65537 + h * 7) % 1000003 for x, y, w, h, _ in rects)
            rects = [[len(rects), total]]
        yield {
            "picture": name, "cascade": cascade, "scale_factor": scale, "min_neighbors": neighbors,
            "min_size": size, "rects": rects,
        }


def levels(name, picture):
    """Levels and weights of what is found, also in colour and below a largest size; of raw hits the first few."""
    gray = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    for (cascade, path), neighbors, share in itertools.product(CASCADES.items(), (0, 2), (0, 0.6)):
        size = int(min(gray.shape) * share)
        classifier = cv2.CascadeClassifier(str(ROOT / path))
        found = classifier.detectMultiScale3(gray, 1.2, neighbors, maxSize=(size, size), outputRejectLevels=True)
        hits = sorted([*map(int, rect), int(level), float(weight)] for rect, level, weight in zip(*found))
        yield {
            "picture": name, "cascade": cascade, "min_neighbors": neighbors, "max_size": size,
            "count": len(hits), "hits": hits[:12],
        }


def portrait_in_color():
    from skimage import data

    return cv2.resize(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)[0:300, 60:380], (139, 130), interpolation=cv2.INTER_AREA)


def resizes():
    """Checksums of resized noise, grey and colour, by every rule, and of colour turned grey."""
    from PIL import Image

    filters = {
        "linear": cv2.INTER_LINEAR, "linear_exact": cv2.INTER_LINEAR_EXACT, "area": cv2.INTER_AREA,
        "pillow_bilinear": None,
    }
    sizes = [(173, 211), (48, 48), (64, 96), (100, 37), (161, 90), (719, 1283), (1, 9), (9, 1)]
    targets = [(48, 48), (96, 96), (224, 224), (24, 24), (32, 48), (50, 50), (173, 100), (300, 211), (1, 1)]
    for (height, width), channels in itertools.product(sizes, (1, 3)):
        shape = (height, width) if channels == 1 else (height, width, 3)
        picture = noise(height * width * channels).reshape(shape)
        if channels == 3:
            luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            # `cv2.imread` gives blue first; its grey is the same.
            assert (luma == cv2.cvtColor(np.ascontiguousarray(picture[..., ::-1]), cv2.COLOR_BGR2GRAY)).all()
            yield {"width": width, "height": height, "channels": 3, "filter": "gray", "to": [width, height], "checksum": fold(luma)}
        for (to_height, to_width), (name, flag) in itertools.product(targets, filters.items()):
            if flag is None:
                resized = np.asarray(Image.fromarray(picture).resize((to_width, to_height), Image.BILINEAR))
            else:
                resized = cv2.resize(picture, (to_width, to_height), interpolation=flag)
            yield {
                "width": width, "height": height, "channels": channels, "filter": name,
                "to": [to_width, to_height], "checksum": fold(resized),
            }


def equalised(pictures):
    """Checksums of grey pictures by `cv2.equalizeHist` and `cv2.createCLAHE`."""
    for name, picture in pictures:
        height, width = picture.shape
        case = {"picture": name, "width": width, "height": height}
        yield {**case, "clip_limit": None, "tiles": None, "checksum": fold(cv2.equalizeHist(picture))}
        for clip_limit, tiles in itertools.product((0, 0.5, 2, 3.7, 40), ((8, 8), (1, 1), (2, 3), (5, 4), (16, 7))):
            equal = cv2.createCLAHE(clip_limit, tiles).apply(picture)
            yield {**case, "clip_limit": clip_limit, "tiles": tiles, "checksum": fold(equal)}


def dark_noise(width, height):
    """Noise of a dim room: most pixels dark, and brighter from left to right."""
    squares = noise(height * width).reshape(height, width).astype(np.uint32) ** 2 >> 9
    return (squares + np.arange(width, dtype=np.uint32) * 100 // width).astype(np.uint8)


def noise(count):
    """Bytes that Rust can make too: the high bytes of Knuth's MMIX generator, from 0."""
    state, pixels = 0, np.empty(count, np.uint8)
    for index in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        pixels[index] = state >> 56
    return pixels


def fold(pixels):
    """FNV-1a, 64 bit, as a decimal string."""
    value = 0xCBF29CE484222325
    for byte in pixels.tobytes():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return str(value)


def write(path, cases):
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pictures")
    arguments.add_argument("--longest", type=int, default=1 << 30, help="shrink pictures to this longest side")
    arguments.add_argument("--out", default=str(HERE))
    arguments = arguments.parse_args()
    cv2.setNumThreads(1)
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    cases, leveled = [], []
    for name, picture in pictures(arguments.pictures, arguments.longest):
        cv2.imwrite(str(out / f"{name}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        cases += detections(name, picture, bool(arguments.pictures))
        leveled += levels(name, picture)
    if not arguments.pictures:
        picture = portrait_in_color()
        cv2.imwrite(str(out / "astronaut_color.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        leveled += levels("astronaut_color", picture)
    write(out / "detections.json", cases)
    write(out / "levels.json", leveled)
    if not arguments.pictures:
        write(out / "resizes.json", resizes())
        sizes = [(48, 48), (96, 64), (131, 97), (50, 33), (5, 7), (9, 1), (1, 1)]
        write(out / "equalised.json", equalised((None, dark_noise(*size)) for size in sizes))
    else:
        write(out / "equalised.json", equalised(pictures(arguments.pictures, arguments.longest)))
    print(cv2.__version__, len(cases), "cases,", sum(bool(case["rects"]) for case in cases), "find something")


if __name__ == "__main__":
    main()
