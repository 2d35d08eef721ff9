"""A copy of the file of answers as a data set of the Hub, brought up to date in batches.

huggingface_hub's `CommitScheduler` sends the file as it is here, so that a server that begins anew on an empty disk, as
a Space does, would put a shorter file over a longer one. Here what the Hub has more is first fetched and appended, and
a commit that somebody else made meanwhile is never overwritten.
"""

import tempfile
import threading
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from trainer.errors import UserError
from trainer.hub.explain import explain
from trainer.hub.patience import Say, aloud
from trainer.hub.rights import check_right, full_name, sign_in
from trainer.ratings.log import Rating, RatingLog

SECONDS = 300.0  # between two batches
TRIES = 5  # of a batch, where others commit at the same time


class HubCopy:
    """Keeps a data set of the Hub and a file of ratings the same, with a thread of its own between `with` and its end.

    A batch that fails is told to `say`, and the next one brings what it should have. At the end of the block the last
    batch is sent.

    Args:
        log: the file here.
        name: of the data set; it is made, private, where there is none.
        every: seconds between two batches.

    Raises:
        UserError: there is no token, or it may not write there. (When the block begins.)
    """

    def __init__(self, log: RatingLog, name: str, api: HfApi | None = None, every: float = SECONDS, say: Say = aloud):
        self.log, self.name, self.every, self.say = log, name, every, say
        self._api = api or HfApi()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ratings to the Hub", daemon=True)

    def __enter__(self) -> "HubCopy":
        who = sign_in(self._api, "keeping ratings on the Hub (--rate_dataset)")
        self.name = full_name(self.name, who, "--rate_dataset")
        if not check_right(self._api, who, self.name, "--rate_dataset", repo_type="dataset"):
            try:
                self._api.create_repo(self.name, repo_type="dataset", private=True, exist_ok=True)
            except Exception as error:
                raise explain(error, self.name, "making it", repo_type="dataset", writing=True) from error
        self.bring()  # before anybody rates: who rated what there must be known
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._try()

    def bring(self) -> None:
        """Appends here what only the Hub has, and commits the file there where it has less.

        Raises:
            UserError: the Hub can't be reached, or does not take it.
        """
        try:
            for _ in range(TRIES):
                head = self._api.repo_info(self.name, repo_type="dataset").sha
                there = self._fetch(head)
                known = {rating.key for line in there.splitlines() if (rating := Rating.of_line(line))}
                self.log.merge(there.splitlines())
                if all(rating.key in known for rating in self.log.ratings) or self._commit(self.log.content(), head):
                    return
        except Exception as error:
            raise explain(error, self.name, "bringing ratings up to date", repo_type="dataset", writing=True) from error
        raise UserError(f"Others commit to {self.name} all the time: the next batch brings these ratings too.")

    def _fetch(self, revision: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = self._api.hf_hub_download(
                    self.name, self.log.path.name, repo_type="dataset", revision=revision, cache_dir=folder
                )
            except EntryNotFoundError:
                return b""
            return Path(path).read_bytes()

    def _commit(self, content: bytes, head: str) -> bool:
        """False where somebody else has committed since `head`."""
        try:
            self._api.upload_file(
                path_or_fileobj=content,
                path_in_repo=self.log.path.name,
                repo_id=self.name,
                repo_type="dataset",
                commit_message="Ratings",
                parent_commit=head,
            )
        except HfHubHTTPError as error:
            if error.response.status_code != 412:
                raise
            return False
        return True

    def _work(self) -> None:
        while not self._ended.wait(self.every):
            self._try()

    def _try(self) -> None:
        try:
            self.bring()
        except UserError as error:
            self.say(f"{error} They are safe in {self.log.path}; the next batch brings them.")
