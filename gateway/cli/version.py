"""`offramp version`."""

import platform

import gateway
from gateway.cli.output import Json, print_json, stdout


def version(json: Json = False) -> None:
    """Print the version."""
    if json:
        print_json({"offramp": gateway.__version__, "python": platform.python_version()})
    else:
        stdout().print(f"offramp {gateway.__version__}")
