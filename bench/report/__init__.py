"""A static HTML report of what has been run: opens from disk, asks no network for anything."""

from bench.report.make import make_report

__all__ = ["make_report"]
