"""``secondsite escrow``: seal it to its holders, and see that two of them open it."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from .terminal import emit, emit_json, estate_option, holder_option, json_option, say


@click.group()
def escrow() -> None:
    """Seal escrow to its holders, and see that two of them open it with nothing but what the vault returns."""


@escrow.command()
@holder_option
@click.option(
    "--identity",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Escrow's own identity, where it was kept in the clear until now. Destroy it afterwards.",
)
@estate_option
def seal(*, holder: tuple[Path, ...], identity: Path | None, estate: Path) -> int:
    """Seal escrow to the holders that the estate declares now.

    Each of them makes a key (secondsite identity FILE, or age-keygen) and gives its public half, which you write into
    the estate's secrets/holders as `NAME age1...`. Escrow's identity is made here, sealed so that any two of them open
    it together, and forgotten. Where holders changed, two of the old ones bring their keys (--holder, twice). What this
    controller can open is sealed for whoever is in secrets/recipients now. Then provision: the vault and the sites keep
    what was sealed.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.escrow import seal as seal_escrow  # noqa: PLC0415
    from ..app.places import safe_of  # noqa: PLC0415

    loaded = app.estate(estate)
    safe = safe_of(loaded)
    manifest = seal_escrow(loaded, safe, keys=holder, identity=identity)
    say(f"sealed for each two of {', '.join(sorted(manifest.holders))}: {len(manifest.packages)} packages")
    say("next: secondsite run provision, then: secondsite escrow test --holder FILE --holder FILE")
    emit(str(safe.directory / "escrow"))
    return 0


@escrow.command()
@holder_option
@estate_option
@json_option
def test(*, holder: tuple[Path, ...], estate: Path, as_json: bool) -> int:
    """Open escrow with two holders' keys and nothing but what the vault returns, in an empty folder; note that.

    Every sealed file that lies at the vault must open, and the keys of the sites' authorities must be theirs. Nothing
    that was opened is kept. In a lab the holders' keys are at hand.
    """
    from .. import app  # noqa: PLC0415  what the app imports takes longer than --help may
    from ..app.escrow_steps import rehearse_opening  # noqa: PLC0415

    opening = rehearse_opening(app.estate(estate), keys=holder)
    if as_json:
        emit_json({"opening": dict(opening.document())})
        return 0
    say(f"opened by {', '.join(' and '.join(pair) for pair in opening.pairs)}, from what {opening.source} returned")
    emit(f"{len(opening.opened)} sealed files open: {', '.join(opening.opened)}")
    return 0
