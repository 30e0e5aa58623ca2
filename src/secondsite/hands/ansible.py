"""The desired state of hosts by Ansible roles: the one door to ansible-runner.

ansible-runner hands its whole environment to its child and writes it to disk: here the environment is replaced before
anything is started, and that file is removed. Secrets go through a file in memory, so they are in no argument or
environment, and on no disk. Inventory values are nouns that were checked, and nothing in them can be a template. What
hosts answer is cut, and stripped of what a terminal would obey.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ansible_runner

from ..errors import ActionError, ActionTimeout, ConfigError, Effect, Problem, UsageError
from ..estate.model import Host
from .keys import USER, Trust
from .processes import end_marked, plain, scrubbed_environment

FORKS = 16
_MEMORY_LIMIT = 3 << 30
_FAILURES_KEPT = 50
_SAFE_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_TEMPLATE = re.compile(r"\{[{%#]|[\x00-\x08\x0b-\x1f\x7f]")
_TIMED_OUT = 254
_IN_MEMORY = (Path("/dev/shm"), Path("/run"))  # noqa: S108  nothing is there by a name that others can know
_MITOGEN = "secondsite_linear"  # Mitogen's own, set right for two processors
_PYTHON = "/usr/bin/python3"
# Mitogen keeps one interpreter per host and user: started as root at once, it needs one instead of two
_PYTHON_AS_ROOT = f"sudo -n {_PYTHON}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTask:
    """One task that failed on one host, in its own words (cut, and plain)."""

    host: str
    task: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTasks:
    """How many tasks came to what on one host."""

    ok: int
    changed: int
    failed: int
    unreachable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """What one Ansible run came to. ``changed_tasks`` counts hosts by task name."""

    hosts: Mapping[str, HostTasks]
    failures: tuple[FailedTask, ...]
    changed_tasks: Mapping[str, int]
    strategy: str

    @property
    def tasks(self) -> int:
        """How many tasks were carried out, over all hosts."""
        return sum(host.ok + host.failed for host in self.hosts.values())

    @property
    def changed(self) -> int:
        """How many of them changed something."""
        return sum(host.changed for host in self.hosts.values())

    @property
    def unreachable(self) -> tuple[str, ...]:
        """The hosts that did not answer."""
        return tuple(sorted(name for name, host in self.hosts.items() if host.unreachable))

    def sentence(self) -> str:
        """Say it in one line; that there is nothing to change only when every host was asked and nothing failed."""
        failed = sum(host.failed for host in self.hosts.values())
        whole = self.tasks > 0 and not failed and not self.unreachable
        begin = "nothing to change: " if whole and not self.changed else ""
        did = f"{self.changed} of {self.tasks} tasks changed something on {len(self.hosts)} hosts"
        without = f"; no answer from {', '.join(self.unreachable)}" if self.unreachable else ""
        return begin + did + (f"; {failed} failed" if failed else "") + without


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What to run: a playbook beside its roles, or some of it, on some hosts."""

    playbook: Path
    hosts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    only_look: bool = False

    def __post_init__(self) -> None:
        """Refuse words that Ansible would read as options, patterns or templates."""
        for word in (*self.hosts, *self.tags):
            _require_safe(word, what="a host to limit to, or a tag")


