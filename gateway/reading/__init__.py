"""Which text of a request a rule reads."""
