import { strToU8, zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';

import { describe as described, parseCard, readCard } from '../src/core/card.ts';
import { ModelRejected } from '../src/core/errors.ts';
import { warning } from '../src/core/gate.ts';
import { repr } from '../src/core/python_text.ts';
import { describeVectors, readVector } from './vectors.ts';

/** What this page says in other words: how to get a newer one, how to get a card, where JSON goes wrong. */
const OTHER_WORDS: readonly [RegExp, string][] = [
  [/: pip install --upgrade edge-nima$/, ''],
  [/, this edge_nima reads/, ', this page reads'],
  [/^it carries no card$/, 'the .tflite carries no card'],
  [/^a card is JSON; this is not.*$/, 'a card is JSON; this is not ('],
];

describeVectors('cards and models of the vectors', ({ model, cards, models, preprocessings }) => {
  const inOurWords = (why: string | null): string =>
    OTHER_WORDS.reduce((text, [theirs, ours]) => text.replace(theirs, ours), why ?? '');

  it.each(cards)('$file is read or refused as in Python: $why', ({ file, accepted, why }) => {
    const json = new TextDecoder().decode(readVector(file));
    if (accepted) expect(parseCard(json).preprocessing).toEqual(stated(json));
    else expect(() => parseCard(json)).toThrow(inOurWords(why));
    if (!accepted) expect(() => parseCard(json)).toThrow(ModelRejected);
  });

  it.each(models)('$file is read or refused as in Python: $why', ({ file, accepted, why }) => {
    if (accepted) expect(readCard(readVector(file)).preprocessing).toEqual(preprocessings['card']);
    else expect(() => readCard(readVector(file))).toThrow(inOurWords(why));
    if (!accepted) expect(() => readCard(readVector(file))).toThrow(ModelRejected);
  });

  it('the model itself carries a card with probes that are PNG files', () => {
    const card = readCard(readVector(model.file));
    expect(model.label.startsWith(`${card.name}@`)).toBe(true);
    expect(card.probes.length).toBeGreaterThan(0);
    for (const { png } of card.probes) expect([...png.subarray(1, 4)]).toEqual([...strToU8('PNG')]);
  });
});

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

const LONG = 'x'.repeat(80);

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
      source: {},
      calibration: null,
      agreement: null,
      gate: null,
      labels: ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10'],
      probes: [],
      tolerance: { own: 0.001, reference: 0.01 },
    });
  });

  it.each([0, 65536, 1.5, true, '640', [640]])('refuses %j for a longest edge', (edge) => {
    const raw = plain();
    raw['preprocessing'] = { ...(raw['preprocessing'] as object), longest_edge: edge, longest_edge_filter: 'box' };
    expect(() => parseCard(JSON.stringify(raw))).toThrow(
      `preprocessing longest_edge is ${repr(edge)}; possible: null, a whole number from 1 to 65535`,
    );
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
    const hostile = warning(parseCard(changed('gate.failures.2.note', '\u001b[2J'.repeat(5000))).gate);
    expect(hostile).toMatch(/^[ -~]{1,500}$/);
    expect(warning(parseCard(changed('gate', { status: 'passed', n: 5 })).gate)).toBeNull();
    expect(warning(null)).toBeNull();
  });

  it.each<[string, unknown, string]>([
    ['format', 'another', 'this JSON is no card: a card starts with "format": "edge-nima card"'],
    ['format_version', 4, 'the card has format 4, this page reads up to 3: reload the page'],
    ['format_version', 0, "the card's format_version is 0; possible: 1 to 3"],
    ['format_version', 1.5, "the card's format_version is 1.5; possible: 1 to 3"],
    ['format_version', true, "the card's format_version is True; possible: 1 to 3"],
    ['format_version', undefined, "the card's format_version is None; possible: 1 to 3"],
    ['name', undefined, 'the card has no name'],
    ['name', 5, 'the card has no name'],
    ['name', '', "the card's name is ''; possible: one line of text"],
    ['name', "it's\u2028two", `the card's name is "it's\\u2028two"; possible: one line of text`],
    ['preprocessing', undefined, 'the card has no preprocessing'],
    ['preprocessing', [], 'the card has no preprocessing'],
    ['preprocessing.filter', undefined, "preprocessing is not as it must be: missing filter"],
    ['preprocessing.gamma\n', 2, "preprocessing is not as it must be: unknown gamma\\n"],
    ['preprocessing.fit', 'pad', "preprocessing fit is 'pad'; possible: stretch, crop"],
    [
      'preprocessing.filter',
      LONG,
      `preprocessing filter is '${LONG.slice(0, 59)}…; possible: nearest, box, bilinear, hamming, bicubic, lanczos`,
    ],
    ['preprocessing.antialias', false, "preprocessing antialias is False with filter 'lanczos'; possible: true"],
    ['preprocessing.antialias', 1, "preprocessing antialias is 1 with filter 'lanczos'; possible: true"],
    ['preprocessing.channel_order', null, 'preprocessing channel_order is None; possible: RGB, BGR'],
    ['preprocessing.scaling', ['graph'], "preprocessing scaling is ['graph']; possible: graph, host"],
    ['preprocessing.width', 0, 'preprocessing width is 0; possible: a whole number from 1 to 4096'],
    ['preprocessing.width', 4097, 'preprocessing width is 4097; possible: a whole number from 1 to 4096'],
    ['preprocessing.height', 2.5, 'preprocessing height is 2.5; possible: a whole number from 1 to 4096'],
    ['preprocessing.height', '224', "preprocessing height is '224'; possible: a whole number from 1 to 4096"],
    ['preprocessing.longest_edge', 640, 'preprocessing is not as it must be: missing longest_edge_filter'],
    ['preprocessing.longest_edge_filter', 'nearest', "preprocessing longest_edge_filter is 'nearest'; possible: box, "],
    ['preprocessing.longest_edge_filter', 1, 'preprocessing longest_edge_filter is 1; possible: box, bilinear, hamming'],
    ['preprocessing.scale', 0, 'preprocessing scale is 0; possible: a finite number other than 0, or three'],
    ['preprocessing.scale', true, 'preprocessing scale is True; possible: a finite number other than 0, or three'],
    ['preprocessing.offset', 2e9, 'preprocessing offset is 2000000000; possible: a finite number, or three'],
    ['preprocessing.offset', { low: 1 }, "preprocessing offset is {'low': 1}; possible: a finite number, or three"],
    ['recipe', 8, "the card's recipe is not text"],
    ['licence', null, "the card's licence is not text"],
    ['attribution', [], "the card's attribution is not text"],
    ['output', 1, "the card's output is not text"],
    ['source', 'a file', "the card's source is not an object"],
    ['converter', null, "the card's converter is not an object"],
    ['calibration', [], "the card's calibration is not an object"],
    ['agreement', 1, "the card's agreement is not an object"],
    ['labels', 'ten', "the card's labels is not a list"],
    ['probes', {}, "the card's probes is not a list"],
    ['probes', [5], 'a golden probe of the card is damaged: it is not an object'],
    [
      'probes.0.own',
      HISTOGRAM.slice(1),
      'a golden probe of the card is damaged: a rating histogram has 10 bins on its last axis, this one has shape (9,)',
    ],
    [
      'probes.0.own',
      [...HISTOGRAM.slice(1), 'a'],
      'a golden probe of the card is damaged: a rating histogram is a list of numbers',
    ],
    [
      'probes.0.reference',
      HISTOGRAM.map((p) => -p),
      'a golden probe of the card is damaged: a rating histogram holds a negative value (-0.5)',
    ],
    [
      'probes.0.reference',
      HISTOGRAM.map(() => 0),
      'a golden probe of the card is damaged: a rating histogram is all zero: nobody rated',
    ],
    ['probes.0.png', 'iVBO Rw==', 'a golden probe of the card is damaged: Only base64 data is allowed'],
    ['probes.0.png', 'iVBOR', 'a golden probe of the card is damaged: Incorrect padding'],
    ['probes.0.pixels_sha256', undefined, 'a golden probe of the card is damaged: it has no pixels_sha256'],
    ['tolerance', 1, "the card's tolerance is not an object"],
    ['tolerance.own', 0, "the card's tolerance.own is not a number above 0, at most 9 rating points"],
    ['tolerance.own', undefined, "the card's tolerance.own is not a number above 0, at most 9 rating points"],
    ['tolerance.reference', 9.1, "the card's tolerance.reference is not a number above 0, at most 9 rating points"],
    ['tolerance.reference', '1', "the card's tolerance.reference is not a number above 0, at most 9 rating points"],
    ['gate', 'passed', "the card's gate is not an object"],
    ['gate.status', 'won', "the card's gate has the status 'won'; possible: passed, failed, not judged"],
    ['gate.n', -1, "the card's gate has n -1; possible: a whole number"],
    ['gate.on', 1, "the card's gate has a on that is not text"],
    ['gate.why', null, "the card's gate has a why that is not text"],
    ['gate.failures', 'many', "the card's gate has failures that are not a list"],
    ['gate.failures', [], "the card's gate says failed with 0 failures"],
    ['gate.status', 'passed', "the card's gate says passed with 3 failures"],
    ['gate.limits', { mae_max: 'small' }, "the card's gate has limits that are not numbers by name"],
    ['gate.failures.2.note', 5, "the card's gate has a failure whose note is not text"],
    ['gate.failures.0.side', 'left', "the card's gate has a failure without a statistic and a side (min or max)"],
    ['gate.failures.0.limit', null, "the card's gate has a failure whose value or limit is not a number"],
  ])('is refused when its %s is %j', (path, value, message) => {
    const read = (): unknown => parseCard(changed(path, value));
    expect(read).toThrow(ModelRejected);
    expect(read).toThrow(message);
  });

  it('is refused when it is no JSON, no UTF-8 or nested without end', () => {
    expect(() => parseCard('{')).toThrow('a card is JSON; this is not (');
    expect(() => parseCard(Uint8Array.of(0x22, 0xff, 0x22))).toThrow('a card is JSON; this is not (');
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    expect(() => parseCard(`{"format": "edge-nima card", "format_version": ${deep}}`)).toThrow(
      /^the card's format_version is \[{60}; possible: 1 to 3$/,
    );
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
      expect(() => readCard(other)).toThrow('the card inside the .tflite is damaged: the file is truncated or changed');
    }
  });

  it('is refused cut anywhere, by one line', () => {
    const file = withCard(9);
    for (let length = 0; length < file.length; length++) {
      expect(() => readCard(file.subarray(0, length))).toThrow(
        /^(not a \.tflite: the file does not have its signature TFL3|the card inside the \.tflite is damaged: .*|the \.tflite carries no card, .*)$/,
      );
    }
  });

  it('is refused when its card says that it unpacks to gigabytes', () => {
    const file = withCard(9);
    const central = Buffer.from(file).lastIndexOf(Uint8Array.of(0x50, 0x4b, 1, 2));
    new DataView(file.buffer).setUint32(central + 24, 0xfffffff0, true);
    expect(() => readCard(file)).toThrow('the card inside the .tflite is damaged');
  });

  it('is refused without a card, saying how to get one', () => {
    expect(() => readCard(flatbuffer)).toThrow(
      new ModelRejected(
        'the .tflite carries no card, so nobody knows how it wants its pixels: convert it with edge-nima convert, ' +
          'or put one in with edge-nima card',
      ),
    );
  });
});
