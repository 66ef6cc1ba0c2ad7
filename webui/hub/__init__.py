"""What models there are: the user's files, their headers, what fits this machine, and where to get more.

Knows nothing of engines, pages or HTTP routes. Only downloads that a person asked for leave the machine.
"""
