"""The README's example of each language serves a line of its standard input to a client.

Each is run unchanged, except for the port, which the system chooses. Rust's example is compiled
by `cargo test --doc`, and the program in the C header by `tests/capi/run`.
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import httpx
from httpx_sse import connect_sse

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "127.0.0.1:8080"
DEADLINE_S = 120


def example(language: str) -> str:
    """The only block of a language in the README's section "Use it"."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Use it\n")[1].split("\n## ")[0]
    (block,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return block


def with_port_told(code: str, old: str, new: str) -> str:
    """The example, which says its port on standard output."""
    assert code.count(old) == 1, f"the example has no {old}"
    return code.replace(old, new.replace(ADDRESS, "127.0.0.1:0"))


@contextlib.contextmanager
def running(command: list[str], **options):
    """A program that ends when its input does, and is killed at the deadline."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **options
    )
    deadline = threading.Timer(DEADLINE_S, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        deadline.cancel()


def serves_a_line(command: list[str], **options) -> None:
    with running(command, **options) as process:
        port = int(process.stdout.readline())
        url = f"http://127.0.0.1:{port}/events?topic=news"
        timeout = httpx.Timeout(DEADLINE_S)
        with httpx.Client(timeout=timeout) as client, connect_sse(client, "GET", url) as source:
            # The head is here, so the client is a subscriber.
            process.stdin.write("hello\n")
            events = (event for event in source.iter_sse() if event.data)
            event = next(events)
        assert (event.event, event.data.rstrip("\n")) == ("line", "hello")
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0


def test_pythons_example_serves_its_input():
    listen = f'hub.listen("{ADDRESS}")'
    code = with_port_told(example("python"), listen, f"print({listen}.port, flush=True)")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "bindings" / "python" / "src")}
    serves_a_line([sys.executable, "-c", code], env=environment)


def test_cs_example_serves_its_input(tmp_path):
    listen = f'status = fanfare_hub_listen(hub, FANFARE_TEXT("{ADDRESS}"), NULL, NULL, NULL);'
    listens = listen.replace("NULL);", "&port);")
    code = with_port_told(
        example("c"), listen, f'{{ {listens} printf("%u\\n", port); fflush(stdout); }}'
    )
    head = "".join(f"#include <{name}>\n" for name in ("fanfare.h", "stdio.h", "string.h"))
    main = f"int main(void) {{ unsigned short port = 0;\n{code}return status != FANFARE_OK; }}\n"
    program, library = tmp_path / "program", ROOT / "build" / "lib"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}"]
    link = [f"-L{library}", f"-Wl,-rpath,{library}", "-lfanfare"]
    command = ["cc", *flags, "-x", "c", "-", *link, "-o", str(program)]
    subprocess.run(command, input=head + main, text=True, check=True)
    serves_a_line([str(program)])


def test_nodes_example_serves_its_input():
    listen = f"hub.listen('{ADDRESS}')"
    code = with_port_told(example("js"), listen, f"console.log({listen}.port)")
    # A package finds itself by its name.
    package = ROOT / "bindings" / "node"
    serves_a_line(["node", "--input-type=module", "-e", code], cwd=package)


def test_gos_example_serves_its_input(tmp_path):
    listen = f'if _, err := hub.Listen("{ADDRESS}", nil); err != nil {{'
    told = (
        f'listener, err := hub.Listen("{ADDRESS}", nil)\n'
        "if err == nil {\nfmt.Println(listener.Port())\n}\nif err != nil {"
    )
    code = with_port_told(example("go"), listen, told)
    imports = ['"bufio"', '"fmt"', '"log"', '"os"', '"example.invalid/fanfare"']
    body = f"package main\n\nimport (\n{chr(10).join(imports)}\n)\n\nfunc main() {{\n{code}}}\n"
    package = ROOT / "bindings" / "go"
    module = re.search(r"^module (\S+)$", (package / "go.mod").read_text(), re.MULTILINE)[1]
    (tmp_path / "main.go").write_text(body.replace("example.invalid/fanfare", module))
    (tmp_path / "go.mod").write_text("module example\n\ngo 1.24\n")
    # As `go work init . PATH/bindings/go` does.
    (tmp_path / "go.work").write_text(f"go 1.24\n\nuse .\nuse {package}\n")
    environment = os.environ | {"CGO_LDFLAGS": f"-L{ROOT / 'build' / 'lib'}"}
    program = tmp_path / "example"
    build = ["go", "build", "-o", program, "."]
    subprocess.run(build, cwd=tmp_path, env=environment, check=True, timeout=DEADLINE_S)
    serves_a_line([str(program)])
