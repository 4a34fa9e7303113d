#!/usr/bin/env python3
"""Writes what librosa 1.0.0 computes, as a conformance suite: cases.json and safetensors.

    python3.13 -m venv venv && venv/bin/pip install librosa==1.0.0 safetensors
    venv/bin/python generate.py .              # the subset that is committed beside this file
    venv/bin/python generate.py OUT --full     # more inputs and more combinations of parameters

All inputs are synthetic and drawn from fixed seeds, so the suite carries nobody's sound.
"""

import argparse
import itertools
import json
import pathlib
import random
import warnings

import librosa
import numpy as np
import scipy
import scipy.fft
from safetensors.numpy import save_file

assert librosa.__version__ == "1.0.0", librosa.__version__
SR = 22050


def speech(n, rng):
    """A voice of sorts: a gliding fundamental with formants, and bursts of noise."""
    t = np.arange(n) / SR
    f0 = 120 + 40 * np.sin(2 * np.pi * 1.7 * t) + 15 * np.sin(2 * np.pi * 5.3 * t)
    phase = 2 * np.pi * np.cumsum(f0) / SR
    y = np.zeros(n)
    for k in range(1, 40):
        f = k * f0
        formants = sum(np.exp(-0.5 * ((f - c) / w) ** 2) for c, w in [(600, 120), (1500, 200), (2600, 300)])
        y += (0.02 + formants) / k**0.5 * np.sin(k * phase)
    burst = (np.sin(2 * np.pi * 3.1 * t) > 0.6) * rng.standard_normal(n) * 0.4
    y = (y + burst) * (0.55 + 0.45 * np.sin(2 * np.pi * 2.3 * t))
    return 0.7 * y / np.max(np.abs(y))


