"""`python -m webui`: the program itself."""

from webui.cli import end, main

if __name__ == "__main__":
    end(main())
