"""Generation against mlx-lm's own, side by side in one run on one model; `scripts/bench generation` runs it.

A random llama of 19 million parameters answers greedily, so that every side computes the same tokens. Rounds
alternate, and only ratios mean anything on another machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm import load, stream_generate
from mlx_lm.models import llama
from verdicts import Row, at_least, finish

from forgellm.domain.chat import Target
from forgellm.inference.engine import Engine
from forgellm.settings import packaged, worker_environment
from forgellm.storage.adapters import AdapterConfig, write_config
from forgellm.storage.targets import Source, find_source
from forgellm.storage.workspace import Workspace
from forgellm.training.adapters import attach, load_base, save_weights, trainable_weights

MODEL, ADAPTER = "models/base/bench", "models/cpt/bench"
SIZES = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6, "head_dim": 64}
HEADS = {"num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 4096}
ANSWER = 128
WANTED = {
    "web over plain": 0.95,
    "server over plain": 0.97,
    "8 clients": 1.0,
    "turn 10": 8.0,
    "adapter": 10.0,
}


def make_workspace(root: Path) -> None:
    """The random model with the built-in tokenizer, and an adapter for it."""
    folder = root / MODEL
    folder.mkdir(parents=True)
    shipped = packaged("assets") / "lough-tiny"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shipped / name, folder)
    config = {**json.loads((shipped / "config.json").read_text()), **SIZES, **HEADS}
    (folder / "config.json").write_text(json.dumps(config))
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    save_weights(folder / "model.safetensors", dict(tree_flatten(model.parameters())))
    base, _ = load_base(folder)
    form = AdapterConfig("lora", -1, 16, 2.0, 0.0)
    attach(base, form)
    (root / ADAPTER).mkdir(parents=True)
    save_weights(root / ADAPTER / "adapters.safetensors", trainable_weights(base))
    write_config(root / ADAPTER, form)


@contextmanager
def process(*command: str, root: Path, ready: Callable[[], object]) -> Iterator[None]:
    """A server, from its first answer on until the block ends."""
    started = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=root,
        env=worker_environment(),
        stdin=subprocess.DEVNULL,
        # Standard output is for the figures.
        stdout=sys.stderr,
    )
    pause = threading.Event()
    try:
        for _ in range(600):
            try:
                ready()
                break
            except OSError:
                pause.wait(0.1)
        yield
    finally:
        started.terminate()
        started.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def post(port: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON answer."""
    request = Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=300) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def get(port: int, path: str) -> None:
    """Any answer at all."""
    urlopen(f"http://127.0.0.1:{port}{path}", timeout=300).close()


def generate(port: int, prompt: str, **options: Any) -> dict[str, Any]:
    """The documented route."""
    return post(port, "/api/model/generate", {"prompt": prompt, "temperature": 0.0, **options})


def speed(action: Callable[[], int]) -> float:
    """Tokens a second of an action that answers how many it made."""
    begun = time.perf_counter()
    made = action()
    return made / (time.perf_counter() - begun)


def decoding(asks: dict[str, Callable[[str], int]], *, rounds: int) -> list[dict[str, float]]:
    """Speed of each way to ask, whole requests, round by round.

    The ways come in another order in each round, since what follows an idle moment finds a cooler machine;
    each has a prompt of its own, since one that was asked before is known.
    """
    names, found = list(asks), []

    def ask(name: str, number: int) -> float:
        return speed(lambda: asks[name](f"{number} {name}: tell of the harbour."))

    for number in range(rounds + 1):
        turn = number % len(names)
        found.append({name: ask(name, number) for name in names[turn:] + names[:turn]})
    # The first round warms up.
    return found[1:]


def median_of(rounds: list[dict[str, float]], name: str, *, over: str | None = None) -> float:
    """Of a speed, or of its ratio to another one of the same round, which shares the machine's mood."""
    return statistics.median(one[name] / (one[over] if over else 1.0) for one in rounds)


def _made(port: int, prompt: str) -> int:
    return int(generate(port, prompt, max_tokens=ANSWER)["tokens_generated"])


def together(asks: dict[str, Callable[[str], int]], clients: int, *, rounds: int) -> list[dict[str, float]]:
    """Speed of all answers together, `clients` at once, of each way to ask, round by round."""
    found = []
    with ThreadPoolExecutor(clients) as pool:
        for number in range(rounds + 1):
            prompts = [f"{number} {client}: tell of the harbour." for client in range(clients)]
            order = list(asks.items())[:: -1 if number % 2 else 1]
            found.append(
                {
                    name: speed(lambda ask=ask, prompts=prompts: sum(pool.map(ask, prompts)))  # type: ignore[misc]
                    for name, ask in order
                }
            )
    return found[1:]


