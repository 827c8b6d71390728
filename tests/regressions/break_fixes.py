"""Puts each past fix's bug back, one at a time, and looks whether a test still fails.

    python tests/regressions/break_fixes.py . [--only ID]... [--all-tests-of ROOM] [--python PATH]

fixes.yaml lies next to this file. The checkout is never changed: gateway/ and classifiers/ are copied to a temporary
folder that comes first on PYTHONPATH, and only the copy is broken. The tests are the checkout's own. Those that fail
without any bug put back count for nothing. A fix is

    caught        a test fails that passes otherwise
    missed        none does; tests named for it that are gone are told
    cannot apply  what is to be replaced stands no longer just once in its file

--all-tests-of ROOM (gateway/rules, classifiers/training, …): only the fixes of that room, each by all tests of the room
instead of those named. Exit code 1 where fewer than 38 are caught, or of a part, where one is not.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

NEEDED = 38


def copied(checkout: Path, folder: Path) -> None:
    for room in ("gateway", "classifiers"):
        shutil.copytree(checkout / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    # files that come with Offramp lie beside the packages
    (folder / "config").symlink_to(checkout / "config")


def failing(python: Path, checkout: Path, code: Path, tests: list[str], *more: str) -> set[str]:
    """The tests, as file::function, that fail on this code."""
    if not tests:
        return set()
    # without the checkout's own packages, which `python -m` would find first in its folder
    env = os.environ | {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", "--tb=no", *more, *tests]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 5):
        sys.exit(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return set(re.findall(r"^(?:FAILED|ERROR) (\S+?\.py(?:::\w+)?)", done.stdout, re.MULTILINE))


def there(checkout: Path, test: str) -> bool:
    path, name = checkout / test.partition("::")[0], test.partition("::")[2]
    return path.is_file() and re.search(rf"def {name}\b", path.read_text(encoding="utf-8")) is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="ID")
    parser.add_argument("--all-tests-of", default="", metavar="ROOM")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    asked = parser.parse_args()
    checkout, room, caught = asked.checkout.resolve(), asked.all_tests_of.strip("/"), 0
    fixes = yaml.safe_load(Path(__file__).with_name("fixes.yaml").read_text(encoding="utf-8"))
    chosen = [fix for fix in fixes if fix["id"] in (asked.only or [fix["id"]]) and fix["file"].startswith(room)]
    whole_room = [f"tests/{room}"] if room else []
    tests = {fix["id"]: whole_room or [t for t in fix["fails"] if there(checkout, t)] for fix in chosen}
    with tempfile.TemporaryDirectory() as made:
        copied(checkout, code := Path(made))
        before = failing(asked.python, checkout, code, sorted({test for some in tests.values() for test in some}))
        for fix in chosen:
            file = code / fix["file"]
            whole = file.read_text(encoding="utf-8") if file.is_file() else ""
            find, instead = fix["find"].rstrip("\n"), fix["replace"].rstrip("\n")
            gone, by = 0 if room else len(fix["fails"]) - len(tests[fix["id"]]), set()
            if whole.count(find) == 1:
                file.write_text(whole.replace(find, instead), encoding="utf-8")
                skipped = [f"--deselect={test}" for test in sorted(before)]
                by = failing(asked.python, checkout, code, tests[fix["id"]], "-x", *skipped) - before
                file.write_text(whole, encoding="utf-8")
            what = "caught" if by else "missed" if whole.count(find) == 1 else "cannot apply"
            caught += what == "caught"
            report = ", ".join(sorted(by)) or fix["what"]
            print(f"{what:12}  {fix['id']}: {report}" + (f" ({gone} named tests are gone)" if gone else ""), flush=True)
    print(f"{caught} of {len(chosen)} caught")
    return int(caught < (NEEDED if len(chosen) == len(fixes) else len(chosen)))


if __name__ == "__main__":
    sys.exit(main())
