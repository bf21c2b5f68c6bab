"""Files as they are: encodings, line ends, notebooks, documents, projects of several modules, and what cannot be read."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

from vllm_connect.migrate.migration import Outcome, migrated_file
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.run import Finished, migration
from vllm_connect.migrate.source import MOST_BYTES
from vllm_connect.migrate.walk import files_of

OLD, NEW = "from openai import OpenAI", "from vllm_connect import OpenAI"


def migrate(path: Path) -> Outcome:
    return migrated_file(path, Project(), Options())


def run(*paths: Path) -> dict[str, Outcome]:
    finished = [event for event in migration(paths, Options(), workers=2) if isinstance(event, Finished)]
    return {one.path.name: one for one in finished[0].outcomes}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{OLD}\r\n\r\nx = 1\r\n", f"{NEW}\r\n\r\nx = 1\r\n"),
        (f"{OLD}\nx = 1\r\ny = 2", f"{NEW}\nx = 1\r\ny = 2"),
        (f"\ufeff{OLD}\n", f"\ufeff{NEW}\n"),
        (f"# -*- coding: utf-8 -*-\n# caf\u00e9\n{OLD}", f"# -*- coding: utf-8 -*-\n# caf\u00e9\n{NEW}"),
        (f"if True:\n\t{OLD}\n\n\n", f"if True:\n\t{NEW}\n\n\n"),
        (f"{OLD} ; x = 1\\\n  + 2\n\f\n", f"{NEW} ; x = 1\\\n  + 2\n\f\n"),
    ],
    ids=[
        "CRLF",
        "mixed line ends, no last one",
        "byte order mark",
        "encoding named",
        "tabs",
        "two on a line",
    ],
)
def test_all_else_stays(before: str, after: str, tmp_path: Path) -> None:
    """What is not rewritten stays byte for byte: line ends, marks, tabs, the end of the file."""
    path = tmp_path / "a.py"
    path.write_bytes(before.encode())
    assert migrate(path).content == after.encode()


def test_encoding(tmp_path: Path) -> None:
    """A file is read and written in the encoding that it names."""
    path = tmp_path / "a.py"
    path.write_bytes(f"# coding: latin-1\n# caf\u00e9\n{OLD}\n".encode("latin-1"))
    assert migrate(path).content == f"# coding: latin-1\n# caf\u00e9\n{NEW}\n".encode("latin-1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{OLD}\n\n# caf\u00e9\n".encode("latin-1"), "not utf-8"),
        (f"# coding: klingon\n{OLD}\n".encode(), "an encoding that Python does not know"),
        (f"# coding: rot13\n{OLD}\n".encode(), "no encoding of text"),
        (f"# coding: utf-7\n{OLD}\n# +AGE-\n".encode(), "not written back the same"),
        (f"{OLD}\nprint 'old'\n".encode(), "Python 2"),
        (f"{OLD}\n(\n".encode(), "not the Python"),
        (f"{OLD}\n\0\n".encode(), "not the Python"),
        (f"{OLD}\n{'(' * 3000}1{')' * 3000}\n".encode(), "too deeply"),
        (f"{OLD}\n#".encode() + b"x" * MOST_BYTES, "larger than 4 MiB"),
    ],
    ids=[
        "wrong encoding",
        "no such encoding",
        "no text",
        "several ways",
        "Python 2",
        "syntax",
        "null",
        "nested",
        "large",
    ],
)
def test_unreadable(content: bytes, said: str, tmp_path: Path) -> None:
    """A file that cannot be read or parsed is left as it is, and a finding says why; the others are done."""
    (tmp_path / "bad.py").write_bytes(content)
    (tmp_path / "good.py").write_text(f"{OLD}\n")
    came = run(tmp_path)
    assert came["good.py"].content == f"{NEW}\n".encode()
    assert came["bad.py"].content is None
    assert [one.rule for one in came["bad.py"].findings] == ["unparsed-file"]
    assert said in came["bad.py"].findings[0].message


def test_a_notebook_without_end(tmp_path: Path) -> None:
    """A notebook that is nested beyond what JSON's reader takes is one that cannot be read."""
    (tmp_path / "a.ipynb").write_text('{"import openai": ' + "[" * 100_000)
    (found,) = run(tmp_path)["a.ipynb"].findings
    assert (found.rule, "nested too deeply" in found.message) == ("unparsed-file", True)