def turn_ten(port: int, number: int) -> tuple[float, float]:
    """Seconds to the first token of the tenth turn, and of the same conversation seen for the first time.

    Questions of about 50 tokens, answers of 200, as in chats.
    """
    history: list[dict[str, str]] = []
    question = f"Conversation {number}: tell of the harbour, the market and the people of the mill. " * 2

    def ask(beginning: str) -> float:
        turns = [{**turn, "content": beginning + turn["content"]} for turn in history]
        answer = generate(port, beginning + question, history=turns, max_tokens=200)
        history[len(history) :] = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer["response"]},
        ]
        return float(answer["time_to_first_token_seconds"])

    reused = [ask("") for _ in range(10)][-1]
    del history[-2:]
    return reused, ask("New: ")


def turns_ten(port: int, *, conversations: int) -> tuple[float, float]:
    """The medians over the conversations."""
    found = [turn_ten(port, number) for number in range(conversations)]
    return statistics.median(one[0] for one in found), statistics.median(one[1] for one in found)


def adapter_change(root: Path) -> tuple[float, float]:
    """Seconds in the engine to change the adapter on the resident base, and to load both anew."""
    workspace = Workspace.open(root)
    plain, adapted = (find_source(workspace, root, Target(MODEL, path)) for path in (None, ADAPTER))
    engine = Engine(worker_environment())

    def load(source: Source) -> float:
        begun = time.perf_counter()
        engine.load(source)
        engine.wait_until_loaded()
        return time.perf_counter() - begun

    swaps, reloads = [], []
    for _ in range(10):
        engine.unload()
        reloads.append(load(adapted))
        swaps += [load(plain), load(adapted)]
    engine.close()
    return statistics.median(swaps), statistics.median(reloads)


def measure(root: Path, *, rounds: int, conversations: int) -> dict[str, Any]:
    """Every figure, on servers of this run."""
    forge, web, theirs = free_ports(3)
    with ExitStack() as servers:
        begin = servers.enter_context
        server = ("forgellm", "server", "--port", str(forge), "--model", MODEL)
        begin(process(*server, root=root, ready=lambda: get(forge, "/api/health")))
        page = ("forgellm", "web", "--port", str(web))
        begin(process(*page, root=root, ready=lambda: get(web, "/api/health")))
        rival = ("mlx_lm", "server", "--port", str(theirs), "--model", str(root / MODEL), "--temp", "0")
        quiet = ("--log-level", "WARNING")
        begin(process(*rival, *quiet, root=root, ready=lambda: get(theirs, "/v1/models")))
        model, tokenizer = load(str(root / MODEL))

        def plain(prompt: str) -> int:
            text = tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], add_generation_prompt=True
            )
            *_, last = stream_generate(model, tokenizer, text, max_tokens=ANSWER)
            return int(last.generation_tokens)

        ours = {"server": lambda p: _made(forge, p), "web": lambda p: _made(web, p)}
        speeds = decoding({"plain": plain, **ours}, rounds=rounds)
        asks = {"ours": lambda p: _made(forge, p), "theirs": lambda p: _their_answer(theirs, p)}
        crowd = together(asks, 8, rounds=max(1, rounds // 3))
        reused, fresh = turns_ten(forge, conversations=conversations)
    swap, reload = adapter_change(root)
    return {
        "tokens_per_second": {
            **{name: median_of(speeds, name) for name in ("plain", "server", "web")},
            "8 clients": median_of(crowd, "ours"),
            "8 of mlx_lm": median_of(crowd, "theirs"),
        },
        "first_token_seconds": {"turn 10": reused, "turn 10 without reuse": fresh},
        "adapter_seconds": {"change": swap, "reload": reload},
        "ratios": {
            "server over plain": median_of(speeds, "server", over="plain"),
            "web over plain": median_of(speeds, "web", over="plain"),
            "8 clients": median_of(crowd, "ours", over="theirs"),
            "turn 10": fresh / reused,
            "adapter": reload / swap,
        },
    }


def _their_answer(port: int, prompt: str) -> int:
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": ANSWER}
    return int(post(port, "/v1/chat/completions", body)["usage"]["completion_tokens"])


def main() -> int:
    """Print the figures; 1 where a promised ratio is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=15, help="of single answers; a third of them of eight")
    parser.add_argument("--conversations", type=int, default=3, help="of ten turns")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_workspace(Path(folder))
        found = measure(Path(folder), rounds=options.rounds, conversations=options.conversations)
    if not options.json:
        print(json.dumps({k: v for k, v in found.items() if k != "ratios"}, indent=2))
    return finish(rows(found["ratios"]), as_json=options.json, **found)


def rows(ratios: dict[str, float]) -> list[Row]:
    """Each ratio beside what is wanted of it."""
    return [at_least(name, ratios[name], wanted) for name, wanted in WANTED.items()]


if __name__ == "__main__":
    sys.exit(main())
