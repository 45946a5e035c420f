"""Creates actor tokens through Clerk's Python SDK, a round for every line that it reads.

    python_sdk.py <base URL> <certificate: DER in hex> <key> <user> <admin> <life in seconds>

A line is "<calls in flight> <calls>". Its answer is a line of seconds: the round's on the clock, those
of the processor, and those of each call.
"""

import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import httpx
from clerk_backend_api import Clerk, models

_, base_url, certificate, key, user_id, admin_id, life = sys.argv

tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls.load_verify_locations(cadata=bytes.fromhex(certificate))
clerk = Clerk(
    bearer_auth=key,
    server_url=base_url,
    retry_config=None,
    # As the SDK makes it, but for whom it trusts: up to 100 connections, 20 of them idle.
    client=httpx.Client(follow_redirects=True, verify=tls, trust_env=False),
)


def create():
    """Mints a token and reads its link. Returns the seconds that it took."""
    begun = time.perf_counter()
    # The model: a create takes less time with it than with a dict.
    request = models.CreateActorTokenRequestBody(
        user_id=user_id, actor={"sub": admin_id}, expires_in_seconds=int(life)
    )
    assert clerk.actor_tokens.create(request=request).url
    return time.perf_counter() - begun


# Threads: more calls a second than with `create_async`, alone and with many in flight.
threads = cache(ThreadPoolExecutor)


def seconds(in_flight, calls):
    """What a round takes, and each of its calls."""
    begun, processor = time.perf_counter(), time.process_time()
    each = calls // in_flight
    tasks = [
        threads(in_flight).submit(lambda: [create() for _ in range(each)]) for _ in range(in_flight)
    ]
    latencies = [latency for task in tasks for latency in task.result()]
    return [time.perf_counter() - begun, time.process_time() - processor, *latencies]


for line in sys.stdin:
    print(*seconds(*map(int, line.split())), flush=True)
