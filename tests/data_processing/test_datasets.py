"""Download from a local server: whole, resumed, damaged, absent."""

import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from data_processing import datasets, transfer
from data_processing.datasets import ChecksumError, Dataset, download, locate_dataset

FILES = {
    "metadata.csv": b"patient_id,brugada\n1,0\n",
    "files/1/1.dat": np.random.default_rng(0).bytes(300_000),
    "files/1/1.hea": b"1 12 100 1200\n",
    "files.zip": b"not needed",
}


class Handler(BaseHTTPRequestHandler):
    """Serves FILES with ranges; can cut a connection or change a file."""

    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append((name, self.headers.get("Range")))
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if self.server.cuts.get(name, 0) > 0:
            self.server.cuts[name] -= 1
            end = start + (end - start) // 3
            self.close_connection = True
        self.wfile.write(content[start:end])

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(transfer, "_pause_seconds", lambda attempt: 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.cuts, server.asked = dict(FILES), {}, []
    sums = "".join(f"{hashlib.sha256(c).hexdigest()} {name}\n" for name, c in FILES.items())
    server.files["SHA256SUMS.txt"] = sums.encode()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.dataset = Dataset(
        name="tiny",
        base_url=f"http://127.0.0.1:{server.server_port}/",
        checksums_sha256=hashlib.sha256(sums.encode()).hexdigest(),
        markers=("metadata.csv", "files"),
        skipped=("files.zip",),
    )
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetched(folder):
    return {
        str(path.relative_to(folder).as_posix()): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS.txt"
    }


def wanted():
    return {name: content for name, content in FILES.items() if name != "files.zip"}


def test_every_needed_file_arrives_and_nothing_is_fetched_twice(server, tmp_path):
    folder = download(server.dataset, tmp_path, progress=False)
    assert folder == tmp_path / "tiny"
    assert fetched(folder) == wanted()
    server.asked.clear()
    download(server.dataset, tmp_path, progress=False)
    assert server.asked == []


def test_an_interrupted_download_goes_on_where_it_ended(server, tmp_path):
    server.cuts["files/1/1.dat"] = 99
    with pytest.raises(
        ConnectionError, match=r"after 4 attempts. What is complete is kept: run it"
    ):
        download(server.dataset, tmp_path, progress=False)
    part = tmp_path / "tiny" / "files" / "1" / "1.dat.part"
    n_have = part.stat().st_size
    assert n_have > 0
    assert not part.with_suffix("").exists()
    server.cuts.clear()
    server.asked.clear()
    assert fetched(download(server.dataset, tmp_path, progress=False)) == wanted()
    assert ("files/1/1.dat", f"bytes={n_have}-") in server.asked


def test_a_stale_part_is_thrown_away(server, tmp_path):
    part = tmp_path / "tiny" / "files" / "1" / "1.dat.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"of another version")
    assert fetched(download(server.dataset, tmp_path, progress=False)) == wanted()


def test_a_damaged_file_here_is_replaced(server, tmp_path):
    folder = download(server.dataset, tmp_path, progress=False)
    (folder / "metadata.csv").write_bytes(b"edited")
    assert fetched(download(server.dataset, tmp_path, progress=False)) == wanted()


@pytest.mark.parametrize("name", ["files/1/1.hea", "SHA256SUMS.txt"])
def test_a_changed_file_on_the_server_is_refused_and_not_kept(server, tmp_path, name):
    server.files[name] = b"something else"
    with pytest.raises(ChecksumError, match="must have the published sha256"):
        download(server.dataset, tmp_path, progress=False)
    assert not (tmp_path / "tiny" / name).exists()
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_that_is_not_there_is_not_tried_again(server, tmp_path):
    del server.files["files/1/1.hea"]
    with pytest.raises(ConnectionError, match=r"got HTTP 404 after 1 attempts"):
        download(server.dataset, tmp_path, progress=False)


def test_without_a_network_the_error_names_the_way_by_hand(monkeypatch, server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(
        ConnectionError, match="Without a network: Copy the dataset's folder by hand"
    ):
        download(server.dataset, tmp_path, progress=False)


def test_a_list_that_leaves_the_folder_is_refused(server, tmp_path):
    text = f"{'0' * 64} ../../outside.txt\n".encode()
    server.files["SHA256SUMS.txt"] = text
    dataset = Dataset("tiny", server.dataset.base_url, hashlib.sha256(text).hexdigest(), ("x",))
    with pytest.raises(ChecksumError, match="must list files inside the dataset, got one outside"):
        download(dataset, tmp_path, progress=False)


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


@pytest.fixture
def zenodo(server):
    """Serve a Zenodo record with a table and an archive, as a mirror has it."""
    server.files = {
        "exams.csv": b"exam_id,age\n1,50\n",
        "exams_part0.zip": zipped(**{"exams_part0.hdf5": FILES["files/1/1.dat"]}),
    }
    listing = [
        {"key": name, "size": len(content), "checksum": f"md5:{hashlib.md5(content).hexdigest()}"}
        for name, content in server.files.items()
    ]
    server.files["zenodo_record.json"] = json.dumps({"files": listing}).encode()
    server.record = Dataset("tiny", "https://nowhere.invalid/", "", ("exams.csv",), zenodo_id="1")
    server.url = server.dataset.base_url
    return server


def test_a_zenodo_record_arrives_checked_and_unpacked_once(zenodo, tmp_path):
    zenodo.cuts["exams_part0.zip"] = 2
    folder = download(zenodo.record, tmp_path, base_url=zenodo.url, progress=False)
    assert (folder / "exams_part0.hdf5").read_bytes() == FILES["files/1/1.dat"]
    assert not (folder / "exams_part0.zip").exists()
    assert any(
        name == "exams_part0.zip" and span and span.startswith("bytes=")
        for name, span in zenodo.asked
    )
    zenodo.asked.clear()
    download(zenodo.record, tmp_path, base_url=zenodo.url, progress=False)
    assert zenodo.asked == []


def test_a_changed_zenodo_file_is_refused_and_not_kept(zenodo, tmp_path):
    zenodo.files["exams.csv"] = b"something else"
    with pytest.raises(ChecksumError, match=r"exams.csv must have the published md5 "):
        download(zenodo.record, tmp_path, base_url=zenodo.url, progress=False)
    assert not (tmp_path / "tiny" / "exams.csv").exists()


@pytest.mark.parametrize(
    "answer", [b"<html>", b"{}", b'{"files": []}', b'{"files": [{"key": "a"}]}']
)
def test_another_answer_than_the_list_is_refused_and_asked_for_again(zenodo, tmp_path, answer):
    right = zenodo.files["zenodo_record.json"]
    zenodo.files["zenodo_record.json"] = answer
    with pytest.raises(ChecksumError, match="must list the files with their checksums"):
        download(zenodo.record, tmp_path, base_url=zenodo.url, progress=False)
    zenodo.files["zenodo_record.json"] = right
    assert download(zenodo.record, tmp_path, base_url=zenodo.url, progress=False).is_dir()


def test_a_list_that_is_not_pinned_is_trusted_but_must_be_a_list(server, tmp_path):
    dataset = Dataset("tiny", server.dataset.base_url, "", ("x",))
    right = server.files["SHA256SUMS.txt"]
    server.files["SHA256SUMS.txt"] = b"<html>Sign in</html>"
    with pytest.raises(ChecksumError, match="must list the files with their checksums"):
        download(dataset, tmp_path, progress=False)
    server.files["SHA256SUMS.txt"] = right
    assert fetched(download(dataset, tmp_path, progress=False)) == FILES


@pytest.mark.parametrize("content", [b"no archive", zipped(**{"..__outside": "x"})])
def test_an_archive_that_is_none_or_leaves_its_folder_is_refused(tmp_path, content):
    archive = tmp_path / "in" / "a.zip"
    archive.parent.mkdir()
    archive.write_bytes(content)
    with pytest.raises(ChecksumError, match=r"a.zip must be a whole ZIP archive with files for"):
        transfer.unpack(archive, "md5:0")
    assert list(tmp_path.rglob("*")) == [archive.parent, archive]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "folder"),
    [("ptbxl", "ptbxl_wfdb"), *((n, n) for n in ("ludb", "challenge2021", "code15"))],
)
def test_the_samples_here_are_found_by_their_markers(data_root, name, folder):
    assert locate_dataset(name, data_root) == data_root / folder
    assert locate_dataset(name, data_root / folder) == data_root / folder


