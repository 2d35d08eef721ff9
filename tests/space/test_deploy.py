"""The Space: what goes into it, what its head says, one commit, its variable, and the tree as it is laid out."""

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, SpaceCard, constants

from space.deploy import ROOT, deploy, main, space_files, space_readme
from tests.hub.calls import Heard
from tests.hub.double import Fault, Hub
from tests.publishing.test_publish import QUICK, TOKEN, writes
from trainer.errors import UserError

MODEL = "tester/t5"


@pytest.fixture
def hub(monkeypatch):
    with Hub() as hub:
        # The double has no Xet; the client reads this setting at each upload.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        hub.put("model", MODEL, {"config.json": b"{}"})
        yield hub
        assert not hub.crashes and not hub.unknown


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token=TOKEN)


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A small checkout with everything in it that lies about in one."""
    wanted = "app.py requirements.txt LICENSE trainer/__init__.py trainer/publishing/card.md.jinja space/app_style.css"
    wanted += " space/starter/model.safetensors space/starter/config.json space/views/one.py"
    stray = "README.md tests/test_x.py trainer/recipes/smoke/train.jsonl trainer/records/x.json"
    stray += " trainer/base/model.safetensors trainer/__pycache__/x.json space/.env.json space/ratings.jsonl"
    stray += " space/token.txt space/views/.cache/x.py"
    stray += " runs/x/model.safetensors space/deploy.py .git/config"
    for name in f"{wanted} {stray}".split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    (tmp_path / "space/link.py").symlink_to(tmp_path / "tests/test_x.py")
    (tmp_path / "space/README.md").write_text((ROOT / "space/README.md").read_text("utf-8"), "utf-8")
    return tmp_path


# --- The head ------------------------------------------------------------------------------------------------


def test_head_of_the_readme():
    head = SpaceCard.load(ROOT / "space/README.md").data.to_dict()
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
    assert head["sdk"] == "gradio" and head["sdk_version"] == pins["gradio"]
    assert head["python_version"] == "3.11" and head["app_file"] == "app.py"
    assert head["license"] == "apache-2.0" and head["pinned"] is False
    assert 0 < len(head["short_description"]) <= 60
    assert {"title", "emoji", "colorFrom", "colorTo", "models", "preload_from_hub"} <= head.keys()


def test_the_model_is_filled_in():
    head, text = re.match(r"---\n(.*?)\n---\n(.*)", space_readme("ada/t5"), re.DOTALL).groups()
    head = yaml.safe_load(head)
    assert head["models"] == head["preload_from_hub"] == ["ada/t5"]
    assert isinstance(head["python_version"], str) and isinstance(head["sdk_version"], str)
    assert text == SpaceCard.load(ROOT / "space/README.md").text
    assert "preload_from_hub" not in space_readme("ada/t5", preload=False)


# --- The files -----------------------------------------------------------------------------------------------


def test_only_what_the_space_needs_goes_along(checkout):
    assert list(space_files(MODEL, root=checkout)) == [
        "LICENSE",
        "README.md",
        "app.py",
        "requirements.txt",
        "space/app_style.css",
        "space/starter/config.json",
        "space/starter/model.safetensors",
        "space/views/one.py",
        "trainer/__init__.py",
        "trainer/publishing/card.md.jinja",
    ]


def test_an_incomplete_checkout(checkout):
    (checkout / "app.py").unlink()
    with pytest.raises(UserError, match=r"app\.py is missing"):
        space_files(MODEL, root=checkout)


def test_dry_run_lists_and_asks_nobody(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["deploy"])
    assert main(["--space_id", "ada/demo", "--model_id", "ada/t5", "--dry_run"]) == 0
    printed = capsys.readouterr().out
    for name, content in space_files("ada/t5").items():
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        assert f"{size:>12,}  {name}\n" in printed
    assert "Nothing was done." in printed


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--space_id", "a/b/c", "--model_id", "a/b"], "--space_id is 'a/b/c'"),
        (["--space_id", "a b", "--model_id", "a/b"], "--space_id is 'a b'"),
        (["--space_id", "a/b", "--model_id", "t5-small"], "--model_id is 't5-small'"),
    ],
)
def test_wrong_names(argv, sentence, capsys):
    assert main(argv) == 2
    assert sentence in capsys.readouterr().err


# --- The commit ----------------------------------------------------------------------------------------------


def test_a_new_space(hub, api, checkout):
    heard = Heard()
    published = deploy("demo", MODEL, api=api, patience=QUICK, say=heard, root=checkout)
    assert published.url == f"{hub.endpoint}/spaces/tester/demo" and published.url in heard.text
    files = space_files(MODEL, root=checkout)
    assert set(hub.files("space", "tester/demo")) == {".gitattributes", *files}
    assert len(hub.commits("space", "tester/demo")) == 2
    assert hub.variables("tester/demo") == {"MODEL_ID": MODEL} and hub.secrets("tester/demo") == {}
    assert not any("hardware" in path or "secrets" in path for path in writes(hub))
    assert api.space_info("tester/demo").card_data["models"] == [MODEL]
    assert TOKEN not in heard.text


def test_an_update_replaces_our_files_keeps_the_owners_and_sets_the_variable(hub, api, checkout):
    old = {
        "trainer/gone.py": b"",
        "space/old/x.py": b"1",
        "owners.txt": b"mine",
        "README.md": b"---\nsdk: gradio\n---\n",
    }
    hub.put("space", "tester/demo", old)
    deploy("tester/demo", MODEL, api=api, patience=QUICK, say=Heard(), root=checkout)
    assert set(hub.files("space", "tester/demo")) == {"owners.txt", *space_files(MODEL, root=checkout)}
    assert hub.variables("tester/demo") == {"MODEL_ID": MODEL}
    before = len(hub.commits("space", "tester/demo")), len(writes(hub))
    deploy("tester/demo", MODEL, api=api, patience=QUICK, say=Heard(), root=checkout)
    assert (
        len(hub.commits("space", "tester/demo")),
        len(writes(hub)),
    ) == before  # nothing to do, nothing done


def test_private(hub, api, checkout):
    deploy("demo", MODEL, private=True, api=api, patience=QUICK, say=Heard(), root=checkout)
    assert hub.repo("space", "tester/demo").private


def test_a_private_model_is_not_preloaded_and_the_owner_is_told(hub, api, checkout):
    hub.put("model", "tester/secret", {"config.json": b"{}"}, private=True)
    heard = Heard()
    deploy("demo", "tester/secret", api=api, patience=QUICK, say=heard, root=checkout)
    assert "add a secret HF_TOKEN" in heard.text
    head = api.space_info("tester/demo").card_data
    assert head["models"] == ["tester/secret"] and "preload_from_hub" not in head.to_dict()


def test_a_model_that_is_not_there(hub, api, checkout):
    with pytest.raises(UserError, match=r"there is no model tester/nothing on the Hub"):
        deploy("demo", "tester/nothing", api=api, patience=QUICK, say=Heard(), root=checkout)
    assert writes(hub) == []


def test_no_right_to_the_name(hub, api, checkout):
    with pytest.raises(UserError, match=r"may not publish under 'google'.*--space_id tester/demo"):
        deploy("google/demo", MODEL, api=api, patience=QUICK, say=Heard(), root=checkout)
    assert writes(hub) == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("POST", "/api/repos/create", status=402, times=None), r"asks for a paid plan \(402\)"),
        (Fault("POST", "/commit/main", status=412, times=None), r"changed by somebody else"),
        (Fault("POST", "/commit/main", status=500, times=None), r"trouble of its own"),
    ],
    ids=["402", "412", "500"],
)
def test_a_failed_deployment_leaves_no_space(hub, api, checkout, fault, sentence):
    hub.fail(fault)
    quick = type(QUICK)(total=0.3, first_wait=0.1)
    with pytest.raises(UserError, match=sentence):
        deploy("demo", MODEL, api=api, patience=quick, say=Heard(), root=checkout)
    assert ("space", "tester/demo") not in hub.repos


def test_a_variable_that_cannot_be_set_is_told_and_mended_by_the_same_command(hub, api, checkout):
    hub.put("space", "tester/demo", {"README.md": b"---\nsdk: gradio\n---\n"})
    fault = hub.fail(Fault("POST", "/variables", status=403, times=None))
    with pytest.raises(UserError, match=r"may not write to Space tester/demo \(403\).*only sets the variable"):
        deploy("demo", MODEL, api=api, patience=QUICK, say=Heard(), root=checkout)
    hub.faults.remove(fault)
    commits = len(hub.commits("space", "tester/demo"))
    deploy("demo", MODEL, api=api, patience=QUICK, say=Heard(), root=checkout)
    assert hub.variables("tester/demo") == {"MODEL_ID": MODEL}
    assert len(hub.commits("space", "tester/demo")) == commits


# --- The tree as it is laid out ------------------------------------------------------------------------------


def lay_out(folder: Path, model_id: str) -> list[str]:
    """Writes into `folder` the tree exactly as the Space gets it, and returns its paths."""
    files = space_files(model_id)
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    return list(files)


def test_lay_out_is_what_the_space_gets(hub, api, tmp_path):
    paths = lay_out(tmp_path, MODEL)
    deploy("demo", MODEL, api=api, patience=QUICK, say=Heard())
    held = hub.files("space", "tester/demo")
    assert sorted(held) == sorted([".gitattributes", *paths])
    assert all((tmp_path / path).read_bytes() == held[path] for path in paths)
    assert {"app.py", "requirements.txt", "README.md", "space/serving.py", "trainer/summarizers/systems.py"} <= set(
        paths
    )


# Imported where it is asked for, and missed in a sentence: LoRA adapters (trainer/models/pretrained.py).
OPTIONAL = {"peft", "ctranslate2"}


def test_every_module_that_the_space_imports_is_in_the_tree(tmp_path):
    """Its own modules by file; packages by what requirements.txt brings, with all that those need in turn."""
    lay_out(tmp_path, MODEL)
    required = set()
    waiting = [
        re.split(r"[^\w.-]", line)[0]
        for line in (tmp_path / "requirements.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    while waiting:
        name = canonical(waiting.pop())
        if name in required:
            continue
        required.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need]
    providers = importlib.metadata.packages_distributions()
    for path in tmp_path.rglob("*.py"):
        for module in imported(path):
            top = module.split(".")[0]
            if top in ("trainer", "space"):
                place = tmp_path.joinpath(*module.split("."))
                assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), (path, module)
            elif top not in sys.stdlib_module_names and top not in OPTIONAL:
                assert required & {canonical(name) for name in providers.get(top, [])}, (path, module)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found
