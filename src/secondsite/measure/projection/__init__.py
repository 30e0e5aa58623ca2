"""How long a restart would take with production's data, told from restarts with less of it."""