def make_inputs(full):
    rng = np.random.default_rng(20261121)
    n = 22050 if full else 5000
    t = np.arange(n) / SR
    voice = speech(n, rng)
    tones = sum(np.sin(2 * np.pi * f * t) for f in (261.63, 329.63, 392.0, 440.0)) / 5
    detuned = sum(np.sin(2 * np.pi * f * 2 ** (0.31 / 12) * t) for f in (220.0, 440.0, 659.26)) / 4
    impulse = np.zeros(n)
    impulse[n // 3] = 1
    loud_quiet = np.where(np.arange(n) < n // 2, 0.9, 1e-4) * rng.standard_normal(n)
    pattern = np.array([1, -1, 0, -0.0, 1e-11, -1e-11, 1e-10, -1e-10, 2e-10, -2e-10, 0.5, -0.5])
    short = 3000
    inputs = {
        "speech": voice.astype(np.float32),
        "speech64": voice,
        "noise": (0.3 * rng.standard_normal(n)).astype(np.float32),
        "chirp": (0.5 * np.sin(2 * np.pi * (80 * t + 12000 * t**2))).astype(np.float32),
        "tones": tones.astype(np.float32),
        "detuned": detuned.astype(np.float32),
        "tone": (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32),
        "impulse": impulse.astype(np.float32),
        "silence": np.zeros(short, np.float32),
        "dc": np.full(short, 0.25, np.float32),
        "faint": (1e-6 * rng.standard_normal(short)).astype(np.float32),
        "loud_quiet": loud_quiet.astype(np.float32),
        "stereo": np.stack([voice[:short], 1e-3 * tones[:short]]).astype(np.float32),
        "many": rng.standard_normal((2, 3, 1500)).astype(np.float32) * 0.1,
        "edges": pattern[rng.integers(0, len(pattern), 2500)],
        "quiet_ends": np.concatenate([np.zeros(4000), voice[:2500], np.zeros(4000), voice[:1500], np.zeros(3000)]).astype(np.float32),
        "empty": np.zeros(0, np.float32),
        "len1": np.array([0.5], np.float32),
        "len2": np.array([0.5, -0.25], np.float32),
        "len100": (0.3 * rng.standard_normal(100)).astype(np.float32),
        "len1024": (0.3 * rng.standard_normal(1024)).astype(np.float32),
        "len2047": (0.3 * rng.standard_normal(2047)).astype(np.float32),
        "len2048": (0.3 * rng.standard_normal(2048)).astype(np.float32),
        "len2049": (0.3 * rng.standard_normal(2049)).astype(np.float32),
        "denormal": np.where(np.arange(2500) % 7 < 3, 1e-42, -1e-42).astype(np.float32),
        "nan": np.array([0.1, np.nan, 0.2] * 1000, np.float32),
        "inf": np.array([0.1, np.inf, 0.2] * 1000, np.float32),
        "int16": (voice[:short] * 32767).astype(np.int16),
        "freqs": np.array([0.0, 20, 60, 150, 440, 999.9, 1000, 1000.1, 4000, 11025, 20000]),
        "mels": np.array([0.0, 0.3, 5, 14.9, 15, 15.1, 30, 60]),
        "octaves": np.array([0.0, 1, 4, 4.5, 7.25]),
        "a4": np.array([430.0, 440, 442, 452.9]),
        "power": (rng.random((40, 12)) ** 6).astype(np.float32),
        "power64": rng.random((40, 12)) ** 6,
        "power_many": (rng.random((2, 20, 6)) ** 4 * np.array([1, 1e-9])[:, None, None]).astype(np.float32),
        "decibels": (-80 * rng.random((20, 8))).astype(np.float32),
        "features": rng.standard_normal((5, 30)).astype(np.float32),
        "features64": rng.standard_normal((2, 17)),
        "chromagram": rng.random((12, 7)).astype(np.float32),
        "negative": -rng.random((1025, 3)).astype(np.float32),
    }
    inputs["mag"] = np.abs(librosa.stft(inputs["speech"][:3000]))
    inputs["mag_many"] = np.abs(librosa.stft(inputs["many"][..., :500], n_fft=64, hop_length=100))
    inputs["chromagram_many"] = np.random.default_rng(7).random((2, 12, 4)).astype(np.float32)
    inputs["mag513"] = np.abs(librosa.stft(inputs["noise"][:2000], n_fft=1024))
    for name in ["freqs", "mels"]:
        inputs[name + "32"] = inputs[name].astype(np.float32)
    return inputs


class Suite:
    def __init__(self, inputs):
        self.inputs, self.cases, self.groups = inputs, [], {}
        self.used = set()

    def resolve(self, name):
        base, _, part = name.partition("[")
        self.used.add(base)
        value = self.inputs[base]
        return eval(f"value[{part}", {"value": value}) if part else value

    def run(self, fn, inputs, params, via=None):
        arrays = [self.resolve(name) for name in inputs]
        p = {k: tuple(v) if isinstance(v, list) and v and isinstance(v[0], str) else v for k, v in params.items()}
        if fn == "istft":
            return librosa.istft(librosa.stft(arrays[0], **{k: v for k, v in p.items() if k != "length"}),
                                 **{k: v for k, v in p.items() if k != "pad_mode"})
        if fn == "rms[S]":
            return librosa.feature.rms(S=arrays[0], **p)
        if fn.endswith("[S]"):
            return getattr(librosa.feature, fn[:-3])(S=arrays[0], **p)
        if fn.startswith("zero_crossings["):
            return librosa.zero_crossings(arrays[0], ref_magnitude=REDUCERS[fn[19:-1]], **p)
        if "[aggregate=" in fn:
            name, _, aggregate = fn[:-1].partition("[aggregate=")
            return getattr(librosa.effects, name.removeprefix("effects."))(arrays[0], aggregate=REDUCERS[aggregate], **p)
        if fn == "power_to_db[ref=max]":
            return librosa.power_to_db(arrays[0], ref=np.max, **p)
        if fn in ("estimate_tuning", "piptrack"):
            return getattr(librosa, fn)(y=arrays[0], **p)
        if fn == "tonnetz":
            return librosa.feature.tonnetz(chroma=arrays[0], **p)
        if fn == "magphase":
            return librosa.magphase(librosa.stft(arrays[0], n_fft=256), **p)
        owner, _, name = fn.rpartition(".")
        module = {"filters": librosa.filters, "effects": librosa.effects, "": None}[owner]
        if module is None:
            module = next(m for m in (librosa, librosa.feature) if hasattr(m, name))
        keyed = name in ("melspectrogram", "mfcc", "chroma_stft", "rms", "poly_features") or name.startswith("spectral_")
        return getattr(module, name)(**({"y": arrays[0]} if keyed else {}), **p) if keyed else getattr(module, name)(*arrays, **p)

    def add(self, fn, inputs=(), group=None, **params):
        group = group or fn.replace("effects.", "").replace("filters.mel", "mel_filter").replace("filters.chroma", "chroma_filter").replace("filters.get_window", "window").split("[")[0]
        stored = self.groups.setdefault(group, {})
        ident = f"{group}/{sum(c['group'] == group for c in self.cases):05d}"
        case = {"id": ident, "group": group, "fn": fn, "inputs": list(inputs), "params": {k: encode(v) for k, v in params.items()}}
        if fn == "istft":
            case["via"] = "stft"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = self.run(fn, inputs, params)
            except Exception as error:
                case["error"] = {"kind": type(error).__name__, "message": str(error)[:200]}
        if "error" not in case:
            outputs = result if isinstance(result, tuple) else (result,)
            case["expect"] = []
            for index, value in enumerate(outputs):
                value = np.asarray(value)
                key = f"{ident}/{index}"
                entry = {"key": key, "shape": list(value.shape), "dtype": str(value.dtype)}
                if np.iscomplexobj(value):
                    entry["complex"] = True
                    value = np.stack([value.real, value.imag], axis=-1)
                if value.dtype == bool:
                    value = value.astype(np.uint8)
                stored[key] = np.ascontiguousarray(value)
                case["expect"].append(entry)
            if fn in PRECISION_SENSITIVE and self.is_ill_conditioned(fn, inputs, params, outputs):
                case["ill_conditioned"] = True
        case["warnings"] = sorted({w.category.__name__ for w in caught})
        self.cases.append(case)

    def is_ill_conditioned(self, fn, inputs, params, outputs):
        """Whether librosa itself answers differently when its transform rounds differently."""
        if fn == "delta":
            # The ends are a least-squares fit that scipy makes in the precision of the input: does it hold in double precision?
            double = librosa.feature.delta(self.resolve(inputs[0]).astype(np.float64), **params)
            return bool(np.any(np.abs(double - outputs[0]) > 1e-8 + 1e-5 * np.abs(double)))
        return any(self.answers_differently(other, fn, inputs, params, outputs) for other in OTHER_TRANSFORMS)

    def answers_differently(self, transform, fn, inputs, params, outputs):
        scipy.fft.rfft = transform
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other = self.run(fn, inputs, params)
        finally:
            scipy.fft.rfft = RFFT
        other = other if isinstance(other, tuple) else (other,)
        return any(np.max(np.abs(np.asarray(a, float) - np.asarray(b, float)), initial=0)
                   > 1e-3 * np.max(np.abs(np.asarray(a, float)), initial=0) for a, b in zip(outputs, other))

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: np.ascontiguousarray(v) for k, v in self.inputs.items() if k in self.used}, folder / "inputs.safetensors")
        for group, arrays in self.groups.items():
            if arrays:
                save_file(arrays, folder / f"{group}.safetensors")
        head = {"librosa": librosa.__version__, "numpy": np.__version__, "scipy": scipy.__version__}
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in self.cases)
        text = json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n"
        (folder / "cases.json").write_text(text)


