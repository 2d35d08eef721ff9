"""Finds a data set of the Hub: which commit, which configuration, from the network or from the cache."""

import re
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from trainer.data.checks import unknown_name
from trainer.errors import UserError
from trainer.hub.explain import explain
from trainer.hub.fetch import look_up
from trainer.hub.names import can_be_name
from trainer.hub.patience import Say
from trainer.runtime.files import table_kind
from trainer.settings.groups import DataSettings

# Where the Hub keeps the Parquet copy that it once made with the loading script on `main`.
CONVERTED = "refs/convert/parquet"

_COPIED = re.compile(r"([^/]+)/[^/]+/\d+\.parquet")  # configuration/split/0000.parquet


def check_name(name: str) -> None:
    if table_kind(Path(name)) or name.startswith((".", "/", "~")):
        raise UserError(
            f"--dataset is {name!r}: that is for a name on the Hub. Local files go into --train_file, "
            "--validation_file and --test_file."
        )
    if not can_be_name(name):
        raise UserError(f"--dataset is {name!r}, which is no name on the Hub. It should look like EdinburghNLP/xsum.")


def find_dataset(data: DataSettings, say: Say) -> tuple[Any, str, list[str]]:
    """(builder of `datasets`, commit, remarks). The commit is settled before anything is fetched."""
    try:
        revision, where, remarks = _look_up(data, say)
    except Exception as error:
        if isinstance(error, HfHubHTTPError | UserError):
            raise
        # No answer at all. `datasets` would take a copy from its cache and not say so.
        return _cached(data, explain(error, data.dataset, f"looking up {data.dataset}", repo_type="dataset"))
    builder = _builder(data.dataset, revision=revision, **where)
    if builder.hash != revision:
        raise UserError(
            f"The connection to the Hub broke while looking up {data.dataset}, and the copy in the cache is "
            f"another version (commit {builder.hash[:12]}, not {revision[:12]}). Try again."
        )
    return builder, revision, remarks


def _look_up(data: DataSettings, say: Say) -> tuple[str, dict[str, str | None], list[str]]:
    """(commit, what to read of it as `datasets` calls it, remarks).

    `datasets` no longer runs loading scripts. Where `main` holds one, as that of EdinburghNLP/xsum long did,
    the Parquet copy is read that the Hub once made with it.
    """
    name, wanted = data.dataset, data.dataset_revision

    found = look_up(name, wanted, repo_type="dataset", say=say)
    script = f"{name.rsplit('/', 1)[-1]}.py"
    files = [sibling.rfilename for sibling in found.siblings or []]
    if script not in files:
        copied = all(_COPIED.fullmatch(file) for file in files if file != ".gitattributes")
        return found.sha, _copied(files, data) if copied else {"name": data.dataset_config}, []
    try:
        copy = look_up(name, CONVERTED, repo_type="dataset", say=say)
    except RevisionNotFoundError as error:
        raise UserError(
            f"{name} is a loading script ({script}), which is no longer run, and the Hub has no Parquet copy "
            f"of its data ({CONVERTED}). Turn it into JSONL, CSV or Parquet and give --train_file and so on."
        ) from error
    if wanted not in (None, "main"):
        raise UserError(
            f"--dataset_revision {wanted} of {name} is a loading script ({script}), which is no longer run. "
            f"The Parquet copy, made from the newest version, is commit {copy.sha}: give that instead."
        )
    remark = (
        f"{name} has a loading script on its main branch, which is no longer run; its Parquet copy "
        f"{CONVERTED} (commit {copy.sha[:12]}) was read."
    )
    return copy.sha, _copied([sibling.rfilename for sibling in copy.siblings or []], data), [remark]


def _copied(files: list[str], data: DataSettings) -> dict[str, str | None]:
    """What to read of a Parquet copy: it has a folder for each configuration, and no README that names them."""
    configs = sorted({match[1] for match in map(_COPIED.fullmatch, files) if match})
    if data.dataset_config is not None and data.dataset_config not in configs:
        raise UserError(
            f"--dataset_config of {data.dataset}: no configuration {unknown_name(data.dataset_config, configs)}."
        )
    if len(configs) <= 1:
        return {"data_dir": None}  # a folder that is named changes the name in the cache
    if data.dataset_config is None:
        raise UserError(
            f"{data.dataset} has several configurations: {', '.join(configs)}. Choose with --dataset_config."
        )
    return {"data_dir": data.dataset_config}


def _builder(dataset: str, **kwargs: Any) -> Any:
    # Imported here: it takes two seconds, and who trains on local files can do without.
    from datasets import load_dataset_builder

    try:
        # Without the prefix a folder of the same name in the working directory would be taken for it.
        return load_dataset_builder(f"hf://datasets/{dataset}", **kwargs)
    except ValueError as error:  # its sentence about a missing or unknown configuration lists the known ones
        if "BuilderConfig" in str(error) or "Config name is missing" in str(error):
            said = " ".join(str(error).split("Example of usage")[0].split())
            raise UserError(f"--dataset_config of {dataset}: {said}") from error
        raise


def _cached(data: DataSettings, failure: UserError) -> tuple[Any, str, list[str]]:
    """As `find_dataset`, of the newest copy in the cache, for when the Hub does not answer.

    Raises:
        UserError: `failure` where there is no copy; that it is another version than the one asked for.
    """
    try:
        builder = _builder(data.dataset, name=data.dataset_config)
    except Exception:  # whatever it says: the reason to tell is that the Hub did not answer
        raise failure from None
    wanted = data.dataset_revision
    if wanted is not None and (len(wanted) < 7 or not builder.hash.startswith(wanted)):
        raise UserError(f"{failure} In the cache is commit {builder.hash}, and --dataset_revision asks for {wanted}.")
    return builder, builder.hash, [f"{failure} The copy in the cache, commit {builder.hash}, was read."]
