/** Rounding as Python and NumPy do it. */

/** To the nearest whole number, a half to the even one, as Python rounds. */
export function toEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}
