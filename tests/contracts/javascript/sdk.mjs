// The JavaScript example of the documented API, as it stands there.
class ForgeLLMClient {
    constructor(baseUrl = 'http://localhost:5002') {
        this.baseUrl = baseUrl;
    }
    
    async startTraining(config) {
        const response = await fetch(`${this.baseUrl}/api/training/start`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify(config)
        });
        return response.json();
    }
    
    async getTrainingStatus() {
        const response = await fetch(`${this.baseUrl}/api/training/status`);
        return response.json();
    }
    
    async generateText(prompt, modelName, options = {}) {
        // Load model
        await fetch(`${this.baseUrl}/api/model/load`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ model_name: modelName })
        });
        
        // Generate text
        const response = await fetch(`${this.baseUrl}/api/model/generate`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ prompt, ...options })
        });
        return response.json();
    }
}

// What the document does with it, for the address and the model that are given.
const [baseUrl, model] = process.argv.slice(2);
const client = new ForgeLLMClient(baseUrl);
const trainingConfig = { model_name: model, training_type: 'cpt', dataset: 'my_domain', max_iterations: 500 };
const started = await client.startTraining(trainingConfig);
const status = await client.getTrainingStatus();
const generated = await client.generateText(
    'What is machine learning?',
    model,
    { max_tokens: 200, temperature: 0.7 }
);
console.log(JSON.stringify({ started, status, generated }));
