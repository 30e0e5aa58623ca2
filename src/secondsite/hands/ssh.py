"""Remote commands over open SSH connections: the one door to fabric and paramiko.

Connections are made once and kept. Host keys are pinned: an unknown or changed key is refused, never learned (fabric's
own default accepts it). Commands are argument lists; quoting happens here and nowhere else. What a host sends back is
cut at a stated size, so a host that answers with a gigabyte costs a bounded amount of memory.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import logging
import select
import shlex
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import fabric
import paramiko

from ..errors import ActionError, ActionTimeout, Effect, Unreachable
from ..run.ports import CommandResult

OUTPUT_LIMIT = 1 << 20
LINE_LIMIT = 1 << 16
_CHUNK = 1 << 15
_CERTIFIED = "ssh-ed25519-cert-v01@openssh.com"

# A connection that breaks is raised where it was used; the library's thread would print it into the view as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """Where one host answers, and which identity it accepts. A certificate beside ``key_file`` is used with it."""

    host: str
    address: str
    user: str
    key_file: Path
    port: int = 22


class SshHands:
    """Hands over SSH. Safe to use from several threads; each host has one connection."""

    def __init__(
        self,
        targets: Mapping[str, SshTarget],
        *,
        known_hosts: Path,
        monotonic: Callable[[], float],
        connect_timeout: dt.timedelta = dt.timedelta(seconds=3),
        handshake_timeout: dt.timedelta = dt.timedelta(seconds=15),
    ) -> None:
        """Connect to nothing yet.

        A host that takes no connection in ``connect_timeout`` is gone. One that did take it has ``handshake_timeout``:
        handshakes with all hosts at once share the processors of this machine, which may have few to spare.
        """
        self._targets = dict(targets)
        self._known_hosts = known_hosts
        self._monotonic = monotonic
        self._connect_timeout = connect_timeout.total_seconds()
        self._handshake_timeout = max(connect_timeout, handshake_timeout).total_seconds()
        self._connections: dict[str, fabric.Connection] = {}
        self._since: dict[str, float] = {}
        self._locks = {host: threading.Lock() for host in targets}
        self._armed: defaultdict[tuple[str, tuple[str, ...]], list[paramiko.Channel]] = defaultdict(list)

    def open(self, hosts: Sequence[str]) -> Mapping[str, str]:
        """Connect to each host in parallel; return the reason for each one that can't be reached."""
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            reasons = pool.map(self._reason_unreachable, hosts)
            return {host: reason for host, reason in zip(hosts, reasons, strict=True) if reason is not None}

    def certificate(self, host: str, *, not_before: float) -> str:
        """Return the certificate that a host shows, as ``certificate_shown`` does.

        A connection that was made at ``not_before`` (an instant of the clock) or later has seen it. Where there is no
        such connection, it is refused, or it is lost just now, somebody else looks who takes every key.

        Raises:
            Unreachable: it does not answer.
        """
        with contextlib.suppress(Unreachable, paramiko.SSHException):
            transport: paramiko.Transport | None = self._connection(host).transport
            if transport is not None and self._since[host] >= not_before:
                return _certificate_of(transport)
        target = self._targets[host]
        return certificate_shown(target.address, port=target.port)

    def close(self) -> None:
        """Close every connection."""
        for host in list(self._connections):
            self._drop(host)

    def run(
        self,
        host: str,
        argv: Sequence[str],
        *,
        timeout: dt.timedelta,
        stdin: str = "",
        accept: Sequence[int] = (0,),
        limit: int = OUTPUT_LIMIT,
    ) -> CommandResult:
        """Run one command and wait for its end. Output past ``limit`` bytes is read and thrown away.

        Raises:
            Unreachable: no connection could be made, so nothing was run.
            ActionTimeout: it was started and gave no answer in time; the effect is unknown.
            ActionError: the exit code is not in ``accept``, or the connection was lost after the start.
        """
        deadline = self._monotonic() + timeout.total_seconds()
        channel = self._feed_armed(host, argv, stdin=stdin) or self._start(host, argv, stdin=stdin)
        try:
            result = self._collect(channel, what=f"{host}: {_name(argv)}", deadline=deadline, limit=limit)
        finally:
            _close(channel)
        if result.exit_code not in accept:
            raise ActionError(
                f"{host}: {_name(argv)} ended with exit code {result.exit_code}: {_last_words(result)}",
                effect=Effect.UNKNOWN,
            )
        return result

    def stream(self, host: str, argv: Sequence[str], *, stdin: str, on_line: Callable[[str], None]) -> SshStream:
        """Start a long command; ``on_line`` gets each line of its output, in a thread of its own.

        Standard input stays open after ``stdin`` was sent: its end is how the command is told to stop.
        """
        channel = self._start(host, argv, stdin=stdin, keep_open=True)
        return SshStream(channel, on_line=on_line, name=f"{host}:{_name(argv)}")

    def arm(self, host: str, argv: Sequence[str]) -> None:
        """Start a command that does nothing before its input ends; the next ``run`` of the same command feeds it.

        Armed twice, it is there for two runs.

        Raises:
            Unreachable: no connection could be made.
            ActionError: the connection was lost while it was started.
        """
        self._armed[host, tuple(argv)].append(self._start(host, argv, keep_open=True))

    def put(self, host: str, text: str, path: str, *, mode: str = "0644", timeout: dt.timedelta) -> None:
        """Write a file on the host, through sudo, whole or not at all."""
        partial = f"{path}.new"
        self.run(host, ["sudo", "-n", "tee", "--", partial], stdin=text, timeout=timeout)
        self.run(host, ["sudo", "-n", "chmod", "--", mode, partial], timeout=timeout)
        self.run(host, ["sudo", "-n", "mv", "--", partial, path], timeout=timeout)

    def _reason_unreachable(self, host: str) -> str | None:
        try:
            self._connection(host)
        except Unreachable as error:
            return error.what
        return None

    def _feed_armed(self, host: str, argv: Sequence[str], *, stdin: str) -> paramiko.Channel | None:
        """Give an armed command its input; None when none waits, so that nothing was given."""
        waiting = self._armed[host, tuple(argv)]
        while waiting:
            channel = waiting.pop()
            if not _ended(channel):
                _send(channel, stdin, what=f"{host}: lost while feeding {_name(argv)}")
                return channel
            _close(channel)
        return None

    def _start(self, host: str, argv: Sequence[str], *, stdin: str = "", keep_open: bool = False) -> paramiko.Channel:
        channel = self._session(host)
        what = f"{host}: lost while starting {_name(argv)}"
        try:
            channel.exec_command(shlex.join(argv))
        except (paramiko.SSHException, OSError, EOFError) as error:
            _close(channel)
            raise ActionError(f"{what}: {error}", effect=Effect.UNKNOWN) from error
        _send(channel, stdin, what=what, keep_open=keep_open)
        return channel

    def _session(self, host: str) -> paramiko.Channel:
        """Open a session on the kept connection; when that one is dead, on a new one. Nothing has been run yet."""
        for last_try in (False, True):
            connection = self._connection(host)
            transport: paramiko.Transport = connection.transport
            try:
                return transport.open_session(timeout=self._connect_timeout)
            except (paramiko.SSHException, OSError, EOFError) as error:
                self._drop(host)
                if last_try:
                    raise Unreachable(f"{host}: no session: {error}", not_done="the command was not run") from error
        raise AssertionError("unreachable")

    def _connection(self, host: str) -> fabric.Connection:
        target = self._targets.get(host)
        if target is None:
            raise Unreachable(f"{host}: no such host in this estate", not_done="nothing was run")
        with self._locks[host]:
            known = self._connections.get(host)
            if known is not None and known.is_connected:
                return known
            since = self._monotonic()
            connection = self._connect(target)
            self._connections[host], self._since[host] = connection, since
            return connection

    def _connect(self, target: SshTarget) -> fabric.Connection:
        try:
            wire = socket.create_connection((target.address, target.port), timeout=self._connect_timeout)
        except OSError as error:
            raise _unreachable(target, error) from error
        connection = fabric.Connection(
            host=target.address,
            user=target.user,
            port=target.port,
            config=fabric.Config(overrides={"load_ssh_configs": False}),
            connect_timeout=self._handshake_timeout,
            connect_kwargs={
                "sock": wire,
                "transport_factory": _SeesCertificates,
                "key_filename": str(target.key_file),
                "allow_agent": False,
                "look_for_keys": False,
                "banner_timeout": self._handshake_timeout,
                "auth_timeout": self._handshake_timeout,
            },
        )
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            connection.client.load_host_keys(str(self._known_hosts))
            connection.open()
        except (paramiko.SSHException, OSError, EOFError) as error:
            connection.close()
            wire.close()
            raise _unreachable(target, error) from error
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _drop(self, host: str) -> None:
        connection = self._connections.pop(host, None)
        if connection is not None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # it is dead already: nothing to save
                connection.close()

    def _collect(self, channel: paramiko.Channel, *, what: str, deadline: float, limit: int) -> CommandResult:
        out, err = _Bounded(limit), _Bounded(limit)
        while not _drained(channel):
            left = deadline - self._monotonic()
            if left <= 0:
                raise ActionTimeout(f"{what} gave no answer in time")
            select.select([channel], [], [], left)
            _take(channel, out, err)
        if not channel.status_event.wait(max(0.0, deadline - self._monotonic())):
            raise ActionTimeout(f"{what} closed its output and did not end in time")
        if channel.exit_status < 0:
            raise ActionError(f"{what} was running when its connection was lost", effect=Effect.UNKNOWN)
        return CommandResult(
            exit_code=channel.exit_status,
            stdout=out.text(),
            stderr=err.text(),
            truncated=out.truncated or err.truncated,
        )


