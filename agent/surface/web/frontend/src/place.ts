/** Where the API is: beside the page, or one above it while this page lives at `next/`. */
const BASE = new URL(location.pathname.endsWith("/next/") ? "../" : "./", location.href);

export const api = (path: string): string => new URL(`api/${path}`, BASE).href;

/** The page before this one, while there is one. */
export const PREVIOUS = location.pathname.endsWith("/next/") ? "../" : null;