class AnsibleDoor:
    """Runs playbooks against the hosts of one estate."""

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        trust: Trust,
        variables: Callable[[], Mapping[str, object]],
        use_mitogen: bool = True,
    ) -> None:
        """Start nothing. ``variables`` yields the extra variables, secrets included, when a run needs them."""
        self._hosts = tuple(hosts)
        self._trust = trust
        self._variables = variables
        self._uses_mitogen = use_mitogen and has_mitogen()
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the run that is under way, and refuse later ones."""
        self._cancelled.set()

    def converge(self, play: Play, *, directory: Path, timeout: dt.timedelta) -> Converged:
        """Bring hosts to the state the roles describe. ``directory`` is this run's own and is made.

        Raises:
            UsageError: this machine can not hand over secrets without a disk; nothing was run.
            ActionTimeout: it did not end in time, or was cancelled; the effect is unknown.
            ActionError: Ansible itself could not work (a broken playbook or inventory).
        """
        end_marked(*self._trust.mark)  # a controller that was killed may have left its run going
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        collected = _Collected()
        text = json.dumps(require_inert(self._variables()))
        with (
            _private(directory, mark=self._trust.mark[1]) as temporary,
            in_memory(text, mark=self._trust.mark[1]) as told,
        ):
            config = self._config(play, directory, temporary, told, timeout)
            runner = ansible_runner.Runner(
                config, event_handler=collected.take, cancel_callback=self._cancelled.is_set, remove_partials=True
            )
            try:
                runner.run()
            finally:
                end_marked(*self._trust.mark)
        said = _keep_what_may_be_kept(Path(config.artifact_dir), directory)
        if runner.rc == _TIMED_OUT:
            raise ActionTimeout("ansible did not end in time, or was cancelled", next_step="provision again")
        if not collected.hosts:
            effect = Effect.UNKNOWN if collected.begun else Effect.NONE
            raise ActionError(f"ansible could not work: {plain(said[-1500:])}", effect=effect)
        return collected.result(strategy=_MITOGEN if self._uses_mitogen else "linear")

    def _config(
        self, play: Play, directory: Path, temporary: Path, told: Path, timeout: dt.timedelta
    ) -> ansible_runner.RunnerConfig:
        (directory / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")  # else it looks for one elsewhere
        inventory = directory / "inventory.json"
        hosts = inventory_of(self._hosts, python=_PYTHON_AS_ROOT if self._uses_mitogen else _PYTHON)
        inventory.write_text(json.dumps(hosts, indent=1), encoding="utf-8")
        config = ansible_runner.RunnerConfig(
            private_data_dir=str(directory), playbook=str(play.playbook), quiet=True, timeout=timeout.total_seconds()
        )
        config.prepare()
        config.cwd = str(play.playbook.parent)
        config.env = self._environment(play, directory, temporary, artifacts=config.artifact_dir)
        config.command = _command(play, inventory=inventory, told=told)
        config.suppress_ansible_output = True
        return config

    def _environment(self, play: Play, directory: Path, temporary: Path, *, artifacts: str) -> dict[str, str]:
        """Return all that ansible-playbook sees; nothing of the controller's own environment is among it."""
        strategy = {"ANSIBLE_BECOME": "True", "ANSIBLE_TIMEOUT": "10"}
        if self._uses_mitogen:
            # the time-out covers ssh, sudo and Python's start; a dead host is found sooner, by ssh_config's
            strategy = {
                "ANSIBLE_STRATEGY": _MITOGEN,
                "ANSIBLE_STRATEGY_PLUGINS": str(Path(__file__).parent / "ansible_strategies"),
                "ANSIBLE_TIMEOUT": "60",
            }
        binaries = Path(sys.executable).parent
        base, (mark, marked) = scrubbed_environment(), self._trust.mark
        return {
            **base,
            **strategy,
            "PATH": f"{binaries}:{base['PATH']}",
            "HOME": str(directory),
            mark: marked,
            "AWX_ISOLATED_DATA_DIR": artifacts,
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(ansible_runner.__file__).parent / "display_callback" / "callback"),
            "ANSIBLE_STDOUT_CALLBACK": "awx_display",
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(temporary),
            "ANSIBLE_LOCAL_TEMP": str(temporary),
            "ANSIBLE_ROLES_PATH": str(play.playbook.parent),
            "ANSIBLE_LIBRARY": str(play.playbook.parent / "library"),
            "ANSIBLE_FORKS": str(FORKS),
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_SSH_ARGS": f"-F {_argument(self._trust.ssh_config)} -o ControlMaster=auto -o ControlPersist=30s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(temporary / "cp"),
            "ANSIBLE_SSH_CONTROL_PATH": "%(directory)s/%%C",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_DEPRECATION_WARNINGS": "False",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INJECT_FACT_VARS": "False",
            "ANSIBLE_INVENTORY_ENABLED": "yaml",
            "RUNNER_OMIT_EVENTS": "False",
            "RUNNER_ONLY_FAILED_EVENTS": "False",
        }


