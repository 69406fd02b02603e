/* Runs: the search stands in the URL, a box is ticked by a click or a key, and pages with an open run follow it. */
(function () {
  "use strict";
  var none = function () { return window.dash_clientside.no_update; };
  var asked = 0, LONGEST = 60000;

  /* Order and ticks change what stands here: one stays where one is. */
  document.addEventListener("click", function (event) {
    var link = event.target.closest("a[role='checkbox'], a.sorts, #picked a.chip");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState({}, "", link.href);
    window.dispatchEvent(new PopStateEvent("popstate"));
  }, true);

  document.addEventListener("keydown", function (event) {
    var box = event.key === " " && event.target.closest && event.target.closest("a[role='checkbox']");
    if (box) { event.preventDefault(); box.click(); }
  });

  window.dash_clientside.runs = {
    search: function (text, before) {
      if (window.archiverPage(location.href) !== "runs" || (text || "") === (before || "")) return none();
      var here = new URLSearchParams(location.search);
      here.delete("start");
      if (text) here.set("search", text); else here.delete("search");
      history.replaceState(history.state, "", "runs" + (String(here) ? "?" + here : ""));
      window.dispatchEvent(new PopStateEvent("popstate"));
      return text || "";
    },

    /* One question at a time, for an answer that is overtaken is dropped; one that never comes is asked again. */
    pulse: function (_, version) {
      if (Date.now() - asked < LONGEST) return none();
      asked = Date.now();
      return { at: location.href, path: location.pathname, search: location.search, version: version, n: asked };
    },

    followed: function (found) {
      asked = 0;
      var box = document.getElementById("runs-search"), isTyped = box && box === document.activeElement
        && box.value !== (new URLSearchParams(location.search).get("search") || "");
      // Someone has gone on, or is typing what this answer knows nothing of.
      if (!found || !found.version || found.at !== location.href || isTyped) return [none(), none()];
      return [found.content, found.version];
    },

    /* What is drawn comes just after the version: look then. */
    follows: function () {
      setTimeout(function () {
        window.dash_clientside.set_props("pulse", { disabled: !document.querySelector("#page .live") });
      }, 300);
      return none();
    },
  };
})();
