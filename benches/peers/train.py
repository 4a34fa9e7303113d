"""PyTorch and this workspace on the same networks: training steps, whole training loops, inference, memory.

    cargo xtask bench-train [--only PART…] [--rounds N] [--threads N] [--device cuda]

Both sides run the same operations of the same LibTorch (this PyTorch's own library is put before the bench program's), with the same
number of threads on the same cores, in turn. First the networks of both are shown to be the same: the bench program's weights give
the same answers here.

PyTorch's side is what its users write: `torch.optim` and `AveragedModel` as they come, tensors that lie ready on the device, no loader.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
from networks import Compact, DeepCnn1d, LogMelCnn, MaskedCnn, MiniGenieCnn, RealtimeCnn
from rounds import Rust, machine, measure, timed
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

NETWORKS = {
    "compact": (Compact, (1, 48, 48), 7),
    "mini_genie_cnn": (MiniGenieCnn, (1, 48, 48), 7),
    "realtime_cnn": (RealtimeCnn, (1, 48, 48), 7),
    "masked_cnn": (MaskedCnn, (65, 126), 8),
    "log_mel_cnn": (LogMelCnn, (65, 126), 8),
    "deep_cnn_1d": (DeepCnn1d, (162,), 8),
}


def sgd(parameters):
    """Spares biases and batch norms the decay, as the other side does."""
    parameters = list(parameters)
    groups = [{"params": [p for p in parameters if p.dim() > 1]}, {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0}]
    return torch.optim.SGD(groups, lr=1e-4, momentum=0.9, nesterov=True, weight_decay=5e-4)


def rms_prop(parameters):
    return torch.optim.RMSprop(parameters, lr=1e-4, alpha=0.9, eps=1e-7)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-4)


def adam_w(parameters):
    parameters = list(parameters)
    groups = [{"params": [p for p in parameters if p.dim() > 1]}, {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=1e-4, weight_decay=1e-2)


# Row: network, optimiser, batch, decay of the averaged weights, label smoothing, mixup, limit of the gradients' norm.
STEPS = {
    "mini_genie_cnn": ("mini_genie_cnn", rms_prop, 64, 0, 0, 0, 0),
    "compact": ("compact", sgd, 128, 0, 0.1, 0.2, 0),
    "compact-ema": ("compact", sgd, 128, 0.999, 0.1, 0.2, 0),
    "masked_cnn": ("masked_cnn", adam_w, 32, 0.995, 0.1, 0, 5),
    "log_mel_cnn": ("log_mel_cnn", adam_w, 32, 0.995, 0.1, 0.2, 5),
    "deep_cnn_1d": ("deep_cnn_1d", adam, 64, 0, 0, 0, 0),
}
SAID = {
    "mini_genie_cnn": "`MiniGenieCnn`, RMSprop, batch 64",
    "compact": "`Compact`, SGD Nesterov, mixup, batch 128",
    "compact-ema": "the same with averaged weights",
    "masked_cnn": "`MaskedCnn`, AdamW, mask and speaking learnt beside the classes, clipping, averaged weights, batch 32 of 2 s",
    "log_mel_cnn": "`LogMelCnn`, AdamW, mixup, clipping, averaged weights, batch 32 of 2 s",
    "deep_cnn_1d": "`DeepCnn1d`, Adam, batch 64",
}
LOOKS = ("compact", "mini_genie_cnn", "realtime_cnn")
PARTS = ("same", "step", "loop", "network", "predict", "speech", "memory")


def clocked(call, device):
    """A contestant out of a function: on a GPU the clock runs until the last call is done, and nothing waits in between."""
    if device.type != "cuda":
        return timed(call)

    def contest(repeats):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        torch.cuda.synchronize(device)
        return (time.perf_counter() - start) / repeats

    return contest


def noise(name, batch, device):
    inputs = torch.randn(batch, *NETWORKS[name][1], device=device)
    if name in ("masked_cnn", "log_mel_cnn"):
        inputs[:, -1] = 1
    return inputs


def step(row, device):
    """A training step on tensors that lie ready."""
    name, optimizer, batch, decay, smoothing, mixup, limit = STEPS[row]
    network, classes = NETWORKS[name][0]().to(device).train(), NETWORKS[name][2]
    optimizer = optimizer(network.parameters())
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None
    share = torch.distributions.Beta(mixup, mixup) if mixup else None
    inputs = [noise(name, batch, device) for _ in range(4)]
    targets = torch.eye(classes, device=device)[torch.arange(batch, device=device) % classes]
    turn, total = 0, torch.zeros((), device=device)

    def call():
        nonlocal turn, total
        x, y = inputs[turn % len(inputs)], targets
        turn += 1
        if share is not None:
            part = share.sample().item()
            x, y = x * part + x.flip(0) * (1 - part), y * part + y.flip(0) * (1 - part)
        optimizer.zero_grad()
        logits = network(x)
        loss = F.cross_entropy(logits[:, :classes], y, label_smoothing=smoothing)
        if logits.shape[1] > classes:
            # The mask, 64 bands of every second frame, and speaking, each told everywhere.
            for task in logits[:, classes:].split([64 * 63, 63], 1):
                loss = loss + F.binary_cross_entropy_with_logits(task, torch.full_like(task, 0.5))
        loss.backward()
        if limit:
            torch.nn.utils.clip_grad_norm_(network.parameters(), limit)
        optimizer.step()
        if averaged is not None:
            averaged.update_parameters(network)
        total += loss.detach()

    return call


def look(name, batch, device):
    """The network alone, tensor to tensor."""
    network, inputs = NETWORKS[name][0]().to(device).eval(), noise(name, batch, device)

    def call():
        with torch.no_grad():
            return network(inputs)[0, 0].item()

    return call


def predict(name, batch, device):
    """Grey pictures to lists of probabilities."""
    network = NETWORKS[name][0]().to(device).eval()
    faces = [torch.randint(0, 256, (48, 48), dtype=torch.uint8).numpy() for _ in range(batch)]

    def call():
        with torch.no_grad():
            pixels = torch.stack([torch.from_numpy(face) for face in faces]).to(device)
            inputs = (pixels.float() / 255 - 0.5).div_(0.25).unsqueeze(1)
            return torch.softmax(network(inputs), 1).tolist()

    return call


def made(contestant, device):
    kind, *rest = contestant.split("/")
    if kind == "step":
        return step(rest[0], device)
    return {"network": look, "predict": predict}[kind](rest[0], int(rest[1]), device)


def largest_difference(program, environment):
    """Of the outputs of both sides' networks with the same weights, relative to the largest output."""
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "export", folder], check=True, env=environment)
        for name, (network, _, _) in NETWORKS.items():
            found = load_file(os.path.join(folder, f"{name}.safetensors"))
            network = network().eval()
            weights = {key.removeprefix("model."): value for key, value in found.items() if key.startswith("model.")}
            missing = network.load_state_dict(weights, strict=False)
            lacking = [key for key in missing.missing_keys if not key.endswith("num_batches_tracked")]
            if lacking or missing.unexpected_keys:
                raise SystemExit(f"{name} is not the same network: {lacking} {missing.unexpected_keys}")
            with torch.no_grad():
                wanted = network(found["input"])
            for outputs in ("logits", "folded"):
                worst = max(worst, ((found[outputs] - wanted).abs().max() / wanted.abs().max()).item())
    return worst


