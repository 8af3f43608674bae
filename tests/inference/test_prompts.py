"""Whether a model's chat template shows it the functions that a request offers."""

import json
import shutil

import pytest
from mlx_lm.utils import load_tokenizer

from forgellm.domain.chat import GenerationRequest, Message, Sampling, ToolCall
from forgellm.domain.errors import InvalidField
from forgellm.inference.prompts import ChatForm, build_prompt
from tests.inference.conftest import source

# As Llama 3.1 and Mistral show functions, with no more of their templates than that needs.
LLAMA = (
    "{% if tools %}{% for t in tools %}{{ t | tojson(indent=4) }}{% endfor %}{% endif %}"
    "{% for m in messages %}{% if 'tool_calls' in m %}{% set call = m.tool_calls[0].function %}"
    '{{ \'{"name": "\' + call.name + \'", "parameters": \' }}{{ call.arguments | tojson }}}'
    "{% else %}{{ m.role + ': ' + m.content }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{% if tools %}[AVAILABLE_TOOLS]{% for t in tools %}{{ t.function.parameters.properties | tojson }}"
    "{{ t.function.name }}{% endfor %}{% endif %}"
    "{% for m in messages %}{% for call in m.tool_calls or [] %}[TOOL_CALLS]"
    "{% if call.id | length != 9 %}{{ raise_exception('ids have 9 letters') }}{% endif %}"
    "{{ call.function | tojson }}{% endfor %}{{ m.content }}{% endfor %}"
)
MARKERS_ALONE = (
    "{% for m in messages %}{{ m.content.split('<tool_call>')[0] }}{# tool_call.name #}{% endfor %}"
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
QUESTION = Message("user", "Rain?")
BEGIN, END = "<|im_start|>", "<|im_end|>"


@pytest.fixture
def ask(start, tiny_model, tmp_path):
    """Asks the tiny model with another template; answers with what it finished as."""

    def ask(template, *messages):
        shutil.copytree(tiny_model, tmp_path / "model")
        config = tmp_path / "model" / "tokenizer_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": template}))
        engine = start()
        engine.load(source(tmp_path / "model"))
        greedy = Sampling(max_tokens=2, temperature=0)
        *_, last = engine.generate(GenerationRequest(messages, sampling=greedy, tools=(WEATHER,)))
        plainly = engine.generate(GenerationRequest(messages, sampling=greedy))
        *_, without = plainly
        return last.finish.prompt_tokens - without.finish.prompt_tokens

    return ask


@pytest.mark.parametrize("template", [LLAMA, MISTRAL])
def test_functions_are_offered_to_every_model_whose_template_shows_them(ask, template):
    call = ToolCall("abcdefghi", "weather", '{"city": "Rome"}')
    more = ask(template, QUESTION, Message("assistant", "", (call,)), Message("tool", "no", (), call.id))
    assert more > 5


def test_a_text_is_begun_once_and_not_ended(tiny_model, tmp_path):
    text = "In Brinmoor"
    model = shutil.copytree(tiny_model, tmp_path / "model")
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    ends = {marker: {"id": marker, "ids": [n], "tokens": [marker]} for n, marker in ((1, BEGIN), (2, END))}
    first, last = ({"SpecialToken": {"id": marker, "type_id": 0}} for marker in (BEGIN, END))
    single = [first, {"Sequence": {"id": "A", "type_id": 0}}, last]
    around = {"type": "TemplateProcessing", "single": single, "special_tokens": ends}
    around["pair"] = [*single, {"Sequence": {"id": "B", "type_id": 0}}]
    (model / "tokenizer.json").write_text(json.dumps({**tokenizer, "post_processor": around}))
    plain = load_tokenizer(model).encode(text, add_special_tokens=False)
    form = ChatForm(load_tokenizer(model), None, None, knows_system=True, knows_tools=False)
    for asked in (text, BEGIN + text):
        assert build_prompt(form, GenerationRequest(prompt=asked), context=None).tokens == (1, *plain)
    ended = build_prompt(form, GenerationRequest(prompt=text + END), context=None)
    assert ended.tokens[-1] == 2


def test_a_template_that_would_leave_them_out_is_refused(ask):
    with pytest.raises(InvalidField, match="no tools"):
        ask(MARKERS_ALONE, QUESTION)
