#!/usr/bin/env python3
"""Bring the front end's vendored files, exactly as npm serves them: `python -m tools.fetch_assets`.

Run by hand when a version below changes; nothing is fetched when the product is installed, built
or used. Each package is fetched with `npm pack` and unpacked only if its tarball has the integrity
hash pinned here (`npm view NAME@VERSION dist.integrity` says the one of another version).
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

STATIC = Path(__file__).resolve().parents[1] / "static"
VENDOR = STATIC / "vendor"


@dataclass(frozen=True)
class Package:
    """One npm package, the folder it gets here, and the files of it that we keep."""

    name: str
    version: str
    licence: str
    integrity: str
    into: str
    files: tuple[str, ...]
    licence_file: str = "LICENSE"


PACKAGES = (
    Package(
        "@itwin/itwinui-variables",
        "3.3.1",
        "MIT",
        "sha512-AHV6R2A5RDno7t5nLRSrAZBRBMAcz9BgNUo1sdA5W8h+OM24uat1RvMPCB3BEzmDtWxUdEuteNec/Oec+q9uJA==",
        "itwinui/variables",
        ("index.css", "os.css"),
        "LICENSE.md",
    ),
    Package(
        "@itwin/itwinui-css",
        "1.12.10",
        "MIT",
        "sha512-5zXM5WtaXt6X0oWJyjU9ICVMJyvfhXi3qkubwycCdFvH45qnSesmlhaZ5Z1D7I00fXLKdIukwqwTYfUkACZ57A==",
        "itwinui/css",
        (
            "css/button.css",
            "css/input.css",
            "css/checkbox.css",
            "css/radio.css",
            "css/toggle-switch.css",
        ),
        "LICENSE.md",
    ),
    Package(
        "@fontsource-variable/inter",
        "5.3.0",
        "OFL-1.1",
        "sha512-OupL48va4JNofb97w6NYeF9S7W/kHNKM0Er8Dem5nqi4jeOLrVJDoE8tZEpnMJmtkvNbB1EIPPwHcdkF6b1oUA==",
        "inter",
        ("files/inter-latin-wght-normal.woff2", "files/inter-latin-ext-wght-normal.woff2"),
    ),
    Package(
        "@github/combobox-nav",
        "3.0.2",
        "MIT",
        "sha512-txEw3G7oK2b7G5olc5+xDEUJcHvyp9N+yx+LIjAwKsfOq22CGAx5zUL/6yVsHiCF/tRZlKMuFTAgpOHoCrNrzA==",
        "combobox-nav",
        ("dist/index.js",),
    ),
    Package(
        "tus-js-client",
        "4.3.1",
        "MIT",
        "sha512-ZLeYmjrkaU1fUsKbIi8JML52uAocjEZtBx4DKjRrqzrZa0O4MYwT6db+oqePlspV+FxXJAyFBc/L5gwUi2OFsg==",
        "tus",
        ("dist/tus.min.js", "dist/tus.min.js.map"),
    ),
    # The shapes are in img/icons.svg, under our names; their licence is kept here.
    Package(
        "lucide-static",
        "1.62.0",
        "ISC",
        "sha512-WBZA/m2PvkFpMGHDtsBck5P2A9G4ehLlYu4GwwICcmEm1BvYVgj00lCDxKRWLlbMlOibLaiwdQ88G5pHkSWgwA==",
        "lucide",
        (),
    ),
)


def main() -> None:
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            tarball = fetch(package, Path(folder))
            check(package, tarball)
            keep(package, tarball)
        print(f"{package.name} {package.version} -> static/vendor/{package.into}/")


def fetch(package: Package, folder: Path) -> Path:
    """The package's tarball, by the ordinary npm client, which knows the machine's registry."""
    command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = folder.glob("*.tgz")
    return tarball


def check(package: Package, tarball: Path) -> None:
    """Stop if the tarball is not the pinned one."""
    digest = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if digest != package.integrity:
        sys.exit(f"{package.name} {package.version} is not the pinned one: it has {digest}. Nothing of it was kept.")


def keep(package: Package, tarball: Path) -> None:
    """Replace the package's folder by its kept files, its licence and its VERSION."""
    folder = VENDOR / package.into
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        for path in package.files:
            (folder / PurePosixPath(path).name).write_bytes(read(archive, path))
        (folder / "LICENSE").write_bytes(read(archive, package.licence_file))
    (folder / "VERSION").write_text(f"{package.name} {package.version} ({package.licence})\n")


def read(archive: tarfile.TarFile, path: str) -> bytes:
    """One file of an npm tarball, whose paths all begin with `package/`."""
    member = archive.extractfile(f"package/{path}")
    if member is None:
        sys.exit(f"{path} is not a file of the package.")
    return member.read()


if __name__ == "__main__":
    main()
