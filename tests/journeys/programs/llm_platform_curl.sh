# Health check
curl http://localhost:5000/api/health

# List models
curl http://localhost:5000/api/models

# Generate text
curl -X POST http://localhost:5000/api/models/1/generate \
  -H "Content-Type: application/json" \
  -d '{"prompt": "Hello world", "temperature": 0.7}'

# Create training job
curl -X POST http://localhost:5000/api/training \
  -H "Content-Type: application/json" \
  -d '{"model_id": 1, "job_name": "API Training", "epochs": 3}'
