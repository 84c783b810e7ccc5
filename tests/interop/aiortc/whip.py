"""Publishes by WHIP and plays by WHEP.

python whip.py publish URL CODEC SOUND R,G,B HZ       until the input ends
python whip.py vanish URL CODEC SOUND R,G,B HZ        the same; then it closes without DELETE
python whip.py play URL CODEC SOUND PICTURES FILE   until there is enough to judge

Pictures are written as width, height (four bytes each, the most significant first) and I420, sound
as 32 bit floats; each behind its length in four bytes.
"""

import asyncio
import sys
import urllib.parse
import urllib.request

from aiortc import RTCSessionDescription

from connection import connection, prefer
from media import ColorTrack, ToneTrack, Watch, resampled

# Longest time that anything here takes; only what hangs reaches it. Seconds.
PATIENCE = 25
# A mix in which nothing moves has five pictures a second.
PICTURES = 10
PACKETS = 100


def request(url, method, body=None):
    headers = {"content-type": "application/sdp"} if body else {}
    made = urllib.request.Request(url, data=body, method=method, headers=headers)
    with urllib.request.urlopen(made) as response:
        return response.read().decode(), response.headers.get("location")


async def join(pc, url):
    """Negotiates, without trickling, and waits until media can flow. Gives where the session is."""
    await pc.setLocalDescription(await pc.createOffer())
    offer = pc.localDescription.sdp.encode()
    answer, location = await asyncio.to_thread(request, url, "POST", offer)
    connected = asyncio.Event()

    @pc.on("connectionstatechange")
    def changed():
        if pc.connectionState == "connected":
            connected.set()

    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    changed()
    await connected.wait()
    return urllib.parse.urljoin(url, location)


async def publish(url, codec, sound, rgb, hz, silently=False):
    pc = connection()
    prefer(pc.addTransceiver(ToneTrack(float(hz)), direction="sendonly"), sound)
    color = tuple(int(value) for value in rgb.split(","))
    prefer(pc.addTransceiver(ColorTrack(color), direction="sendonly"), codec)
    session = await asyncio.wait_for(join(pc, url), PATIENCE)
    await asyncio.to_thread(sys.stdin.read)
    if not silently:
        await asyncio.to_thread(request, session, "DELETE")
    await pc.close()


async def vanish(*arguments):
    await publish(*arguments, silently=True)


class Received(Watch):
    """Keeps all frames."""

    def __init__(self, track, news):
        self.all = []
        super().__init__(track, news)

    def take(self, frame):
        self.all.append(frame)


async def play(url, codec, sound_codec, pictures, sound):
    pc = connection()
    news = asyncio.Condition()
    watches = {}

    @pc.on("track")
    def track(track):
        watches[track.kind] = Received(track, news)

    prefer(pc.addTransceiver("audio", direction="recvonly"), sound_codec)
    prefer(pc.addTransceiver("video", direction="recvonly"), codec)
    session = await asyncio.wait_for(join(pc, url), PATIENCE)

    def enough():
        return len(watches["video"].all) >= PICTURES and len(watches["audio"].all) >= PACKETS

    async with news:
        await asyncio.wait_for(news.wait_for(enough), PATIENCE)
    write(pictures, [picture(frame) for frame in watches["video"].all])
    write(sound, resampled(watches["audio"].all))
    await asyncio.to_thread(request, session, "DELETE")
    await pc.close()


def picture(frame):
    frame = frame.reformat(format="yuv420p")
    parts = [frame.width.to_bytes(4, "big"), frame.height.to_bytes(4, "big")]
    for plane in frame.planes:
        rows = memoryview(plane)
        for row in range(plane.height):
            start = row * plane.line_size
            parts.append(bytes(rows[start : start + plane.width]))
    return b"".join(parts)


def write(path, units):
    with open(path, "wb") as file:
        for unit in units:
            file.write(len(unit).to_bytes(4, "big") + unit)


if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    asyncio.run({"publish": publish, "vanish": vanish, "play": play}[task](*arguments))
