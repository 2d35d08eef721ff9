"""Calls by programs leave nothing behind; what a visitor's page holds stays."""

import time

import httpx
import pytest
from gradio.state_holder import SessionState
from gradio_client import Client

from space import page
from space.serving import Serving
from space.sessions import MOST, Sessions


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The page, launched as app.py launches it; no model is loaded, which nobody here asks."""
    demo = page.build(Serving(str(tmp_path_factory.mktemp("model"))))
    demo.launch(prevent_thread_lock=True, quiet=True, **page.launch_options())
    yield demo
    demo.close()


def test_a_call_leaves_no_session(demo):
    sessions = demo.app.state_holder
    assert isinstance(sessions, Sessions) and demo.state_holder is sessions and sessions.capacity == MOST
    call = f"{demo.local_url}gradio_api/call"
    with httpx.Client(trust_env=False, timeout=120) as client:
        for version in ("", "v2/"):
            asked = client.post(f"{call}/v2/score", json={"summary": "A mill burnt.", "reference": "The mill burnt."})
            event = asked.json()["event_id"]
            assert "rouge1" in client.get(f"{call}/{version}score/{event}").text
            end = time.monotonic() + 60  # the answer comes a moment before its session goes
            while event in sessions.time_last_used and time.monotonic() < end:
                time.sleep(0.01)
            assert event not in sessions.session_data and event not in sessions.time_last_used
    client = Client(demo.local_url, verbose=False)  # it has one session for all its calls
    for _ in range(2):
        client.predict("A mill burnt.", "The mill burnt.", api_name="/score")
    assert [*sessions.session_data] == [client.session_hash]


def test_a_session_is_as_gradio_s_but_for_what_links_need(demo):
    sessions = Sessions()
    sessions.set_blocks(demo)
    light, usual = sessions["one"], SessionState(demo)
    assert light is sessions["one"] is not sessions["two"]
    assert vars(light).keys() == vars(usual).keys()
    assert light.blocks_config.blocks == usual.blocks_config.blocks
    assert light.blocks_config.fns == usual.blocks_config.fns
    assert list(light.components) == [] and len(list(usual.components)) > 50
    box = next(block for block in demo.blocks.values() if block.get_block_name() == "textbox")
    light._update_value_in_config(box._id, "A new text.")  # as when a function changes it
    (changed,) = light.components
    assert changed["props"]["value"] == "A new text." != box.value
    assert list(sessions["two"].components) == []
