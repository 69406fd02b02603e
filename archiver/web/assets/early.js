/* Runs before anything is drawn, so that a dark page never flashes white. */
(function () {
  "use strict";
  window.dash_clientside = window.dash_clientside || {};
  var root = document.documentElement;
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function chosen() {
    try { return localStorage.getItem("archiver-theme") || "system"; } catch (_) { return "system"; }
  }
  function apply() {
    var name = chosen();
    var dark = name === "dark" || (name === "system" && system.matches);
    root.dataset.theme = dark ? "dark" : "light";
    root.dataset.agThemeMode = dark ? "dark" : "light";
    var label = document.getElementById("theme-name");
    if (label) label.textContent = { system: "System theme", light: "Light theme", dark: "Dark theme" }[name];
  }
  /* The name of a page of ours that an address leads to ("" is the overview), null for anything else. Every page is one
     step deep, so what is beside this page is ours, at whatever path a proxy serves it. */
  window.archiverPage = function (address) {
    var base = new URL(".", location.href), there = new URL(address, location.href);
    if (there.origin !== base.origin || there.pathname.indexOf(base.pathname) !== 0) return null;
    var name = there.pathname.slice(base.pathname.length);
    return name.indexOf("/") < 0 && name !== "api" ? name : null;
  };
  system.addEventListener("change", apply);
  window.archiverTheme = {
    apply: apply,
    next: function () {
      var order = ["system", "light", "dark"];
      var name = order[(order.indexOf(chosen()) + 1) % order.length];
      try { localStorage.setItem("archiver-theme", name); } catch (_) { /* a private window */ }
      apply();
    },
  };
  apply();
})();
