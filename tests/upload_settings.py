"""The product's settings with small limits, so that a small file is a large one: 5 blocks instead of 38."""

from dashboard.settings import *  # noqa: F403
from tests.files import KIB

UPLOAD_SINGLE_PUT, UPLOAD_BLOCK = 256 * KIB, 64 * KIB
