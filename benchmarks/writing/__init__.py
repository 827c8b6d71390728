"""What the parts of writing training text are worth: the built-in writer's forms, the review of doubtful rows."""
