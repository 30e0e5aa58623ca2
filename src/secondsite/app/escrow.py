"""Escrow of two holders: sealed to those whom the estate declares, and whether what is sealed is of today."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import SecondsiteError, UsageError
from ..estate.model import Estate
from ..hands.age import ESCROW, RECIPIENTS, Safe, new_identity, read_identity, read_recipients, recipient_of
from ..hands.age import write_private as write
from ..hands.authorities import Authorities, sealed_name
from ..hands.escrow import (
    FOLDER,
    MANIFEST,
    Manifest,
    lab_keys,
    open_packages,
    read_holders,
    read_manifest,
    reasons_to_seal,
    reseal_lab,
    seal_packages,
    spoilt_packages,
)
from ..hands.keepers import authorities_of, certified_sites
from ..store.openings import Opening, noted

_NOT_SEALED = "nothing was sealed"
_OPENINGS = 20
"""So many of the last ones are known to a check: a host may tell of one before the newest."""


def packages_of_today(estate: Estate, safe: Safe) -> Manifest:
    """Return the packages, whole and for the holders that are declared now; a lab seals them anew where they are not.

    Raises:
        UsageError: they are not, and two holders have to come so that they can be.
    """
    reasons = list(reasons_not_today(estate, safe))
    if reasons and safe.escrow is not None and lab_keys(safe.directory):
        holders = _declared(estate)
        return reseal_lab(safe.directory, estate=estate.name, holders=holders, identity=safe.escrow())
    if reasons:
        raise UsageError(
            f"the packages of escrow are not those of today: {'; '.join(reasons)}",
            not_done="no host was given any",
            next_step="secondsite escrow seal --holder FILE --holder FILE",
        )
    return read_manifest(safe.directory / FOLDER)


def reasons_not_today(estate: Estate, safe: Safe) -> Iterator[str]:
    """Yield why the packages here are not what two of the declared holders could open."""
    try:
        manifest = read_manifest(safe.directory / FOLDER)
        yield from reasons_to_seal(manifest, holders=_holders(estate, safe), escrow=safe.recipients()[ESCROW])
        yield from spoilt_packages(safe.directory / FOLDER, manifest)
    except SecondsiteError as error:
        yield error.what


def _declared(estate: Estate) -> tuple[str, ...]:
    if estate.escrow is None:
        raise UsageError(
            "the estate declares nobody who holds a key to escrow",
            not_done=_NOT_SEALED,
            next_step="section `escrow` in estate.yml; secondsite schema estate explains it",
        )
    return estate.escrow.holders


def _holders(estate: Estate, safe: Safe) -> dict[str, str]:
    """Return the declared holders' recipients; in a lab those of the keys that it keeps for them."""
    names, held = _declared(estate), lab_keys(safe.directory)
    if held:
        return {name: recipient_of(read_identity(held[name])) if name in held else "" for name in names}
    return dict(read_holders(safe.directory, names=names))


def seal(estate: Estate, safe: Safe, *, keys: Sequence[Path], identity: Path | None) -> Manifest:
    """Seal escrow to the holders that are declared now, and keep its identity nowhere.

    Where there is no escrow yet, one is made. Else two holders open it (``keys``), or its identity is brought from
    where an earlier release had it kept (``identity``). Who is no holder any more has no key to what is sealed now.
    Packages that are of today stay. What this controller can open is sealed for whoever is a recipient now.

    Raises:
        UsageError: a lab seals by itself; or escrow that there is was not opened. Nothing was sealed.
        ConfigError: the files that name recipients or holders are wrong.
    """
    if safe.makes_keys:
        raise UsageError("a lab seals its escrow itself", not_done=_NOT_SEALED, next_step="secondsite run provision")
    path, folder = safe.directory / RECIPIENTS, safe.directory / FOLDER
    if not path.exists():
        safe.recipients()  # refuses, and says what to do
    holders = read_holders(safe.directory, names=_declared(estate))
    known = read_recipients(path, lambda found: [] if found else ["names nobody"]).get(ESCROW)
    if known is not None and identity is None and not list(reasons_not_today(estate, safe)):
        manifest = read_manifest(folder)
    else:
        opened = _escrow_of(safe, keys=keys, identity=identity)
        if known is not None and known != recipient_of(opened):
            raise UsageError(
                f"{path} names another {ESCROW} than the one that was brought",
                not_done=_NOT_SEALED,
                next_step="bring escrow's own identity with --identity FILE, or two holders' keys with --holder",
            )
        manifest = seal_packages(folder, estate=estate.name, identity=opened, holders=holders)
        if known is None:
            write(path, f"{path.read_text(encoding='utf-8').rstrip()}\n{ESCROW} {manifest.recipient}\n".encode())
    for name in [one.stem for one in safe.directory.glob("*.age")] if safe.identity.exists() else []:
        if safe.can_open(name):
            safe.seal(name, safe.open(name))
    return manifest


def _escrow_of(safe: Safe, *, keys: Sequence[Path], identity: Path | None) -> str:
    """Return escrow's identity: brought, opened by two holders, or made now where there are no packages yet."""
    if identity is not None:
        return read_identity(identity)
    if keys or (safe.directory / FOLDER / MANIFEST).exists():
        return open_packages(safe.directory / FOLDER, keys).identity
    return new_identity()


def last_opening(state: Path, manifest: Manifest) -> Opening | None:
    """Return the last time that these very packages were opened.

    Raises:
        JournalError: what is noted can't be read.
    """
    return next((one for one in reversed(noted(state)) if one.manifest == manifest.digest), None)


def is_due(opening: Opening | None, estate: Estate, *, now: dt.datetime) -> bool:
    """Say whether escrow should be opened again: half of the longest time between two openings has passed."""
    if opening is None or estate.escrow is None:
        return True
    return now - dt.datetime.fromisoformat(opening.at) > estate.escrow.opened_every / 2


def expected_of_hosts(estate: Estate, safe: Safe, state: Path) -> dict[str, object]:
    """Return what every host that keeps packages must have, as this controller knows it.

    Raises:
        SecondsiteError: it can't be told; the packages or who they are for are not in order here.
    """
    manifest = read_manifest(safe.directory / FOLDER)
    openings = [one for one in noted(state) if one.manifest == manifest.digest]
    return {
        "manifest": manifest.digest,
        "packages": {
            "+".join(sorted(one.holders)): {"file": one.file, "sha256": one.sha256} for one in manifest.packages
        },
        "reasons": list(reasons_not_today(estate, safe)),
        "escrow": safe.recipients()[ESCROW],
        "holders": _holders(estate, safe),
        "sealed": sorted(sealed_names(estate, authorities_of(estate, safe))),
        "openings": [dict(one.document()) for one in openings[-_OPENINGS:]],
        "clear": sorted(str(one.relative_to(safe.directory)) for one in _in_the_clear(safe)),
    }


def sealed_names(estate: Estate, authorities: Authorities) -> Iterator[str]:
    """Yield what must be sealed for escrow: the shared secrets, and the keys of every site's authorities."""
    yield "secrets"
    yield from (f"ssh-{site}" for site in dict.fromkeys(str(host.site) for host in estate.hosts.values()))
    for site in certified_sites(estate):
        yield sealed_name(authorities.signing(site))


def _in_the_clear(safe: Safe) -> Iterator[Path]:
    """Yield files in which escrow's own identity lies open beside what it opens."""
    escrow = safe.recipients()[ESCROW]
    for path in (one for one in safe.directory.rglob("identity*") if one.is_file()):
        try:
            if recipient_of(read_identity(path)) == escrow:
                yield path
        except SecondsiteError:
            continue
