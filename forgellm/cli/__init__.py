"""The command line. Command modules are light: what is heavy they import inside the command that needs it.

`forgellm --help` answers in 0.3 s, and importing mlx, numpy or transformers alone takes longer.
"""
