"""gateway.yaml and policies: text → checked, frozen records."""
