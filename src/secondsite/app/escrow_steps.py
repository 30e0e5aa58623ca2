"""The steps on escrow: hosts keep its packages, and it is opened with nothing but what the vault returns."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import ActionError, Effect, SecondsiteError, Unreachable, UsageError
from ..estate.model import Estate, HostName, SiteKind
from ..hands.age import Safe, write_private
from ..hands.escrow import FOLDER, MANIFEST, OPENED
from ..hands.escrow_opening import Proof, lay_down, prove_opening
from ..plan.founding import escrow_hosts
from ..run.functions import ActionFrom, words
from ..run.model import Json
from ..run.ports import Action, Hands, Outcome, Registry, StepContext
from ..store.clock import SystemClock
from ..store.openings import Opening, note
from .escrow import is_due, last_opening, packages_of_today
from .lookout import open_lookout
from .places import lab_holders
from .standby import PLACE, copy_name

_TIMEOUT = dt.timedelta(seconds=20)
_COPY_COMES_WITHIN_S = 20.0
_LARGEST = 8 << 20
_PYTHON = ("sudo", "-n", "--", "/usr/bin/python3", "-I", "-c")
# One round trip. What is there already stays; what is not named goes, last, so that there is always one that opens.
_KEEP = """
import json, os, sys
from pathlib import Path
told, changed = json.load(sys.stdin), []
os.umask(0o077)
place = Path(told["place"])
place.mkdir(mode=0o700, parents=True, exist_ok=True)
place.chmod(0o700)
for name, text in told["files"]:
    path = place / name
    about = path.lstat() if path.exists() or path.is_symlink() else None
    if about is not None and about.st_mode == 0o100600 and about.st_uid == os.geteuid() and path.read_text() == text:
        continue
    part = place / ("." + name)
    part.write_text(text)
    with open(part) as written:
        os.fsync(written.fileno())
    os.replace(part, path)
    changed.append(name)
for path in place.iterdir():
    if path.name not in dict(told["files"]):
        path.unlink()
        changed.append(path.name)
print(json.dumps({"changed": changed}))
"""
# What a bare host would be given: the packages, and of the copy what is sealed and what it belongs to.
_TAKE = """
import base64, json, sys, tarfile
from pathlib import Path
place, folder, copy = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
found = {}
def take(name, content):
    found[name] = base64.b64encode(content).decode()
if (place / folder).is_dir():
    for path in sorted((place / folder).iterdir()):
        if path.is_file() and path.stat().st_size < 1 << 18:
            take("escrow/" + path.name, path.read_bytes())
if (place / copy).is_file():
    with tarfile.open(place / copy, "r:gz") as archive:
        for one in archive:
            wanted = one.name.startswith(("secrets/", "keys/ca/")) and not one.name.startswith("secrets/escrow/")
            if wanted and one.isfile() and one.size < 1 << 18:
                take(one.name, archive.extractfile(one).read())
