from unittest.mock import patch

import openai


@patch("openai.AzureOpenAI")
def test_one(made, monkeypatch, mocker):
    monkeypatch.setattr(openai, "AsyncOpenAI", made)
    mocker.patch("app.openai.OpenAI")
    with patch("openai.chat.completions.create"), patch.object(openai, "OpenAI"):
        assert made.called


def test_others(monkeypatch, mocker):
    """The drop-in goes through what stands here, and these are others' own."""
    mocker.patch("openai.resources.chat.completions.Completions.create")
    monkeypatch.setattr(openai, "api_key", "k")
    mocker.patch("app.MyOpenAI")
