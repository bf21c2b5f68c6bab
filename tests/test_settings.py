"""Settings: merged by precedence with the origin of every value; a wrong one gets one line with its place."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from vllm_connect import KeyRejected, Settings, SettingsError, SettingsWarning, Timeouts

USER_FILE = "config.toml"
Environ = dict[str, str]


def load(
    arguments: dict[str, Any] | None = None,
    environ: Environ | None = None,
    *,
    project: str | None = None,
    user: str | None = None,
) -> Settings:
    """Load settings from texts of a project file and of a user file in the current folder."""
    variables = dict(environ or {})
    if project is not None:
        Path("vllm-connect.toml").write_text(project, encoding="utf-8")
        Path("vllm-connect.toml").chmod(0o600)
    if user is not None:
        path = Path(USER_FILE).absolute()
        path.write_text(user, encoding="utf-8")
        path.chmod(0o600)
        variables["VLLMCONNECT_CONFIG"] = str(path)
    return Settings.load(arguments or {}, environ=variables, folder=Path.cwd(), home=Path.cwd())


def test_default() -> None:
    """Without anything said, the server is vLLM's default on this machine, without a key."""
    settings = load()
    assert str(settings.endpoint) == "http://localhost:8000/v1"
    assert settings.key is None
    assert settings.origins["base_url"] == "default"


@pytest.mark.parametrize(
    ("sources", "model", "origin"),
    [
        ("argument environment project user", "from-argument", "argument"),
        ("environment project user", "from-environment", "VLLM_MODEL"),
        ("project user", "from-project", "vllm-connect.toml:1"),
        ("user", "from-user", f"{USER_FILE}:1"),
    ],
)
def test_precedence(sources: str, model: str, origin: str) -> None:
    """Arguments win over the environment, that over the project file, that over the user file."""
    settings = load(
        {"model": "from-argument"} if "argument" in sources else {},
        {"VLLM_MODEL": "from-environment"} if "environment" in sources else {},
        project='model = "from-project"' if "project" in sources else None,
        user='model = "from-user"' if "user" in sources else None,
    )
    assert settings.model == model
    assert settings.origins["model"].endswith(origin)


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({"VLLM_BASE_URL": "right", "VLLM_API_BASE": "wrong"}, "VLLM_BASE_URL"),
        ({"VLLM_API_BASE": "right", "HOSTED_VLLM_API_BASE": "wrong"}, "VLLM_API_BASE"),
        ({"HOSTED_VLLM_API_BASE": "right", "OPENAI_BASE_URL": "wrong"}, "HOSTED_VLLM_API_BASE"),
        ({"OPENAI_BASE_URL": "right"}, "OPENAI_BASE_URL"),
        ({"VLLM_BASE_URL": "", "VLLM_API_BASE": " ", "OPENAI_BASE_URL": "right"}, "OPENAI_BASE_URL"),
    ],
)
def test_aliases_of_variables(environ: Environ, origin: str) -> None:
    """The customary variables are read in a fixed order; an empty one counts as not set."""
    settings = load(environ=environ)
    assert settings.endpoint.host == "right"
    assert settings.origins["base_url"] == origin


PROFILES = """
profile = "dev"
model = "of-the-file"
[profiles.dev]
base_url = "dev-host"
[profiles.prod]
base_url = "prod-host"
model = "of-prod"
"""


@pytest.mark.parametrize(
    ("arguments", "environ", "host", "model"),
    [
        ({}, {}, "dev-host", "of-the-file"),
        ({}, {"VLLMCONNECT_PROFILE": "prod"}, "prod-host", "of-prod"),
        ({}, {"VLLMCONNECT_PROFILE": "prod", "VLLM_BASE_URL": "env-host"}, "env-host", "of-prod"),
        ({"profile": "prod"}, {"VLLM_BASE_URL": "env-host"}, "prod-host", "of-prod"),
        ({"profile": "prod", "base_url": "given"}, {}, "given", "of-prod"),
    ],
)
def test_profiles(arguments: dict[str, Any], environ: Environ, host: str, model: str) -> None:
    """A profile chosen by argument ranks with the arguments, by variable below the other variables, else in its file."""
    settings = load(arguments, environ, project=PROFILES)
    assert (settings.endpoint.host, settings.model) == (host, model)


def test_tables_merge_by_key() -> None:
    """Tables are merged key by key, each key with its own origin; an argument replaces the whole table."""
    settings = load(
        project='[timeouts]\nfirst_token = 1\n[model_aliases]\n"gpt-4o" = "p"',
        user='[timeouts]\nfirst_token = 2\ntotal = 3\n[model_aliases]\n"gpt-4o" = "u"\nother = "o"',
    )
    assert settings.timeouts == Timeouts(first_token=1, total=3)
    assert settings.model_aliases == {"gpt-4o": "p", "other": "o"}
    assert settings.origins["timeouts.total"].endswith(USER_FILE + ":1")
    assert load({"timeouts": Timeouts(total=9)}, project="[timeouts]\ntotal = 1").timeouts.total == 9


