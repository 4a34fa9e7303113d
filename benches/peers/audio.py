"""librosa, torchaudio and this workspace's audio-features, timed in interleaved rounds of one run.

    cargo xtask bench-librosa [--seconds 3 600] [--rounds N] [--only mel mfcc] [--torchaudio] [--memory] [--threads N]

Everybody gets the same clip: speech-like, made here from a fixed seed, f32, 22,050 Hz; librosa's defaults everywhere.
With several threads the features that can use them on one clip do (mel, mfcc, chroma), and those of one thread stand beside.
audio-features and torchaudio plan once and compute often, as their users do; librosa has no plans.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import warnings

import librosa
import numpy as np
from rounds import Rust, machine, measure, table, timed

SR = 22050
FEATURES = ["stft", "mel", "mfcc", "chroma_0", "chroma", "zcr", "rms", "vector_162", "time_stretch", "pitch_shift", "resample", "notebook"]
NAMES = {
    "stft": "stft", "mel": "melspectrogram", "mfcc": "mfcc 20", "chroma_0": "chroma, tuning 0", "chroma": "chroma, tuning estimated",
    "zcr": "zero crossings", "rms": "rms", "vector_162": "the five of the 162-vector", "time_stretch": "time_stretch 0.8",
    "pitch_shift": "pitch_shift +0.7", "resample": "resample 22.05 → 16 kHz", "notebook": "clip, noisy, stretched and shifted: 3 × 162",
}


def clip(seconds):
    """A voice of sorts: a gliding fundamental with formants, bursts of noise, and a rising whistle."""
    n, rng = int(seconds * SR), np.random.default_rng(20261120)
    t = np.arange(n) / SR
    f0 = 120 + 40 * np.sin(2 * np.pi * 0.7 * t) + 15 * np.sin(2 * np.pi * 5.3 * t)
    phase = 2 * np.pi * np.cumsum(f0) / SR
    y = np.zeros(n)
    for k in range(1, 25):
        formants = sum(np.exp(-0.5 * ((k * f0 - center) / width) ** 2) for center, width in [(600, 120), (1500, 200), (2600, 300)])
        y += (0.02 + formants) / k**0.5 * np.sin(k * phase)
    y += (np.sin(2 * np.pi * 3.1 * t) > 0.6) * rng.standard_normal(n) * 0.4
    y += 0.05 * np.sin(2 * np.pi * 200 * np.cumsum(40 ** (t % 3 / 3)) / SR)
    y *= 0.55 + 0.45 * np.sin(2 * np.pi * 2.3 * t)
    return (0.7 * y / np.max(np.abs(y))).astype(np.float32)


def vector_162(y):
    """Zero crossings, chroma, MFCC, RMS and mel, each meant over time: the vector as the classic notebook writes it."""
    spectrum = np.abs(librosa.stft(y))
    features = [
        librosa.feature.zero_crossing_rate(y=y),
        librosa.feature.chroma_stft(S=spectrum, sr=SR),
        librosa.feature.mfcc(y=y, sr=SR),
        librosa.feature.rms(y=y),
        librosa.feature.melspectrogram(y=y, sr=SR),
    ]
    return np.hstack([np.mean(feature.T, axis=0) for feature in features])


def notebook(y):
    """Three 162-vectors: of the clip, of a noisy copy, of a copy that is stretched and shifted."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal(len(y), np.float32)
    noisy = y + noise * np.float32(np.sqrt(np.mean(y**2) / 100))
    changed = librosa.effects.pitch_shift(librosa.effects.time_stretch(y, rate=0.8), sr=SR, n_steps=0.7)
    return np.concatenate([vector_162(y), vector_162(noisy), vector_162(changed)])


def librosa_call(feature, y):
    return {
        "stft": lambda: librosa.stft(y),
        "mel": lambda: librosa.feature.melspectrogram(y=y, sr=SR),
        "mfcc": lambda: librosa.feature.mfcc(y=y, sr=SR),
        "chroma_0": lambda: librosa.feature.chroma_stft(y=y, sr=SR, tuning=0.0),
        "chroma": lambda: librosa.feature.chroma_stft(y=y, sr=SR),
        "zcr": lambda: librosa.feature.zero_crossing_rate(y=y),
        "rms": lambda: librosa.feature.rms(y=y),
        "vector_162": lambda: vector_162(y),
        "time_stretch": lambda: librosa.effects.time_stretch(y, rate=0.8),
        "pitch_shift": lambda: librosa.effects.pitch_shift(y, sr=SR, n_steps=0.7),
        "resample": lambda: librosa.resample(y, orig_sr=SR, target_sr=16000),
        "notebook": lambda: notebook(y),
    }[feature]


