"""A bucket of S3 and a key service on loopback, as a team's shared backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "team-state"
REGION = "us-east-1"


@dataclass(frozen=True)
class Bucket:
    """Where the state lies, and the key that may encrypt its secrets."""

    backend: str
    """PULUMI_BACKEND_URL."""
    key: str
    """A secrets provider."""
    environ: dict[str, str] = field(repr=False)
    """What every machine of the team needs to get at both."""


@contextmanager
def bucket() -> Iterator[Bucket]:
    """Serve both as long as the context lasts."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        url = f"http://127.0.0.1:{port}"
        access = {"aws_access_key_id": "team", "aws_secret_access_key": "team", "region_name": REGION}
        boto3.client("s3", endpoint_url=url, **access).create_bucket(Bucket=BUCKET)
        key = boto3.client("kms", endpoint_url=url, **access).create_key()["KeyMetadata"]["KeyId"]
        where = f"endpoint=127.0.0.1:{port}&disableSSL=true&s3ForcePathStyle=true&region={REGION}"
        yield Bucket(
            f"s3://{BUCKET}?{where}",
            f"awskms://{key}?region={REGION}&endpoint={url}",
            {"AWS_ACCESS_KEY_ID": "team", "AWS_SECRET_ACCESS_KEY": "team", "AWS_REGION": REGION},
        )
    finally:
        server.stop()