REDUCERS = {"max": np.max, "mean": np.mean, "median": np.median, "min": np.min}

PRECISION_SENSITIVE = {"istft", "delta", "chroma_stft", "estimate_tuning", "piptrack", "spectral_contrast", "spectral_bandwidth",
                       "spectral_centroid", "spectral_rolloff", "spectral_flatness", "poly_features"}


# The same transform in single precision; in double precision by way of the signal turned round in time, whose spectrum is
# the conjugate; and disturbed by as much as librosa rounds off when it stores a spectrum in single precision.
RFFT = scipy.fft.rfft
HALF_UNIT = 2.0**-24
OTHER_TRANSFORMS = [
    lambda x, n=None, axis=-1: RFFT(np.asarray(x, np.float32), n=n, axis=axis),
    lambda x, n=None, axis=-1: np.conj(RFFT(np.roll(np.flip(x, axis), 1, axis), n=n, axis=axis)),
    lambda x, n=None, axis=-1: (X := RFFT(x, n=n, axis=axis)) * (1 + HALF_UNIT * np.random.default_rng(3).uniform(-1, 1, X.shape)),
]


def encode(value):
    if isinstance(value, float) and not np.isfinite(value):
        return {"f": repr(value)}
    return list(value) if isinstance(value, tuple) else value


def product(rng, most, **axes):
    """All combinations of parameters, thinned to `most`, without those left at their default (...)."""
    combos = list(itertools.product(*axes.values()))
    if len(combos) > most:
        combos = rng.sample(combos, most)
    for combo in combos:
        yield {k: v for k, v in zip(axes, combo) if v is not ...}


