"""An attack on the vault is judged by what is left there: neither by an exit code nor by words alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import secondsite.probes

SCRIPT = Path(secondsite.probes.__file__).parent / "vault_scripts" / "destroy.py"
LISTS = '[{"id": "abcdef0123"}]'


@pytest.mark.parametrize(
    ("afterwards", "refused"),
    [
        pytest.param(f"echo '{LISTS}'", True, id="still-there"),
        pytest.param("echo '[]'", False, id="gone"),
        pytest.param("exit 1", None, id="nobody-knows"),
    ],
)
def test_a_snapshot_that_is_not_listed_afterwards_is_gone_whatever_was_said(
    tmp_path: Path, afterwards: str, *, refused: bool | None
) -> None:
    restic, asked = tmp_path / "restic", tmp_path / "asked"
    restic.write_text(
        f'#!/bin/sh\nif [ "$1" = --json ]; then\n [ -e {asked} ] && {{ {afterwards}; exit; }}\n touch {asked}\n'
        f" echo '{LISTS}'; exit\nfi\necho '403 Forbidden'\n"
    )
    restic.chmod(0o755)
    code = SCRIPT.read_text().replace("/usr/local/sbin/secondsite-restic", str(restic))
    code = code.replace("/etc/pgbackrest.conf", str(tmp_path / "none"))

    ended = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)

    (found,) = json.loads(ended.stdout)
    assert found["refused"] is refused