def test_pyproject_and_upwards(tmp_path: Path) -> None:
    """The project file is the nearest one upwards, `[tool.vllm-connect]` included, and not above the repository."""
    (tmp_path / "pyproject.toml").write_text('[tool.vllm-connect]\nbase_url = "from-above"\n')
    inner = tmp_path / "repository" / "package"
    inner.mkdir(parents=True)
    settings = Settings.load(environ={}, folder=inner, home=tmp_path)
    assert settings.endpoint.host == "from-above"
    assert settings.origins["base_url"].endswith("pyproject.toml:2")
    (tmp_path / "repository" / ".git").mkdir()
    assert Settings.load(environ={}, folder=inner, home=tmp_path).endpoint.host == "localhost"


WRONG = [
    ('base_ulr = "gpu1"', "vllm-connect.toml:1: unknown setting `base_ulr`; did you mean `base_url`?"),
    ('\n[profiles.prod]\nmodle = "x"', "vllm-connect.toml:3: unknown setting `modle`; did you mean `model`?"),
    ("model = 3", "vllm-connect.toml:1: `model` takes the name of a served model, not a number"),
    ("[timeouts]\nfirst_tokn = 3", "unknown setting `timeouts.first_tokn`; did you mean `first_token`?"),
    ('[timeouts]\ntotal = "long"', "timeouts.total is 'long'; it takes a number of seconds, or None for off"),
    ("[timeouts]\ntotal = -1", "takes a positive number"),
    ("model = ", "vllm-connect.toml:1: not valid TOML"),
    ('base_url = "http://u:secret@gpu1"', "user information"),
    ('base_url = ["gpu1", "gpu1:8000"]', "twice"),
    ('api_key_command = ["cat", "key"]', "`api_key_command` is not taken from a project file"),
    ("use_openai_api_key = true", "is not taken from a project file"),
    ('profile = "prdo"\n[profiles.prod]', "no profile named 'prdo'; did you mean `prod`?"),
    ("profiles = 3", "`profiles` is a table of tables"),
]


@pytest.mark.parametrize(("text", "line"), WRONG)
def test_wrong_file(text: str, line: str) -> None:
    """A wrong setting gets one line: file and line, what is wrong, the nearest valid name; never a secret."""
    with pytest.raises(SettingsError) as caught:
        load(project=text)
    assert line in str(caught.value)
    assert "secret" not in str(caught.value)


def test_every_problem_is_named() -> None:
    """A file with several wrong settings has them all named at once."""
    with pytest.raises(SettingsError) as caught:
        load(project="modle = 1\nbase_url = 2\n")
    assert [line.partition(":")[2][0] for line in str(caught.value).splitlines()] == ["1", "2"]


def test_unreadable_files() -> None:
    """A settings file that cannot be read or decoded gets one line; one that is named must exist."""
    Path("vllm-connect.toml").mkdir()
    with pytest.raises(SettingsError, match=r"vllm-connect.toml: the settings file cannot be read"):
        load()
    Path("vllm-connect.toml").rmdir()
    Path("vllm-connect.toml").write_bytes(b'model = "\xff"')
    with pytest.raises(SettingsError, match="not UTF-8"):
        load()
    Path("vllm-connect.toml").unlink()
    with pytest.raises(SettingsError, match="VLLMCONNECT_CONFIG: there is no file"):
        load(environ={"VLLMCONNECT_CONFIG": "/nowhere/config.toml"})


def test_byte_order_mark() -> None:
    """A byte order mark, as some editors write it, does no harm."""
    assert load(project='\ufeffmodel = "qwen"').model == "qwen"


def test_missing_home() -> None:
    """A home folder that does not exist means defaults."""
    nowhere = Path("/nowhere")
    assert Settings.load(environ={}, folder=nowhere, home=nowhere).model is None


def test_readable_key_file_is_warned_about() -> None:
    """A settings file that holds a key and can be read by others is warned about, with the command that mends it."""
    path = Path("vllm-connect.toml")
    path.write_text('base_url = "gpu1"\napi_key = "secret-key"\n')
    path.chmod(0o640)
    with pytest.warns(SettingsWarning, match="chmod 600") as caught:
        load()
    assert "secret-key" not in str(caught[0].message)
    path.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load()


def test_unknown_variable_is_warned_about() -> None:
    """A variable of our own prefix that nothing reads is warned about with the nearest one."""
    with pytest.warns(SettingsWarning, match="did you mean `VLLMCONNECT_PROFILE`"):
        load(environ={"VLLMCONNECT_PROFIL": "prod"})


