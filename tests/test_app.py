"""The HTTP interface of `python app.py`, really started, through Gradio's own client; and its command line."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import app
from space import calls
from space.engine import Engine
from tests.server import Server
from tests.space.pages import ARTICLES

SETTINGS = {"num_beams": 1, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def client(demo: Server) -> Client:
    client = Client(demo.url, verbose=False)
    end = time.monotonic() + 120
    while time.monotonic() < end:  # the folder of --model takes over from the starter
        answer = client.predict("Words.", **SETTINGS, api_name="/summarize")
        if answer["model"].endswith("tiny-t5"):
            return client
        time.sleep(0.2)
    pytest.fail(f"{answer['model']} answers, not the model that was asked for:\n{demo.text()}")


@pytest.fixture(scope="module")
def engine(demo: Server) -> Engine:
    """The same model in this process."""
    folder = demo.log.parent / "tiny-t5"
    return Engine.load(folder, name=str(folder))


def test_the_first_page_comes_within_ten_seconds(demo):
    # Of processor time, which other tests on the same machine do not lengthen.
    assert demo.first_page < 10


def test_the_endpoints_are_those_that_are_documented(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    readme = (Path(app.__file__).parent / "README.md").read_text("utf-8")
    assert set(named) == set(re.findall(r"^\| `(/\w+)` \|", readme, re.MULTILINE))
    required = {
        name: [one["parameter_name"] for one in endpoint["parameters"] if not one["parameter_has_default"]]
        for name, endpoint in named.items()
    }
    assert required == {
        "/summarize": ["article"],
        "/score": ["summary", "reference"],
        "/attribute": ["article"],
        "/guards": ["article"],
        "/probabilities": ["article", "summary"],
        "/without": ["article"],
    }


def test_summarize(client, engine):
    article = ARTICLES["plain"]
    answer = client.predict(article, num_beams=2, max_new_tokens=12, length_penalty=0.5, api_name="/summarize")
    own = engine.summarize(article, {"num_beams": 2, "max_new_tokens": 12, "length_penalty": 0.5})
    assert answer["summary"] == own.text != ""
    assert answer["tokens_read"] == answer["tokens_total"] == own.tokens_read
    assert answer["decoding"]["num_beams"] == 2
    assert answer["decoding"]["max_new_tokens"] == 12
    assert answer["decoding"]["length_penalty"] == 0.5
    assert answer["revision"] is None
    default = client.predict(article, api_name="/summarize")
    assert default["decoding"]["max_new_tokens"] == engine.summarize(article, {}).decoding["max_new_tokens"]


def test_the_curl_call_of_the_readme_runs_as_printed(client, demo):
    readme = (Path(app.__file__).parent / "README.md").read_text("utf-8")
    (call,) = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    assert call.count("http://127.0.0.1:7860/") == 2
    call = call.replace("http://127.0.0.1:7860/", demo.url)
    done = subprocess.run(["bash", "-c", call], capture_output=True, text=True, timeout=120, check=True)
    assert "event: complete\n" in done.stdout, done.stdout
    (answer,) = json.loads(done.stdout.rpartition("data: ")[2])
    assert (
        answer["summary"] == client.predict("The mill burnt down. Nobody was hurt.", api_name="/summarize")["summary"]
    )


def test_the_curl_commands_that_the_page_prints_run_as_printed(client, demo):
    """In bash, where `read` at the end of a pipe sets nothing, and in sh."""
    described = httpx.get(f"{demo.url}gradio_api/info", trust_env=False).json()["named_endpoints"]
    for name, key in (("/summarize", "summary"), ("/score", "rouge1"), ("/attribute", "spans")):
        command = described[name]["code_snippets"]["bash"]
        for shell in ("bash", "sh") if name == "/score" else ("bash",):
            done = subprocess.run([shell, "-c", command], capture_output=True, text=True, timeout=120, check=True)
            event, found = done.stdout.rpartition("data: ")[0], json.loads(done.stdout.rpartition("data: ")[2])
            if name == "/attribute" and not client.predict(calls.EXAMPLES["article"], api_name="/summarize")["summary"]:
                # The command asks for the words behind the model's own summary; the random model here writes none.
                assert event.endswith("event: error\n") and "The model wrote nothing" in found["error"]
            else:
                assert event.endswith("event: complete\n"), command + done.stdout
                assert key in found[0]


def post(demo: Server, path: str, body: str) -> tuple[int, dict]:
    """Status and answer of a call as curl makes it; `-H` for JSON may be forgotten."""
    command = ["curl", "-s", "-w", "%{stderr}%{http_code}", f"{demo.url}gradio_api/call/{path}", "-d", body]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return int(done.stderr), json.loads(done.stdout)


@pytest.mark.parametrize("path", ["summarize", "summarize/", "v2/summarize"])
def test_a_call_with_the_article_alone_gets_the_defaults(client, demo, path):
    article = "The mill burnt down. Nobody was hurt."
    status, answer = post(demo, path, json.dumps({"article": article} if "v2" in path else {"data": [article]}))
    assert status == 200
    command = ["curl", "-sN", f"{demo.url}gradio_api/call/summarize/{answer['event_id']}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    (found,) = json.loads(said.rpartition("data: ")[2])
    assert found["summary"] == client.predict(article, api_name="/summarize")["summary"]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("summarize", '{"data": []}', "/summarize takes article, num_beams, .*: article is missing"),
        ("score", '{"data": ["Words."]}', "/score takes summary, reference: reference is missing"),
        ("score", '{"data": ["Words.", "Words.", 3]}', "/score takes summary, reference: 3 values are too many"),
        ("summarize", "{}", r'The body must be {"data": \[VALUE, …\]}: /summarize takes'),
        ("summarize", '{"data": "Words."}', r'The body must be {"data": \[VALUE, …\]}'),
        ("summarize", "Words.", "The body is no JSON"),
        ("v2/summarize", "[]", "must be a JSON object, not list"),
        ("v2/summarize", "{}", "article is missing"),
        ("v2/summarize", '{"article": "Words.", "beams": 2}', "not beams, did you mean num_beams?"),
        ("v2/sumarize", '{"article": "Words."}', "There is no /sumarize: did you mean /summarize?"),
        (
            "page",
            '{"data": []}',
            "There is no /page: it is /summarize, /score, /attribute, /guards, /probabilities or /without",
        ),
    ],
)
def test_a_call_that_lacks_something_is_told_so(demo, path, body, says):
    status, answer = post(demo, path, body)
    assert status == 422 and re.search(says, answer["detail"]), answer


def test_score(client):
    scores = client.predict("the cat sat", "the cat sat on the mat", api_name="/score")
    assert scores["rouge1"] == pytest.approx({"precision": 1.0, "recall": 0.5, "fmeasure": 2 / 3})
    assert scores["rouge2"] == pytest.approx({"precision": 1.0, "recall": 2 / 5, "fmeasure": 4 / 7})
    assert scores["rougeL"]["fmeasure"] == pytest.approx(2 / 3)
    assert "rouge_score" in scores["signatures"]["rougeLsum"]


@pytest.mark.parametrize("article", ARTICLES.values(), ids=ARTICLES)
def test_attribute(client, engine, article):
    found = client.predict(article, "The lantern", n_steps=4, api_name="/attribute")
    assert "".join(span["text"] for span in found["spans"]) == article
    own = engine.explain(article, "The lantern", 4)
    assert [span["score"] for span in found["spans"]] == pytest.approx([span.score for span in own.spans], abs=1e-4)
    assert found["target_log_prob"] == pytest.approx(own.attribution.target_log_prob, abs=1e-3)
    assert found["summary"] == "The lantern"
    assert found["n_steps"] == 4
    assert 0 <= found["prefix_share"] + found["eos_share"] < 1
    json.dumps(found, allow_nan=False)


def test_attribute_explains_the_models_own_summary_where_none_is_given(client):
    article = ARTICLES["plain"]
    found = client.predict(article, n_steps=4, **SETTINGS, api_name="/attribute")
    assert found["summary"] == client.predict(article, **SETTINGS, api_name="/summarize")["summary"]
    assert found["strongest"][0]["text"] in article


def test_guards(client):
    (guard,) = client.predict("<p>The lantern</p> <p>was lifted.</p> " * 20, api_name="/guards")["guards"]
    assert guard["kind"] == "html" and guard["mended"].startswith("The lantern\nwas lifted.\n")
    (guard,) = client.predict("https://www.bbc.co.uk/news/uk-1", api_name="/guards")["guards"]
    assert guard["text"].startswith("This is a link") and guard["mended"] is None


def test_probabilities(client, engine):
    article, summary = ARTICLES["plain"], "The lantern was lifted."
    found = client.predict(article, summary, api_name="/probabilities")
    own = engine.word_probabilities(article, summary)
    assert [word["text"] for word in found["words"]] == summary.split()
    assert found["log_prob"] == pytest.approx(own.log_prob, abs=1e-3)
    total = sum(word["log_prob"] for word in found["words"]) + found["end"]["log_prob"]
    assert total == pytest.approx(found["log_prob"])
    alternatives = found["words"][0]["tokens"][0]["alternatives"]
    assert found["model"] == "tiny-t5"  # never the folder's path on the server
    assert len(alternatives) == 5 and set(alternatives[0]) == {"text", "probability"}


def test_without(client, engine):
    article = ARTICLES["plain"]
    found = client.predict(article, "The lantern", words=[0, 1], **SETTINGS, api_name="/without")
    own = engine.without(article, "The lantern", SETTINGS, words=[0, 1])
    assert found["article"] == own.deletion.article and "lantern" not in found["article"]
    assert found["summary"] == own.answer.text and (found["words"], found["model"]) == (2, "tiny-t5")
    assert found["fall"] == pytest.approx(own.deletion.fall, abs=1e-3)
    assert found["random_fall"] == pytest.approx(own.deletion.random_fall, abs=1e-3)
    assert found["changes"] == [change._asdict() for change in own.changes]
    default = client.predict(article, sentences=[0], **SETTINGS, api_name="/without")
    assert default["words"] == 4  # The lantern was lifted.


def test_two_hundred_thousand_characters(client):
    article = "The lantern was lifted off by a crane. 🚢\n" * 5000
    assert len(article) > 200_000
    answer = client.predict(article, **SETTINGS, api_name="/summarize")
    assert answer["tokens_read"] == 1024
    assert answer["tokens_total"] > 50_000
    found = client.predict(article, "The lantern", n_steps=4, api_name="/attribute")
    assert "".join(span["text"] for span in found["spans"]) == article
    assert found["spans"][-1]["score"] is None
    assert (found["tokens_read"], found["tokens_total"]) == (answer["tokens_read"], answer["tokens_total"])


@pytest.mark.parametrize(
    ("endpoint", "values", "says"),
    [
        ("/summarize", {"article": ""}, "The article is empty"),
        ("/summarize", {"article": "\x00\u200f"}, "invisible characters"),
        ("/summarize", {"article": None}, "must be text, not None"),
        ("/summarize", {"article": ["a list"]}, "must be text, not"),
        (
            "/summarize",
            {"article": "Words.", "num_beams": 1000},
            "num_beams must be a whole number from 1 to 8, not 1000",
        ),
        ("/summarize", {"article": "Words.", "length_penalty": "much"}, "length_penalty must be a number"),
        ("/attribute", {"article": "Words.", "n_steps": 100_000}, "n_steps must be a whole number from 4 to 128"),
        ("/attribute", {"article": "Words.", "summary": " "}, "The summary is empty"),
        ("/attribute", {"article": "Words.", "summary": "long " * 1000}, "The summary has"),
        ("/without", {"article": "Some words.", "words": [2]}, "words are numbered from 0 to 1"),
        ("/without", {"article": "Some words.", "words": [-1]}, "words must be a list of whole numbers from 0 on"),
        ("/without", {"article": "Some words."}, "No word or sentence is named"),
        ("/score", {"summary": "Words.", "reference": ""}, "The reference is empty"),
        ("/score", {"summary": "Words.", "reference": "x" * 200_000}, "The reference has 200,000 characters"),
    ],
)
def test_what_is_not_accepted_comes_back_as_a_sentence(client, endpoint, values, says):
    with pytest.raises(AppError, match=says) as error:
        client.predict(**values, api_name=endpoint)
    assert "Traceback" not in str(error.value)


def test_nothing_went_wrong_in_the_log(demo, client):
    # After all of the above; a traceback would be one that no visitor may cause.
    assert "Traceback" not in demo.text()
    assert "Error" not in demo.text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "no/such/folder"], "there is no such folder, and a name on the Hub looks like user/name"),
        (["--model", "./nowhere"], "there is no such folder"),
        (["--model", ".", "--revision", "main"], "is a folder, which has none"),
    ],
)
def test_a_model_that_cannot_be_is_refused_at_once(capsys, arguments, says):
    assert app.main(arguments) == 2
    assert says in capsys.readouterr().err


def test_help_is_a_page(capsys):
    with pytest.raises(SystemExit) as stop:
        app.main(["--help"])
    page = capsys.readouterr().out
    assert stop.value.code == 0 and max(map(len, page.splitlines())) <= 100
    commands = [line.strip().split()[2:] for line in page.splitlines() if line.startswith("  python app.py")]
    assert [app._parse(words).model for words in commands][1:] == ["runs/my-model/model", "ada/t5-small-news"]
    assert app._parse(commands[2]).port == 8000
    for flag in (
        "--model USER/NAME|FOLDER",
        "--revision REVISION",
        "--port N",
        "--host ADDRESS",
        "--batch N",
        "--open ",
    ):
        assert f"\n  {flag}" in page


def test_ports(capsys):
    with pytest.raises(SystemExit) as stop:
        app.main(["--port", "99999"])
    assert stop.value.code == 2
    assert "from 1 to 65535" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert app.main(["--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert f"can't be served on port {port}: a program listens there already. Give another --port" in said
    assert "GRADIO" not in said and "launch()" not in said and "server_port" not in said


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GRADIO_SERVER_PORT", "eighty", "it must be a whole number. Mend or unset it."),
        ("NO_PROXY", "localhost,[::1]", "::1 stands there without brackets."),
    ],
)
def test_an_environment_that_gradio_cannot_read_is_one_sentence(tmp_path, name, value, says):
    """It is read as Gradio is imported, where nobody could catch what it raises."""
    command = [sys.executable, app.__file__, "--model", "./nowhere"]
    env = os.environ | {name: value}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=env, check=False)
    assert done.returncode == 2
    assert done.stderr == f"app.py: {name} is {value!r} in the environment: {says}\n"


def test_an_address_that_this_machine_lacks_is_told_by_its_flag(capsys):
    assert app.main(["--host", "192.0.2.1", "--port", "8765"]) == 1  # RFC 5737: of no machine
    assert "--host is '192.0.2.1': this machine has no such address" in capsys.readouterr().err


def test_advice_about_a_summary_names_only_what_a_caller_can_change(client):
    endpoint = client.view_api(return_format="dict")["named_endpoints"]["/attribute"]
    known = {one["parameter_name"] for one in endpoint["parameters"]}
    with pytest.raises(AppError, match="Shorten it") as error:
        client.predict("Words.", "long " * 1000, api_name="/attribute")
    assert set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", str(error.value))) <= known
