"""A small S3 server: objects, listings and uploads, as much of them as Polars and deltalake ask for.

A process of its own (``python small_s3.py`` prints its port): deltalake keeps the interpreter's lock while it waits.
"""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

WHEN = "2013-03-01T00:00:00.000Z"


class SmallS3(BaseHTTPRequestHandler):
    """Keeps objects in memory; whatever lies under ``forbidden/`` is denied."""

    objects: ClassVar[dict[str, bytes]] = {}
    parts: ClassVar[dict[tuple[str, int], bytes]] = {}
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None: ...

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _asked(self) -> tuple[str, dict[str, list[str]], bytes]:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return unquote(url.path).lstrip("/"), parse_qs(url.query, keep_blank_values=True), body

    def do_GET(self) -> None:
        path, query, _ = self._asked()
        if "list-type" in query:
            bucket, prefix = path.rstrip("/"), query.get("prefix", [""])[0]
            names = [name.removeprefix(f"{bucket}/") for name in sorted(self.objects)]
            listed = "".join(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[f'{bucket}/{name}'])}</Size>"
                f"<LastModified>{WHEN}</LastModified><ETag>1</ETag></Contents>"
                for name in names
                if name.startswith(prefix)
            )
            self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>".encode())
            return
        if "/forbidden/" in path:
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        content = self.objects.get(path)
        if content is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        headers = {"ETag": '"1"', "Last_Modified": "Fri, 01 Mar 2013 00:00:00 GMT"}
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, len(content) - int(last))
            stop = int(last) + 1 if first and last else len(content)
            part = content[start:stop]
            place = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
            self._answer(206, part, Content_Range=place, **headers)
        else:
            self._answer(200, content, **headers)

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

    def do_PUT(self) -> None:
        path, query, body = self._asked()
        if "partNumber" in query:
            self.parts[path, int(query["partNumber"][0])] = body
        elif self.headers.get("If-None-Match") == "*" and path in self.objects:
            self._answer(412)
            return
        else:
            self.objects[path] = body
        self._answer(200, ETag='"1"')

    def do_POST(self) -> None:
        path, query, _ = self._asked()
        if "uploads" in query:
            upload = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
            self._answer(200, upload)
            return
        mine = sorted(key for key in self.parts if key[0] == path)
        self.objects[path] = b"".join(self.parts.pop(key) for key in mine)
        self._answer(200, b"<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), SmallS3)
    print(server.server_port, flush=True)  # noqa: T201 - this is how the test learns the port
    server.serve_forever()
