"""Runs exported models in PyTorch and in onnxruntime, and compares their logits with those of the workspace.

    check.py FOLDER

FOLDER is what `cargo run --release --example export_model -- --every FOLDER` wrote: NAME.onnx, NAME.pt (with NAME.pt.json)
and NAME.safetensors with input_0, logits_0, …; `cargo xtask check-exports` does both. Prints the worst difference of each
model, as a share of its largest logit, and exits with 1 when one is above 1e-5 or a file is not what it should be.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch

# Float 32 computed in another order.
TOLERANCE = 1e-5


def safetensors(path):
    """The tensors of a file of 32-bit floats."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32", entry
            first, last = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[start + first : start + last], "<f4").reshape(entry["shape"])
    return tensors


def open_onnx(path):
    """A function from input to logits, and the file's description."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    (batch, *_), (output, classes) = ([dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
                                      for value in (model.graph.input[0], model.graph.output[0]))
    assert batch == output == "batch", (batch, output)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    description = {key: text if key == "name" else json.loads(text) for key, text in properties.items()}
    assert len(description["labels"]) == classes, classes
    return lambda value: session.run(["logits"], {"input": value})[0], description


def open_torchscript(path):
    module = torch.jit.load(path).eval()
    description = json.loads(path.with_name(path.name + ".json").read_text())

    def run(value):
        with torch.no_grad():
            return module(torch.from_numpy(value.copy())).numpy()

    return run, description


def check(path, load, samples):
    """The worst difference, as a share of the largest logit."""
    run, description = load(path)
    assert set(description) == {"name", "labels", "temperature", "input", "normalisation"}, description
    worst = 0.0
    # Twice: LibTorch runs a module differently once it has seen it run.
    for index in [*range(len(samples) // 2)] * 2:
        value, wanted = samples[f"input_{index}"], samples[f"logits_{index}"]
        got = run(value)
        assert got.shape == wanted.shape, (got.shape, wanted.shape)
        difference = np.abs(got - wanted).max() / np.abs(wanted).max()
        worst = max(worst, float("inf") if np.isnan(difference) else float(difference))
    return worst


def main(folder):
    failed = 0
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, PyTorch {torch.__version__}")
    print(f"{'model':28} {'onnxruntime':>12} {'PyTorch':>12}")
    models = sorted(folder.glob("*.safetensors"))
    for path in models:
        samples, line = safetensors(path), f"{path.stem:28}"
        for ending, load in ((".onnx", open_onnx), (".pt", open_torchscript)):
            try:
                worst = check(path.with_suffix(ending), load, samples)
                line += f" {worst:12.1e}"
                failed += worst > TOLERANCE
            except Exception as error:  # one broken file must not hide the others
                line += f" {type(error).__name__}: {str(error)[:300]}"
                failed += 1
        print(line, flush=True)
    print(f"{len(models)} models, {failed} failures")
    return 1 if failed or not models else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