def build(full):
    rng = random.Random(7)
    s = Suite(make_inputs(full))
    many = 4 if full else 1
    D = ...

    # Spectra: small transforms keep the committed files small.
    for y in ["speech", "speech64", "noise", "chirp", "loud_quiet", "impulse", "stereo"]:
        for p in product(rng, 4 * many, n_fft=[256, 255, 101, 64], hop_length=[D, 50, 64, 200], win_length=[D, 60],
                         window=[D, "hamming", ("kaiser", 4.0), "boxcar"], center=[D, False]):
            short = y + ("[..., :1500]" if full else "[..., :500]")
            s.add("stft", [short], **p)
    for pad_mode in ["constant", "edge", "reflect", "symmetric", "linear_ramp"]:
        for y in ["len100", "noise[:700]", "stereo[..., :400]"]:
            for p in product(rng, 2 * many, n_fft=[128, 33], hop_length=[D, 20, 128]):
                s.add("stft", [y], pad_mode=pad_mode, **p)
    s.add("stft", ["speech[:2300]"])
    for y in ["empty", "len1", "len2", "len100", "silence[:200]", "many[..., :300]"]:
        s.add("stft", [y], n_fft=128)
    for y, p in [("nan", {}), ("inf", {}), ("int16", {}), ("len100", {"center": False}), ("speech", {"hop_length": 0}),
                 ("speech", {"hop_length": -1}), ("speech", {"n_fft": 0}), ("speech", {"win_length": 4096}),
                 ("speech", {"window": "no_such_window"}), ("speech", {"pad_mode": "wrap"}), ("speech", {"pad_mode": "mean"})]:
        s.add("stft", [y], **p)
    for y in ["speech", "speech64", "noise"]:
        for p in product(rng, 5 * many, n_fft=[256, 255, 512], hop_length=[D, 64, 100], win_length=[D, 200],
                         window=[D, "hamming"], center=[D, False], length=[D, 1000, 1500, 2500]):
            s.add("istft", [y + "[..., :1500]"], **p)
    for y, p in [("speech[:2300]", {"n_fft": 1023}), ("speech[:2300]", {"n_fft": 1024, "hop_length": 300}), ("speech[:3000]", {}),
                 ("stereo[..., :900]", {"n_fft": 240}), ("noise[:900]", {"n_fft": 128, "hop_length": 128, "window": "boxcar"}),
                 ("noise[:900]", {"n_fft": 100, "hop_length": 30, "pad_mode": "reflect", "length": 900})]:
        s.add("istft", [y], **p)
    for power in [1, 2]:
        s.add("magphase", ["speech[:900]"], power=power)

    # Tables.
    for p in product(rng, 10 * many, sr=[22050, 16000, 44100], n_fft=[512, 1023, 2048] if full else [128, 255, 400], n_mels=[D, 20, 40] if full else [12, 20, 40], fmin=[D, 50.0],
                     fmax=[D, 8000, 7000.0], htk=[D, True], norm=[D, None, 1, 2, np.inf]):
        s.add("filters.mel", **p)
    s.add("filters.mel", sr=22050, n_fft=512 if full else 240)
    for p in [{"sr": 22050, "n_fft": 128, "n_mels": 100}, {"sr": 8000, "n_fft": 256, "n_mels": 24, "fmax": 9000.0},
              {"sr": 22050, "n_fft": 512, "norm": "no"}, {"sr": 22050, "n_fft": 512, "norm": -2}]:
        s.add("filters.mel", **p)
    for p in product(rng, 14 * many, sr=[22050, 16000], n_fft=[512, 2048, 1023] if full else [128, 255, 512], n_chroma=[D, 24, 13], tuning=[D, -0.3, 0.49],
                     octwidth=[D, None, 1.0], norm=[D, None, 1, np.inf], base_c=[D, False], ctroct=[D, 4.0]):
        s.add("filters.chroma", **p)
    names = ["hann", "hamming", "blackman", "blackmanharris", "nuttall", "flattop", "boxcar", "triang", "bartlett", "barthann",
             "cosine", "bohman", "parzen", "lanczos", "tukey", "exponential", ("kaiser", 4.0), ("kaiser", 14.0), 8.6,
             ("exponential", None, 9.0), ("gaussian", 12.0), ("general_gaussian", 1.5, 9.0), ("general_hamming", 0.6), ("tukey", 0.3), ("tukey", 0.0)]
    for window in names:
        for n in [64, 65] if full else [64 + len(str(window)) % 2]:
            for fftbins in [D, False]:
                s.add("filters.get_window", **{k: v for k, v in {"window": window, "Nx": n, "fftbins": fftbins}.items() if v is not ...})
    s.add("filters.get_window", window="hann", Nx=1)
    for window in ["nope", "kaiser"]:
        s.add("filters.get_window", window=window, Nx=16)
    for htk in [D, True]:
        p = {} if htk is D else {"htk": htk}
        s.add("hz_to_mel", ["freqs"], group="scales", **p)
        s.add("mel_to_hz", ["mels"], group="scales", **p)
        s.add("mel_frequencies", group="scales", n_mels=40, fmin=20.0, fmax=8000.0, **p)
    s.add("hz_to_octs", ["freqs[1:]"], group="scales", tuning=0.2)
    s.add("octs_to_hz", ["octaves"], group="scales", tuning=-0.2, bins_per_octave=24)
    s.add("A4_to_tuning", ["a4"], group="scales")
    for n_fft in [2048, 511]:
        s.add("fft_frequencies", group="scales", sr=16000, n_fft=n_fft)

    for fn in ["hz_to_midi", "midi_to_hz"]:
        s.add(fn, ["octaves[1:]"], group="scales")

    # Lengths around one frame.
    for y in ["empty", "len1", "len2047", "len2048", "len2049", "denormal"]:
        for p in [{}, {"center": False}]:
            s.add("melspectrogram", [y], n_mels=24, **p)
            s.add("mfcc", [y], n_mels=24, n_mfcc=13, **p)
            s.add("chroma_stft", [y], tuning=0.0, **p)
            for fn in ["zero_crossing_rate", "rms", "spectral_centroid", "spectral_flatness"]:
                s.add(fn, [y], **p)

    # Mel, MFCC, decibels, deltas.
    voices = ["speech", "speech64", "noise", "chirp", "tones", "loud_quiet", "impulse", "silence", "dc", "faint", "stereo", "len100", "len1"]
    for y in voices:
        for p in product(rng, 2 * many, sr=[D, 16000], n_fft=[D, 1024], hop_length=[D, 700], n_mels=[D, 40], power=[D, 1.0, 1.5],
                         htk=[D, True], norm=[D, None], fmax=[D, 6000], center=[D], pad_mode=[D, "reflect"], win_length=[D, 900]):
            s.add("melspectrogram", [y], **p)
        for p in product(rng, 3 * many, sr=[D, 16000], n_mfcc=[D, 13, 40], dct_type=[D, 2, 3, 1], norm=[D, "ortho", None], lifter=[D, 22],
                         n_mels=[D, 60], hop_length=[D, 600], htk=[D, True], mel_norm=[D, None]):
            s.add("mfcc", [y], **p)
    for y, p in [("nan", {}), ("empty", {}), ("speech", {"n_mels": 10, "n_mfcc": 20}), ("speech", {"n_mfcc": 0}), ("speech", {"lifter": -1}),
                 ("speech", {"dct_type": 4}), ("speech", {"dct_type": 5}), ("speech", {"dct_type": 0}), ("speech", {"norm": "no"}),
                 ("speech", {"n_fft": 0}), ("speech", {"hop_length": 0}), ("speech", {"n_mels": 0}), ("speech", {"sr": 0}), ("inf", {}),
                 ("speech", {"n_mels": 20, "fmax": 30000.0}), ("speech", {"n_mels": 20, "fmin": 9000.0, "fmax": 3000.0}), ("many", {"n_fft": 512, "n_mels": 20})]:
        s.add("mfcc", [y], **p)
    s.add("mfcc[S]", ["decibels"], n_mfcc=10)
    s.add("melspectrogram[S]", ["mag"], sr=16000)
    s.add("melspectrogram", ["int16"])
    for S in ["power", "power64", "power_many"]:
        for p in product(rng, 5 * many, ref=[D, 0.5, 0.0], amin=[D, 1e-5], top_db=[D, None, 20.0]):
            s.add("power_to_db", [S], group="db", **p)
            s.add("amplitude_to_db", [S], group="db", **p)
        for p in [{}, {"top_db": 0.0}, {"top_db": None}]:
            s.add("power_to_db[ref=max]", [S], group="db", **p)
    s.add("power_to_db", ["power"], group="db", amin=0.0)
    s.add("power_to_db", ["power"], group="db", top_db=-1.0)
    s.add("power_to_db", ["empty"], group="db")
    for fn in ["db_to_power", "db_to_amplitude"]:
        s.add(fn, ["decibels"], group="db")
        s.add(fn, ["decibels"], group="db", ref=0.5)
    for data in ["features", "features64"]:
        for p in product(rng, 10 * many, width=[D, 3, 5], order=[D, 2], mode=[D, "nearest", "mirror", "constant", "wrap"]):
            s.add("delta", [data], **p)
    for p in [{"width": 4}, {"width": 1}, {"width": 31}, {"order": 0}, {"width": 3, "order": 3}]:
        s.add("delta", ["features"], **p)

    # Pitch classes and tuning.
    for y in ["speech", "speech64", "noise", "chirp", "tones", "detuned", "tone", "loud_quiet", "impulse", "silence", "stereo", "len100"]:
        for p in product(rng, 3 * many, sr=[D, 16000], tuning=[D, D, 0.0, -0.25], n_chroma=[D, D, 24], norm=[D, None, 1, 2], n_fft=[D, 4096, 1025],
                         octwidth=[D, None], base_c=[D, False]):
            s.add("chroma_stft", [y], **p)
    for p in [{}, {"tuning": 0.0}, {"sr": 16000, "norm": None}]:
        s.add("chroma_stft[S]", ["mag"], **p)
    for y, p in [("nan", {}), ("speech", {"n_chroma": 0}), ("speech", {"norm": -3})]:
        s.add("chroma_stft", [y], **p)
    for y in ["speech", "tones", "detuned", "speech64", "noise", "silence"]:
        for p in product(rng, 2 * many, n_fft=[D, 1024], resolution=[D, 0.02], bins_per_octave=[D, 24]):
            s.add("estimate_tuning", [y], group="tuning", **p)
        for p in product(rng, 1 * many, n_fft=[512], fmin=[D, 300], fmax=[D, 9000], threshold=[D, 0.3]):
            s.add("piptrack", [y + ("" if full else "[:800]")], group="tuning", **p)
    s.add("pitch_tuning", ["freqs"], group="tuning")
    for p in [{}]:
        s.add("tonnetz", ["chromagram"], **p)

    # The waveform itself.
    for y in ["speech", "speech64", "noise", "edges", "silence", "dc", "faint", "stereo", "many", "len100", "len1", "quiet_ends"]:
        for p in product(rng, 3 * many, frame_length=[D, 1024, 255], hop_length=[D, 100, 256], center=[D, False], threshold=[D, 1e-5],
                         zero_pos=[D, False], pad=[D, True]):
            s.add("zero_crossing_rate", [y], **p)
        for p in product(rng, 3 * many, frame_length=[D, 1024, 255], hop_length=[D, 100, 256], center=[D, False], pad_mode=[D, "reflect", "edge"]):
            s.add("rms", [y], **p)
    for fn in ["zero_crossing_rate", "rms"]:
        for y, p in [("empty", {}), ("nan", {}), ("int16", {}), ("speech", {"hop_length": 0}), ("len100", {"center": False})]:
            s.add(fn, [y], **p)
    for pad_mode in ["symmetric", "linear_ramp", "wrap", "maximum", "minimum", "mean", "median"]:
        s.add("rms", ["speech[:3000]"], pad_mode=pad_mode)
    for S, p in [("mag", {}), ("mag", {"frame_length": 2049}), ("mag513", {"frame_length": 1024}), ("mag513", {})]:
        s.add("rms[S]", [S], **p)

    # The shape of the spectrum.
    for y in ["speech", "speech64", "noise", "tone", "silence", "impulse", "stereo"]:
        short = y + "[..., :2600]"
        for p in product(rng, 2 * many, sr=[D, 16000], n_fft=[D, 1024], hop_length=[D, 700]):
            s.add("spectral_centroid", [short], **p)
            s.add("spectral_flatness", [short], **{k: v for k, v in p.items() if k != "sr"})
            s.add("spectral_bandwidth", [short], **p)
            s.add("spectral_contrast", [short], **{**p, "sr": 22050})
            s.add("poly_features", [short], **p)
            s.add("spectral_rolloff", [short], **p, roll_percent=rng.choice([0.1, 0.85]))
    s.add("spectral_bandwidth", ["speech[:2600]"], p=3.0)
    s.add("spectral_bandwidth", ["speech[:2600]"], norm=False)
    s.add("spectral_bandwidth", ["stereo[..., :2600]"], norm=False, p=1.0)
    s.add("spectral_flatness", ["speech[:2600]"], amin=1e-3, power=1.0)
    s.add("spectral_contrast", ["speech[:2600]"], linear=True, quantile=0.1, n_bands=4, fmin=100.0)
    s.add("poly_features", ["speech[:2600]"], order=3)
    for fn in ["spectral_centroid", "spectral_bandwidth", "spectral_rolloff", "spectral_flatness"]:
        s.add(fn + "[S]", ["mag"])
        s.add(fn + "[S]", ["negative"])
    for p in [{"sr": 4000}, {"n_bands": 0}, {"quantile": 1.0}, {"fmin": 0.0}]:
        s.add("spectral_contrast", ["speech[:2600]"], **p)
    s.add("spectral_rolloff", ["speech[:2600]"], roll_percent=1.0)
    s.add("spectral_flatness", ["speech[:2600]"], amin=0.0)

    # Effects and resampling.
    # Short inputs for the committed subset; everything for the full suite.
    cut = (lambda y, n: y) if full else (lambda y, n: f"{y}[:{n}]")
    for y in [cut("speech", 2200), cut("speech64", 1200), cut("chirp", 1200)]:
        for rate in [0.5, 0.8, 1.0, 1.25, 2.0]:
            s.add("effects.time_stretch", [y], rate=rate)
    for y in [cut("speech", 2700), cut("noise", 2700)]:
        for n_steps in [0.7, -3.0, 4.0]:
            s.add("effects.pitch_shift", [y], sr=SR, n_steps=n_steps)
    s.add("effects.time_stretch", [cut("speech", 2000)], rate=0.9, n_fft=512)
    for rate in [0.0, -1.0]:
        s.add("effects.time_stretch", ["speech"], rate=rate)
    for y in ["quiet_ends", "speech", "silence", "faint"]:
        for p in product(rng, (2 if y == "quiet_ends" else 1) * many, top_db=[D, 20, 40.0], ref=[D, 1.0], frame_length=[D, 1024], hop_length=[D, 256]):
            s.add("effects.trim", [y], **p)
            s.add("effects.split", [y], **p)
    for fn in ["effects.trim", "effects.split"]:
        s.add(fn, ["stereo"], top_db=10.0, frame_length=512, hop_length=128)
    for y in [cut("speech", 500), cut("speech64", 300), "len1"]:
        for p in [{}, {"coef": 0.9}]:
            s.add("effects.preemphasis", [y], **p)
            s.add("effects.deemphasis", [y], **p)
    for y in ["speech", "noise"] if full else ["noise[:3000]"]:
        for a, b in [(22050, 16000), (16000, 22050), (48000, 16000), (8000, 16000)]:
            s.add("resample", [y], orig_sr=a, target_sr=b)
    for y in [cut("speech", 1000), cut("speech64", 501), "stereo[..., :300]"]:
        for a, b in [(22050, 16000), (16000, 22050), (48000, 16000), (8000, 16000), (24414, 16000)]:
            for res_type in ["polyphase", "fft"]:
                s.add("resample", [y], orig_sr=a, target_sr=b, res_type=res_type)
    s.add("resample", ["noise[:700]"], orig_sr=22050, target_sr=16000, res_type="polyphase", scale=True)
    s.add("resample", ["nan"], orig_sr=22050, target_sr=16000)

    # Pitch.
    for y in ["speech", "tone", "speech64"]:
        for p in [{"fmin": 65.0, "fmax": 500.0}, {"fmin": 80.0, "fmax": 1000.0, "frame_length": 1024, "hop_length": 300, "trough_threshold": 0.2}]:
            s.add("yin", [y], group="pitch", sr=SR, **p)
    for y in ["speech", "tone"]:
        s.add("pyin", [y], group="pitch", sr=SR, fmin=65.0, fmax=500.0)
    for p in [{"fmin": 500.0, "fmax": 65.0}, {"fmin": 65.0, "fmax": 20000.0}, {"fmin": 5.0, "fmax": 500.0}]:
        s.add("yin", ["speech"], group="pitch", sr=SR, **p)
    add_windows_and_channels(s, rng, many)
    add_crossings_and_aggregates(s, rng, many, full)
    add_other_spellings(s)
    return s


