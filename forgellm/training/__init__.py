"""The training engine: a library over mlx and mlx_lm that knows nothing of runs' lifecycles or servers."""
