// Figures and times as people read them.

export function count(value) {
  if (value === null || value === undefined) return "–";
  return Number(value).toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** A share between 0 and 1. */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  if (share > 0 && share < 0.001) return "<0.1 %";
  return `${(share * 100).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}

/** Seconds, as milliseconds where they are few. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds === 0) return "0 ms";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toLocaleString("en", { maximumFractionDigits: seconds < 0.01 ? 1 : 0 })} ms`;
  if (seconds < 120) return `${seconds.toLocaleString("en", { maximumFractionDigits: 1 })} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A moment: seconds since the epoch, or text of ISO 8601. */
export function moment(value) {
  if (value === null || value === undefined || value === "") return null;
  const date = new Date(typeof value === "number" ? value * 1000 : value);
  return Number.isNaN(date.getTime()) ? null : date;
}

export function time(value) {
  const date = moment(value);
  if (date === null) return "–";
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** How long ago a moment is, or in how long. */
export function ago(value, now = Date.now()) {
  const date = moment(value);
  if (date === null) return "never";
  const seconds = (now - date.getTime()) / 1000;
  if (Math.abs(seconds) < 2) return "now";
  return seconds > 0 ? `${duration(Math.round(seconds))} ago` : `in ${duration(Math.round(-seconds))}`;
}

export const short = (version) => (version ?? "").slice(0, 12) || "none";

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
