"""200 requests that send half and then nothing, through the proxy, and how long others wait meanwhile.

python -m tests.containers.half_sent https://localhost:8443
"""

import os
import socket
import ssl
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import requests

from tests.containers.drive import sign_in

COUNT, FOR_S, ANSWER_WITHIN_S = 200, 90, 2.0
HALF = "POST /new/empty/ HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nContent-Length: 1000\r\n\r\nab"


def main(address: str) -> None:
    at = urlsplit(address)
    trust = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    with ExitStack() as lines, requests.Session() as browser:
        sign_in(browser, address, "mara")
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
        half = HALF.format(at.netloc, cookies).encode()
        for _ in range(COUNT):
            line = socket.create_connection((at.hostname, at.port))
            lines.enter_context(trust.wrap_socket(line, server_hostname=at.hostname)).sendall(half)
        slowest, ends_at = 0.0, time.monotonic() + FOR_S
        while time.monotonic() < ends_at:
            for path in ("/healthz", "/operations/"):
                answer = browser.get(address + path, timeout=30)
                answer.raise_for_status()
                assert not answer.history, f"signed out: {answer.url}"
                slowest = max(slowest, answer.elapsed.total_seconds())
            time.sleep(0.5)
    print(f"{COUNT} half-sent requests for {FOR_S} s: the slowest answer to others took {slowest:.2f} s.")
    sys.exit(slowest > ANSWER_WITHIN_S)


if __name__ == "__main__":
    main(sys.argv[1])
