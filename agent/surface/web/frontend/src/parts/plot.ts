import { css, html, LitElement, unsafeCSS, type PropertyValues } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import uPlot from "uplot";
import plotStyle from "uplot/dist/uPlot.min.css?inline";
import { zone } from "../format.js";
import { colour, themes } from "../theme.js";

/** What a chart is; sizes are the element's. `colour` turns a theme's name into a colour. */
export type Drawn = (colour: (name: string) => string) => Omit<uPlot.Options, "width" | "height">;

/**
 * A chart of uPlot that follows its box, the theme and the site's time zone:
 * `<pv-plot label="Power today" .drawn=${drawn} .data=${data}>`. `drawn` has to stay the same
 * function as long as the chart is the same. The legend tells the values under the pointer.
 */
@customElement("pv-plot")
export class Plot extends LitElement {
  @property({ attribute: false }) drawn!: Drawn;
  @property({ attribute: false }) data: uPlot.AlignedData = [[]];
  /** What it shows, in words, for who cannot see it. */
  @property() label = "";
  @property({ type: Number }) height = 260;
  @query(".box") private box!: HTMLElement;
  private chart: uPlot | null = null;
  private readonly sizes = new ResizeObserver(() => { this.fit(); });

  static override styles = [
    unsafeCSS(plotStyle), // a file of the bundle, nothing from outside
    css`
      :host { display: block; min-width: 0; }
      .box { min-height: var(--plot-height, 20rem); overflow-x: clip; } /* a narrower window comes before its narrower chart */
      .uplot { font: inherit; width: 100%; }
      .u-legend { font-size: .85rem; text-align: left; margin: 0; }
      .u-legend .u-value { display: inline-block; min-width: 4.6rem; font-variant-numeric: tabular-nums; }
      .u-legend th { font-weight: 400; }
      .u-legend.u-live th::after { content: none; }
      .box:not(:hover) .u-legend .u-value { visibility: hidden; } /* there is none at rest; its place stays */
      .u-legend .u-series:first-child th { display: none; } /* a time needs no name, and none is shown at rest */
      .u-legend .u-series:first-child .u-value { min-width: 3rem; }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    themes.addEventListener("change", this.again);
    if (this.hasUpdated) this.again();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    themes.removeEventListener("change", this.again);
    this.sizes.disconnect();
    this.chart?.destroy();
    this.chart = null;
  }

  override render() {
    return html`<div class="box" role="img" aria-label=${this.label}></div>`;
  }

  override updated(changed: PropertyValues<this>): void {
    if (changed.has("drawn") || !this.chart) this.again();
    else if (changed.has("data")) this.chart.setData(this.data);
  }

  private readonly again = (): void => {
    this.chart?.destroy();
    const width = this.box.clientWidth || 300;
    this.chart = new uPlot(
      {
        width, height: this.height, tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), zone() ?? local),
        ...this.drawn((name) => colour(this, name)),
      },
      this.data, this.box,
    );
    this.sizes.observe(this.box);
  };

  private fit(): void {
    const width = this.box.clientWidth;
    if (width && this.chart && width !== this.chart.width) {
      this.chart.setSize({ width, height: this.height });
    }
  }
}

const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
