"""What a person does at an outlet instead of a step: words for plans."""

from __future__ import annotations

from ..estate.model import HostName, SiteFencing, SiteName


def outlet_by_hand(fencing: SiteFencing, *, host: HostName, action: str) -> str:
    """Say how the fence agent does ``action`` (off, on or status) at a host's outlet; the login is no part of it."""
    power = fencing.power
    if power is None or host not in power.outlets:
        raise ValueError(f"{host} has no outlet at {fencing.site}")
    words = [f"action={action}", f"ip={power.address}", *([f"ipport={power.port}"] if power.port is not None else [])]
    words += [f"{power.outlet_option}={power.outlets[host]}"]
    words += [f"{name}={value}" for name, value in sorted(power.options.items())]
    told = f"On the controller: printf '%s\\n' {' '.join(words)} | cat - LOGIN | {power.agent}"
    return f"{told} : LOGIN holds username= and password=, as sealed in {sealed_as(fencing.site)}.{_MEANS[action]}"


def sealed_as(site: SiteName) -> str:
    """Return the name of the sealed file that holds the login at a site's power endpoint."""
    return f"power-{site}"


_MEANS = {
    "off": "",
    "on": "",
    "status": " It must end with 2 (off); 0 is on, anything else is unknown.",
}
