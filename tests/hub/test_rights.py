"""What a token may do, read from what the Hub says of it."""

import pytest
from huggingface_hub import HfApi, close_session

from tests.hub.double import Hub
from trainer.errors import UserError
from trainer.hub.rights import _name_lacks, _token_lacks, sign_in

# What whoami answers for a fine-grained token; the shape is the Hub's own.
FINE = {
    "name": "ada",
    "orgs": [{"name": "Lab", "roleInOrg": "contributor"}, {"name": "club", "roleInOrg": "read"}],
    "auth": {
        "accessToken": {
            "displayName": "laptop",
            "role": "fineGrained",
            "fineGrained": {
                "global": ["discussion.write"],
                "scoped": [
                    {"entity": {"type": "user", "name": "ada"}, "permissions": ["repo.content.read"]},
                    {"entity": {"type": "org", "name": "Lab"}, "permissions": ["repo.write", "job.write"]},
                    {"entity": {"type": "model", "name": "ada/one"}, "permissions": ["repo.write"]},
                ],
            },
        }
    },
}


def test_scopes_of_a_fine_grained_token():
    assert _token_lacks(FINE, "lab/x", "model") is None
    assert _token_lacks(FINE, "ada/one", "model") is None
    assert "none of its scopes" in _token_lacks(FINE, "ada/one", "space")
    assert "none of its scopes" in _token_lacks(FINE, "ada/two", "model")
    assert _token_lacks({"name": "ada"}, "ada/two", "model") is None  # an answer without the field forbids nothing
    assert _name_lacks(FINE, "lab/x", "--hub_model_id") is None
    assert "may only read in the organisation club" in _name_lacks(FINE, "club/x", "--hub_model_id")


@pytest.mark.parametrize("token", ["hf_ab\ncd", "hf_abcd…"])
def test_a_token_that_was_not_copied_right_is_one_sentence_at_once(token, monkeypatch):
    """No header can hold it. It is neither tried again nor shown."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    close_session()  # the client reads the proxies when it makes its session
    said: list[str] = []
    with Hub() as hub, pytest.raises(UserError, match="holds a character that no token has") as error:
        sign_in(HfApi(endpoint=hub.endpoint, token=token), "publishing (--push)", say=said.append)
    assert said == [] and "hf_ab" not in str(error.value)
