"""Upload a model's folder to the Hugging Face Hub.

Place in the flow: `tlm push`. Uploads the files of the model's manifest, after comparing them with it, the card and the
ONNX file: people download the model that was evaluated. A repository is private without --public, and a public one is
written to only with --public. The token is that of `hf auth login` or HF_TOKEN; it is never printed or stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub import CommitOperationAdd, HfApi, get_token, metadata_load
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from tlm.artifacts import MANIFEST, verify
from tlm.errors import TlmError
from tlm.serving.folder import CARD, KIND, ONNX, read_folder


@dataclass(frozen=True)
class Upload:
    """The files to upload, and the repository."""

    folder: Path
    repository: str
    public: bool
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    licensed: bool

    def as_text(self) -> str:
        """The plan for people: the repository, who can read it, and each file with its size."""
        sizes = {name: (self.folder / name).stat().st_size for name in self.files}
        kind = "public" if self.public else "private"
        lines = [f"{self.folder} to the {kind} repository {self.repository}:"]
        lines += [f"{size:>15,} bytes  {name}" for name, size in sizes.items()]
        lines.append(f"{sum(sizes.values()):>15,} bytes in all")
        if self.left_out:
            lines.append(f"not uploaded, as not part of the model: {', '.join(self.left_out)}")
        if self.public and not self.licensed:
            lines.append(
                f"{self.folder / CARD} names no license: add a line such as `license: mit` below its first ---"
            )
        return "\n".join(lines)


def plan(folder: Path, repository: str, *, public: bool) -> Upload:
    """The upload, without a connection to any server.

    Raises TlmError for a folder that is not an exported model or differs from its manifest, for a card whose front
    matter is not YAML, and for a name that the Hub would refuse.
    """
    read_folder(folder)
    if not (folder / MANIFEST).is_file():
        raise TlmError(
            f"{folder}: has no {MANIFEST}; push a model that `snakemake models/<task>/{MANIFEST}` has built"
        )
    manifest = verify(folder, KIND)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise TlmError(
            f"{repository!r} is not the name of a repository: {str(error).splitlines()[0]}"
        ) from None
    if repository.count("/") != 1:
        raise TlmError(f"{repository!r}: name its owner, too: user/{repository.rsplit('/')[-1]}")
    front_matter = _front_matter(folder / CARD)
    files = [CARD, *manifest.files, MANIFEST, *([ONNX] if (folder / ONNX).is_file() else [])]
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    left_out = tuple(name for name in there if name not in files)
    return Upload(folder, repository, public, tuple(files), left_out, "license" in front_matter)


def _front_matter(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise TlmError(f"{path}: no model card; export the model again")
    try:
        found = metadata_load(path)
    except (yaml.YAMLError, ValueError) as error:
        raise TlmError(f"{path}: its front matter is not YAML ({error}); correct it") from None
    if not found:
        raise TlmError(f"{path}: has no front matter, which the Hub needs; export the model again")
    return dict(found)


def upload(planned: Upload, *, message: str) -> str:
    """Upload in one commit; returns the URL of the commit.

    Raises TlmError without a token, for a public repository without --public, and for errors of Hub or network.
    """
    if get_token() is None:
        raise TlmError(
            "no token for the Hub: run `hf auth login`, or set HF_TOKEN to one that may write"
            " (https://huggingface.co/settings/tokens)"
        )
    api = HfApi(library_name="tlm")
    try:
        private = _repository(api, planned)
        added = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=planned.folder / name)
            for name in planned.files
        ]
        commit = api.create_commit(planned.repository, added, commit_message=message)
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = "may this token write there?" if status in (401, 403) else "try again later"
        message_of_hub = str(error.server_message or error).strip().splitlines()[0]
        raise TlmError(
            f"the Hub refused {planned.repository}: {message_of_hub} (HTTP {status}); {hint}"
        ) from None
    except ValueError as error:  # the Hub rejects the card, or an upload after it was sent
        message_of_hub = " ".join(str(error).split())
        where = planned.folder / CARD if "README" in message_of_hub else planned.repository
        raise TlmError(f"{where}: {message_of_hub}") from None
    except (HTTPError, OSError, RuntimeError) as error:
        raise TlmError(f"the Hub at {api.endpoint} cannot be reached ({error}); try again later") from None
    return f"{commit.commit_url} ({'private' if private else 'public'})"


def _repository(api: HfApi, planned: Upload) -> bool:
    """Create the repository if it does not exist; returns whether it is private."""
    try:
        private = bool(api.model_info(planned.repository).private)
    except RepositoryNotFoundError:
        api.create_repo(planned.repository, private=not planned.public)
        return not planned.public
    if not private and not planned.public:
        raise TlmError(
            f"{planned.repository} exists and is public; give --public to write to it, or name another"
        )
    return private
