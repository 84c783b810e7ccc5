// Time that passes only when told to. Node's own (`mock.timers`) is not used: that of Node 18, which
// Debian 12 and Ubuntu 24.04 have, loses timers that are cleared or set while others fire.

const real = {
  setTimeout,
  setInterval,
  clearTimeout,
  clearInterval,
};

let now = 0;
let last = 0;
const waiting = new Map();

function add(callback, delay, every, args) {
  last += 1;
  waiting.set(last, { at: now + Math.max(delay ?? 0, 1), every, callback, args });
  return last;
}

/** From now on timers fire in `tick` alone. */
export function stopTime() {
  now = 0;
  globalThis.setTimeout = (callback, delay, ...args) => add(callback, delay, null, args);
  globalThis.setInterval = (callback, delay, ...args) => add(callback, delay, Math.max(delay, 1), args);
  globalThis.clearTimeout = (timer) => waiting.delete(timer);
  globalThis.clearInterval = globalThis.clearTimeout;
}

/** Lets `ms` pass, and fires what is due in the order of its time. */
export function tick(ms) {
  const end = now + ms;
  for (;;) {
    const due = [...waiting].filter(([, timer]) => timer.at <= end);
    const [next] = due.sort(([, a], [, b]) => a.at - b.at);
    if (!next) break;
    const [id, timer] = next;
    now = timer.at;
    if (timer.every === null) waiting.delete(id);
    else timer.at += timer.every;
    timer.callback(...timer.args);
  }
  now = end;
}

/** Timers are the real ones again. */
export function resumeTime() {
  waiting.clear();
  Object.assign(globalThis, real);
}
