/* Compare: what is chosen in the search is added to the URL. */
(function () {
  "use strict";
  window.dash_clientside.compare = {
    add: function (value, kind) {
      if (!value || window.archiverPage(location.href) !== "compare") return window.dash_clientside.no_update;
      var here = new URLSearchParams(location.search);
      here.append(kind, value);
      history.pushState({}, "", "compare?" + here);
      window.dispatchEvent(new PopStateEvent("popstate"));
      return window.dash_clientside.no_update;
    },
  };
})();
