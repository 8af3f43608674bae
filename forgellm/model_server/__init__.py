"""The model server: the one process that holds a model and answers with it."""
