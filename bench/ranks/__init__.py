"""Several processes that `torchrun` started train one method together; one process needs nothing of this.

group        who the ranks are, and what they agree on
step         one training step shared by all: batches, gradients, losses
noise        random numbers of the whole batch
statistics   batch normalisation by the whole batch
jobs         the first rank runs the command, the others train with it
"""

import os


def launched() -> bool:
    """Whether this process is one of several that `torchrun` started. Imports no torch."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
