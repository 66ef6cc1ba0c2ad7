"""Sampler Lab: chat with a model on your own machine and see how every token is chosen."""

__version__ = "0.1.0"
