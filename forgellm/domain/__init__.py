"""The rules of the product: frozen dataclasses and functions, no files, no clock, no network, no MLX."""
