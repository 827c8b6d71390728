"""Quality and speed, measured: one command each, seeds fixed, machine and versions printed."""
