"""Keep compiled code on a host. This text runs there as the end of Mitogen's core: see mitogen_code.py.

It must do with any Python that Ansible takes, and with no module of ours. Whatever is wrong, it compiles as ever.
"""

import builtins
import hashlib
import importlib.util
import marshal
import os
import stat
import threading
from typing import Any

FOLDER = "/var/cache/secondsite-code"  # root's alone, so what lies in it is as trusted as root
MOST = 400  # files; a release of Ansible has some hundred


def compile_once(source: Any, path: str, mode: str, flags: int = 0, dont_inherit: bool = True) -> Any:
    """Do what the built-in does, once for each source and Python: later runs find the code."""
    if mode != "exec" or flags:
        return builtins.compile(source, path, mode, flags, dont_inherit)
    try:
        kept = _name(source, path)
        code = _read(kept)
    except Exception:  # noqa: BLE001  a host that cannot keep code works all the same
        return builtins.compile(source, path, mode, flags, dont_inherit)
    if code is None:
        code = builtins.compile(source, path, mode, flags, dont_inherit)
        _keep(kept, code)
    return code


def _name(source: Any, path: str) -> str:
    if not os.path.isdir(FOLDER):
        os.mkdir(FOLDER, 0o700)
    about = os.lstat(FOLDER)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
        raise PermissionError(FOLDER)
    text = source.encode() if isinstance(source, str) else bytes(source)
    about_it = importlib.util.MAGIC_NUMBER + os.fsencode(path) + b"\0"
    return os.path.join(FOLDER, hashlib.sha256(about_it + text).hexdigest())


def _read(kept: str) -> Any:
    try:
        with open(kept, "rb") as file:
            digest, code = file.read(32), file.read()
    except FileNotFoundError:
        return None
    return marshal.loads(code) if hashlib.sha256(code).digest() == digest else None


def _keep(kept: str, code: Any) -> None:
    part = f"{kept}.{os.getpid()}.{threading.get_ident()}"
    try:
        names = os.listdir(FOLDER)
        for name in names if len(names) >= MOST else ():
            os.unlink(os.path.join(FOLDER, name))  # rather empty than ever growing
        packed = marshal.dumps(code)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(hashlib.sha256(packed).digest() + packed)
        os.replace(part, kept)
    except Exception:  # noqa: BLE001, S110  a full disk, or another run was first: nothing depends on it
        pass
