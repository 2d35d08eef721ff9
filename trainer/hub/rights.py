"""Who may write where on the Hub, found out without leaving a trace there."""

from collections.abc import Mapping

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from trainer.errors import UserError
from trainer.hub.explain import KIND, NEW_TOKEN, explain
from trainer.hub.patience import Patience, Say, aloud, retry


def sign_in(api: HfApi, doing: str, *, patience: Patience | None = None, say: Say = aloud) -> dict:
    """What the Hub knows of the token's owner (`whoami`).

    The token is looked up as the client does: HF_TOKEN, then the saved login.

    Raises:
        UserError: there is no token, the Hub does not accept it, or cannot be reached.
    """
    token = None if api.token is False else api.token if isinstance(api.token, str) else get_token()
    if not token:
        raise UserError(f"{doing[:1].upper()}{doing[1:]} needs a token, and there is none. {NEW_TOKEN}.")
    try:
        return retry(lambda: api.whoami(token=token), doing, patience=patience, say=say)
    except Exception as error:
        raise explain(error, "", doing, writing=True) from error


def full_name(name: str, who: Mapping, option: str) -> str:
    """`name` as user/name: the token's own name is put before a bare one.

    Raises:
        UserError: `name`, which came from the command line's `option`, cannot be a repository's name.
    """
    repo_id = name if "/" in name else f"{who['name']}/{name}"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UserError(
            f"{option} {name!r} is no name for a repository on the Hub. Right would be user/name or just name, "
            "of letters, digits, '-', '_' and '.' (no '--' or '..', at most 96 characters), such as "
            f"{who['name']}/my-summarizer."
        ) from error
    return repo_id


def check_right(
    api: HfApi,
    who: Mapping,
    repo_id: str,
    option: str,
    *,
    repo_type: str = "model",
    private: bool = False,
    patience: Patience | None = None,
    say: Say = aloud,
) -> bool:
    """Makes sure, without a trace on the Hub, that the token may publish as `repo_id`; True if that exists.

    An existing repository is asked (`auth-check/write`); for a new one the answer is in `whoami`: the owner's
    name and organisations, the roles there, and the scopes of the token. What nobody can know beforehand:
    quotas, a plan that has to be paid for, an organisation's own rules, and a token revoked or a name taken in
    the meantime.

    Raises:
        UserError: the token may not write there, or `private` is asked of a repository that is public.
    """
    doing = f"asking the Hub about {repo_id}"
    token_lacks = _token_lacks(who, repo_id, repo_type)
    if token_lacks:
        raise UserError(f"{token_lacks} {NEW_TOKEN}.")
    try:
        info = retry(lambda: api.repo_info(repo_id, repo_type=repo_type), doing, patience=patience, say=say)
    except RepositoryNotFoundError:
        info = None
    except Exception as error:
        raise explain(error, repo_id, doing, repo_type=repo_type) from error
    name_lacks = _name_lacks(who, repo_id, option)
    if info is None:
        if name_lacks:
            raise UserError(name_lacks)
        return False
    try:
        retry(
            lambda: api.auth_check(repo_id, repo_type=repo_type, write=True),
            doing,
            patience=patience,
            say=say,
        )
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise explain(error, repo_id, doing, repo_type=repo_type, writing=True) from error
        # A Hub that does not know this question (404): then whoami has to be enough.
        if name_lacks:
            raise UserError(name_lacks) from error
    except Exception as error:
        raise explain(error, repo_id, doing, repo_type=repo_type, writing=True) from error
    if private and info.private is False:
        raise UserError(
            f"--private was asked for, but the {KIND[repo_type]} {repo_id} exists and is public. Make it "
            f"private in its settings, choose another {option}, or leave --private out."
        )
    return True


def _token_lacks(who: Mapping, repo_id: str, repo_type: str) -> str | None:
    """Why this kind of token cannot write to `repo_id`, or None: an answer without the fields forbids nothing."""
    access = (who.get("auth") or {}).get("accessToken") or {}
    name = f"The token {access.get('displayName')!r} of {who['name']}"
    if access.get("role") == "read":
        return f"{name} may only read, so it cannot publish {repo_id}."
    if access.get("role") != "fineGrained" or not access.get("fineGrained"):
        return None
    namespace = repo_id.split("/")[0].lower()
    for scope in access["fineGrained"].get("scoped") or []:
        entity, may = scope.get("entity") or {}, scope.get("permissions") or []
        if not any(permission.startswith("repo.") and permission.endswith("write") for permission in may):
            continue
        target = str(entity.get("name", "")).lower()
        if entity.get("type") in ("user", "org") and target == namespace:
            return None
        if entity.get("type") == repo_type and target == repo_id.lower():
            return None
    return f"{name} is fine-grained, and none of its scopes lets it write to the repositories of {namespace}."


def _name_lacks(who: Mapping, repo_id: str, option: str) -> str | None:
    """Why the token's owner cannot write under the namespace of `repo_id`, or None."""
    namespace, name = repo_id.split("/")
    roles = {str(org.get("name")).lower(): org.get("roleInOrg") for org in who.get("orgs") or []}
    if namespace.lower() == who["name"].lower():
        return None
    if namespace.lower() not in roles:
        member = f", a member of {', '.join(sorted(roles))}" if roles else ""
        return (
            f"The token belongs to {who['name']}{member}; it may not publish under {namespace!r}. "
            f"Use {option} {who['name']}/{name}, or a token of {namespace}."
        )
    if roles[namespace.lower()] == "read":
        return (
            f"{who['name']} may only read in the organisation {namespace}. Ask its admins for the role "
            f"'contributor' or 'write', or use {option} {who['name']}/{name}."
        )
    return None
