"""What of ForgeLLM's own document asks a model: its examples and their endpoints."""

from __future__ import annotations

from tests.contracts.documented import Document, Endpoint
from tests.contracts.documents.forgellm import FAILURE
from tests.contracts.hub import MODEL

GENERATE = {
    "prompt": "What is machine learning?",
    "history": [
        {"role": "system", "content": "You are a helpful AI assistant."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello! How can I help you today?"},
    ],
    "max_tokens": 200,
    "temperature": 0.7,
    "top_p": 0.9,
    "repetition_penalty": 1.1,
    "streaming": False,
    "is_base_model": False,
}
LOADING = {
    "success": True,
    "message": "Model loading started",
    "model_name": MODEL,
    "adapter_path": "models/cpt/my_trained_model",
}
STATUS = {
    "success": True,
    "loaded": True,
    "is_loading": False,
    "model_name": MODEL,
    "adapter_path": "models/cpt/my_trained_model",
    "model_type": "instruct",
    "memory_usage_gb": 8.2,
}
GENERATED = {
    "success": True,
    "response": "Machine learning is a subset of artificial intelligence...",
    "tokens_generated": 156,
    "generation_time_seconds": 2.3,
    "tokens_per_second": 67.8,
}
UNLOADED = {"success": True, "message": "Model unloaded successfully"}

NO_ADAPTER = {"adapter_path": "no adapter was named"}
DOCUMENT = Document(
    title="ForgeLLM, the model",
    mounts={"web server": "On the web server", "model server": "On the model server"},
    error=FAILURE,
    endpoints=(
        Endpoint("POST", "/api/model/load", {"model_name": MODEL}, LOADING, null=NO_ADAPTER),
        Endpoint("GET", "/api/model/status", answer=STATUS, null=NO_ADAPTER),
        Endpoint("POST", "/api/model/generate", GENERATE, GENERATED),
        Endpoint("POST", "/api/model/unload", answer=UNLOADED),
    ),
)
