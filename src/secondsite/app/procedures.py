"""The procedures that persons carry out when the engine is gone: printed, kept at each site, compared with the plan.

What is kept at a site is printed from the plan alone, without the durations of earlier runs, so that only a change of
the runbooks or the estate makes it old.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import ActionError, Effect, SecondsiteError, Unreachable
from ..estate.model import Estate, HostName, SiteKind
from ..plan.load import known_runbooks, load_plan
from ..plan.model import Plan
from ..probes.remote.collectors.procedures import PLACE, PRINTED, digest_of
from ..reports.plan_page import Printing, plan_html, plan_markdown
from ..run.functions import ActionFrom, words
from ..run.model import Json
from ..run.ports import Hands, Outcome, Registry, StepContext
from ..store.clock import SystemClock

KEPT = ("failover", "failback")
_TIMEOUT = dt.timedelta(seconds=20)
_FORMS = ("md", "html")
# One round trip: pages that are there already, printed from the same plan, stay as they are.
_PLACE = """
import json, os, sys
from pathlib import Path
told = json.load(sys.stdin)
place, changed = Path(told["place"]), []
place.mkdir(mode=0o755, parents=True, exist_ok=True)
def told_apart(text):
    return [line for line in text.splitlines() if not line.startswith(told["printed"])]
for path in place.iterdir():
    if path.name not in told["pages"] and path.suffix in (".md", ".html"):
        path.unlink()
        changed.append(path.name)
for name, text in told["pages"].items():
    path = place / name
    about = path.lstat() if path.exists() or path.is_symlink() else None
    if about is not None and about.st_mode == 0o100644 and told_apart(path.read_text()) == told_apart(text):
        continue
    part = place / ("." + name)
    part.write_text(text)
    part.chmod(0o644)
    os.replace(part, path)
    changed.append(name)
print(json.dumps({"changed": changed}))
"""


def printed_procedure(
    plan: Plan, estate: Estate, *, form: str, measured: Mapping[str, dt.timedelta] | None = None
) -> str:
    """Return a plan's page, as Markdown (``md``) or HTML, printed now."""
    printing = Printing(at=SystemClock().now(), estate=estate, measured=measured or {})
    return plan_html(plan, printing) if form == "html" else plan_markdown(plan, printing)


def kept_pages(estate: Estate, *, root: Path) -> Mapping[str, str]:
    """Return every page that is kept at the sites, by file name: failover and failback, in both directions.

    Where there is no such runbook, or the estate can't be moved by it, nothing is kept of it.
    """
    sites = [name for name, site in estate.sites.items() if site.kind is SiteKind.DATACENTER]
    pages = {}
    for runbook in (name for name in KEPT if name in known_runbooks(root / "runbooks")):
        for origin, target in ((one, other) for one in sites for other in sites if one != other):
            plan = load_plan(
                runbook, directory=root / "runbooks", root=root, estate=estate, origin=origin, target=target
            )
            for form in _FORMS:
                pages[f"{runbook}-{origin}-{target}.{form}"] = printed_procedure(plan, estate, form=form)
    return pages


def expected_digests(estate: Estate, *, root: Path) -> Mapping[str, str]:
    """Return the digest that each kept page must have now; the line that says when it was printed does not count."""
    return {name: digest_of(text) for name, text in kept_pages(estate, root=root).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The step that keeps the procedures at the sites."""

    estate: Estate
    hands: Hands

    def registry(self) -> Registry:
        """Name the action."""
        return Registry(actions={"keep-procedures": ActionFrom(self._keep)}, probes={})

    def _keep(self, arguments: Json, context: StepContext) -> Outcome:
        """Place the pages on every host that keeps them, all at once; they are printed from the run's own copy.

        Raises:
            Unreachable: a host did not answer; the others have the pages.
            ActionError: a host could not keep them.
        """
        pages = kept_pages(self.estate, root=context.files)
        order = json.dumps({"place": PLACE, "printed": PRINTED, "pages": pages})
        hosts = [HostName(name) for name in words(arguments, "hosts")]
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            done = dict(zip(hosts, pool.map(lambda host: self._place(host, order), hosts), strict=True))
        silent = {host: error for host, error in done.items() if isinstance(error, SecondsiteError)}
        if silent:
            raise Unreachable(
                "; ".join(f"{host}: {error.what}" for host, error in silent.items()),
                not_done="the other sites have the procedures",
                next_step="bring them up, then provision again",
            )
        changed = {str(host): names for host, names in done.items() if names}
        return Outcome(changed=bool(changed), detail={"pages": sorted(pages), "changed": changed})

    def _place(self, host: HostName, order: str) -> list[str] | SecondsiteError:
        argv = ["sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", _PLACE]
        try:
            ended = self.hands.run(host, argv, stdin=order, timeout=_TIMEOUT)
            changed = json.loads(ended.stdout)["changed"]
        except SecondsiteError as error:
            return error
        except (ValueError, KeyError, TypeError):
            return ActionError(f"{host} did not say what it kept", effect=Effect.UNKNOWN, retryable=True)
        return [str(name) for name in changed]
