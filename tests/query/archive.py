"""An archive as its files say, and as DuckDB shows it."""

import glob
import hashlib
import io
import json
import os

import duckdb
import zstandard


def lines(root, pattern):
    """The lines of files, without their line ends."""
    for path in sorted(glob.glob(os.path.join(root, pattern))):
        with open(path, "rb") as file:
            text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            for line in io.TextIOWrapper(text, encoding="utf-8", newline="\n"):
                yield line.removesuffix("\n")


def stored(root):
    return list(lines(root, "interactions/*/*/*/segment-*.jsonl.zst"))


def item(line):
    """The text of the item in a record, cut out and not parsed."""
    return line.split(',"interaction":', 1)[1][:-1]


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def documents(root, pattern):
    return [json.load(open(path, encoding="utf-8")) for path in sorted(glob.glob(os.path.join(root, pattern)))]


class Views:
    """The views of an archive, made by the file that lies in it, or by another."""

    def __init__(self, root, script=None):
        self.connection = duckdb.connect()
        self.connection.execute("set variable root = $root", {"root": str(root)})
        self.connection.execute("set enable_progress_bar = false")
        self.run(open(script or os.path.join(root, "duckdb.sql"), encoding="utf-8").read())

    def run(self, script):
        """What the last statement of a script says, as tuples."""
        return self.connection.execute(script).fetchall()

    def rows(self, query):
        """Rows by the names of their columns."""
        found = self.connection.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row)) for row in found.fetchall()]
