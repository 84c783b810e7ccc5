// What the tests ask of a page. Evaluated in it once, before the first question.
(() => {
  const video = () => document.getElementById('video');
  const state = () => window.tessera.state();
  // Of an Error, WebDriver passes on that it is an "object".
  const complain = console.error.bind(console);
  console.error = (...words) => complain(...words.map(String));
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  /** Resolves with what `condition` gives as soon as that is truthy. */
  async function until(condition, ms) {
    for (const end = performance.now() + ms; performance.now() < end; await pause(40)) {
      const value = await condition();
      if (value) return value;
    }
    throw new Error(`not within ${ms} ms; the page: ${JSON.stringify(state())}`);
  }

  /** The samples of each tile, but for the strip with the name, and of its middle, by participant. */
  function look() {
    const {
      canvas: { width, height },
      tiles,
    } = state().room;
    // A quarter of the size: looking must not cost the page the frames it is to show.
    const scaled = (pixels) => Math.max(1, Math.floor(pixels / 4));
    const canvas = new OffscreenCanvas(scaled(width), scaled(height));
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video(), 0, 0, canvas.width, canvas.height);
    const samples = (...rect) => context.getImageData(...rect.map(scaled)).data;
    return new Map(
      tiles.map(({ participant, x, y, w, h }) => [
        participant,
        {
          tile: samples(x, y, w, h * 0.8),
          middle: samples(x + w / 5, y + h / 5, w * 0.6, h * 0.6),
        },
      ]),
    );
  }

  function meanColor(samples) {
    const sum = [0, 0, 0];
    for (let i = 0; i < samples.length; i += 4) for (const c of [0, 1, 2]) sum[c] += samples[i + c];
    return sum.map((channel) => channel / (samples.length / 4));
  }

  /** The share of samples, in percent, that differ by more than noise. */
  function difference(one, other) {
    if (one?.length !== other?.length) return 100;
    let changed = 0;
    for (let i = 0; i < one.length; i += 4) {
      const by =
        Math.abs(one[i] - other[i]) + Math.abs(one[i + 1] - other[i + 1]) + Math.abs(one[i + 2] - other[i + 2]);
      if (by > 45) changed += 1;
    }
    return (400 * changed) / one.length;
  }

  async function inbound() {
    const all = [...(await window.tessera.pc.getStats()).values()].filter((s) => s.type === 'inbound-rtp');
    // Forward slots are fed with nothing: the mix is what has the most.
    const most = (kind, of) => all.filter((s) => s.kind === kind).sort((a, b) => (b[of] ?? 0) - (a[of] ?? 0))[0] ?? {};
    return { video: most('video', 'framesDecoded'), audio: most('audio', 'packetsReceived') };
  }

  /** Calls back at every frame shown; returns the longest time without one, ms. */
  function watchFrames() {
    let last = performance.now();
    let longest = 0;
    let stopped = false;
    const frame = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (!stopped) video().requestVideoFrameCallback(frame);
    };
    video().requestVideoFrameCallback(frame);
    return () => {
      stopped = true;
      return Math.max(longest, performance.now() - last);
    };
  }

  /** Watches the mix for `ms`: what moved where, how it flowed, and how much was heard. */
  async function watch(ms) {
    const before = await inbound();
    const shut = watchFrames();
    const first = look();
    const moved = new Map([...first.keys()].map((id) => [id, 0]));
    const colors = {};
    const start = performance.now();
    while (performance.now() - start < ms) {
      await pause(ms / 8);
      for (const [id, { tile, middle }] of look()) {
        moved.set(id, Math.max(moved.get(id) ?? 0, difference(first.get(id)?.tile, tile)));
        colors[id] = meanColor(middle);
      }
    }
    const seconds = (performance.now() - start) / 1000;
    const after = await inbound();
    return {
      moved: Object.fromEntries(moved),
      colors,
      longestGap: shut(),
      framesPerSecond: (after.video.framesDecoded - before.video.framesDecoded) / seconds,
      audioEnergy: after.audio.totalAudioEnergy - before.audio.totalAudioEnergy,
    };
  }

  /** The middle of each picture on the stage, by participant; what an avatar covers is left out. */
  function stage() {
    if (state().playback.view === 'composite') {
      return [...look()].map(([participant, { middle }]) => [participant, meanColor(middle)]);
    }
    const videos = [...document.querySelectorAll('#pictures video.shown')];
    const same = (a, b) => ['left', 'top', 'width', 'height'].every((side) => a.style[side] === b.style[side]);
    const canvas = new OffscreenCanvas(32, 32);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    return [...document.querySelectorAll('#tiles .tile:not(.tile--covered):not(.tile--more)')].flatMap((tile) => {
      const picture = videos.find((one) => same(one, tile));
      const { videoWidth: w, videoHeight: h } = picture ?? {};
      if (!w) return [];
      context.drawImage(picture, w * 0.2, h * 0.2, w * 0.6, h * 0.6, 0, 0, 32, 32);
      return [[tile.dataset.key.split('/')[0], meanColor(context.getImageData(0, 0, 32, 32).data)]];
    });
  }

  /**
   * Looks at the stage ten times a second from now on. `people` are names and their colours. What
   * it returns gives how many pictures were looked at, and those in the colour of somebody else.
   */
  function watchNames(people) {
    const wrong = [];
    let looks = 0;
    let tiles = '';
    let settled = 0;
    const timer = setInterval(() => {
      // A composite whose tiles have just moved may still be that of before.
      const now = JSON.stringify(state().room?.tiles);
      if (now !== tiles) settled = performance.now() + 1000;
      tiles = now;
      if (state().playback.view === 'composite' && performance.now() < settled) return;
      for (const [participant, color] of stage()) {
        const name = state().room.participants.find((one) => one.id === participant)?.name;
        const off = (rgb) => rgb.reduce((sum, channel, i) => sum + Math.abs(channel - color[i]), 0) / 3;
        if (!people[name]) continue;
        looks += 1;
        const other = Object.keys(people).find((one) => one !== name && off(people[one]) < 12);
        if (other && off(people[name]) >= 12) wrong.push({ name, other, color, view: state().playback.view });
      }
    }, 100);
    globalThis.probe.names = () => {
      clearInterval(timer);
      return { looks, wrong };
    };
  }

  /** Resolves once a picture of the mix is on the screen. */
  async function pictured(ms) {
    await until(() => state().phase === 'in-call' && video().videoWidth > 0 && state().room?.tiles.length, ms);
    await until(async () => (await inbound()).video.framesDecoded > 0, ms);
  }

  /**
   * Publishes camera and microphone to a room over WHIP, as a client does that is not this page. What is given is told
   * to the browser: how it takes the camera, in which encodings it sends it, and the one codec that it offers.
   */
  async function publish(room, { video = true, audio = true, sendEncodings, codec } = {}) {
    const media = await navigator.mediaDevices.getUserMedia({ video, audio });
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const direction = 'sendonly';
    for (const track of media.getAudioTracks()) pc.addTransceiver(track, { direction });
    const camera = pc.addTransceiver(media.getVideoTracks()[0], { direction, ...(sendEncodings && { sendEncodings }) });
    const known = RTCRtpSender.getCapabilities('video').codecs;
    if (codec) camera.setCodecPreferences(known.filter(({ mimeType }) => mimeType === codec).slice(0, 1));
    await pc.setLocalDescription();
    await until(() => pc.iceGatheringState === 'complete', 10_000);
    const { sdp } = pc.localDescription;
    const headers = { 'content-type': 'application/sdp' };
    const response = await fetch(`/whip/${room}`, { method: 'POST', headers, body: sdp });
    const answer = await response.text();
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    globalThis.publishing = pc;
    return { offer: sdp, answer };
  }

  const shown = (id) => !document.getElementById(id).hidden && document.getElementById(id).checkVisibility();
  const text = (id) => (shown(id) ? document.getElementById(id).textContent.trim() : '');
  const person = (name) => state().room?.participants.find((one) => one.name === name);

  globalThis.probe = {
    until,
    watch,
    pictured,
    publish,
    inbound,
    state,
    shown,
    text,
    person,
    pause,
    watchFrames,
    watchNames,
  };
})();
