// What the pages promise to their scripts, and to the content security policy.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const assets = fileURLToPath(new URL('../../assets/', import.meta.url));
const scripts = readdirSync(`${assets}js`, { recursive: true }).filter((name) => name.endsWith('.js'));
const sources = new Map(scripts.map((name) => [name, readFileSync(`${assets}js/${name}`, 'utf8')]));

/** The scripts that `name` imports; `types` also those it takes but types from. */
function importsOf(name, { types = false } = {}) {
  const source = sources.get(name);
  const found = [...source.matchAll(/^import [^']*from '(\.[^']+)'/gm)];
  if (types) found.push(...source.matchAll(/@import [^']*from '(\.[^']+\.js)'/g));
  return found.map(([, other]) => path.posix.join(path.posix.dirname(name), other));
}

/** The scripts that `name` brings along, itself included. */
function withImports(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const other of importsOf(name)) withImports(other, seen);
  return seen;
}

const pages = ['index.html', 'missing.html', 'recordings.html', 'watch.html'].map((name) => {
  const html = readFileSync(assets + name, 'utf8');
  const entries = [...html.matchAll(/<script[^>]*\ssrc="\/assets\/js\/([^"]+)"/g)].map((match) => match[1]);
  return {
    name,
    html,
    scripts: new Set(entries.flatMap((entry) => [...withImports(entry)])),
    ids: [...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]),
  };
});

test('nothing inline, nothing from elsewhere', () => {
  for (const { html } of pages) {
    assert.doesNotMatch(html, /\sstyle=|<style|\son[a-z]+=|javascript:/i);
    assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)/);
    for (const [, address] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
      assert.match(address, /^(\/assets\/.+|#.+|\/recordings|\/)$/);
      if (address.startsWith('/assets/')) assert.ok(existsSync(assets + address.slice(8)), address);
    }
  }
});

test('text from people is never parsed as HTML', () => {
  assert.ok(sources.size > 15);
  for (const [name, source] of sources) {
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(/, name);
  }
});

test('every script belongs to a page', () => {
  const used = new Set(pages.flatMap((page) => [...page.scripts]));
  assert.deepEqual(
    scripts.filter((name) => !used.has(name)),
    [],
  );
});

/** The floors of main.js: a script uses its own folder and those of lower floors. */
const FLOORS = { base: 0, call: 1, playback: 1, recordings: 1, watch: 1, ui: 2, '.': 3 };

test('imports lead down the floors and never round in a circle', () => {
  const counts = {};
  for (const name of scripts) {
    const folder = path.posix.dirname(name);
    assert.ok(folder in FLOORS, folder);
    counts[folder] = (counts[folder] ?? 0) + 1;
    for (const other of importsOf(name, { types: true })) {
      const below = path.posix.dirname(other);
      assert.ok(below === folder || FLOORS[below] < FLOORS[folder], `${name} uses ${other}`);
    }
  }
  for (const [folder, count] of Object.entries(counts)) assert.ok(count <= 20, `${folder} holds ${count}`);
  const visit = (name, way) => {
    assert.ok(!way.includes(name), [...way, name].join(' -> '));
    for (const other of importsOf(name)) visit(other, [...way, name]);
  };
  for (const name of scripts) visit(name, []);
});

test('every element and icon the scripts name is in the page', () => {
  for (const { name: page, html, scripts: names, ids } of pages) {
    for (const name of names) {
      const source = sources.get(name);
      for (const [, id] of source.matchAll(/(?:byId|#onClick)\('([^']+)'/g))
        assert.ok(ids.includes(id), `${id} in ${name} of ${page}`);
      for (const [, id] of source.matchAll(/\bicon\('([^']+)'/g))
        assert.ok(ids.includes(`i-${id}`), `${id} in ${name} of ${page}`);
    }
    for (const [, id] of html.matchAll(
      /(?:href="#|aria-controls="|aria-labelledby="|aria-describedby="|for=")([^"]+)"/g,
    )) {
      assert.ok(ids.includes(id), `${id} in ${page}`);
    }
  }
});

test('the types of elements are those of the pages', () => {
  const types = readFileSync(new URL('types/elements.d.ts', import.meta.url), 'utf8');
  const declared = [...types.matchAll(/^  '?([\w-]+)'?: HTML(\w+)Element;/gm)];
  assert.ok(declared.length > 30);
  const tags = { Anchor: 'a', FieldSet: 'fieldset', TextArea: 'textarea' };
  for (const [, id, type] of declared) {
    const tag = tags[type] ?? type.toLowerCase();
    const element = new RegExp(`<${tag}\\s[^>]*\\bid="${id}"`);
    assert.ok(
      pages.some(({ html }) => element.test(html)),
      `${id} is a ${tag}`,
    );
  }
});

test('ids are unique, and every button has a name', () => {
  let buttons = 0;
  for (const { html, ids } of pages) {
    assert.equal(new Set(ids).size, ids.length);
    // These are named by the scripts, as their names change with what they do.
    const named = /id="toggle-(mic|camera|screen|record)"/;
    for (const [, attributes, content] of html.matchAll(/<button([^>]*)>([\s\S]*?)<\/button>/g)) {
      const text = content.replace(/<[^>]+>/g, '').trim();
      assert.ok(text || /aria-label="[^"]+"/.test(attributes) || named.test(attributes), attributes);
      buttons += 1;
    }
  }
  assert.ok(buttons > 15);
});
