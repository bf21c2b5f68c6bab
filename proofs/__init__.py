"""Long proofs: not part of the test suite, run by `./dev proof NAME`."""
