"""`python -m bench` is `bench`; `torchrun --nproc-per-node N -m bench` trains on N GPUs."""

from bench.cli import main

main()