def busy(contestant, seconds_each, device):
    """The share of ten seconds in which the GPU is busy with a contestant, as nvidia-smi sees it; `None` without one."""
    if device.type != "cuda" or not shutil.which("nvidia-smi"):
        return None
    contestant(max(1, int(1 / seconds_each)))
    ask = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200", "-i", str(device.index or 0)]
    watch = subprocess.Popen(ask, stdout=subprocess.PIPE, text=True)
    contestant(max(1, int(10 / seconds_each)))
    watch.terminate()
    # What it says is the mean of about the last second.
    seen = [int(line) for line in watch.communicate()[0].split() if line.isdigit()][5:]
    return statistics.mean(seen) if seen else None


class Sides:
    """Both sides on the same cores. The bench program runs twice: on the cores of the work, and on one more for a loader."""

    def __init__(self, options):
        self.options, self.device = options, torch.device(options.device)
        self.program = os.environ["EMOTION_BENCH"]
        library = pathlib.Path(torch.__file__).parent / "lib"
        self.environment = os.environ | {"LD_LIBRARY_PATH": str(library)}
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < options.threads + 1:
            raise SystemExit(f"needs {options.threads + 1} cores: one more than threads, for the loader")
        self.work, self.both = set(cores[: options.threads]), set(cores[: options.threads + 1])
        os.sched_setaffinity(0, self.work)
        torch.set_num_threads(options.threads)

    def rust(self, cores=None):
        rust = Rust(self.program, "serve", "--threads", self.options.threads, "--device", self.options.device, environment=self.environment)
        for task in os.listdir(f"/proc/{rust.process.pid}/task"):
            os.sched_setaffinity(int(task), cores or self.work)
        return rust


