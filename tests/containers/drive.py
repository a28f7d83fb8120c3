"""What a person does, by HTTP alone: sign in, ask for a clone or bring a baseline file, look until it is there.

    python tests/containers/drive.py clone http://localhost:8000
    python tests/containers/drive.py baseline http://localhost:8000
    python tests/containers/drive.py cut http://localhost:8000 KILL START
    python tests/containers/drive.py door http://localhost:8000
    python tests/containers/drive.py plain http://localhost:8000 https://localhost:8443

`cut` brings a file in pieces and has web killed amid one of them, `plain` is a proxy without TLS behind another one.

Needs nothing of the product but its pages: /sign-in/, /new/clone/, /new/baseline/ and the operation's page.
"""

import base64
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

MAIN_BRIDGE = "c3c00000-0000-4000-8000-000000000001"
HARBOUR_BRIDGE = "b2b00000-0000-4000-8000-000000000001"
UP_WITHIN_S = 120
MADE_WITHIN_S = 180
# More than what web holds of a request at once, and what an iModel begins with.
BASELINE = b"SQLite format 3\0" + os.urandom(3 * 1024 * 1024)
# What web's answers have from its pages, and what answers of the proxy itself have, too.
OF_EACH_ANSWER = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Permissions-Policy": "camera=()"}


class Form:
    """A form as a browser without JavaScript has it."""

    def __init__(self, method: str, action: str) -> None:
        self.method, self.action = method, action
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str, str]] = []  # id, name, value


class Forms(HTMLParser):
    """Every form of a page, with what its fields hold."""

    def __init__(self, page: requests.Response) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._address, self._select = page.url, ""
        self._form: Form | None = None
        self.feed(page.text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attributes}
        if tag == "form":
            action = urljoin(self._address, has.get("action", ""))
            self._form = Form(has.get("method", "get").lower(), action)
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "button":
            self._form.buttons.append((has.get("id", ""), has.get("name", ""), has.get("value", "")))
        elif tag == "input" and "name" in has:
            chosen = has.get("type") not in ("radio", "checkbox") or "checked" in has
            if chosen:
                self._form.fields[has["name"]] = has.get("value", "on" if has.get("type") == "checkbox" else "")
        elif tag == "textarea":
            self._form.fields.setdefault(has.get("name", ""), "")
        elif tag == "select":
            self._select = has.get("name", "")
        elif tag == "option" and self._select and ("selected" in has or self._select not in self._form.fields):
            self._form.fields[self._select] = has.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""


def wait_for(browser: requests.Session, address: str) -> requests.Response:
    """A page, once those who make it have come up: web, and for the provider's page the sandbox."""
    deadline = time.monotonic() + UP_WITHIN_S
    while True:
        try:
            page = browser.get(address, timeout=5)
            if page.ok:
                return page
            problem = f"{page.status_code} {page.url}"
        except requests.RequestException as error:
            problem = str(error)
        if time.monotonic() > deadline:
            sys.exit(f"No page within {UP_WITHIN_S} s: {problem}")
        time.sleep(1)


def sign_in(browser: requests.Session, address: str, who: str) -> None:
    """Through the door, by the person's button on the provider's page, and back."""
    door = wait_for(browser, f"{address}/sign-in/")
    start = re.search(r'href="(/sign-in/start[^"]*)"', door.text)
    if start:
        chooser = wait_for(browser, urljoin(address, start[1].replace("&amp;", "&")))
    else:
        form = next(form for form in Forms(door).forms if "sign-in" in form.action)
        chooser = browser.request(form.method, form.action, params=form.fields, timeout=10)
    must(chooser, "the provider's page")
    form = next(form for form in Forms(chooser).forms if form.buttons)
    _, name, value = next(button for button in form.buttons if button[0] == f"person-{who}")
    home = must(browser.post(form.action, data={**form.fields, name: value}, timeout=10), "the way back")
    if not home.url.startswith(address) or "/sign-in" in home.url:
        sys.exit(f"Signed in, but at {home.url}")
    print(f"Signed in as {who}: {home.url}")


