"""Everything that may go wrong around the engine, done to the real program: `python -m tests.faults`."""
