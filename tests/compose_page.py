"""The live page of a compose project, read through its published port as a browser does."""

import json
import re
import urllib.request


class ComposePage:
    """Reads the page with the key that stands in its log."""

    def __init__(self, project):
        logs = project.compose("logs", "--no-color", "page")
        address = [line for line in logs.splitlines() if "/?key=" in line][-1]
        (self._key,) = re.findall(r"/[?]key=([\w-]+)", address)
        self._token = "".join(re.findall(r"#control=([\w-]+)", address))
        self.url = f"http://{project.address('page', '8050')}"

    def _open(self, path, body=None):
        headers = {"Content-Type": "application/json", "X-Fraudsim-Control": self._token}
        request = urllib.request.Request(f"{self.url}{path}?key={self._key}", body, headers)
        return urllib.request.urlopen(request, timeout=30)

    def html(self):
        with self._open("/") as reply:
            return reply.read().decode()

    def figures(self):
        values = re.findall(r'<data data-figure="(\w+)" value="([^"]*)">', self.html())
        return {name: float(value) for name, value in values}

    def boxes(self):
        return dict(re.findall(r'data-box="(\w+)" data-status="(\w+)"', self.html()))

    def decided_by_snapshot(self, count):
        """The number of decisions in each of the stream's first snapshots."""
        decided = []
        with self._open("/events") as stream:
            name = ""
            for line in stream:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: ") and name == "snapshot":
                    decided.append(json.loads(line[6:])["figures"]["decided"][0])
                    if len(decided) == count:
                        return decided
        return decided

    def offer(self):
        """What may be asked for."""
        with self._open("/controls") as reply:
            return json.load(reply)

    def ask(self, kind, **fields):
        with self._open("/controls", json.dumps({"kind": kind, **fields}).encode()) as reply:
            return json.load(reply)
