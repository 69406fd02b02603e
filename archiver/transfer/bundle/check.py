"""Verifying a bundle: every byte of the file is what its manifest and the records in it say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.errors import ArchiverError, IntegrityError
from archiver.format import layout
from archiver.format.model import Ref
from archiver.runs.reach import reachable
from archiver.runs.records import read_record
from archiver.store.bundled import BLOCK, MANIFEST, BundleStore, Member
from archiver.transfer.bundle.place import Place
from archiver.transfer.bundle.survey import README, SUMS
from archiver.transfer.bundle.tar import END, header, padding
from archiver.transfer.checked import stored_bytes
from archiver.transfer.runs import Step

_SOME = 20
_OCTAL = re.compile(rb"[0-7]{11}")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: ids of the runs, numbers of objects and of plain bytes, and what is wrong, one line each."""

    url: str
    runs: tuple[str, ...]
    objects: int
    bytes: int
    damage: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage


def verify(place: Place, *, step: Step = lambda _bytes: None) -> Checked:
    """Read the whole bundle, and compare every byte with what the manifest and the records promise.

    step: told the plain bytes that were read. Raises NotFoundError; IntegrityError when there is not even an index.
    """
    source = place.open()
    manifest = source.manifest
    damage: list[str] = []
    try:
        count = _walk(source, damage, step)
        damage += _records(source)
    except IntegrityError as error:
        damage.append(str(error))
        count = 0
    runs = tuple(run["id"] for run in manifest.runs)
    return Checked(place.url, runs, len(manifest.members), count, tuple(damage[:_SOME]))


def verify_sound(place: Place, *, step: Step = lambda _bytes: None) -> None:
    """Read the whole bundle. Raises IntegrityError where it is not what was promised."""
    checked = verify(place, step=step)
    if not checked.ok:
        raise IntegrityError(f"{checked.url} is not what was written: {checked.damage[0]}; make it anew")


class _Plain:
    """The plain tar as a stream: pieces are taken in order."""

    def __init__(self, source: BundleStore, step: Step) -> None:
        self._chunks: Iterator[bytes] = iter(source.frames)
        self._held = memoryview(b"")
        self._step = step
        self.shown = source.shown
        self.count = 0

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield the next bytes, as many as that."""
        while size:
            if not self._held:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise IntegrityError(f"{self.shown} is damaged: it ends too early")
                self._held = memoryview(chunk)
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            self.count += len(piece)
            self._step(len(piece))
            yield piece

    def expect(self, data: bytes, what: str) -> None:
        """Take the next bytes, which must be these."""
        if b"".join(self.pieces(len(data))) != data:
            raise IntegrityError(f"{self.shown} is damaged: {what} is not what the manifest says")

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self._held or next(self._chunks, None) is not None:
            raise IntegrityError(f"{self.shown} is damaged: something follows the end of its tar")


def _walk(source: BundleStore, damage: list[str], step: Step) -> int:
    """Go through the tar: each header must be the only one there is for its member. Return the bytes that were read."""
    manifest, plain = source.manifest, _Plain(source, step)
    modified = manifest.modified
    plain.expect(header(MANIFEST, len(manifest.text), modified), MANIFEST)
    plain.expect(manifest.text + padding(len(manifest.text)), MANIFEST)
    sums = [_front_text(plain, name, source) for name in (README, SUMS)]
    if _expected_sums(manifest.text, sums[0], manifest.members) != sums[1]:
        raise IntegrityError(f"{source.shown} is damaged: {SUMS} is not what the manifest says")
    at = 0
    for member in manifest.members.values():
        head = header(member.key, member.size, modified)
        at += len(head)
        if member.at != at:
            raise IntegrityError(f"{source.shown} is damaged: its manifest misplaces {member.key}")
        plain.expect(head, f"the header of {member.key}")
        digest = hashlib.sha256()
        for piece in plain.pieces(member.size):
            digest.update(piece)
        if digest.hexdigest() != member.sha256:
            damage.append(f"{member.key} is damaged: its sha256 is not the manifest's")
        plain.expect(padding(member.size), f"what follows {member.key}")
        at += member.size + len(padding(member.size))
    plain.expect(END, "its end")
    plain.end()
    return plain.count


def _front_text(plain: _Plain, name: str, source: BundleStore) -> bytes:
    """Take a text whose size only its own header tells; all else in that must be as in every other header."""
    head = b"".join(plain.pieces(BLOCK))
    size = int(head[124:135], 8) if _OCTAL.fullmatch(head[124:135]) else -1
    if not 0 <= size <= source.frames.first or head != header(name, size, source.manifest.modified):
        raise IntegrityError(f"{plain.shown} is damaged: {name} is no plain file where it belongs")
    text = b"".join(plain.pieces(size))
    plain.expect(padding(len(text)), f"what follows {name}")
    return text


def _expected_sums(manifest: bytes, readme: bytes, members: Mapping[str, Member]) -> bytes:
    lines = [(MANIFEST, hashlib.sha256(manifest).hexdigest()), (README, hashlib.sha256(readme).hexdigest())]
    lines += [(member.key, member.sha256) for member in members.values()]
    return "".join(f"{sha256}  {key}\n" for key, sha256 in lines).encode()


def _records(source: BundleStore) -> Iterator[str]:
    """Yield what is wrong between records and members: every run whole, nothing that no run reaches."""
    manifest = source.manifest
    known = {run["id"]: run for run in manifest.runs}
    runs = set(known)
    needed = {layout.ARCHIVE}
    code: dict[str, Ref] = {}
    for key in [key for key in manifest.members if key.startswith(layout.RUNS) and layout.parse(key)]:
        try:
            record = read_record(key, source.get(key))
        except ArchiverError as error:
            yield str(error)
            continue
        if known.pop(record.run, {}).get("universe") != record.universe:
            yield f"the manifest does not list {record.run} as it is"
        needed.add(key)
        for ref in reachable(record):
            needed.add(ref.key)
            member = manifest.members.get(ref.key)
            if member is None:
                yield f"{ref.key} is missing, which {record.run} needs"
            elif ref.plain:
                code[ref.key] = ref
            elif (member.size, member.sha256) != (ref.size, ref.sha256):
                yield f"{ref.key} is not the object that the record of {record.run} describes"
    for run in known:
        yield f"the record of {run} is missing"
    for ref in code.values():
        try:
            stored_bytes(source, ref)
        except ArchiverError as error:
            yield str(error)
    for key in manifest.members:
        found = layout.parse(key)
        if key not in needed and (found is None or found.area not in layout.MARKERS or found.run not in runs):
            yield f"{key} belongs to no run of the bundle"
