"""The storage code against Azurite, the stand-in of Azure's storage by its makers: it is not of our own making."""

import os
import shutil
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import requests
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, ContainerClient, generate_blob_sas
from django.conf import settings

from demo import supervisor
from imodels_app import lifecycle
from imodels_app.itwin import errors
from imodels_app.itwin.storage import Storage
from imodels_app.itwin.types import UploadLink
from imodels_app.models import Operation
from imodels_app.requesting import staging
from imodels_app.states import Kind, State
from imodels_app.views.uploads import PIECE
from imodels_app.workers.submit import submit
from imodels_app.workers.transfer import BLOCKS_AT_ONCE
from imodels_app.workers.upload import upload
from sandbox.storage_files import BlobFiles
from tests.files import KIB, MIB, a_file
from tests.processes import listens
from tests.settings import IN_CI, RUN_DIR, free_port
from tests.views.test_uploads import headers_of, send_piece
from tests.waiting import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.django_db]
HERE = Path(__file__).parents[1] / "azurite"
LOCAL = {"127.0.0.1"}
UPLOADED_MIB, SHARE_OF_DIRECT = int(os.environ.get("BENCH_UPLOAD_MIB", "1024")), 0.7
# Azurite's own account, the same for everybody: no secret.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="session")
def azurite(request):
    """A running Azurite with one container, and how to look into it."""
    if not shutil.which("npm"):
        why = "no Node.js on PATH"
        measures = any(item.get_closest_marker("measure") for item in request.session.items)
        pytest.fail(why) if IN_CI or measures else pytest.skip(why)
    program = HERE / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HERE, check=True)
    port = free_port()
    command = [str(program), "--blobPort", str(port), "--location", str(RUN_DIR / "azurite"), "--skipApiVersionCheck"]
    with (RUN_DIR / "azurite.log").open("wb") as log:
        process = supervisor.spawn([*command, "--silent", "--disableTelemetry"], output=log, env=_env(), cwd=RUN_DIR)
    wait_until(lambda: listens(port), what="Azurite")
    service = BlobServiceClient(f"http://127.0.0.1:{port}/{ACCOUNT}", credential=KEY)
    service.create_container("baselines")
    yield service
    service.close()
    supervisor.end_group(process)


def _env() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


@pytest.fixture
def link(azurite):
    """link(name, **life) is an upload link as the platform's: create and write, no read."""

    def make(name: str, **life) -> UploadLink:
        right = BlobSasPermissions(create=True, write=True)
        until = datetime.now(UTC) + timedelta(**(life or {"minutes": 20}))
        signed = generate_blob_sas(ACCOUNT, "baselines", name, account_key=KEY, permission=right, expiry=until)
        return UploadLink(f"{azurite.url}baselines/{name}?{signed}")

    return make


