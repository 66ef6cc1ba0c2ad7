"""The samplers, one file each. A module here that defines SAMPLER is found by the registry."""
