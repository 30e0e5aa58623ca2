"""The kinds of things that are kept: folders of files, git repositories, and mail; each knows how it is copied."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from . import disk
from .house import House, NotSent
from .rules import Lease, Role

_GIT_ENV = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
_KEEP_LOST_FROM_EPOCH = 2


class Kept:
    """One workload, and the thread that copies it to the other site while this host is its primary."""

    def __init__(self, name: str, house: House) -> None:
        self.name = name
        self.house = house
        self.folder = house.settings.root / name
        self.due = threading.Event()
        self.passing = threading.Lock()
        self.whole_in: int = 0
        self.whole_at = 0.0

    def copy_for_ever(self) -> None:
        """Copy what is due, and tell the other site every second up to when its copy is whole."""
        while True:
            self.due.wait(1.0)
            lease = self.house.lease(self.name)
            if lease is None or self.house.role(self.name) is not Role.PRIMARY or self.house.settings.peer is None:
                self.due.clear()
                self.house.note(self.name, "")  # what was refused while the lease was handed over is over
                time.sleep(0.2)
                continue
            try:
                self.copy(lease)
            except (NotSent, OSError, subprocess.SubprocessError) as error:
                self.due.set()
                self.house.note(self.name, str(error))
                time.sleep(1.0)
            else:
                self.house.note(self.name, "")

    def copy(self, lease: Lease, *, whole: bool = False) -> None:
        """Bring the other site's copy up to now, and tell it so.

        Raises:
            NotSent: it could not be brought.
        """
        with self.passing:
            begun = time.time()
            late = time.monotonic() - self.whole_at > self.house.settings.full_pass_s
            whole = whole or late or self.whole_in != lease.epoch
            if whole or self.due.is_set():
                self.due.clear()
                self.send(lease, whole=whole)
                if whole:
                    self.whole_in, self.whole_at = lease.epoch, time.monotonic()
            self.stamp(lease, begun)

    def stamp(self, lease: Lease, through: float) -> None:
        """Tell the other site up to when its copy is whole."""
        self.house.peer.ask(
            "POST", f"/replica/{self.name}/stamp", json.dumps({"through": through}).encode(), epoch=lease.epoch
        )

    def send(self, lease: Lease, *, whole: bool) -> None:
        """Send what the other site lacks."""
        raise NotImplementedError

    def try_to_write(self) -> None:
        """Write and take it back, as a write would be."""
        attempt = self.folder / f".try-{threading.get_ident()}"
        disk.keep(attempt, b"try\n")
        attempt.unlink()

    def ids(self) -> Iterator[str]:
        """Name every marker that a drill left here."""
        folder = self.folder / "drill"
        return iter(sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ())

    def rsync(self, lease: Lease, *options: str) -> None:
        """Make the other site's folder like this one."""
        peer = self.house.settings.peer
        if peer is None:
            raise NotSent("there is no other site")
        argv = ["rsync", "-a", "--fsync", "--timeout=10", "--exclude=.*", *options]
        if lease.epoch >= _KEEP_LOST_FROM_EPOCH and self.whole_in != lease.epoch:
            argv += ["--backup", "--backup-dir=kept"]
        argv += [
            "--rsh",
            f"{sys.executable} -I -S {Path(__file__).with_name('pipe.py')}",
            f"{self.folder}/",
            f"{peer.name}:{self.name}",
        ]
        env = {"STOREKEEPER_WORKLOAD": self.name, "STOREKEEPER_EPOCH": str(lease.epoch), "PATH": "/usr/bin:/bin"}
        ended = subprocess.run(argv, check=False, capture_output=True, text=True, env=env, timeout=300)
        if ended.returncode not in (0, 24):  # 24: a file vanished while it was read
            raise NotSent(f"rsync ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")


class Files(Kept):
    """A folder of files."""

    def send(self, lease: Lease, *, whole: bool) -> None:
        self.rsync(lease, "--delete")


