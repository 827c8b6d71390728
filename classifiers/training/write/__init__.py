"""Where training sentences come from: the built-in writer, a teacher, a file."""
