"""A folder that was made aside, put where it belongs."""

from pathlib import Path

from classifiers.errors import EncoderError


def publish(made: Path, folder: Path, sign: str) -> None:
    """Rename `made` to `folder`; what another process put there meanwhile is as good. sign: a file that each whole one
    has. Raises EncoderError where a folder without it stands there, and OSError."""
    made.chmod(0o755)
    try:
        made.rename(folder)
    except OSError as error:
        if (folder / sign).is_file():
            return
        if folder.exists():
            raise EncoderError(f"{folder} holds no {sign}, so it is not whole; delete it and try again") from error
        raise