def test_an_unknown_dataset_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"dataset must be one of brugada_huca, .*, got 'mimic'"):
        locate_dataset("mimic", tmp_path)


def test_a_dataset_is_found_below_the_root_or_as_the_root(tmp_path, monkeypatch):
    folder = tmp_path / "brugada_huca"
    (folder / "files").mkdir(parents=True)
    monkeypatch.delenv("ECG_DATA_ROOT", raising=False)
    with pytest.raises(FileNotFoundError, match=r"must hold brugada_huca .a folder with metadata"):
        locate_dataset("brugada_huca", tmp_path)
    (folder / "metadata.csv").touch()
    assert locate_dataset("brugada_huca", tmp_path) == folder
    assert locate_dataset("brugada_huca", folder) == folder
    with pytest.raises(FileNotFoundError, match=r"got nothing. Set data_root or the environment"):
        locate_dataset("brugada_huca")
    monkeypatch.setenv("ECG_DATA_ROOT", str(tmp_path))
    assert locate_dataset("brugada_huca") == folder


@pytest.mark.real_data
def test_the_pinned_list_is_that_of_the_data_here(data_root):
    folder = locate_dataset("brugada_huca", data_root)
    dataset = datasets.DATASETS["brugada_huca"]
    sums = folder / "SHA256SUMS.txt"
    assert hashlib.sha256(sums.read_bytes()).hexdigest() == dataset.checksums_sha256
    listed = [line.split(maxsplit=1) for line in sums.read_text().splitlines()]
    checked = [(sha, folder / name) for sha, name in listed if name not in dataset.unchecked]
    there = [(sha, path) for sha, path in checked if path.exists()]
    assert len(there) == 2 * 363 + 3
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == sha for sha, path in there)
