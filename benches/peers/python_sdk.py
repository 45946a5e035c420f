"""Creates actor tokens with Clerk's Python SDK: a round for each line of input.

    python_sdk.py <base URL> <certificate: DER in hex> <key> <user> <admin> <lifetime in seconds>

Input: "<calls in flight> <calls>". Output in seconds: wall time, CPU time, and the latency of each call.
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
    # The SDK's default except for the trusted certificate: up to 100 connections, 20 of them idle.
    client=httpx.Client(follow_redirects=True, verify=tls, trust_env=False),
)


def create():
    """Creates a token, reads its link, and returns the latency in seconds."""
    begun = time.perf_counter()
    # Faster than a dict.
    request = models.CreateActorTokenRequestBody(
        user_id=user_id, actor={"sub": admin_id}, expires_in_seconds=int(life)
    )
    assert clerk.actor_tokens.create(request=request).url
    return time.perf_counter() - begun


# Threads make more calls a second than `create_async`, alone and concurrently.
threads = cache(ThreadPoolExecutor)


def seconds(in_flight, calls):
    """Returns the line of output of a round."""
    begun, processor = time.perf_counter(), time.process_time()
    each = calls // in_flight
    tasks = [
        threads(in_flight).submit(lambda: [create() for _ in range(each)]) for _ in range(in_flight)
    ]
    latencies = [latency for task in tasks for latency in task.result()]
    return [time.perf_counter() - begun, time.process_time() - processor, *latencies]


for line in sys.stdin:
    print(*seconds(*map(int, line.split())), flush=True)
