"""The hosts of one pyinfra run, read from the JSON document the adapter wrote beside the run."""

import json
from pathlib import Path

hosts = [
    (entry["name"], {**entry["connection"], **entry["data"]})
    for entry in json.loads(Path("hosts.json").read_text(encoding="utf-8"))
]
