"""Experiments on distributions: pure functions over the sampler chain. Knows nothing of pages, models or files."""
