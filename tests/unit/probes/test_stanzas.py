"""Which stanzas a producer has, by the very configuration that its role lays down."""

from __future__ import annotations

import configparser
from pathlib import Path

import jinja2

from secondsite.probes.remote.collectors.backups import stanzas

ROLE = Path(__file__).resolve().parents[3] / "roles" / "backup_producer"


def test_what_is_for_every_restore_is_no_stanza() -> None:
    text = (ROLE / "templates" / "pgbackrest.conf.j2").read_text(encoding="utf-8")
    clusters = {name: {"path": "/srv", "port": 5432} for name in ("billing", "control")}
    told = {
        "backup_producer_repositories": ["vault"],
        "backup_producer_numbers": {"vault": 1},
        "backup_producer_stanzas": clusters,
        "backup_producer_restore_processes": 4,
        "backup_producer_tls": {},
    }
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(jinja2.Template(text).render(told))
    assert "global:restore" in parser.sections()
    assert stanzas(parser) == ["billing", "control"]
