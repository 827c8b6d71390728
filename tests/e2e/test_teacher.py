"""A policy's teacher at an OpenAI-compatible address: its cost is shown, it is asked, and asked only once."""

import json
from pathlib import Path

from tests.given import table_text

POLICY = table_text("given/e2e-teacher-policy.yaml")


def prepared(folder: Path, prepared_dir: Path, base_url: str, budget: str = "$1.00") -> None:
    (folder / "models").mkdir()
    (folder / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    (folder / "taught.yaml").write_text(POLICY.format(base_url=base_url, budget=budget))


def test_a_teacher_is_asked_once(run_offramp, proxy, tmp_path: Path, prepared_dir: Path) -> None:
    """The echo repeats its prompt, the policy's `about` included, so what it writes is of no use; the asking, pricing
    and caching are real."""
    prepared(tmp_path, prepared_dir, f"{proxy.url}/v1")
    sample = (
        'offramp_requests_total{decision="forward",endpoint="chat.completions",model="gpt-4o",rule="",status="200"}'
    )
    before = proxy.metric(sample)
    first = run_offramp("train", "taught.yaml", "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "gpt-4o is to be asked" in first.stderr
    assert "about $" in first.stderr
    asked = proxy.metric(sample) - before
    assert asked > 0
    (outcome,) = json.loads(first.stdout)
    assert outcome["report"]["teachers"][0]["model"] == "gpt-4o"
    again = run_offramp("train", "taught.yaml", "--json", cwd=tmp_path)
    assert "gpt-4o is to be asked 0 times" in again.stderr
    assert proxy.metric(sample) - before == asked
    assert json.loads(again.stdout)[0]["report"]["text"] == outcome["report"]["text"]


def test_a_teacher_through_litellm(run_offramp, proxy, tmp_path: Path, prepared_dir: Path) -> None:
    """The real litellm, its openai provider pointed at a gateway by litellm's own environment variable."""
    prepared(tmp_path, prepared_dir, "")
    policy = tmp_path / "taught.yaml"
    policy.write_text(policy.read_text().replace("model: gpt-4o", "model: openai/gpt-4o").replace("  base_url: \n", ""))
    environment = {"OPENAI_API_BASE": f"{proxy.url}/v1", "OPENAI_API_KEY": "unused"}
    done = run_offramp("train", "taught.yaml", "--json", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)
    assert outcome["report"]["teachers"][0]["model"] == "openai/gpt-4o"
    assert outcome["report"]["teachers"][0]["input_tokens"] > 0
