"""What people type into a picker, and what they mean: the world they search, the questions, the wanted answers.

A wanted answer is the name that must stand first. {main-bridge} is an id of the sandbox's world.
"""

import unicodedata
import uuid

from sandbox import world as w

SIMILAR, ITWINS = 1100, 130


def decomposed(text):
    """As macOS writes names: a letter, then its accent."""
    return unicodedata.normalize("NFD", text)


# Name, description, and the iTwin it is in.
IMODELS = [
    ("Road", "", "harbour-bridge"),
    ("Roadworks Depot", "", "harbour-bridge"),
    ("A&B Ramp", "Beside the main carriageway", "harbour-bridge"),
    ("100 % Road check", "", "harbour-bridge"),
    ("Örtliche Brücke", "", "harbour-bridge"),
    (decomposed("Südtor"), "", "rail-corridor"),
    ("Alignment study", "Main options, road and rail", "rail-corridor"),
    ("Zoo, road to the", "", "rail-corridor"),
]

IMODEL_QUESTIONS = [
    ("road", "Road"),
    ("ROAD", "Road"),
    ("Road", "Road"),
    ("  road ", "Road"),
    ("roadw", "Roadworks Depot"),
    ("roadworks depot", "Roadworks Depot"),
    ("depot road", "Roadworks Depot"),
    ("Area 0007 Road", "Area 0007 Road"),
    ("AREA 1100 ROAD", "Area 1100 Road"),
    ("area 0042", "Area 0042 Road"),
    ("0042 road", "Area 0042 Road"),
    ("road 0042", "Area 0042 Road"),
    ("road area 1099", "Area 1099 Road"),
    ("area", "Area 0500 Road"),  # cloned before
    ("", "Area 0500 Road"),
    ("main", "Main Bridge"),
    ("main bridge", "Main Bridge"),
    ("MAIN BRIDGE", "Main Bridge"),
    ("main  bridge", "Main Bridge"),
    ("bridge main", "Main Bridge"),
    ("main archive", "Main Bridge 2024 archive"),
    ("2024 BRIDGE", "Main Bridge 2024 archive"),
    ("temporary", "Main Bridge temporary works"),
    ("Main Bridge temporary works", "Main Bridge temporary works"),
    ("duct", "Viaduct"),
    ("DEPOT", "Depot"),
    ("quay old", "Old Quay"),
    ("west main", "West Main DN800"),
    ("cable-stayed", "Main Bridge"),
    ("span main", "Main Bridge"),
    ("approach axes", "Viaduct"),
    ("carriageway", "A&B Ramp"),
    ("a&b", "A&B Ramp"),
    ("100 %", "100 % Road check"),
    ("zoo road", "Zoo, road to the"),
    ("örtliche", "Örtliche Brücke"),
    ("ÖRTLICHE BRÜCKE", "Örtliche Brücke"),
    (decomposed("örtliche brücke"), "Örtliche Brücke"),
    ("südtor", "Südtor"),
    ("{main-bridge}", "Main Bridge"),
    ("  {MAIN-BRIDGE}\n", "Main Bridge"),
    ("https://viewer.example/itwins/{rail-corridor}/imodels/{viaduct}/view", "Viaduct"),
    ("https://viewer.example/?iTwinId={rail-corridor}&iModelId={VIADUCT}", "Viaduct"),
    ("Harbour Bridge / Main Bridge", "Main Bridge"),
    ("harbour/main", "Main Bridge"),
    ("rail corridor / via", "Viaduct"),
]
TEMPLATE_QUESTIONS = [
    ("pumping", "Pumping Station 3"),
    ("STATION 3", "Pumping Station 3"),
    ("3 pumping", "Pumping Station 3"),
    ("legacy", "Old Quay"),
    ("road", "Road"),
]
ITWIN_QUESTIONS = [
    ("", "Harbour Bridge"),  # used recently
    ("rail", "Rail"),
    ("RAIL", "Rail"),
    ("rail corridor", "Rail Corridor 2027"),
    ("corridor rail", "Rail Corridor 2027"),
    ("rail 2027", "Rail Corridor 2027"),
    ("area 077", "Area 077 Rail"),
    ("rail 077", "Area 077 Rail"),
    ("AREA 130 RAIL", "Area 130 Rail"),
    ("hb-2031", "Harbour Bridge"),
    ("HB-20", "Harbour Bridge"),
    ("bridge", "Harbour Bridge"),
    ("ferry", "Old Ferry Terminal"),
    ("old ferry terminal", "Old Ferry Terminal"),
    (decomposed("café line"), "Café Line"),
    ("{rail-corridor}", "Rail Corridor 2027"),
    ("https://developer.bentley.com/my-itwins/itwins/{RAIL-CORRIDOR}/view", "Rail Corridor 2027"),
]
# Of the Viaduct.
VERSION_QUESTIONS = [
    ("V1", "V1"),
    ("v1", "V1"),
    ("V11", "V11"),
    ("v1100", "V1100"),
    ("999", "V999"),
    ("tender", "Tender"),
    ("final tender", "Tender, final"),
    ("  V2 ", "V2"),
    (str(uuid.UUID(int=1)), "V1"),
    (str(uuid.UUID(int=700)).upper(), "V700"),
]
# Of the Main Bridge.
CHANGESET_QUESTIONS = [
    ("1", "1"),
    ("#7", "7"),
    ("110", "110"),
    ("#1100", "1100"),
    ("tuned mass damper", "900"),
    ("DAMPER mass", "900"),
]


def build(sandbox):
    """The world that is searched: Mara's, with much that is called alike."""
    world, mara = sandbox.world, sandbox.person("mara").id
    for number in range(1, ITWINS + 1):
        add_itwin(world, mara, f"Area {number:03} Rail", f"AR-{number:03}")
    add_itwin(world, mara, "Rail", "RL-1")
    add_itwin(world, mara, "Café Line", "CL-9")
    world.recents[f"itwins:{mara}"] = [sandbox.ids[name] for name in ("harbour-bridge", "rail-corridor", "water-west")]
    for number in range(1, SIMILAR + 1):
        add_imodel(world, mara, f"Area {number:04} Road", "Part of the main road network", "harbour-bridge")
    for name, description, itwin in IMODELS:
        add_imodel(world, mara, name, description, itwin)
    versions = world.imodels[sandbox.ids["viaduct"]].named_versions
    versions += [_version(f"V{number}", number) for number in range(1, SIMILAR + 1)]
    versions.append(_version("Tender, final", SIMILAR + 1))
    for _ in range(SIMILAR - 120):
        world.push_changeset(sandbox.ids["main-bridge"], "Adjust footing to survey levels")
    world.timelines[sandbox.ids["main-bridge"]][899].description = "Add the tuned mass damper"


def add_itwin(world, member, name, number):
    itwin_id = w.new_id()
    members = {member: list(w.EVERY_IMODEL_PERMISSION)}
    world.itwins[itwin_id] = w.ITwin(id=itwin_id, display_name=name, number=number, members=members)


def add_imodel(world, creator, name, description, itwin):
    imodel_id = w.new_id()
    world.imodels[imodel_id] = w.IModel(
        id=imodel_id,
        itwin_id=world.ids[itwin],
        name=name,
        description=description,
        creator_id=creator,
        created_at=0.0,
        creation=w.Creation("empty"),
        timeline=imodel_id,
    )


def _version(name, number):
    return w.NamedVersion(
        id=str(uuid.UUID(int=number)),
        name=name,
        description="Issued for review",
        changeset_index=number % 14 + 1,
        created_at=0.0,
        creator_id="",
    )
