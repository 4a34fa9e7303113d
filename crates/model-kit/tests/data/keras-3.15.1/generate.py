"""Golden sequences for `parity_training.rs`: what Keras 3.15.1's own callbacks do with given validation figures.

    pip install keras==3.15.1 torch && KERAS_BACKEND=torch python generate.py

A model that trains nothing is handed to ReduceLROnPlateau and EarlyStopping, which see one figure an epoch.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np

assert keras.__version__ == "3.15.1"


def figures(kind, epochs, seed):
    """A course that improves, stands still and gets worse in turn; no figure is at a threshold to the last bit."""
    random = np.random.default_rng(seed)
    steps = random.choice([-0.05, -0.00015, -0.00005, 0.0, 0.0002, 0.03], epochs)
    course = 1.5 + np.cumsum(steps)
    return [round(float(value), 6) for value in (course if kind == "loss" else 1.0 - course / 4.0)]


def model():
    return SimpleNamespace(optimizer=keras.optimizers.SGD(learning_rate=0.01), stop_training=False, metrics=[])


def plateau(kind, seed, **settings):
    values = figures(kind, 40, seed)
    mode = "min" if kind == "loss" else "max"
    callback = keras.callbacks.ReduceLROnPlateau(monitor="value", mode=mode, **settings)
    fake = model()
    callback.set_model(fake)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"value": value})
        rates.append(float(fake.optimizer.learning_rate))
    return {"metric": kind, "settings": settings, "values": values, "rates": rates}


def early_stop(kind, seed, **settings):
    values = figures(kind, 40, seed)
    mode = "min" if kind == "loss" else "max"
    callback = keras.callbacks.EarlyStopping(monitor="value", mode=mode, **settings)
    fake = model()
    callback.set_model(fake)
    callback.on_train_begin()
    last = None
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"value": value})
        if fake.stop_training:
            last = epoch + 1
            break
    return {"metric": kind, "settings": settings, "values": values, "stopped_after": last}


plateaus = []
for seed, settings in enumerate(
    [
        dict(factor=0.1, patience=10),
        dict(factor=0.2, patience=2, min_lr=1e-4),
        dict(factor=0.4, patience=2, min_lr=1e-7, cooldown=3),
        dict(factor=0.5, patience=1, min_delta=0.0),
        dict(factor=0.5, patience=1, cooldown=1, min_delta=0.01),
        dict(factor=0.8, patience=3, min_lr=0.004, cooldown=2),
    ]
):
    plateaus += [plateau("loss", seed, **settings), plateau("accuracy", seed + 100, **settings)]
stops = []
for seed, settings in enumerate(
    [
        dict(patience=1),
        dict(patience=3),
        dict(patience=5, min_delta=0.02),
        dict(patience=2, start_from_epoch=12),
        dict(patience=3, baseline=1.2),
        dict(patience=30),
    ]
):
    stops.append(early_stop("loss", seed + 200, **settings))
    if "baseline" not in settings:
        stops.append(early_stop("accuracy", seed + 300, **settings))
path = Path(__file__).parent / "callbacks.json"
path.write_text(json.dumps({"plateaus": plateaus, "stops": stops}) + "\n")
