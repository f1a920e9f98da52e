"""The other end of an HBONE tunnel: takes HTTP/2 CONNECT and passes what is inside on to the echo server."""

from __future__ import annotations

import asyncio
import multiprocessing

import h2.config
import h2.connection
import h2.exceptions
import h2.events

PREFACE = b"PRI * HTTP/2.0"


async def _pump(reader: asyncio.StreamReader, write) -> None:
    try:
        while data := await reader.read(65536):
            await write(data)
    except ConnectionError:
        pass


async def _relay(first: bytes, reader, writer, echo_port: int) -> None:
    """All bytes as they are: what came isn't a tunnel."""
    echo_reader, echo_writer = await asyncio.open_connection("127.0.0.1", echo_port)
    echo_writer.write(first)

    def sink(to):
        async def write(data):
            to.write(data)
            await to.drain()
        return write

    back = asyncio.create_task(_pump(echo_reader, sink(writer)))
    await _pump(reader, sink(echo_writer))
    echo_writer.write_eof()
    await back
    echo_writer.close()


async def _tunnels(first: bytes, reader, writer, echo_port: int) -> None:
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
    conn.initiate_connection()
    streams: dict[int, asyncio.StreamWriter] = {}
    tasks = []

    async def flush():
        writer.write(conn.data_to_send())
        await writer.drain()

    async def back(stream_id, echo_reader):
        async def write(data):
            conn.send_data(stream_id, data)
            await flush()
        await _pump(echo_reader, write)
        try:
            conn.end_stream(stream_id)
            await flush()
        except (h2.exceptions.ProtocolError, ConnectionError):
            pass

    data, seen = first, first
    while data:
        for event in conn.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                if dict(event.headers).get(":method") != "CONNECT" and not streams:
                    await _relay(seen, reader, writer, echo_port)
                    return
                echo_reader, echo_writer = await asyncio.open_connection("127.0.0.1", echo_port)
                streams[event.stream_id] = echo_writer
                conn.send_headers(event.stream_id, [(":status", "200")])
                tasks.append(asyncio.create_task(back(event.stream_id, echo_reader)))
            elif isinstance(event, h2.events.DataReceived):
                conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                streams[event.stream_id].write(event.data)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                echo = streams.get(event.stream_id)
                if echo and echo.can_write_eof():
                    echo.write_eof()
        # Before it is known what this is, nothing may be answered.
        if streams:
            await flush()
        else:
            seen += b"" if data is first else data
        data = await reader.read(65536)


def _server(echo_port: int):
    async def serve(reader, writer):
        try:
            first = await reader.read(65536)
            handler = _tunnels if first.startswith(PREFACE) else _relay
            await handler(first, reader, writer, echo_port)
        except (ConnectionError, h2.exceptions.ProtocolError, OSError):
            pass
        finally:
            writer.close()
    return serve


async def _main(port: int, echo_port: int, ready) -> None:
    await asyncio.start_server(_server(echo_port), "0.0.0.0", port)
    ready.set()
    await asyncio.Event().wait()


def _entry(port: int, echo_port: int, ready) -> None:
    asyncio.run(_main(port, echo_port, ready))


class TunnelEnd:
    """Context manager running it in a child process."""

    def __init__(self, port: int, echo_port: int):
        self._ready = multiprocessing.Event()
        self._process = multiprocessing.Process(target=_entry, args=(port, echo_port, self._ready), daemon=True)

    def __enter__(self) -> "TunnelEnd":
        self._process.start()
        if not self._ready.wait(10):
            raise RuntimeError("the tunnel's end did not start")
        return self

    def __exit__(self, *exc) -> None:
        self._process.terminate()
        self._process.join(5)
