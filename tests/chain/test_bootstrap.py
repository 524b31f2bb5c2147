"""What a bare checkout says on a machine that lacks something."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT


def machine(directory: Path, python: str) -> dict[str, str]:
    """A PATH with the few tools that a shell script needs, and this `python3`."""
    for tool in ("sh", "dirname"):
        found = shutil.which(tool)
        assert found is not None
        (directory / tool).symlink_to(found)
    program = directory / "python3"
    program.write_text(python)
    program.chmod(0o755)
    return {"PATH": str(directory), "HOME": os.environ.get("HOME", "/")}


def test_an_old_python_is_named_with_the_way_out(tmp_path: Path) -> None:
    old = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" || exit 1\n'
    result = subprocess.run(
        ["sh", "scripts/bootstrap"],
        cwd=ROOT,
        env=machine(tmp_path, old),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Python 3.11 or newer is needed; found: Python 3.9.2." in result.stderr
    assert "make PYTHON=" in result.stderr


def test_a_shim_that_only_fails_is_passed_over(tmp_path: Path) -> None:
    """As a version manager's `python3.13` does where that version is not chosen."""
    environment = machine(tmp_path, '#!/bin/sh\n[ "$1" = -c ] || echo "started $1"\n')
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    output = subprocess.check_output(
        ["sh", "scripts/bootstrap", "--dev"], cwd=ROOT, env=environment, text=True
    )
    assert output == f"started {ROOT}/scripts/bootstrap.py\n"
