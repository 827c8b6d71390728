"""The models folder: `<name>/<version>/` for each artifact, `<name>/current` for the version in use, `<name>/used` for
the versions before it.

Versions are named `YYYYMMDD-HHMMSS-xxxxxxxx` (UTC, then the manifest's sha256), so they sort by age.
"""

import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from classifiers.errors import ArtifactError, EncoderError
from classifiers.model.artifact import MANIFEST, VERSION, load, made_at, manifest_digest


def publish(made: Path, folder: Path, sign: str) -> None:
    """Rename `made` to `folder`, unless another process has published one meanwhile. sign: a file that every complete
    folder has. Raises EncoderError where a folder without it is there, and OSError."""
    made.chmod(0o755)
    try:
        made.rename(folder)
    except OSError as error:
        if (folder / sign).is_file():
            return
        if folder.exists():
            raise EncoderError(f"{folder} holds no {sign}, so it is not whole; delete it and try again") from error
        raise


CURRENT = "current"
USED = "used"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TAKEN = frozenset({"encoders"})


@dataclass(frozen=True, slots=True)
class Registry:
    """The classifiers in one models folder. Several processes may use it at once."""

    models_dir: Path

    def names(self) -> list[str]:
        """Classifiers with at least one version, sorted."""
        if not self.models_dir.is_dir():
            return []
        folders = (path.name for path in self.models_dir.iterdir() if path.is_dir())
        return sorted(name for name in folders if name not in _TAKEN and self.versions(name))

    def versions(self, name: str) -> list[str]:
        """A classifier's versions, oldest first; none for a name that is not there."""
        if not _NAME.fullmatch(name):
            return []
        folders = self.models_dir.joinpath(name).glob(f"*/{MANIFEST}")
        return sorted(path.parent.name for path in folders if VERSION.fullmatch(path.parent.name))

    def named(self, name: str) -> str | None:
        """The version that `current` names, whether or not it exists; None where there is no such file."""
        return self._read(name, CURRENT)

    def current(self, name: str) -> str | None:
        """The version in use, or None. Raises ArtifactError where `current` names one that is not there."""
        version = self.named(name)
        if version is not None and version not in self.versions(name):
            path = self._home(name) / CURRENT
            raise ArtifactError(f"{path} names version {version!r}, which is not there; roll back, or train again")
        return version

    def resolve(self, name: str, version: str | None = None) -> Path:
        """The folder of a version, by default of the one in use. Raises ArtifactError where there is none."""
        chosen = version or self.current(name)
        if chosen is None or chosen not in self.versions(name):
            known = ", ".join(self.names()) or "none"
            what = f"version {chosen} of {name}" if chosen else f"{name!r}"
            raise ArtifactError(f"{self.models_dir} holds no classifier {what} (trained so far: {known})")
        return self._home(name) / chosen

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """An empty folder to fill and publish; it is removed afterwards if it was not published."""
        home = self._home(name)
        home.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".made-", dir=home))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, name: str, folder: Path, now: datetime | None = None) -> str:
        """Rename a staged artifact into its place, put it in use, and return its version. now: the time in its name, as
        of which its tests are run."""
        version = f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{manifest_digest(folder)}"
        target = self._home(name) / version
        if not target.exists():
            folder.chmod(0o755)
            folder.rename(target)
        self.promote(name, version)
        return version

    def install(self, folder: Path) -> tuple[str, str]:
        """Copy a version from another models folder, checked, put it in use, and return its name and version. Raises
        ArtifactError where it is not whole, and OSError."""
        made = load(folder)
        if not made.version:
            raise ArtifactError(f"{folder} is not named like a version")
        with self.staging(made.name) as staged:
            shutil.copytree(folder, staged, dirs_exist_ok=True)
            return made.name, self.publish(made.name, staged, made_at(made.version))

    def promote(self, name: str, version: str) -> None:
        """Put a version in use; readers see the old one or the new one, never neither. Raises ArtifactError where there
        is no such version."""
        self.resolve(name, version)
        used = self._used(name)
        before = used[: used.index(version)] if version in used else used
        # written first: after a crash between the two, the version in use is still known
        self._write(name, USED, *before, version)
        self._write(name, CURRENT, version)

    def rollback(self, name: str) -> str:
        """Put the version before the current one in use again and return it. The current one need not exist. Raises
        ArtifactError where there is none before."""
        current = self.named(name)
        if current is None:
            raise ArtifactError(f"{name} has no version in use")
        before = [version for version in self._used(name) if version != current]
        if not before:
            raise ArtifactError(f"{name} has no version that was in use before {current}")
        self.promote(name, before[-1])
        return before[-1]

    def _used(self, name: str) -> list[str]:
        """The versions up to the one in use, without rolled back or deleted ones."""
        current, used = self.named(name) or "", (self._read(name, USED) or "").split()
        before = used[: used.index(current)] if current in used else used
        there = self.versions(name)
        return [version for version in (*before, current) if version in there]

    def _read(self, name: str, file_name: str) -> str | None:
        try:
            # bytes that are no text name no existing version
            return (self._home(name) / file_name).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None

    def _write(self, name: str, file_name: str, *versions: str) -> None:
        home = self._home(name)
        handle, made = tempfile.mkstemp(prefix=f".{file_name}-", dir=home)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{version}\n" for version in versions)
            file.flush()
            os.fsync(file.fileno())
        path = Path(made)
        path.chmod(0o644)
        path.replace(home / file_name)

    def _home(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise ArtifactError(f"{name!r} cannot be a classifier's name")
        return self.models_dir / name


MOST_BYTES = 2_000_000_000
"""Of an exported version, unpacked; the larger of the shipped encoders takes 66 MB."""
_OLDEST = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, target: Path) -> None:
    """Write a version to one file, a zip archive: the same version gives the same bytes. Raises OSError."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", _OLDEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def unpack(source: Path, folder: Path) -> Path:
    """Unpack what `pack` has written into an empty folder, and return the version's folder, which is not checked yet.
    Raises ArtifactError where the file is no such archive."""
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            names = {entry.filename.partition("/")[0] for entry in entries}
            if len(names) != 1 or not VERSION.fullmatch(version := names.pop()):
                raise ArtifactError(f"{source} holds no exported classifier")
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise ArtifactError(f"{source} is larger than {MOST_BYTES // 1_000_000} MB unpacked")
            # zipfile drops drives, leading slashes and `..` from the names
            archive.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        # RuntimeError: encrypted, or (NotImplementedError) compressed in a way that Python does not know
        raise ArtifactError(f"{source} is no file that `offramp models export` has written ({error})") from error
    return folder / version
