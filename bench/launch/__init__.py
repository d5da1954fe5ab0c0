"""Many cells: one after the other, several processes here, a Slurm cluster, or commands to run anywhere.

A launcher is a function over a list of cells. All of them fill the same store, so what they give is the same.
"""

from bench.launch.outcome import Outcome, one_after_the_other
from bench.launch.printed import commands
from bench.launch.processes import local, worker_environments
from bench.launch.recorded import from_records

__all__ = ["Outcome", "commands", "from_records", "local", "one_after_the_other", "worker_environments"]
