"""What all tests need of the process that runs them."""

import signal


def pytest_configure() -> None:
    """A shell has the jobs that it starts in the background ignore SIGINT, and so would all that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
