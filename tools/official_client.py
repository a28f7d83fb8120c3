"""Run the official TypeScript client's own integration tests against the sandbox.

    python -m tools.official_client CHECKOUT     # CHECKOUT: a clone of iTwin/imodels-clients; needs Node.js and npm

Installs and builds inside the checkout what these tests need (its .gitignore covers all of that), starts a sandbox,
and runs the tests on create, clone, fork, operation and baseline as they are. The exit code is theirs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from sandbox import world as w
from sandbox.server import Sandbox

# In the order in which they are built.
PACKAGES = (
    "utils/imodels-client-common-config",
    "clients/imodels-client-management",
    "clients/imodels-client-authoring",
    "utils/imodels-client-test-utils",
    "tests/imodels-clients-tests",
)
TESTS = (
    "management/IModelOperations",
    "management/OperationOperations",
    "authoring/IModelOperations",
    "authoring/BaselineFileOperations",
)
NOT_NEEDED = re.compile("eslint|cspell|browser-chromium")
SIGN_IN = Path(__file__).with_suffix(".cjs")


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    checkout = Path(sys.argv[1]).resolve()
    install(checkout)
    with Sandbox.start(speed=20, limits=False) as sandbox:
        plant(sandbox, checkout / "utils/imodels-client-test-utils/src/assets/test-imodel")
        return run(sandbox, checkout / PACKAGES[-1])


def install(checkout: Path) -> None:
    """Link the packages of the checkout to each other, take the others from npm, and build.

    The checkout's own way installs its tools of lint and spelling as well, at versions that may be gone.
    """
    manifests = {checkout / name: json.loads((checkout / name / "package.json").read_text()) for name in PACKAGES}
    own = {manifest["name"]: folder for folder, manifest in manifests.items()}
    foreign = {}
    for folder, manifest in manifests.items():
        for name, version in (manifest.get("dependencies", {}) | manifest.get("devDependencies", {})).items():
            if name in own:
                _link(folder / "node_modules" / name, own[name])
            elif not NOT_NEEDED.search(name):
                foreign[name] = version
    wanted = [f"{name}@{version}" for name, version in sorted(foreign.items())]
    _npm(checkout, "install", "--no-save", "--no-package-lock", "--legacy-peer-deps", "--ignore-scripts", *wanted)
    for folder in manifests:
        _npm(folder, "run", "build", "--if-present")


def _link(link: Path, folder: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(folder, target_is_directory=True)


def _npm(folder: Path, *arguments: str) -> None:
    subprocess.run(["npm", "--prefix", str(folder), "--loglevel=error", *arguments], cwd=folder, check=True)


def plant(sandbox: Sandbox, assets: Path) -> None:
    """Make the iModel that the tests read and copy.

    Their set-up looks for it first, and would make it by parts of the API that the sandbox does not have: briefcases,
    locks, groups and data of changesets. It also reads those; here they are fixed answers.
    """
    world, owner = sandbox.world, sandbox.person("ines").id
    (baseline,) = assets.glob("*.bim")
    imodel = w.IModel(
        id=w.new_id(),
        itwin_id=sandbox.ids["harbour-bridge"],
        name="Official client",
        description="Reusable iModel creation completed",
        creator_id=owner,
        created_at=world.clock(),
        creation=w.Creation("baseline", baseline_size=baseline.stat().st_size, baseline_state="initialized"),
    )
    imodel.timeline = imodel.id
    world.timelines[imodel.id] = [
        w.Changeset(
            id=one["id"],
            index=one["index"],
            parent_id=one["parentId"],
            description=one["description"],
            creator_id=owner,
            pushed_at=world.clock(),
            file_size=(assets / "changesets" / one["fileName"]).stat().st_size,
            containing_changes=one["containingChanges"],
            group_id={1: "first", 2: "second"}.get((one["index"] + 2) // 3),
        )
        for one in json.loads((assets / "changesets.json").read_text())["changesets"]
    ]
    imodel.changeset_count = len(world.timelines[imodel.id])
    for index in (5, 10):
        name = f"Named version {index}"
        imodel.named_versions.append(w.NamedVersion(w.new_id(), name, None, index, world.clock(), owner))
    world.add_imodel(imodel)
    user = {"href": f"{sandbox.url}/imodels/{imodel.id}/users/{owner}"}
    links = {"_links": {"creator": user, "owner": user, "checkpoint": user}}
    briefcases = [{"briefcaseId": number, "deviceName": "x", "ownerId": owner} | links for number in (2, 3, 4)]
    groups = [{"id": "first", "description": "Initial group"} | links, {"id": "second", "description": "Another one"} | links]
    data = [{"changesetId": one.id, "changesetIndex": one.index, "data": "e30="} for one in world.changesets_of(imodel)]
    for path, items in (
        ("briefcases", {"briefcases": briefcases}),
        ("locks", {"locks": [{"briefcaseId": 2, "lockedObjects": []}]}),
        ("changesetgroups", {"changesetGroups": groups}),
        ("changesets/extendeddata", {"extendedData": data[:2]}),
    ):
        answer: dict[str, Any] = items | {"_links": {"next": None}}
        sandbox.fault("GET", f"/{imodel.id}/{path}$", times=None, status=200, body=answer)


def run(sandbox: Sandbox, tests: Path) -> int:
    files = [f"lib/integration/{name}.test.js" for name in TESTS]
    command = ["npx", "mocha", "--require", str(SIGN_IN), "--timeout", "120000", "--exit", *files]
    return subprocess.run(command, cwd=tests, env=os.environ | environment(sandbox), check=False).returncode


def environment(sandbox: Sandbox) -> dict[str, str]:
    """What the tests' README asks for, and tokens (see SIGN_IN)."""
    first, second = sandbox.person("ines"), sandbox.person("tomas")
    tokens = {one.email: sandbox.tokens_for(one.key)["access_token"] for one in (first, second)}
    return {
        "TEST_ITWIN_NAME": sandbox.world.itwins[sandbox.ids["harbour-bridge"]].display_name,
        "TEST_IMODEL_NAME": "Official client",
        "AUTH_AUTHORITY": sandbox.url,
        "AUTH_CLIENT_ID": sandbox.client_id,
        "AUTH_CLIENT_SECRET": sandbox.client_secret,
        "AUTH_REDIRECT_URL": "not used",
        "APIS_IMODELS_BASE_URL": f"{sandbox.url}/imodels",
        "APIS_IMODELS_VERSION": "2",
        "APIS_IMODELS_SCOPES": "itwin-platform",
        "APIS_ITWINS_BASE_URL": f"{sandbox.url}/itwins",
        "APIS_ITWINS_SCOPES": "itwin-platform",
        "TEST_USERS_ADMIN1_EMAIL": first.email,
        "TEST_USERS_ADMIN1_PASSWORD": "not used",
        "TEST_USERS_ADMIN2_FULLY_FEATURED_EMAIL": second.email,
        "TEST_USERS_ADMIN2_FULLY_FEATURED_PASSWORD": "not used",
        "SANDBOX_TOKENS": json.dumps(tokens),
    }


if __name__ == "__main__":
    sys.exit(main())