def has_mitogen() -> bool:
    """Say whether Mitogen is installed here."""
    return importlib.util.find_spec("ansible_mitogen") is not None


def inventory_of(hosts: Sequence[Host], *, python: str) -> Mapping[str, object]:
    """Return the inventory Ansible gets: every value is an address, or a word that was checked.

    Raises:
        ConfigError: a name could be read as an option, a pattern or a template.
    """
    groups: dict[str, dict[str, object]] = {}
    for host in hosts:
        for word in (host.name, host.site, *host.groups):
            _require_safe(word, what="a name in the inventory")
        for group in host.groups:
            groups.setdefault(group, {})[host.name] = {}
    every = {str(host.name): _host_variables(host, python=python) for host in hosts}
    children = {group: {"hosts": members} for group, members in groups.items()}
    return {"all": {"hosts": every, "children": children}}


def require_inert(value: object, *, at: str = "") -> object:
    """Return plain JSON none of whose texts Ansible would evaluate as a template.

    Raises:
        ConfigError: a text holds a template's or a control character's beginning.
    """
    if isinstance(value, Mapping):
        return {
            str(require_inert(str(name), at=at)): require_inert(inner, at=f"{at}/{name}")
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [require_inert(inner, at=at) for inner in value]
    if isinstance(value, str) and _TEMPLATE.search(value):
        problem = Problem(file="variables", line=None, pointer=at, what="holds a template or a control character")
        raise ConfigError([problem])
    return value


def _host_variables(host: Host, *, python: str) -> Mapping[str, str]:
    # nothing is set for all: the controller itself ("localhost") would get it too
    variables = {
        "ansible_host": str(host.management),
        "ansible_user": USER,
        "ansible_python_interpreter": python,
        "management": str(host.management),
        "site": str(host.site),
    }
    return variables if host.address is None else {**variables, "address": str(host.address)}


def _require_safe(word: str, *, what: str) -> None:
    if not _SAFE_WORD.match(word):
        raise ConfigError([Problem(file="inventory", line=None, pointer=f"/{word!r}", what=f"{what} {_SAFE_RULE}")])


_SAFE_RULE = "is 1 to 63 of a-z, 0-9, - and _, and begins with a letter or digit"


def _command(play: Play, *, inventory: Path, told: Path) -> list[str]:
    command = ["prlimit", f"--as={_MEMORY_LIMIT}", "--", str(Path(sys.executable).parent / "ansible-playbook")]
    command += ["-i", str(inventory), "-e", f"@{told}", "--forks", str(FORKS)]
    command += ["--limit", ",".join(play.hosts)] if play.hosts else []
    command += ["--tags", ",".join(play.tags)] if play.tags else []
    command += ["--check"] if play.only_look else []
    return [*command, "--", str(play.playbook)]


def _argument(path: Path) -> str:
    """Quote for ansible's own splitting of ssh arguments."""
    return f"'{path}'" if "'" not in str(path) else f'"{path}"'


@dataclass(slots=True)
class _Collected:
    """What the events of one run add up to."""

    hosts: dict[str, HostTasks] = field(default_factory=dict)
    failures: list[FailedTask] = field(default_factory=list)
    changed: Counter[str] = field(default_factory=Counter)
    begun: bool = False

    def take(self, event: Mapping[str, object]) -> bool:
        """Note one event. Returns True, else ansible-runner forgets the statistics."""
        about = event.get("event_data")
        self.begun = self.begun or event.get("event") == "runner_on_start"
        if isinstance(about, Mapping):
            match event.get("event"):
                case "runner_on_failed" if not about.get("ignore_errors"):
                    self._note_failure(about)
                case "runner_on_ok" if _result(about).get("changed") is True:
                    self.changed[plain(str(about.get("task", "")), limit=120)] += 1
                case "playbook_on_stats":
                    self._note_statistics(about)
                case _:
                    pass
        return True

    def result(self, *, strategy: str) -> Converged:
        return Converged(
            hosts=self.hosts, failures=tuple(self.failures), changed_tasks=dict(self.changed), strategy=strategy
        )

    def _note_failure(self, about: Mapping[str, object]) -> None:
        if len(self.failures) < _FAILURES_KEPT:
            self.failures.append(
                FailedTask(
                    host=plain(str(about.get("host", "")), limit=64),
                    task=plain(str(about.get("task", "")), limit=120),
                    said=_said(_result(about)),
                )
            )

    def _note_statistics(self, about: Mapping[str, object]) -> None:
        counts = {kind: _counts(about.get(kind)) for kind in ("processed", "ok", "changed", "failures", "dark")}
        for name in sorted({host for kind in counts.values() for host in kind}):
            self.hosts[name] = HostTasks(
                ok=counts["ok"].get(name, 0),
                changed=counts["changed"].get(name, 0),
                failed=counts["failures"].get(name, 0),
                unreachable=counts["dark"].get(name, 0) > 0,
            )


def _result(about: Mapping[str, object]) -> Mapping[str, object]:
    result = about.get("res")
    return result if isinstance(result, Mapping) else {}


def _counts(entry: object) -> Mapping[str, int]:
    return {str(host): int(count) for host, count in entry.items()} if isinstance(entry, Mapping) else {}


def _said(result: Mapping[str, object]) -> str:
    words = [str(result[key])[:2000] for key in ("msg", "stderr", "stdout") if result.get(key)]
    return plain("; ".join(words) or "it said nothing, or too much to keep", limit=600)


@contextlib.contextmanager
def _private(directory: Path, *, mark: str) -> Iterator[Path]:
    """Yield a directory of our own with a short path (a socket's path may have 107 bytes), and clear it away.

    Its name is the estate's, so that the next run clears what a killed one left.
    """
    parent = Path("/run") if os.access("/run", os.W_OK) else directory
    private = parent / f"ss-{_short(mark)}"
    shutil.rmtree(private, ignore_errors=True)
    private.mkdir(mode=0o700)
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


@contextlib.contextmanager
def in_memory(text: str, *, mark: str) -> Iterator[Path]:
    """Yield a file that only this user reads, as often and as slowly as it likes, and that lies on no disk.

    A pipe would do for who reads it once and at once. A file of /proc would not: Ansible asks for a path's real name.
    What a killed run of the same mark left is removed first.

    Raises:
        UsageError: this machine has no file system in memory.
    """
    folder = next((place for place in _IN_MEMORY if _is_in_memory(place) and os.access(place, os.W_OK)), None)
    if folder is None:
        places = " or ".join(map(str, _IN_MEMORY))
        raise UsageError(
            "secrets are handed to Ansible in memory, and this machine has no file system there",
            not_done="no role was run",
            next_step=f"mount a tmpfs at {places}",
        )
    prefix = f"ss-{_short(mark)}-"
    for left in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # somebody else's, by chance or on purpose: ours has another name
            left.unlink()
    handle, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _is_in_memory(place: Path) -> bool:
    """Say whether what is written there goes to no disk, as the kernel's list of mounts tells."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    kinds = [words[2] for line in lines if len(words := line.split()) > 2 and words[1] == str(place)]  # noqa: PLR2004
    return bool(kinds) and kinds[-1] in {"tmpfs", "ramfs"}


def _short(mark: str) -> str:
    return hashlib.sha256(mark.encode()).hexdigest()[:10]


def _keep_what_may_be_kept(artifacts: Path, directory: Path) -> str:
    """Keep the run's cut and plain output; remove the rest: it holds the environment and whatever hosts answered."""
    said = ""
    try:
        with (artifacts / "stdout").open(encoding="utf-8", errors="replace") as output:
            said = plain(output.read(1 << 20), limit=1 << 18)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    (directory / "ansible.txt").write_text(said, encoding="utf-8")
    shutil.rmtree(artifacts.parent, ignore_errors=True)
    return said
