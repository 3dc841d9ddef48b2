/** What the gate said of a conversion; travels in its card. As `Verdict` in `edge_nima/gate.py`. */

import { ModelRejected } from './errors.ts';

/** A statistic outside its tolerance. */
interface Failure {
  readonly statistic: string;
  /** What was measured; null where the statistic is not defined, as a correlation with a constant. */
  readonly value?: number | null;
  readonly side: 'min' | 'max';
  readonly limit: number;
  /** What stands beside the number: the difference in rating points, the count, the interval. */
  readonly note?: string;
}

/** What a conversion cost, judged. */
export interface Verdict {
  readonly status: 'passed' | 'failed' | 'not judged';
  /** Photographs that it was judged by. */
  readonly n: number;
  /** Which photographs, in words. */
  readonly on: string;
  readonly failures: readonly Failure[];
  /** Why it is not judged. */
  readonly why: string;
}

const MOST_TOLD = 8;

/**
 * Read what a card holds.
 *
 * @throws ModelRejected it is none; the message says what about it.
 */
export function parseVerdict(raw: unknown): Verdict {
  if (!isObject(raw)) throw bad('is not an object');
  const { status, n, on = '', why = '', failures = [] } = raw;
  if (status !== 'passed' && status !== 'failed' && status !== 'not judged') {
    throw bad('has a status that is none of: passed, failed, not judged');
  }
  if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 0) throw bad('has n that is not a whole number');
  if (typeof on !== 'string' || typeof why !== 'string') throw bad('has on or why that is not text');
  if (!Array.isArray(failures) || !failures.every(isFailure)) throw bad('has failures that are none');
  if ((status === 'failed') !== failures.length > 0) throw bad(`says ${status} with ${failures.length} failures`);
  return { status, n, on, why, failures };
}

/** What whoever loads a model should hear of its verdict, on one line; null when there is nothing to warn of. */
export function warning(verdict: Verdict | null): string | null {
  if (verdict?.status !== 'failed') return null;
  const told = verdict.failures.slice(0, MOST_TOLD).map(failureText);
  if (verdict.failures.length > MOST_TOLD) told.push(`and ${verdict.failures.length - MOST_TOLD} more`);
  return `this model failed its gate, it differs from the float model more than it may: ${told.join(', ')}`;
}

function failureText({ statistic, value = null, side, limit, note = '' }: Failure): string {
  const measured = value === null ? 'undefined' : Number(value.toPrecision(4));
  const beside = note === '' ? '' : `; ${note.slice(0, 200)}`;
  return `${statistic.slice(0, 40)} ${measured} (${side === 'min' ? 'at least' : 'at most'} ${limit}${beside})`;
}

function isFailure(raw: unknown): raw is Failure {
  if (!isObject(raw)) return false;
  const { statistic, side, value = null, limit, note = '' } = raw;
  const numbers = typeof limit === 'number' && (value === null || typeof value === 'number');
  return typeof statistic === 'string' && (side === 'min' || side === 'max') && numbers && typeof note === 'string';
}

/** A JSON object, and not a list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(what: string): ModelRejected {
  return new ModelRejected(`the card's gate ${what}`);
}
