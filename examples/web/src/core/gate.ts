/** What the gate said of a conversion; travels in its card. As `Verdict` in `edge_nima/gate.py`. */

import { ModelRejected } from './errors.ts';
import { general, printable, repr } from './python_text.ts';

/** A statistic outside its tolerance. */
export interface Failure {
  readonly statistic: string;
  /** What was measured; null where the statistic is not defined, as a correlation with a constant. */
  readonly value: number | null;
  readonly side: 'min' | 'max';
  readonly limit: number;
  /** What stands beside the number: the difference in rating points, the count, the interval. */
  readonly note: string;
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
  const { status, n, on = '', why = '', failures = [], limits = null } = raw;
  if (status !== 'passed' && status !== 'failed' && status !== 'not judged') {
    throw bad(`has the status ${repr(status).slice(0, 60)}; possible: passed, failed, not judged`);
  }
  if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 0) {
    throw bad(`has n ${repr(n).slice(0, 60)}; possible: a whole number`);
  }
  if (typeof on !== 'string') throw bad('has a on that is not text');
  if (typeof why !== 'string') throw bad('has a why that is not text');
  if (!Array.isArray(failures)) throw bad('has failures that are not a list');
  if ((status === 'failed') !== failures.length > 0) throw bad(`says ${status} with ${failures.length} failures`);
  if (limits !== null && !(isObject(limits) && Object.values(limits).every(isNumber))) {
    throw bad('has limits that are not numbers by name');
  }
  return { status, n, on, why, failures: failures.map(parseFailure) };
}

/** What whoever loads a model should hear of its verdict, on one line; null when there is nothing to warn of. */
export function warning(verdict: Verdict | null): string | null {
  if (verdict?.status !== 'failed') return null;
  const told = verdict.failures.slice(0, MOST_TOLD).map(failureText);
  if (verdict.failures.length > MOST_TOLD) told.push(`and ${verdict.failures.length - MOST_TOLD} more`);
  return `this model failed its gate, it differs from the float model more than it may: ${told.join(', ')}`;
}

function failureText({ statistic, value, side, limit, note }: Failure): string {
  const measured = value === null ? 'undefined' : general(value, 4);
  const bound = side === 'min' ? 'at least' : 'at most';
  const beside = note === '' ? '' : `; ${printable(note).slice(0, 200)}`;
  return `${printable(statistic).slice(0, 40)} ${measured} (${bound} ${general(limit)}${beside})`;
}

function parseFailure(raw: unknown): Failure {
  const { statistic, side, value = null, limit, note = '' } = isObject(raw) ? raw : {};
  if (typeof statistic !== 'string' || (side !== 'min' && side !== 'max')) {
    throw bad('has a failure without a statistic and a side (min or max)');
  }
  if (!isNumber(limit) || !(value === null || isNumber(value))) {
    throw bad('has a failure whose value or limit is not a number');
  }
  if (typeof note !== 'string') throw bad('has a failure whose note is not text');
  return { statistic, side, value, limit, note };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function bad(what: string): ModelRejected {
  return new ModelRejected(`the card's gate ${what}`);
}
