"""Writes chat templates with what transformers renders from them: <crates/model/tests/golden>/chat.json.

The templates are ours. Each uses the constructs of the one that its family ships: ChatML with a default system message
(Qwen2.5), turns walked backwards and thoughts cut out of old answers (Qwen3), headers, trimmed contents and a date
(Llama 3), instruction blocks and a refusal (DeepSeek-Coder). A case has `text`, or the `error` that the template raises.
"""

import json
from pathlib import Path

import jinja2
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

OUT = Path(__file__).resolve().parent.parent / "crates/model/tests/golden/chat.json"

QWEN25 = r"""
{%- if tools %}
    {{- '<|im_start|>system\nTools:' }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
{%- else %}
    {{- '<|im_start|>system\nBe of use.<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != "tool" %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<result>' ~ message.content ~ '</result>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""

QWEN3 = r"""
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and message.content is string and not(message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and thought)) %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
"""

LLAMA3 = r"""{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "1 Jan 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{% for message in messages %}
    {% if message['role'] in ['user', 'assistant'] %}
        {% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}
{{ content -}}
    {% elif message['role'] == 'json' %}
{{ '{"length": ' ~ (message['content'] | length) ~ ', "of": ' ~ (message | tojson(indent=2)) ~ '}' }}
    {% endif %}
{% endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

DEEPSEEK = r"""{% if not add_generation_prompt is defined %}
{% set add_generation_prompt = false %}
{% endif %}
{%- set ns = namespace(found=false) -%}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {%- set ns.found = true -%}
    {%- endif -%}
{%- endfor -%}
{{bos_token}}{%- if not ns.found -%}
{{'You write programs.\n'}}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
{{ message['content'] }}
    {%- elif message['role'] == 'user' %}
{{'### Instruction:\n' + message['content'] + '\n'}}
    {%- elif message['role'] == 'assistant' %}
{{'### Response:\n' + message['content'] + '\n' + eos_token + '\n'}}
    {%- else %}
{{ raise_exception('Only the roles system, user and assistant are known: ' + message['role'] | upper) }}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}
{{'### Response:'}}
{% endif %}"""

SPECIAL = {
    "qwen2.5": (QWEN25, dict(bos_token=None, eos_token="<|im_end|>")),
    "qwen3": (QWEN3, dict(eos_token="<|im_end|>")),
    "llama3": (LLAMA3, dict(bos_token="<|begin|>", eos_token="<|eot_id|>")),
    "deepseek-coder": (DEEPSEEK, dict(bos_token="<|begin|>", eos_token="<|EOT|>")),
}


def turns(*pairs):
    return [dict(role=role, content=content) for role, content in pairs]


CONVERSATIONS = [
    turns(("user", "Write f.")),
    turns(("system", "Be terse."), ("user", "  Write f.\n\n```python\ndef f(x):\n```\n")),
    turns(("user", "Hi <b>&</b> \"you\" 'there' {{ x }} é 中"), ("assistant", "Yes?\n"), ("user", "f(x) == 1 < 2")),
    turns(
        ("system", "S"),
        ("user", "a"),
        ("assistant", "<think>\nlong\nthought\n</think>\n\nfirst"),
        ("user", "b"),
        ("assistant", "<think>\nmore\n</think>\n\nsecond"),
    ),
    turns(("user", "q"), ("assistant", ""), ("system", "late")),
    turns(("user", "u"), ("tool", "42"), ("tool", "<43>"), ("json", "[1]")),
]


def rendered(template, messages, generate, special):
    case = dict(messages=messages, add_generation_prompt=generate)
    try:
        texts, _ = render_jinja_template(
            [messages], chat_template=template, add_generation_prompt=generate, **special
        )
        return dict(**case, text=texts[0])
    except jinja2.exceptions.TemplateError as e:
        return dict(**case, error=str(e))


def main():
    golden = dict(source=f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}", templates=[])
    for name, (template, special) in SPECIAL.items():
        special = {key: token for key, token in special.items() if token is not None}
        cases = [rendered(template, m, generate, special) for m in CONVERSATIONS for generate in [True, False]]
        golden["templates"].append(dict(name=name, template=template, special=special, cases=cases))
    OUT.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
    print(f"{OUT.stat().st_size} bytes, {sum('error' in c for t in golden['templates'] for c in t['cases'])} refusals")


if __name__ == "__main__":
    main()
