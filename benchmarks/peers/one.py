"""python -m benchmarks.peers.one NAME TASK: one contestant in this process; prints what was measured, a line of JSON.

Times are of the processor as well as of the clock: what else runs on the machine does not count in the first.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from benchmarks.peers.contestants import CONTESTANTS, Predict, Task

_TIMED, _WARM = 300, 20


def measure(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """told: line, train, test (texts and labels), weights and a folder to work in.

    accuracy; wall_s and cpu_s of training; p50_ms of one decision on one thread, of its processor's time; rss_mb at
    the end.
    """
    began, used = time.monotonic(), time.process_time()
    scratch = Path(mkdtemp(dir=told["folder"]))
    task = Task(line=told["line"], rows=told["train"], weights=Path(told["weights"]), scratch=scratch)
    predict = CONTESTANTS[name][1](task)
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - used
    said = predict([text for text, _ in told["test"]])
    right = sum(guess == label for guess, (_, label) in zip(said, told["test"], strict=True))
    return {
        "accuracy": right / len(said),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "p50_ms": latency(predict, [text for text, _ in told["test"][: _TIMED + _WARM]]),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def latency(predict: Predict, texts: Sequence[str]) -> float:
    """The median milliseconds of the processor for a text, one at a time, on one thread."""
    from threadpoolctl import threadpool_limits

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    taken = []
    with threadpool_limits(1):
        for text in texts:
            began = time.process_time()
            predict([text])
            taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken[_WARM:])


def main() -> None:
    """Warnings of the peers' packages go to stderr with all that they log."""
    name, path = sys.argv[1:]
    found = measure(name, json.loads(Path(path).read_text(encoding="utf-8")))
    with suppress(BrokenPipeError):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