@pytest.mark.parametrize(("size", "blocks"), [(10 * MIB, 0), (20 * MIB + 77, 11)], ids=["one PUT", "blocks"])
def test_a_file_goes_up_byte_for_byte(storage, baseline_of, signed_in_mara, settings, size, blocks):
    settings.UPLOAD_SINGLE_PUT, settings.UPLOAD_BLOCK = 16 * MIB, 2 * MIB
    data = a_file(size)
    operation = baseline_of(data)
    submit(operation.pk)

    upload(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    assert operation.upload.blocks.count() == blocks
    blob = storage.get_blob_client(f"baselines/{operation.imodel_id}/{operation.imodel_id}.bim")
    assert blob.download_blob().readall() == data
    assert blob.get_blob_properties().blob_type == "BlockBlob"


def test_blocks_that_were_put_together_once_are_put_together_again(azurite, link):
    storage = Storage(link("twice"), private_hosts=LOCAL)
    for number in range(3):
        storage.put_block(number, bytes([number]) * 64 * KIB)

    storage.commit(3)
    storage.commit(3)

    assert azurite.get_blob_client("baselines", "twice").get_blob_properties().size == 192 * KIB


def test_a_block_that_never_came_is_refused_by_its_name(link):
    storage = Storage(link("holes"), private_hosts=LOCAL)
    storage.put_block(0, b"x")

    with pytest.raises(errors.Refused) as no:
        storage.commit(2)

    assert no.value.code == "InvalidBlockList"


@pytest.mark.parametrize("way", ["one PUT", "blocks"])
def test_an_expired_link_is_told_from_any_other_refusal(link, way, tmp_path):
    expired = link("late", minutes=-1)
    (tmp_path / "file").write_bytes(b"x" * KIB)

    storage = Storage(expired, private_hosts=LOCAL)
    with pytest.raises(errors.LinkRefused) as no, (tmp_path / "file").open("rb") as file:
        storage.put_block(0, b"x") if way == "blocks" else storage.put(file)

    assert no.value.status == 403
    assert "sig=" not in str(no.value)
    assert no.value.__cause__ is None


class InAzurite(BlobFiles):
    """The platform's storage, in Azurite: links lead there, and what the platform asks of a file is asked there."""

    def __init__(self, container, link) -> None:
        super().__init__()
        self._container, self._link = container, link

    def link(self, base: str, name: str, **life) -> str:
        return self._link(name).href

    def size(self, name: str) -> int | None:
        blob = self._container.get_blob_client(name)
        return blob.get_blob_properties().size if blob.exists() else None

    def age_s(self, name: str) -> float:
        return inf

    def head(self, name: str, count: int = 128) -> bytes:
        return self._container.get_blob_client(name).download_blob(0, count).readall()


@pytest.fixture
def storage(azurite, link, sandbox, monkeypatch):
    """The container of Azurite in which the platform keeps its files."""
    container = azurite.get_container_client("baselines")
    with closing(InAzurite(container, link)) as blobs:
        monkeypatch.setattr(sandbox.platform, "blobs", blobs)
        yield container


@pytest.mark.measure
@pytest.mark.django_db(transaction=True)
def test_a_large_file_takes_little_longer_through_the_desk(
    processes, storage, signed_in_mara, mara, spec_for, bridge_team, record_property, settings
):
    """Browser, web, worker, storage, beside the makers' own library straight to the same storage, before and after."""
    data, headers = a_file(UPLOADED_MIB * MIB), headers_of(mara)
    settings.BASELINE_MAX_MIB = settings.STAGING_PERSON_MIB = 2 * UPLOADED_MIB
    for name in ("STAGING_DIR", "BASELINE_MAX_MIB", "STAGING_PERSON_MIB"):
        processes.env[name] = str(getattr(settings, name))
    web = processes.web()
    processes.worker()
    browser = requests.Session()
    send_piece(web, staging.announce(name="warm.bim", size=PIECE, owner=mara), headers, data[:PIECE], at=0, by=browser)
    direct_s = [directly(storage, data)]

    began = monotonic()
    staged = staging.announce(name="pier.bim", size=len(data), owner=mara)
    for at in range(0, len(data), PIECE):
        send_piece(web, staged, headers, data[at : at + PIECE], at=at, by=browser)
    came_s = monotonic() - began
    spec = spec_for(Kind.BASELINE, file_name="pier.bim", file_size=len(data))
    operation = lifecycle.request(spec, by=mara, staged_file=staged)
    wait_until(lambda: Operation.objects.filter(state=State.RUNNING, pk=operation.pk).exists(), what="the platform")
    took_s = monotonic() - began

    direct_s.append(directly(storage, data))
    operation.refresh_from_db()
    name = f"baselines/{operation.imodel_id}/{operation.imodel_id}.bim"
    assert sha256(storage.download_blob(name).readall()).digest() == sha256(data).digest()
    share = sum(direct_s) / 2 / took_s
    chain = f"{came_s:.1f} s to the desk, {took_s - came_s:.1f} s on to the storage"
    said = f"directly {direct_s[0]:.1f} s before and {direct_s[1]:.1f} s after: {share:.0%} of its pace"
    record_property("figure", f"{UPLOADED_MIB} MiB: {chain}; {said}")
    assert share >= SHARE_OF_DIRECT


def directly(storage, data: bytes) -> float:
    """By the makers' library, in blocks as large as ours and as many at a time."""
    blocks: dict[str, Any] = {"max_block_size": settings.UPLOAD_BLOCK}
    blocks["max_single_put_size"] = settings.UPLOAD_SINGLE_PUT
    url, name = storage.url.removesuffix(f"/{storage.container_name}"), storage.container_name
    with ContainerClient(url, name, credential=KEY, **blocks) as client:
        began = monotonic()
        blob = client.get_blob_client("direct")
        blob.upload_blob(data, length=len(data), max_concurrency=BLOCKS_AT_ONCE, overwrite=True)
        return monotonic() - began
