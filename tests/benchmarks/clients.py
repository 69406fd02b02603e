"""Clients of S3 that do the same work, for bench_s3: archiver's store and its `copy`, rclone, s5cmd, obstore.

Each sends the files of a folder, fetches them again, lists and deletes them, 32 at a time. Those of the command line are processes, and
their start counts.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from archiver.store import Store, open_store
from archiver.transfer.checked import pieces
from tests.servers import AbsentError, needs, program

AT_ONCE = 32
PIECE = 8 << 20


class Server(NamedTuple):
    """A server with a bucket, and who may use it."""

    endpoint: str
    bucket: str
    access: str
    secret: str


def names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files."""
    return sorted(file.name for file in folder.iterdir())


class Archiver:
    """archiver's own store."""

    name = "archiver"

    def __init__(self, server: Server) -> None:
        self.server = server

    def _open(self, place: str) -> Store:
        given = {
            "endpoint_url": self.server.endpoint,
            "key": self.server.access,
            "secret": self.server.secret,
        }
        return open_store(f"s3://{self.server.bucket}/{place}", storage_options=given)

    def put(self, folder: Path, place: str) -> None:
        with self._open(place) as store:
            for _ in store.map(lambda name: store.put(name, (folder / name).read_bytes()), names_in(folder)):
                pass

    def get(self, place: str, folder: Path) -> None:
        with self._open(place) as store:
            keys = [entry.key for entry in store.list()]
            for _ in store.map(lambda key: (folder / key).write_bytes(store.get(key)), keys):
                pass

    def list(self, place: str) -> None:
        with self._open(place) as store:
            assert len(list(store.list())) > 0

    def delete(self, place: str) -> None:
        with self._open(place) as store:
            assert not store.delete([entry.key for entry in store.list()])

    def up(self, file: Path, place: str) -> None:
        with self._open(place) as store, file.open("rb") as data, store.write("big") as out:
            while piece := data.read(PIECE):
                out.write(piece)

    def down(self, place: str, file: Path) -> None:
        with self._open(place) as store, file.open("wb") as out:
            found = store.stat("big")
            assert found is not None
            for piece in pieces(store, "big", found.size):
                out.write(piece)


class Rclone:
    """rclone."""

    name = "rclone"

    def __init__(self, server: Server) -> None:
        self.server, self.program = server, program("rclone")
        given = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": server.endpoint}
        given |= {"ACCESS_KEY_ID": server.access, "SECRET_ACCESS_KEY": server.secret}
        self.environment = {
            **os.environ,
            **{f"RCLONE_CONFIG_S_{name}": value for name, value in given.items()},
        }

    def _run(self, *arguments: str) -> None:
        many = [f"--transfers={AT_ONCE}", f"--checkers={AT_ONCE}", "--config=", "--ignore-times"]
        command = [self.program, *arguments, *many]
        subprocess.run(command, check=True, env=self.environment, stdout=subprocess.DEVNULL)

    def _at(self, place: str) -> str:
        return f"s:{self.server.bucket}/{place}"

    def put(self, folder: Path, place: str) -> None:
        self._run("copy", str(folder), self._at(place))

    def get(self, place: str, folder: Path) -> None:
        self._run("copy", self._at(place), str(folder))

    def list(self, place: str) -> None:
        self._run("lsf", "--format=pst", "--fast-list", self._at(place))

    def delete(self, place: str) -> None:
        self._run("delete", self._at(place))

    def up(self, file: Path, place: str) -> None:
        self._run("copyto", str(file), self._at(place) + "/big")

    def down(self, place: str, file: Path) -> None:
        self._run("copyto", self._at(place) + "/big", str(file))


class S5cmd:
    """s5cmd."""

    name = "s5cmd"

    def __init__(self, server: Server) -> None:
        self.server, self.program = server, program("s5cmd")
        keys = {"AWS_ACCESS_KEY_ID": server.access, "AWS_SECRET_ACCESS_KEY": server.secret}
        self.environment = {**os.environ, **keys, "AWS_REGION": "us-east-1"}

    def _run(self, *arguments: str) -> None:
        command = [
            self.program,
            f"--endpoint-url={self.server.endpoint}",
            f"--numworkers={AT_ONCE}",
            "--log=error",
        ]
        subprocess.run([*command, *arguments], check=True, env=self.environment, stdout=subprocess.DEVNULL)

    def _at(self, place: str) -> str:
        return f"s3://{self.server.bucket}/{place}"

    def put(self, folder: Path, place: str) -> None:
        self._run("cp", f"{folder}/", self._at(place) + "/")

    def get(self, place: str, folder: Path) -> None:
        self._run("cp", self._at(place) + "/*", f"{folder}/")

    def list(self, place: str) -> None:
        self._run("ls", self._at(place) + "/*")

    def delete(self, place: str) -> None:
        self._run("rm", self._at(place) + "/*")

    def up(self, file: Path, place: str) -> None:
        self._run("cp", str(file), self._at(place) + "/big")

    def down(self, place: str, file: Path) -> None:
        self._run("cp", self._at(place) + "/big", str(file))


class Obstore:
    """obstore, called as its documentation calls it from asyncio."""

    name = "obstore"

    def __init__(self, server: Server) -> None:
        needs("obstore")
        self.server = server

    def _open(self, place: str) -> Any:
        from obstore.store import S3Store

        given = {"endpoint": self.server.endpoint, "region": "us-east-1"}
        given |= {"access_key_id": self.server.access, "secret_access_key": self.server.secret}
        return S3Store(self.server.bucket, prefix=place, config=given, client_options={"allow_http": True})

    def _each(self, act: Callable[[str], Awaitable[object]], names: list[str]) -> None:
        async def all_of_them() -> None:
            turn = asyncio.Semaphore(AT_ONCE)

            async def one(name: str) -> None:
                async with turn:
                    await act(name)

            await asyncio.gather(*map(one, names))

        asyncio.run(all_of_them())

    def _names(self, place: str) -> list[str]:
        import obstore

        return [found["path"] for page in obstore.list(self._open(place)) for found in page]

    def put(self, folder: Path, place: str) -> None:
        import obstore

        store = self._open(place)
        self._each(
            lambda name: obstore.put_async(store, name, (folder / name).read_bytes()), names_in(folder)
        )

    def get(self, place: str, folder: Path) -> None:
        import obstore

        store = self._open(place)

        async def one(name: str) -> None:
            got = await obstore.get_async(store, name)
            (folder / name).write_bytes(await got.bytes_async())

        self._each(one, self._names(place))

    def list(self, place: str) -> None:
        assert self._names(place)

    def delete(self, place: str) -> None:
        import obstore

        obstore.delete(self._open(place), self._names(place))

    def up(self, file: Path, place: str) -> None:
        import obstore

        obstore.put(self._open(place), "big", file)

    def down(self, place: str, file: Path) -> None:
        import obstore

        with file.open("wb") as out:
            for piece in obstore.get(self._open(place), "big").stream(min_chunk_size=PIECE):
                out.write(piece)


Client = Archiver | Rclone | S5cmd | Obstore


def clients(server: Server) -> tuple[list[Client], list[str]]:
    """Return the clients that can be had here, archiver first, and what is said of the others."""
    made: list[Client] = []
    absent = []
    for kind in (Archiver, Rclone, S5cmd, Obstore):
        try:
            made.append(kind(server))
        except AbsentError as error:
            absent.append(f"{kind.name}: {error}")
    return made, absent
