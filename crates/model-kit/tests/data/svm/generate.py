"""LinearSVC of scikit-learn 1.9.1 on a made-up problem: the data are computed on both sides, the answers are kept.

Run with `pip install scikit-learn==1.9.1`.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.svm import LinearSVC

assert sklearn.__version__ == "1.9.1", sklearn.__version__

SAMPLES, FEATURES, CLASSES = 300, 20, 4


def noise(start, count):
    """SplitMix64 at the places start, start + 1, … as numbers of [-1, 1)."""
    z = np.uint64(start) + np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53 * 2 - 1


# Classes that overlap: noise, and a centre for each class.
classes = np.arange(SAMPLES) * 7 % CLASSES
centres = noise(1_000_000, CLASSES * FEATURES).reshape(CLASSES, FEATURES)
features = 2 * noise(0, SAMPLES * FEATURES).reshape(SAMPLES, FEATURES) + 0.5 * centres[classes]

golden = []
for c in (0.001, 0.1, 10.0):
    svm = LinearSVC(C=c, loss="squared_hinge", dual=False, tol=1e-12, max_iter=100_000).fit(features, classes)
    signs = np.where(classes[:, None] == np.arange(CLASSES), 1, -1)
    margins = svm.decision_function(features)
    hinge = np.maximum(0, 1 - signs * margins) ** 2
    penalty = (svm.coef_**2).sum(1) + svm.intercept_**2
    golden.append(
        {
            "c": c,
            "objective": (penalty / 2 + c * hinge.sum(0)).tolist(),
            "margins": margins[:5].ravel().tolist(),
            "right": int((margins.argmax(1) == classes).sum()),
        }
    )
(Path(__file__).parent / "linear_svc-sklearn-1.9.1.json").write_text(json.dumps(golden, indent=1) + "\n")
