"""told.py ESTATE STATE: print what provisioning would tell the roles, secrets included."""

import datetime as dt
import json
import sys
from pathlib import Path

from secondsite.estate.load import load_estate
from secondsite.hands import provisioning, secrets
from secondsite.hands.escrow import own_safe
from secondsite.hands.keepers import prepared_authorities
from secondsite.probes.ship import scripts

estate, state = load_estate(Path(sys.argv[1])), Path(sys.argv[2])
safe = own_safe(state / "secrets")
authorities = prepared_authorities(estate, safe, now=dt.datetime.now(tz=dt.UTC))
for site in dict.fromkeys(host.site for host in estate.hosts.values() if host.address is not None):
    for one in authorities.believed(site):  # the hosts may be another lab's than those that were handed it before
        authorities.recall(one)
known = secrets.make(safe.directory, safe=safe)
access = provisioning.Access(scripts=scripts())
told = provisioning.variables_of(estate, state=state, known=known, authorities=authorities, access=access)
json.dump(told, sys.stdout)
