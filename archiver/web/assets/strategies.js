/* Strategies: filters, sort and plot stand in the URL; the table asks the server again when they change. */
(function () {
  "use strict";
  var none = function () { return window.dash_clientside.no_update; };
  var remembered = "archiver-columns";

  function api(act) {
    if (!window.dash_ag_grid || !document.getElementById("strategies-grid")) return;
    window.dash_ag_grid.getApiAsync("strategies-grid").then(act).catch(function () {});
  }

  function query(ask, sort, more) {
    var parts = new URLSearchParams();
    ["universe", "run", "search", "where"].forEach(function (name) { if (ask[name]) parts.set(name, ask[name]); });
    if (sort) parts.set("sort", sort);
    if (ask.chosen) parts.set("columns", ask.columns.join(","));
    Object.keys(more || {}).forEach(function (name) { if (more[name]) parts.set(name, more[name]); });
    return parts;
  }

  window.dash_clientside.strategies = {
    ask: function (search, universe, where, columns, ask) {
      var next = Object.assign({}, ask, { search: search || "", universe: universe || "", where: where || "" });
      var wanted = columns || [];
      var same = wanted.length === ask.columns.length && wanted.every(function (name) { return ask.columns.includes(name); });
      if (!same) {
        next.columns = ask.columns.filter(function (name) { return wanted.includes(name); })
          .concat(wanted.filter(function (name) { return !ask.columns.includes(name); }));
        next.chosen = true;
        var added = wanted.filter(function (name) { return !ask.columns.includes(name); });
        if (added.length) setTimeout(function () { api(function (grid) { grid.ensureColumnVisible(added[0]); }); }, 700);
        try { localStorage.setItem(remembered, JSON.stringify(next.columns)); } catch (_) { /* a private window */ }
      }
      return JSON.stringify(next) === JSON.stringify(ask) ? none() : next;
    },

    sync: function (ask, request, x, y, open, sorted) {
      if (location.pathname !== "/strategies" || !ask) return none();
      var sort = sorted;
      if (request && request.sortModel) {
        sort = request.sortModel.map(function (key) { return (key.sort === "desc" ? "-" : "") + key.colId; }).join(",");
      }
      // A pinned column would leave no room for another one on a phone.
      if (window.innerWidth < 760) api(function (grid) { grid.setColumnsPinned(["strategy_name"], null); });
      var shown = query(ask, sort, open ? { scatter: "1", x: x, y: y } : {});
      history.replaceState(history.state, "", "/strategies" + (String(shown) ? "?" + shown : ""));
      ["csv", "parquet", "arrow", "json"].forEach(function (form) {
        var link = document.getElementById("export-" + form);
        var asked = query(Object.assign({}, ask, { chosen: false }), sort, { format: form, download: "1" });
        if (link) link.href = "/api/metrics?" + asked;
      });
      return sort === sorted ? none() : sort;
    },

    refresh: function () {
      api(function (grid) { grid.deselectAll(); grid.purgeInfiniteCache(); grid.ensureIndexVisible(0); });
      return none();
    },

    selected: function (rows) {
      rows = rows || [];
      var ok = rows.length >= 1 && rows.length <= 10;
      var parts = new URLSearchParams();
      rows.slice(0, 10).forEach(function (row) { parts.append("strategy", row._id); });
      var text = rows.length ? "Compare " + rows.length + (rows.length > 10 ? " (at most 10)" : "") : "Compare";
      return [ok ? "/compare?" + parts : "/compare", text, ok ? "button primary" : "button off"];
    },

    toggle: function (clicks, open) {
      if (!clicks) return [none(), none(), none()];
      return [!open, "card scatter" + (open ? " shut" : ""), String(!open)];
    },

    zoomed: function (moved) {
      if (!moved) return none();
      if (moved["xaxis.autorange"] || moved["yaxis.autorange"]) return null;
      var names = ["xaxis.range[0]", "xaxis.range[1]", "yaxis.range[0]", "yaxis.range[1]"];
      if (!names.every(function (name) { return name in moved; })) return none();
      return names.map(function (name) { return moved[name]; });
    },

    /* A box on the plot becomes part of the filter: it can be read, changed, shared and exported. */
    picked: function (chosen, where, x, y) {
      if (!chosen || !chosen.range || !chosen.range.x) return none();
      var name = function (text) { return /^[A-Za-z_][A-Za-z0-9_]*$/.test(text) ? text : "`" + text + "`"; };
      var between = function (column, range) {
        var ends = [Math.min(range[0], range[1]), Math.max(range[0], range[1])];
        return Number(ends[0].toPrecision(6)) + " <= " + name(column) + " <= " + Number(ends[1].toPrecision(6));
      };
      var box = between(x, chosen.range.x) + " and " + between(y, chosen.range.y);
      return where && where.trim() ? "(" + where + ") and " + box : box;
    },

    opened: function (click) {
      var point = click && click.points && click.points[0];
      if (point && point.customdata) {
        history.pushState({}, "", point.customdata[0]);
        window.dispatchEvent(new PopStateEvent("popstate"));
      }
      return none();
    },
  };

  /* Columns chosen once come back where the URL names none. */
  window.addEventListener("DOMContentLoaded", function () {
    try {
      var kept = JSON.parse(localStorage.getItem(remembered) || "[]");
      var here = new URLSearchParams(location.search);
      if (location.pathname === "/strategies" && kept.length && !here.has("columns")) {
        here.set("columns", kept.join(","));
        history.replaceState(history.state, "", "/strategies?" + here);
      }
    } catch (_) { /* nothing was kept */ }
  });
})();
