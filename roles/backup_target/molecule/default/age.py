"""age.py STANZA DAYS...: as the keeper, have the oldest full backups of a stanza end so many days ago, the first of them first.

pgBackRest knows by its list of backups how old one is, and by a digest whether anybody changed that list.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

DAY_S = 86400
WORDS = ["pgbackrest", "--log-level-console=error"]


def read(text: str) -> dict[str, dict[str, str]]:
    """Return the values of a list of backups by section and key, as they stand there."""
    sections: dict[str, dict[str, str]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line:
            key, _, value = line.partition("=")
            sections.setdefault(section, {})[key] = value
    return sections


def digest(sections: dict[str, dict[str, str]]) -> str:
    """Return what pgBackRest knows a list by."""
    parts = [
        f'"{name}":{{{",".join(f"{json.dumps(key)}:{value}" for key, value in inside.items())}}}'
        for name, inside in sections.items()
    ]
    return f'"{hashlib.sha1(("{" + ",".join(parts) + "}").encode()).hexdigest()}"'  # noqa: S324  pgBackRest's choice


def main(stanza: str, days: list[int]) -> None:
    """Write the list anew, and its copy."""
    for name in ("backup.info", "backup.info.copy"):
        where = f"backup/{stanza}/{name}"
        sections = read(subprocess.run([*WORDS, "repo-get", where], check=True, capture_output=True, text=True).stdout)
        said = sections["backrest"].pop("backrest-checksum")
        if said != digest(sections):
            sys.exit(f"{where} is known by {said}, and not by {digest(sections)}")
        backups = sections["backup:current"]
        full = [label for label in sorted(backups) if label.endswith("F")]
        for label, age in zip(full, days, strict=False):
            told = json.loads(backups[label])
            for moment in ("start", "stop"):
                told[f"backup-timestamp-{moment}"] -= age * DAY_S
            backups[label] = json.dumps(told, separators=(",", ":"), sort_keys=True)
        lines = [
            f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in one.items()) for name, one in sections.items()
        ]
        lines.append(f"[backrest]\nbackrest-checksum={digest(sections)}\n")
        subprocess.run([*WORDS, "repo-put", where], input="\n".join(lines), check=True, text=True)


if __name__ == "__main__":
    main(sys.argv[1], [int(word) for word in sys.argv[2:]])
