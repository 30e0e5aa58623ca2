"""A drill: scenario, conduct, finding, verdict."""