def ask_for(kind: str, browser: requests.Session, address: str, name: str, staged_file: str = "") -> str:
    """Fill in the form; the address of the operation's page. staged_file: the file is here already."""
    page = must(browser.get(f"{address}/new/{kind}/", timeout=10), "the form")
    form = next(form for form in Forms(page).forms if form.method == "post" and "name" in form.fields)
    spec, file = form.fields | {"itwin": HARBOUR_BRIDGE, "name": name}, None
    if kind == "baseline":
        spec.pop("file", None)
        spec["staged_file"] = staged_file
        file = None if staged_file else {"file": ("bridge.bim", BASELINE)}
    else:
        spec["source"] = MAIN_BRIDGE
    answer = browser.post(form.action, data=spec, files=file, headers={"Referer": page.url}, timeout=60)
    must(answer, "the operation's page")
    if "/operations/" not in answer.url:
        words = re.sub(r"<[^>]+>|\s+", " ", answer.text)
        sys.exit(f"The form came back: {words[:2000]}")
    print(f"Asked for {name}: {answer.url}")
    return answer.url


def bring_in_pieces(browser: requests.Session, address: str, kill: str, start: str) -> str:
    """By the tus protocol, with web killed amid the second piece; the file's id. Whoever comes meanwhile is told."""
    page = must(browser.get(f"{address}/new/baseline/", timeout=10), "the form")
    token = next(form.fields["csrfmiddlewaretoken"] for form in Forms(page).forms if "name" in form.fields)
    browser.headers.update({"Tus-Resumable": "1.0.0", "X-CSRFToken": token, "Referer": page.url})
    named = "filename " + base64.b64encode(b"bridge.bim").decode()
    announced = {"Upload-Length": str(len(BASELINE)), "Upload-Metadata": named}
    began = must(browser.post(f"{address}/new/baseline/files/", headers=announced, timeout=10), "the announcement")
    file, first = urljoin(began.url, began.headers["Location"]), 1024 * 1024
    add(browser, file, 0, BASELINE[:first])

    def killed_amid() -> Iterator[bytes]:
        yield BASELINE[first : 2 * first]
        subprocess.run(kill, shell=True, check=True)
        yield BASELINE[2 * first :]

    try:
        if add(browser, file, first, killed_amid(), len(BASELINE) - first).ok:
            sys.exit("A piece was taken by a web that was killed.")
    except requests.RequestException:
        pass
    must_be_told_to_wait(browser.get(f"{address}/sign-in/", timeout=10))
    subprocess.run(start, shell=True, check=True)
    wait_for(browser, f"{address}/sign-in/")
    offset = int(browser.head(file, timeout=10).headers["Upload-Offset"])
    if offset < first:
        sys.exit(f"Of {first} bytes that were here {offset} are left.")
    must(add(browser, file, offset, BASELINE[offset:]), "the rest")
    print(f"Web was killed amid a piece; the file went on at byte {offset}.")
    return file.rpartition("/")[2]


def add(
    browser: requests.Session, file: str, at: int, piece: bytes | Iterator[bytes], size: int | None = None
) -> requests.Response:
    headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(at)}
    if size is None:
        return browser.patch(file, data=piece, headers=headers, timeout=60)
    # By hand: requests would send an iterator in chunks.
    asked = requests.Request("PATCH", file, headers=headers, data=piece)
    prepared = browser.prepare_request(asked)
    del prepared.headers["Transfer-Encoding"]
    prepared.headers["Content-Length"] = str(size)
    return browser.send(prepared, timeout=60, verify=os.environ.get("REQUESTS_CA_BUNDLE") or True)


def must_be_told_to_wait(answer: requests.Response) -> None:
    if answer.status_code not in (502, 504) or "iModel Desk is starting" not in answer.text:
        sys.exit(f"While web is gone the proxy says {answer.status_code}: {answer.text[:200]}")
    must_have_headers(answer, OF_EACH_ANSWER | {"Retry-After": "5"})


