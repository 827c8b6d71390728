"""What the quickstart and the page on policies tell a newcomer to do, done: their own files, trained and served."""

import re
from pathlib import Path

import openai
import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"


def yaml_blocks(page: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, prepared_dir: Path) -> Path:
    """A folder with the quickstart's gateway.yaml and the whole policies of docs/policies.md."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "models").mkdir()
    (folder / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    (folder / "config" / "policies").mkdir(parents=True)
    gateway = next(text for text in yaml_blocks("quickstart.md") if text.startswith("version: 1"))
    (folder / "config" / "gateway.yaml").write_text(gateway)
    for text in yaml_blocks("policies.md"):
        values = yaml.safe_load(text)
        # the others need an encoder that lies elsewhere, or minutes of tuning
        if text.startswith("version: 1") and "encoder" not in values and values["kind"] != "slots":
            (folder / "config" / "policies" / f"{values['name']}.yaml").write_text(text)
    return folder


def test_the_docs_policies_train_and_its_gateway_answers(newcomer: Path, run_offramp, start_gateway) -> None:
    policies = sorted(str(path) for path in (newcomer / "config" / "policies").iterdir())
    assert [Path(path).stem for path in policies] == ["bike-rental", "chat-safety", "ticket-topics"]
    assert run_offramp("check", cwd=newcomer).returncode == 0
    trained = run_offramp("train", *policies, cwd=newcomer)
    assert trained.returncode == 0, trained.stdout
    running = start_gateway(newcomer / "config" / "gateway.yaml")
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="unused")
    answers = [
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])
        .choices[0]
        .message.content
        for text in ("my ride does not stop", "how much is a ride of an hour?", "Write a poem about bicycles.")
    ]
    assert answers[0].startswith("Close the lock.")
    assert answers[1].startswith("A ride is 1 euro")
    assert answers[2] == "echo: Write a poem about bicycles."