def watched(contestant, process, seen):
    """The contestant, that also adds to `seen` how many seconds of each call the processor worked for `process`."""
    # Linux' name for the clock of another process.
    clock = (~process << 3) | 2

    def contest(repeats):
        start = time.clock_gettime(clock)
        seconds = contestant(repeats)
        seen.append((time.clock_gettime(clock) - start) / repeats)
        return seconds

    return contest


def compare(sides, names, rounds):
    """Of every contestant of both sides, in turn: seconds, and seconds that the processor worked for it (`… work`)."""
    rust = sides.rust()
    rows, work = {}, {name: {"PyTorch": [], "ours": []} for name in names}
    for name in names:
        rows[name] = {
            "PyTorch": watched(clocked(made(name, sides.device), sides.device), os.getpid(), work[name]["PyTorch"]),
            "ours": watched(rust.contestant(name), rust.process.pid, work[name]["ours"]),
        }
    times = measure(rows, rounds, sides.options.budget)
    rust.close()
    for name in names:
        for side, seconds in work[name].items():
            times[name][f"{side} work"] = seconds[-rounds:]
    return times


def both(times):
    """The times of both sides, and how much faster ours is by the clock and by the processor's work."""
    cells = [milliseconds(times["PyTorch"]), milliseconds(times["ours"]), ratios(times["PyTorch"], times["ours"])]
    return [*cells, f"{statistics.median(times['PyTorch work']) / statistics.median(times['ours work']):.2f}"]


def ratios(over, under):
    """Of each round, whose two halves met the same machine: the median, and the quartiles."""
    found = sorted(first / second for first, second in zip(over, under))
    quartiles = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
    return f"**{statistics.median(found):.2f}** ({quartiles[0]:.2f}–{quartiles[2]:.2f})"


def milliseconds(seconds):
    return f"{1e3 * statistics.median(seconds):.3g} ({1e3 * min(seconds):.3g})"


def table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for line in lines:
        print("| " + " | ".join(map(str, line)) + " |")
    print(flush=True)


def steps(sides):
    for row in STEPS:
        name = f"step/{row}"
        times = compare(sides, [name], sides.options.rounds)[name]
        yield SAID[row], *both(times)


def loops(sides):
    """The whole loop against this side's own bare step, and against PyTorch's on tensors that lie ready, not augmented."""
    for row in ("mini_genie_cnn", "compact"):
        bare, beside = sides.rust(), sides.rust(sides.both)

        def led(contestant):
            # What the loader prepared during the pause is used up before the clock starts.
            def contest(repeats):
                contestant(4)
                return contestant(repeats)

            return contest

        work = {"step": [], "loop0": [], "loop1": []}
        columns = {
            "step": watched(bare.contestant(f"step/{row}"), bare.process.pid, work["step"]),
            "loop0": watched(bare.contestant(f"loop0/{row}"), bare.process.pid, work["loop0"]),
            "loop1": led(watched(beside.contestant(f"loop1/{row}"), beside.process.pid, work["loop1"])),
            "resident": led(beside.contestant(f"resident/{row}")),
            "PyTorch": clocked(step(row, sides.device), sides.device),
        }
        times = measure({row: columns}, sides.options.rounds, sides.options.budget)[row]
        share = busy(columns["resident"], statistics.median(times["resident"]), sides.device)
        for rust in (bare, beside):
            rust.close()
        sources = ("loop0", "loop1", "resident")
        line = [SAID[row], *(milliseconds(times[column]) for column in ("step", *sources))]
        line += [ratios(times["step"], times[column]) for column in sources]
        # What the loader's thread does counts here too, though it is on another core.
        line += [ratios(*(work[column][-sides.options.rounds :] for column in ("step", loop))) for loop in sources[:2]]
        line += [ratios(times["PyTorch"], times[column]) for column in sources[1:]]
        if share is not None:
            line[0] += f" (GPU busy {share:.0f} % of the resident loop)"
        yield line