# Address source, key source, other words of the settings -> whether the key is sent.
PAIRS: list[tuple[str, str, bool]] = [
    ("argument", "argument", True),
    ("argument", "VLLM_API_KEY", True),
    ("argument", "OPENAI_API_KEY", True),
    ("argument", "OPENAI_API_KEY=sk-proj-1", False),
    ("argument", "OPENAI_API_KEY=sk-svcacct-1", False),
    ("argument", "OPENAI_API_KEY=sk-xT3BlbkFJx", False),
    ("argument", "user", True),
    ("VLLM_BASE_URL", "VLLM_API_KEY", True),
    ("VLLM_API_BASE", "VLLM_API_KEY", True),
    ("VLLM_BASE_URL", "HOSTED_VLLM_API_KEY", True),
    ("VLLM_BASE_URL", "OPENAI_API_KEY", False),
    ("VLLM_BASE_URL", "user", False),
    ("OPENAI_BASE_URL", "OPENAI_API_KEY", True),
    ("OPENAI_BASE_URL", "OPENAI_API_KEY=sk-proj-1", False),
    ("OPENAI_BASE_URL", "VLLM_API_KEY", False),
    ("project", "argument", True),
    ("project", "VLLM_API_KEY", False),
    ("project", "OPENAI_API_KEY", False),
    ("project", "project", True),
    ("project", "user", False),
    ("user", "user", True),
    ("user", "VLLM_API_KEY", False),
    ("default", "VLLM_API_KEY", True),
    ("default", "OPENAI_API_KEY", False),
    ("default", "user", True),
]


@pytest.mark.parametrize(("address", "key", "sent"), PAIRS)
def test_pairs(address: str, key: str, *, sent: bool) -> None:
    """A key goes only where its own source sends it, or where an argument does; a withheld one is named."""
    variable, _, text = key.partition("=")

    def written(kind: str) -> str:
        lines = ('base_url = "gpu1"' if address == kind else "", 'api_key = "the-key"' if key == kind else "")
        return "\n".join(lines)

    arguments = {
        **({"base_url": "gpu1"} if address == "argument" else {}),
        **({"api_key": "the-key"} if key == "argument" else {}),
    }
    environ = {
        **({address: "gpu1"} if address.isupper() else {}),
        **({variable: text or "the-key"} if variable.isupper() else {}),
    }
    settings = load(arguments, environ, project=written("project"), user=written("user"))
    assert (settings.key is not None) is sent
    assert bool(settings.withheld) is not sent


def test_openai_host_and_override() -> None:
    """A platform key goes to OpenAI's own host, and elsewhere only with use_openai_api_key, which no project sets."""
    environ = {"OPENAI_API_KEY": "sk-proj-1", "OPENAI_BASE_URL": "https://api.openai.com/v1"}
    assert load(environ=environ).key is not None
    override = {"base_url": "gpu1", "use_openai_api_key": True}
    assert load(override, {"OPENAI_API_KEY": "sk-proj-1"}).key is not None
    cloned = load({"use_openai_api_key": True}, {"OPENAI_API_KEY": "sk-proj-1"}, project='base_url = "evil"')
    assert cloned.key is None


def test_keys_of_profiles() -> None:
    """A profile's key goes to that profile's address; a file's own key serves its profiles if it names no address."""
    shared = 'api_key = "k1"\n[profiles.a]\nbase_url = "host-a"\n'
    assert load({"profile": "a"}, user=shared).key is not None
    bound = 'base_url = "host-0"\n' + shared
    assert load({"profile": "a"}, user=bound).key is None


