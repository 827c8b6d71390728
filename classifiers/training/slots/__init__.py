"""Training a slot tagger: marked-up sentences → an encoder tuned for tags and intents at once."""
