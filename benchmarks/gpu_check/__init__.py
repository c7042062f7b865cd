"""The sections of `python -m benchmarks.gpu`; each runs in a process of its own."""
