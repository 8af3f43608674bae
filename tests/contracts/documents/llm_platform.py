"""LLM Platform's document: its examples, and the endpoints that they are of."""

from __future__ import annotations

from tests.contracts.documented import Document, Endpoint

MODEL = "gpt2"
TIME = "2025-06-24T13:45:30.123456"
HEALTH = {"status": "healthy", "timestamp": TIME, "version": "1.0.0"}
ONE = {
    "id": 1,
    "name": "GPT-2 Base",
    "base_model": "gpt2",
    "status": "AVAILABLE",
    "description": "Standard GPT-2 model for general text generation",
    "model_size": "124M",
    "created_at": TIME,
    "updated_at": TIME,
}
MODELS = {"models": [ONE]}
DETAILS = {**ONE, "parameters": None}
NEW = {
    "name": "My Custom Model",
    "base_model": "gpt2",
    "description": "Custom model for specific use case",
    "model_size": "124M",
}
CREATED = {
    "id": 4,
    "name": "My Custom Model",
    "base_model": "gpt2",
    "status": "AVAILABLE",
    "message": "Model created successfully",
}
QUESTION = {
    "prompt": "The future of artificial intelligence is",
    "temperature": 0.7,
    "max_length": 5,
    "top_p": 0.9,
    "top_k": 50,
}
GENERATED = {
    "text": "The future of artificial intelligence is bright and full of possibilities...",
    "model_id": 1,
    "model_name": "GPT-2 Base",
    "generation_time": 1.23,
    "parameters": {"temperature": 0.7, "max_length": 100, "top_p": 0.9, "top_k": 50},
    "timestamp": TIME,
}
JOB = {
    "id": 1,
    "model_id": 1,
    "job_name": "Demo LoRA Training",
    "status": "RUNNING",
    "progress": 45.5,
    "epochs": 5,
    "current_epoch": 2,
    "learning_rate": 0.0001,
    "batch_size": 8,
    "created_at": TIME,
    "started_at": TIME,
    "completed_at": None,
}
JOBS = {"training_jobs": [{**JOB, "completed_at": TIME}]}
JOB_DETAILS = {
    **JOB,
    "completed_at": TIME,
    "lora_r": 8,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "current_loss": 2.45,
    "logs": "Epoch 1/5 completed with loss 3.21\nEpoch 2/5 in progress...",
}
NEW_JOB = {
    "job_name": "My Training Job",
    "epochs": 3,
    "learning_rate": 0.0001,
    "batch_size": 8,
    "lora_r": 8,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
}
JOB_CREATED = {
    "id": 4,
    "job_name": "My Training Job",
    "model_id": 1,
    "status": "PENDING",
    "message": "Training job created and started successfully",
}
PAUSED = {"id": 1, "status": "PAUSED", "message": "Training job paused successfully"}
RESUMED = {"id": 1, "status": "RUNNING", "message": "Training job resumed successfully"}
EVALUATION = {
    "id": 1,
    "model_id": 1,
    "eval_name": "Standard Evaluation",
    "perplexity": 39.87,
    "bleu_score": 0.622,
    "rouge_score": 0.76,
    "response_diversity": 0.824,
    "avg_response_length": 68.3,
    "created_at": TIME,
}
EVALUATED = {
    "id": 2,
    "model_id": 1,
    "eval_name": "Custom Evaluation",
    "metrics": {
        "perplexity": 39.87,
        "bleu_score": 0.622,
        "rouge_score": 0.76,
        "response_diversity": 0.824,
        "avg_response_length": 68.3,
    },
    "message": "Evaluation completed successfully",
}
STATISTICS = {
    "total_models": 3,
    "total_training_jobs": 5,
    "running_training_jobs": 1,
    "completed_training_jobs": 2,
    "total_evaluations": 4,
    "total_generations": 15,
    "timestamp": TIME,
}
ERROR = {"error": "Error description"}

NEW_EVALUATION = {"eval_name": "Custom Evaluation"}
DOCUMENT = Document(
    title="LLM Platform",
    mounts={"": "Shared port", "/llm-platform": "Below `/llm-platform`"},
    strict="/llm-platform",
    error=ERROR,
    endpoints=(
        Endpoint("GET", "/api/health", answer=HEALTH),
        Endpoint("GET", "/api/models", answer=MODELS),
        Endpoint("GET", "/api/models/{model_id}", answer=DETAILS, null={"parameters": "as documented"}),
        Endpoint("POST", "/api/models", NEW, CREATED),
        Endpoint("POST", "/api/models/{model_id}/generate", QUESTION, GENERATED),
        Endpoint("GET", "/api/training", answer=JOBS),
        Endpoint("POST", "/api/training", {"model_id": 1, **NEW_JOB}, JOB_CREATED),
        Endpoint("GET", "/api/training/{job_id}", answer=JOB_DETAILS),
        Endpoint("POST", "/api/training/{job_id}/pause", answer=PAUSED),
        Endpoint("POST", "/api/training/{job_id}/resume", answer=RESUMED),
        Endpoint("GET", "/api/evaluations", answer={"evaluations": [EVALUATION]}),
        Endpoint("POST", "/api/models/{model_id}/evaluate", NEW_EVALUATION, EVALUATED),
        Endpoint("GET", "/api/statistics", answer=STATISTICS),
    ),
)
