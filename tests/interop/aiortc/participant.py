"""A participant on the WebSocket, after docs/PROTOCOL.md."""

import asyncio
import json
import sys

from aiortc import RTCSessionDescription
from aiortc.rtp import RtcpByePacket
from aiortc.sdp import candidate_from_sdp
from websockets.asyncio.client import connect

from connection import connection
from media import Watch, close

# Forward m-lines of each kind.
SLOTS = 2
# The faintest tone that counts as heard, dBFS.
HEARD = -45


class Participant:
    """Sends what it is given tracks of; receives the mix and, if wanted, others' own streams."""

    def __init__(self, server, room, name):
        self.url = f"{server.replace('http', 'ws', 1)}/ws"
        self.room_id, self.name = room, name
        self.pc = connection()
        # Told of each message and each frame.
        self.news = asyncio.Condition()
        self.socket = None
        self.id = None
        self.room = None
        self.slots = None
        self.watches = {}
        self.senders = {}
        # The roles of m-lines whose stream was said to have ended.
        self.goodbyes = []
        # The colours that were last looked at, for who asks why.
        self.seen = None

    async def join(self, tracks, sound=False, forwards=False):
        """Joins with tracks by role; a track may be None, to come later."""
        self.pc.on("track", self._track)
        self.pc.on("connectionstatechange", self._changed)
        lines = []
        for role, track in tracks.items():
            kind = "audio" if role == "mic" else "video"
            line = self.pc.addTransceiver(track or kind, direction="sendonly")
            self.senders[role] = line.sender
            lines.append((line, role))
        received = (["mix-audio"] if sound else []) + ["mix-video"]
        if forwards:
            received += (["forward-audio"] * SLOTS if sound else []) + ["forward-video"] * SLOTS
        for role in received:
            kind = role.split("-")[1]
            line = self.pc.addTransceiver(kind, direction="recvonly")
            self._note_goodbyes(line.receiver, role)
            lines.append((line, role))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.mids = {role: line.mid for line, role in reversed(lines)}
        self.socket = await connect(self.url)
        self.reader = asyncio.create_task(self._read())
        await self.send(
            type="join",
            version=1,
            name=self.name,
            room=self.room_id,
            offer=self.pc.localDescription.sdp,
            tracks=[{"mid": line.mid, "role": role} for line, role in lines],
        )
        await self.until("connection", lambda: self.pc.connectionState == "connected", 30)

    async def leave(self):
        """Leaves, if it has not before, and ends all that runs."""
        if self.socket is not None:
            await self.send(type="leave")
            await self.reader
            self.socket = None
        await self.pc.close()

    async def send(self, **message):
        await self.socket.send(json.dumps(message))

    async def until(self, what, fits, seconds):
        """Waits until something is so, which is looked at after each message and each frame."""
        async with self.news:
            try:
                await asyncio.wait_for(self.news.wait_for(fits), seconds)
            except asyncio.TimeoutError:
                last = f"saw {self.seen}, {self.frames()} frames, BYE for {self.goodbyes}"
                raise Failure(f"{self.name}: no {what} within {seconds} s; {last}") from None

    def _note_goodbyes(self, receiver, role):
        handle = receiver._handle_rtcp_packet

        async def note(packet):
            if isinstance(packet, RtcpByePacket):
                self.goodbyes.append(role)
            await handle(packet)

        receiver._handle_rtcp_packet = note

    def _track(self, track):
        # A transceiver belongs to the track from the moment it is announced.
        line = next(t for t in self.pc.getTransceivers() if t.receiver.track is track)
        self.watches[line.mid] = Watch(track, self.news)

    async def _read(self):
        async for text in self.socket:
            message = json.loads(text)
            await self._take(message)
            async with self.news:
                self.news.notify_all()
        async with self.news:
            self.news.notify_all()

    async def _take(self, message):
        match message["type"]:
            case "welcome":
                self.id = message["participant"]
            case "answer":
                await self.pc.setRemoteDescription(RTCSessionDescription(message["sdp"], "answer"))
            case "candidate" if message["candidate"]:
                candidate = candidate_from_sdp(message["candidate"].split(":", 1)[1])
                candidate.sdpMid = message["mid"]
                await self.pc.addIceCandidate(candidate)
            case "room":
                self.room = message
            case "slots":
                self.slots = message
            case "error":
                print(f"{self.name}: {message}", file=sys.stderr)

    async def _changed(self):
        async with self.news:
            self.news.notify_all()

    def frames(self):
        """How many frames have come on each m-line."""
        return {mid: watch.frames for mid, watch in self.watches.items()}

    def sees_in_mix(self, people, since, least=1):
        """Whether the mix shows these colours, by participant and role, and no others, in a frame
        that has come since."""
        mix = self.watches[self.mids["mix-video"]]
        if mix.frames < since[self.mids["mix-video"]] + least:
            return False
        canvas = self.room["canvas"]
        self.seen = {
            (tile["participant"], tile["role"]): mix.color(
                (tile["x"] + tile["w"] / 2) / canvas["width"],
                (tile["y"] + tile["h"] / 2) / canvas["height"],
            )
            for tile in self.room["tiles"]
        }
        return self.seen.keys() == people.keys() and all(
            close(self.seen[who], rgb) for who, rgb in people.items()
        )

    def sees_forwarded(self, people, since):
        """Whether these colours are forwarded, by participant and role, in frames that have come
        since."""
        self.seen = {}
        for slot in self.slots["slots"] if self.slots else []:
            mid, who = slot["mid"], (slot["participant"], slot["role"])
            if who in people and self.watches[mid].frames > since[mid]:
                self.seen[who] = self.watches[mid].color(0.5, 0.5)
        return all(
            who in self.seen and close(self.seen[who], rgb) for who, rgb in people.items()
        )

    def hears_in_mix(self, tones, since):
        """Whether these tones are in a packet of the mix that has come since."""
        mid = self.mids["mix-audio"]
        watch = self.watches[mid]
        return watch.frames > since[mid] and all(watch.level(hz) > HEARD for hz in tones)


class Failure(Exception):
    """What did not come to be."""
