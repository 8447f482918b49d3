/** What charts draw behind their lines: planned windows, and a strip of carbon or price. */
import type uPlot from "uplot";
import type { PlanPicture, PlanPoint } from "../api.js";

export const STRIP_PX = 10;

/** The colour of what a window does, as `theme.css` names it. */
export function windowColour(action: string): string {
  if (action === "charge") return "--pv-charge";
  return action === "discharge" ? "--pv-discharge" : "--pv-carbon";
}

/** Shades each window of a plan over the height of the chart. */
export function shadeWindows(plan: () => PlanPicture | null, colour: (name: string) => string): uPlot.Plugin {
  return {
    hooks: {
      drawClear: (chart) => {
        const { ctx, bbox } = chart;
        ctx.save();
        ctx.globalAlpha = 0.16;
        for (const window of plan()?.windows ?? []) {
          ctx.fillStyle = colour(windowColour(window.action));
          const [from, to] = cut(chart, window.begins, window.ends);
          if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height);
        }
        ctx.restore();
      },
    },
  };
}

/** Draws along the top what a kWh of the grid emits or costs: the stronger, the more. */
export function strip(plan: () => PlanPicture | null, colour: (name: string) => string): uPlot.Plugin {
  return {
    hooks: {
      draw: (chart) => {
        const { ctx, bbox } = chart;
        const found = worth(plan());
        const most = Math.max(...found.map(([, value]) => value));
        const least = Math.min(...found.map(([, value]) => value));
        ctx.save();
        ctx.fillStyle = colour("--pv-carbon");
        for (const [point, value] of found) {
          ctx.globalAlpha = 0.12 + 0.88 * ((value - least) / (most - least || 1));
          const [from, to] = cut(chart, point.begins, point.ends);
          if (to > from) ctx.fillRect(from, bbox.top, to - from, STRIP_PX * devicePixelRatio);
        }
        ctx.restore();
      },
    },
  };
}

/** The points that say what a kWh is worth to the plan's aim, with that value. */
export function worth(plan: PlanPicture | null): [PlanPoint, number][] {
  if (!plan) return [];
  const of = (point: PlanPoint): number | null =>
    plan.aim === "carbon" ? point.carbon_g_per_kwh : point.buy_per_kwh;
  return plan.points.flatMap((point): [PlanPoint, number][] => {
    const value = of(point);
    return value === null ? [] : [[point, value]];
  });
}

function cut(chart: uPlot, begins: string, ends: string): [number, number] {
  const { left, width } = chart.bbox;
  const at = (moment: string): number =>
    Math.min(left + width, Math.max(left, chart.valToPos(Date.parse(moment) / 1000, "x", true)));
  return [at(begins), at(ends)];
}
