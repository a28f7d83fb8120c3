"""Run the official TypeScript client's own integration tests against the sandbox.

    python -m tools.official_client CHECKOUT     # CHECKOUT: a clone of iTwin/imodels-clients; needs Node.js and npm

Installs and builds inside the checkout, once, what these tests need (`git clean -fdX` there undoes it), starts a
sandbox, and runs the tests on create, clone, fork, operation and baseline as they are. The exit code is theirs.
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
ASSETS = "utils/imodels-client-test-utils/src/assets/test-imodel"
TESTS = (
    "management/IModelOperations",
    "management/OperationOperations",
    "authoring/IModelOperations",
    "authoring/BaselineFileOperations",
)
# Tools for lint and spelling, and a browser: not needed, and some of their pinned versions are gone.
NOT_NEEDED = re.compile("eslint|cspell|browser-chromium")
SIGN_IN = Path(__file__).with_suffix(".cjs")
IMODEL = "Official client"


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    checkout = Path(sys.argv[1]).resolve()
    tests = checkout / PACKAGES[-1]
    if not (tests / "lib").is_dir():
        install(checkout)
    with Sandbox.start(speed=20, limits=False) as sandbox:
        plant(sandbox, checkout / ASSETS)
        return run(sandbox, tests)


# -- install -----------------------------------------------------------------------------------------------------


def install(checkout: Path) -> None:
    """Link the packages of the checkout to each other, take the others from npm, and build."""
    manifests = {checkout / name: json.loads((checkout / name / "package.json").read_text()) for name in PACKAGES}
    own = {manifest["name"]: folder for folder, manifest in manifests.items()}
    others: dict[str, str] = {}
    for folder, manifest in manifests.items():
        needed = manifest.get("dependencies", {}) | manifest.get("devDependencies", {})
        for name in needed.keys() & own.keys():
            _link(folder / "node_modules" / name, own[name])
        others |= {name: needed[name] for name in needed.keys() - own.keys() if not NOT_NEEDED.search(name)}
    wanted = [f"{name}@{version}" for name, version in sorted(others.items())]
    _npm(checkout, "install", "--no-save", "--no-package-lock", "--legacy-peer-deps", "--ignore-scripts", *wanted)
    for folder in manifests:
        _npm(folder, "run", "build", "--if-present")


def _link(link: Path, folder: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(folder, target_is_directory=True)


def _npm(folder: Path, *arguments: str) -> None:
    subprocess.run(["npm", "--prefix", str(folder), "--loglevel=error", *arguments], cwd=folder, check=True)


# -- what the tests read -----------------------------------------------------------------------------------------


def plant(sandbox: Sandbox, assets: Path) -> None:
    """Make the iModel that the tests read and copy.

    Their set-up would make it by parts of the API that the sandbox does not have (briefcases, locks, groups and data of
    changesets), but takes one that is there. What it reads of those parts are fixed answers here.
    """
    world, owner = sandbox.world, sandbox.person("ines").id
    (baseline,) = assets.glob("*.bim")
    imodel = w.IModel(
        id=w.new_id(),
        itwin_id=sandbox.ids["harbour-bridge"],
        name=IMODEL,
        description="Reusable iModel creation completed",
        creator_id=owner,
        created_at=world.clock(),
        creation=w.Creation("baseline", baseline_size=baseline.stat().st_size, baseline_state="initialized"),
    )
    described = json.loads((assets / "changesets.json").read_text())["changesets"]
    imodel.timeline, imodel.changeset_count = imodel.id, len(described)
    world.timelines[imodel.id] = [_changeset(one, assets, imodel) for one in described]
    imodel.named_versions = [
        w.NamedVersion(w.new_id(), f"Named version {index}", None, index, world.clock(), owner) for index in (5, 10)
    ]
    world.add_imodel(imodel)
    for path, items in _fixed_answers(sandbox, imodel).items():
        body = items | {"_links": {"next": None}}
        sandbox.fault("GET", f"/{imodel.id}/{path}$", times=None, status=200, body=body)


def _changeset(described: dict[str, Any], assets: Path, imodel: w.IModel) -> w.Changeset:
    return w.Changeset(
        id=described["id"],
        index=described["index"],
        parent_id=described["parentId"],
        description=described["description"],
        creator_id=imodel.creator_id,
        pushed_at=imodel.created_at,
        file_size=(assets / "changesets" / described["fileName"]).stat().st_size,
        containing_changes=described["containingChanges"],
        group_id="first" if described["index"] <= 3 else "second" if described["index"] <= 6 else None,
    )


def _fixed_answers(sandbox: Sandbox, imodel: w.IModel) -> dict[str, dict[str, list[dict[str, Any]]]]:
    owner = {"href": f"{sandbox.url}/imodels/{imodel.id}/users/{imodel.creator_id}"}
    links = {"_links": {"creator": owner, "owner": owner, "checkpoint": owner}}
    briefcase = {"deviceName": "Some device", "ownerId": imodel.creator_id} | links
    groups = {"first": "Initial group", "second": "Another one"}
    first_two = sandbox.world.timelines[imodel.id][:2]
    return {
        "briefcases": {"briefcases": [briefcase | {"briefcaseId": number} for number in (2, 3, 4)]},
        "locks": {"locks": [{"briefcaseId": 2, "lockedObjects": []}]},
        "changesetgroups": {"changesetGroups": [{"id": key, "description": groups[key]} | links for key in groups]},
        "changesets/extendeddata": {
            "extendedData": [{"changesetId": one.id, "changesetIndex": one.index, "data": "e30="} for one in first_two]
        },
    }


# -- run ---------------------------------------------------------------------------------------------------------


def run(sandbox: Sandbox, tests: Path) -> int:
    files = [f"lib/integration/{name}.test.js" for name in TESTS]
    command = ["npx", "mocha", "--require", str(SIGN_IN), "--timeout", "120000", "--exit", *files]
    return subprocess.run(command, cwd=tests, env=os.environ | environment(sandbox), check=False).returncode


def environment(sandbox: Sandbox) -> dict[str, str]:
    """What the README of the tests asks for, and the tokens that SIGN_IN hands out."""
    first, second = sandbox.person("ines"), sandbox.person("tomas")
    tokens = {person.email: sandbox.tokens_for(person.key)["access_token"] for person in (first, second)}
    return {
        "TEST_ITWIN_NAME": "Harbour Bridge",
        "TEST_IMODEL_NAME": IMODEL,
        "AUTH_AUTHORITY": sandbox.url,
        "AUTH_CLIENT_ID": sandbox.client_id,
        "AUTH_CLIENT_SECRET": sandbox.client_secret,
        "AUTH_REDIRECT_URL": "unused",
        "APIS_IMODELS_BASE_URL": f"{sandbox.url}/imodels",
        "APIS_IMODELS_VERSION": "2",
        "APIS_IMODELS_SCOPES": "itwin-platform",
        "APIS_ITWINS_BASE_URL": f"{sandbox.url}/itwins",
        "APIS_ITWINS_SCOPES": "itwin-platform",
        "TEST_USERS_ADMIN1_EMAIL": first.email,
        "TEST_USERS_ADMIN1_PASSWORD": "unused",
        "TEST_USERS_ADMIN2_FULLY_FEATURED_EMAIL": second.email,
        "TEST_USERS_ADMIN2_FULLY_FEATURED_PASSWORD": "unused",
        "SANDBOX_TOKENS": json.dumps(tokens),
    }


if __name__ == "__main__":
    sys.exit(main())