@pytest.mark.parametrize(
    "setting",
    [
        'api_key_file = "{folder}/key"',
        f'api_key_command = ["{sys.executable}", "-c", "print(open(\'{{folder}}/key\').read())"]',
        'api_key_env = "MY_KEY"',
    ],
)
def test_key_sources(setting: str, tmp_path: Path) -> None:
    """A key is read from a file, a command or a named variable of the user file, with its newline stripped."""
    (tmp_path / "key").write_text("from-elsewhere\n")
    user = f'base_url = "gpu1"\n{setting.format(folder=tmp_path)}\n'
    settings = load(environ={"MY_KEY": "from-elsewhere "}, user=user)
    assert settings.key is not None
    assert settings.key.load().reveal() == "from-elsewhere"
    assert USER_FILE in settings.origins["api_key"]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ('api_key_file = "/nowhere/key"', "cannot be read"),
        ('api_key_command = ["/nowhere/command"]', "did not run"),
        (f'api_key_command = ["{sys.executable}", "-c", "print(\'leaked\'); exit(3)"]', "exit code 3"),
        ('api_key_env = "NOT_SET"', "NOT_SET is not set"),
        ('api_key_keyring = "only-service"', "service/user"),
        ("api_key_prompt = true", "asks for the key at a terminal"),
        ('api_key = "one"\napi_key_file = "two"', "both give the key"),
    ],
)
def test_key_sources_that_fail(setting: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that cannot be loaded is named by its place and its reason, never by what was read."""
    monkeypatch.setattr(sys, "stdin", Path("/dev/null").open())  # noqa: SIM115  # closed with the process
    with pytest.raises((KeyRejected, SettingsError)) as caught:
        source = load(user=f'base_url = "gpu1"\n{setting}\n').key
        assert source is not None
        source.load()
    assert problem in str(caught.value)
    assert "leaked" not in str(caught.value)
    sys.stdin.close()


def test_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is read from the system's keyring; an entry that is missing is named with how to store it."""
    keyring = pytest.importorskip("keyring")
    backend = __import__("keyring.backend", fromlist=["KeyringBackend"])

    class Memory(backend.KeyringBackend):  # type: ignore[name-defined, misc]  # imported only if installed
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return "from-keyring" if (service, username) == ("vllm", "me") else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

    before = keyring.get_keyring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", Memory())
    found = load(user='base_url = "gpu1"\napi_key_keyring = "vllm/me"').key
    missing = load(user='base_url = "gpu1"\napi_key_keyring = "vllm/you"').key
    assert found is not None
    assert missing is not None
    assert found.load().reveal() == "from-keyring"
    with pytest.raises(KeyRejected, match="keyring set vllm you"):
        missing.load()
    assert before is not None


@pytest.mark.parametrize(
    ("environ", "project"),
    [({"OPENAI_BASE_URL": "gpu1"}, None), ({"VLLM_BASE_URL": "gpu1"}, "[tls]\nca = 'evil.pem'")],
)
def test_tls_of_a_project_file(environ: Environ, project: str | None) -> None:
    """A project file's TLS settings hold for its own server only: it must not weaken another one."""
    assert load(environ=environ, project=project).tls is None
    own = load(project="base_url = 'https://gpu1'\n[tls]\nca = 'own.pem'")
    assert own.tls is not None
    assert own.tls.ca == "own.pem"


def test_unverified_tls_is_warned_about() -> None:
    """Turning the check of certificates off is loud."""
    with pytest.warns(SettingsWarning, match=r"tls.verify is off"):
        load(user="base_url = 'https://gpu1'\n[tls]\nverify = false")


@pytest.mark.parametrize("seconds", [0, -1, math.nan, "5", True])
def test_wrong_timeouts(seconds: Any) -> None:
    """A timer is a positive number or None: zero and text are refused when they are given."""
    with pytest.raises(SettingsError, match=r"timeouts.connect"):
        Timeouts(connect=seconds)


def test_project_file_of_another(tmp_path: Path) -> None:
    """A project file that others may write is not read, and warned about: /tmp belongs to everybody."""
    path = tmp_path / "vllm-connect.toml"
    path.write_text('base_url = "evil"')
    path.chmod(0o666)
    with pytest.warns(SettingsWarning, match="others may write it"):
        settings = Settings.load(environ={}, folder=tmp_path, home=tmp_path)
    assert settings.endpoint.host == "localhost"


def test_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's broken pyproject.toml, a deleted folder and a missing home are no concern of ours."""
    Path("pyproject.toml").write_text("name = {{ cookiecutter.name }}")
    assert load().endpoint.host == "localhost"
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Settings.load(environ={}).endpoint.host == "localhost"


def test_user_file_beside_the_project(tmp_path: Path) -> None:
    """A file named as the user file is that, wherever it lies."""
    path = tmp_path / "vllm-connect.toml"
    path.write_text('base_url = "gpu1"\napi_key_env = "MY_KEY"')
    environ = {"VLLMCONNECT_CONFIG": str(path), "MY_KEY": "a-key"}
    assert Settings.load(environ=environ, folder=tmp_path, home=tmp_path).key is not None


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        ("{ ca = 5 }", "tls.ca takes the path"),
        ('{ client_cert = ["a", "b", "c"] }', "tls.client_cert takes the path"),
        ('{ verify = "false" }', "tls.verify takes true or false"),
    ],
)
def test_wrong_tls(tls: str, problem: str) -> None:
    """TLS settings of the wrong type are refused with their place."""
    with pytest.raises(SettingsError, match=problem) as caught:
        load(user=f"tls = {tls}")
    assert USER_FILE in str(caught.value)


def test_client_certificate_of_a_project() -> None:
    """A project file does not use its reader's client certificate."""
    with pytest.raises(SettingsError, match=r"tls.client_cert. is not taken from a project file"):
        load(project='base_url = "https://evil"\ntls = { client_cert = "~/.ssl/id.pem" }')
