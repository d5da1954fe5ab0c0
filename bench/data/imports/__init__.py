"""Pictures that a user brings, made into the suite's layout: a folder a character, joints from a file or a detector."""

from bench.data.imports.options import Imported, ImportFaults, ImportOptions
from bench.data.imports.run import import_folder

__all__ = ["ImportFaults", "ImportOptions", "Imported", "import_folder"]
