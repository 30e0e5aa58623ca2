"""What root on this host may ask of the storekeeper: JSON lines over a socket in /run."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .house import House, InDoubt, NotNow, NotSent
from .kept import Kept
from .quorum import Away
from .sealed import FOLDER, SUBJECT, Customers, Gone, subjects_in

SOCKET = Path("/run/storekeeper/control.sock")


def serve(house: House, kept: Mapping[str, Kept], customers: Customers) -> None:
    """Answer for ever."""

    def erased(_: House, kept: Mapping[str, Kept]) -> Mapping[str, object]:
        """Tell whose documents are still here of those that the ledger says were erased."""
        return {"erased": customers.erased(subjects_in(kept["documents"].folder)) if customers.has_ledger else []}

    def documents(_: House, kept: Mapping[str, Kept], *, account: str) -> Mapping[str, object]:
        """Tell a customer's documents, opened: what a person, or somebody with a right to it, asks for in full."""
        folder = kept["documents"].folder / FOLDER / account
        if not SUBJECT.fullmatch(account) or not folder.is_dir():
            return {"documents": {}}
        found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        opened = {path.name: customers.open(account, path.read_bytes()) for path in found}
        return {"documents": {name: base64.b64encode(raw).decode() for name, raw in opened.items()}}

    verbs = {**_VERBS, "erased": erased, "documents": documents}
    SOCKET.unlink(missing_ok=True)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            words = json.loads(self.rfile.readline(65536))
            try:
                said = verbs[str(words.pop("verb"))](house, kept, **words)
            except (NotNow, NotSent, Away, InDoubt, Gone, OSError, KeyError, TypeError) as error:
                said = {"error": f"{type(error).__name__}: {error}", "in_doubt": isinstance(error, (Away, InDoubt))}
            with contextlib.suppress(BrokenPipeError):  # who asked waited no longer
                self.wfile.write(json.dumps(said).encode() + b"\n")

    with socketserver.ThreadingUnixStreamServer(str(SOCKET), Handler) as server:
        os.chmod(SOCKET, 0o660)
        server.daemon_threads = True
        server.serve_forever()


def _status(house: House, _: Mapping[str, Kept]) -> Mapping[str, object]:
    return house.status()


def _refresh(house: House, kept: Mapping[str, Kept]) -> Mapping[str, object]:
    house.refresh()
    return _status(house, kept)


def _begin(house: House, kept: Mapping[str, Kept]) -> Mapping[str, object]:
    """Claim what nobody ever held: only the operators know where that should be."""
    claimed = house.begin()
    return {**_status(house, kept), "claimed": list(claimed)}


def _try(house: House, kept: Mapping[str, Kept], *, workload: str) -> Mapping[str, object]:
    """Try to write and take it back."""
    try:
        with house.writing(workload):
            kept[workload].try_to_write()
    except NotNow as error:
        since = house.standby_since(workload)
        standby = {} if since is None else {"standby_s": round(time.monotonic() - since, 6)}
        return {"writable": False, "why": str(error), **standby}
    return {"writable": True}


def _copy(house: House, kept: Mapping[str, Kept], *, workload: str) -> Mapping[str, object]:
    """Bring the other site's copy up to now, all of it."""
    lease = house.lease(workload)
    if lease is None or lease.primary != house.settings.host:
        raise NotNow(f"{house.settings.host} is not the primary of {workload}")
    kept[workload].copy(lease, whole=True)
    return _status(house, kept)


def _hand_over(house: House, kept: Mapping[str, Kept], *, workload: str, to: str) -> Mapping[str, object]:
    """Close the door, bring the other site up to the last write, and give it the lease."""
    lease = house.lease(workload)
    if lease is None or lease.primary != house.settings.host:
        raise NotNow(f"{house.settings.host} is not the primary of {workload}")
    peer = house.settings.peer
    if peer is None or peer.name != to:
        raise NotNow(f"{to} is not the other site's host")
    door = house.doors[workload]
    door.close()
    try:
        kept[workload].copy(lease, whole=True)
        now = house.lease(workload) or lease
        if not house.swap(workload, expected=now, new=now.handed_to(to)):
            raise NotNow("the lease has changed meanwhile; nothing was handed over")
    except Away:
        threading.Thread(target=_open_when_known, args=(house, workload), daemon=True).start()
        raise
    except BaseException:
        door.open()
        raise
    door.open()
    return {"handed_to": to, "epoch": lease.epoch + 1}


def _open_when_known(house: House, workload: str) -> None:
    """Keep the door closed until the quorum says whose the workload is: it may be the other site's already."""
    while True:
        try:
            house.refresh()
        except Away:
            time.sleep(0.5)
        else:
            house.doors[workload].open()
            return


def _ids(_: House, kept: Mapping[str, Kept], *, workload: str) -> Mapping[str, object]:
    return {"ids": list(kept[workload].ids())}


def _subjects(_: House, kept: Mapping[str, Kept]) -> Mapping[str, object]:
    """Tell whose documents are here."""
    return {"subjects": subjects_in(kept["documents"].folder)}


_VERBS: Mapping[str, Callable[..., Mapping[str, object]]] = {
    "status": _status,
    "refresh": _refresh,
    "begin": _begin,
    "try": _try,
    "copy": _copy,
    "hand-over": _hand_over,
    "ids": _ids,
    "subjects": _subjects,
}
