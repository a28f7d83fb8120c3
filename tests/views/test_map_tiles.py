"""Pictures of a tile server behind the map of the extent, in a real browser that fetches them from a real server."""

import base64
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import expect

from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
# The smallest PNG there is.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwAEBAIAX8jxogAAAABJRU5ErkJggg=="
)


class TileServer(ThreadingHTTPServer):
    """Answers every /z/x/y.png with a dot, or with 404 once is_empty; asked is [(path, Referer), ...]."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.is_empty = False
        super().__init__(("127.0.0.1", 0), Tile)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{{z}}/{{x}}/{{y}}.png"


class Tile(BaseHTTPRequestHandler):
    server: TileServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Referer"]))
        self.send_response(404 if self.server.is_empty else 200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        if not self.server.is_empty:
            self.wfile.write(DOT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def tile_server():
    server = TileServer()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def desk(processes, open_page, client, signed_in_mara, settings, tile_server, troubles):
    """desk(path) is that page of a dashboard that was told of the tile server."""
    troubles.expect("^htmx:(sendAbort|afterRequest)")
    processes.env |= {"MAP_TILES_URL": tile_server.url, "MAP_TILES_CREDIT": "© Survey <of> tiles"}
    url = processes.web()

    def open_desk(path):
        client.force_login(signed_in_mara)
        page = open_page(base_url=url)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": url}])
        page.goto(path)
        return page

    return open_desk


def tile_of(latitude, longitude, z):
    """Which tile of Web Mercator a place is in, as its definition says it."""
    y = (1 - math.log(math.tan(math.radians(latitude)) + 1 / math.cos(math.radians(latitude))) / math.pi) / 2
    return f"/{z}/{math.floor((longitude + 180) / 360 * 2**z)}/{math.floor(y * 2**z)}.png"


def test_a_near_view_shows_the_tiles_of_its_places_where_they_are(desk, tile_server):
    page = desk("/new/empty/?north=55.68&south=55.55&west=12.6&east=12.9")
    images = page.locator(".map .tiles image")
    expect(images.first).to_be_attached()
    wait_until(lambda: len(tile_server.asked) == images.count())

    paths = [path for path, _ in tile_server.asked]
    z = int(paths[0].split("/")[1])
    assert len(set(paths)) == len(paths) <= 40
    assert tile_of(55.6, 12.75, z) in paths
    here = page.locator(f".map .tiles image[href$='{tile_of(55.6, 12.75, z)}']")
    x, y, width, height = (float(here.get_attribute(name)) for name in ("x", "y", "width", "height"))
    assert x <= 1275 <= x + width
    assert y <= -5560 <= y + height
    assert width == pytest.approx(36000 / 2**z)
    box = page.locator(".map svg").bounding_box()
    assert here.bounding_box()["width"] < 201 < box["width"]
    expect(page.get_by_text("Map: © Survey <of> tiles.")).to_be_visible()


def test_a_tile_server_learns_where_the_desk_is_and_not_which_page(desk, tile_server):
    page = desk("/new/empty/?north=55.68&south=55.55&west=12.6&east=12.9&name=Secret+bridge")
    expect(page.locator(".map .tiles image").first).to_be_attached()
    wait_until(lambda: bool(tile_server.asked))

    origin = page.evaluate("location.origin") + "/"
    assert {referer for _, referer in tile_server.asked} == {origin}


def test_the_whole_world_is_the_outline_alone_and_zooming_out_takes_the_tiles_away(desk, tile_server):
    page = desk("/new/empty/")
    expect(page.locator(".map .grid")).not_to_have_attribute("d", "")
    assert not tile_server.asked

    page.locator("#extent-fold").click()
    for name, number in (("North", "55.68"), ("South", "55.55"), ("West", "12.6"), ("East", "12.9")):
        page.get_by_label(name, exact=True).fill(number)
    expect(page.locator(".map .tiles image").first).to_be_attached()
    for _ in range(5):
        page.get_by_role("button", name="Zoom out").click()
    expect(page.locator(".map .tiles image")).to_have_count(0)


def test_a_tile_that_does_not_come_leaves_the_outline_to_be_seen(desk, tile_server, troubles):
    troubles.expect("status of 404")
    tile_server.is_empty = True
    page = desk("/new/empty/?north=55.68&south=55.55&west=12.6&east=12.9")

    images = page.locator(".map .tiles image")
    expect(images.first).to_be_hidden()
    wait_until(lambda: len(tile_server.asked) == images.count())
    expect(page.locator(".map .tiles image:not([visibility])")).to_have_count(0)


def test_without_the_setting_nothing_is_fetched(open_page, client, signed_in_mara, settings, live_server, troubles):
    troubles.expect("^htmx:(sendAbort|afterRequest)")
    client.force_login(signed_in_mara)
    page = open_page()
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/new/empty/?north=55.68&south=55.55&west=12.6&east=12.9")
    expect(page.locator(".map .extent")).not_to_have_attribute("d", "")

    assert page.locator(".map .tiles image").count() == 0
    assert all(url.startswith(live_server.url) for url in asked)
