"""From a runbook to a plan: frozen data with a digest. Performs nothing."""
