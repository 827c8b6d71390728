"""A rule's bound on disagreement with the model that it stands in for: certified, audited live, withdrawn by itself."""
