"""Publishes by FFmpeg's WHIP muxer, which PyAV has: H.264 and Opus.

python ffmpeg.py URL CERTIFICATE KEY R,G,B HZ      until the input ends
"""

import asyncio
import contextlib
import sys

import av

from media import RATE, ColorTrack, ToneTrack

WIDTH, HEIGHT, FPS = 320, 180, 15


class Publisher:
    """A session. Packets of both streams go one after the other."""

    def __init__(self, url, certificate, key):
        # What it makes by itself may be on a curve that nobody else knows.
        options = {"cert_file": certificate, "key_file": key}
        self.output = av.open(url, "w", format="whip", options=options)
        options = {"tune": "zerolatency", "preset": "veryfast", "profile": "baseline"}
        self.video = self.output.add_stream("libx264", rate=FPS, options=options)
        self.video.width, self.video.height, self.video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self.video.gop_size = FPS
        self.audio = self.output.add_stream("libopus", rate=RATE, layout="stereo")
        self.resampler = av.AudioResampler("s16", "stereo", RATE)
        self.lock = asyncio.Lock()

    async def send(self, stream, frames):
        async with self.lock:
            for frame in frames:
                await asyncio.to_thread(self.output.mux, stream.encode(frame))

    async def pictures(self, track):
        while True:
            await self.send(self.video, [await track.recv()])

    async def sound(self, track):
        while True:
            await self.send(self.audio, self.resampler.resample(await track.recv()))


async def publish(url, certificate, key, color, hz):
    publisher = Publisher(url, certificate, key)
    color = tuple(int(value) for value in color.split(","))
    streams = asyncio.gather(
        publisher.pictures(ColorTrack(color, WIDTH, HEIGHT, FPS)),
        publisher.sound(ToneTrack(float(hz))),
    )
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([streams, told], return_when=asyncio.FIRST_COMPLETED)
    if not told.done():
        # It has failed: this says how.
        await streams
    streams.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await streams
    async with publisher.lock:
        await asyncio.to_thread(publisher.output.close)


asyncio.run(publish(*sys.argv[1:]))
