"""From what a user has to what a model trains on: records, documents, tokens, the corpus of a run. No mlx."""