def add_windows_and_channels(s, rng, many):
    """Windows that are no formula, padding modes beyond the five of stft, and features of several channels at once."""
    for window in [("chebwin", 60), ("chebwin", 100.0), "taylor", ("taylor", 5), ("taylor", 6, 45.0), ("taylor", 3, 35, False),
                   ("dpss", 2.5), ("dpss", 4.0), ("general_cosine", [0.4, 0.35, 0.25]), ("exponential", None, 7.0),
                   ("exponential", 3.0, 4.0), ("exponential", 20.0), ("kaiser_bessel_derived", 4.0)]:
        for n in [36, 37]:
            for fftbins in [True, False]:
                s.add("filters.get_window", window=window, Nx=n, fftbins=fftbins)
    for window in ["chebwin", "dpss", ("dpss", 20.0), ("dpss", 0.0), "hanning"]:
        s.add("filters.get_window", window=window, Nx=36)
    for window in [("chebwin", 80), ("dpss", 3.0), "taylor", ("kaiser_bessel_derived", 4.0), np.hanning(64).tolist(), np.ones(63).tolist()]:
        s.add("stft", ["speech[:700]"], n_fft=64, hop_length=200, window=window)
    for pad_mode in ["wrap", "maximum", "minimum", "mean", "median"]:
        s.add("stft", ["speech[:700]"], n_fft=64, pad_mode=pad_mode)
        s.add("stft", ["speech[:200]"], n_fft=64, hop_length=100, pad_mode=pad_mode, center=False)
        s.add("rms", ["speech[:700]"], frame_length=200, hop_length=60, pad_mode=pad_mode)
        s.add("rms", ["len100"], frame_length=300, hop_length=60, pad_mode=pad_mode)
        s.add("yin", ["speech"], group="pitch", sr=SR, fmin=80.0, fmax=500.0, frame_length=1024, pad_mode=pad_mode)

    # [channels..., n] and [channels..., n_bins, n_frames].
    for y in ["many[..., :600]", "stereo[..., :1100]"]:
        small = {"n_fft": 256, "hop_length": 128}
        s.add("istft", [y], n_fft=128)
        for p in product(rng, 2 * many, sr=[SR], n_fft=[256], hop_length=[128, 100], n_mels=[8], power=[..., 1.0]):
            s.add("melspectrogram", [y], **p)
            s.add("mfcc", [y], n_mfcc=5, **{k: v for k, v in p.items() if k != "power"})
        for p in [{}, {"tuning": 0.1}, {"n_chroma": 24, "norm": 2}]:
            s.add("chroma_stft", [y], n_fft=1024, hop_length=256, **p)
        s.add("zero_crossing_rate", [y], frame_length=256, hop_length=100)
        s.add("rms", [y], frame_length=256, hop_length=100, pad_mode="reflect")
        for fn in ["spectral_centroid", "spectral_bandwidth", "spectral_rolloff", "poly_features"]:
            s.add(fn, [y], sr=SR, **small)
        s.add("spectral_flatness", [y], **small)
        s.add("spectral_contrast", [y], sr=SR, **small, fmin=400.0, n_bands=4)
        s.add("estimate_tuning", [y], group="tuning", n_fft=1024)
        s.add("piptrack", [y], group="tuning", n_fft=128, hop_length=200)
        for fn in ["effects.preemphasis", "effects.deemphasis"]:
            s.add(fn, [y.replace("00]", "0]")])
        s.add("yin", [y], group="pitch", sr=SR, fmin=120.0, fmax=1000.0, frame_length=512)
        for top_db in [20, 45.0]:
            s.add("effects.split", [y], top_db=top_db, frame_length=256, hop_length=64)
    s.add("effects.time_stretch", ["stereo[..., :500]"], rate=0.9, n_fft=256)
    s.add("effects.trim", ["stereo[..., :1100]"], top_db=30, frame_length=256, hop_length=64)
    for fn in ["spectral_centroid[S]", "spectral_flatness[S]", "spectral_rolloff[S]", "tonnetz", "rms[S]"]:
        s.add(fn, ["mag_many" if fn != "tonnetz" else "chromagram_many"], **({"frame_length": 64} if fn == "rms[S]" else {}))
    s.add("delta", ["mag_many"], width=3, mode="nearest")
    for top_db in [..., None, 20.0]:
        s.add("power_to_db[ref=max]", ["mag_many"], group="db", **({} if top_db is ... else {"top_db": top_db}))
    s.add("hz_to_midi", ["freqs[1:]"], group="scales")
    s.add("midi_to_hz", ["mels"], group="scales")


