"""SNIPS: intents and slots that a description, written sentences and real rows buy, read by the runtime that serves."""
