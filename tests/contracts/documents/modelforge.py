"""ModelForge's document: its examples, and the endpoints that they are of."""

from __future__ import annotations

from tests.contracts.documented import Document, Endpoint

MODEL = "meta-llama/Llama-3.2-3B"
START = {
    "task": "text-generation",
    "model_name": MODEL,
    "provider": "unsloth",
    "strategy": "sft",
    "dataset": "dataset.jsonl",
    "max_seq_length": 2048,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 4,
}
INFO = {
    "providers": ["huggingface", "unsloth"],
    "strategies": ["sft", "qlora", "rlhf", "dpo"],
    "tasks": ["text-generation", "summarization", "extractive-question-answering"],
    "version": "v2",
}
HEALTH = {"status": "healthy", "version": "v2"}
STARTED = {"status": "started", "job_id": "train_123456", "message": "Training started successfully"}
STATUS = {
    "status": "training",
    "progress": 45.5,
    "current_epoch": 2,
    "total_epochs": 3,
    "current_step": 500,
    "total_steps": 1100,
    "loss": 0.234,
    "learning_rate": 0.0002,
}
STOPPED = {"status": "stopped", "message": "Training stopped successfully"}
MODELS = {
    "models": [
        {
            "id": 1,
            "name": "my-llama-3-2-3b-finetuned",
            "base_model": MODEL,
            "task": "text-generation",
            "created_at": "2024-01-15T10:30:00Z",
            "size_mb": 6240,
        }
    ]
}
DETAILS = {
    "id": 1,
    "name": "my-llama-3-2-3b-finetuned",
    "base_model": MODEL,
    "task": "text-generation",
    "provider": "unsloth",
    "strategy": "sft",
    "training_params": {"num_epochs": 3, "batch_size": 4, "learning_rate": 0.0002},
    "metrics": {"final_loss": 0.234, "perplexity": 1.263},
    "created_at": "2024-01-15T10:30:00Z",
}
DELETED = {"status": "deleted", "message": "Model deleted successfully"}
UPLOADED = {
    "status": "uploaded",
    "filename": "dataset.jsonl",
    "num_examples": 1000,
    "validation": {"valid": True, "errors": []},
}
DATASETS = {
    "datasets": [
        {
            "filename": "dataset.jsonl",
            "num_examples": 1000,
            "size_mb": 5.2,
            "uploaded_at": "2024-01-15T10:00:00Z",
        }
    ]
}
GENERATED = {"generated_text": "Machine learning is …", "tokens_generated": 45, "generation_time_ms": 1234}
ERROR = {"error": "Error message", "detail": "Detailed error information", "status_code": 400}

QUESTION = {
    "model_id": 1,
    "prompt": "What is machine learning?",
    "max_new_tokens": 5,
    "temperature": 0.7,
    "top_p": 0.9,
}
DOCUMENT = Document(
    title="ModelForge",
    mounts={"": "Shared port", "/modelforge": "Below `/modelforge`"},
    strict="/modelforge",
    error=ERROR,
    endpoints=(
        Endpoint("GET", "/api/info", answer=INFO),
        Endpoint("GET", "/api/health", answer=HEALTH),
        Endpoint("POST", "/api/start_training", START, STARTED),
        Endpoint("GET", "/api/training_status", answer=STATUS),
        Endpoint("POST", "/api/stop_training", answer=STOPPED),
        Endpoint("GET", "/api/models", answer=MODELS),
        Endpoint("GET", "/api/models/{model_id}", answer=DETAILS),
        Endpoint("DELETE", "/api/models/{model_id}", answer=DELETED),
        Endpoint("POST", "/api/upload_dataset", {"file": ""}, UPLOADED),
        Endpoint("GET", "/api/datasets", answer=DATASETS),
        Endpoint("POST", "/api/playground/generate", QUESTION, GENERATED),
        Endpoint("WebSocket", "/ws/training", answer=STATUS),
    ),
)
