"""Hours are safe: whatever ends a run, what was finished is kept, and going on changes nothing."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deepcolor.inference import Predictor
from deepcolor.inference.options import Options
from deepcolor.video.options import FilmOptions, FilmStoppedError
from deepcolor.video.places import check_space
from deepcolor.video.stretches import parts_of
from deepcolor.video.work import FilmWork
from deepcolor.video.writing import VideoWriter

FRAMES = 72
OPTIONS = Options(size=64, borders=False)
RUN = """
import sys, time, torch
from pathlib import Path
from deepcolor.inference import Predictor
from deepcolor.inference.options import Options
from deepcolor.video.options import FilmOptions
from deepcolor.video.work import FilmWork

torch.set_num_threads(1)
src, dst, resume, wait = sys.argv[1:]
work = FilmWork(
    Path(src), Path(dst), Predictor("lite.photos", "cpu"), Options(size=64, borders=False),
    FilmOptions(stretch=8),
)

def tell(done, total):
    print(done, flush=True)
    time.sleep(float(wait))

work.run(resume=resume == "resume", tell=tell)
"""


@pytest.fixture(scope="module")
def film(make_clip, tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("film") / "old.mp4", FRAMES, (64, 80), cuts=(20, 50))


@pytest.fixture(scope="module")
def predictor(lite):
    return Predictor(lite, "cpu")


def work(film, dst, predictor, options=OPTIONS, guidance=None, **how) -> FilmWork:
    how = {"stretch": 8, **how}
    return FilmWork(film, dst, predictor, options, FilmOptions(**how), guidance)


@pytest.fixture(scope="module")
def whole(film, predictor, tmp_path_factory) -> bytes:
    """The film as a run gives it that nothing disturbs."""
    dst = tmp_path_factory.mktemp("whole") / "new.mp4"
    result = work(film, dst, predictor).run()
    assert result.frames == FRAMES
    assert sorted(dst.parent.iterdir()) == [dst]
    return dst.read_bytes()


class BrokenError(Exception):
    """Ends a run somewhere."""


def broken_at(frame):
    def tell(done, total):
        if done == frame:
            raise BrokenError

    return tell


def same(a: bytes, b: bytes) -> bool:
    return hashlib.sha256(a).digest() == hashlib.sha256(b).digest()


def test_a_process_that_was_killed_goes_on_to_the_same_bytes(film, predictor, whole, tmp_path):
    dst = tmp_path / "new.mp4"
    command = [sys.executable, "-c", RUN, str(film), str(dst), "no", "0.03"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if int(line) >= 45:
                process.kill()
                break
    assert process.wait() == -signal.SIGKILL
    assert not dst.exists()
    done = []
    work(film, dst, predictor).run(resume=True, tell=lambda n, _: done.append(n))
    assert done[0] >= 32  # what was finished was not done again
    assert same(dst.read_bytes(), whole)
    assert sorted(tmp_path.iterdir()) == [dst]


@pytest.mark.parametrize("frame", [0, 1, 9, 40, FRAMES])
def test_what_was_finished_is_kept_wherever_a_run_breaks(film, predictor, whole, tmp_path, frame):
    dst = tmp_path / "new.mp4"
    with pytest.raises(BrokenError):
        work(film, dst, predictor).run(tell=broken_at(frame))
    assert not dst.exists()
    assert not any(t.name.startswith("deepcolor-f") for t in threading.enumerate())
    done = []
    result = work(film, dst, predictor).run(resume=True, tell=lambda n, _: done.append(n))
    assert max(0, frame - 12) <= done[0] <= frame  # what was finished was not done again
    assert result.frames == FRAMES
    assert same(dst.read_bytes(), whole)
    assert sorted(tmp_path.iterdir()) == [dst]


@pytest.mark.parametrize("step", ["finish", "save", "join", "remove"])
def test_it_may_break_between_any_two_steps(film, predictor, whole, tmp_path, monkeypatch, step):
    from deepcolor.video import stretches
    from deepcolor.video import work as module

    dst = tmp_path / "new.mp4"
    times = iter(range(100))

    def breaking(before):
        def broken(*arguments, **named):
            if step in ("finish", "save") and next(times) < 3:
                return before(*arguments, **named)
            if step in ("finish", "join"):
                before(*arguments, **named)  # killed just after, elsewhere just before
            raise BrokenError

        return broken

    with monkeypatch.context() as patch:
        home = module if step == "join" else stretches.Parts
        patch.setattr(home, step, breaking(getattr(home, step)))
        with pytest.raises(BrokenError):
            work(film, dst, predictor).run()
    result = work(film, dst, predictor).run(resume=True)
    assert result.frames == FRAMES
    assert same(dst.read_bytes(), whole)
    assert sorted(tmp_path.iterdir()) == [dst]


def test_a_run_that_is_told_to_stop_keeps_what_is_finished(film, predictor, whole, tmp_path):
    dst, stop = tmp_path / "new.mp4", threading.Event()

    def tell(done, total):
        if done == 30:
            stop.set()

    with pytest.raises(FilmStoppedError, match="30 frames"):
        work(film, dst, predictor).run(tell=tell, stop=stop)
    work(film, dst, predictor).run(resume=True)
    assert same(dst.read_bytes(), whole)


def test_parts_of_a_run_are_not_passed_over_in_silence(film, predictor, whole, tmp_path):
    dst = tmp_path / "new.mp4"
    with pytest.raises(BrokenError):
        work(film, dst, predictor).run(tell=broken_at(30))
    with pytest.raises(FileExistsError, match=r"--resume.*--overwrite"):
        work(film, dst, predictor).run()
    done = []
    work(film, dst, predictor).run(overwrite=True, tell=lambda n, _: done.append(n))
    assert done[0] == 0
    assert same(dst.read_bytes(), whole)


CHANGES = {
    "steady": ({"steady": 0.25}, OPTIONS),
    "every": ({"every": 2}, OPTIONS),
    "end": ({"end": 2.5}, OPTIONS),
    "crf": ({"crf": 30}, OPTIONS),
    "saturation": ({}, Options(size=64, borders=False, saturation=1.5)),
    "size": ({}, Options(size=96, borders=False)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_order_is_refused_in_words(film, predictor, tmp_path, name):
    dst, (how, options) = tmp_path / "new.mp4", CHANGES[name]
    with pytest.raises(BrokenError):
        work(film, dst, predictor).run(tell=broken_at(20))
    with pytest.raises(ValueError, match=rf"begun otherwise: {name} .*, now .*--overwrite"):
        work(film, dst, predictor, options, **how).run(resume=True)
    assert parts_of(dst).is_dir()  # nothing is lost by asking


def test_another_film_or_model_of_the_same_name_is_refused(film, predictor, tmp_path, make_clip):
    src, dst = tmp_path / "old.mp4", tmp_path / "new.mp4"
    src.write_bytes(film.read_bytes())
    with pytest.raises(BrokenError):
        work(src, dst, predictor).run(tell=broken_at(20))
    os.utime(src, (1, 1))
    with pytest.raises(ValueError, match="source's time"):
        work(src, dst, predictor).run(resume=True)
    make_clip(src, FRAMES, (64, 80), cuts=(3,))
    with pytest.raises(ValueError, match="source's head"):
        work(src, dst, predictor).run(resume=True)


def test_a_damaged_state_is_said_to_be_one(film, predictor, tmp_path):
    dst = tmp_path / "new.mp4"
    with pytest.raises(BrokenError):
        work(film, dst, predictor).run(tell=broken_at(20))
    (parts_of(dst) / "state.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot be read.*--overwrite"):
        work(film, dst, predictor).run(resume=True)


def test_a_folder_that_is_not_ours_is_left_alone(film, predictor, tmp_path):
    dst = tmp_path / "new.mp4"
    parts_of(dst).mkdir()
    (parts_of(dst) / "000000.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not deepcolor's"):
        work(film, dst, predictor).run(overwrite=True)
    assert (parts_of(dst) / "000000.txt").read_text() == "mine"


def test_two_processes_do_not_work_on_one_film(film, predictor, tmp_path):
    dst = tmp_path / "new.mp4"

    def second(done, total):
        if done == 9:
            with pytest.raises(OSError, match="another process"):
                work(film, dst, predictor).run(resume=True)
            raise BrokenError

    with pytest.raises(BrokenError):
        work(film, dst, predictor).run(tell=second)


def test_a_full_disk_keeps_what_is_finished(film, predictor, whole, tmp_path, monkeypatch):
    dst = tmp_path / "new.mp4"
    write, count = VideoWriter.write, iter(range(1000))

    def full(self, *arguments):
        if next(count) == 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write", full)
        with pytest.raises(OSError, match=r"no room left.*new\.mp4\.parts.*--resume") as caught:
            work(film, dst, predictor).run()
    assert caught.value.errno == errno.ENOSPC
    work(film, dst, predictor).run(resume=True)
    assert same(dst.read_bytes(), whole)


def test_what_does_not_fit_is_refused_before_any_work(film, predictor, tmp_path, monkeypatch):
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: free)
    with pytest.raises(OSError, match=r"needs about .* MB, and 0\.0 MB are free"):
        check_space(tmp_path, 5e6, "colouring old.mp4")
    dst = tmp_path / "new.mp4"
    with pytest.raises(OSError, match=r"colouring .*old\.mp4 needs about"):
        work(film, dst, predictor).run()
    assert not any(tmp_path.iterdir())


def test_threads_end_when_a_person_interrupts(film, predictor, tmp_path):
    def tell(done, total):
        if done == 20:
            raise KeyboardInterrupt

    begun = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        work(film, tmp_path / "new.mp4", predictor).run(tell=tell)
    assert time.perf_counter() - begun < 20
    assert not any(t.name.startswith("deepcolor-f") for t in threading.enumerate())
    kept = sorted(file.name for file in parts_of(tmp_path / "new.mp4").iterdir())
    assert "state.safetensors" in kept
    assert not any("next" in name for name in kept)
