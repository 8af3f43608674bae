"""Chat templates in the shapes that published models have, each with its special tokens.

Written anew after the models' own; what matters here is kept: trimming, dropped or inserted thinking, a
default or missing system role, a system prompt that moves, an end token only at the very end.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.conftest import CHATML


@dataclass(frozen=True)
class Shape:
    """`ends` is what closes an answer; `trims` says that white space around an answer is taken off."""

    template: str
    special: tuple[str, ...]
    ends: str
    trims: bool = False


LLAMA3 = Shape(
    "{% for message in messages %}"
    "{{ '<|begin_of_text|>' if loop.first }}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "<|eot_id|>",
    trims=True,
)

GEMMA = Shape(
    "{{ '<bos>' }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
    ("<bos>", "<start_of_turn>", "<end_of_turn>"),
    "<end_of_turn>",
    trims=True,
)

# The system prompt moves to the last question, and nothing announces an answer.
MISTRAL = Shape(
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}"
    "{% else %}{% set turns = messages %}{% endif %}"
    "{% set ns = namespace(last=-1) %}"
    "{% for message in turns %}{% if message['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    "{% endfor %}"
    "{{ '<s>' }}{% for message in turns %}"
    "{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + (system + '\\n\\n' if system is defined and loop.index0 == ns.last else '') }}"
    "{{ message['content'] + '[/INST]' }}"
    "{% else %}{{ ' ' + message['content'] | trim + '</s>' }}{% endif %}"
    "{% endfor %}",
    ("<s>", "</s>", "[INST]", "[/INST]"),
    "</s>",
    trims=True,
)

# Only the end of the whole conversation has the end-of-text token.
PHI3 = Shape(
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ '<|endoftext|>' }}{% endif %}",
    ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    "<|end|>",
)

QWEN25 = Shape(
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" + CHATML,
    (),
    "<|im_end|>",
)

# Thinking is dropped from all answers but those to the last question, where an empty thought is put in.
QWEN3 = Shape(
    "{%- set ns = namespace(last=-1) %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}"
    "{%- endfor %}"
    "{%- for message in messages %}"
    "{%- if message.role != 'assistant' %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- else %}"
    "{%- set content = message.content %}{%- set thought = '' %}"
    "{%- if '</think>' in content %}"
    "{%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last and (loop.last or thought) %}"
    "{{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}"
    "{{- content.lstrip('\\n') }}"
    "{%- else %}{{- '<|im_start|>assistant\\n' + content }}{%- endif %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}",
    (),
    "<|im_end|>",
)

# The generation prompt opens a thought that the history does not have.
R1 = Shape(
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|User|>' + message['content'] }}"
    "{% elif message['role'] == 'system' %}{{ message['content'] }}"
    "{% else %}{{ '<|Assistant|>' + message['content'].split('</think>')[-1] + '<|end_of_sentence|>' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}",
    ("<|User|>", "<|Assistant|>", "<|end_of_sentence|>"),
    "<|end_of_sentence|>",
)

# The generation prompt has an empty thought that the history does not have.
GEMMA4 = Shape(
    "{{ '<bos>' }}{% for message in messages %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<|turn>' + role + '\\n' + message['content'] | trim + '<turn|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\\n<|channel>thought\\n<channel|>' }}{% endif %}",
    ("<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"),
    "<turn|>",
    trims=True,
)

WITH_GENERATION_TAG = Shape(
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    (),
    "<|im_end|>",
)

SHAPES = {
    "chatml": Shape(CHATML, (), "<|im_end|>"),
    "llama3": LLAMA3,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "phi3": PHI3,
    "qwen2.5": QWEN25,
    "qwen3": QWEN3,
    "r1": R1,
    "gemma4": GEMMA4,
    "generation tag": WITH_GENERATION_TAG,
}
