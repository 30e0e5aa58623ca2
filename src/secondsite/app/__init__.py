"""The composition root: the one room that names concrete adapters."""

from .bench import PROJECT, RUNBOOKS, Bench, crew, estate, open_bench, run_store

__all__ = ["PROJECT", "RUNBOOKS", "Bench", "crew", "estate", "open_bench", "run_store"]
