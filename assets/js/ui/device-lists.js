// The lists of cameras and microphones, on the join screen and in the settings.

/** @import {DeviceRole} from '../base/config.js' */
/** @import {LocalMedia} from '../call/local-media.js' */

import { el } from '../base/dom.js';
import { loadChoices, saveChoices } from '../base/preferences.js';
import { listDevices } from '../call/devices.js';
import { NONE } from '../call/local-media.js';

const TITLES = { mic: 'microphone', camera: 'camera' };

export class DeviceLists {
  #media;
  #selects;

  /**
   * @param {object} env
   * @param {LocalMedia} env.media
   * @param {{[role in DeviceRole]: HTMLSelectElement}} env.selects
   * @param {(role: DeviceRole, id: string) => Promise<void>} env.onChoose
   */
  constructor({ media, selects, onChoose }) {
    this.#media = media;
    this.#selects = /** @type {[DeviceRole, HTMLSelectElement][]} */ (Object.entries(selects));
    for (const [role, select] of this.#selects) {
      select.addEventListener('change', () => {
        saveChoices({ ...loadChoices(), [role]: select.value });
        onChoose(role, select.value).then(() => this.refresh());
      });
    }
  }

  /** Disables the lists, on a page that gets no devices at all. */
  disable() {
    for (const [, select] of this.#selects) select.disabled = true;
  }

  /** Fills the lists. Labels come once the user has allowed a device. */
  async refresh() {
    const devices = await listDevices();
    for (const [role, select] of this.#selects) {
      const chosen = this.#media.choice[role];
      const known = chosen === NONE || devices[role].some(({ id }) => id === chosen);
      const options = [
        ['', `Default ${TITLES[role]}`],
        ...devices[role].map(({ id, label }, i) => [id, label || `${TITLES[role]} ${i + 1}`]),
        [NONE, `No ${TITLES[role]}`],
      ];
      select.replaceChildren(...options.map(([value, text]) => el('option', { value, text })));
      select.value = known ? chosen : '';
    }
  }
}
