"""Searches the configs of a project for one that breaks its program or a mandatory rule."""

from ringfence.fuzz.search import Failure, Found, FuzzOptions, Searched, Started, Tried, replay, search
from ringfence.fuzz.source import source_for
from ringfence.fuzz.target import FuzzError, FuzzTarget, find_target

__all__ = [
    "Failure",
    "Found",
    "FuzzError",
    "FuzzOptions",
    "FuzzTarget",
    "Searched",
    "Started",
    "Tried",
    "find_target",
    "replay",
    "search",
    "source_for",
]
