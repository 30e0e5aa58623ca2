"""The root command, and the boundary at which errors become sentences and exit codes."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from types import FrameType

import rich_click as click

from .. import errors
from .terminal import emit_json, say

# command -> (module of this package, what `secondsite --help` says); the attribute has the command's name
COMMANDS = {
    "drill": ("drill", "Run drills, and show what earlier ones measured."),
    "plan": ("plan", "Print what a runbook would do. Performs nothing."),
    "sign": ("sign", "Answer for a version of a runbook, with a signature."),
    "run": ("runs", "Run a runbook."),
    "runs": ("runs", "List, show, resume and abort runs, and stop everything."),
    "takeover": ("takeover", "Go on where another controller was lost with its site."),
    "recover": ("takeover", "Lay out what the vault kept of a controller that is gone."),
    "escrow": ("escrow", "Seal escrow to its holders, and see that two of them open it."),
    "approve": ("runs", "Give consent to a step that waits for it."),
    "check": ("check", "Check that both datacenters are alike and ready."),
    "doctor": ("doctor", "Name what is missing here and on the hosts, and how to mend it."),
    "init": ("init", "Write a commented estate of your own hosts."),
    "identity": ("init", "Make the key that opens an estate's sealed secrets."),
    "sabotage": ("sabotage", "Plant faults in a healthy lab, and see that the checks notice."),
    "report": ("report", "Render the report of a run."),
    "evidence": ("evidence", "Verify records and recompute their numbers, offline; assess them."),
    "lab": ("lab", "Start, stop and break the lab: two datacenters on this machine."),
    "schema": ("estate", "Print the JSON schema of a document."),
}
SIGNALLED = 128
BROKEN_PIPE = SIGNALLED + signal.SIGPIPE
HUNG_UP = SIGNALLED + signal.SIGHUP


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived, or SIGHUP because the terminal is gone: clean up as for Ctrl-C."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        """Remember which of them."""
        super().__init__()
        self.number = number


class _Listed(click.RichCommand):
    """A command as the list of commands shows it, before its module is imported."""


class LazyGroup(click.RichGroup):
    """Imports a command's module only when that command is used, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Name the commands whose modules exist."""
        return [name for name, (module, _) in COMMANDS.items() if _exists(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return what the list of commands needs to know."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return _Listed(name=cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that is about to be used."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        return name, load_command(name), rest


def _exists(module: str) -> bool:
    return importlib.util.find_spec(f"secondsite.cli.{module}") is not None


def load_command(name: str) -> click.Command:
    """Import the module of a command and return the command."""
    module = importlib.import_module(f"secondsite.cli.{COMMANDS[name][0]}")
    command = getattr(module, name)
    if not isinstance(command, click.Command):
        raise TypeError(f"secondsite.cli.{COMMANDS[name][0]}.{name} is not a command")
    return command


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SECONDSITE",
        "max_content_width": 100,
    },
)
@click.version_option("0.1.0", prog_name="secondsite")
def cli() -> None:
    """Disaster-recovery runbooks you can prove.

    Two commands to begin with (as root): `drill run site-loss` runs a drill on two datacenters in a lab on
    this machine and prints a verdict; `plan failover --from dc1 --to dc2` prints what a failover would do.

    Options can also be given as SECONDSITE_... variables. Exit codes: docs/reference/contracts.md.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; whatever happens, the terminal gets sentences and no traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    had_terminal = sys.stdout.isatty()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) means that it goes on without a terminal
        signal.signal(signal.SIGHUP, _terminate)
    try:
        outcome = cli.main(args=words, prog_name="secondsite", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except BaseException as error:  # noqa: BLE001  the boundary: nothing may pass it as a traceback
        if had_terminal and isinstance(error, OSError) and error.errno == errno.EIO:
            return HUNG_UP  # the terminal that data was written to is gone
        return _report(error, as_json="--json" in words)
    return outcome if isinstance(outcome, int) else 0


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise Terminated(number)


def _report(error: BaseException, *, as_json: bool) -> int:
    match error:
        case errors.SecondsiteError():
            ours, code = error, error.exit_code
        case click.ClickException():
            ours, code = _wrong_words(error), errors.UsageError.exit_code
        case KeyboardInterrupt() | click.Abort() if number := _terminated_by(error):
            ours, code = _stopped("terminated" if number == signal.SIGTERM else "hung up"), SIGNALLED + number
        case KeyboardInterrupt() | click.Abort():
            ours, code = _stopped("interrupted"), SIGNALLED + signal.SIGINT
        case SystemExit(code=int(given)):
            return given
        case _:
            ours, code = _our_bug(error), 1
    _show(ours, code=code, as_json=as_json)
    return code


def _terminated_by(error: BaseException | None) -> int:
    """Return which signal is behind it, or 0; click turns the exception we raised into its own."""
    while error is not None:
        if isinstance(error, Terminated):
            return error.number
        error = error.__cause__ or error.__context__
    return 0


def _wrong_words(error: click.ClickException) -> errors.UsageError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "secondsite"
    return errors.UsageError(
        error.format_message(), not_done="nothing was attempted", next_step=f"{command} --help shows what it takes"
    )


def _stopped(how: str) -> errors.SecondsiteError:
    return errors.SecondsiteError(
        how, not_done="what had not begun", next_step="secondsite runs list shows what can be resumed"
    )


def _our_bug(error: BaseException) -> errors.SecondsiteError:
    with tempfile.NamedTemporaryFile("w", prefix="secondsite-bug-", suffix=".txt", delete=False) as log:
        traceback.print_exception(error, file=log)
    return errors.SecondsiteError(
        f"a bug in secondsite: {type(error).__name__}",
        not_done="how far the command came is not known; secondsite runs list shows what was recorded",
        next_step=f"report it together with {log.name}",
    )


def _show(error: errors.SecondsiteError, *, code: int, as_json: bool) -> None:
    if as_json:
        emit_json({"error": as_document(error), "exit_code": code})
    say(f"error: {error.what}", style="bold red")
    if error.not_done:
        say(f"not done: {error.not_done}")
    if error.next_step:
        say(f"next: {error.next_step}")


def as_document(error: errors.SecondsiteError) -> dict[str, object]:
    """Return an error as plain JSON values; every problem of a wrong input file stands apart."""
    document: dict[str, object] = {
        "kind": type(error).__name__,
        "what": error.what,
        "not_done": error.not_done,
        "next": error.next_step,
    }
    if isinstance(error, errors.ConfigError):
        document["problems"] = [
            {"file": p.file, "line": p.line, "pointer": p.pointer, "what": p.what, "hint": p.hint}
            for p in error.problems
        ]
    return document
