"""Have Mitogen compile nothing twice: not here, and not on hosts.

Mitogen sends each host the sources of some seventy modules, and each host compiles them anew in each run; here, it
compiles them as well, to see what they import. So here the code that Python keeps beside the sources is taken; and a
host keeps the code it compiled, as Python itself would if it had the sources as files.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
from pathlib import Path
from types import CodeType
from typing import Any

import ansible
import ansible_mitogen.module_finder
import mitogen
import mitogen.master
import mitogen.parent

# the release whose insides are known here; with any other, everything is as Mitogen made it
KNOWN = (0, 3, 54)
ON_HOSTS = Path(__file__).with_name("host_code.py")
_LIBRARIES = tuple(Path(package.__file__).parent for package in (ansible, ansible_mitogen, mitogen))


def install() -> bool:
    """Make Mitogen in this process, and in those it forks, keep code. Returns whether its release is known."""
    if tuple(mitogen.__version__) != KNOWN:
        return False
    codes = Codes()
    vars(mitogen.master)["compile"] = codes.compile
    vars(ansible_mitogen.module_finder)["compile"] = codes.compile
    _keep_on_hosts()
    return True


class Codes:
    """Code objects by source: compiled once in a process, and for Ansible's and Mitogen's own files, once at all."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: dict[tuple[bytes, str], CodeType] = {}

    def compile(self, source: bytes | str, name: str, mode: str) -> CodeType:
        """Do what the built-in does; ``name`` is a file's path, or a module's name."""
        text = source.encode() if isinstance(source, str) else source
        if (text, name) not in self._known:
            code = _kept(text, _path_of(name)) or compile(source, name, mode, 0, dont_inherit=True)
            self._known[text, name] = code
        return self._known[text, name]


def _kept(source: bytes, path: Path | None) -> CodeType | None:
    """Return what Python itself keeps beside a library's file, provided the file holds this source."""
    if path is None or path.suffix != ".py" or not any(path.is_relative_to(library) for library in _LIBRARIES):
        return None
    with contextlib.suppress(OSError, SyntaxError, ImportError):
        if path.read_bytes() == source:
            return importlib.machinery.SourceFileLoader("kept", str(path)).get_code("kept")
    return None


def _path_of(name: str) -> Path | None:
    if "/" in name:
        return Path(name)
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(name) if name.startswith("ansible.") else None
        return Path(spec.origin) if spec and spec.origin else None
    return None


def _keep_on_hosts() -> None:
    """Give what runs on hosts a ``compile`` of its own: names of a module come before the built-in ones."""
    keeping = ON_HOSTS.read_text(encoding="utf-8")
    core = mitogen.parent._get_core_source  # noqa: SLF001
    build = mitogen.master.ModuleFinder.get_module_source

    def with_keeping() -> str:
        return f"{core()}\n{keeping}\ncompile = compile_once\n"

    def get_module_source(self: Any, fullname: str) -> Any:
        known = fullname in self._found_cache
        path, source, is_package = build(self, fullname)
        if fullname == "ansible_mitogen.runner" and source and not known:
            self._found_cache[fullname] = (path, source + b"\nfrom mitogen.core import compile\n", is_package)
        return self._found_cache[fullname]

    mitogen.parent._get_core_source = with_keeping  # noqa: SLF001
    mitogen.master.ModuleFinder.get_module_source = get_module_source
