"""The child process: owns one engine, generates for many conversations at once, speaks frames with the parent."""
