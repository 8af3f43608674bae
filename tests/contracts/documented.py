"""Every endpoint that the documents of the four other systems name, written down from them by hand."""

from __future__ import annotations

ENDPOINTS = {
    "/ai-forge": """
        GET /health
        GET /
        GET /docs
        GET /redoc
        POST /v1/fine-tune
        GET /v1/fine-tune/{job_id}
        GET /v1/fine-tune
        DELETE /v1/fine-tune/{job_id}
        POST /v1/chat/completions
        GET /v1/models
    """,
    "/modelforge": """
        GET /api/info
        GET /api/health
        POST /api/start_training
        GET /api/training_status
        POST /api/stop_training
        GET /api/models
        GET /api/models/{model_id}
        DELETE /api/models/{model_id}
        POST /api/upload_dataset
        GET /api/datasets
        POST /api/playground/generate
    """,
    "/sienn-ai": """
        GET /health
        GET /api/health/detailed
        GET /api/metrics
        POST /api/upload-dataset
        POST /api/start-finetuning
        GET /api/training-status/{job_id}
        GET /api/jobs
        POST /api/test-model
        POST /api/export-model/{job_id}
        GET /api/download-model/{job_id}
        GET /api/export-formats
    """,
    "/llm-platform": """
        GET /api/health
        GET /api/models
        GET /api/models/{model_id}
        POST /api/models
        POST /api/models/{model_id}/generate
        GET /api/training
        POST /api/training
        GET /api/training/{job_id}
        POST /api/training/{job_id}/pause
        POST /api/training/{job_id}/resume
        GET /api/evaluations
        POST /api/models/{model_id}/evaluate
        GET /api/statistics
    """,
}


def endpoints(prefix: str) -> set[tuple[str, str]]:
    """(method, path) of one system's."""
    lines = (line.split() for line in ENDPOINTS[prefix].strip().splitlines())
    return {(method, path) for method, path in lines}