@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no file is a finding, and nothing waits for it."""
    os.mkfifo(tmp_path / "a.py")
    assert [one.rule for one in run(tmp_path / "a.py")["a.py"].findings] == ["unparsed-file"]


def test_project(tmp_path: Path) -> None:
    """A client is followed through modules: re-exports, functions, attributes of classes, packages."""
    files = {
        "app/__init__.py": "from .llm import client, make\n",
        "app/llm.py": f"""
            {OLD}
            client = OpenAI()

            def make():
                made = OpenAI()
                return made

            class Service:
                shared: OpenAI

                described: OpenAI = field(default_factory=OpenAI)

                def __init__(self):
                    self.client = make()
            """,
        "app/use.py": """
            import app
            from . import llm
            from .llm import Service as Service_
            from app import client as c, make

            def run(service: Service_):
                app.client.completions.create(prompt="1", extra_body={"guided_regex": "a"})
                llm.client.completions.create(prompt="2", extra_body={"guided_regex": "a"})
                c.completions.create(prompt="3", extra_body={"guided_regex": "a"})
                make().completions.create(prompt="4", extra_body={"guided_regex": "a"})
                service.client.completions.create(prompt="5", extra_body={"guided_regex": "a"})
                Service_().shared.completions.create(prompt="6", extra_body={"guided_regex": "a"})
                service.described.completions.create(prompt="8", extra_body={"guided_regex": "a"})
                with make() as d:
                    create = d.completions.create
                create(prompt="7", extra_body={"guided_regex": "a"})
            """,
        "other.py": "from app.llm import missing\nmissing.completions.create(extra_body={'guided_regex': 'a'})\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    came = run(tmp_path)
    assert came["use.py"].after.count("structured_outputs") == 8
    assert "guided_regex" not in came["use.py"].after
    assert came["other.py"].content is None
    assert [one.is_fixed for one in came["other.py"].findings] == [False]


def test_notebook(tmp_path: Path) -> None:
    """Code cells change, magics and all else of a notebook stay byte for byte; names go from cell to cell."""
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"```\n{OLD}\n```"]},
        {"cell_type": "code", "outputs": [{"text": OLD}], "source": ["%pip install openai\n", "!ls\n", OLD]},
        {"cell_type": "code", "source": "%%bash\necho openai"},
        {"cell_type": "code", "source": ["client = OpenAI()\n", "files = !ls\n", "client?\n"]},
        {"cell_type": "code", "source": "def broken(:"},
        {
            "source": "client.completions.create(prompt='\u00e9', extra_body={'guided_regex': 'a'})",
            "cell_type": "code",
        },
    ]
    before = json.dumps({"cells": cells, "nbformat": 4, "n": 1.50}, indent=1, ensure_ascii=False) + "\n"
    path = tmp_path / "a.ipynb"
    path.write_text(before, encoding="utf-8")
    came = migrate(path)
    expected = before.replace(f'    "{OLD}"\n   ]', f'    "{NEW}"\n   ]')
    expected = expected.replace("'guided_regex': 'a'", "'structured_outputs': {\\\"regex\\\": 'a'}")
    assert came.after == expected
    lines = before.splitlines()
    assert all(
        "guided_regex" in lines[one.line - 1] for one in came.findings if one.rule == "guided-decoding"
    )
    assert any("cell 6, line 1" in one.message for one in came.findings)


def test_markdown(tmp_path: Path) -> None:
    """Python blocks of a document change, one using the names of another; all between them stays."""
    before = f"# Title {OLD}\n\n```python title=a\n{OLD}\n```\n\n1. Item\n\n   ```py\n   client = OpenAI(project='p')\n   ```\n\n```sh\n{OLD}\n```\n~~~python\nsome ... pseudo code\n~~~\n"
    path = tmp_path / "a.md"
    path.write_text(before)
    expected = before.replace(f"```python title=a\n{OLD}", f"```python title=a\n{NEW}").replace(
        "project='p'", ""
    )
    assert migrate(path).after == expected


def test_files(tmp_path: Path) -> None:
    """Caches, environments and dependencies are left out, links are not followed out of the folder, a named file is taken."""
    for name in (
        "a.py",
        "sub/b.md",
        "node_modules/c.py",
        "env/pyvenv.cfg",
        "env/d.py",
        "e.bin",
        "build/f.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    outside = tmp_path.with_name("outside.py")
    outside.write_text("x")
    (tmp_path / "link.py").symlink_to(outside)
    names = [str(path.relative_to(tmp_path)) for path in files_of([tmp_path])]
    assert names == ["a.py", "sub/b.md"]
    named = tmp_path / "build" / "f.py"
    assert files_of([named, tmp_path, tmp_path / "a.py"]) == [
        named,
        tmp_path / "a.py",
        tmp_path / "sub" / "b.md",
    ]


@pytest.mark.timeout(45)
def test_names_that_lead_to_themselves(tmp_path: Path) -> None:
    """Names that are given each other's values, and themselves with something behind, take no time to speak of."""
    names = [f"n{number}" for number in range(40)]
    lines = [
        f"    {one} = {other}.parent or {one}.next or {third}"
        for one in names
        for other in names[:4]
        for third in names[-3:]
    ]
    text = f"{OLD}\nc = c.parent\nc = c.other.parent or OpenAI()\n\ndef f({', '.join(names)}):\n" + "\n".join(
        lines
    )
    text += "\n    n1.completions.create(prompt='', extra_body={'guided_regex': 'a'})\n"
    text += "    c.completions.create(prompt='', extra_body={'guided_regex': 'a'})\n"
    path = tmp_path / "a.py"
    path.write_text(text)
    assert [one.is_fixed for one in migrate(path).findings if one.rule == "guided-decoding"] == [False, False]


