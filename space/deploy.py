"""Publishes the demo as a Space on the Hub, in one commit.

    python -m space.deploy --space_id user/name --model_id user/model [--private] [--dry_run]

The Space gets app.py, the packages trainer/ and space/, requirements.txt, the licence, and space/README.md as its
README with the model filled in; no tests, recipes or records. It is made where it does not exist, MODEL_ID is set as
its variable, and its hardware is left as it is. --dry_run lists the files and asks nothing of the Hub.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a file: put the checkout, not space/, first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from huggingface_hub import HfApi, SpaceCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from trainer.errors import Stopped, UserError
from trainer.hub.commit import Published, publish_files
from trainer.hub.explain import explain
from trainer.hub.fetch import look_up
from trainer.hub.patience import Patience, Say, aloud, retry
from trainer.hub.rights import check_right, full_name, sign_in

ROOT = Path(__file__).resolve().parents[1]
FILES = ("app.py", "requirements.txt", "LICENSE")
PACKAGES = ("trainer", "space")
SUFFIXES = (".py", ".json", ".jinja", ".md", ".css", ".js", ".svg", ".png", ".safetensors", ".model")
# What trains and measures, not what shows; and the README, which goes to the top.
LEFT_OUT = ("trainer/recipes", "trainer/records", "trainer/base", "space/README.md", "space/deploy.py")


def space_files(model_id: str, *, preload: bool = True, root: Path = ROOT) -> dict[str, Path | bytes]:
    """Path in the Space → the file of the checkout, or the bytes of the filled-in README; sorted by path.

    Only files of known kinds go along, so that what lies about in a checkout stays there.

    Raises:
        UserError: the checkout lacks one of `FILES`.
    """
    found: dict[str, Path | bytes] = {}
    for name in FILES:
        if not (root / name).is_file():
            raise UserError(f"{root / name} is missing: the Space cannot run without it. Deploy from a whole checkout.")
        found[name] = root / name
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            name = path.relative_to(root).as_posix()
            hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(root).parts)
            out = any(name == left or name.startswith(left + "/") for left in LEFT_OUT)
            if path.is_file() and not path.is_symlink() and not hidden and not out and path.suffix in SUFFIXES:
                found[name] = path
    found["README.md"] = space_readme(model_id, preload=preload, root=root).encode("utf-8")
    return dict(sorted(found.items()))


def space_readme(model_id: str, *, preload: bool = True, root: Path = ROOT) -> str:
    """space/README.md with `model_id` as the model that the Space shows and, with `preload`, is built with."""
    card = SpaceCard.load(root / "space" / "README.md")
    card.data.models = [model_id]
    if preload:
        card.data["preload_from_hub"] = [model_id]
    else:
        card.data.pop("preload_from_hub")
    return str(card)


def deploy(
    space_id: str,
    model_id: str,
    *,
    private: bool = False,
    api: HfApi | None = None,
    patience: Patience | None = None,
    say: Say = aloud,
    root: Path = ROOT,
) -> Published:
    """Publishes the Space `space_id` (a bare name is completed with the token's) to show `model_id`.

    Raises:
        UserError: the token may not write there, or the model is not to be seen.
        Stopped: the Hub failed. The Space is as it was before; or, where the commit went through and only the
            variable could not be set, the message says so.
    """
    api = api or HfApi()
    asking = patience or Patience(total=60.0)
    who = sign_in(api, "publishing a Space", patience=asking, say=say)
    space_id = full_name(space_id, who, "--space_id")
    exists = check_right(api, who, space_id, "--space_id", repo_type="space", private=private, patience=asking, say=say)
    looking = f"looking at the model {model_id}"
    try:
        model = look_up(model_id, doing=looking, api=api, patience=asking, say=say)
    except Exception as error:
        raise explain(error, model_id, looking) from error
    if model.private:
        say(
            f"The model {model_id} is private, so the Space cannot fetch it on its own: add a secret HF_TOKEN that may "
            "read it in the Space's settings. Until then the Space answers with the starter."
        )
    files = space_files(model_id, preload=not model.private, root=root)
    try:
        published = publish_files(
            api,
            space_id,
            files,
            message=f"Deploy with {model_id}",
            repo_type="space",
            private=private,
            # Modules and data of an earlier version; what the owner put beside them stays.
            obsolete=lambda path: path.startswith(tuple(f"{package}/" for package in PACKAGES)),
            variables={"MODEL_ID": model_id},
            patience=patience,
            say=say,
        )
    except UserError as error:
        raise Stopped(str(error)) from error
    setting = f"setting MODEL_ID of {space_id}"

    def ask(call):
        return retry(call, setting, patience=patience, say=say)

    try:
        variables = ask(lambda: api.get_space_variables(space_id))
        if "MODEL_ID" not in variables or variables["MODEL_ID"].value != model_id:
            ask(lambda: api.add_space_variable(space_id, "MODEL_ID", model_id))
    except Exception as error:
        reason = explain(error, space_id, setting, repo_type="space", writing=True)
        raise Stopped(
            f"{reason} The files are published, so running the same command again only sets the variable."
        ) from error
    say(f"{'Updated' if exists else 'Made'} {published.url} (commit {published.commit[:12]}), showing {model_id}.")
    return published


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; a name that cannot be one of the Hub's raises UserError."""
    parser = argparse.ArgumentParser(
        prog="python -m space.deploy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--space_id",
        required=True,
        metavar="USER/NAME",
        help="The Space; a bare name is put under the token's owner.",
    )
    parser.add_argument(
        "--model_id", required=True, metavar="USER/NAME", help="The model on the Hub that the Space shows."
    )
    parser.add_argument("--private", action="store_true", help="Make the Space private when it is created.")
    parser.add_argument(
        "--dry_run", action="store_true", help="List the files that the Space would get, and stop there."
    )
    args = parser.parse_args(argv)
    for option in ("space_id", "model_id"):
        value = getattr(args, option)
        try:
            validate_repo_id(value)
        except HFValidationError as error:
            raise UserError(
                f"--{option} is {value!r}: it must be user/name, of letters, digits, '-', '_' and '.'."
            ) from error
    if "/" not in args.model_id:
        raise UserError(f"--model_id is {args.model_id!r}: it must be user/name, as the model is called on the Hub.")
    return args


def print_files(space_id: str, files: dict[str, Path | bytes]) -> None:
    """One line a file with its size in bytes, and the sum."""
    total = 0
    for name, content in files.items():
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        total += size
        print(f"{size:>12,}  {name}")
    print(f"{total:>12,}  bytes in {len(files)} files would be published as the Space {space_id}. Nothing was done.")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, 2 for something wrong in what was asked, 1 for a Hub that failed."""
    try:
        args = parse(argv)
        if args.dry_run:
            print_files(args.space_id, space_files(args.model_id))
        else:
            deploy(args.space_id, args.model_id, private=args.private)
    except UserError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
