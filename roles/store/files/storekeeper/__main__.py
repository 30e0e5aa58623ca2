"""Run the storekeeper: read its settings, open the door, watch the leases, copy to the other site."""

from __future__ import annotations

import threading

from . import control, sealed, settings
from .doors import Server, folders
from .house import House
from .kept import Files, Kept, Repositories
from .mail import Mail

_KINDS: dict[str, type[Kept]] = {"documents": Files, "website": Files, "git": Repositories, "mail": Mail}


def main() -> None:
    """Serve until the process is ended."""
    known = settings.load()
    folders(known.root)
    house = House(known)
    kept = {name: _KINDS[name](name, house) for name in known.workloads}
    for one in kept.values():
        one.folder.mkdir(parents=True, exist_ok=True)
        one.folder.chmod(0o755 if one.name == "website" else 0o700)
    works = [house.watch, *(one.copy_for_ever for one in kept.values())]
    works += [one.send_for_ever for one in kept.values() if isinstance(one, Mail)]
    customers = sealed.from_settings()
    works += [sealed.Forgetting(house, kept["documents"], customers).for_ever] if "documents" in kept else []
    for work in works:
        threading.Thread(target=work, daemon=True).start()
    threading.Thread(target=control.serve, args=(house, kept, customers), daemon=True).start()
    Server(house, kept, customers).serve_forever()


if __name__ == "__main__":
    main()