class Repositories(Kept):
    """Bare git repositories; each push is sent on at once."""

    def __init__(self, name: str, house: House) -> None:
        super().__init__(name, house)
        self.changed: set[str] = set()
        self.making = threading.Lock()
        self.made: set[str] = set()

    def make(self, repository: str) -> Path:
        """Return the repository's folder, made if it was not there; it is on disk when this returns.

        Git puts what is pushed on disk, but not what makes a folder a repository: a power cut soon after can leave
        files without content, and locks that nobody holds any more. Both are mended once, before anybody uses them.
        """
        path = self.folder / f"{repository}.git"
        with self.making:
            if repository not in self.made:
                _mend(path)
                if not all((path / name).exists() for name in ("HEAD", "config", "objects", "refs")):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self.git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
                    self.git("-C", str(path), "config", "http.receivepack", "true")
                    self.git("-C", str(path), "config", "core.fsync", "committed,reference")
                    subprocess.run(["/usr/bin/sync", "--file-system", str(path)], check=True, timeout=60)
                self.made.add(repository)
        return path

    def git(self, *words: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
        """Run git and return what it said."""
        ended = subprocess.run(
            ["git", *words],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=120,
            env=_GIT_ENV | (env or {}),
        )
        if ended.returncode != 0:
            raise NotSent(f"git {words[0]} ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
        return ended.stdout

    def refs(self, repository: str) -> dict[str, str]:
        """Return branches and tags."""
        path = self.make(repository)
        lines = self.git(
            "-C", str(path), "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"
        )
        return {ref: found for found, ref in (line.split(" ", 1) for line in lines.splitlines())}

    def send(self, lease: Lease, *, whole: bool) -> None:
        wanted = (
            set(self.house.settings.repositories) if whole else self.changed & set(self.house.settings.repositories)
        )
        self.changed -= wanted
        try:
            for repository in sorted(wanted):
                self._push(repository, lease)
        except BaseException:
            self.changed |= wanted
            raise

    def _push(self, repository: str, lease: Lease) -> None:
        settings = self.house.settings
        peer = settings.peer
        if peer is None:
            raise NotSent("there is no other site")
        refs = self.refs(repository)
        said = self.house.peer.ask(
            "POST", f"/replica/git/{repository}/ready", json.dumps(refs).encode(), epoch=lease.epoch
        )
        if json.loads(said)["refs"] == refs:
            return
        env = {
            "GIT_SSL_CERT": settings.tls["certificate"],
            "GIT_SSL_KEY": settings.tls["key"],
            "GIT_SSL_CAINFO": settings.tls["authorities"],
        }
        url = f"https://{peer.name}:{settings.port}/replica/git/{repository}.git"
        at = f"http.curloptResolve={peer.name}:{settings.port}:{peer.address}"
        header = f"http.extraHeader=X-Epoch: {lease.epoch}"
        words = ["-C", str(self.make(repository)), "-c", at, "-c", header, "push", "--quiet", "--prune", url]
        self.git(*words, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", env=env)

    def ready(self, repository: str, theirs: dict[str, str], epoch: int) -> dict[str, str]:
        """Before a primary's refs come: keep aside what only this copy has; return this copy's refs."""
        path, mine = self.make(repository), self.refs(repository)
        seen = path / "secondsite-epoch"
        if epoch >= _KEEP_LOST_FROM_EPOCH and (not seen.exists() or int(seen.read_text()) < epoch):
            lost = {ref: found for ref, found in mine.items() if theirs.get(ref) != found}
            lines = "".join(
                f"update refs/kept/{epoch}/{ref.removeprefix('refs/')} {found}\n" for ref, found in lost.items()
            )
            self.git("-C", str(path), "update-ref", "--stdin", stdin=lines)
        disk.keep(seen, f"{epoch}\n".encode())
        return mine

    def try_to_write(self) -> None:
        super().try_to_write()
        for repository in self.house.settings.repositories:
            self.make(repository)

    def ids(self) -> Iterator[str]:
        if "drill" not in self.house.settings.repositories:
            return iter(())
        return iter(
            sorted(ref.removeprefix("refs/tags/") for ref in self.refs("drill") if ref.startswith("refs/tags/"))
        )


def _mend(path: Path) -> None:
    """Remove what a power cut left of a repository that no git can use; ``git init`` makes anew what is missing."""
    for left in (*path.glob("*.lock"), *path.glob("refs/**/*.lock")):
        left.unlink()
    for name in ("HEAD", "config"):
        if (path / name).exists() and not (path / name).read_bytes().strip(b"\0 \n"):
            (path / name).unlink()


def folder_for_what_is_lost(root: Path, workload: str, epoch: int) -> str:
    """Return where a returned copy's own files are kept when a primary overwrites them."""
    return os.fspath(root / ".kept" / f"{workload}-{epoch}")
