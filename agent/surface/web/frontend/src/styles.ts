/** What every view may lay in its shadow root: text, buttons, fields, tables. */
import { css } from "lit";

const focus = css`
  :focus-visible { outline: 3px solid var(--primary-color); outline-offset: 2px; }
`;

export const base = css`
  ${focus}
  :host { display: block; }
  * { box-sizing: border-box; }
  [hidden] { display: none !important; }
  h1, h2, h3 { margin: 0 0 .5rem; line-height: 1.25; }
  h1 { font-size: 1.15rem; }
  h2 { font-size: 1rem; }
  h3 { font-size: .95rem; color: var(--secondary-text-color); }
  p { margin: .25rem 0; }
  ul { margin: .25rem 0; padding-left: 1.1rem; }
  small, .quiet { color: var(--secondary-text-color); }
  small { font-size: .85rem; }
  .good { color: var(--pv-good); }
  .warn { color: var(--pv-warn); }
  .bad { color: var(--pv-bad); }
  .big { font-size: 1.5rem; font-weight: 600; line-height: 1.25; }
  .row { display: flex; gap: .5rem; flex-wrap: wrap; align-items: center; }
  a { color: var(--primary-color); }
  dl { display: grid; grid-template-columns: minmax(40%, 1fr) auto; gap: .15rem .75rem; margin: .5rem 0 0; }
  dt { color: var(--secondary-text-color); overflow-wrap: break-word; } /* breaks no word for a long value beside it */
  dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
`;

export const controls = css`
  ${focus}
  button, .button {
    font: inherit; min-height: 2.75rem; padding: .4rem .9rem; border-radius: 8px; cursor: pointer;
    border: 1px solid var(--divider-color); background: var(--pv-soft);
    color: var(--primary-text-color); text-decoration: none;
  }
  button.primary { background: var(--primary-color); color: var(--text-primary-color); border-color: transparent; }
  button.danger { background: var(--pv-danger); color: var(--pv-on-danger); border-color: transparent; font-weight: 600; }
  button[aria-disabled="true"] { cursor: not-allowed; color: var(--secondary-text-color); background: var(--pv-soft); border-color: var(--divider-color); }
  input, select {
    font: inherit; min-height: 2.75rem; padding: .3rem .6rem; border-radius: 8px; max-width: 100%;
    border: 1px solid var(--secondary-text-color); background: var(--card-background-color);
    color: var(--primary-text-color);
  }
  input[type="range"] { padding: 0; border: 0; width: 100%; accent-color: var(--primary-color); }
  label { display: block; }
  label.ack { display: flex; gap: .5rem; align-items: center; min-height: 2.75rem; }
  label.ack input { min-height: 1.25rem; width: 1.25rem; flex: none; }
`;

export const tables = css`
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font-size: .92rem; }
  th { text-align: left; white-space: nowrap; font-weight: 600; color: var(--secondary-text-color); }
  th, td { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--divider-color); vertical-align: top; }
  @media (max-width: 560px) { /* a line becomes a block: its first cell above, the others after each other */
    thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    tr { display: block; padding: .45rem 0; border-bottom: 1px solid var(--divider-color); }
    tbody th, tbody td { display: inline; white-space: normal; border: 0; padding: 0 .6rem 0 0; }
    tbody th:first-child, tbody td:first-child { display: block; font-weight: 600; padding: 0; }
    [data-label]::before { content: attr(data-label) ": "; color: var(--secondary-text-color); font-weight: 400; }
  }
`;

/** Cards beside each other where there is room; each view's outermost. */
export const grid = css`
  .grid {
    display: grid; gap: .9rem; align-items: start;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr));
  }
  .wide { grid-column: 1 / -1; }
`;
