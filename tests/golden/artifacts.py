"""Trains six policies and prints a digest of each artifact, so that two checkouts on one machine can be compared.

    python tests/golden/artifacts.py --checkout /path/to/other --out before.json
    python tests/golden/artifacts.py --out after.json --against before.json

A script and no test: weights are equal bit for bit on one machine alone. It trains by the command line of the checkout,
with the frozen recipe, and takes the policies from the folder that this file lies in, so that both sides get the same.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STARTERS = HERE.parents[1] / "config" / "policies"
POLICIES = (
    *(HERE / "policies" / name for name in ("tickets.yaml", "harm.yaml", "topics.yaml")),
    *(STARTERS / name for name in ("shop-intents.yaml", "support-safety.yaml", "off-topic.yaml")),
)
SEEDS = (0, 7)
DATED = {"made_at", "seconds", "latency", "files", "made_with"}
"""Keys of a manifest and a report that tell of the run and not of what was learned."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, default=HERE.parents[1], help="whose code trains")
    parser.add_argument("--out", type=Path, help="where the digests go; by default stdout")
    parser.add_argument("--against", type=Path, help="digests to compare with: exit 1 where any differs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # prepared by the code that is digested, once for all trainings
        (Path(folder) / "encoders").mkdir()
        found = {
            f"{path.stem} {seed}": digest(path, seed, Path(folder), options.checkout)
            for path in POLICIES
            for seed in SEEDS
        }
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    if options.out:
        options.out.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    if options.against is None:
        return 0
    before = json.loads(options.against.read_text("utf-8"))
    differing = [
        f"{name}: {part}"
        for name in sorted({*before, *found})
        for part in sorted({*before.get(name, {}), *found.get(name, {})})
        if before.get(name, {}).get(part) != found.get(name, {}).get(part)
    ]
    sys.stderr.write("\n".join(differing or ["no difference"]) + "\n")
    return bool(differing)


def digest(policy: Path, seed: int, folder: Path, checkout: Path) -> dict[str, Any]:
    """What training a policy gives: the hash of each file of weights, the manifest and the report without dates."""
    models = folder / f"{policy.stem}-{seed}"
    models.mkdir()
    (models / "encoders").symlink_to(folder / "encoders")
    arguments = ["train", str(policy), "--seed", str(seed), "--models", str(models), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    command = [sys.executable, "-m", "gateway", *arguments]
    done = subprocess.run(command, cwd=models, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    (outcome,) = json.loads(done.stdout)
    assert outcome["folder"], outcome
    artifact = models / outcome["folder"]
    kept = {"accepted": outcome["accepted"], "missed": outcome["missed"]}
    for file in sorted(one for one in artifact.rglob("*") if one.is_file()):
        if file.name in ("manifest.json", "report.json"):
            kept[file.name] = undated(json.loads(file.read_text("utf-8")))
        elif file.suffix not in (".md", ".html"):
            kept[str(file.relative_to(artifact))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return kept


def undated(value: Any) -> Any:
    if isinstance(value, list):
        return [undated(one) for one in value]
    return {key: undated(one) for key, one in value.items() if key not in DATED} if isinstance(value, dict) else value


if __name__ == "__main__":
    sys.exit(main())
