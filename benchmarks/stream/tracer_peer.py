"""python tracer_peer.py FILE: routes a stream by the package tracer-llm, in an environment of its own; imports nothing
of this project.

FILE: an .npz with vectors (calls, dimensions) and labels (calls,), in the order of the calls. What is forwarded is
learned with `tracer.fit` and `tracer.update`; the package has no schedule, so a fit comes when the known calls are half
as many again. Prints a line of JSON: version; answered, wrong: a list of each call; fits: (call, method or null).
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

_FIRST, _GROWTH, _TARGET, _TOGETHER = 500, 1.5, 0.98, 50
"""Known calls of the first fit, and how many times as many those of the next have; calls that are routed at once."""


def main() -> None:
    """Routes the stream."""
    import tracer  # type: ignore[import-not-found]

    given = np.load(sys.argv[1])
    vectors, labels = given["vectors"].astype(np.float32), [str(label) for label in given["labels"]]
    # boosted trees are left out, as the package advises for many classes; one target instead of four
    config = tracer.FitConfig(
        target_teacher_agreement=_TARGET, frontier_targets=(_TARGET,), skip_candidates=("gbt",), verbose=False
    )
    answered: list[bool] = []
    wrong: list[bool] = []
    fits: list[tuple[int, Any]] = []
    kept: list[int] = []
    fitted = 0
    router: Any = None
    with tempfile.TemporaryDirectory() as place:
        for start in range(0, len(labels), _TOGETHER):
            calls = range(start, min(start + _TOGETHER, len(labels)))
            labelled = [None] * len(calls) if router is None else router.predict_batch(vectors[calls])["labels"]
            for call, label in zip(calls, labelled, strict=True):
                answered.append(label is not None)
                wrong.append(label is not None and label != labels[call])
                kept += [call] if label is None else []
            if len(kept) < max(_FIRST, _GROWTH * fitted):
                continue
            new, file = kept[fitted:], Path(place, "new.jsonl")
            rows = [json.dumps({"input": f"call {call}", "teacher": labels[call]}) for call in new]
            file.write_text("\n".join(rows) + "\n")
            begin = tracer.update if fitted else tracer.fit
            made = begin(file, Path(place, "artifact"), vectors[new], config)
            fitted, method = len(kept), made.manifest.selected_method
            router = tracer.load_router(Path(place, "artifact")) if method else None
            fits.append((calls.stop, method))
            print(calls.stop, fitted, method, file=sys.stderr, flush=True)
    print(json.dumps({"version": version("tracer-llm"), "answered": answered, "wrong": wrong, "fits": fits}))


if __name__ == "__main__":
    main()
