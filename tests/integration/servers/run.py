"""Run real HTTP servers with one application (application.py); each yields its port once it accepts connections."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import uvicorn

from tests.integration.servers import application
from tests.ports import free_port
from tests.programs import package_file, program

HERE: Final = Path(__file__).parent
PATIENCE: Final = 60.0
"""Seconds in which a server has to start: a JVM on a busy machine takes some."""

RunServer = Callable[[Path], AbstractContextManager[int]]


@contextmanager
def _running(arguments: Sequence[str | Path], port: int, folder: Path) -> Iterator[int]:
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=folder)
        try:
            for _ in range(int(PATIENCE * 50)):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                    break
                assert process.poll() is None, (folder / "output.txt").read_text()
                threading.Event().wait(0.02)
            else:
                raise TimeoutError(f"{arguments[0]} does not listen: {(folder / 'output.txt').read_text()}")
            yield port
        finally:
            process.terminate()
            process.wait()


def _static_files(folder: Path) -> Path:
    root = folder / "www"
    (root / "folder").mkdir(parents=True)
    (root / "text").write_bytes(application.TEXT)
    os.utime(root / "text", (1e9, 1e9))  # httpd makes the ETag of a file weak that has just been written
    return root


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """Run nginx with static files, gzip by its defaults, and an echo of bodies."""
    binary, port = program("nginx", "nginx-light"), free_port()
    module = package_file("/usr/lib/nginx/modules/ngx_http_echo_module.so", "libnginx-mod-http-echo")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    echo = "client_body_buffer_size 1m; echo_read_request_body; echo -n $request_body;"
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"load_module {module}; events {{}}\n"
        f"http {{ access_log off; {temporary} keepalive_requests 1000000; default_type text/plain; gzip on;\n"
        "gzip_types text/plain;\n"
        f"server {{ listen 127.0.0.1:{port}; root {_static_files(folder)};\n"
        f"location = /echo {{ {echo} }} location = /nothing {{ return 204; }}\n"
        f"location = /moved {{ return 302 /elsewhere?a=b; }} location = /failed {{ return 500 failed; }}\n"
        f"location = /large {{ client_max_body_size 1k; {echo} }} }} }}\n"
    )
    with _running([binary, "-p", folder, "-c", folder / "nginx.conf"], port, folder):
        yield port


@contextmanager
def apache(folder: Path) -> Iterator[int]:
    """Run Apache httpd with static files and an echo by CGI."""
    binary, port = program("apache2", "apache2-bin"), free_port()
    names = "mpm_event authz_core alias cgid mime dir headers deflate filter rewrite"
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in names.split())
    with tempfile.TemporaryDirectory() as name:  # httpd gives up root, to which alone pytest's folders are open
        own = Path(name)
        own.chmod(0o755)
        script = own / "echo.cgi"
        script.write_text(
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\nX-Method: %s\\r\\n\\r\\n' \"$REQUEST_METHOD\"; exec cat\n"
        )
        script.chmod(0o755)
        owner = "User #65534\nGroup #65534\n" if os.getuid() == 0 else ""
        (folder / "apache.conf").write_text(
            f"{modules}{owner}ServerName localhost\nServerRoot {own}\nPidFile {folder}/apache.pid\n"
            f"ErrorLog {folder}/error.log\nScriptSock {own}/cgid.sock\nListen 127.0.0.1:{port}\nStartServers 1\n"
            f"MaxKeepAliveRequests 0\nTypesConfig /dev/null\nForceType text/plain\nDocumentRoot {_static_files(own)}\n"
            f"<Directory {own}>\nRequire all granted\nOptions +ExecCGI\n</Directory>\nScriptAlias /echo {script}\n"
            f"AddOutputFilterByType DEFLATE text/plain\nRedirect 302 /moved /elsewhere\nRedirect 204 /nothing\n"
        )
        with _running([binary, "-f", folder / "apache.conf", "-D", "FOREGROUND"], port, folder):
            yield port


@contextmanager
def caddy(folder: Path) -> Iterator[int]:
    """Run Caddy, whose HTTP is that of Go's net/http: with static files, and uvicorn for the rest.

    It buffers requests: otherwise it cuts one in 15,000 responses to a POST of 300 kB short, also without a gateway.
    """
    binary, port = program("caddy", "caddy"), free_port()
    with uvicorn_h11(folder) as application_port:
        (folder / "Caddyfile").write_text(
            f"{{\nadmin off\nauto_https off\nstorage file_system {folder}/caddy\n}}\nhttp://127.0.0.1:{port}, "
            f"http://app.example:{port} {{\nroot * {_static_files(folder)}\nencode gzip\n"
            "handle /text {\nfile_server\n}\nhandle /folder* {\nfile_server\n}\n"
            f"handle {{\nreverse_proxy 127.0.0.1:{application_port} {{\nbuffer_requests\n}}\n}}\n}}\n"
        )
        with _running([binary, "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"], port, folder):
            yield port


@contextmanager
def tomcat(folder: Path) -> Iterator[int]:
    """Run an embedded Tomcat."""
    binary, port = program("java", "default-jdk-headless"), free_port()
    package_file("/usr/share/java/tomcat10-catalina.jar", "libtomcat10-java")
    jars = ":".join(map(str, sorted(Path("/usr/share/java").glob("tomcat10-*.jar"))))
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
    source = HERE / "Application.java"
    with _running([binary, *options, "-cp", jars, source, str(port), folder], port, folder):
        yield port


@contextmanager
def gunicorn(folder: Path) -> Iterator[int]:
    """Run gunicorn with threads, which keeps connections."""
    binary, port = program("gunicorn", "gunicorn"), free_port()
    arguments = ["--bind", f"127.0.0.1:{port}", "--threads", "4", "--chdir", str(HERE)]
    with _running([binary, *arguments, "application:wsgi"], port, folder):
        yield port


@contextmanager
def node(folder: Path) -> Iterator[int]:
    """Run Node's HTTP server."""
    port = free_port()
    with _running([program("node", "nodejs"), HERE / "app.js", str(port)], port, folder):
        yield port


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def wsgiref(folder: Path) -> Iterator[int]:
    """Run the server of the standard library: HTTP/1.0, each response ends with its connection."""
    with make_server("127.0.0.1", 0, application.wsgi, handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def uvicorn_h11(folder: Path) -> Iterator[int]:
    """Run uvicorn with h11."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application.asgi, log_config=None, lifespan="off", http="h11", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


SERVERS: Final[dict[str, RunServer]] = {
    "nginx": nginx,
    "apache": apache,
    "caddy": caddy,
    "tomcat": tomcat,
    "gunicorn": gunicorn,
    "uvicorn": uvicorn_h11,
    "wsgiref": wsgiref,
    "node": node,
}
