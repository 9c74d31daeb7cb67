"""A very small ComfyUI for these tests: it does what it is told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import math
import mimetypes
import re
import struct
import zlib
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import orjson
from aiohttp import web


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 1, height: int = 1) -> bytes:
    """Return a PNG that says it is so large, with the pixels of one line."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


PNG = png()
START_MS = 1_700_000_000_000

OBJECT_INFO: dict[str, Any] = {
    "LoadImage": {"input": {"required": {"image": [["someone-elses.png"], {"image_upload": True}]}}},
    "LoadThing": {"input": {"required": {"thing": ["COMBO", {"options": ["secret.bin"], "file_upload": True}]}}},
    "SaveImage": {"input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}}},
}


@dataclass
class Seen:
    """One request as ComfyUI saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


def form_of(seen: Seen) -> tuple[dict[str, bytes], str]:
    """Return the parts of a multipart body by name, and the name of the file."""
    boundary = b"--" + seen.headers["Content-Type"].partition("boundary=")[2].encode()
    fields, filename = {}, ""
    for part in seen.body.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        names = dict(re.findall(r' (name|filename)="([^"]*)"', head.decode()))
        fields[names["name"]] = content[:-2]
        filename = names.get("filename", filename)
    return fields, filename


@dataclass
class FakeComfyUI:
    """State of the fake; tests read and change it."""

    seen: list[Seen] = field(default_factory=list)
    running: list[list[Any]] = field(default_factory=list)
    pending: list[list[Any]] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)
    files: dict[tuple[str, str, str], tuple[bytes, str]] = field(default_factory=dict)
    start_ms: int = START_MS
    """When every job starts, in milliseconds since the epoch."""
    written: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """When files were written, in seconds since the epoch; the others were when the job started."""
    sockets: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    prompt_answer: tuple[int, Any] | None = None
    userdata: dict[str, bytes] = field(default_factory=dict)
    strict: bool = False
    """Whether it refuses workflows that load pictures which are not there, as ComfyUI does."""
    nonsense: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By the beginnings of paths, the content type and body that it gives in place of an answer, with 200."""
    echoed: dict[str, Any] = field(default_factory=dict)
    """What nodes say in their outputs beside what they made: Preview3D and others repeat an input there."""
    hang: bool = False
    """Whether it stops in the middle of a /view, and does not answer /models and /embeddings at all."""
    held: asyncio.Event | None = None
    """What it waits for before it answers /models."""
    taking: asyncio.Event | None = None
    """What it waits for before it takes a prompt."""

    def app(self) -> web.Application:
        """Return it as an aiohttp app."""
        app = web.Application(client_max_size=10**9)
        app.router.add_get("/ws", self._ws)
        app.router.add_post("/prompt", self._prompt)
        app.router.add_get("/view", self._view)
        app.router.add_route("*", "/{path:.*}", self._rest)
        return app

    async def _note(self, request: web.Request) -> Seen:
        seen = Seen(request.method, request.path, dict(request.query), dict(request.headers), await request.read())
        self.seen.append(seen)
        return seen

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[request.query["clientId"]] = socket
        await self._send("status", {"status": {"exec_info": {"queue_remaining": 99}}, "sid": "x"})
        async for _message in socket:
            pass
        self.sockets.pop(request.query["clientId"], None)
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        seen = await self._note(request)
        if request.path in self.nonsense:
            kind, text = self.nonsense[request.path]
            return web.Response(body=text, content_type=kind)
        if self.prompt_answer is not None:
            return web.json_response(self.prompt_answer[1], status=self.prompt_answer[0])
        if self.taking is not None:
            await self.taking.wait()
        body = orjson.loads(seen.body)
        if self.strict and (missing := self._missing(body["prompt"])):
            error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
            faults = {"errors": [{"message": "Invalid image file", "details": missing}], "dependent_outputs": ["9"]}
            return web.json_response({"error": error, "node_errors": {"1": faults}}, status=400)
        item = [
            len(self.seen),
            body["prompt_id"],
            body["prompt"],
            {"client_id": body["client_id"]},
            ["9"],
            {"api_key": "s"},
        ]
        self.pending.append(item)
        return web.json_response({"prompt_id": body["prompt_id"], "number": item[0], "node_errors": {}})

    def _missing(self, prompt: dict[str, Any]) -> str | None:
        """Return the first picture that a workflow loads and that is not there."""
        for node in prompt.values():
            name = node["inputs"].get("image") if node["class_type"].startswith("LoadImage") else None
            if isinstance(name, str):
                plain, _, mark = name.partition(" [")
                subfolder, _, filename = plain.rpartition("/")
                if (mark.rstrip("]") or "input", subfolder, filename) not in self.files:
                    return name
        return None

    async def _view(self, request: web.Request) -> web.StreamResponse:
        seen = await self._note(request)
        name = (seen.query.get("type", "output"), seen.query.get("subfolder", ""), seen.query["filename"])
        if name not in self.files:
            return web.Response(status=404, text=f"/workspace/ComfyUI/output/{name[2]} is not there")
        content, kind = self.files[name]
        if self.hang:
            return await self._half(request, content)
        # aiohttp, which serves ComfyUI's files, rounds up.
        written = formatdate(math.ceil(self.written.get(name, self.start_ms / 1000)), usegmt=True)
        return web.Response(body=content, content_type=kind, headers={"Last-Modified": written})

    @staticmethod
    async def _half(request: web.Request, content: bytes) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await answer.prepare(request)
        await answer.write(content[: len(content) // 2])
        request.protocol.force_close()
        if request.transport:
            request.transport.close()
        return answer

    async def _rest(self, request: web.Request) -> web.Response:
        seen = await self._note(request)
        for path, (kind, body) in self.nonsense.items():
            if seen.path.startswith(path):
                return web.Response(body=body, content_type=kind)
        if self.hang and seen.path in {"/models", "/embeddings"}:
            await asyncio.sleep(60)
        if self.held is not None and seen.path == "/models":
            await self.held.wait()
        if (seen.method, seen.path) == ("POST", "/queue"):
            gone = orjson.loads(seen.body).get("delete", [])
            self.pending = [item for item in self.pending if item[1] not in gone]
        return self._answer(seen)

    def _answer(self, seen: Seen) -> web.Response:
        answers: dict[str, Any] = {
            "/queue": {"queue_running": self.running, "queue_pending": self.pending},
            "/object_info": OBJECT_INFO,
            "/models": ["checkpoints"],
            "/models/loras": ["a.safetensors"],
            "/embeddings": ["easy.pt"],
            "/extensions": ["/extensions/core/a.js"],
            "/experiment/models": [{"name": "loras", "folders": ["/workspace/models/loras"]}],
            "/experiment/models/loras": [{"name": "a.safetensors", "pathIndex": 0}],
            "/system_stats": {"system": {"argv": ["main.py"]}},
        }
        if seen.path.startswith("/history/"):
            job_id = seen.path.rpartition("/")[2]
            return web.json_response({job_id: self.history[job_id]} if job_id in self.history else {})
        if seen.path.startswith("/upload/"):
            return self._upload(seen)
        if seen.path.startswith("/userdata/"):
            return self._userdata(seen)
        if seen.path.startswith("/settings"):
            return self._settings(seen)
        return web.json_response(answers.get(seen.path, {}))

    def _upload(self, seen: Seen) -> web.Response:
        fields, filename = form_of(seen)
        folder, subfolder, content = fields["type"].decode(), fields.get("subfolder", b"").decode(), fields["image"]
        if seen.path == "/upload/mask":
            reference = orjson.loads(fields["original_ref"])
            original = self.files.get((reference["type"], reference["subfolder"], reference["filename"]))
            if original is None:
                # As ComfyUI: it answers as if it had written something.
                return web.json_response({"name": filename, "subfolder": subfolder, "type": folder})
            content = original[0] + b"masked by " + content
        stem, _, ending = filename.rpartition(".")
        name, number = filename, 0
        while "overwrite" not in fields and self.files.get((folder, subfolder, name), (content,))[0] != content:
            number += 1
            name = f"{stem} ({number}).{ending}"
        self.files[folder, subfolder, name] = (content, mimetypes.guess_type(name)[0] or "application/octet-stream")
        return web.json_response({"name": name, "subfolder": subfolder, "type": folder})

    def _userdata(self, seen: Seen) -> web.Response:
        name, _, target = seen.path.removeprefix("/userdata/").partition("/move/")
        if seen.method == "POST" and target:
            self.userdata[target] = self.userdata.pop(name, b"{}")
        elif seen.method == "POST":
            self.userdata[name] = seen.body
        if seen.method == "DELETE":
            self.userdata.pop(name, None)
            return web.Response(status=204)
        if seen.method == "POST":
            return web.json_response(target or name)
        if name not in self.userdata:
            return web.Response(status=404)
        return web.Response(body=self.userdata[name], content_type="application/octet-stream")

    def _settings(self, seen: Seen) -> web.Response:
        known = orjson.loads(self.userdata.get("comfy.settings.json", b"{}"))
        name = seen.path.removeprefix("/settings").strip("/")
        if seen.method == "POST":
            given = orjson.loads(seen.body or b"{}")
            self.userdata["comfy.settings.json"] = orjson.dumps(known | ({name: given} if name else given))
            return web.Response()
        return web.json_response(known.get(name) if name else known)

    async def restart(self) -> None:
        """Come up again on a container disk that is new: folders, queue and history are empty."""
        for kept in (self.files, self.userdata, self.history, self.running, self.pending):
            kept.clear()
        for socket in list(self.sockets.values()):
            await socket.close()

    @staticmethod
    def subfolder(body: bytes) -> str:
        _, _, rest = body.partition(b'name="subfolder"\r\n\r\n')
        return rest.partition(b"\r\n")[0].decode()

    def asked(self, method: str, path: str) -> list[Seen]:
        """Return the requests for one route."""
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    def submitted(self, job_id: str) -> dict[str, Any]:
        """Return the body in which a job came."""
        bodies = [orjson.loads(seen.body) for seen in self.asked("POST", "/prompt")]
        return next(body for body in bodies if body["prompt_id"] == job_id)

    async def _send(self, name: str, data: dict[str, Any]) -> None:
        for socket in self.sockets.values():
            # A gateway that was killed is not listening any more.
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": name, "data": data})

    async def begin(self, job_id: str) -> None:
        """Start a job that waits."""
        item = next(item for item in self.pending if item[1] == job_id)
        self.pending.remove(item)
        self.running.append(item)
        await self._send("execution_start", {"prompt_id": job_id, "timestamp": self.start_ms})
        await self._send("progress", {"prompt_id": job_id, "node": "9", "value": 1, "max": 2})

    async def say(self, message: str | bytes) -> None:
        """Send any message."""
        for socket in self.sockets.values():
            await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))

    async def preview(self, job_id: str, size: int = 0, kind: str = "image/jpeg") -> None:
        """Send a preview of a job, made longer by `size` bytes; with "image/png" as `kind`, a result."""
        metadata = orjson.dumps({"prompt_id": job_id, "node_id": "9", "image_type": kind})
        for socket in self.sockets.values():
            await socket.send_bytes(struct.pack(">II", 4, len(metadata)) + metadata + PNG + bytes(size))

    async def made(self, job_id: str, node: str, file: dict[str, str], content: bytes = PNG) -> None:
        """Let a node of a running job make a file, and say so."""
        self.files[file["type"], file["subfolder"], file["filename"]] = (content, "image/png")
        await self._send("executed", {"prompt_id": job_id, "node": node, "output": {"images": [file]}})

    async def end(
        self,
        job_id: str,
        *,
        gpu_ms: int = 1500,
        error: dict[str, Any] | None = None,
        interrupted: bool = False,
        made: tuple[str, str, bytes | None] | None = ("output", "ComfyUI_00001_.png", PNG),
    ) -> dict[str, Any]:
        """Finish a running job; returns the file it made, or with None says that it made, or shows from its cache."""
        item = next(item for item in self.running if item[1] == job_id)
        prefix = item[2].get("9", {}).get("inputs", {}).get("filename_prefix", "x/ComfyUI")
        subfolder = prefix.rpartition("/")[0]
        folder, name, content = made or ("output", "ComfyUI_00001_.png", b"")
        subfolder = "" if folder == "temp" else subfolder
        file = {"filename": name, "subfolder": subfolder, "type": folder}
        if content:
            self.files[folder, subfolder, name] = (content, "image/png")
        error = error or ({} if interrupted else None)
        failed = error is not None
        last = "execution_error" if failed else "execution_success"
        last = "execution_interrupted" if interrupted else last
        start = ["execution_start", {"prompt_id": job_id, "timestamp": self.start_ms}]
        told: dict[str, Any] = {**(error or {}), "prompt_id": job_id, "timestamp": self.start_ms + gpu_ms}
        messages = [start, [last, told]]
        status = {"status_str": "error" if failed else "success", "completed": not failed, "messages": messages}
        outputs = {} if failed else {"9": {"images": [file]}} | self.echoed
        await self._send("executed", {"prompt_id": job_id, "node": "9", "output": {"images": [file]}})
        await self._send(last, told)
        # At one moment, as in ComfyUI: whoever looks finds it in the queue or in the history.
        self.running.remove(item)
        self.history[job_id] = {"prompt": item, "outputs": outputs, "status": status}
        await self._send("executing", {"node": None, "prompt_id": job_id})
        return file
