/* Strategies: filters, sort and plot stand in the URL; the table asks the server again when they change. */
(function () {
  "use strict";
  var none = function () { return window.dash_clientside.no_update; };
  var asked = null;
  var TWICE = 350, opening = null, pressed = 0, pressedTwice = false;

  ["mousedown", "touchstart"].forEach(function (name) {
    document.addEventListener(name, function (event) {
      clearTimeout(opening);
      pressedTwice = event.timeStamp - pressed < TWICE;
      pressed = event.timeStamp;
      // Plotly itself lets a box go only where nothing is within it.
      var button = document.getElementById("cloud-unbox");
      if (pressedTwice && button && !button.hidden && selects((event.touches || [event])[0])) button.click();
    }, true);
  });

  function selects(at) {
    var plot = document.querySelector("#cloud .js-plotly-plot"), area = plot && plot.querySelector(".nsewdrag");
    if (!area || plot.layout.dragmode !== "select") return false;
    var box = area.getBoundingClientRect();
    return at.clientX >= box.left && at.clientX <= box.right && at.clientY >= box.top && at.clientY <= box.bottom;
  }

  function api(act) {
    if (!window.dash_ag_grid || !document.getElementById("strategies-grid")) return;
    window.dash_ag_grid.getApiAsync("strategies-grid").then(act).catch(function () {});
  }

  /* What `picked` writes, found again at the end of a filter. */
  var END = "([-+\\d.e]+) <= (\\w+|`[^`]*`) <= ([-+\\d.e]+)";
  var BOX = new RegExp("^(?:\\((.*)\\) and )?" + END + " and " + END + "$");

  function named(column) { return /^[A-Za-z_][A-Za-z0-9_]*$/.test(column) ? column : "`" + column + "`"; }

  /* Part a filter into the box over two columns that it ends with, if it does, and what is before that. */
  function parted(where, x, y) {
    var found = BOX.exec((where || "").trim());
    if (!found || found[3] !== named(x || "") || found[6] !== named(y || "")) return { rest: (where || "").trim(), box: null };
    return { rest: found[1] || "", box: [found[2], found[4], found[5], found[7]].map(Number) };
  }

  function query(ask, sort, more) {
    var parts = new URLSearchParams();
    ["universe", "run", "search", "where"].forEach(function (name) { if (ask[name]) parts.set(name, ask[name]); });
    if (ask.newest && ask.newest !== "strategy" && !ask.run) parts.set("newest", ask.newest);
    if (sort) parts.set("sort", sort);
    if (ask.chosen) parts.set("columns", ask.columns.join(","));
    Object.keys(more || {}).forEach(function (name) { if (more[name]) parts.set(name, more[name]); });
    return parts;
  }

  function rows(ask) {
    return JSON.stringify([ask.universe, ask.run, ask.newest, ask.search, ask.where, ask.columns.slice().sort()]);
  }

  /* The table has moved its columns itself: only the address and the export follow. */
  function moved(columns) {
    window.dash_clientside.set_props("ask", { data: Object.assign({}, asked, { columns: columns, chosen: true }) });
  }

  window.dash_clientside.strategies = {
    ask: function (search, universe, newest, where, columns, ask) {
      var next = Object.assign({}, ask, { search: search || "", universe: universe || "", newest: newest, where: where || "" });
      var wanted = columns || [];
      var same = wanted.length === ask.columns.length && wanted.every(function (name) { return ask.columns.includes(name); });
      if (!same) {
        next.columns = ask.columns.filter(function (name) { return wanted.includes(name); })
          .concat(wanted.filter(function (name) { return !ask.columns.includes(name); }));
        next.chosen = true;
        var added = wanted.filter(function (name) { return !ask.columns.includes(name); });
        if (added.length) window.archiverRemember.show(added[0]);
        window.archiverRemember.columns(next.columns);
      }
      return JSON.stringify(next) === JSON.stringify(ask) ? none() : next;
    },

    sync: function (ask, request, x, y, open, color, log, sorted) {
      if (window.archiverPage(location.href) !== "strategies" || !ask) return none();
      var sort = sorted;
      if (request && request.sortModel) {
        sort = request.sortModel.map(function (key) { return (key.sort === "desc" ? "" : "-") + (/^-|,/.test(key.colId) ? "`" + key.colId + "`" : key.colId); }).join(",");
      }
      api(function (grid) { window.archiverRemember.watch(grid, moved); });
      asked = ask;
      window.dash_clientside.set_props("filter-clear", { hidden: !(ask.universe || ask.search || ask.where) });
      var shown = query(ask, sort, open ? { scatter: open, x: x, y: y, color: color, log: (log || []).join(",") } : {});
      history.replaceState(history.state, "", "strategies" + (String(shown) ? "?" + shown : ""));
      ["csv", "parquet", "arrow", "json"].forEach(function (form) {
        var link = document.getElementById("export-" + form);
        var asked = query(Object.assign({}, ask, { chosen: false }), sort, { format: form, download: "1", without_damaged: ask.damaged ? "1" : "" });
        if (link) link.href = "api/metrics?" + asked;
      });
      return sort === sorted ? none() : sort;
    },

    refresh: function (ask, shown) {
      var now = rows(ask);
      if (!shown || now === shown) return now;
      var filtered = JSON.parse(shown).slice(0, 5).join() !== JSON.parse(now).slice(0, 5).join();
      api(function (grid) {
        if (filtered) { window.archiverRemember.restart(); grid.deselectAll(); }
        grid.purgeInfiniteCache();
        if (filtered) grid.ensureIndexVisible(0);
      });
      return now;
    },

    clear: function (clicks) { return clicks ? ["", null, ""] : [none(), none(), none()]; },

    reset: function (clicks) {
      if (!clicks) return none();
      window.archiverRemember.forget();
      var here = new URLSearchParams(location.search);
      here.delete("columns");
      history.replaceState(history.state, "", "strategies?" + here);
      location.reload();
      return none();
    },

    /* The plot is shut (""), beside the table ("1") or as large as the page ("large"). */
    toggle: function (clicks, sized, open) {
      if (!clicks && !sized) return [none(), none(), none(), none()];
      var large = window.dash_clientside.callback_context.triggered_id === "scatter-size";
      var next = large ? (open === "large" ? "1" : "large") : (open ? "" : "1");
      setTimeout(function () { api(window.archiverRemember.arrange); }, 50);
      return [next, "card scatter " + (next || "shut"), String(next !== ""), next === "large" ? "Beside the table" : "Larger"];
    },

    logged: function (up, across, log) {
      var axis = String(window.dash_clientside.callback_context.triggered_id || "").slice(-1), now = log || [];
      if (!up && !across) return [none(), none(), none()];
      now = now.indexOf(axis) < 0 ? now.concat(axis) : now.filter(function (one) { return one !== axis; });
      return [now, String(now.indexOf("y") >= 0), String(now.indexOf("x") >= 0)];
    },

    /* What is looked at, and of which axes: of others it would mean nothing. On a log scale it is the logarithms to 10. */
    zoomed: function (moved, x, y, log) {
      if (!moved) return none();
      if (moved["xaxis.autorange"] || moved["yaxis.autorange"]) return null;
      var names = ["xaxis.range[0]", "xaxis.range[1]", "yaxis.range[0]", "yaxis.range[1]"];
      if (!names.every(function (name) { return name in moved; })) return none();
      return { of: { x: x, y: y, log: (log || []).slice().sort() }, range: names.map(function (name) { return moved[name]; }) };
    },

    /* A box filters the table; the plot itself stays whole, so that the box can be drawn anew or taken away. */
    boxed: function (ask, x, y) {
      var own = parted(ask.where, x, y);
      window.dash_clientside.set_props("cloud-unbox", { hidden: !own.box });
      return Object.assign({}, ask, { where: own.rest, box: own.box });
    },

    /* A box on the plot becomes part of the filter: it can be read, changed, shared and exported. */
    picked: function (chosen, removed, where, x, y) {
      var own = parted(where, x, y);
      // A double-click on the plot lets its own box go: so does the filter.
      if (removed && window.dash_clientside.callback_context.triggered_id === "cloud-unbox" || chosen === null) return own.rest;
      if (!chosen || !chosen.range || !chosen.range.x) return none();
      var between = function (column, range) {
        var ends = [Math.min(range[0], range[1]), Math.max(range[0], range[1])];
        return Number(ends[0].toPrecision(6)) + " <= " + named(column) + " <= " + Number(ends[1].toPrecision(6));
      };
      var box = between(x, chosen.range.x) + " and " + between(y, chosen.range.y);
      return own.rest ? "(" + own.rest + ") and " + box : box;
    },

    /* The first click of two is known only once no second one came: two take the box away and open nothing. */
    opened: function (click) {
      var point = click && click.points && click.points[0];
      if (point && point.customdata && !pressedTwice) {
        opening = setTimeout(function () {
          history.pushState({}, "", point.customdata[0]);
          window.dispatchEvent(new PopStateEvent("popstate"));
        }, TWICE);
      }
      return none();
    },
  };
})();