def must_have_headers(answer: requests.Response, wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        if value not in answer.headers.get(name, ""):
            sys.exit(f"{answer.status_code} {answer.url} has {name}: {answer.headers.get(name)}, not {value}")


def must_lead(plain: str, address: str) -> None:
    """From http to https, to the port that people know."""
    answer = requests.get(
        f"{plain}/sign-in/?next=/", headers={"Host": "evil.example"}, allow_redirects=False, timeout=10
    )
    if (answer.status_code, answer.headers.get("Location")) != (301, f"{address}/sign-in/?next=/"):
        sys.exit(f"{plain} leads to {answer.status_code} {answer.headers.get('Location')}")


def must_work_behind_another(plain: str, address: str) -> None:
    """A proxy without a certificate believes the one before it, and passes on what it says."""
    must(requests.get(f"{plain}/healthz", timeout=10), "the health check")
    host = address.partition("://")[2]
    said = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    page = must(requests.get(f"{plain}/sign-in/", headers=said, allow_redirects=False, timeout=10), "the door")
    bare = requests.get(f"{plain}/sign-in/", headers={"Host": host}, allow_redirects=False, timeout=10)
    if page.status_code != 200 or (bare.status_code, bare.headers["Location"]) != (301, f"{address}/sign-in/"):
        sys.exit(
            f"Behind another proxy: {page.status_code}; without: {bare.status_code} {bare.headers.get('Location')}"
        )
    print("A proxy without TLS believes the one before it.")


def wait_for_success(browser: requests.Session, operation: str) -> None:
    began = time.monotonic()
    while time.monotonic() - began < MADE_WITHIN_S:
        page = must(browser.get(operation, timeout=10), "the operation's page")
        for word in ("Succeeded", "Failed", "Rejected", "Cancelled"):
            if re.search(rf'class="state [^"]*"[^>]*>(\s|<[^>]+>)*{word}', page.text):
                if word != "Succeeded":
                    sys.exit(f"It ended as {word}.")
                print(f"Succeeded after {time.monotonic() - began:.0f} s.")
                return
        time.sleep(2)
    sys.exit(f"No end within {MADE_WITHIN_S} s.")


def must(answer: requests.Response, what: str) -> requests.Response:
    if not answer.ok and answer.status_code != 422:
        sys.exit(f"{what}: {answer.status_code} {answer.url}\n{answer.text[:500]}")
    return answer


def must_name_its_request(answer: requests.Response, status: int) -> None:
    """By one id, whether web answers or the proxy does by itself."""
    request_id = answer.headers.get("X-Request-ID", "")
    if answer.status_code != status or not re.fullmatch(r"[0-9a-f]{32}", request_id):
        sys.exit(f"{answer.status_code} {answer.url}: the request is called “{request_id}”.")


def main() -> None:
    if len(sys.argv) < 3 or sys.argv[1] not in ("clone", "baseline", "cut", "door", "plain"):
        sys.exit(__doc__)
    what, address, *more = sys.argv[1:]
    if what == "plain":
        return must_work_behind_another(address, *more)
    with requests.Session() as browser:
        if what == "door":
            page = wait_for(browser, f"{address}/sign-in/")
            too_large = browser.post(f"{address}/sign-in/", data=bytes(2_000_000), timeout=10)
            must_name_its_request(page, 200)
            must_name_its_request(too_large, 413)
            must_have_headers(too_large, OF_EACH_ANSWER)
            must_name_its_request(browser.post(f"{address}/new/empty/", data=b"ab", timeout=10), 403)
            for plain in more:
                must_lead(plain, address)
            return None
        sign_in(browser, address, "mara")
        staged = bring_in_pieces(browser, address, *more) if what == "cut" else ""
        kind = "baseline" if staged else what
        return wait_for_success(browser, ask_for(kind, browser, address, f"Bridge {what} {int(time.time())}", staged))


if __name__ == "__main__":
    main()