class SshStream:
    """A remote command that is still running."""

    def __init__(self, channel: paramiko.Channel, *, on_line: Callable[[str], None], name: str) -> None:
        """Begin to hand over lines."""
        self._channel = channel
        self._on_line = on_line
        self._thread = threading.Thread(target=self._read, name=f"stream {name}", daemon=True)
        self._thread.start()

    def stop(self, *, grace: dt.timedelta = dt.timedelta(seconds=5)) -> None:
        """End its input, wait for its last line, and close."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # the host may be gone: then so is it
            self._channel.shutdown_write()
        self._thread.join(grace.total_seconds())
        _close(self._channel)
        self._thread.join(1)

    def alive(self) -> bool:
        """Say whether lines may still come."""
        return self._thread.is_alive()

    def _read(self) -> None:
        with contextlib.suppress(OSError, EOFError):  # the connection broke: alive() says so
            for line in self._lines():
                self._on_line(line)

    def _lines(self) -> Iterator[str]:
        rest = b""
        while chunk := self._channel.recv(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line[:LINE_LIMIT].decode(errors="replace")
            rest = rest[:LINE_LIMIT]
        if rest:
            yield rest.decode(errors="replace")


def _unreachable(target: SshTarget, error: Exception) -> Unreachable:
    return Unreachable(
        f"{target.host} ({target.address}:{target.port}): {str(error) or type(error).__name__}",
        not_done="nothing was run there",
    )


class _SeesCertificates(paramiko.Transport):
    """Has a host show its certificate where it has one. What is certified must be the pinned key all the same."""

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Return the kinds of host keys to be shown, in order."""
        return (_CERTIFIED, *(kind for kind in super().preferred_keys if kind != _CERTIFIED))


