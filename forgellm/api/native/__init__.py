"""ForgeLLM's own API: what seeds every other dialect, and what the page speaks."""
