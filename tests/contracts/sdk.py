"""The Python example of the documented API, as it stands there."""
# fmt: off
# ruff: noqa

import requests
import json

class ForgeLLMClient:
    def __init__(self, base_url="http://localhost:5002"):
        self.base_url = base_url
    
    def start_training(self, config):
        """Start a training session."""
        response = requests.post(
            f"{self.base_url}/api/training/start",
            json=config
        )
        return response.json()
    
    def get_training_status(self):
        """Get current training status."""
        response = requests.get(f"{self.base_url}/api/training/status")
        return response.json()
    
    def generate_text(self, prompt, model_name, **kwargs):
        """Generate text using a model."""
        # Load model first
        requests.post(f"{self.base_url}/api/model/load", json={
            "model_name": model_name
        })
        
        # Generate text
        response = requests.post(f"{self.base_url}/api/model/generate", json={
            "prompt": prompt,
            **kwargs
        })
        return response.json()
