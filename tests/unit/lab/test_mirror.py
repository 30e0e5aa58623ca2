"""The mirror the image is built from: the one apt uses on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondsite.errors import UsageError
from secondsite.lab.mirror import checked_mirror, configured_mirror, debian_mirrors

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib

Types: deb
URIs: http://other.example/tools
Suites: stable
Components: extra
"""


@pytest.mark.parametrize(
    ("text", "deb822", "found"),
    [
        pytest.param(DEB822, True, ["http://mirror.example/debian"], id="deb822"),
        pytest.param("Enabled: no\n" + DEB822.split("\n", 1)[1], True, [], id="disabled stanza"),
        pytest.param("Types: deb\nURIs:\n http://a.example/debian\nSuites: trixie\nComponents: main\n", True,
                     ["http://a.example/debian"], id="continued field"),
        pytest.param("deb [signed-by=/k.gpg] http://m.example/debian bookworm main # x\n", False,
                     ["http://m.example/debian"], id="one line with options"),
        pytest.param("deb-src http://m.example/debian bookworm main\n", False, [], id="sources only"),
        pytest.param("deb http://m.example/apt cloud-tools main\n", False, [], id="not Debian's"),
        pytest.param("deb http://security.example/s bookworm-security main\n", False, [], id="security archive"),
    ],
)  # fmt: skip
def test_debians_own_archive_is_recognised(text: str, *, deb822: bool, found: list[str]) -> None:
    assert list(debian_mirrors(text, deb822=deb822)) == found


def test_the_first_configured_mirror_is_taken(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a.list").write_text("deb http://x.example/apt tools main\n", encoding="utf-8")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822, encoding="utf-8")
    assert configured_mirror(tmp_path) == "http://mirror.example/debian"


def test_without_a_mirror_the_option_is_named(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    with pytest.raises(UsageError) as refusal:
        configured_mirror(tmp_path)
    assert "--mirror" in refusal.value.next_step


@pytest.mark.parametrize("uri", ["-oX=y", "ftp://m.example/debian", "http://m.example/ debian", "javascript:x", ""])
def test_what_is_no_archive_address_is_refused(uri: str) -> None:
    with pytest.raises(UsageError):
        checked_mirror(uri)
