"""A rule's bound on disagreement with the model or judge that it stands in for: kept as an account, audited live."""
