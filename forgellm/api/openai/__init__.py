"""OpenAI's API for the resident model: /v1/chat/completions, /v1/completions, /v1/models."""
