"""What the gateway itself costs."""
