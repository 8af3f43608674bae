"""A small server that speaks what the model server speaks, and says what a test wants."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

FINISH = {
    "success": True,
    "response": "Every Monday.",
    "thinking": "",
    "finish_reason": "stop",
    "tokens_generated": 4,
    "prompt_tokens": 20,
    "cached_tokens": 12,
    "generation_time_seconds": 0.5,
    "time_to_first_token_seconds": 0.1,
    "tokens_per_second": 10.0,
    "logprobs": None,
}
STATUS = {
    "success": True,
    "loaded": True,
    "is_loading": False,
    "model_name": "models/base/tiny",
    "adapter_path": None,
    "model_type": "instruct",
    "memory_usage_gb": 0.25,
    "context_length": 512,
    "error": None,
    "active_requests": 1,
    "waiting_requests": 0,
}


class Speaker:
    """Answers each path with what a test says, and keeps what was asked."""

    def __init__(self):
        self.answers = {"/api/model/status": STATUS}
        self.asked = []
        self.left = threading.Event()

    def __call__(self, environ, start_response):
        request = Request(environ)
        body = request.get_data()
        self.asked.append(
            (request.method, request.path, json.loads(body) if body else None, dict(request.headers))
        )
        answer = self.answers[request.path]
        if isinstance(answer, tuple):
            status, values = answer
            return Response(json.dumps(values), status, mimetype="application/json")(environ, start_response)
        if isinstance(answer, dict):
            return Response(json.dumps(answer), mimetype="application/json")(environ, start_response)
        return Response(self._stream(answer), mimetype="text/event-stream")(environ, start_response)

    def _stream(self, events):
        try:
            for event in events:
                yield (
                    b": still here\n\n" if event is None else b"data: " + json.dumps(event).encode() + b"\n\n"
                )
        finally:
            self.left.set()


@contextmanager
def serving(speaker):
    server = make_server("127.0.0.1", 0, speaker, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
