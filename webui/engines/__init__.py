"""One file an engine behind one small protocol (base.py). Only the worker process imports them."""
