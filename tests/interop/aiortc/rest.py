"""Streams that rest, and come back: every way in which one is sent nothing for a while.

python rest.py SERVER

aiortc takes an RTCP BYE for the end of a stream, so after one BYE in a rest it never comes back.
All kinds run side by side, each in a room of its own. Says of each what became of it, and exits
with 1 if one did not come back or was said goodbye to.

rtpsession (GStreamer 1.22) says BYE for an SSRC that has been silent for five seconds, but for the
one that began last. So each kind lets two streams rest, or has another one begin before.
"""

import asyncio
import sys
import traceback

from media import ColorTrack, ToneTrack
from participant import Failure, Participant

# How long a room may take to come up, how long streams rest, and how soon they have to be back.
START, REST, BACK = 30, 20, 60

RED, GREEN, BLUE, YELLOW = (240, 0, 0), (0, 240, 0), (16, 32, 240), (240, 240, 16)
COLORS = [RED, GREEN, BLUE]
TONES = [400, 1000, 2000]


def camera(rgb):
    return ColorTrack(rgb, width=160, height=90, fps=5)


def uplinks(sender, colors):
    """Colours by role as they are looked for: by participant and role."""
    return {(sender.id, role): rgb for role, rgb in colors.items()}


async def together(people, see):
    """All see it."""
    await asyncio.gather(*(see(person) for person in people))


async def mode(enter):
    """Three people go from the mix to forwarding and back: the mix rests meanwhile."""
    people = [enter(f"Person {i}") for i in range(3)]
    for person, hz, rgb in zip(people, TONES, COLORS):
        tracks = {"mic": ToneTrack(hz), "camera": camera(rgb)}
        await person.join(tracks, sound=True, forwards=True)
    colors = {(person.id, "camera"): rgb for person, rgb in zip(people, COLORS)}
    tones = {person.id: hz for person, hz in zip(people, TONES)}

    async def mixed(person, seconds=BACK):
        since = person.frames()
        others = [hz for who, hz in tones.items() if who != person.id]
        seen = lambda: person.sees_in_mix(colors, since)
        heard = lambda: person.hears_in_mix(others, since)
        await person.until("pictures of the mix", seen, seconds)
        await person.until("sound of the mix", heard, seconds)

    async def forwarded(person):
        since = person.frames()
        others = {who: rgb for who, rgb in colors.items() if who[0] != person.id}
        seen = lambda: person.slots["mode"] == "sfu" and person.sees_forwarded(others, since)
        await person.until("forwarding", seen, START)

    await together(people, lambda person: mixed(person, START))
    await people[0].send(type="mode", mode="sfu")
    await together(people, forwarded)
    await asyncio.sleep(REST)
    await people[0].send(type="mode", mode="mcu")
    await together(people, mixed)


async def rung(enter):
    """Viewers of the mix who ask for sound alone, and for less than any picture needs."""
    sender = enter("Sender")
    track = camera(RED)
    await sender.join({"mic": ToneTrack(TONES[0]), "camera": track})
    viewers = [enter(name) for name in ("Sound alone", "Thin")]
    for viewer in viewers:
        await viewer.join({}, sound=True, forwards=True)

    async def mixed(viewer, seconds=BACK):
        since = viewer.frames()
        colors = uplinks(sender, {"camera": track.rgb})
        # More than the stills of the lowest rung, one every five seconds.
        seen = lambda: viewer.sees_in_mix(colors, since, least=8)
        await viewer.until("pictures of the mix", seen, seconds)

    async def forwarded(viewer):
        since = viewer.frames()
        colors = uplinks(sender, {"camera": RED})
        await viewer.until("forwarding", lambda: viewer.sees_forwarded(colors, since), START)

    await together(viewers, lambda viewer: mixed(viewer, START))
    # Something begins after the mix, and the mix is there again.
    for view, see in (("sfu", forwarded), ("mcu", lambda viewer: mixed(viewer, START))):
        for viewer in viewers:
            await viewer.send(type="view", mode=view)
        await together(viewers, see)
    await viewers[0].send(type="limits", audioOnly=True)
    await viewers[1].send(type="limits", maxBitrate=1)
    await asyncio.sleep(REST)
    track.rgb = BLUE
    for viewer in viewers:
        await viewer.send(type="limits")
    await together(viewers, mixed)


async def muted(enter):
    """Forward slots of a camera and a screen that are muted."""
    sender, viewer = enter("Sender"), enter("Viewer")
    tracks = {"camera": camera(RED), "screen": camera(BLUE)}
    await sender.join(tracks)
    await viewer.join({}, forwards=True)
    await viewer.send(type="view", mode="sfu")

    async def see(seconds):
        since = viewer.frames()
        colors = {role: track.rgb for role, track in tracks.items()}
        seen = lambda: viewer.sees_forwarded(uplinks(sender, colors), since)
        await viewer.until(f"camera and screen in {colors}", seen, seconds)

    async def mute(muted):
        for role, track in tracks.items():
            await sender.send(type="mute", role=role, muted=muted)
            track.pause(muted)

    await see(START)
    await mute(True)
    await asyncio.sleep(REST)
    tracks["camera"].rgb, tracks["screen"].rgb = GREEN, YELLOW
    await mute(False)
    await see(BACK)


async def nobody(enter):
    """Viewers who are alone for a while: somebody leaves, and later somebody else comes, who shows
    camera and screen only after joining."""
    mixed, forwarded = enter("Mixed"), enter("Forwarded")
    await mixed.join({})
    await forwarded.join({}, forwards=True)
    await forwarded.send(type="view", mode="sfu")

    async def comes(name, colors, seconds):
        sender = enter(name)
        since = [mixed.frames(), forwarded.frames()]
        await sender.join({role: None for role in colors})
        for role, rgb in colors.items():
            sender.senders[role].replaceTrack(camera(rgb))
        wanted = uplinks(sender, colors)
        in_mix = lambda: mixed.sees_in_mix(wanted, since[0])
        alone = lambda: forwarded.sees_forwarded(wanted, since[1])
        await asyncio.gather(
            mixed.until(f"pictures of {name}", in_mix, seconds),
            forwarded.until(f"pictures of {name}", alone, seconds),
        )
        return sender

    first = await comes("First", {"camera": RED, "screen": BLUE}, START)
    await first.leave()
    await asyncio.sleep(REST)
    await comes("Second", {"camera": YELLOW, "screen": GREEN}, BACK)


async def comes_back(server, kind):
    people = []

    def enter(name):
        people.append(Participant(server, kind.__name__, name))
        return people[-1]

    error = None
    try:
        await kind(enter)
        byes = {person.name: person.goodbyes for person in people if person.goodbyes}
        error = f"all came back, but BYE was said: {byes}" if byes else None
    except Failure as failure:
        error = failure
    except Exception:
        error = traceback.format_exc()
    # Who could not even join cannot leave.
    await asyncio.gather(*(person.leave() for person in people), return_exceptions=True)
    print(f"{kind.__name__}: {error or 'all came back'}", file=sys.stderr)
    return error is None


async def main(server):
    kinds = (mode, rung, muted, nobody)
    back = await asyncio.gather(*(comes_back(server, kind) for kind in kinds))
    sys.exit(0 if all(back) else 1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
