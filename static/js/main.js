// Where the page begins: the frame, then the page that the address names.

import { startHealth } from "./state/health.js";
import { startRuns } from "./state/runs.js";
import { startBanner } from "./frame/banner.js";
import { startKeys } from "./frame/keys.js";
import { startNavigation } from "./frame/navigation.js";
import { startNews } from "./frame/news.js";
import { startPalette } from "./frame/palette.js";
import { startRouter } from "./frame/router.js";
import { startStatus } from "./frame/status.js";
import { startTheme } from "./frame/theme.js";
import { startTitle } from "./frame/title.js";
import { startToasts } from "./frame/toasts.js";

startTheme();
startKeys();
startToasts();
startNavigation();
startPalette();
startStatus();
startBanner();
startTitle();
startNews();
startRuns();
startHealth();
startRouter();
