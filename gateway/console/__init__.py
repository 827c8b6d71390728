"""Pages for people: a process of its own that reads what commands read."""
