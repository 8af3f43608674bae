"""The resident model: one thread that owns MLX, and the way from a request to text."""
