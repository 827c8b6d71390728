"""Offramp's classifiers: a policy is trained into an artifact, and an artifact gives verdicts."""
