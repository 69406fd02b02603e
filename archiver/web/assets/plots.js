/* Every plot as a picture, and what it draws as a table: made in the browser, from what is on the page. */
(function () {
  "use strict";
  function plotOf(node) { return node.closest("[role='figure']").querySelector(".js-plotly-plot"); }
  function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  function save(name, address) {
    var link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
  }

  /* The style sheet colours the page's plots; a picture takes its colours along. */
  function dressed(plot, title) {
    var layout = JSON.parse(JSON.stringify(plot.layout));
    Object.keys(layout).forEach(function (name) {
      if (!/^[xy]axis\d*$/.test(name)) return;
      layout[name].gridcolor = colour("--grid");
      // What is looked at is what is saved.
      var full = plot._fullLayout[name];
      if (full && full.range) { layout[name].range = full.range.slice(); layout[name].autorange = false; }
    });
    layout.paper_bgcolor = layout.plot_bgcolor = colour("--panel");
    layout.font = Object.assign({}, layout.font, { color: colour("--muted") });
    layout.title = { text: title, x: 0.02, xanchor: "left", y: 0.98, yanchor: "top", font: { size: 15, color: colour("--text") } };
    layout.margin = { l: 14, r: 20, t: 48, b: 14, pad: 0 };
    return { data: plot.data, layout: layout, config: { staticPlot: true } };
  }

  function cells(values) {
    return values.map(function (value) {
      var text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
      return /[",\r\n]/.test(text) ? "\"" + text.replace(/"/g, "\"\"") + "\"" : text;
    }).join(",");
  }
  function listed(values) { return values ? Array.from(values) : []; }
  function titled(layout, axis, other) { var at = layout[axis]; return at && at.title && at.title.text || other; }

  /* Values that share an axis stand side by side, one row a moment. */
  function sideBySide(traces, layout) {
    var rows = new Map(), names = [];
    traces.forEach(function (trace, at) {
      names.push(trace.name || titled(layout, "yaxis", "y"));
      var y = listed(trace.y);
      (trace.x ? listed(trace.x) : y.map(function (_, place) { return place; })).forEach(function (x, place) {
        var row = rows.get(x) || rows.set(x, []).get(x);
        row[at] = y[place];
      });
    });
    var first = layout.xaxis && layout.xaxis.type === "date" ? "time" : titled(layout, "xaxis", "x"), lines = [[first].concat(names)];
    var ordered = Array.from(rows.keys());
    if (traces.length > 1) ordered.sort(function (a, b) { return a < b ? -1 : a > b ? 1 : 0; });
    ordered.forEach(function (x) { lines.push([x].concat(names.map(function (_, at) { return rows.get(x)[at]; }))); });
    return lines;
  }
  function points(traces, layout) {
    var lines = [["name", titled(layout, "xaxis", "x"), titled(layout, "yaxis", "y")]];
    traces.forEach(function (trace) {
      var about = listed(trace.customdata), y = listed(trace.y);
      listed(trace.x).forEach(function (x, at) {
        var one = Array.isArray(about[at]) ? about[at][1] : about[at];
        lines.push([one === undefined ? trace.name : one, x, y[at]]);
      });
    });
    return lines;
  }
  function bars(trace) {
    var lines = [["time", "open", "high", "low", "close"]], about = listed(trace.text);
    listed(trace.close).forEach(function (close, at) {
      lines.push([String(about[at]).split("<br>")[0], trace.open[at], trace.high[at], trace.low[at], close]);
    });
    return lines;
  }
  /* A cell that says of which two it is ("one<br>other") is named by them. */
  function grid(trace) {
    var lines = [["row", "column", "value"]], named = listed(trace.customdata);
    listed(trace.z).forEach(function (row, down) {
      listed(row).forEach(function (value, across) {
        var two = named[down] && String(named[down][across]).split("<br>") || [listed(trace.y)[down], listed(trace.x)[across]];
        if (value !== null) lines.push([two[0], two[1], value]);
      });
    });
    return lines;
  }

  function table(plot) {
    var drawn = plot.data.filter(function (trace) { return trace.visible !== false && trace.visible !== "legendonly"; });
    var of = function (kind) { return drawn.filter(function (trace) { return trace.type === kind; }); };
    if (of("candlestick").length) return bars(of("candlestick")[0]);
    if (of("heatmap").length) return grid(of("heatmap")[0]);
    var dots = drawn.filter(function (trace) { return trace.mode === "markers"; });
    return dots.length === drawn.length ? points(drawn, plot.layout) : sideBySide(drawn.filter(function (trace) { return dots.indexOf(trace) < 0; }), plot.layout);
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-plot]"), plot = button && plotOf(button);
    if (!plot) return;
    if (button.dataset.plot === "csv") {
      var text = table(plot).map(cells).join("\r\n") + "\r\n", made = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      save(button.dataset.file + ".csv", made);
      setTimeout(function () { URL.revokeObjectURL(made); }, 10000);
      return;
    }
    var size = { format: "png", width: Math.max(640, plot.offsetWidth), height: plot.offsetHeight + 40, scale: 2 };
    window.Plotly.toImage(dressed(plot, button.dataset.title), size).then(function (image) { save(button.dataset.file + ".png", image); });
  });
})();
