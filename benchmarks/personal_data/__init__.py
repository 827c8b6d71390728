"""How much of what personal-details is to hide it finds, on sentences that it never saw."""
