"""Read a plain Ansible inventory into hosts, and refuse what would let it run something here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from ...errors import Problem
from ..model import Host, HostName, SiteName
from ..schema.load import GROUP_PATTERN, NAME_PATTERN, HostDocument
from ..strict.load import Document, step_into

# What Ansible may be told here. Every other ansible_... variable can name a program, a key or an option of ssh.
CONNECTION_VARIABLES = frozenset({"ansible_host", "ansible_port", "ansible_user", "ansible_python_interpreter"})
GROUP_KEYS = frozenset({"hosts", "children", "vars"})
NAME_HINT = "a small letter, then at most 62 small letters, digits and dashes"
VARIABLE_PATTERN = r"[a-z][a-z0-9_]{0,62}"


@dataclass(kw_only=True)
class _Found:
    """What is known of one host, gathered over every place that names it."""

    pointer: str
    variables: dict[str, object] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)


def hosts_of(document: Document) -> tuple[dict[HostName, Host], list[Problem], frozenset[str]]:
    """Return the hosts in inventory order, what is wrong, and every host name, also of hosts that are wrong."""
    walk = _Walk(document=document)
    if not isinstance(document.value, dict):
        return {}, [*document.problems, *_not_a_mapping(document)], frozenset()
    for name, body in document.value.items():
        walk.group(name, body, step_into("", name), {}, ())
    hosts: dict[HostName, Host] = {}
    for name, found in walk.found.items():
        host = walk.host(name, found)
        if host is not None:
            hosts[host.name] = host
    return hosts, [*document.problems, *walk.problems], frozenset(walk.found)


def _not_a_mapping(document: Document) -> Iterator[Problem]:
    if not document.problems:
        yield document.problem("", "is no inventory", "write groups, each with `hosts:`")


@dataclass(kw_only=True)
class _Walk:
    """One pass over the groups."""

    document: Document
    found: dict[str, _Found] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def object_to(self, pointer: str, what: str, hint: str = "") -> None:
        self.problems.append(self.document.problem(pointer, what, hint))

    def mapping(self, value: object, pointer: str) -> Mapping[str, object]:
        """Return a mapping; nothing at all counts as an empty one, as it does for Ansible."""
        if isinstance(value, dict):
            return value
        if value is not None:
            self.object_to(pointer, "is not a mapping", "write `key: value` lines below it")
        return {}

    def group(
        self, name: str, body: object, pointer: str, inherited: Mapping[str, object], above: tuple[str, ...]
    ) -> None:
        if not re.fullmatch(GROUP_PATTERN, name):
            self.object_to(pointer, f"{name!a} is no name for a group", NAME_HINT)
        parts = self.mapping(body, pointer)
        for key in parts.keys() - GROUP_KEYS:
            self.object_to(step_into(pointer, key), "is not a part of a group", "hosts, children or vars")
        variables = {**inherited, **self.variables(parts.get("vars"), step_into(pointer, "vars"))}
        groups = above if name == "all" else (*above, name)
        hosts = step_into(pointer, "hosts")
        for host, own in self.mapping(parts.get("hosts"), hosts).items():
            self.member(host, own, step_into(hosts, host), variables, groups)
        children = step_into(pointer, "children")
        for child, inner in self.mapping(parts.get("children"), children).items():
            self.group(child, inner, step_into(children, child), variables, groups)

    def member(
        self, name: str, body: object, pointer: str, inherited: Mapping[str, object], groups: tuple[str, ...]
    ) -> None:
        if not re.fullmatch(NAME_PATTERN, name):
            self.object_to(pointer, f"{name!a} is no name for a host", NAME_HINT)
        own = self.variables(body, pointer)
        found = self.found.setdefault(name, _Found(pointer=pointer))
        if own and not found.variables.keys() & {"ansible_host", "site"}:
            found.pointer = pointer
        for key, value in own.items():
            if found.variables.get(key, value) != value:
                self.object_to(step_into(pointer, key), f"differs from another place that names {name}", "keep one")
        found.variables = {**inherited, **found.variables, **own}
        found.groups += [group for group in groups if group not in found.groups]

    def variables(self, value: object, pointer: str) -> Mapping[str, object]:
        variables = self.mapping(value, pointer)
        for key in variables:
            here = step_into(pointer, key)
            if not re.fullmatch(VARIABLE_PATTERN, key):
                self.object_to(here, f"{key!a} is no name for a variable", "small letters, digits and underscores")
            elif key.startswith("ansible_") and key not in CONNECTION_VARIABLES:
                self.object_to(
                    here, "could run a program on this machine", f"allowed: {', '.join(sorted(CONNECTION_VARIABLES))}"
                )
        return variables

    def host(self, name: str, found: _Found) -> Host | None:
        try:
            document = HostDocument.model_validate(found.variables)
        except ValidationError as error:
            for one in error.errors():
                pointer = step_into(found.pointer, str(one["loc"][0])) if one["loc"] else found.pointer
                self.object_to(pointer, sentence(one["type"], one["msg"]))
            return None
        return Host(
            name=HostName(name),
            site=SiteName(document.site),
            management=document.ansible_host,
            address=document.address,
            groups=tuple(found.groups),
        )


def sentence(kind: str, message: str) -> str:
    """Return what pydantic found wrong, as the end of a sentence that begins with the place."""
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a known key"
        case "value_error":
            return message.removeprefix("Value error, ")
        case _:
            return message.replace("Input should", "should").replace("String should", "should")
