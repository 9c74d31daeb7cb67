"""The plugin's gRPC service for `command:local:Command`."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import ResourceProviderServicer, plugin_pb2, provider_pb2

from tools.plugins.command import property_codec
from tools.plugins.command.engine_log import CommandLog
from tools.plugins.command.process import CommandFailedError, CommandRequest, Commands

TOKEN = "command:local:Command"  # noqa: S105  (a resource type)
_SHELL = ["/bin/sh", "-c"]
_COMMANDS = ("create", "update", "delete")
_SETTINGS = ("triggers", "stdin", "environment", "dir", "interpreter", "logging", "addPreviousOutputInEnv")
_INPUTS = frozenset(_COMMANDS + _SETTINGS)
_LOGGINGS = ("stdout", "stderr", "stdoutAndStderr", "none")
_Kind = provider_pb2.PropertyDiff


class CommandServicer(ResourceProviderServicer):
    """Behaves like pulumi-command: a changed input runs `update` or else `create`, changed triggers replace."""

    def __init__(self, log: CommandLog, version: str, about: str) -> None:
        self._log = log
        self._version = version
        self._about = about
        self._commands = Commands()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: object) -> plugin_pb2.PluginInfo:  # noqa: ARG002, N802
        """Return the version that the stand-in replaces."""
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(  # noqa: N802
        self,
        request: provider_pb2.GetSchemaRequest,  # noqa: ARG002
        context: object,  # noqa: ARG002
    ) -> provider_pb2.GetSchemaResponse:
        """Return the supported part of pulumi-command's schema."""
        return provider_pb2.GetSchemaResponse(schema=Path(__file__).with_name("schema.json").read_text())

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: object) -> provider_pb2.CheckResponse:  # noqa: ARG002, N802
        """Accept the settings; the provider has none."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: object) -> provider_pb2.DiffResponse:  # noqa: ARG002, N802
        """Return no differences; the provider has no settings."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: provider_pb2.ConfigureRequest, context: object) -> provider_pb2.ConfigureResponse:  # noqa: ARG002, N802
        """Print once that this is the stand-in."""
        self._log.line(self._about)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Cancel(self, request: empty_pb2.Empty, context: object) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """End all running commands."""
        self._commands.cancel()
        return empty_pb2.Empty()

    def Check(self, request: provider_pb2.CheckRequest, context: object) -> provider_pb2.CheckResponse:  # noqa: ARG002, N802
        """Refuse unsupported resources and inputs by name."""
        news = property_codec.read(request.news)
        failures = [
            provider_pb2.CheckFailure(
                property=name, reason="the stand-in for pulumi-command does not support this input"
            )
            for name in sorted(set(news) - _INPUTS)
        ]
        if TOKEN not in request.urn:
            failures.append(provider_pb2.CheckFailure(reason=f"the stand-in for pulumi-command supports only {TOKEN}"))
        logging = property_codec.plain(news.get("logging", "none"))
        if logging not in (*_LOGGINGS, property_codec.UNKNOWN):
            failures.append(provider_pb2.CheckFailure(property="logging", reason=f"is one of {', '.join(_LOGGINGS)}"))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: object) -> provider_pb2.DiffResponse:  # noqa: ARG002, N802
        """Compare: a changed input is an update in place, changed triggers are a replacement."""
        olds, news = (
            property_codec.plain(property_codec.read(request.old_inputs)),
            property_codec.plain(property_codec.read(request.news)),
        )
        changed = sorted(name for name in _INPUTS if olds.get(name) != news.get(name))
        kinds = provider_pb2.DiffResponse
        return kinds(
            changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE,
            diffs=changed,
            replaces=[name for name in changed if name == "triggers"],
            detailedDiff={name: _Kind(kind=_kind(name, olds, news), inputDiff=True) for name in changed},
            hasDetailedDiff=True,
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:  # noqa: N802
        """Run `create`."""
        inputs = property_codec.read(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=property_codec.write(_planned(inputs)))
        state = self._run(("create",), inputs, {}, request.urn, context)
        return provider_pb2.CreateResponse(id=secrets.token_hex(8), properties=property_codec.write(state))

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:  # noqa: N802
        """Run `update`, or else `create`."""
        inputs = property_codec.read(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=property_codec.write(_planned(inputs)))
        state = self._run(("update", "create"), inputs, property_codec.read(request.olds), request.urn, context)
        return provider_pb2.UpdateResponse(properties=property_codec.write(state))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Run `delete`, if there is one."""
        state = property_codec.read(request.properties)
        self._run(("delete",), state, state, request.urn, context)
        return empty_pb2.Empty()

    def Read(self, request: provider_pb2.ReadRequest, context: object) -> provider_pb2.ReadResponse:  # noqa: ARG002, N802
        """Return the state unchanged, because the effects of a command cannot be observed."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def _run(
        self,
        verbs: tuple[str, ...],
        inputs: property_codec.Properties,
        old: property_codec.Properties,
        urn: str,
        context: grpc.ServicerContext,
    ) -> property_codec.Properties:
        values, before = property_codec.plain(inputs), property_codec.plain(old)
        command = next((values[verb] for verb in verbs if values.get(verb)), None)
        stdout, stderr = before.get("stdout", ""), before.get("stderr", "")
        if command is not None:
            try:
                outcome = self._commands.run(
                    _command_request(command, values, before), lambda text: self._log.line(text, urn)
                )
            except CommandFailedError as error:
                context.abort(grpc.StatusCode.UNKNOWN, str(error))
            stdout, stderr = outcome.stdout, outcome.stderr
        return _with_output(inputs, stdout, stderr)


def _kind(name: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> "_Kind.Kind.ValueType":
    replace = name == "triggers"
    if name not in olds:
        return _Kind.ADD_REPLACE if replace else _Kind.ADD
    if name not in news:
        return _Kind.DELETE_REPLACE if replace else _Kind.DELETE
    return _Kind.UPDATE_REPLACE if replace else _Kind.UPDATE


def _planned(inputs: property_codec.Properties) -> property_codec.Properties:
    """Return the planned state, in which the output of the command is unknown."""
    return _with_output(inputs, property_codec.UNKNOWN, property_codec.UNKNOWN)


def _with_output(inputs: property_codec.Properties, stdout: str, stderr: str) -> property_codec.Properties:
    """Return the inputs with the output, which is secret if any input is: a command may print its inputs."""
    known = {name: value for name, value in inputs.items() if name in _INPUTS}
    hide = property_codec.holds_secret(known)
    return {
        **known,
        "stdout": property_codec.secret(stdout) if hide else stdout,
        "stderr": property_codec.secret(stderr) if hide else stderr,
    }


def _command_request(command: str, values: Mapping[str, Any], before: Mapping[str, Any]) -> CommandRequest:
    """Return the command to run, with the previous run's output in its environment."""
    environment = {str(key): str(value) for key, value in (values.get("environment") or {}).items()}
    if values.get("addPreviousOutputInEnv", True):
        for name in ("stdout", "stderr"):
            if before.get(name):
                environment[f"PULUMI_COMMAND_{name.upper()}"] = before[name]
    logging = values.get("logging", "stdoutAndStderr")
    return CommandRequest(
        argv=[*(values.get("interpreter") or _SHELL), command],
        directory=values.get("dir"),
        environment=environment,
        stdin=values.get("stdin") or "",
        log_stdout=logging in {"stdout", "stdoutAndStderr"},
        log_stderr=logging in {"stderr", "stdoutAndStderr"},
    )
