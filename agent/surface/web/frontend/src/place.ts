/** Where the API is: beside the page, under whatever prefix that was opened. */
const BASE = new URL("./", location.href);

export const api = (path: string): string => new URL(`api/${path}`, BASE).href;
