"""From a policy to an artifact: load, write, clean, split, fit, calibrate, evaluate, accept, export."""
