"""Asks `chainrule serve` for everything that its OpenAPI document describes, sensibly and not: no answer is a failure of
ours, and none is other than the document says.

    pip install schemathesis && python document.py target/release/chainrule RUN [RUN …]
"""

import json
import pathlib
import subprocess
import sys
import tempfile

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> int:
    binary, *runs = sys.argv[1:]
    serve = [binary, "serve", *runs, "--bind", "127.0.0.1:0", "--json"]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE)
    try:
        address = json.loads(server.stdout.readline())["address"].rstrip("/")
        schemathesis = pathlib.Path(sys.executable).absolute().parent / "schemathesis"
        line = [schemathesis, "run", f"{address}/v1/openapi.json", "--url", address]
        line += ["--checks", CHECKS, "--max-examples", "60", "--seed", "1"]
        # It keeps notes where it runs.
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run(line, cwd=folder).returncode
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    sys.exit(main())
