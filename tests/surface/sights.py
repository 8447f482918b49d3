"""What a browser is asked about any view: defects for screen readers, and what jumped."""

AXE = """axe.run().then(({violations}) => violations.map((each) =>
  [each.id, ...each.nodes.map((node) => node.target.flat().join(' ') + node.failureSummary)]))"""
SHIFTS = """window.shift = 0;
  new PerformanceObserver((list) => { for (const each of list.getEntries()) shift += each.value; })
    .observe({type: 'layout-shift', buffered: true});"""
MINUS = "\u2212"
