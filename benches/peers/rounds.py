"""Times contestants of several languages in interleaved rounds, and prints what came out as a Markdown table.

A contestant is a function that is given a number of repeats and returns the mean seconds of one call: `timed(f)` makes
one of a Python function, `Rust.contestant(name)` of one that the bench program knows (see serve.rs).
"""

import platform
import statistics
import subprocess
import sys
import time


class Rust:
    """The bench program, started once and asked over a pipe."""

    def __init__(self, program, *arguments, environment=None):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([program, *map(str, arguments)], stdin=pipe, stdout=pipe, text=True, env=environment)

    def seconds(self, name, repeats):
        self.process.stdin.write(f"{name} {repeats}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 2 or answer[0] != name or answer[1] == "unknown":
            raise RuntimeError(f"the bench program does not know {name}: {answer}")
        return float(answer[1])

    def contestant(self, name):
        return lambda repeats: self.seconds(name, repeats)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(call):
    """A contestant out of a Python function without arguments."""

    def contestant(repeats):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats

    return contestant


def measure(rows, rounds, budget=0.05):
    """Times every contestant once per round.

    rows: {row: {column: contestant}}; returns {row: {column: [seconds of each round]}}.
    Each is called once beforehand, which warms it up and tells how many calls fill `budget` seconds.
    """
    repeats = {}
    for row, columns in rows.items():
        for column, contestant in columns.items():
            contestant(1)
            repeats[row, column] = max(1, min(10_000, int(budget / max(contestant(1), 1e-9))))
    times = {row: {column: [] for column in columns} for row, columns in rows.items()}
    for turn in range(rounds):
        print(f"\rround {turn + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        for row, columns in rows.items():
            # Who comes first changes from round to round.
            order = list(columns) if turn % 2 == 0 else list(columns)[::-1]
            for column in order:
                times[row][column].append(columns[column](repeats[row, column]))
    print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    return times


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def table(times, columns, ratios, unit="ms", first="feature"):
    """Markdown: the median (and minimum) of each of `columns`, and of each (over, under) of `ratios` the quotient of the
    medians (and of the minima)."""
    head = [first, *(f"{column}, {unit}" for column in columns), *(f"{over} / {under}" for over, under in ratios)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row, found in times.items():
        cells = [row]
        for column in columns:
            seconds = found.get(column)
            cells.append(f"{milliseconds(statistics.median(seconds))} ({milliseconds(min(seconds))})" if seconds else "–")
        for over, under in ratios:
            if over in found and under in found:
                by_median = statistics.median(found[over]) / statistics.median(found[under])
                by_minimum = min(found[over]) / min(found[under])
                cells.append(f"{by_median:.3g} ({by_minimum:.3g})")
            else:
                cells.append("–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine(packages=()):
    """The processor and the versions, in one line."""
    import importlib.metadata as metadata

    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            found = dict(line.split(":", 1) for line in lines if ":" in line)
        found = {name.strip(): value.strip() for name, value in found.items()}
        if "model name" in found:
            processor = f"{found['model name']} (family {found.get('cpu family')}, model {found.get('model')})"
            vectors = [name for name in ("avx2", "avx512f") if name in found.get("flags", "").split()]
            processor += ", " + " ".join(vectors) if vectors else ""
    except OSError:
        pass
    versions = [f"Python {platform.python_version()}"] + [f"{name} {metadata.version(name)}" for name in packages]
    return f"{processor}; {', '.join(versions)}"