def torchaudio_calls(y, threads):
    """What torchaudio has of these, with librosa's parameters."""
    import torch
    import torchaudio

    torch.set_num_threads(threads)
    wave = torch.from_numpy(y)
    bank = {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney", "pad_mode": "constant"}
    mel = torchaudio.transforms.MelSpectrogram(SR, **bank)
    mfcc = torchaudio.transforms.MFCC(SR, n_mfcc=20, melkwargs=bank)

    def without_gradients(transform):
        def call():
            with torch.inference_mode():
                return transform(wave)
        return call

    return {"mel": without_gradients(mel), "mfcc": without_gradients(mfcc)}


def speed(program, seconds, path, options):
    y = clip(seconds)
    y.tofile(path)
    rust = Rust(program, path, "--threads", options.threads)
    torch_calls = torchaudio_calls(y, options.threads) if options.torchaudio else {}
    rows = {"floor": {"floor f32": rust.contestant("floor/f32"), "floor f64": rust.contestant("floor/f64")}}
    for feature in options.only:
        columns = {"librosa": timed(librosa_call(feature, y))}
        if feature in torch_calls:
            columns["torchaudio"] = timed(torch_calls[feature])
        for mode in ("parity", "fast"):
            columns[mode] = rust.contestant(f"{feature}/{mode}")
            if options.threads > 1:
                columns[f"{mode}, one thread"] = rust.contestant(f"{feature}/{mode}@1")
        rows[NAMES[feature]] = columns
    times = measure(rows, options.rounds or (15 if seconds < 60 else 5))
    rust.close()
    floors = times.pop("floor")
    for found in times.values():
        found.update(floors)
    columns = ["librosa", *(["torchaudio"] if torch_calls else []), "parity", "fast"]
    ratios = [("librosa", "parity"), ("librosa", "fast"), ("parity", "floor f64"), ("fast", "floor f32")]
    if options.threads > 1:
        columns += ["parity, one thread", "fast, one thread"]
        ratios += [("parity, one thread", "parity"), ("fast, one thread", "fast")]
    if torch_calls:
        ratios.insert(2, ("torchaudio", "fast"))
    print(f"\n{seconds:g} s, {options.threads} thread{'s' if options.threads > 1 else ''}: medians (minima)\n")
    print(table(times, columns, ratios))
    bare = ", ".join(f"{name[6:]} {1e3 * sorted(found)[len(found) // 2]:.3g} ms ({1e3 * min(found):.3g})" for name, found in floors.items())
    if not torch_calls:
        print("\ntorchaudio takes part with --torchaudio.")
    print(f"\nThe floor is the bare transforms of the same frames (realfft): {bare}.")


def peak(feature, path):
    """The most memory that one call of librosa takes beyond its output, and the output's size; in a process of its own."""
    y = np.fromfile(path, np.float32)
    warm = librosa_call(feature, y[: 3 * SR].copy())
    warm()
    call = librosa_call(feature, y)
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    result = call()
    print(max(0, status("VmHWM") - before - result.nbytes), result.nbytes)


def status(name):
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def memory(program, seconds, path, options):
    clip(seconds).tofile(path)
    ask = lambda *command: [int(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]
    print(f"\n{seconds:g} s: peak memory beyond the output, MB (each in a process of its own)\n")
    print("| feature | output | librosa | parity | fast |\n|---|---|---|---|---|")
    for feature in options.only:
        theirs, _ = ask(sys.executable, __file__, "--peak", feature, path)
        ours = [ask(program, path, "--memory", f"{feature}/{mode}") for mode in ("parity", "fast")]
        cells = [ours[0][1], theirs, ours[0][0], ours[1][0]]
        print(f"| {NAMES[feature]} | " + " | ".join(f"{cell / 1e6:.1f}" for cell in cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench-librosa", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[3, 600], help="lengths of the clip (default: 3 600)")
    parser.add_argument("--rounds", type=int, help="rounds per length (default: 15 up to a minute, else 5)")
    parser.add_argument("--only", nargs="+", choices=FEATURES, default=FEATURES, metavar="FEATURE", help=", ".join(FEATURES))
    parser.add_argument("--torchaudio", action="store_true", help="torchaudio 2.11 too (installs PyTorch, several gigabytes)")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--threads", type=int, default=1, help="threads that everybody may use (default: 1)")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.peak:
        return peak(*options.peak)
    program = os.environ["EMOTION_BENCH"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "clip.f32")
        for seconds in options.seconds:
            (memory if options.memory else speed)(program, seconds, path, options)
    packages = ["librosa", "numpy", "scipy", "numba", "soxr"] + (["torchaudio"] if options.torchaudio else [])
    print(f"\n{machine(packages)}.")


if __name__ == "__main__":
    main()
