"""``secondsite report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from ..errors import UsageError
from .terminal import emit_json, estate_option, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..reports import Seal

FORMATS = ("html", "md", "json", "junit")


@click.command()
@click.argument("run")
@click.option("--format", "kind", type=click.Choice(FORMATS), default="html", show_default=True, help="What to render.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write; standard output without it."
)
@estate_option
def report(*, run: str, kind: str, output: Path | None, estate: Path) -> int:
    """Render the report of RUN: a run's number, its name, or a folder with records.

    Every number is recomputed from the raw records. The verdict does not change the exit code: rendering worked or not.
    """
    folder = _folder(run, estate)
    files = _records(folder)
    if kind == "json" and output is None:
        from ..measure import read_records, recompute, to_document  # noqa: PLC0415  --help must be quick

        emit_json(to_document(recompute(read_records(files))))
        return 0
    text = _render(kind, files, _seal_of(folder))
    if output is None:
        sys.stdout.write(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} can't be written: {error}", not_done="no report was written") from error
    say(f"written: {output}")
    return 0


def _folder(run: str, estate: Path) -> Path:
    if "/" in run or run in {".", ".."}:
        folder = Path(run)
    else:
        from ..app.bench import run_store  # noqa: PLC0415
        from ..app.places import estate as load_estate  # noqa: PLC0415  what the app imports takes longer than --help

        found = run_store(load_estate(estate)).folders.find(run)
        if found.has_plan():
            raise UsageError(
                f"{found.id} is the run of a plan and not a drill",
                not_done="nothing was rendered",
                next_step=f"secondsite runs show {found.number} tells of its steps, consents and interruptions",
            )
        folder = found.path
    if not (folder / "records").is_dir():
        raise UsageError(
            f"{folder} holds no records of a drill",
            not_done="nothing was rendered",
            next_step="secondsite drill list names the drills; a folder needs a slash in its name",
        )
    return folder


def _records(folder: Path) -> dict[str, bytes]:
    from ..reports import REPORTED  # noqa: PLC0415

    found = {name: folder / "records" / name for name in REPORTED}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


def _seal_of(folder: Path) -> Seal | None:
    """Return what the bundle beside the records says, if it verifies and its records are these."""
    from ..evidence import load_bundle, verify  # noqa: PLC0415
    from ..reports import Seal, assess_command  # noqa: PLC0415

    bundle, archive = folder / "evidence", folder / "evidence.tar.gz"
    if not bundle.is_dir():
        return None
    loaded = load_bundle(bundle)
    sealed = {name.removeprefix("records/"): text for name, text in loaded.files.items() if name.startswith("records/")}
    verification = verify(loaded)
    if not verification.verifies or verification.manifest_sha256 is None or sealed != _all_records(folder):
        say("warning: the evidence beside these records does not verify; the report is rendered without a seal")
        return None
    return Seal(
        manifest_sha256=verification.manifest_sha256,
        signed_by=verification.signed_by,
        verify_command=f"./secondsite evidence verify {archive if archive.is_file() else bundle}",
        assess_command=assess_command(archive if archive.is_file() else bundle),
    )


def _all_records(folder: Path) -> dict[str, bytes]:
    records = folder / "records"
    return {path.relative_to(records).as_posix(): path.read_bytes() for path in records.rglob("*") if path.is_file()}


def _render(kind: str, files: Mapping[str, bytes], seal: Seal | None) -> str:
    import json  # noqa: PLC0415

    from ..measure import read_records, recompute, to_document  # noqa: PLC0415
    from ..reports import render_html, render_junit, render_markdown  # noqa: PLC0415

    match kind:
        case "html":
            return render_html(files, seal=seal)
        case "md":
            return render_markdown(files, seal=seal)
        case "junit":
            return render_junit(files)
        case _:
            return json.dumps(to_document(recompute(read_records(files))), indent=1, allow_nan=False) + "\n"
