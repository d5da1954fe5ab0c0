"""`bench transfer`: a user's own character, animated by a trained method."""

from bench.transfer.fit import fit
from bench.transfer.make import Transferred, transfer
from bench.transfer.model import Published, default_model, export_model, read_model
from bench.transfer.motion import read_motion
from bench.transfer.source import read_source, remarks
from bench.transfer.write import write_pictures

__all__ = [
    "Published",
    "Transferred",
    "default_model",
    "export_model",
    "fit",
    "read_model",
    "read_motion",
    "read_source",
    "remarks",
    "transfer",
    "write_pictures",
]
