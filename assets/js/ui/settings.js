// The panel in which camera, microphone and data saver are changed during a call.

/** @import {UplinkRole} from '../base/config.js' */
/** @import {LocalMedia} from '../call/local-media.js' */
/** @import {Session} from '../call/session.js' */

import { byId, el } from '../base/dom.js';
import { loadChoices, saveChoices } from '../base/preferences.js';
import { firstSaver, SAVERS, saverOf } from '../call/data-saver.js';
import { DeviceLists } from './device-lists.js';

export class Settings {
  #lists;

  /** @param {{media: LocalMedia, session: Session}} env */
  constructor({ media, session }) {
    this.#lists = new DeviceLists({
      media,
      selects: { camera: byId('settings-camera'), mic: byId('settings-mic') },
      onChoose: (role, id) => media.switchTo(role, id),
    });
    this.#offerSavers(session);
  }

  /** Shows the devices that are there now. */
  refresh() {
    return this.#lists.refresh();
  }

  /** @param {Session} session */
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

  /** The own tracks have changed. @param {UplinkRole} role */
  mediaChanged(role) {
    if (!byId('panel-settings').hidden && role !== 'screen') this.refresh();
  }
}
