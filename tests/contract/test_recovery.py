"""DBOS's own recovery, asked for on purpose, performs no effect: it only says that the attempt is in doubt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from secondsite.run.durable import recorded_attempts
from secondsite.run.model import AttemptKey

SOURCE = Path(__file__).parents[2] / "src"

DIE_IN_THE_MIDDLE = """
import os, signal, sys
from pathlib import Path
from secondsite.run.durable import DurableJournal
from secondsite.run.model import AttemptKey
journal = DurableJournal(Path(sys.argv[1]), executor="first")
journal.attempt(AttemptKey(run="r", step="s", attempt=1), {}, lambda: os.kill(os.getpid(), signal.SIGKILL))
"""

RECOVER = """
import sys, time
from pathlib import Path
from secondsite.run.durable import DurableJournal
journal = DurableJournal(Path(sys.argv[1]), executor=sys.argv[2])
from dbos import DBOS
if sys.argv[2] == "second":
    assert journal.attempts("r")[0].result is None
    DBOS._recover_pending_workflows(["first"])
deadline = time.monotonic() + 20
while any(w.status in ("PENDING", "ENQUEUED") for w in DBOS.list_workflows()) and time.monotonic() < deadline:
    time.sleep(0.05)
print([w.status for w in DBOS.list_workflows()], [a.result for a in journal.attempts("r")])
journal.close()
"""


def python(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *words]
    environment = {"PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["first", "second"], ids=["by-its-own-name", "by-takeover"])
def test_recovery_by_dbos_leaves_the_attempt_in_doubt(tmp_path: Path, executor: str) -> None:
    journal = tmp_path / "journal.sqlite"
    assert python(DIE_IN_THE_MIDDLE, str(journal)).returncode == -9

    recovered = python(RECOVER, str(journal), executor)

    assert recovered.returncode == 0, recovered.stderr
    assert recovered.stdout.strip() == "['SUCCESS'] [None]"
    assert recovered.stderr == "", "and it is quiet"
    (attempt,) = recorded_attempts(journal, "r")
    assert attempt.key == AttemptKey(run="r", step="s", attempt=1)
    assert attempt.result is None


@pytest.mark.slow
def test_importing_the_command_line_does_not_import_dbos() -> None:
    loaded = python("import secondsite.run.durable, secondsite.store.runs, sys; print('dbos' in sys.modules)")
    assert loaded.stdout.strip() == "False"
