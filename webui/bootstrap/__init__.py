"""Sets the program up on a fresh machine and starts it. Standard library only: nothing else is installed yet.

Knows pip, compilers and the checks of `start.sh test`; nothing of the program itself.
"""
