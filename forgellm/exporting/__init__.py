"""What a model or an adapter becomes for other programs."""
