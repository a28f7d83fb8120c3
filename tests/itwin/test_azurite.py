"""The storage code against Azurite, the stand-in of Azure's storage by its makers: it is not of our own making."""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas

from demo import supervisor
from imodels_app import lifecycle
from imodels_app.accounts import encryption
from imodels_app.itwin import errors
from imodels_app.itwin.storage import Storage
from imodels_app.itwin.types import UploadLink
from imodels_app.models import Upload
from imodels_app.requesting import staging
from imodels_app.states import Kind, State
from imodels_app.views.uploads import PIECE
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.files import KIB, MIB, a_file, digest
from tests.processes import listens
from tests.settings import IN_CI, RUN_DIR, free_port
from tests.views.test_uploads import headers_of, send_piece
from tests.waiting import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.django_db]
HERE = Path(__file__).parents[1] / "azurite"
LOCAL = {"127.0.0.1"}
# Azurite's own account, the same for everybody: no secret.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="session")
def azurite():
    """A running Azurite with one container, and how to look into it."""
    if not shutil.which("npm"):
        why = "no Node.js on PATH"
        pytest.fail(why) if IN_CI else pytest.skip(why)
    program = HERE / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HERE, check=True)
    port = free_port()
    command = [str(program), "--blobPort", str(port), "--location", str(RUN_DIR / "azurite"), "--skipApiVersionCheck"]
    with (RUN_DIR / "azurite.log").open("wb") as log:
        process = supervisor.spawn([*command, "--silent"], output=log, env=_env(), cwd=RUN_DIR)
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
def test_a_file_goes_up_byte_for_byte(azurite, link, baseline_of, signed_in_mara, sandbox, settings, size, blocks):
    settings.UPLOAD_SINGLE_PUT, settings.UPLOAD_BLOCK = 16 * MIB, 2 * MIB
    data = a_file(size)
    operation = baseline_of(data)
    submit(operation.pk)
    operation.refresh_from_db()
    name = f"baselines/{operation.imodel_id}/{operation.imodel_id}.bim"
    Upload.objects.update(link=encryption.encrypt(link(operation.imodel_id).href))
    sandbox.platform.blobs.write(name, [data])  # what the platform finds when it is told

    upload(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    assert operation.upload.blocks.count() == blocks
    blob = azurite.get_blob_client("baselines", operation.imodel_id)
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


@pytest.mark.measure
@pytest.mark.django_db(transaction=True)
def test_a_large_file_takes_little_longer_through_the_desk(
    processes, azurite, link, signed_in_mara, mara, sandbox, spec_for, bridge_team, record_property, settings
):
    """Browser, desk, storage, one after the other, beside the makers' own library straight to the storage."""
    data, headers = a_file(int(os.environ.get("BENCH_UPLOAD_MIB", "1024")) * MIB), headers_of(mara)
    settings.BASELINE_MAX_MIB = settings.STAGING_PERSON_MIB = 2048
    processes.env |= {
        "STAGING_DIR": str(settings.STAGING_DIR),
        "BASELINE_MAX_MIB": "2048",
        "STAGING_PERSON_MIB": "2048",
    }
    web = processes.web()
    began = monotonic()
    azurite.get_blob_client("baselines", "direct").upload_blob(data, length=len(data), max_concurrency=2)
    direct_s, began = monotonic() - began, monotonic()

    staged = staging.announce(name="pier.bim", size=len(data), owner=mara)
    for at in range(0, len(data), PIECE):
        send_piece(web, staged, headers, data[at : at + PIECE], at=at)
    came_s, began = monotonic() - began, monotonic()

    spec = spec_for(Kind.BASELINE, file_name="pier.bim", file_size=len(data), description=digest(data))
    operation = lifecycle.request(spec, by=mara, staged_file=staged)
    submit(operation.pk)
    operation.refresh_from_db()
    name = f"baselines/{operation.imodel_id}/{operation.imodel_id}.bim"
    sandbox.platform.blobs.write(name, [data])
    Upload.objects.update(link=encryption.encrypt(link(operation.imodel_id).href))
    began = monotonic()
    upload(operation.pk)
    went_s = monotonic() - began

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    chain = f"{came_s:.1f} s to the desk, {went_s:.1f} s on to the storage"
    share = direct_s / (came_s + went_s)
    record_property("figure", f"{len(data) // MIB} MiB: {chain}, {direct_s:.1f} s directly: {share:.0%} of its pace")