def add_crossings_and_aggregates(s, rng, many, full):
    """Single zero crossings, and several channels that are silent together."""
    D = ...
    for y in ["many[..., :600]", "stereo[..., :1100]"] + (["many", "stereo"] if full else []):
        for reducer in REDUCERS:
            for top_db in [10, 30.0]:
                s.add(f"effects.split[aggregate={reducer}]", [y], top_db=top_db, frame_length=256, hop_length=64)
            s.add(f"effects.trim[aggregate={reducer}]", [y if full else y.replace("00]", "0]")], top_db=3.0, frame_length=32, hop_length=8)

    # The crossings themselves, and what counts as one.
    for y in ["edges", "speech", "speech64", "silence", "len1", "many", "empty"]:
        y = y if full or y in ("edges", "len1", "empty") else f"{y}[..., :400]"
        for p in product(rng, 2 * many, threshold=[D, 0.0, 0.01], ref_magnitude=[D, 0.5], zero_pos=[D, False], pad=[D, False]):
            s.add("zero_crossings", [y], **p)
        if y.split("[")[0] != "many":
            for p in product(rng, many, threshold=[D, 0.05, 0.3], zero_pos=[D, False]):
                s.add("zero_crossings[ref=max]", [y], **p)
                s.add("zero_crossings[ref=median]", [y], **p)


