// Small helpers for the DOM. Text from people only ever enters through textContent.

/** @import {ElementOf} from '../../../tests/client/types/elements.d.ts' */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * The element with this id. Every id that is used here is in the page (tests/client).
 *
 * @template {string} Id
 * @param {Id} id
 * @returns {ElementOf<Id>}
 */
export const byId = (id) => /** @type {any} */ (document.getElementById(id));

/**
 * A new element: `el('p', {class: 'x', text: 'y', title: 'z'}, ...children)`.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {{[name: string]: string}} attributes `text` is its text, all others are attributes
 * @param {(Node | string)[]} children
 */
export function el(tag, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** A symbol of the sprite in the page. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Changes the icon in `element`, or `element` itself if it is one, to another symbol.
 *
 * @param {Element} element
 * @param {string} name
 */
export function setIcon(element, name) {
  const use = /** @type {SVGUseElement} */ (element.querySelector('use'));
  if (use.getAttribute('href') !== `#i-${name}`) use.setAttribute('href', `#i-${name}`);
}

/**
 * Names a button in its tooltip and for screen readers.
 *
 * @param {HTMLElement} button
 * @param {string} label
 * @param {string} [shortcut] the key that does the same
 */
export function setLabel(button, label, shortcut) {
  button.setAttribute('aria-label', label);
  button.title = shortcut ? `${label} (${shortcut})` : label;
}

/**
 * Sets text only where it has changed, so that screen readers and selections stay where they are.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of `parent` show `items`. Elements are reused by their key, so that focus
 * and hover survive.
 *
 * @template Item
 * @param {Element} parent
 * @param {readonly Item[]} items
 * @param {object} how
 * @param {(item: Item) => string} how.key
 * @param {(item: Item) => HTMLElement} how.create makes an element
 * @param {(element: HTMLElement, item: Item) => void} how.update fills an element, new or old
 */
export function reconcile(parent, items, { key, create, update }) {
  const children = /** @type {HTMLElement[]} */ ([...parent.children]);
  const old = new Map(children.map((child) => [child.dataset.key, child]));
  items.forEach((item, at) => {
    const id = key(item);
    let element = old.get(id);
    old.delete(id);
    if (!element) {
      element = create(item);
      element.dataset.key = id;
    }
    update(element, item);
    if (parent.children[at] !== element) parent.insertBefore(element, parent.children[at] ?? null);
  });
  for (const gone of old.values()) gone.remove();
}
