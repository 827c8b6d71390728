"""Where the files that come with Offramp lie: `config/` in a checkout, `gateway/shipped/` in the wheel."""

from pathlib import Path


def shipped_dir() -> Path:
    """The folder with gateway.yaml, policies/, schema/, prices.yaml and replies/."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / "config"
