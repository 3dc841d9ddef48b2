import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, it } from 'vitest';

import { asDistribution, meanRating, ratingStd } from '../src/core/distribution.ts';
import { type FileStamp, label, type ScoreRecord, toCsv, toJsonLines } from '../src/core/records.ts';
import { Random } from './random.ts';

const NAMES = [
  'plain.jpg',
  'with, comma.jpg',
  'with "quotes".jpg',
  'two\nlines.jpg',
  'tab\tand\rreturn.jpg',
  'Müller Ω 写真 📷.jpg',
  'it\'s, "all"\r\nof it.jpg',
  ' leading and trailing ',
  '\u007f',
  'back\\slash',
  '-1',
  '=1+1',
];

const STAMPS: FileStamp[] = [
  { size: 123456, mtime_ns: 1764086400123456789n },
  { size: 0, mtime_ns: null },
  { size: null, mtime_ns: null },
];

/** One record a name, scored and refused, with numbers of every size. */
function records(): [ScoreRecord, FileStamp][] {
  const random = new Random(30);
  return NAMES.map((name, i) => {
    const stamp = STAMPS[i % STAMPS.length]!;
    const model = 'a, model@0123abcd';
    if (i % 4 === 3) {
      return [
        {
          name,
          mean: null,
          std: null,
          distribution: null,
          model,
          elapsed_ms: 3,
          error: 'damaged: "é", cut',
          preprocessing: null,
        },
        stamp,
      ];
    }
    const p = asDistribution(Array.from({ length: 10 }, () => 10 ** random.whole(-9, 3)));
    const [mean, std] = [meanRating(p), ratingStd(p)];
    return [
      {
        name,
        mean,
        std,
        distribution: [...p],
        model,
        elapsed_ms: 10 ** (i - 8),
        error: null,
        preprocessing: '224x224, stretch',
      },
      stamp,
    ];
  });
}

describe('files of records', () => {
  it('begin as CSV with the header, also when there are no records', () => {
    expect(toCsv([])).toBe(
      'name,mean,std,p1,p2,p3,p4,p5,p6,p7,p8,p9,p10,model,elapsed_ms,error,preprocessing,size,mtime_ns\n',
    );
    expect(toJsonLines([])).toBe('');
  });

  it('hold half a surrogate pair as Python writes it', () => {
    const [[record, stamp] = [undefined, undefined]] = records();
    const csv = toCsv([[{ ...record!, name: 'a\udc80b📷' }, stamp!]]);
    expect(csv.split('\n')[1]!.startsWith('a\\udc80b📷,')).toBe(true);
  });

  it('name a model by its card and its file', () => {
    expect(label({ name: 'a model' }, '47f24f95154ba3bca9da')).toBe('a model@47f24f95');
  });
});

describe('files of records in Python', () => {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const own = join(root, '.venv/bin/python');
  const python = existsSync(own) ? own : 'python3';
  const tried = spawnSync(python, ['-c', 'import edge_nima.records'], { cwd: root, encoding: 'utf8' });
  const folder = mkdtempSync(join(tmpdir(), 'edge-nima-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.for([
    ['jsonl', toJsonLines],
    ['csv', toCsv],
  ] as const)('are read as they were written: %s', ([form, write], { skip }) => {
    if (tried.status !== 0) skip(`${python} cannot import edge_nima: pip install -e . in the repository`);
    const file = join(folder, `records.${form}`);
    writeFileSync(file, write(records()));
    expect(JSON.parse(execFileSync(python, ['-c', READ_BACK, file], { cwd: root, encoding: 'utf8' }))).toEqual(
      records().map(([record, { size, mtime_ns }]) => ({
        ...record,
        size,
        mtime_ns: mtime_ns === null ? null : String(mtime_ns),
      })),
    );
  });
});

/** mtime_ns as text: JavaScript's numbers do not hold it. */
const READ_BACK = `
import json, sys
from edge_nima.records import read_records
items = read_records(sys.argv[1])
print(json.dumps([{**vars(r), **vars(s), "mtime_ns": None if s.mtime_ns is None else str(s.mtime_ns)} for r, s in items]))
`;
