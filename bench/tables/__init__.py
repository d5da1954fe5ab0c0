"""The paper's tables of scores, and what they say of its claims, as pure functions of records."""

from bench.render_table import Table
from bench.tables.budget import budget
from bench.tables.claims import claims
from bench.tables.compare import paired_tie
from bench.tables.joints import joints
from bench.tables.table1 import table1
from bench.tables.table2 import table2
from bench.tables.table4 import table4

__all__ = ["Table", "budget", "claims", "joints", "paired_tie", "table1", "table2", "table4"]