print(json.dumps({"files": found}))
"""


def folder_name(estate: Estate) -> str:
    """Return what the folder of packages is called where copies are kept."""
    return f"{estate.name}.escrow"


def vaults_first(estate: Estate, hosts: Sequence[str]) -> list[str]:
    """Return those of the hosts that stand at a vault, or all where none does."""
    at_vault = [one for one in hosts if estate.sites[estate.hosts[HostName(one)].site].kind is SiteKind.VAULT]
    return at_vault or list(hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps on escrow. ``keys`` are the key files of holders who are at hand: none, or two and more."""

    estate: Estate
    hands: Hands
    safe: Safe
    state: Path
    clock: SystemClock
    keys: Sequence[Path]

    def registry(self) -> Registry:
        """Name the actions."""
        actions: dict[str, Action] = {
            "hand-over-escrow": ActionFrom(self._hand_over),
            "open-escrow": ActionFrom(self._open),
        }
        return Registry(actions=actions, probes={})

    def _hand_over(self, arguments: Json, _context: StepContext) -> Outcome:
        """Have every host keep the packages of today, with who opened them last.

        Raises:
            UsageError: the packages are not those of today; no host was given any.
            Unreachable: a host did not answer; the others have them.
        """
        manifest = packages_of_today(self.estate, self.safe)
        changed = self.keep(words(arguments, "hosts"))
        opening = last_opening(self.state, manifest)
        detail = {
            "holders": sorted(manifest.holders),
            "packages": len(manifest.packages),
            "manifest": manifest.digest,
            "changed": changed,
            "last_opened": None if opening is None else dict(opening.document()),
        }
        return Outcome(changed=any(changed.values()), detail=detail)

    def _open(self, arguments: Json, _context: StepContext) -> Outcome:
        """Open escrow, where that is due and holders are here; and tell so where they are not."""
        hosts, manifest = words(arguments, "hosts"), packages_of_today(self.estate, self.safe)
        opening = last_opening(self.state, manifest)
        if not is_due(opening, self.estate, now=self.clock.now()):
            return Outcome(changed=False, detail={"said": "nothing to change: it was opened lately"})
        if not self.keys:
            said = "not opened: no holder brought a key (secondsite escrow test)"
            return Outcome(changed=False, detail={"said": said})
        made = self.rehearse(hosts, purpose="provisioning", within_s=_COPY_COMES_WITHIN_S)
        return Outcome(changed=True, detail={"opened": dict(made.document())})

    def rehearse(self, hosts: Sequence[str], *, purpose: str, within_s: float = 0.0) -> Opening:
        """Open escrow with each two of the keys, with nothing but what the vault returns; note it, there as well.

        ``within_s`` is how long a copy that is on its way to the vault may take.

        Raises:
            UsageError: who came is not two holders.
            ActionError: escrow does not open all that a bare host would need.
        """
        sources = vaults_first(self.estate, hosts)
        proofs = {host: self._prove(host, within_s=within_s) for host in sources}
        proof, today = proofs[sources[0]], packages_of_today(self.estate, self.safe).digest
        if strange := [host for host, one in proofs.items() if one.manifest != today]:
            what = f"{', '.join(strange)} returned other packages than those of today"
            raise ActionError(what, effect=Effect.NONE, next_step="secondsite run provision")
        opening = Opening(
            at=self.clock.now().isoformat(timespec="seconds"),
            purpose=purpose,
            holders=proof.holders,
            pairs=proof.pairs,
            manifest=proof.manifest,
            source=", ".join(sources),
            opened=proof.opened,
        )
        note(self.state, opening)
        self.keep(hosts)
        return opening

    def _prove(self, host: str, *, within_s: float) -> Proof:
        until = self.clock.monotonic() + within_s
        wanted = {f"secrets/{path.name}" for path in self.safe.directory.glob("*.age")}
        returned = self._take(host)
        while not wanted <= returned.keys() and self.clock.monotonic() < until:
            self.clock.sleep(0.5)
            returned = self._take(host)
        with tempfile.TemporaryDirectory(prefix="secondsite-escrow-") as scratch:
            try:
                lay_down(returned, Path(scratch))
                return prove_opening(Path(scratch), self.keys)
            except ActionError as error:
                what = f"a bare host could not begin with what {host} returned: {error.what}"
                raise ActionError(what, effect=Effect.NONE, next_step=error.next_step) from error

    def _take(self, host: str) -> Mapping[str, bytes]:
        argv = [*_PYTHON, _TAKE, PLACE, folder_name(self.estate), copy_name(self.estate)]
        ended = self.hands.run(host, argv, timeout=_TIMEOUT, limit=_LARGEST)
        try:
            files = json.loads(ended.stdout)["files"]
            return {str(name): base64.b64decode(content, validate=True) for name, content in files.items()}
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise ActionError(f"{host} did not say what it keeps", effect=Effect.NONE, retryable=True) from error

    def keep(self, hosts: Sequence[str]) -> Mapping[str, list[str]]:
        """Have hosts keep the packages that lie here, and return what changed at each.

        Raises:
            Unreachable: a host did not answer; the others have them.
        """
        order = json.dumps({"place": f"{PLACE}/{folder_name(self.estate)}", "files": self._files()})
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            done = dict(zip(hosts, pool.map(lambda host: self._keep(host, order), hosts), strict=True))
        silent = {host: error for host, error in done.items() if isinstance(error, SecondsiteError)}
        if silent:
            raise Unreachable(
                "; ".join(f"{host}: {error.what}" for host, error in silent.items()),
                not_done="the other hosts keep the packages of escrow",
                next_step="bring them up, then provision again",
            )
        return {host: names for host, names in done.items() if not isinstance(names, SecondsiteError)}

    def _files(self) -> list[tuple[str, str]]:
        """Return the packages, then what names them: who opened them last is written down first."""
        folder, manifest = self.safe.directory / FOLDER, packages_of_today(self.estate, self.safe)
        opening = last_opening(self.state, manifest)
        if opening is None:
            (folder / OPENED).unlink(missing_ok=True)
        else:
            write_private(folder / OPENED, json.dumps(opening.document(), indent=1, sort_keys=True).encode() + b"\n")
        names = [one.file for one in manifest.packages] + [OPENED] * (opening is not None) + [MANIFEST]
        return [(name, (folder / name).read_text(encoding="ascii")) for name in names]

    def _keep(self, host: str, order: str) -> list[str] | SecondsiteError:
        try:
            ended = self.hands.run(host, [*_PYTHON, _KEEP], stdin=order, timeout=_TIMEOUT)
            changed = json.loads(ended.stdout)["changed"]
        except SecondsiteError as error:
            return error
        except (ValueError, KeyError, TypeError):
            return ActionError(f"{host} did not say what it kept", effect=Effect.UNKNOWN, retryable=True)
        return [str(name) for name in changed]


def rehearse_opening(estate: Estate, *, keys: Sequence[Path]) -> Opening:
    """Open escrow with nothing but what the vault returns, and note it; a lab has its holders' keys at hand.

    Raises:
        UsageError: who came is not two holders, or nobody keeps packages.
        ActionError: escrow does not open all that a bare host would need.
    """
    hosts = escrow_hosts(estate)
    if not hosts:
        raise UsageError(
            "no host keeps packages of escrow",
            not_done="nothing was opened",
            next_step="declare holders in section `escrow`, and hosts of the group `standby`",
        )
    with open_lookout(estate) as lookout:
        steps = Steps(
            estate=estate,
            hands=lookout.hands,
            safe=lookout.safe,
            state=lookout.state,
            clock=lookout.clock,
            keys=keys or tuple(lab_holders(estate).values()),
        )
        return steps.rehearse(hosts, purpose="rehearsal")
