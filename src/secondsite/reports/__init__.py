"""Reports for people and tools: HTML, Markdown and JUnit XML of a drill."""

from __future__ import annotations

from .junit import render_junit
from .page import REPORTED, Seal, assess_command, render_html, render_markdown

__all__ = ["REPORTED", "Seal", "assess_command", "render_html", "render_junit", "render_markdown"]
