"""Sienn-AI's document: its examples, and the endpoints that they are of."""

from __future__ import annotations

from tests.contracts.documented import Document, Endpoint

MODEL = "gpt2"
HEALTH = {"status": "healthy", "timestamp": "2025-11-04T10:30:00Z"}
DETAILED = {
    "status": "healthy",
    "services": {"database": "connected", "redis": "connected", "storage": "available"},
    "system": {"cpu_percent": 45.2, "memory_percent": 62.1, "disk_usage": 58.3},
}
METRICS = {
    "total_jobs": 42,
    "active_jobs": 2,
    "completed_jobs": 38,
    "failed_jobs": 2,
    "total_datasets": 15,
    "total_models": 38,
}
UPLOADED = {
    "dataset_id": "ds_abc123",
    "filename": "training_data.csv",
    "format": "csv",
    "total_samples": 5000,
    "size_bytes": 1048576,
    "preview": [{"instruction": "What is Python?", "input": "", "output": "Python is …"}],
    "validation": {
        "valid": True,
        "columns": ["instruction", "input", "output"],
        "null_counts": {"instruction": 0, "input": 120, "output": 0},
    },
    "uploaded_at": "2025-11-04T10:35:00Z",
}
CONFIG = {
    "num_epochs": 3,
    "batch_size": 4,
    "learning_rate": 2e-5,
    "max_length": 512,
    "lora_r": 32,
    "lora_alpha": 64,
    "target_modules": ["c_attn", "c_proj"],
}
STARTED = {
    "job_id": "job_xyz789",
    "status": "pending",
    "message": "Fine-tuning job queued successfully",
    "estimated_time": "25 minutes",
    "created_at": "2025-11-04T10:40:00Z",
}
STATUS = {
    "job_id": "job_xyz789",
    "status": "running",
    "progress": 65.5,
    "current_epoch": 2,
    "total_epochs": 3,
    "metrics": {"train_loss": 1.234, "eval_loss": 1.456, "learning_rate": 0.00002},
    "message": "Training epoch 2/3",
    "started_at": "2025-11-04T10:40:05Z",
    "updated_at": "2025-11-04T10:55:30Z",
    "estimated_completion": "2025-11-04T11:05:00Z",
}
JOBS = {
    "jobs": [
        {
            "job_id": "job_xyz789",
            "status": "running",
            "model_name": "gpt2",
            "dataset_id": "ds_abc123",
            "progress": 65.5,
            "created_at": "2025-11-04T10:40:00Z",
        }
    ],
    "total": 42,
    "limit": 50,
    "offset": 0,
}
GENERATED = {
    "generated_text": "def factorial(n): …",
    "prompt": "Write a Python function to calculate factorial",
    "model_id": "job_xyz789",
    "inference_time": 1.23,
    "tokens_generated": 45,
}
EXPORTING = {
    "export_id": "exp_qwe123",
    "format": "ollama",
    "status": "processing",
    "download_url": "/api/download-model/job_xyz789?format=ollama",
    "estimated_time": "5 minutes",
}
FORMATS = {
    "formats": [
        {
            "name": "pytorch",
            "description": "PyTorch native format with safetensors",
            "supports_quantization": False,
        },
        {"name": "ollama", "description": "Ollama Modelfile format", "supports_quantization": False},
        {
            "name": "gguf",
            "description": "GGUF quantized format for llama.cpp",
            "supports_quantization": True,
            "quantization_levels": ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"],
        },
    ]
}
ERROR = {"detail": "Error message", "error_code": "DATASET_INVALID", "timestamp": "2025-11-04T11:00:00Z"}

START = {"dataset_id": "ds_abc123", "model_name": MODEL, "config": CONFIG}
QUESTION = {
    "job_id": "job_xyz789",
    "prompt": "Write a Python function to calculate factorial",
    "max_length": 5,
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 50,
}
DOCUMENT = Document(
    title="Sienn-AI",
    mounts={"": "Shared port", "/sienn-ai": "Below `/sienn-ai`"},
    strict="/sienn-ai",
    error=ERROR,
    endpoints=(
        Endpoint("GET", "/health", answer=HEALTH),
        Endpoint("GET", "/api/health/detailed", answer=DETAILED),
        Endpoint("GET", "/api/metrics", answer=METRICS),
        Endpoint("POST", "/api/upload-dataset", {"file": "", "name": ""}, UPLOADED),
        Endpoint(
            "POST",
            "/api/start-finetuning",
            START,
            STARTED,
            null={"estimated_time": "no earlier run was long enough to reckon from"},
        ),
        Endpoint("GET", "/api/training-status/{job_id}", answer=STATUS),
        Endpoint("GET", "/api/jobs", {"status": "", "limit": 0, "offset": 0}, JOBS),
        Endpoint("POST", "/api/test-model", QUESTION, GENERATED),
        Endpoint(
            "POST",
            "/api/export-model/{job_id}",
            {"format": "gguf", "quantization": "q8_0"},
            EXPORTING,
            null={"estimated_time": "nothing of an export is measured before it"},
        ),
        Endpoint("GET", "/api/download-model/{job_id}", {"format": "ollama"}, "application/zip"),
        Endpoint("GET", "/api/export-formats", answer=FORMATS),
    ),
)
