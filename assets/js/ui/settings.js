// The panel in which camera, microphone and data saver are changed during a call.

import { byId, el } from '../base/dom.js';
import { loadChoices, saveChoices } from '../base/preferences.js';
import { firstSaver, SAVERS, saverOf } from '../call/data-saver.js';
import { DeviceLists } from './device-lists.js';

export class Settings {
  #lists;

  constructor({ media, session }) {
    this.#lists = new DeviceLists({
      media,
      selects: { camera: byId('settings-camera'), mic: byId('settings-mic') },
      onChoose: (role, id) => media.switchTo(role, id),
    });
    this.#offerSavers(session);
  }

  /** Shows the devices there are now. */
  refresh() {
    return this.#lists.refresh();
  }

  #offerSavers(session) {
    const select = byId('settings-saver');
    select.append(...SAVERS.map(({ key, name }) => el('option', { value: key, text: name })));
    const first = firstSaver(loadChoices().saver, navigator.connection);
    select.value = first.key;
    session.limit(first.limits);
    select.addEventListener('change', () => {
      saveChoices({ ...loadChoices(), saver: select.value });
      session.limit(saverOf(select.value).limits);
    });
  }

  render() {}

  mediaChanged(role) {
    if (!byId('panel-settings').hidden && role !== 'screen') this.refresh();
  }
}
