"""ForgeLLM: train, rank, publish and talk to language models on one's own machine."""

__version__ = "0.1.0"
