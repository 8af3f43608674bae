# 1. Upload a dataset
DATASET_RESPONSE=$(curl -X POST http://localhost:8000/api/upload-dataset \
  -F "file=@training_data.csv" \
  -F "name=My Dataset")

DATASET_ID=$(echo $DATASET_RESPONSE | jq -r '.dataset_id')

# 2. Start fine-tuning
JOB_RESPONSE=$(curl -X POST http://localhost:8000/api/start-finetuning \
  -H "Content-Type: application/json" \
  -d "{
    \"dataset_id\": \"$DATASET_ID\",
    \"model_name\": \"gpt2\",
    \"config\": {
      \"num_epochs\": 3,
      \"batch_size\": 4
    }
  }")

JOB_ID=$(echo $JOB_RESPONSE | jq -r '.job_id')

# 3. Monitor training progress
while true; do
  STATUS=$(curl -s http://localhost:8000/api/training-status/$JOB_ID | jq -r '.status')
  PROGRESS=$(curl -s http://localhost:8000/api/training-status/$JOB_ID | jq -r '.progress')
  echo "Status: $STATUS, Progress: $PROGRESS%"
  
  if [ "$STATUS" = "completed" ]; then
    break
  fi
  
  sleep 30
done

# 4. Test the model
curl -X POST http://localhost:8000/api/test-model \
  -H "Content-Type: application/json" \
  -d "{
    \"job_id\": \"$JOB_ID\",
    \"prompt\": \"Write a Python function\",
    \"max_length\": 200
  }"

# 5. Export to Ollama format
curl -X POST http://localhost:8000/api/export-model/$JOB_ID \
  -H "Content-Type: application/json" \
  -d '{
    "format": "ollama"
  }'

# 6. Download the model
curl -O -J http://localhost:8000/api/download-model/$JOB_ID?format=ollama
