// The names of the protocol, from the types that `make types` writes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const file = readFileSync(new URL('types/protocol.d.ts', import.meta.url), 'utf8');
const declarations = new Map(
  file
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .split(/^export type /m)
    .map((text) => [/^\w+/.exec(text)?.[0], text]),
);

/** The names that a type of the protocol is the union of, as they are on the wire. */
export function wireNames(type) {
  const names = [...(declarations.get(type) ?? '').matchAll(/["']([\w-]+)["']/g)].map((match) => match[1]);
  assert.ok(names.length > 1, type);
  return names;
}

/** The same of the type of a field. */
export function wireNamesOf(type, field) {
  const found = new RegExp(`["']?\\b${field}["']?: (\\w+)`).exec(declarations.get(type) ?? '');
  assert.ok(found, `${type}.${field}`);
  return wireNames(found[1]);
}