def add_other_spellings(s):
    """Arguments that librosa hands on to others or reads in Python's own way, and scales in single precision."""
    for window in ["hann_symmetric", "hann_periodic", ("kaiser_symmetric", 4.0), "hann_symmetric_periodic", ("hamming", 0.5), "kaiser"]:
        for fftbins in [True, False]:
            s.add("filters.get_window", window=window, Nx=12, fftbins=fftbins)
    s.add("stft", ["speech[:500]"], n_fft=64, window="hamming_symmetric")
    for n_mfcc in [-1, -30, -200]:
        s.add("mfcc", ["speech[:2000]"], n_mfcc=n_mfcc, n_mels=40)
    for ref_magnitude in [0.0, 0.3]:
        s.add("zero_crossing_rate", ["speech"], threshold=0.1, ref_magnitude=ref_magnitude)
    for axis in [0, -2, 1, 2]:
        s.add("delta", ["features"], axis=axis, width=5)
    for fn, name in [("hz_to_mel", "freqs32"), ("mel_to_hz", "mels32"), ("hz_to_octs", "freqs32[1:]"), ("hz_to_midi", "freqs32[1:]")]:
        for p in [{}, {"htk": True}] if "mel" in fn else [{}]:
            s.add(fn, [name], group="scales", **p)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--full", action="store_true", help="longer inputs, more combinations")
    args = parser.parse_args()
    suite = build(args.full)
    suite.save(args.out)
    errors = sum("error" in case for case in suite.cases)
    ill = sum("ill_conditioned" in case for case in suite.cases)
    print(f"{len(suite.cases)} cases, {errors} of them errors, {ill} ill-conditioned")


if __name__ == "__main__":
    main()
