"""A clone as a plain Celery task with Celery's own rate limit, which each worker counts for itself.

celery -A tests.bench.celery_peer worker, with PEER_BROKER, PEER_URL and PEER_TOKEN in its environment.
"""

import os

import requests
from celery import Celery

from tests.people import HARBOUR, MAIN_BRIDGE

app = Celery(broker=os.environ["PEER_BROKER"], task_ignore_result=True)


@app.task(rate_limit="20/m")
def clone(number: int) -> None:
    url = f"{os.environ['PEER_URL']}/imodels/{MAIN_BRIDGE}/clone"
    headers = {"Authorization": f"Bearer {os.environ['PEER_TOKEN']}"}
    requests.post(url, json={"iTwinId": HARBOUR, "name": f"Peer {number}"}, headers=headers, timeout=30)
