"""The configuration of nginx: what a client may take of time, bytes and connections before the gateway hears of it.

nginx reads the requests of strangers and hands each on in one form, over a Unix socket that its own user alone may
enter. Paths go on as they came: the gateway decides which have one reading only.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from string import Template

from provisioning.gateway.core.problems import Code, Problem

SOCKET = "gateway.sock"
"""Name of the gateway's socket in nginx's folder."""

KEEP_ALIVE_SECONDS = 75
"""Longer than the pauses of a proxy that keeps connections open, so that it is not the one surprised."""


@dataclass(frozen=True)
class Limits:
    """What a client may take of nginx."""

    head_seconds: float = 15.0
    """From the connection, or the first byte of a further request, to the end of the headers."""
    linger_seconds: float = 5.0
    """How long what is still sent after a refusal is read and thrown away, so that the refusal arrives."""
    connections: int = 8192
    """Of clients and to the gateway together; idle ones are closed, oldest first, when few are left."""
    requests_per_address: int = 2000
    """At once, WebSockets and event streams among them; behind RunPod's proxy many clients share an address."""
    body_bytes: int = 0
    """Largest body; 0 for no bound. Each route has a lower one of its own."""


@dataclass(frozen=True)
class Address:
    """Where nginx listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


TEMPLATE = Template(r"""
daemon off;
worker_processes 1;
$user
pid nginx.pid;
# Lines about a request would hold its address, with the secrets of signed URLs and tickets.
error_log stderr emerg;
events { worker_connections $connections; }
http {
    access_log off;
    server_tokens off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    # Neither an absolute target, nor an asterisk, nor a version before or after HTTP/1.0 and 1.1.
    map $$request $$is_plain { default 0; "~^[A-Z-]+ +/[^ ]* HTTP/1\.[01]$$" 1; }
    # A handshake with a body would end for one reader where its head ends, for another behind the body.
    map "$$request_method $$server_protocol $$http_upgrade|$$http_content_length$$http_transfer_encoding" $$upgrade {
        default "";
        "~*^GET HTTP/1\.1 websocket\|$$" websocket;
    }
    map $$upgrade $$connection_header { default ""; websocket upgrade; }
    # Whether the gateway may have carried out a request that it did not answer; GET and HEAD change nothing.
    map "$$request_method $$upstream_bytes_sent" $$is_lost {
        default 1;
        "~^(GET|HEAD) " 0;
        "~ (0|-)?$$" 0;
    }
    # An empty header is not sent.
    map $$is_lost $$again { default ""; 0 $retry_after; }
    limit_conn_zone $$binary_remote_addr zone=addresses:4m;
    upstream gateway {
        server unix:$socket;
        # Shorter than the time after which the gateway closes an idle connection.
        keepalive 64;
        keepalive_timeout 60s;
    }
    server {
        listen $address reuseport backlog=4096 so_keepalive=on$ipv6;
        merge_slashes off;
        underscores_in_headers off;
        client_header_timeout ${head_ms}ms;
        client_header_buffer_size 4k;
        large_client_header_buffers 1 64k;
        client_body_timeout 60s;
        client_max_body_size $body_bytes;
        send_timeout 60s;
        keepalive_timeout ${keep_alive}s;
        lingering_time ${linger_ms}ms;
        lingering_timeout ${linger_ms}ms;
        reset_timedout_connection on;
        limit_conn addresses $requests_per_address;
        if ($$is_plain = 0) { return 400; }
        error_page 502 503 504 = @away;
        location / {
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Host $$http_host;
            proxy_set_header Connection $$connection_header;
            proxy_set_header Upgrade $$upgrade;
            proxy_set_header X-Forwarded-For $$remote_addr;
            proxy_set_header X-Forwarded-Proto "";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_buffer_size 16k;
            proxy_buffers 4 16k;
            # The gateway ends what takes too long, except where it hangs itself.
            proxy_read_timeout 300s;
            proxy_send_timeout 120s;
            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
            proxy_pass_header X-Accel-Buffering;
        }
        location @away {
            default_type application/problem+json;
            add_header Cache-Control no-store always;
            add_header Retry-After $$again always;
            if ($$is_lost) { return 502 '$lost'; }
            return 503 '$away';
        }
    }
}
""")


def render(address: Address, folder: Path, limits: Limits) -> str:
    """Return nginx's configuration; `folder` is one that the user of nginx and of the gateway alone may enter."""
    away = Problem(Code.NOT_READY, "The gateway is starting, ending or has too many requests; try again shortly.")
    lost = Problem(
        Code.UPSTREAM_ERROR, "The gateway ended before it answered; look whether it carried the request out."
    )
    return TEMPLATE.substitute(
        user=_user(),
        connections=limits.connections,
        socket=folder / SOCKET,
        address=address,
        ipv6=" ipv6only=off" if ":" in address.host else "",
        head_ms=round(limits.head_seconds * 1000),
        linger_ms=round(limits.linger_seconds * 1000),
        keep_alive=KEEP_ALIVE_SECONDS,
        body_bytes=limits.body_bytes,
        requests_per_address=limits.requests_per_address,
        retry_after=dict(away.headers())["retry-after"],
        away=json.dumps(away.body("none")),
        lost=json.dumps(lost.body("none")),
    )


def _user() -> str:
    """Return the line that has root's nginx stay root, in whose folder the socket is."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
