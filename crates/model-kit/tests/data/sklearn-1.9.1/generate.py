"""Golden figures for `parity_sklearn.rs`, from scikit-learn 1.9.1, SciPy 1.17.1 and NumPy 2.4.6.

    pip install scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6 && python generate.py

Probabilities are whole 1024ths, which float32 holds exactly, so that both sides see the same numbers.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from sklearn import metrics

UNIT = 1024
BINS = 15


def ece(truth, probabilities):
    """Guo et al. 2017: bins (lower, upper] of the top probability."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    edges = np.linspace(0, 1, BINS + 1)
    total = 0.0
    for lower, upper in zip(edges[:-1], edges[1:]):
        inside = (confidence > lower) & (confidence <= upper)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


def tempered_loss(truth, probabilities, temperature):
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).eps)) / temperature
    return float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(truth)), truth]))


def case(name, seed, classes, samples, skill, occurring=None):
    random = np.random.default_rng(seed)
    occurring = occurring or list(range(classes))
    truth = random.choice(occurring, samples)
    logits = random.normal(size=(samples, classes)) * 1.5
    logits[np.arange(samples), truth] += skill
    exact = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    counts = np.stack([random.multinomial(UNIT, row) for row in exact])
    probabilities = (counts / UNIT).astype(np.float32)
    predicted = probabilities.argmax(1)
    labels = list(range(classes))

    def averages(average, over):
        values = metrics.precision_recall_fscore_support(truth, predicted, labels=over, average=average, zero_division=0)
        return {"precision": values[0], "recall": values[1], "f1": values[2]}

    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, average=None, zero_division=0)
    best = minimize_scalar(lambda t: tempered_loss(truth, probabilities.astype(float), t), bounds=(0.05, 20),
                           method="bounded", options={"xatol": 1e-9})
    correct = int((truth == predicted).sum())
    wilson = binomtest(correct, samples).proportion_ci(0.95, method="wilson")
    return {
        "name": name, "unit": UNIT, "truth": truth.tolist(), "counts": counts.tolist(),
        "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
        "accuracy": metrics.accuracy_score(truth, predicted),
        "uar": metrics.recall_score(truth, predicted, labels=occurring, average="macro", zero_division=0),
        "precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(), "support": support.tolist(),
        "macro": averages("macro", occurring), "weighted": averages("weighted", labels),
        "log_loss": metrics.log_loss(truth, probabilities, labels=labels),
        "brier": metrics.brier_score_loss(truth, probabilities.astype(float), labels=labels, scale_by_half=False),
        "ece": ece(truth, probabilities.astype(float)),
        "temperature": best.x, "tempered_log_loss": best.fun,
        "wilson": [wilson.low, wilson.high],
    }


golden = {
    "cases": [
        case("balanced", 1, 7, 160, 1.5),
        case("class_5_never_occurs", 2, 8, 120, 1.0, [0, 1, 2, 3, 4, 6, 7]),
        case("guessing", 3, 3, 80, 0.0),
        case("skilled", 4, 7, 100, 4.0),
    ],
    "mcnemar": [
        {"only_first": a, "only_second": b, "p_value": binomtest(min(a, b), a + b, 0.5).pvalue if a + b else 1.0}
        for a, b in [(0, 0), (1, 0), (5, 5), (10, 3), (40, 61), (900, 1000), (1200, 1500)]
    ],
}
Path(__file__).with_name("metrics.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
