/** Files that leave the page: shared where the device can, else downloaded. */

/** Hand a file to the device's share sheet, or download it. */
export async function share(file: File): Promise<void> {
  if ('canShare' in navigator && navigator.canShare({ files: [file] })) {
    try {
      await navigator.share({ files: [file] });
      return;
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') return; // the person thought better of it
    }
  }
  download(file, file.name);
}

/** Whether `share` opens a share sheet here. */
export function canShare(): boolean {
  return 'canShare' in navigator && navigator.canShare({ files: [new File([''], 'a.jpg', { type: 'image/jpeg' })] });
}

/** Save a file among the downloads. */
export function download(content: Blob, name: string): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // Not at once: some browsers read the address only after this turn.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Now, as part of a file name: "2026-03-01-142530". */
export function stamp(): string {
  const now = new Date();
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}
