import { spawnSync } from 'node:child_process';

import { expect, it } from 'vitest';

import { floatText, general, isPrintable, printable, repr } from '../src/core/python_text.ts';
import { Random } from './random.ts';

it.each<[number, number, string]>([
  [0, 6, '0'],
  [-0, 6, '-0'],
  [1, 6, '1'],
  [1 / 127.5, 6, '0.00784314'],
  [123456, 6, '123456'],
  [1234567, 6, '1.23457e+06'],
  [0.0001, 6, '0.0001'],
  [0.00001, 6, '1e-05'],
  [999999.5, 6, '1e+06'],
  [123.0625, 6, '123.062'],
  [123.1875, 6, '123.188'],
  [0.5, 4, '0.5'],
  [1.03, 4, '1.03'],
  [NaN, 6, 'nan'],
  [Infinity, 6, 'inf'],
  [-Infinity, 6, '-inf'],
  [-2.5, 1, '-2'],
  [1e100, 6, '1e+100'],
])('writes %d to %d digits as Python: %s', (value, digits, text) => {
  expect(general(value, digits)).toBe(text);
});

it.each<[number, string]>([
  [0, '0.0'],
  [-0, '-0.0'],
  [5, '5.0'],
  [0.1, '0.1'],
  [1e15, '1000000000000000.0'],
  [1e16, '1e+16'],
  [1.5e-5, '1.5e-05'],
  [0.0001, '0.0001'],
  [5e-324, '5e-324'],
  [-1234.5, '-1234.5'],
  [120, '120.0'],
])('writes %d as a Python float: %s', (value, text) => {
  expect(floatText(value)).toBe(text);
});

it.each<[unknown, string]>([
  ["it's", `"it's"`],
  [`it's "so"`, `'it\\'s "so"'`],
  ['a\\b', "'a\\\\b'"],
  ['\u0007\u00a0\u2028📷\n', "'\\x07\\xa0\\u2028📷\\n'"],
  [[1, 2.5, null, true], '[1, 2.5, None, True]'],
  [{ a: { b: [] } }, "{'a': {'b': []}}"],
  [undefined, 'None'],
  [1e21, '1000000000000000000000'],
])('writes %j as Python does', (value, text) => {
  expect(repr(value)).toBe(text);
});

it('puts text on one line and knows what prints', () => {
  expect(printable('a b\r\n\u{e0001}é')).toBe('a b\\r\\n\\U000e0001é');
  expect([isPrintable('a b é 写'), isPrintable('a\nb'), isPrintable('\u00a0')]).toEqual([true, false, false]);
});

it('writes random numbers as Python itself does', ({ skip }) => {
  const random = new Random(31);
  const numbers = Array.from({ length: 2000 }, () => (random.next() - 0.5) * 10 ** random.whole(-12, 18));
  const program = 'import json, sys\nfor x in json.load(sys.stdin): print(f"{float(x)!r} {x:g} {x:.4g}")';
  const { status, stdout } = spawnSync('python3', ['-c', program], {
    input: JSON.stringify(numbers),
    encoding: 'utf8',
  });
  if (status !== 0) skip('there is no python3');
  expect(numbers.map((x) => `${floatText(x)} ${general(x)} ${general(x, 4)}`)).toEqual(stdout.trim().split('\n'));
});
