"""Tracks of one colour and of one tone, and what is seen and heard on received ones."""

import asyncio
import fractions
import math
import time

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

RATE = 48_000
# Samples of 20 ms.
PACKET = 960


def yuv(rgb):
    """A colour in BT.601, limited range."""
    r, g, b = rgb
    return (
        round(16 + 0.25679 * r + 0.50413 * g + 0.09791 * b),
        round(128 - 0.14822 * r - 0.29099 * g + 0.43922 * b),
        round(128 + 0.43922 * r - 0.36779 * g - 0.07143 * b),
    )


class Pace:
    """Real time, in steps of a length."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.start = None
        self.number = -1

    async def next(self):
        """Waits until the next step is due, and gives its number."""
        if self.start is None:
            self.start = time.monotonic()
        # Steps that are over already are left out.
        now = (time.monotonic() - self.start) / self.seconds
        self.number = max(self.number + 1, int(now))
        due = self.start + self.number * self.seconds
        await asyncio.sleep(max(0, due - time.monotonic()))
        return self.number


class ColorTrack(MediaStreamTrack):
    """A camera that sees one colour, which can be changed, and can be paused."""

    kind = "video"

    def __init__(self, rgb, width=640, height=360, fps=15):
        super().__init__()
        self.rgb = rgb
        self.size = (width, height)
        self.fps = fps
        self.pace = Pace(1 / fps)
        self.on = asyncio.Event()
        self.on.set()

    def pause(self, paused):
        self.on.clear() if paused else self.on.set()

    async def recv(self):
        await self.on.wait()
        number = await self.pace.next()
        frame = av.VideoFrame(*self.size, "yuv420p")
        for plane, value in zip(frame.planes, yuv(self.rgb)):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts = number * 90_000 // self.fps
        frame.time_base = fractions.Fraction(1, 90_000)
        return frame


class ToneTrack(MediaStreamTrack):
    """A microphone that hears a tone at -24 dBFS."""

    kind = "audio"

    def __init__(self, hz):
        super().__init__()
        self.pace = Pace(PACKET / RATE)
        # All tones here are multiples of 50 Hz: each 20 ms are like the others.
        samples = (2067 * math.sin(2 * math.pi * hz * n / RATE) for n in range(PACKET))
        self.packet = b"".join(round(s).to_bytes(2, "little", signed=True) for s in samples)

    async def recv(self):
        number = await self.pace.next()
        frame = av.AudioFrame(format="s16", layout="mono", samples=PACKET)
        frame.planes[0].update(self.packet)
        frame.sample_rate = RATE
        frame.pts = number * PACKET
        frame.time_base = fractions.Fraction(1, RATE)
        return frame


class Watch:
    """Takes what comes on a received track, and keeps the last frame."""

    def __init__(self, track, news):
        self.track = track
        self.news = news
        self.frames = 0
        self.last = None
        self.task = asyncio.create_task(self.run())

    async def run(self):
        try:
            while True:
                frame = await self.track.recv()
                async with self.news:
                    self.take(frame)
                    self.news.notify_all()
        except MediaStreamError:
            pass

    def take(self, frame):
        self.last = frame
        self.frames += 1

    def color(self, x, y):
        """The colour at a place of the last picture, from 0 to 1 in both directions."""
        small = self.last.reformat(width=32, height=18, format="rgb24")
        plane = small.planes[0]
        at = int(y * 18) * plane.line_size + int(x * 32) * 3
        return tuple(memoryview(plane)[at : at + 3])

    def level(self, hz):
        """How loud a tone is in the last packet, dBFS."""
        samples = mono(self.last)
        window = [0.5 - 0.5 * math.cos(2 * math.pi * n / len(samples)) for n in range(len(samples))]
        c, s = 0.0, 0.0
        for n, (sample, weight) in enumerate(zip(samples, window)):
            c += sample * weight * math.cos(2 * math.pi * hz * n / RATE)
            s += sample * weight * math.sin(2 * math.pi * hz * n / RATE)
        amplitude = 2 * math.hypot(c, s) / sum(window)
        return 20 * math.log10(max(amplitude, 1e-6))


def resampled(frames):
    """The samples of frames that follow one another: mono, 48 kHz, 32 bit floats."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    for frame in frames:
        yield b"".join(bytes(f.planes[0])[: 4 * f.samples] for f in resampler.resample(frame))


def floats(frame):
    """The samples of one frame of 48 kHz."""
    return b"".join(resampled([frame]))


def mono(frame):
    return memoryview(floats(frame)).cast("f")


def close(color, other):
    """Whether two colours are the same but for rounding and quantisation."""
    return sum(abs(a - b) for a, b in zip(color, other)) / 3 < 20
