"""A safety rule's judge: asked where the classifier is unsure, and its verdict decides."""
