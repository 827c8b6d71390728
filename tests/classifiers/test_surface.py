import subprocess
import sys

import classifiers
from classifiers import errors

HEAVY = {"sklearn", "scipy", "onnx", "onnxruntime", "sympy", "torch", "transformers", "litellm", "yaml", "gateway"}


def test_every_name_of_the_surface_is_there_and_they_are_sorted() -> None:
    assert classifiers.__all__ == sorted(classifiers.__all__)
    for name in set(classifiers.__all__) - {"train"}:
        assert getattr(classifiers, name).__doc__


def test_importing_is_light() -> None:
    script = "import sys, classifiers, classifiers.model.artifact, classifiers.model.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(done.stdout.split())


def test_serving_needs_no_training_library(prepared_dir: object) -> None:
    script = (
        "import sys; from pathlib import Path; from classifiers.encoder.prepare import prepare\n"
        "from classifiers.encoder.session import Encoder, embed; from classifiers.encoder.source import resolve\n"
        f"embed(Encoder.open(prepare(resolve(None), Path({str(prepared_dir)!r}))), ['hi']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"sklearn", "scipy", "onnx", "sympy", "torch", "transformers"}.isdisjoint(done.stdout.split())


def test_errors_form_one_tree() -> None:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, errors.ClassifierError) for error in found)
    assert all(error.__name__ in (errors.__doc__ or "") for error in found)
