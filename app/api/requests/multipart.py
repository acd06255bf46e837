"""A form with one file, read as it comes: nothing of it is held but the headers of its one part."""

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from app.errors import Invalid
from training.spec.mistakes import Mistake

MAX_HEADER_COUNT, MAX_HEADER_BYTES = 8, 2_000
"""How many headers a part may have, and how long each may be."""


class OneFile:
    """The content of the part ``file``; any other part is refused as soon as it begins."""

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise bad_form("the form names no boundary")
        self.parts = 0
        self.ended = False
        self.headers: dict[bytes, bytes] = {}
        self.header = [b"", b""]
        self.content: list[bytes] = []
        self.file_name: str | None = None
        try:
            self.parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self.on_part_begin,
                    "on_header_begin": self.on_header_begin,
                    "on_header_field": lambda data, a, b: self.on_header(0, data[a:b]),
                    "on_header_value": lambda data, a, b: self.on_header(1, data[a:b]),
                    "on_header_end": self.on_header_end,
                    "on_headers_finished": self.on_headers_finished,
                    "on_part_data": lambda data, a, b: self.content.append(data[a:b]),
                    "on_end": self.on_end,
                },
                max_header_count=MAX_HEADER_COUNT,
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise bad_form("the form's boundary is too long") from error

    def content_in(self, chunk: bytes) -> bytes:
        """What a chunk of the form holds of the file."""
        try:
            self.parser.write(chunk)
        except FormParserError as error:
            raise bad_form("the form cannot be read") from error
        found = b"".join(self.content)
        self.content.clear()
        return found

    def finish(self) -> None:
        """The form has to have had its file, and its end."""
        if not self.ended:
            raise bad_form("the form ends before its last boundary")
        if self.parts == 0:
            raise bad_form("the form has no part `file`")

    def on_part_begin(self) -> None:
        """There is one file."""
        self.parts += 1
        if self.parts > 1:
            raise bad_form("the form has more than one part; only `file` is taken")
        self.headers.clear()

    def on_header_begin(self) -> None:
        """A new header."""
        self.header = [b"", b""]

    def on_header(self, which: int, piece: bytes) -> None:
        """A piece of its name or value."""
        self.header[which] += piece

    def on_header_end(self) -> None:
        """It is whole."""
        self.headers[self.header[0].lower()] = self.header[1]

    def on_headers_finished(self) -> None:
        """Only now is it known which part it is."""
        _, options = parse_options_header(self.headers.get(b"content-disposition"))
        if options.get(b"name") != b"file":
            raise bad_form(
                "the form's part has another name than `file`; `name`, `target` and the like "
                "are query parameters"
            )
        named = options.get(b"filename", b"").decode("utf-8", "replace")
        self.file_name = named or None

    def on_end(self) -> None:
        """The last boundary."""
        self.ended = True

    @property
    def media_type(self) -> str:
        """What the part says it is."""
        declared = self.headers.get(b"content-type", b"").decode("latin-1")
        return declared.partition(";")[0].strip().lower()


def bad_form(sentence: str) -> Invalid:
    """The refusal of a form."""
    return Invalid("the form cannot be used", [Mistake("", "invalid_form", sentence)])
