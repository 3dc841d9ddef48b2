/** Keeps the item with the highest mean; of equal ones the earlier. */
export class Best<T> {
  #item: T | null = null;
  #mean = -Infinity;
  readonly #release: (item: T) => void;

  /** @param release called with each item that is not kept, or no longer: a frame goes back to its camera. */
  constructor(release: (item: T) => void = () => undefined) {
    this.#release = release;
  }

  /** The best so far; null before the first. */
  get item(): T | null {
    return this.#item;
  }

  /** Its mean; minus infinity before the first. */
  get mean(): number {
    return this.#mean;
  }

  /**
   * Keep `item` if it is better than what is kept, else release it.
   *
   * @param mean its mean rating; NaN is never kept.
   * @returns whether it is kept.
   */
  offer(mean: number, item: T): boolean {
    const better = mean > this.#mean;
    const dropped = better ? this.#item : item;
    if (better) [this.#item, this.#mean] = [item, mean];
    if (dropped !== null) this.#release(dropped);
    return better;
  }
}
