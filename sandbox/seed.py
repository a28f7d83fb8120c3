"""The world as it begins: four people, their iTwins and iModels. Ids are fixed and may be relied upon.

Other programs learn these ids from the environment or from ``GET /sandbox/world``, never by importing this file.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from datetime import UTC, datetime

from sandbox import world as w

PEOPLE = {
    "mara": "a1a00000-0000-4000-8000-000000000001",
    "tomas": "a1a00000-0000-4000-8000-000000000002",
    "ines": "a1a00000-0000-4000-8000-000000000003",
    "otto": "a1a00000-0000-4000-8000-000000000004",
}
ITWINS = {
    "harbour-bridge": "b2b00000-0000-4000-8000-000000000001",
    "rail-corridor": "b2b00000-0000-4000-8000-000000000002",
    "city-transit": "b2b00000-0000-4000-8000-000000000003",
    "water-west": "b2b00000-0000-4000-8000-000000000004",
    "old-ferry": "b2b00000-0000-4000-8000-000000000005",
    "harbour-account": "b2b00000-0000-4000-8000-0000000000a1",
    "city-account": "b2b00000-0000-4000-8000-0000000000a2",
}
IMODELS = {
    "main-bridge": "c3c00000-0000-4000-8000-000000000001",
    "main-bridge-archive": "c3c00000-0000-4000-8000-000000000002",
    "not-initialized": "c3c00000-0000-4000-8000-000000000003",
    "no-federation-guids": "c3c00000-0000-4000-8000-000000000004",
    "viaduct": "c3c00000-0000-4000-8000-000000000005",
    "depot": "c3c00000-0000-4000-8000-000000000006",
    "metro-line-4": "c3c00000-0000-4000-8000-000000000007",
    "station-north": "c3c00000-0000-4000-8000-000000000008",
    "pumping-station": "c3c00000-0000-4000-8000-000000000009",
    "treatment-plant": "c3c00000-0000-4000-8000-00000000000a",
    "west-main": "c3c00000-0000-4000-8000-00000000000b",
}
DAY_S = 86400.0
START = datetime(2026, 1, 12, 7, 40, tzinfo=UTC).timestamp()

WORK = [
    "Pier {n}: adjust footing to survey levels",
    "Deck segment {n}: refine cross beams",
    "Stay cable {n}: update anchor geometry",
    "Import revised alignment from OpenRoads",
    "Abutment west: wing wall reinforcement",
    "Abutment east: drainage outlets",
    "Clash review: move lighting masts off the gantry",
    "Bearings: replace type B with type C on axis {n}",
    "Parapet and railing, span {n}",
    "Expansion joint at axis {n}",
    "Classify elements for quantity take-off",
    "Inspection walkway, bay {n}",
    "Import bathymetry and fender layout",
    "Fix duplicated elements found by the model check",
    "Drawings: sheet set for span {n}",
    "Update schema to BridgeStructural 1.4",
]
FLAGS = {"Update schema": 1, "Drawings": 8, "Import": 4}


def plant(world: w.World) -> None:
    """Make the world as new. The number generator has a fixed seed, so every world is the same."""
    with world.lock:
        world.clear()
        _people(world)
        _itwins(world)
        _harbour_bridge(world)
        _rail_corridor(world)
        _city_transit(world)
        _water_west(world)
        world.ids = {**ITWINS, **IMODELS}
    world.changed()


def crowd(world: w.World, count: int) -> None:
    """Many more iTwins, of which everybody is a member; each tenth has an iModel."""
    everyone = {person: list(w.EVERY_IMODEL_PERMISSION) for person in PEOPLE.values()}
    with world.lock:
        for number in range(1, count + 1):
            itwin_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"crowd/{number}"))
            world.itwins[itwin_id] = w.ITwin(
                id=itwin_id,
                display_name=f"Section {number:05}",
                number=f"SE-{number:05}",
                members=everyone,
                account_id=ITWINS["harbour-account"],
                created_at=START,
                created_by=PEOPLE["ines"],
            )
            if number % 10 == 0:
                world.imodels[itwin_id] = w.IModel(
                    id=itwin_id,
                    itwin_id=itwin_id,
                    name=f"Track bed {number:05}",
                    creator_id=PEOPLE["otto"],
                    created_at=START,
                    creation=w.Creation("empty"),
                    timeline=itwin_id,
                )
    world.changed()


def _people(world: w.World) -> None:
    for key, given, family, domain, about in (
        ("mara", "Mara", "Lindqvist", "harbour.example", "Engineer on Harbour Bridge"),
        ("tomas", "Tomas", "Novak", "harbour.example", "Her lead: decides about forks"),
        ("ines", "Ines", "Duarte", "harbour.example", "Administrator: reads the audit"),
        ("otto", "Otto", "Brandt", "citytransit.example", "Another team: City Transit"),
    ):
        organization = "City Transit Authority" if key == "otto" else "Harbour Engineering"
        email = f"{given}.{family}@{domain}".lower()
        world.people[PEOPLE[key]] = w.Person(key, PEOPLE[key], given, family, email, about, organization)


def _itwins(world: w.World) -> None:
    everyone_at_harbour = {PEOPLE[key]: list(w.EVERY_IMODEL_PERMISSION) for key in ("mara", "tomas", "ines")}
    everyone_at_harbour[PEOPLE["ines"]].append("administration_manage_roles")
    without_delete = {person: list(permissions) for person, permissions in everyone_at_harbour.items()}
    without_delete[PEOPLE["mara"]].remove(w.DELETE)
    otto = {PEOPLE["otto"]: list(w.EVERY_IMODEL_PERMISSION)}
    otto_and_mara = {**otto, PEOPLE["mara"]: [w.WEBVIEW, w.READ]}
    harbour, city = ITWINS["harbour-account"], ITWINS["city-account"]
    for key, name, number, members, account, extra in (
        ("harbour-bridge", "Harbour Bridge", "HB-2031", everyone_at_harbour, harbour, HARBOUR),
        ("rail-corridor", "Rail Corridor 2027", "RC-2027", without_delete, harbour, {"type": "Rail"}),
        ("city-transit", "City Transit", "CT-0088", otto, city, {"data_center": "North Europe"}),
        ("water-west", "Water West", "WW-1145", otto_and_mara, city, {"sub_class": "Asset", "itwin_class": "Thing"}),
        ("old-ferry", "Old Ferry Terminal", "OF-1998", everyone_at_harbour, harbour, {"status": "Inactive"}),
        ("harbour-account", "Harbour Engineering", "HARBOUR", {}, "", ACCOUNT),
        ("city-account", "City Transit Authority", "CITY", {}, "", ACCOUNT),
    ):
        world.itwins[ITWINS[key]] = w.ITwin(
            id=ITWINS[key],
            display_name=name,
            number=number,
            members={person: list(permissions) for person, permissions in members.items()},
            account_id=account,
            created_at=START - 200 * DAY_S,
            created_by=PEOPLE["otto"] if account == city else PEOPLE["ines"],
            **extra,
        )


HARBOUR = {
    "type": "Bridge",
    "location": "Harbour City",
    "latitude": 53.54,
    "longitude": 9.97,
    "time_zone": "Europe/Berlin",
}
ACCOUNT = {"sub_class": "Account", "itwin_class": "Account"}
HARBOUR_EXTENT = {
    "southWest": {"latitude": 53.535, "longitude": 9.955},
    "northEast": {"latitude": 53.548, "longitude": 9.985},
}


def _harbour_bridge(world: w.World) -> None:
    team = ("mara", "tomas", "ines", "mara", "mara")
    bridge = _imodel(world, "main-bridge", "Main Bridge", "harbour-bridge", "tomas", 0)
    bridge.description = "Design model of the cable-stayed main span"
    bridge.extent = HARBOUR_EXTENT
    _push(world, bridge, 120, team)
    for name, index, about in (
        ("30 % design", 40, "Client review, first round"),
        ("60 % design", 96, "Issued for independent check"),
        ("Checked alignment", 0, "The baseline, before anything was changed"),
    ):
        _name_version(world, bridge, name, index, about)
    archive = _imodel(world, "main-bridge-archive", "Main Bridge 2024 archive", "harbour-bridge", "tomas", -40)
    archive.description = "As left by the feasibility study"
    _push(world, archive, 22, team)
    waiting = _imodel(world, "not-initialized", "Main Bridge temporary works", "harbour-bridge", "mara", 30)
    waiting.state = "notInitialized"
    waiting.creation = w.Creation("template", state=w.SCHEDULED, outcome=w.STUCK)
    quay = _imodel(world, "no-federation-guids", "Old Quay", "harbour-bridge", "ines", -400)
    quay.description = "Imported from a legacy CAD archive; elements have no FederationGuid"
    quay.has_federation_guids = False
    _push(world, quay, 6, team)


def _rail_corridor(world: w.World) -> None:
    viaduct = _imodel(world, "viaduct", "Viaduct", "rail-corridor", "mara", 20)
    viaduct.description = "Approach viaduct, axes 1 to 9"
    _push(world, viaduct, 14, ("mara", "tomas"))
    _name_version(world, viaduct, "Tender", 10, "Tender documents")
    _imodel(world, "depot", "Depot", "rail-corridor", "tomas", 45)


def _city_transit(world: w.World) -> None:
    metro = _imodel(world, "metro-line-4", "Metro Line 4", "city-transit", "otto", 5)
    _push(world, metro, 31, ("otto",))
    north = _imodel(world, "station-north", "Station North", "city-transit", "otto", 9)
    _push(world, north, 8, ("otto",))


def _water_west(world: w.World) -> None:
    for key, name, count in (
        ("pumping-station", "Pumping Station 3", 11),
        ("treatment-plant", "Treatment Plant", 27),
        ("west-main", "West Main DN800", 4),
    ):
        _push(world, _imodel(world, key, name, "water-west", "otto", 14), count, ("otto",))


def _imodel(world: w.World, key: str, name: str, itwin: str, creator: str, day: float) -> w.IModel:
    imodel = w.IModel(
        id=IMODELS[key],
        itwin_id=ITWINS[itwin],
        name=name,
        creator_id=PEOPLE[creator],
        created_at=START + day * DAY_S,
        creation=w.Creation("empty"),
    )
    imodel.timeline = imodel.id
    world.imodels[imodel.id] = imodel
    return imodel


def _push(world: w.World, imodel: w.IModel, count: int, authors: tuple[str, ...]) -> None:
    """Push ``count`` believable changesets, one or two a working day."""
    dice = random.Random(imodel.id)
    pushed_at, parent, timeline = imodel.created_at, "", []
    for index in range(1, count + 1):
        pushed_at += dice.uniform(0.3, 1.6) * DAY_S
        text = dice.choice(WORK).format(n=dice.randint(1, 14))
        changeset = w.Changeset(
            id=hashlib.sha1(f"{imodel.id}/{index}".encode()).hexdigest(),
            index=index,
            parent_id=parent,
            description=text,
            creator_id=PEOPLE[dice.choice(authors)],
            pushed_at=pushed_at,
            file_size=dice.randint(2_000, 4_000_000),
            containing_changes=next((flag for start, flag in FLAGS.items() if text.startswith(start)), 0),
        )
        parent = changeset.id
        timeline.append(changeset)
    world.timelines[imodel.id] = timeline
    imodel.changeset_count = count


def _name_version(world: w.World, imodel: w.IModel, name: str, index: int, about: str) -> None:
    timeline = world.timelines[imodel.id]
    version = w.NamedVersion(
        id=str(uuid.uuid5(uuid.UUID(imodel.id), name)),
        name=name,
        description=about,
        changeset_index=index,
        created_at=(timeline[index - 1].pushed_at if index else imodel.created_at) + 3600,
        creator_id=imodel.creator_id,
    )
    imodel.named_versions.append(version)
