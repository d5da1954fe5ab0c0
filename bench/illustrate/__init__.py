"""Fetches what figures show, from the store, from records and from trained models, and has it drawn."""

from bench.illustrate.make import FIGURES, Outcome, chosen, illustrate
from bench.illustrate.studio import Studio

__all__ = ["FIGURES", "Outcome", "Studio", "chosen", "illustrate"]
