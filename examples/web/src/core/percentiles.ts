/** Where a mean stands among people's mean ratings of AVA, as `edge_nima/percentiles.py`. */

// Quantiles 0 %, 1 %, ... 100 %; tests/test_phone_page_text.py holds them against Python's.
const AVA = (
  '1.995 3.586 3.82 3.981 4.085 4.179 4.243 4.307 4.361 4.415 4.462 4.502 4.542 4.578 4.611 4.643 4.675 4.705 4.732 ' +
  '4.761 4.787 4.812 4.838 4.862 4.885 4.909 4.933 4.957 4.977 5 5.019 5.04 5.059 5.078 5.097 5.117 5.136 5.155 ' +
  '5.172 5.19 5.207 5.226 5.245 5.264 5.282 5.3 5.317 5.335 5.352 5.369 5.387 5.404 5.422 5.44 5.456 5.475 5.492 ' +
  '5.511 5.53 5.549 5.565 5.585 5.604 5.621 5.64 5.658 5.678 5.697 5.716 5.735 5.758 5.78 5.802 5.822 5.845 5.867 ' +
  '5.89 5.914 5.938 5.959 5.987 6.013 6.041 6.071 6.099 6.128 6.159 6.193 6.228 6.267 6.312 6.361 6.403 6.454 6.51 ' +
  '6.579 6.659 6.747 6.882 7.065 8.296'
)
  .split(' ')
  .map(Number);

/** Whole percent of AVA's photographs with a lower mean, 0..100; between two quantiles the lower one. */
export function percentOfAva(mean: number): number {
  return Math.max(0, AVA.findLastIndex((quantile) => quantile <= mean));
}