def test_what_code_asks_of_a_server(tmp_path: Path) -> None:
    """Endpoints, models and parameters are noted as they are after the migration, with the lines of the file."""
    path = tmp_path / "a.py"
    path.write_text(
        f"""{OLD}
MODEL = "qwen"
client = OpenAI(
    organization="o",
)
client.chat.completions.create(model=MODEL, messages=[], tools=tools, tool_choice="auto", temperature=0.5,
    extra_body={{"guided_choice": ["a"], "top_k": 3}})
client.models.list()
unknown.embeddings.create(model="bge", input="x")
"""
    )
    came = migrated_file(path, Project(), Options())
    assert {(one.what, one.name, one.value, one.line, one.is_sure) for one in came.usages} == {
        ("endpoint", "/chat/completions", "", 6, True),
        ("model", "qwen", "", 6, True),
        ("parameter", "messages", "[]", 6, True),
        ("parameter", "tools", "", 6, True),
        ("parameter", "tool_choice", '"auto"', 6, True),
        ("parameter", "temperature", "0.5", 6, True),
        ("parameter", "structured_outputs", '{"choice": ["a"]}', 7, True),
        ("parameter", "top_k", "3", 7, True),
        ("endpoint", "/models", "", 8, True),
        ("endpoint", "/embeddings", "", 9, False),
        ("model", "bge", "", 9, False),
        ("parameter", "input", '"x"', 9, False),
    }


def test_imports_that_nothing_reads_any_more(tmp_path: Path) -> None:
    """What only a rewritten part read is imported no more; what nothing read before, or others read, stays."""
    path = tmp_path / "a.py"
    path.write_text(
        f"import os\nimport re\nimport sys, json  # noqa: E401\n{OLD}\n__all__ = ['json']\n"
        "client = OpenAI(api_key=os.environ['OPENAI_API_KEY'], organization=sys.argv[1], project=json)\n"
    )
    came = migrate(path)
    assert came.after.splitlines()[:3] == ["import re", "import sys, json  # noqa: E401", NEW]


def test_a_key_in_what_is_said(tmp_path: Path) -> None:
    """What is said of a place shows no key, also where a name of a model is quoted that holds one."""
    path = tmp_path / "a.py"
    path.write_text(f'{NEW}\nclient = OpenAI(model="gpt-4:sk-proj-canary0canary")\n')
    said = [one for one in migrate(path).findings if one.rule == "model-literal"]
    assert said
    assert "canary" not in repr(said)
