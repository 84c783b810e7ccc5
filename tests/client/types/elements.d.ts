/**
 * The elements of the pages that are more than an HTMLElement, by id. A test compares them with the
 * HTML.
 */
export interface Elements {
  'chat-form': HTMLFormElement;
  'chat-input': HTMLTextAreaElement;
  'choose-camera': HTMLSelectElement;
  'choose-mic': HTMLSelectElement;
  confirm: HTMLDialogElement;
  'confirm-delete': HTMLButtonElement;
  'confirm-keep': HTMLButtonElement;
  'copy-link': HTMLButtonElement;
  fullscreen: HTMLButtonElement;
  help: HTMLButtonElement;
  invite: HTMLButtonElement;
  'join-button': HTMLButtonElement;
  'join-fields': HTMLFieldSetElement;
  'join-form': HTMLFormElement;
  'layout-grid': HTMLButtonElement;
  'layout-spotlight': HTMLButtonElement;
  leave: HTMLButtonElement;
  'mode-choices': HTMLFieldSetElement;
  meant: HTMLAnchorElement;
  name: HTMLInputElement;
  newer: HTMLButtonElement;
  older: HTMLButtonElement;
  player: HTMLDialogElement;
  'player-close': HTMLButtonElement;
  'player-download': HTMLAnchorElement;
  preview: HTMLVideoElement;
  'record-fields': HTMLFieldSetElement;
  'record-form': HTMLFormElement;
  'record-link': HTMLAnchorElement;
  'record-start': HTMLButtonElement;
  retry: HTMLButtonElement;
  room: HTMLInputElement;
  'settings-camera': HTMLSelectElement;
  'settings-mic': HTMLSelectElement;
  'settings-saver': HTMLSelectElement;
  shortcuts: HTMLDialogElement;
  start: HTMLButtonElement;
  still: HTMLCanvasElement;
  'toggle-camera': HTMLButtonElement;
  'toggle-chat': HTMLButtonElement;
  'toggle-figures': HTMLButtonElement;
  'toggle-hand': HTMLButtonElement;
  'toggle-mic': HTMLButtonElement;
  'toggle-modes': HTMLButtonElement;
  'toggle-people': HTMLButtonElement;
  'toggle-record': HTMLButtonElement;
  'toggle-screen': HTMLButtonElement;
  'toggle-settings': HTMLButtonElement;
  'toggle-sound': HTMLButtonElement;
  token: HTMLInputElement;
  'token-form': HTMLFormElement;
  unmute: HTMLButtonElement;
  video: HTMLVideoElement;
  'view-choices': HTMLFieldSetElement;
}

/** The element with an id; of one that is made up at run time only that it is an element. */
export type ElementOf<Id extends string> = Id extends keyof Elements ? Elements[Id] : HTMLElement;
