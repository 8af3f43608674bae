// The theme that was chosen, set before anything is drawn. Loaded ahead of the style sheet; keep it this small.

document.documentElement.dataset.theme = localStorage.getItem("forgellm.theme") ?? "system";