def looks(sides, kind):
    names = [f"{kind}/{name}/{batch}" for name in LOOKS for batch in (1, 64)]
    for name, times in compare(sides, names, 2 * sides.options.rounds).items():
        _, network, batch = name.split("/")
        said = NETWORKS[network][0].__name__
        yield f"`{said}`", batch, *both(times)


def sounds(sides):
    rust, work = sides.rust(), {2: [], 10: []}
    rows = {seconds: {"ours": watched(rust.contestant(f"speech/{seconds}"), rust.process.pid, seen)} for seconds, seen in work.items()}
    times = measure(rows, sides.options.rounds, sides.options.budget)
    rust.close()
    for seconds, seen in work.items():
        speeds = (f"{seconds / statistics.median(found):.0f}" for found in (times[seconds]["ours"], seen[-sides.options.rounds :]))
        yield f"{seconds} s", milliseconds(times[seconds]["ours"]), *speeds


def resident(process):
    """Resident memory now and at most, in MiB."""
    with open(f"/proc/{process}/status") as lines:
        found = dict(line.split(":", 1) for line in lines)
    return [int(found[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")]


def memory(sides, contestants):
    """Each in a process of its own, after twenty calls."""
    for name in contestants:
        rust = sides.rust()
        rust.seconds(name, 20)
        ours = resident(rust.process.pid)
        rust.close()
        alone = [sys.executable, __file__, "--alone", name, "--threads", str(sides.options.threads), "--device", sides.options.device]
        theirs = [float(value) for value in subprocess.run(alone, check=True, capture_output=True, text=True).stdout.split()]
        yield name, *(f"{value:.0f}" for value in (*theirs, *ours)), f"{ours[1] / theirs[1]:.2f}"


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench-train", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds per row (default: 15)")
    parser.add_argument("--budget", type=float, default=0.4, help="seconds of each side in a round (default: 0.4)")
    parser.add_argument("--threads", type=int, default=1, help="threads of either side; a loader has one core more (default: 1)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        torch.set_num_threads(options.threads)
        call = made(options.alone, torch.device(options.device))
        for _ in range(20):
            call()
        print(*resident("self"))
        return
    sides = Sides(options)
    if "same" in options.only:
        print(f"\nSame weights, same answers: they differ by at most {largest_difference(sides.program, sides.environment):.1e} of the largest.\n")
    if "step" in options.only:
        table(["training step", "PyTorch, ms", "ours, ms", "ours is × as fast", "by processor time"], steps(sides))
    if "loop" in options.only:
        head = ["whole loop with augmentation", "bare step, ms", "no loader, ms", "one loader, ms", "resident, ms"]
        head += [f"{source}: share of the bare rate" for source in ("no loader", "one loader", "resident")]
        head += [f"{source}: by processor time" for source in ("no loader", "one loader")]
        table([*head, "one loader: × PyTorch's bare rate", "resident: × PyTorch's bare rate"], loops(sides))
    for kind, said in (("network", "network alone"), ("predict", "pictures to probabilities")):
        if kind in options.only:
            table([said, "batch", "PyTorch, ms", "ours, ms", "ours is × as fast", "by processor time"], looks(sides, kind))
    if "speech" in options.only:
        table(["sound to probabilities", "ms", "× real time", "by processor time"], sounds(sides))
    if "memory" in options.only:
        names = [f"step/{row}" for row in STEPS] + ["predict/compact/1", "predict/compact/64"]
        table(["resident memory, MiB", "PyTorch", "at most", "ours", "at most", "ours / PyTorch"], memory(sides, names))
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''} per operation on {options.device}"
    print(f"{threads}; {options.rounds} rounds; medians (minima) of the times, medians (quartiles) of each round's ratios.")
    print(f"{machine(['torch'])}; kernels for {torch.backends.cpu.get_cpu_capability()}, oneDNN {'on' if torch.backends.mkldnn.enabled else 'off'}.")


if __name__ == "__main__":
    main()