def _certificate_of(transport: paramiko.Transport) -> str:
    blob = transport.get_remote_server_key().public_blob
    return f"{_CERTIFIED} {base64.b64encode(blob.key_blob).decode('ascii')}" if blob is not None else ""


def certificate_shown(address: str, *, port: int = 22, within: dt.timedelta = dt.timedelta(seconds=5)) -> str:
    """Return the host certificate that a server shows to whoever connects, as a public line; "" if it has none.

    It has proven by signing that the certified key is its own. Nobody logs in.

    Raises:
        Unreachable: it did not answer SSH.
    """
    seconds = within.total_seconds()
    try:
        with socket.create_connection((address, port), timeout=seconds) as wire:
            transport = paramiko.Transport(wire)
            transport.banner_timeout = seconds
            options = transport.get_security_options()
            options.key_types, options.kex = (_CERTIFIED,), ("curve25519-sha256@libssh.org", *options.kex)
            try:
                transport.start_client(timeout=seconds)
                return _certificate_of(transport)
            except paramiko.ssh_exception.IncompatiblePeer:
                return ""
            finally:
                transport.close()
    except (paramiko.SSHException, OSError, EOFError) as error:
        why = str(error) or type(error).__name__
        raise Unreachable(f"{address}:{port}: {why}", not_done="its certificate was not seen") from error


class _Bounded:
    """Bytes up to a limit; the rest is read and thrown away."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts = bytearray()
        self.truncated = False

    def add(self, chunk: bytes) -> None:
        room = self._limit - len(self._parts)
        self._parts += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room

    def text(self) -> str:
        return self._parts.decode(errors="replace")


def _send(channel: paramiko.Channel, stdin: str, *, what: str, keep_open: bool = False) -> None:
    try:
        if stdin:
            channel.sendall(stdin.encode())
        if not keep_open:
            channel.shutdown_write()
    except (paramiko.SSHException, OSError, EOFError) as error:
        _close(channel)
        raise ActionError(f"{what}: {error}", effect=Effect.UNKNOWN) from error


def _close(channel: paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # its connection is dead: so is the channel
        channel.close()


def _ended(channel: paramiko.Channel) -> bool:
    """Say whether a command that should still wait for its input has ended, or its connection has."""
    return bool(channel.closed or channel.eof_received or channel.exit_status_ready())


def _take(channel: paramiko.Channel, out: _Bounded, err: _Bounded) -> None:
    while channel.recv_ready():
        out.add(channel.recv(_CHUNK))
    while channel.recv_stderr_ready():
        err.add(channel.recv_stderr(_CHUNK))


def _drained(channel: paramiko.Channel) -> bool:
    ended = channel.eof_received or channel.closed
    return bool(ended and not channel.recv_ready() and not channel.recv_stderr_ready())


def _name(argv: Sequence[str]) -> str:
    """Return what a command is called, past ``sudo`` and its options."""
    words = iter(argv)
    for word in words:
        if word == "-u":
            next(words, None)
        elif word != "sudo" and not word.startswith("-"):
            return word
    return argv[0]


def _last_words(result: CommandResult) -> str:
    words = (result.stderr or result.stdout).strip()
    return words[-300:] or "it said nothing"
