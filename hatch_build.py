"""The wheel's build hook: prepares the default encoder, so that serving needs neither its package nor what prepares it.

The wheel carries it as classifiers/data/encoder (git ignores the folder). An editable install reads it from there, too.
The files of config/ go along as gateway/shipped, without what a console in this checkout has written of reviewed texts.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EncoderHook(BuildHookInterface):
    """Called before a wheel is built, an editable one included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Write the encoder into the source tree. Raises EncoderError where its files are not as they should be."""
        config = Path(self.root, "config")
        files = (file for file in config.rglob("*") if file.is_file() and not file.name.endswith(".reviewed.jsonl"))
        build_data["force_include"] |= {str(file): f"gateway/shipped/{file.relative_to(config)}" for file in files}
        sys.path.insert(0, self.root)
        from classifiers.encoder.prepare import write_packaged

        write_packaged()
