import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from huggingface_hub import ModelCard, constants

import deepcolor
from deepcolor.models import MODELS, create_model
from deepcolor.weights import CHECKPOINTS, About, DownloadError, WeightsError, load_model
from deepcolor.weights.hub import FILE, from_pretrained, model_card, push_to_hub, save_pretrained

COMMIT = 40 * "c"
ABOUT = About(
    license="CC-BY-NC-4.0",
    terms="the postcards belong to their museum",
    trained_on="9,000 postcards",
    source="our archive",
    expected={"psnr": 23.456, "auc": 90},
    measured_on="100 postcards, held out",
)


@pytest.fixture
def model():
    return create_model("lite", temperature=0.6)


def same(a, b) -> bool:
    state = b.network.state_dict()
    return all(torch.equal(value, state[key]) for key, value in a.network.state_dict().items())


class FakeHub:
    """The calls of the Hub's API that an upload and a download make, kept in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.repositories: dict[str, dict] = {}
        self.calls: list[tuple[str, str | None]] = []  # path and Authorization
        self.commits: list[dict] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.send_header("Content-Length", headers.pop("length", str(len(body))))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.calls.append((self.path.split("?")[0], self.headers.get("Authorization")))
                path = self.path.split("?")[0]
                if path == "/api/repos/create":
                    asked = json.loads(body)
                    name = f"{asked['organization']}/{asked['name']}"
                    hub.repositories[name] = asked
                    answer = {"url": f"{hub.address}/{name}", "name": name}
                elif path == "/api/validate-yaml":
                    assert ModelCard(json.loads(body)["content"]).data.license
                    answer = {"errors": [], "warnings": []}
                elif "/preupload/" in path:
                    asked = json.loads(body)["files"]
                    answer = {
                        "files": [
                            {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                            for f in asked
                        ]
                    }
                elif "/commit/" in path:
                    name = path.removeprefix("/api/models/").split("/commit/")[0]
                    for line in body.decode().splitlines():
                        entry = json.loads(line)
                        if entry["key"] == "header":
                            hub.commits.append(entry["value"])
                        else:
                            blob = base64.b64decode(entry["value"]["content"])
                            hub.files[f"{name}/{entry['value']['path']}"] = blob
                    answer = {"commitUrl": f"{hub.address}/{name}/commit/{COMMIT}"}
                    answer |= {"commitOid": COMMIT}
                else:
                    return self.answer(404)
                return self.answer(200, json.dumps(answer).encode())

            def do_GET(self) -> None:
                hub.calls.append((self.path.split("?")[0], self.headers.get("Authorization")))
                match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path)
                if match is None:
                    return self.answer(404)
                name, file = match.groups()
                if name not in hub.repositories:
                    return self.answer(401, X_Error_Code="RepoNotFound")
                blob = hub.files.get(f"{name}/{file}")
                if blob is None:
                    return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
                tag = hashlib.sha256(blob).hexdigest()
                return self.answer(200, blob, ETag=f'"{tag}"', X_Repo_Commit=COMMIT)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    fake = FakeHub()
    thread = threading.Thread(target=fake.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", fake.address)
    resolve = f"{fake.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", resolve)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield fake
    fake.http.shutdown()
    fake.http.server_close()
    thread.join()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_survives_a_folder(name, tmp_path, small_model):
    model = small_model(name)
    folder = save_pretrained(model, tmp_path / "new" / name, ABOUT)
    assert {p.name for p in folder.iterdir()} == {FILE, "README.md"}
    again = from_pretrained(folder)
    assert type(again) is type(model)
    assert not again.training
    assert same(again, model)


def test_hyperparameters_are_kept_and_can_be_changed(model, tmp_path):
    save_pretrained(model, tmp_path, ABOUT)
    assert from_pretrained(str(tmp_path)).temperature == 0.6
    assert from_pretrained(tmp_path, temperature=0.2, lr=1e-5).hparams["lr"] == 1e-5


def test_saving_again_replaces_both_files_and_no_other(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    save_pretrained(create_model("lite"), tmp_path, ABOUT)
    save_pretrained(model, tmp_path, CHECKPOINTS["lite.photos"])
    assert from_pretrained(tmp_path).temperature == 0.6
    assert "35,221 photographs" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_card_has_licence_data_and_figures_for_people_and_for_the_hub(model):
    card = ModelCard(model_card(model, ABOUT, "me/postcards"))
    assert card.data.license == "cc-by-nc-4.0"
    assert card.data.library_name == "deepcolor"
    assert card.data.pipeline_tag == "image-to-image"
    assert {"colorization", "lite"} <= set(card.data.tags)
    assert card.data.metrics == ["auc", "psnr"]
    assert "# postcards" in card.text
    assert 'from_pretrained("me/postcards")' in card.text
    assert "CC-BY-NC-4.0; the postcards belong to their museum." in card.text
    assert "not known to allow commercial use" in card.text
    assert "| trained on | 9,000 postcards |" in card.text
    assert "On 100 postcards, held out:" in card.text
    assert "| psnr | 23.456 |" in card.text
    assert f"| parameters | {sum(p.numel() for p in model.network.parameters()):,} |" in card.text


def test_the_card_of_a_checkpoint_is_its_entry(model):
    entry = CHECKPOINTS["lite.photos"]
    card = ModelCard(model_card(model, entry, "lite.photos"))
    assert card.data.license == "apache-2.0"
    assert "Backbone: Apache-2.0." in card.text
    assert f"| auc_rebalanced | {entry.expected['auc_rebalanced']:g} |" in card.text
    assert "not known to allow" not in card.text


def test_a_licence_that_the_hub_does_not_list_is_named(model):
    about = About(license="Museum Terms 2", trained_on="postcards", source="us")
    card = ModelCard(model_card(model, about, "me/x"))
    assert card.data.license == "other"
    assert card.data.license_name == "museum-terms-2"
    assert "Not measured." in card.text


def test_nothing_is_written_for_an_about_of_another_kind(model, tmp_path):
    with pytest.raises(TypeError, match=r"deepcolor\.About, which says the licence, got str"):
        save_pretrained(model, tmp_path / "x", "MIT")
    with pytest.raises(ValueError, match=r"a checkpoint of 'eccv16', the model is 'lite'"):
        save_pretrained(model, tmp_path / "x", CHECKPOINTS["eccv16.caffe"])
    assert not (tmp_path / "x").exists()


def test_a_class_of_ones_own_is_refused_until_it_has_a_name(tmp_path):
    class Mine(MODELS["lite"]):
        pass

    with pytest.raises(ValueError, match=r"Mine has no name.*register_model\('name', Mine\)"):
        save_pretrained(Mine(), tmp_path, ABOUT)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors"):
        from_pretrained(tmp_path)
    (tmp_path / FILE).write_bytes(b"nonsense, and more of it")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        from_pretrained(tmp_path)


def test_what_is_pushed_is_pulled(model, hub):
    address = push_to_hub(
        model, "me/postcards", ABOUT, private=True, token="hf_secret", message="First"
    )
    assert address == f"{hub.address}/me/postcards/commit/{COMMIT}"
    assert set(hub.files) == {f"me/postcards/{FILE}", "me/postcards/README.md"}
    card = hub.files["me/postcards/README.md"].decode()
    assert 'from_pretrained("me/postcards")' in card
    assert [commit["summary"] for commit in hub.commits] == ["First"]
    asked = hub.repositories["me/postcards"]  # huggingface_hub 2 says visibility, 1 says private
    assert asked.get("visibility") == "private" or asked.get("private") is True
    tokens = dict(hub.calls)
    assert tokens["/api/repos/create"] == "Bearer hf_secret"
    assert tokens["/api/models/me/postcards/commit/main"] == "Bearer hf_secret"
    again = from_pretrained("me/postcards", lr=1e-5)
    assert same(again, model)
    assert again.hparams["lr"] == 1e-5
    assert same(load_model("hf-hub:me/postcards"), model)


def test_colorize_takes_what_was_pulled(model, hub, photograph):
    push_to_hub(model, "me/postcards", ABOUT)
    small = photograph[:40, :50]
    direct = deepcolor.colorize(small, model=model, device="cpu")
    assert (deepcolor.colorize(small, "hf-hub:me/postcards", "cpu") == direct).all()


def test_what_is_not_on_the_hub_is_named(model, hub):
    with pytest.raises(DownloadError, match="me/none could not be loaded from the Hugging Face"):
        from_pretrained("me/none")
    push_to_hub(model, "me/postcards", ABOUT)
    del hub.files[f"me/postcards/{FILE}"]
    with pytest.raises(DownloadError, match=r"me/postcards could not be loaded.*404"):
        from_pretrained("me/postcards")


@pytest.mark.parametrize("name", ["./no/such/folder", "a/b/c", "me/-x-", "hf-hub:"])
def test_a_name_that_cannot_be_one_is_refused(model, hub, name):
    with pytest.raises(ValueError, match="neither a folder nor the name of a repository"):
        from_pretrained(name)
    with pytest.raises(ValueError, match="neither a folder nor the name of a repository"):
        push_to_hub(model, name, ABOUT)
    assert not hub.calls


def test_offline_says_what_would_work_and_takes_what_was_pulled_before(model, hub, monkeypatch):
    push_to_hub(model, "me/postcards", ABOUT)
    from_pretrained("me/postcards")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.calls.clear()
    assert same(from_pretrained("me/postcards"), model)
    with pytest.raises(DownloadError, match=r"a folder that holds its model\.safetensors"):
        from_pretrained("me/other")
    with pytest.raises(DownloadError, match=r"could not be uploaded:.*save_pretrained\(\)"):
        push_to_hub(model, "me/postcards", ABOUT)
    assert not hub.calls


def test_a_hub_out_of_reach_is_an_error_of_ours(model, hub, monkeypatch):
    hub.http.socket.close()  # nobody listens
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(DownloadError, match=r"me/x could not be loaded"):
        from_pretrained("me/x")
    with pytest.raises(DownloadError, match=r"me/x could not be uploaded"):
        push_to_hub(model, "me/x", ABOUT)
