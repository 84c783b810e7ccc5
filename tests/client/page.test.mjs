// What index.html promises to the scripts, and to the content security policy.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const assets = fileURLToPath(new URL('../../assets/', import.meta.url));
const html = readFileSync(`${assets}index.html`, 'utf8');
const scripts = readdirSync(`${assets}js`, { recursive: true }).filter((name) => name.endsWith('.js'));
const sources = scripts.map((name) => [name, readFileSync(`${assets}js/${name}`, 'utf8')]);
const ids = new Set([...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]));

test('nothing inline, nothing from elsewhere', () => {
  assert.doesNotMatch(html, /\sstyle=|<style|\son[a-z]+=|javascript:/i);
  assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)/);
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    assert.match(address, /^(\/assets\/|#)/);
    if (address.startsWith('/assets/')) assert.ok(existsSync(assets + address.slice(8)), address);
  }
});

test('text from people is never parsed as HTML', () => {
  assert.ok(sources.length > 15);
  for (const [name, source] of sources) {
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(/, name);
  }
});

test('every element and icon the scripts name is in the page', () => {
  for (const [name, source] of sources) {
    for (const [, id] of source.matchAll(/(?:byId|#onClick)\('([^']+)'/g)) assert.ok(ids.has(id), `${id} in ${name}`);
    for (const [, id] of source.matchAll(/\bicon\('([^']+)'/g)) assert.ok(ids.has(`i-${id}`), `${id} in ${name}`);
  }
  for (const [, id] of html.matchAll(/(?:href="#|aria-controls="|aria-labelledby="|aria-describedby="|for=")([^"]+)"/g)) {
    assert.ok(ids.has(id), id);
  }
});

test('ids are unique, and every button has a name', () => {
  assert.equal(ids.size, [...html.matchAll(/\sid="/g)].length);
  const buttons = [...html.matchAll(/<button([^>]*)>([\s\S]*?)<\/button>/g)];
  assert.ok(buttons.length > 10);
  // These are named by the scripts, as their names change with what they do.
  const named = /id="toggle-(mic|camera|screen)"/;
  for (const [, attributes, content] of buttons) {
    const text = content.replace(/<[^>]+>/g, '').trim();
    assert.ok(text || /aria-label="[^"]+"/.test(attributes) || named.test(attributes), attributes);
  }
});
