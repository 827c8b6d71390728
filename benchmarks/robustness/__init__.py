"""What odd text and odd rows cost, and how much a disguise takes from a guard's recall."""
