"""Files of settings: what is read from each format, what stays untouched, and that no key is ever shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands import run
from vllm_connect.migrate.configuration import CONFIGURATION
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.secret import masked
from vllm_connect.migrate.source import Kind

NAMES = st.sampled_from(["LOG", "OPENAI_RETRIES", "HOST_1", "DB_URL", "A"])
# What every format takes without escaping.
VALUES = st.from_regex(r"[A-Za-z][A-Za-z0-9./:_@-]{0,20}", fullmatch=True)
ADDRESS = "http://gpu1:8000/v1"


def kubernetes(name: str, value: str) -> str:
    return f'    - name: {name}\n      value: "{value}"\n'


# How each format writes one variable, and what stands before all of them.
FORMATS: dict[str, tuple[Kind, str, Callable[[str, str], str]]] = {
    "env": ("env", "# Settings\n", lambda name, value: f"{name}={value}\n"),
    "env, quoted": ("env", "\n", lambda name, value: f'export {name}="{value}" # why\n'),
    "shell": ("shell", "#!/bin/sh\nset -e\n", lambda name, value: f"export {name}='{value}'\n"),
    "fish": ("shell", "", lambda name, value: f"set -gx {name} {value}\n"),
    "dockerfile": ("dockerfile", "FROM a\n", lambda name, value: f"ENV {name}={value}\n"),
    "mapping": ("yaml", "app:\n  environment:\n", lambda name, value: f"    {name}: {value}  # why\n"),
    "list": ("yaml", "app:\n  environment:\n", lambda name, value: f'  - "{name}={value}"\n'),
    "kubernetes": ("yaml", "spec:\n  - env:\n", kubernetes),
    "block": ("yaml", "steps:\n  - run: |\n", lambda name, value: f"      export {name}={value}\n"),
    "toml": ("toml", "[env]\n", lambda name, value: f'{name} = "{value}"\n'),
    "ini": ("ini", "[env]\n", lambda name, value: f"{name} = {value}\n"),
    "json": ("json", "{\n", lambda name, value: f'  "{name}": "{value}",\n'),
}


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)
@given(
    before=st.lists(st.tuples(NAMES, VALUES), max_size=3),
    after=st.lists(st.tuples(NAMES, VALUES), max_size=3),
)
def test_formats(name: str, before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    """In every format an address is written a second time in the form of its line, and all else stays as it is."""
    kind, head, write = FORMATS[name]
    start = head + "".join(write(*one) for one in before) + write("OPENAI_API_BASE", ADDRESS)
    end = "".join(write(*one) for one in after)
    came = CONFIGURATION[kind](start + end, "file", Project(), Options())
    assert came.text == start + write("VLLM_BASE_URL", ADDRESS) + end
    assert [(one.rule, one.is_fixed) for one in came.findings] == [("api-base-variable", True)]
    assert CONFIGURATION[kind](came.text, "file", Project(), Options()).text == came.text


@pytest.mark.parametrize("kind", sorted(CONFIGURATION))
@settings(deadline=None)
@given(text=st.text(alphabet=st.sampled_from("aA_=:-#\"'{}[]|>$\\ \n\r\t") | st.characters(), max_size=80))
def test_any_text(kind: Kind, text: str) -> None:
    """What is no such file, or a broken one, is read without a failure, and stays as it is."""
    assert CONFIGURATION[kind](text, "file", Project(), Options()).text == text


KEY = "sk-proj-canary0T3BlbkFJ0canary0canary"
OTHER = "canary-of-another-host"


@pytest.mark.parametrize(
    ("text", "is_code"),
    [
        ("OPENAI_API_KEY={}", False),
        ('export OPENAI_API_KEY="{}" # c', False),
        ("  OPENAI_API_KEY: {}", False),
        ("  - name: OPENAI_API_KEY\n    value: '{}'", False),
        ("  - name: AZURE_OPENAI_KEY\n    value: {}", False),
        ('api_key = "{}"', False),
        ('{{"api_key": "{}"}}', False),
        ("DB_PASSWORD={}", False),
        ("X=https://me:{}@host/v1", False),
        ("curl -H 'Authorization: Bearer {}'", False),
        ("curl -H 'api-key: {}' https://host", False),
        ("curl -u me:{} https://host", False),
        ('client = OpenAI(api_key="{}")', True),
        ('openai.api_key: str = "{}"', True),
        ('os.environ["OPENAI_API_KEY"] = "{}"', True),
        ('os.getenv("OPENAI_API_KEY", "{}")', True),
        ("new OpenAI({{ apiKey: `{}` }})", True),
        ('headers={{"Authorization": f"Bearer {}"}}', True),
    ],
)
@pytest.mark.parametrize("secret", [KEY, OTHER])
def test_masks(text: str, is_code: bool, secret: str) -> None:  # noqa: FBT001 - a column of the table
    """What is given to a name that says key, token or password is not shown, whatever it looks like."""
    line = text.format(secret)
    shown = masked(line, is_code=is_code)
    assert secret not in shown
    assert shown == line.replace(secret, "***")


@pytest.mark.parametrize(
    ("line", "is_code"),
    [
        ("OPENAI_API_KEY=${OPENAI_API_KEY}", False),
        ("OPENAI_API_KEY: ${{ secrets.OPENAI_API_KEY }}", False),
        ("OPENAI_API_KEY=EMPTY", False),
        ("max_tokens: 100", False),
        ("client = OpenAI(api_key=settings.api_key, max_tokens=100)", True),
        ('api_key = os.environ["OPENAI_API_KEY"]', True),
        ("for token in tokens: print(token)", True),
    ],
)
def test_shows(line: str, is_code: bool) -> None:  # noqa: FBT001
    """Where a key comes from is shown, and what only sounds like one."""
    assert masked(line, is_code=is_code) == line


@pytest.mark.parametrize("form", [(), ("--json",), ("--sarif",)], ids=["text", "JSON", "SARIF"])
def test_no_key_is_shown(form: tuple[str, ...], tmp_path: Path) -> None:
    """A key in a file, in code or in settings, beside what changes, is in no form of the report."""
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nMY_TOKEN={OTHER}\nOPENAI_API_BASE={ADDRESS}\n")
    (tmp_path / "a.py").write_text(
        f'from openai import OpenAI\nclient = OpenAI(api_key="{KEY}")\nTOKEN = "{OTHER}"\n'
    )
    (tmp_path / "a.ts").write_text(f'import OpenAI from "openai";\nnew OpenAI({{apiKey: "{KEY}"}});\n')
    (tmp_path / "k.yaml").write_text(
        f"env:\n- name: OPENAI_API_KEY\n  value: {OTHER}\n- name: OPENAI_API_BASE\n  value: {ADDRESS}\n"
    )
    ended = run("migrate", str(tmp_path), *form)
    assert ended.returncode == 0, ended.stderr
    assert "VLLM_BASE_URL" in ended.stdout
    assert KEY not in ended.stdout + ended.stderr
    assert OTHER not in ended.stdout + ended.stderr
    assert form == () or json.loads(ended.stdout)
