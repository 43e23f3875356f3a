"""Connections that are not plain HTTP/1.1: the server sends their streams."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from client import DEADLINE_S
from httpx_sse import connect_sse
from running import Server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += f" -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    subprocess.run(command.split(), check=True, capture_output=True, timeout=DEADLINE_S)
    return key, cert


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("uvicorn-h11-asyncio", "HTTP/1.1"),
        ("uvicorn-httptools-uvloop", "HTTP/1.1"),
        ("hypercorn", "HTTP/1.1"),
        ("hypercorn", "HTTP/2"),
    ],
)
def test_streams_over_tls_and_http_2_are_sent_by_the_server(
    certificate: tuple[Path, Path], kind: str, version: str
) -> None:
    key, cert = certificate
    prefix = "--ssl-" if "uvicorn" in kind else "--"
    options = [f"{prefix}keyfile", str(key), f"{prefix}certfile", str(cert)]
    server = Server(kind, "auto", *options)
    context = ssl.create_default_context(cafile=str(cert))
    server.client = httpx.Client(verify=context, timeout=DEADLINE_S, trust_env=False)
    server.scheme = "https"
    try:
        server.wait_until_it_answers()
        # A client of its own: httpx resets no streams of HTTP/2, it closes the connection.
        with (
            httpx.Client(
                verify=context, http2=version == "HTTP/2", timeout=DEADLINE_S, trust_env=False
            ) as client,
            connect_sse(client, "GET", f"{server.url}/events/a") as source,
        ):
            assert source.response.http_version == version
            assert source.response.headers["x-stamp"] == "stamped"
            assert "connection" not in source.response.headers
            events = (event.data for event in source.iter_sse() if event.data)
            server.wait_for_connections(1)
            server.post("/publish/a", "hello")
            assert next(events) == "hello"
        server.wait_for_connections(0)
        assert server.get("/required/a").status_code == 503
        server.client.close()  # a server would wait for it to end the encryption
        server.end()
        assert "in ASGI" not in server.log()  # as both servers tell of an application's exception
    finally:
        server.kill()
