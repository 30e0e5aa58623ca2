"""The launcher names what the machine lacks, and asks nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def shell(script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    prelude = f"here={ROOT}; . {ROOT}/requirements/environment; "
    return subprocess.run(
        ["/bin/sh", "-euc", prelude + script, "sh", *words],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_only_packages_whose_program_is_missing_are_named_each_once() -> None:
    found = shell("missing_packages sh=dash no-such-a=pack-b no-such-b=pack-a no-such-c=pack-a")

    assert found.stdout == "pack-a pack-b"


def test_without_root_the_missing_packages_are_named_and_nothing_is_tried() -> None:
    ended = shell("id() { echo 1000; }; apt_get() { echo TRIED; }; need_programs no-such-program=some-package")

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "lacks the system packages: some-package (and this is not root)" in ended.stderr
    assert "next: as root: apt-get install -y --no-install-recommends some-package" in ended.stderr


def test_packages_are_named_before_they_are_installed() -> None:
    ended = shell('id() { echo 0; }; apt_install() { say "INSTALLS $*"; }; need_programs no-such-program=some-package')

    assert ended.returncode == 0
    assert ended.stderr.splitlines() == [
        "secondsite: installing the missing system packages: some-package",
        "secondsite: INSTALLS some-package",
    ]


def test_an_apt_that_fails_ends_with_2_and_the_names() -> None:
    ended = shell("id() { echo 0; }; apt_get() { return 100; }; need_programs no-such-program=some-package")

    assert ended.returncode == 2
    assert "lacks the system packages: some-package (and apt-get could not install them" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("drill run site-loss", id="drill run"),
        pytest.param("drill run site-loss --json", id="drill run with an option"),
        pytest.param("lab up", id="lab up"),
        pytest.param("lab --instance two up", id="lab up with an option"),
        pytest.param("lab restore green", id="lab restore"),
    ],
)
def test_commands_that_start_the_lab_need_its_programs(words: str) -> None:
    assert "systemd-nspawn=systemd-container" in shell('programs_for "$@"', *words.split()).stdout.split()


@pytest.mark.parametrize(
    "words",
    ["", "--help", "drill run --help", "drill list", "plan failover --from dc1 --to dc2", "lab down", "schema estate"],
)
def test_commands_that_touch_no_host_need_nothing_but_python(words: str) -> None:
    assert shell('programs_for "$@"', *words.split()).stdout == ""
    assert shell('needs_first_contact "$@"', *words.split()).returncode == 1


def test_an_environment_from_another_lock_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/sh")
    check = f"is_made_from {tmp_path} main.lock dev.lock"
    stamp = tmp_path / ".lock-stamp"

    assert shell(check).returncode != 0
    stamp.write_text("main.lock " + "0" * 64 + "\n", encoding="utf-8")
    assert shell(check).returncode != 0
    stamp.write_text(shell("lock_stamp dev.lock").stdout, encoding="utf-8")
    assert shell(check).returncode == 0


def test_a_python_that_is_too_old_does_not_suit(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)

    assert shell(f"suits {old}").returncode == 1
    assert shell("suits no-such-python").returncode != 0
