// What is not in the DOM types of TypeScript: properties that some browsers have, and the one that
// the pages add.

interface Window {
  /** For tests and for a curious console. */
  tessera: object;
  /** Safari before 14.1. */
  webkitAudioContext?: typeof AudioContext;
}

interface Navigator {
  /** Network Information API, in Chromium. */
  connection?: { saveData?: boolean };
}

interface HTMLVideoElement {
  /** Safari on phones, which has no other full screen. */
  webkitEnterFullscreen?: () => void;
}
