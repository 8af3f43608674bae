// The pages: their addresses, how they are called, and the module that each is made by. The server answers the same
// addresses (forgellm/web/pages.py). A page with an `icon` is in the navigation, in this order.

export const PAGES = [
  { path: "/", name: "Home", icon: "home", key: "h", load: () => import("./pages/home.js") },
  { path: "/models", name: "Models", icon: "model", key: "m", load: () => import("./pages/models/page.js") },
  { path: "/data", name: "Data", icon: "data", key: "d", load: () => import("./pages/data.js") },
  { path: "/data/:name", name: "Dataset", within: "/data", load: () => import("./pages/dataset.js") },
  { path: "/train", name: "Train", icon: "train", key: "t", load: () => import("./pages/train/page.js") },
  { path: "/runs", name: "Runs", icon: "runs", key: "r", load: () => import("./pages/runs.js") },
  { path: "/runs/:id", name: "Run", within: "/runs", load: () => import("./pages/run.js") },
  { path: "/compare", name: "Compare", icon: "compare", key: "o", load: () => import("./pages/compare.js") },
  { path: "/chat", name: "Chat", icon: "chat", key: "c", load: () => import("./pages/chat.js") },
  { path: "/chat/:id", name: "Chat", within: "/chat", load: () => import("./pages/chat.js") },
];
