import { strToU8, zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';

import { describe as described, parseCard, readCard } from '../src/core/card.ts';
import { ModelRejected } from '../src/core/errors.ts';
import { warning } from '../src/core/gate.ts';
import { describeVectors, readVector } from './vectors.ts';

describeVectors('cards and models of the vectors', ({ model, cards, models, preprocessings }) => {
  it.each(cards)('$file is read or refused as in Python: $refused', ({ file, refused }) => {
    const json = new TextDecoder().decode(readVector(file));
    if (refused === '') expect(parseCard(json).preprocessing).toEqual(stated(json));
    else expectRefusal(() => parseCard(json), refused);
  });

  it.each(models)('$file is read or refused as in Python: $refused', ({ file, refused }) => {
    if (refused === '') expect(readCard(readVector(file)).preprocessing).toEqual(preprocessings['card']);
    else expectRefusal(() => readCard(readVector(file)), refused);
  });

  it('the model itself carries a card with probes that are PNG files', () => {
    const card = readCard(readVector(model.file));
    expect(model.label.startsWith(`${card.name}@`)).toBe(true);
    expect(card.probes.length).toBeGreaterThan(0);
    for (const { png } of card.probes) expect([...png.subarray(1, 4)]).toEqual([...strToU8('PNG')]);
  });
});

/** @param about a word of what is refused. */
function expectRefusal(read: () => unknown, about: string): void {
  expect(read).toThrow(ModelRejected);
  expect(read).toThrow(about);
  expect(read).toThrow(/^[^\n]{1,400}$/);
}

const HISTOGRAM = [0, 0, 0, 0.25, 0.5, 0.25, 0, 0, 0, 0];

const plain = (): Record<string, unknown> => ({
  format: 'edge-nima card',
  format_version: 1,
  name: 'a model',
  preprocessing: {
    width: 224,
    height: 192,
    fit: 'crop',
    filter: 'lanczos',
    antialias: true,
    channel_order: 'BGR',
    scale: 1,
    offset: -123.0625,
    scaling: 'host',
  },
  tolerance: { own: 0.002, reference: 0.02 },
  probes: [
    { name: 'one', png: 'iVBORw==', pixels_sha256: 'aa', input_sha256: 'bb', reference: HISTOGRAM, own: HISTOGRAM },
  ],
  gate: {
    status: 'failed',
    n: 500,
    on: 'photographs',
    why: '',
    limits: { mae_max: 0.015 },
    failures: [
      { statistic: 'mae', value: 0.02345, side: 'max', limit: 0.015 },
      { statistic: 'srcc', value: null, side: 'min', limit: 0.99 },
      { statistic: 'flips', value: 0.2, side: 'max', limit: 0.02, note: '100 of 500' },
    ],
  },
});

/** The plain card with one part replaced; the part is named by its path, undefined takes it away. */
function changed(path: string, value: unknown): string {
  const raw = plain();
  const names = path.split('.');
  let part: Record<string, unknown> = raw;
  for (const name of names.slice(0, -1)) part = part[name] as Record<string, unknown>;
  part[names.at(-1)!] = value;
  return JSON.stringify(raw);
}

/** The preprocessing as the text has it, without a longest edge where it does not say one. */
function stated(json: string): unknown {
  const { preprocessing } = JSON.parse(json) as { preprocessing: Record<string, unknown> };
  const { longest_edge: edge, longest_edge_filter: filter, layout } = preprocessing;
  const later = { longest_edge: edge ?? null, longest_edge_filter: filter ?? 'lanczos', layout: layout ?? 'NHWC' };
  return { ...preprocessing, ...later };
}

describe('a card', () => {
  it('is read with everything that it says', () => {
    const card = parseCard(JSON.stringify(plain()));
    expect(card.preprocessing).toEqual(stated(JSON.stringify(plain())));
    expect(card.preprocessing.longest_edge).toBeNull();
    expect(card.tolerance).toEqual({ own: 0.002, reference: 0.02 });
    expect(card.probes).toEqual([
      {
        name: 'one',
        png: Uint8Array.of(0x89, 0x50, 0x4e, 0x47),
        pixelsSha256: 'aa',
        inputSha256: 'bb',
        reference: HISTOGRAM,
        own: HISTOGRAM,
      },
    ]);
  });

  it('needs a name and a preprocessing, and the rest is as in Python', () => {
    const { format, format_version, name, preprocessing } = plain();
    const card = parseCard(JSON.stringify({ format, format_version, name, preprocessing }));
    expect(card).toMatchObject({
      recipe: 'unknown',
      licence: 'unknown',
      attribution: '',
      gate: null,
      probes: [],
      tolerance: { own: 0.001, reference: 0.01 },
    });
  });

  it.each([0, 65536, 1.5, true, '640', [640]])('refuses %j for a longest edge', (edge) => {
    const raw = plain();
    raw['preprocessing'] = { ...(raw['preprocessing'] as object), longest_edge: edge, longest_edge_filter: 'box' };
    expectRefusal(() => parseCard(JSON.stringify(raw)), 'longest_edge');
  });

  it('of format 2 reduces the longest edge first', () => {
    const raw = plain();
    raw['format_version'] = 2;
    raw['preprocessing'] = { ...(raw['preprocessing'] as object), longest_edge: 640, longest_edge_filter: 'box' };
    const { preprocessing } = parseCard(JSON.stringify(raw));
    expect(preprocessing).toEqual({ ...(raw['preprocessing'] as object), layout: 'NHWC' });
    expect(described(preprocessing)).toMatch(
      /^longest edge at most 640 by Pillow BOX \(JPEG at any DCT scale of 1920 or more\), then 224x192, crop, /,
    );
  });

  it('that failed its gate warns with the numbers that did', () => {
    expect(warning(parseCard(JSON.stringify(plain())).gate)).toBe(
      'this model failed its gate, it differs from the float model more than it may: ' +
        'mae 0.02345 (at most 0.015), srcc undefined (at least 0.99), flips 0.2 (at most 0.02; 100 of 500)',
    );
    const long = warning(parseCard(changed('gate.failures.2.note', 'x'.repeat(5000))).gate);
    expect(long!.length).toBeLessThan(500);
    expect(warning(parseCard(changed('gate', { status: 'passed', n: 5 })).gate)).toBeNull();
    expect(warning(null)).toBeNull();
  });

  it.each<[string, unknown]>([
    ['format', 'another'],
    ['format_version', 0],
    ['format_version', 1.5],
    ['format_version', true],
    ['format_version', undefined],
    ['name', undefined],
    ['name', 5],
    ['name', ''],
    ['name', "it's\u2028two"],
    ['preprocessing', undefined],
    ['preprocessing', []],
    ['preprocessing.filter', undefined],
    ['preprocessing.gamma', 2],
    ['preprocessing.fit', 'pad'],
    ['preprocessing.filter', 'x'.repeat(800)],
    ['preprocessing.antialias', false],
    ['preprocessing.antialias', 1],
    ['preprocessing.channel_order', null],
    ['preprocessing.scaling', ['graph']],
    ['preprocessing.width', 0],
    ['preprocessing.width', 4097],
    ['preprocessing.height', 2.5],
    ['preprocessing.height', '224'],
    ['preprocessing.longest_edge_filter', 'nearest'],
    ['preprocessing.longest_edge_filter', 1],
    ['preprocessing.scale', 0],
    ['preprocessing.scale', true],
    ['preprocessing.offset', 2e9],
    ['preprocessing.offset', { low: 1 }],
    ['recipe', 8],
    ['licence', null],
    ['attribution', []],
    ['probes', {}],
    ['tolerance.own', 0],
    ['tolerance.own', undefined],
    ['tolerance.reference', 9.1],
    ['tolerance.reference', '1'],
  ])('is refused when its %s is %j, which the refusal names', (path, value) => {
    expectRefusal(() => parseCard(changed(path, value)), path.split('.').at(-1)!);
  });

  it.each<[string, unknown]>([
    ['probes', [5]],
    ['probes.0.own', HISTOGRAM.slice(1)],
    ['probes.0.own', [...HISTOGRAM.slice(1), 'a']],
    ['probes.0.reference', HISTOGRAM.map((p) => -p)],
    ['probes.0.reference', HISTOGRAM.map(() => 0)],
    ['probes.0.reference', undefined],
    ['probes.0.png', '%%%'],
  ])('is refused when its %s is %j', (path, value) => {
    expectRefusal(() => parseCard(changed(path, value)), 'probe');
  });

  it.each<[string, unknown]>([
    ['gate', 'passed'],
    ['gate.status', 'won'],
    ['gate.n', -1],
    ['gate.on', 1],
    ['gate.why', null],
    ['gate.failures', 'many'],
    ['gate.failures', []],
    ['gate.status', 'passed'],
    ['gate.failures.2.note', 5],
    ['gate.failures.0.side', 'left'],
    ['gate.failures.0.limit', null],
  ])('is refused when its %s is %j', (path, value) => {
    expectRefusal(() => parseCard(changed(path, value)), 'gate');
  });

  it('is refused when it is of a newer format, no JSON, no UTF-8 or nested without end', () => {
    expectRefusal(() => parseCard(changed('format_version', 4)), 'format 4');
    expectRefusal(() => parseCard('{'), 'JSON');
    expectRefusal(() => parseCard(Uint8Array.of(0x22, 0xff, 0x22)), 'JSON');
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    expectRefusal(() => parseCard(`{"format": "edge-nima card", "format_version": ${deep}}`), 'format_version');
  });
});

describe('a .tflite', () => {
  const flatbuffer = Uint8Array.from([28, 0, 0, 0, ...strToU8('TFL3'), ...new Uint8Array(56)]);
  const json = strToU8(JSON.stringify(plain()));
  const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
  const withCard = (level: 0 | 9): Uint8Array =>
    join(flatbuffer, zipSync({ 'labels.txt': strToU8('1\n'), 'edge_nima_card.json': json }, { level }));

  it('has its card found packed and stored, whatever lies before the archive', () => {
    for (const level of [0, 9] as const) {
      expect(readCard(withCard(level)).name).toBe('a model');
      expect(readCard(join(flatbuffer, new Uint8Array(999), withCard(level).subarray(64))).name).toBe('a model');
    }
  });

  it('is refused when any byte of its stored card is another', () => {
    const file = withCard(0);
    const start = Buffer.from(file).indexOf('{"format"');
    for (let at = start; at < start + json.length; at += 7) {
      const other = file.slice();
      other[at] = other[at]! ^ 1;
      expectRefusal(() => readCard(other), 'damaged');
    }
  });

  it('is refused cut anywhere, by one line', () => {
    const file = withCard(9);
    for (let length = 0; length < file.length; length++) {
      expectRefusal(() => readCard(file.subarray(0, length)), 'tflite');
    }
  });

  it('is refused when its card says that it unpacks to gigabytes', () => {
    const file = withCard(9);
    const central = Buffer.from(file).lastIndexOf(Uint8Array.of(0x50, 0x4b, 1, 2));
    new DataView(file.buffer).setUint32(central + 24, 0xfffffff0, true);
    expect(() => readCard(file)).toThrow('the card inside the .tflite is damaged');
  });

  it('is refused without a card, saying how to get one', () => {
    expectRefusal(() => readCard(flatbuffer), 'edge-nima convert');
  });
});
