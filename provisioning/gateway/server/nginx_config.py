"""The configuration of nginx: limits on time, bytes and connections before a request reaches the gateway.

nginx parses requests and forwards each in a canonical form, over a Unix socket that only its own user can open. Paths
are forwarded unchanged: the gateway refuses ambiguous ones.
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
"""Longer than the idle timeout of proxies in front, so that nginx does not close a connection that they reuse."""


@dataclass(frozen=True)
class ClientLimits:
    """Limits on clients of nginx."""

    head_seconds: float = 15.0
    """Time from the connection, or from the first byte of a later request, to the end of the headers."""
    linger_seconds: float = 5.0
    """How long a body is read and discarded after a refusal, so that the client receives the refusal."""
    connections: int = 8192
    """Connections from clients and to the gateway together; when few are left, idle ones are closed, oldest first."""
    requests_per_address: int = 2000
    """Concurrent requests, WebSockets and event streams included; RunPod's proxy gives many clients one address."""
    body_bytes: int = 0
    """Largest body in bytes, 0 for no limit; each route has a lower limit of its own."""


@dataclass(frozen=True)
class Address:
    """The address on which nginx listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


TEMPLATE = Template(r"""
daemon off;
worker_processes 1;
$user
pid nginx.pid;
# Messages about a request would contain its URL, with the secrets of signed URLs and tickets.
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
    # Refuses absolute targets, an asterisk, and versions other than HTTP/1.0 and 1.1.
    map $$request $$is_plain { default 0; "~^[A-Z-]+ +/[^ ]* HTTP/1\.[01]$$" 1; }
    # Not for a handshake with a body, whose end parsers disagree about.
    map "$$request_method $$server_protocol $$http_upgrade|$$http_content_length$$http_transfer_encoding" $$upgrade {
        default "";
        "~*^GET HTTP/1\.1 websocket\|$$" websocket;
    }
    map $$upgrade $$connection_header { default ""; websocket upgrade; }
    # Whether the gateway may have processed a request without a response; GET and HEAD change nothing.
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
        # Shorter than the gateway's own timeout for idle connections.
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
        error_page 502 503 504 = @unavailable;
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
            # Longer than the gateway's own timeouts: applies only when the gateway hangs.
            proxy_read_timeout 300s;
            proxy_send_timeout 120s;
            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
            proxy_pass_header X-Accel-Buffering;
        }
        location @unavailable {
            default_type application/problem+json;
            add_header Cache-Control no-store always;
            add_header Retry-After $$again always;
            if ($$is_lost) { return 502 '$lost'; }
            return 503 '$unavailable';
        }
    }
}
""")


def render(address: Address, folder: Path, limits: ClientLimits) -> str:
    """Return nginx's configuration; `folder` must be accessible only to the user of nginx and of the gateway."""
    unavailable = Problem(Code.NOT_READY, "The gateway is starting, stopping or overloaded; try again shortly.")
    lost = Problem(
        Code.UPSTREAM_ERROR, "The gateway stopped before it responded; check whether the request was processed."
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
        retry_after=dict(unavailable.headers())["retry-after"],
        unavailable=json.dumps(unavailable.body("none")),
        lost=json.dumps(lost.body("none")),
    )


def _user() -> str:
    """Return the `user` directive by which nginx workers stay root when started by root, who owns the socket."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name};"
