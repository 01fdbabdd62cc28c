import { read } from './api.js';

export const lang = new URLSearchParams(location.search).get('lang') === 'nb' ? 'nb' : 'en';
document.documentElement.lang = lang;
const codes = new Map((await read('/codes')).items.map((item) => [item.code, item]));

/** What a code means: the API’s own message, which is in English, or the texts of listCodes. */
export const explain = (code, message) => {
  const { title, help } = codes.get(code) ?? {};
  return !help || (message && lang === 'en') ? (message ?? code) : `${title[lang]}. ${help[lang]}`;
};

export const el = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** The value at a JSON pointer (RFC 6901). */
export const at = (whole, pointer) => namesIn(pointer).reduce((part, name) => part?.[name], whole);
const namesIn = (pointer) => pointer.split('/').slice(1);

const norwegian = { cores: 'kjerner', seconds: 'sekunder', lines: 'linjer' };
const idOf = (pointer) => pointer.slice(1).replaceAll('/', '-');
/** @type {(pointer: string) => any} */
const inputOf = (pointer) => document.getElementById(idOf(pointer));

/** An input for a field of getLimits, with its label, its bounds and room for a fault. */
export const inputFor = ({ pointer, type, label, minimum = 0, maximum, unit = type === 'list' ? 'lines' : '' }) => {
  const [id, isBox] = [idOf(pointer), type === 'boolean'];
  const input = type === 'list' ? el('textarea', { id }) : el('input', { id, type: isBox ? 'checkbox' : 'text' });
  input.setAttribute('aria-describedby', `${id}-hint ${id}-fault`);
  const bounds = `${minimum} – ${maximum} ${(lang === 'nb' && norwegian[unit]) || unit}`;
  const hint = el('small', { id: `${id}-hint` }, maximum === undefined ? '' : bounds);
  const name = el('label', { htmlFor: id }, label[lang]);
  return el('div', {}, ...(isBox ? [input, name, hint] : [name, hint, input]), el('strong', { id: `${id}-fault` }));
};

export const fill = (spec, { pointer }) => {
  const [input, value] = [inputOf(pointer), at(spec, pointer)];
  input.checked = value === true;
  input.value = Array.isArray(value) ? value.join('\n') : (value ?? '');
};

/** What a field holds. What should be a number and is not, is sent as it is: the API says what is wrong. */
export const entered = ({ pointer, type }) => {
  const { checked, value } = inputOf(pointer);
  const text = value.trim();
  const number = Number(text.replace(',', '.'));
  if (type === 'boolean') return checked;
  if (type === 'list') return text.split(/\s*\n\s*/).filter(Boolean);
  if (type === 'text') return text || null;
  return text === '' || Number.isNaN(number) ? text : number;
};

/** A configuration with what the form holds. */
export const orderOf = (spec, fields) => {
  const order = structuredClone(spec);
  for (const field of fields) {
    const [, parent, name] = /(.*)\/(.*)/.exec(field.pointer);
    at(order, parent)[name] = entered(field);
  }
  return order;
};

const amount = (value) => {
  const [, size, unit] = /^([\d.]+)(Mi|Gi)$/.exec(value) ?? [];
  if (size !== undefined) return Number(size) * (unit === 'Gi' ? 1024 : 1);
  return Array.isArray(value) ? value.length : value;
};

const isBroken = ({ kind, pointer, other }, order, before) => {
  const [own, its] = [at(order, pointer), at(other ? order : before, other ?? pointer)];
  if (kind === 'at_most') return amount(own) > amount(its);
  if (kind === 'at_least' || kind === 'cannot_shrink') return amount(own) < amount(its);
  return kind === 'false_needs' && own === false && its === null; // A kind that is new is left to the API.
};

/** The faults that getLimits can find, in the form of the API’s own. */
export const faultsIn = ({ fields, rules }, order, before) => {
  const broken = fields.flatMap(({ pointer, minimum, maximum, pattern }) => {
    const value = at(order, pointer);
    if (pattern && value !== null && !new RegExp(pattern).test(value)) return { pointer, code: 'bad_format' };
    const isOutside = amount(value) < amount(minimum) || amount(value) > amount(maximum);
    return isOutside ? { pointer, code: 'out_of_range' } : [];
  });
  return [...broken, ...rules.filter((rule) => isBroken(rule, order, before))];
};

const nearest = (pointer) => inputOf(pointer) ?? (pointer && nearest(pointer.replace(/\/[^/]*$/, '')));

/** Shows these faults and no others, each beside its field. The summary links to the fields. */
export const showFaults = (summary, faults) => {
  for (const input of document.querySelectorAll('[aria-invalid]')) {
    input.removeAttribute('aria-invalid');
    inputOf(`/${input.id}-fault`).replaceChildren();
  }
  const items = faults.map(({ pointer, code, message }) => {
    const [text, input] = [message?.[lang] ?? explain(code, message), nearest(pointer)];
    if (!input) return el('li', {}, text);
    input.setAttribute('aria-invalid', 'true');
    inputOf(`/${input.id}-fault`).append(`${text} `);
    const onclick = (event) => input.focus(event.preventDefault());
    return el('li', {}, el('a', { href: `#${input.id}`, onclick }, `${input.labels[0].textContent}: ${text}`));
  });
  summary.replaceChildren(...items);
};
