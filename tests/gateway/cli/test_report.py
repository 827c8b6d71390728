"""`offramp report` where there is no ledger to read."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.ledger.store import LedgerError


@pytest.mark.parametrize(
    ("name", "told"),
    [("folder", "folder is a folder; a ledger is a file"), ("none.db", "none.db yet; it is made by the first")],
)
@pytest.mark.parametrize("given", [True, False])
def test_what_is_no_ledger_is_called_what_it_is(
    given: bool, name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("gateway.yaml").write_text(
        f"version: 1\nledger: {name}\nupstreams: {{one: {{kind: echo}}}}\nmodels: {{m: one}}\n"
    )
    done = CliRunner().invoke(app, ["report", *(["--ledger", name] if given else ["gateway.yaml"])])
    assert isinstance(done.exception, LedgerError)
    assert told in str(done.exception)
