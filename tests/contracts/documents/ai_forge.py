"""AI Forge's document: its examples, and the endpoints that they are of."""

from __future__ import annotations

from tests.contracts.documented import Document, Endpoint

MODEL = "unsloth/Llama-3.2-3B-Instruct"
HEALTH = {"status": "healthy", "version": "1.0.0", "ollama_connected": True}
SERVICE = {"service": "AI Forge", "version": "1.0.0", "docs": "/docs"}
WISH = {
    "project_name": "myproject",
    "base_model": MODEL,
    "epochs": 3,
    "learning_rate": 0.0002,
    "rank": 64,
    "use_pissa": True,
}
QUEUED = {
    "job_id": "job_myproject_20260116_123456",
    "status": "queued",
    "message": "Fine-tuning job queued...",
}
STATUS = {
    "job_id": "job_myproject_20260116_123456",
    "status": "training",
    "progress": 45.5,
    "current_epoch": 2,
    "current_step": 150,
    "loss": 0.456,
    "created_at": "2026-01-16T12:34:56",
    "updated_at": "2026-01-16T12:45:00",
}
QUESTION = {
    "model": "myproject:custom",
    "messages": [{"role": "user", "content": "Explain the architecture"}],
    "temperature": 0.7,
    "max_tokens": 5,
}
ANSWER = {
    "id": "chatcmpl-123456",
    "object": "chat.completion",
    "created": 1705432000,
    "model": "myproject:custom",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "The architecture consists of..."},
            "finish_reason": "stop",
        }
    ],
}
MODELS = {"data": [{"id": "llama3:latest", "object": "model", "owned_by": "ai_forge", "created": 1705432000}]}
ERROR = {"detail": "Error message here"}

FORM = {"request": "", "data_file": ""}
DOCUMENT = Document(
    title="AI Forge",
    mounts={"": "Shared port", "/ai-forge": "Below `/ai-forge`"},
    strict="/ai-forge",
    error=ERROR,
    endpoints=(
        Endpoint("GET", "/health", answer=HEALTH),
        Endpoint("GET", "/", answer=SERVICE),
        Endpoint("POST", "/v1/fine-tune", {**FORM, **WISH}, QUEUED),
        Endpoint("GET", "/v1/fine-tune/{job_id}", answer=STATUS),
        Endpoint("GET", "/v1/fine-tune", answer=[STATUS]),
        Endpoint("DELETE", "/v1/fine-tune/{job_id}"),
        Endpoint("POST", "/v1/chat/completions", QUESTION, ANSWER),
        Endpoint("GET", "/v1/models", answer=MODELS),
        Endpoint("GET", "/docs", answer="text/html"),
        Endpoint("GET", "/redoc", answer="text/html"),
    ),
)
