"""The gateway, an nginx that stands for the provider, and how much processor time a process has used."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

ANSWER = (
    '{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":'
    '{"role":"assistant","content":"' + "word " * 150 + '","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":180,"completion_tokens":150,"total_tokens":330}}'
)
_NGINX = """
master_process off; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_buffer_size 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {more}
  server {{
    {listen}
    listen 127.0.0.1:{port};
    location / {{ {location} }}
  }}
}}
"""


def need(program: str, package: str) -> str:
    """The program's path. Ends with the line that installs it where it is missing."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise SystemExit(f"this benchmark needs {program}: apt-get install {package}")
    return path


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Time that a process's threads have run, by the scheduler's nanoseconds; of those that still live."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in stats) / 1e9


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextlib.contextmanager
def running(
    command: Sequence[str], ready: str, *, core: int | None = None, cwd: Path | None = None, **environment: str
) -> Iterator[tuple[int, float]]:
    """A process on one core; yields its pid and the seconds until `ready` (a URL) answered."""
    pin = ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []
    started = time.perf_counter()
    process = subprocess.Popen(
        [*pin, *command],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(ready):
            if process.poll() is not None or time.perf_counter() - started > 60:
                raise SystemExit(f"{command[0]} did not start (exit code {process.poll()})")
            time.sleep(0.005)
        yield process.pid, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def nginx_version() -> str:
    """As nginx names itself: `nginx/1.22.1`."""
    command = [need("nginx", "nginx-light"), "-v"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr.split(": ")[1].strip()


@contextlib.contextmanager
def _nginx(location: str, more: str = "", *, core: int | None, listen: str = "") -> Iterator[tuple[int, str]]:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        file = Path(folder, "nginx.conf")
        file.write_text(_NGINX.format(folder=folder, port=port, location=location, more=more, listen=listen))
        address = f"http://127.0.0.1:{port}"
        with running([need("nginx", "nginx-light"), "-c", str(file)], f"{address}/", core=core) as (pid, _):
            yield pid, address


@contextlib.contextmanager
def provider(core: int | None = None, *, tls: bool = False) -> Iterator[str]:
    """An nginx that gives every call the same answer; yields its base URL. tls: over TLS, with a certificate that
    processes which are started meanwhile trust."""
    location = f"default_type application/json; return 200 '{ANSWER}';"
    if not tls:
        with _nginx(location, core=core) as (_, address):
            yield address
        return
    with tempfile.TemporaryDirectory() as folder:
        key, certificate, port = f"{folder}/key.pem", f"{folder}/certificate.pem", free_port()
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=provider"
        files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
        subprocess.run([*command.split(), *files], check=True, capture_output=True)
        more = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
        os.environ["SSL_CERT_FILE"] = certificate
        try:
            with _nginx(location, more, core=core, listen=f"listen 127.0.0.1:{port} ssl;"):
                yield f"https://127.0.0.1:{port}"
        finally:
            del os.environ["SSL_CERT_FILE"]


@contextlib.contextmanager
def proxy(base_url: str, core: int | None = None) -> Iterator[tuple[int, str]]:
    """An nginx that passes every call on over kept connections; yields pid and base URL."""
    scheme, _, server = base_url.partition("://")
    upstream = f"upstream provider {{ server {server}; keepalive 128; keepalive_requests 1000000; }}"
    location = f'proxy_pass {scheme}://provider; proxy_http_version 1.1; proxy_set_header Connection "";'
    with _nginx(location, upstream, core=core) as served:
        yield served


@contextlib.contextmanager
def gateway(
    config: Path, *, core: int | None = None, tree: Path | None = None, module: Sequence[str] = ("gateway",)
) -> Iterator[tuple[int, float, str]]:
    """A gateway process; yields pid, seconds from start to ready, and base URL. Bytecode is compiled as usual.

    tree: the checkout whose gateway it is, by default this one; module: what runs it, with its own arguments."""
    port = free_port()
    command = [sys.executable, "-m", *module, "serve", str(config), "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    paths = {"PYTHONPATH": str(tree)} if tree else {}
    with running(command, f"{address}/ready", core=core, cwd=tree, **paths) as (
        pid,
        ready_s,
    ):
        yield pid, ready_s, address
