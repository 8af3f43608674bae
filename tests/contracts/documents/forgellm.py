"""ForgeLLM's own document, but for what asks a model: its examples and their endpoints."""

from __future__ import annotations

from tests.contracts.documented import Document, Endpoint

MODEL = "mlx-community/Qwen3-4B-bf16"
START = {
    "model_name": MODEL,
    "training_type": "cpt",
    "dataset": "my_domain",
    "max_iterations": 500,
    "batch_size": 2,
    "learning_rate": 5e-5,
    "lr_schedule": "cosine",
    "data_mixture_ratio": 0.8,
    "overfitting_threshold": 0.1,
    "save_every": 50,
    "weight_decay": 0.01,
    "warmup_steps": 10,
    "grad_checkpoint": True,
}
STARTED = {
    "success": True,
    "message": "Training started successfully",
    "training_id": "cpt_20250115_103045",
    "output_dir": "models/cpt/Qwen3_4B_bf16_lr5e_05_bs2_iter500_seq3072_2025-01-15_10-30",
}
STATUS = {
    "success": True,
    "is_training": True,
    "training_type": "cpt",
    "current_iteration": 150,
    "max_iterations": 500,
    "progress_percentage": 30.0,
    "current_loss": 2.345,
    "learning_rate": 0.00004,
    "tokens_per_second": 234.5,
    "memory_usage_gb": 12.3,
    "eta_minutes": 45,
    "output_dir": "models/cpt/Qwen3_4B_bf16_lr5e_05_bs2_iter500_seq3072_2025-01-15_10-30",
}
STOPPED = {"success": True, "message": "Training stopped successfully"}
MODELS = {
    "success": True,
    "cached_models": [{"name": MODEL, "type": "base", "size_gb": 8.2, "cached": True}],
    "cpt_models": [
        {
            "name": "Qwen3_4B_bf16_lr5e_05_bs2_iter500",
            "path": "cpt/Qwen3_4B_bf16_lr5e_05_bs2_iter500",
            "size_gb": 8.5,
            "created_at": "2025-01-15T10:30:00Z",
        }
    ],
    "ift_models": [],
    "published_models": [],
}
CHECKPOINTS = {
    "success": True,
    "checkpoints": [
        {
            "iteration": 300,
            "path": "models/cpt/my_model/0000300_adapters.safetensors",
            "validation_loss": 2.234,
            "rank": 1,
            "is_best": True,
            "size_mb": 45.2,
        }
    ],
    "best_checkpoints": [300, 250, 200],
}
DATASETS = {
    "success": True,
    "datasets": [
        {
            "name": "my_domain",
            "path": "dataset/my_domain",
            "file_count": 15,
            "total_size_mb": 12.5,
            "estimated_tokens": 125000,
        }
    ],
}
DASHBOARD = {
    "success": True,
    "training_data": [
        {
            "iteration": 50,
            "training_loss": 3.456,
            "validation_loss": 3.234,
            "learning_rate": 0.00005,
            "tokens_per_second": 234.5,
            "memory_usage_gb": 12.3,
            "timestamp": "2025-01-15T10:35:00Z",
        }
    ],
    "best_checkpoints": [300, 250, 200],
    "training_config": {"model_name": MODEL, "max_iterations": 500, "batch_size": 2, "learning_rate": 5e-5},
    "performance_metrics": {
        "avg_tokens_per_second": 234.5,
        "peak_memory_gb": 14.2,
        "training_stability": 0.95,
    },
}
REALTIME = {
    "success": True,
    "current_metrics": {
        "iteration": 156,
        "training_loss": 2.345,
        "validation_loss": 2.456,
        "learning_rate": 0.000048,
        "tokens_per_second": 245.2,
        "memory_usage_gb": 12.8,
        "gpu_utilization": 0.87,
        "timestamp": "2025-01-15T10:40:00Z",
    },
    "is_training": True,
}
PUBLISHED = {
    "success": True,
    "message": "Checkpoint published successfully",
    "published_model_path": "models/published/Qwen3_4B_bf16_lr5e_05_bs2_iter500_0000300_20250115_104500",
    "model_name": "published/Qwen3_4B_bf16_lr5e_05_bs2_iter500_0000300_20250115_104500",
    "dashboard_path": "models/published/Qwen3_…/training_dashboard.png",
    "readme_path": "models/published/Qwen3_…/README.md",
}
HEALTH = {
    "success": True,
    "status": "healthy",
    "components": {"web_server": "running", "model_server": "running", "training_pipeline": "idle"},
    "system_info": {
        "memory_total_gb": 32.0,
        "memory_available_gb": 18.5,
        "disk_free_gb": 245.8,
        "python_version": "3.11.5",
        "mlx_version": "0.15.0",
    },
}
BROWSE = {
    "success": True,
    "path": "dataset",
    "directories": [{"name": "my_domain", "type": "directory", "file_count": 15, "size_mb": 12.5}],
    "files": [{"name": "readme.txt", "type": "file", "size_mb": 0.1}],
}
ERROR = {
    "success": False,
    "error": "Model not found",
    "error_code": "MODEL_NOT_FOUND",
    "details": {"searched_paths": ["~/.cache/huggingface/hub/", "models/base/"]},
    "suggestion": "Download the model using: huggingface-cli download invalid-model",
}

SUBSCRIPTION = {"training_id": "cpt_20250115_103045"}
UPDATE = {
    "iteration": 156,
    "training_loss": 2.345,
    "validation_loss": 2.456,
    "learning_rate": 0.000048,
    "tokens_per_second": 245.2,
    "memory_usage_gb": 12.8,
    "progress_percentage": 31.2,
    "eta_minutes": 42,
}
COMPLETE = {
    "success": True,
    "final_iteration": 500,
    "final_loss": 2.123,
    "training_time_minutes": 87,
    "best_checkpoints": [300, 250, 200],
    "output_dir": "models/cpt/...",
}
FAILURE = {**ERROR, "details": {}}
"""The keys of its details are those of one failure."""

DOCUMENT = Document(
    title="ForgeLLM",
    mounts={"": "Shared port"},
    error=FAILURE,
    endpoints=(
        Endpoint("POST", "/api/training/start", START, STARTED),
        Endpoint("GET", "/api/training/status", answer=STATUS),
        Endpoint("POST", "/api/training/stop", answer=STOPPED),
        Endpoint("GET", "/api/models", answer=MODELS),
        Endpoint("GET", "/api/checkpoints", answer=CHECKPOINTS),
        Endpoint("GET", "/api/dataset/info", answer=DATASETS),
        Endpoint("GET", "/api/dashboard/data", {"training_dir": ""}, DASHBOARD),
        Endpoint(
            "GET",
            "/api/dashboard/realtime",
            answer=REALTIME,
            null={"current_metrics.gpu_utilization": "nothing here measures it"},
        ),
        Endpoint(
            "POST", "/api/training/publish_checkpoint", {"checkpoint_path": "", "training_dir": ""}, PUBLISHED
        ),
        Endpoint("GET", "/api/health", answer=HEALTH),
        Endpoint("GET", "/api/filesystem/browse", {"path": "dataset"}, BROWSE),
        Endpoint("Socket.IO", "training_update", SUBSCRIPTION, UPDATE),
        Endpoint("Socket.IO", "training_complete", SUBSCRIPTION, COMPLETE),
    ),
)
