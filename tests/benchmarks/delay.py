"""Pass on what is sent to a server after so many seconds: `python -m tests.benchmarks.delay PORT SECONDS` prints its own port.

A process of its own, for its work must not be counted with that of the client which is measured.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress


async def serve(port: int, seconds: float) -> None:
    """Serve until this process is ended; what comes back is not delayed."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: float) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                await asyncio.sleep(wait)
                writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back, seconds), pump(there, writer, 0))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=128)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
